"""How well a group's mean and a critic know V(s): the baselines of GRPO and of PPO, while the policy learns.

    python benchmarks/value_estimates.py --picture docs/value_estimates.png

PPO learns two-digit sums (TextMath-v0) with ``tiny``. At several points of its training, for held-out problems: V(s),
the policy's probability of success, is the mean of 512 answers; the critic's estimate is its value before the first
token; a group's is the mean of k of 512 other answers. Errors are root mean squares over the problems; the variance
that V itself has for its finite number of answers, V (1 - V) / 511, is taken off the squares. For groups theory has
sqrt(mean V (1 - V) / k). Prints a JSON line for each point.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from textgym.agents import PPO
from textgym.agents.evaluation import play_problems
from textgym.agents.rollout import concatenate

ENV, NEW_TOKENS = "TextMath-v0", 8
SIZES = (1, 2, 4, 8, 16, 32, 64)
ANSWERS = 512
"""Of each problem, for V; as many again for the groups."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, nargs="+", default=[5, 20, 80, 200], help="when to look")
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--critic", choices=("shared", "separate"), default="shared")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, help="a PNG to draw")
    args = parser.parse_args()
    agent = PPO(
        "tiny", ENV, max_new_tokens=NEW_TOKENS, prompts_per_update=256, n_epochs=2, learning_rate=2e-4,
        critic=args.critic, seed=args.seed,
    )  # fmt: skip
    points = []
    for updates in sorted(args.updates):
        agent.learn((updates - agent.num_updates) * 256, progress_bar=True)
        points.append({"benchmark": "value_estimates", "critic": args.critic, "seed": args.seed} | look(agent, args))
        print(json.dumps(points[-1]), flush=True)
    if args.picture:
        draw(args.picture, points)


def look(agent: PPO, args: argparse.Namespace) -> dict[str, Any]:
    """Return the errors of the critic and of groups on held-out problems, as the policy is now."""
    indices = [i for i in range(args.problems) for _ in range(2 * ANSWERS)]
    settings: dict[str, Any] = {"max_new_tokens": NEW_TOKENS, "batch_size": 2 * ANSWERS, "seed": args.seed}
    rollout = concatenate(play_problems(agent.policy, ENV, indices, temperature=1.0, split="test", **settings))
    successes = rollout.successes.double().cpu().numpy().reshape(args.problems, 2 * ANSWERS)
    known, drawn = np.split(successes, 2, axis=1)
    value = known.mean(1)
    with torch.no_grad():
        firsts = torch.arange(0, len(indices), 2 * ANSWERS, device=agent.policy.device)
        critic = agent.values(rollout.select(firsts))[:, 0].cpu().numpy()
    return {
        "updates": agent.num_updates,
        "mean_value": round(float(value.mean()), 3),
        "std_value": round(float(value.std()), 3),
        "critic": error(critic[:, None], value),
        "constant": error(np.full((args.problems, 1), value.mean()), value),
        "groups": {k: error(drawn.reshape(args.problems, -1, k).mean(2), value) for k in SIZES},
        "theory": {k: round(float(np.sqrt((value * (1 - value)).mean() / k)), 4) for k in SIZES},
    }


def error(estimates: NDArray[np.floating], value: NDArray[np.floating]) -> float:
    """Return the root mean square error of estimates (problems, n) of V, which is a mean of ``ANSWERS`` draws."""
    square = ((estimates - value[:, None]) ** 2).mean() - (value * (1 - value)).mean() / (ANSWERS - 1)
    return round(float(np.sqrt(max(square, 0.0))), 4)


def draw(path: Path, points: list[dict[str, Any]]) -> None:
    """Draw the errors of groups against their size, with the critic's beside them, at each point of the training."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(points), figsize=(3 * len(points), 3.4), layout="constrained", sharey=True)
    for axis, point in zip(np.atleast_1d(panels), points, strict=True):
        axis.plot(SIZES, [point["theory"][k] for k in SIZES], color="#bbbbbb", label="theory: sqrt(E V(1 − V) / k)")
        axis.plot(SIZES, [point["groups"][k] for k in SIZES], "o", color="#4477aa", label="mean of a group of k")
        axis.axhline(point["critic"], color="#ee6677", label="critic")
        axis.axhline(point["constant"], color="#228833", linestyle="--", label="one number for all problems")
        axis.set(xscale="log", xlabel="k", title=f"{point['updates']} updates, success {point['mean_value']:.0%}")
        axis.set_xticks(SIZES, [str(k) for k in SIZES])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    panels = np.atleast_1d(panels)
    panels[0].set(ylabel="root mean square error of V(s)", ylim=(0, None))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
