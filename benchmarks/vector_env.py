"""Steps a second of TokenVectorEnv beside Gymnasium's SyncVectorEnv over the same envs, in one process.

    python benchmarks/vector_env.py

Two streams of actions: uniform over the vocabulary, where responses stop early and each one is judged and its
successor drawn, and without the stop token, where they run to the limit of 60 tokens. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import platform
import time

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import textgym  # noqa: F401

NUM_ENVS = 256
SETTINGS = {"window": 64, "max_tokens": 60}


def steps_per_second(env, actions: np.ndarray, seconds: float) -> float:
    """Step through the prepared actions, again and again, for at least ``seconds``."""
    env.reset(seed=0)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for row in actions:
            env.step(row)
        steps += len(actions)
    return steps * NUM_ENVS / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="TextReverseTokens-v0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    args = parser.parse_args()
    ours = gym.make_vec(args.env, num_envs=NUM_ENVS, **SETTINGS)
    theirs = SyncVectorEnv(
        [lambda: gym.make(args.env, disable_env_checker=True, **SETTINGS) for _ in range(NUM_ENVS)],
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    rng = np.random.default_rng(0)
    vocab = ours.single_action_space.n
    result = {
        "benchmark": "vector_env",
        "env": args.env,
        "num_envs": NUM_ENVS,
        **SETTINGS,
        "machine": platform.machine(),
    }
    for name, lowest in ("uniform", 0), ("no_stop", 1):
        actions = rng.integers(lowest, vocab, (120, NUM_ENVS))
        fast, slow = [], []
        for _ in range(args.rounds):  # side by side, so that a busy machine slows both
            fast.append(steps_per_second(ours, actions, args.seconds))
            slow.append(steps_per_second(theirs, actions[:6], args.seconds / 4))
        ratios = np.array(fast) / np.array(slow)
        result[name] = {
            "steps_per_second": round(max(fast)),
            "sync_steps_per_second": round(max(slow)),
            "ratio_median": round(float(np.median(ratios)), 1),
        }
    tokens = rng.integers(1, vocab, (NUM_ENVS, SETTINGS["max_tokens"]))
    whole = gym.make_vec(args.env, num_envs=NUM_ENVS, autoreset_mode="Disabled", **SETTINGS)
    rates = []
    for _ in range(args.rounds):
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < args.seconds / 2:
            whole.reset(seed=steps)
            whole.step_tokens(tokens, np.ones_like(tokens, bool))
            steps += tokens.size
        rates.append(steps / (time.perf_counter() - began))
    result["step_tokens_per_second"] = round(max(rates))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
