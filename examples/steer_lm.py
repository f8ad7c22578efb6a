"""A classic agent steers a language model that stays frozen: at each step it picks one of the model's 4 best tokens.

    python examples/steer_lm.py --agent ppo
    python examples/steer_lm.py --agent dqn

The agent sees the model's hidden state and the tokens on offer. Always the first is the model's greedy decoding. Prints
one JSON line with the greedy success on 500 held-out sums, before and after, and draws the curve.
"""

import argparse
import json
from pathlib import Path

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import VecMonitor

from textgym.agents import CausalLM
from textgym.agents.sb3 import GymnasiumVecEnv
from textgym.agents.steering import CandidateScores, start_as_model
from textgym.wrappers import VectorHiddenState, VectorTopKActions

SCORES = {"features_extractor_class": CandidateScores, "features_extractor_kwargs": {"candidates": 4}}
PPO_SETTINGS = {
    "learning_rate": 1e-3, "n_steps": 32, "batch_size": 256, "n_epochs": 4, "gamma": 1.0,
    "policy_kwargs": SCORES | {"net_arch": {"pi": [], "vf": [64, 64]}, "share_features_extractor": False},
}  # fmt: skip
DQN_SETTINGS = {  # n_steps: returns of whole episodes; the maximum over later values, too high, would never stop
    "learning_rate": 3e-4, "n_steps": 6, "batch_size": 256, "gamma": 1.0, "buffer_size": 20_000,
    "learning_starts": 2_000, "train_freq": 1, "gradient_steps": 4, "target_update_interval": 640,
    "exploration_initial_eps": 0.05, "policy_kwargs": SCORES | {"net_arch": []},
}  # fmt: skip
AGENTS = {"ppo": (PPO, PPO_SETTINGS), "dqn": (DQN, DQN_SETTINGS)}


def steered(model: CausalLM, env: gym.vector.VectorEnv) -> VectorTopKActions:
    return VectorTopKActions(VectorHiddenState(env, model, candidates=4), model, k=4)


def success_rate(agent: PPO | DQN, env: VectorTopKActions) -> float:
    """Greedy success on the first held-out problems, one in each sub-env."""
    observations, _ = env.reset(options={"problem": range(env.num_envs), "split": "test"})
    successes, over = np.zeros(env.num_envs, bool), np.zeros(env.num_envs, bool)
    while not over.all():
        observations, _, over, _, infos = env.step(agent.predict(observations, deterministic=True)[0])
        successes |= infos.get("is_success", False)
    return float(successes.mean())


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--agent", choices=list(AGENTS), default="ppo")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--total-timesteps", type=int, default=100_000)
parser.add_argument("--out", type=Path, default=Path("runs/steer_lm.png"))
args = parser.parse_args()
torch.set_num_threads(1)  # networks this small are slower on two
model = CausalLM.load("tiny", device="cpu")
task = {"id": "TextMath-v0", "level": "token", "tokenizer": model.tokenizer, "window": 48, "max_tokens": 6}
env = steered(model, gym.make_vec(num_envs=64, **task))
held_out = steered(model, gym.make_vec(num_envs=500, autoreset_mode="Disabled", **task))
agent_class, settings = AGENTS[args.agent]
agent = agent_class("MlpPolicy", VecMonitor(GymnasiumVecEnv(env)), seed=args.seed, **settings)
start_as_model(agent)
curve = [(0, success_rate(agent, held_out))]
for _ in range(10):
    agent.learn(args.total_timesteps // 10, reset_num_timesteps=False)
    curve.append((agent.num_timesteps, success_rate(agent, held_out)))
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.plot(*zip(*curve, strict=True), marker="o", label=f"steered by {agent_class.__name__}")
axes.axhline(curve[0][1], color="gray", linestyle="--", label="the model alone, greedy")
axes.set(title="TextMath-v0, frozen model", xlabel="tokens", ylabel="success on held-out sums", ylim=(0, 1))
axes.legend()
args.out.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(args.out, dpi=120)
result = {"agent": args.agent, "seed": args.seed, "total_timesteps": agent.num_timesteps, "figure": str(args.out)}
print(json.dumps({"example": "steer_lm", **result, "before": curve[0][1], "after": curve[-1][1]}))
