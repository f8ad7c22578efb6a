"""Peak memory of learning: GRPO beside PPO, whose critic is a head on the policy's states or a model of its own.

    python benchmarks/agent_memory.py [--device cuda]

Two updates of 16 answers of 64 tokens by a random model in the shape of SmolLM2-135M: float32 on a CPU, bfloat16 on a
GPU. Each agent runs in a process of its own. On a CPU the peak is of resident memory, above that of the process before
there is a model, with glibc told to give freed memory back; on a GPU it is of what torch has allocated. Prints a JSON
line for each agent.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

import torch
from logprob_memory import peak
from speed import make_policy

from textgym.agents import GRPO, PPO

ALL_GROUPS: dict[str, Any] = {"drop_zero_variance": False}
ONE_STEP: dict[str, Any] = {"n_epochs": 1, "n_minibatches": 1}
AGENTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "grpo": (GRPO, ALL_GROUPS),
    "ppo, shared critic": (PPO, ONE_STEP),
    "ppo, separate critic": (PPO, ONE_STEP | {"critic": "separate"}),
    "grpo, with a reference": (GRPO, ALL_GROUPS | {"kl_coef": 0.01}),
    "ppo, separate critic, with a reference": (PPO, ONE_STEP | {"critic": "separate", "kl_coef": 0.01}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--agent", choices=AGENTS, help="measure this one, in this process")
    args = parser.parse_args()
    if args.agent:
        print(json.dumps(measure(args.agent, args.device)))
        return
    for name in AGENTS:
        command = [sys.executable, __file__, "--device", args.device, "--agent", name]
        giving_back = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=giving_back)
        print(json.dumps({"benchmark": "agent_memory", "device": args.device} | json.loads(done.stdout)), flush=True)


def measure(name: str, device: str) -> dict[str, Any]:
    """Return the most memory that two updates of an agent needed, in megabytes and in copies of its model."""
    agent_class, settings = AGENTS[name]
    make_policy("tiny", device, None)  # what loading loads is not of interest
    before = peak()
    policy = make_policy("135m", device, None)
    weights = sum(parameter.numel() * parameter.itemsize for parameter in policy.model.parameters())
    answers = {"prompts_per_update": 2, "group_size": 8, "max_new_tokens": 64}
    agent = agent_class(policy, "TextMath-v0", learning_rate=1e-6, **answers, **settings)
    for _ in range(2):  # in the second the optimiser has its state
        agent.update()
        agent.num_updates += 1
    most = torch.cuda.max_memory_allocated() if device == "cuda" else peak() - before
    return {"agent": name, "peak_mb": round(most / 1e6), "copies_of_the_model": round(most / weights, 1)}


if __name__ == "__main__":
    main()
