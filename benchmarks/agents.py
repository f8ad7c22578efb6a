"""Every language-model agent on the same task from the same warm start: what it reaches, and how soon.

    python benchmarks/agents.py                        # one run of each, some minutes apiece
    python benchmarks/agents.py --agents ppo ppo_token --seeds 0 1 2

Two-digit sums (TextMath-v0) with ``tiny``; 256 answers an update, learning rate 4e-4 falling linearly. Success is
greedy on 500 held-out problems before and after, and on 300 of them every 20 updates, outside the clock, for the
samples and seconds to 0.8. Prints one JSON line for each run, and at the end a table of the last lines.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import gymnasium as gym
import torch

import textgym  # noqa: F401
from textgym.agents import GRPO, PPO, REINFORCE, CausalLM, ExpertIteration, evaluate

ENV, NEW_TOKENS = "TextMath-v0", 8
GROUPS = {"prompts_per_update": 64, "group_size": 4}
AGENTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "grpo": (GRPO, GROUPS),
    "dr_grpo": (GRPO, GROUPS | {"preset": "dr_grpo"}),
    "dapo": (GRPO, GROUPS | {"preset": "dapo", "overlong_cache": 2}),
    "gspo": (GRPO, GROUPS | {"preset": "gspo", "n_minibatches": 2}),
    "rloo": (GRPO, GROUPS | {"preset": "rloo", "kl_coef": 0.0, "kl_in_reward": False}),
    "reinforce": (REINFORCE, GROUPS),
    "reinforce_group": (REINFORCE, GROUPS | {"baseline": "group_mean"}),
    "expert_iteration": (ExpertIteration, GROUPS),
    "ppo": (PPO, GROUPS | {"n_epochs": 2, "n_minibatches": 1}),
    "ppo_token": (PPO, GROUPS | {"n_epochs": 2, "n_minibatches": 1}),
}


def run(name: str, seed: int, episodes: int, learning_rate: float) -> dict[str, Any]:
    agent_class, settings = AGENTS[name]
    policy = CausalLM.load("tiny")
    env: Any = ENV
    if name.endswith("_token"):
        rows = settings["prompts_per_update"] * settings["group_size"]
        env = gym.make_vec(
            ENV, num_envs=rows, group_size=settings["group_size"], autoreset_mode="Disabled",
            level="token", tokenizer=policy.tokenizer, max_tokens=NEW_TOKENS, window=32,
        )  # fmt: skip
    agent = agent_class(
        policy, env, max_new_tokens=NEW_TOKENS, learning_rate=learning_rate, lr_schedule="linear", seed=seed, **settings
    )
    before = evaluate(policy, ENV, 500, max_new_tokens=NEW_TOKENS)
    clock = {"seconds": 0.0, "began": time.perf_counter()}
    reached: dict[str, float | None] = {"samples_to_0.8": None, "seconds_to_0.8": None}

    def watch(*_: Any) -> bool:
        clock["seconds"] += time.perf_counter() - clock["began"]
        due = agent.num_updates % 20 == 0 and reached["samples_to_0.8"] is None
        if due and evaluate(policy, ENV, 300, max_new_tokens=NEW_TOKENS).greedy >= 0.8:
            reached["samples_to_0.8"] = agent.num_timesteps
            reached["seconds_to_0.8"] = round(clock["seconds"], 1)
        clock["began"] = time.perf_counter()
        return True

    agent.learn(episodes, callback=watch)
    after = evaluate(policy, ENV, 500, max_new_tokens=NEW_TOKENS)
    return {
        "benchmark": "agents", "env": ENV, "agent": name, "seed": seed, "learning_rate": learning_rate,
        "before": before.greedy, "after": after.greedy, "after_sampled": after.sampled,
        "samples": agent.num_timesteps, "updates": agent.num_updates, "seconds": round(clock["seconds"], 1), **reached,
        "threads": torch.get_num_threads(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=list(AGENTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--episodes", type=int, default=120_000)
    parser.add_argument("--learning-rate", type=float, default=4e-4)
    args = parser.parse_args()
    results = []
    for name in args.agents:
        for seed in args.seeds:
            results.append(run(name, seed, args.episodes, args.learning_rate))
            print(json.dumps(results[-1]), flush=True)
    print(f"\n{'agent':<18} {'seed':>4} {'before':>7} {'after':>6} {'samples to 0.8':>15} {'seconds':>8}")
    for result in results:
        samples, seconds = result["samples_to_0.8"], result["seconds_to_0.8"]
        to = f"{samples:>15,} {seconds:>8}" if samples else f"{'not reached':>15} {'':>8}"
        print(f"{result['agent']:<18} {result['seed']:>4} {result['before']:>7.3f} {result['after']:>6.3f} {to}")


if __name__ == "__main__":
    main()
