"""Peak memory and time of a forward and a backward pass over log-probabilities: ours beside the plain way.

    python benchmarks/logprob_memory.py

A random Llama (hidden size 192, 2 layers) with a vocabulary of 49,152, 16 rows of 16 prompt tokens and 128 new ones, on
the CPU. The plain way makes all logits, their log_softmax and the entropies at once, in float32. Each way runs in
processes of its own. One measures the peak of resident memory above that of the process with its model made, with
glibc told to give freed memory back; another the time, with the allocator as it comes. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from textgym.agents import CausalLM
from textgym.agents.loading import TINY, load_tokenizer
from textgym.agents.policy import positions

ROWS, PROMPT, NEW, VOCABULARY = 16, 16, 128, 49_152


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=("ours", "plain"), help="measure one of the two in this process")
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way)))
        return
    result: dict[str, Any] = {"benchmark": "logprob_memory", "rows": ROWS, "tokens": NEW, "vocabulary": VOCABULARY}
    result["threads"] = torch.get_num_threads()
    giving_back = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    for way in "plain", "ours":
        result[way] = measured_apart(way, giving_back) | {"seconds": measured_apart(way, {})["seconds"]}
    for name in "peak_mb", "seconds":
        result[f"{name}_ratio"] = round(result["plain"][name] / result["ours"][name], 2)
    print(json.dumps(result))


def measured_apart(way: str, environment: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def measure(way: str) -> dict[str, float]:
    """Return the peak memory in megabytes above that before the first pass, and the seconds of the fastest pass."""
    policy = make_policy()
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(VOCABULARY, (ROWS, PROMPT), generator=generator)
    tokens = torch.randint(VOCABULARY, (ROWS, NEW), generator=generator)
    run(policy, way, prompts[:, :2], tokens[:, :2])  # what a first pass loads is not of interest
    before, seconds = peak(), []
    for _ in range(3):
        began = time.perf_counter()
        run(policy, way, prompts, tokens)
        seconds.append(time.perf_counter() - began)
    return {"peak_mb": round((peak() - before) / 1e6), "seconds": round(min(seconds), 2)}


def run(policy: CausalLM, way: str, prompts: torch.Tensor, tokens: torch.Tensor) -> None:
    """Compute log-probabilities, entropies and the gradient of the mean of the former."""
    mask = torch.ones_like(prompts)
    if way == "ours":
        logprobs, _ = policy.logprobs(prompts, mask, tokens)
    else:
        inputs = torch.cat([prompts, tokens], 1)
        all_mask = torch.ones_like(inputs)
        out = policy.model(input_ids=inputs, attention_mask=all_mask, position_ids=positions(all_mask), use_cache=False)
        log_softmax = out.logits[:, -tokens.shape[1] - 1 : -1].float().log_softmax(-1)
        logprobs = log_softmax.gather(-1, tokens[..., None]).squeeze(-1)
        with torch.no_grad():
            _ = -(log_softmax.exp() * log_softmax).sum(-1)
    logprobs.mean().backward()
    policy.model.zero_grad(set_to_none=True)


def make_policy() -> CausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=192, intermediate_size=512, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    policy = CausalLM(LlamaForCausalLM(config), load_tokenizer(TINY))
    return policy


def peak() -> int:
    """Return the most resident memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
