"""RLHF from beginning to end where the truth is known: preferences, a reward model, and PPO or GRPO against it.

    python examples/rlhf.py --agent grpo --beta 0.2     # gold rises with the proxy
    python examples/rlhf.py --agent grpo --beta 0       # the proxy rises on, and gold falls

A small model has learnt from drafts (warm_start.py). A noisy annotator compares pairs of its answers by the gold
reward, a reward model (the proxy) learns from that, and the policy is optimised against the proxy; gold only looks on.
"""

import argparse
import json
import tempfile
from pathlib import Path

import gymnasium as gym
import torch
from warm_start import ENV, LENGTH, warm_start

from textgym.agents import GRPO, PPO, CausalLM, HackingAlarm, OracleAnnotator, RewardModel, sample_pairs
from textgym.agents.preferences import sample_answers
from textgym.envs.rewards import GoldReward
from textgym.wrappers import MonitorReward

AGENTS = {
    "grpo": (GRPO, {"learning_rate": 5e-4, "prompts_per_update": 32, "group_size": 4}),
    "ppo": (PPO, {"learning_rate": 5e-4, "prompts_per_update": 128, "clip_range_vf": None, "n_epochs": 1}),
}
COLUMNS = ("rollout/ep_rew_mean", "monitor/gold", "rollout/kl_to_reference", "alarm/hacking")


def learned_reward(folder: Path, policy: CausalLM, pairs: int, seed: int) -> RewardModel:
    """Compare pairs of the policy's answers, fit a copy of the policy to that, and scale it on other answers."""
    drawn = sample_pairs(policy, ENV, pairs, seed, **LENGTH)
    preferences = [verdict for verdict in OracleAnnotator(GoldReward(), temperature=0.1, seed=seed)(drawn) if verdict]
    model = RewardModel.load(folder, seed=seed)
    print(model.fit(preferences, epochs=3, learning_rate=1e-3, seed=seed))
    model.normalise(*sample_answers(policy, ENV, 512, seed + 100, **LENGTH))
    return model


def optimise(policy: CausalLM, reward, name: str, updates: int, folder: Path, **options) -> list[dict]:
    """Train the policy against the reward; return what was logged of each update."""
    make, settings = AGENTS[name]
    env = MonitorReward(gym.make(ENV, reward=reward), gold=GoldReward())
    agent = make(policy, env, logdir=folder, log_kl=True, **settings | LENGTH | options)
    agent.learn(updates * 128, callback=HackingAlarm("monitor/gold"))
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", choices=AGENTS, default="grpo")
    parser.add_argument("--beta", type=float, default=0.2, help="weight of the KL to the warm start")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--warm-updates", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small to share out
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = warm_start(args.warm_updates)
        policy.save(folder)
        reward = learned_reward(folder, policy, args.pairs, args.seed)
        log = optimise(policy, reward, args.agent, args.updates, folder / "run", kl_coef=args.beta, seed=args.seed)
    print("update  proxy   gold  KL to the warm start  alarm")
    for number, line in enumerate(log, start=1):
        if number == 1 or number % 5 == 0:
            proxy, gold, kl, alarm = (line[column] for column in COLUMNS)
            print(f"{number:6} {proxy:6.2f} {gold:6.2f} {kl:21.1f} {alarm:6.0f}")


if __name__ == "__main__":
    main()
