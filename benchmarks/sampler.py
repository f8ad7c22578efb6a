"""Tokens a second of ``sample`` beside ``model.generate``, on the tiny model, in one process.

    python benchmarks/sampler.py

Batch 64 (8 problems of TextMath-v0, 8 answers each), temperature 1: once 64 new tokens without a stop, once lengths as
they fall, with the stop token on. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time

import gymnasium as gym
import numpy as np
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

import textgym  # noqa: F401
from textgym.agents import CausalLM, sample
from textgym.agents.loading import TINY
from textgym.agents.sampling import pad_left

NEW_TOKENS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="tiny")
    parser.add_argument("--env", default="TextMath-v0")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    policy = CausalLM.load(args.policy)
    folder = TINY if args.policy == "tiny" else args.policy
    plain = AutoModelForCausalLM.from_pretrained(folder).to(policy.device).eval()  # as transformers comes
    env = gym.make_vec(args.env, num_envs=64, group_size=8)
    texts, _ = env.reset(seed=0)
    prompts = [policy.tokenizer.encode_prompt(text) for text in texts]
    ids, mask = pad_left(prompts, policy.tokenizer.pad_id, policy.device)
    generator = torch.Generator(policy.device).manual_seed(0)

    def ours(stop: bool) -> int:
        drawn = sample(policy, prompts, max_new_tokens=NEW_TOKENS, generator=generator, ignore_stop=not stop)
        return int(drawn.token_mask.sum())

    def theirs(stop: bool) -> int:
        config = GenerationConfig(
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=None if stop else NEW_TOKENS,
            do_sample=True,
            top_k=0,
            top_p=1.0,
            eos_token_id=policy.tokenizer.stop_id if stop else None,
            pad_token_id=policy.tokenizer.pad_id,
        )
        out = plain.generate(ids, attention_mask=mask, generation_config=config)[:, ids.shape[1] :]
        if not stop:
            return out.numel()
        ended = (out == policy.tokenizer.stop_id).cumsum(1)
        return int((ended - (out == policy.tokenizer.stop_id).long() == 0).sum())

    result = {"benchmark": "sampler", "policy": args.policy, "env": args.env, "batch": 64, "new_tokens": NEW_TOKENS}
    result |= {"device": str(policy.device), "threads": torch.get_num_threads()}
    for name, stop in ("no_stop", False), ("stop", True):
        rates: dict[str, list[float]] = {"sample": [], "generate": []}
        for round_ in range(args.rounds + 1):  # side by side; the first round warms up
            for which, function in ("sample", ours), ("generate", theirs):
                began = time.perf_counter()
                tokens = function(stop)
                if round_:
                    rates[which].append(tokens / (time.perf_counter() - began))
        result[name] = {f"{which}_tokens_per_second": round(float(np.median(r))) for which, r in rates.items()}
        result[name]["ratio_median"] = round(float(np.median(np.divide(rates["sample"], rates["generate"]))), 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
