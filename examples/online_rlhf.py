"""RLHF in rounds: compare answers of the policy as it is now, fit the reward model again, go on learning.

    python examples/online_rlhf.py              # new pairs in every round
    python examples/online_rlhf.py --offline    # as many, but all of the warm start, before the first update

The world is that of rlhf.py. Nothing is paid for staying near the warm start, so the policy soon writes what no
labelled pair shows: see how often the reward model ranks two of its answers rightly, before the new labels and after.
"""

import argparse
import json
import tempfile
from pathlib import Path

import gymnasium as gym
import torch
from warm_start import ENV, LENGTH, warm_start

from textgym.agents import GRPO, CausalLM, OracleAnnotator, RewardModel, sample_pairs
from textgym.agents.preferences import Preference, sample_answers
from textgym.envs.rewards import GoldReward
from textgym.wrappers import MonitorReward

COLUMNS = {"proxy": "rollout/ep_rew_mean", "gold": "monitor/gold", "kl": "rollout/kl_to_reference"}


def compare(policy: CausalLM, n: int, seed: int, noise: float, seen: list[Preference]) -> list[Preference]:
    """Draw n pairs of the policy's answers, compare them by gold, and leave out ties and pairs that were seen."""
    pairs = OracleAnnotator(GoldReward(), noise, seed)(sample_pairs(policy, ENV, n, seed, **LENGTH))
    known = {frozenset((pair.prompt, pair.chosen, pair.rejected)) for pair in seen}
    return [p for p in pairs if p and frozenset((p.prompt, p.chosen, p.rejected)) not in known]


def learn(warm: Path, out: Path, rounds: int, pairs: int, updates: int, seed: int, online: bool) -> list[dict]:
    """Return what was measured in each round; the log of the updates goes to ``out``."""
    policy, reward = CausalLM.load(warm), RewardModel.load(warm, seed=seed)
    untrained = {name: weight.clone() for name, weight in reward.model.state_dict().items()}
    scale = sample_answers(policy, ENV, 512, seed + 100, **LENGTH)
    env = MonitorReward(gym.make(ENV, reward=reward), gold=GoldReward())
    settings = {"prompts_per_update": 32, "group_size": 4, "learning_rate": 5e-4, "log_kl": True, "seed": seed}
    agent = GRPO(policy, env, logdir=out, checkpoint_every=10**6, **settings, **LENGTH)
    labelled, of_warm, rows = [], [], []
    for i in range(rounds):
        if fit := online or i == 0:
            labelled += compare(policy, pairs if online else rounds * pairs, 100 * seed + i, 0.1, [])
        held_out = compare(policy, pairs, 5000 + 100 * seed + i, 0.0, labelled)
        of_warm = of_warm or held_out
        before = reward.evaluate(held_out).accuracy if i else float("nan")
        if fit:
            reward.model.load_state_dict(untrained)  # anew: then the pairs alone tell online from offline
            reward.fit(labelled, held_out, epochs=3, learning_rate=1e-3, seed=seed)
            reward.normalise(*scale)  # the same units in every round
        row = {"round": i, "labels": len(labelled), "held_out": len(held_out), "before": before}
        row |= {"after": reward.evaluate(held_out).accuracy, "of_warm": reward.evaluate(of_warm).accuracy}
        agent.learn(updates * 128)
        last = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()][-5:]
        rows.append(row | {name: sum(line[column] for line in last) / len(last) for name, column in COLUMNS.items()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offline", action="store_true", help="take all pairs from the warm start")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=300, help="to be labelled in each round")
    parser.add_argument("--updates", type=int, default=20, help="in each round")
    parser.add_argument("--warm-updates", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small to share out
    with tempfile.TemporaryDirectory() as name:
        warm, out = Path(name) / "warm", Path(name) / "run"
        warm_start(args.warm_updates).save(warm)
        for row in learn(warm, out, args.rounds, args.pairs, args.updates, args.seed, not args.offline):
            print(*(f"{name} {value:.4g}" for name, value in row.items()), sep="  ")


if __name__ == "__main__":
    main()
