"""stable-baselines3's PPO, as it comes, learns to write text one token at a time.

    python examples/sb3_ppo.py --env TextReverseTokens-v0
    python examples/sb3_ppo.py --env TextMathTokens-v0

Stock hyperparameters and ``MlpPolicy``; the env's dense reward pays each token its share of the score. Prints one JSON
line with the success rate of the greedy policy on training problems (what it was taught) and on held-out ones.
"""

from __future__ import annotations

import argparse
import json
import time

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO

import textgym  # noqa: F401

# No answer is longer than two characters, and a response that could be longer would only add steps without a lesson.
SETTINGS = {
    "TextReverseTokens-v0": {"min_length": 2, "max_length": 2, "dense": True, "max_tokens": 2, "window": 6},
    "TextMathTokens-v0": {"difficulty": 1, "dense": True, "max_tokens": 2, "window": 6},
}


def success_rate(model: PPO, env: gym.Env, split: str, limit: int = 200) -> float:
    """Greedy success on the first ``limit`` distinct problems of a split, or on all where there are fewer."""
    successes = []
    for index in range(limit):
        try:
            observation, _ = env.reset(options={"problem": index, "split": split})
        except IndexError:
            break
        done = False
        while not done:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = env.step(action)
            done = terminated or truncated
        successes.append(info["is_success"])
    return float(np.mean(successes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=list(SETTINGS), default="TextReverseTokens-v0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--total-timesteps", type=int, default=100_000)
    parser.add_argument("--layout", choices=["sliding", "slots"], default="sliding")
    args = parser.parse_args()
    torch.set_num_threads(1)  # an MLP this small is slower on two
    env = gym.make(args.env, layout=args.layout, **SETTINGS[args.env])
    began = time.perf_counter()
    model = PPO("MlpPolicy", env, seed=args.seed)
    model.learn(args.total_timesteps, progress_bar=False)
    result = {"example": "sb3_ppo", "env": args.env, "settings": SETTINGS[args.env], "layout": args.layout}
    result |= {"seed": args.seed, "total_timesteps": model.num_timesteps}
    result |= {f"{split}_success": round(success_rate(model, env, split), 3) for split in ("train", "test")}
    print(json.dumps(result | {"seconds": round(time.perf_counter() - began)}))


if __name__ == "__main__":
    main()
