"""RLHF in rounds beside RLHF with as many labels, all of the warm start: accuracy of the reward model, and gold.

    python benchmarks/online_rlhf.py                    # three seeds; runs that are finished are not run again
    python benchmarks/online_rlhf.py --picture docs/online_rlhf.png

The pipeline is that of ``examples/online_rlhf.py``: GRPO without a KL penalty, 4 rounds of 20 updates, 300 labels in
each. The warm start is the same everywhere. Every run leaves its ``rounds.json`` and ``metrics.jsonl``, and at the end
come lines of JSON: each round of each run, and the means over the seeds. Held out are as many pairs as a round has, of
the policy as it is then, without ties and without pairs that were labelled.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))  # before this folder, whose files have the same names
sys.modules.pop("online_rlhf", None)

import online_rlhf  # noqa: E402
from warm_start import warm_start  # noqa: E402

ROUNDS, PAIRS, UPDATES = 4, 300, 20
ARMS = {"online": "C0", "offline": "C3"}
Rows = list[dict[str, Any]]


def run(out: Path, warm: Path, arm: str, seed: int) -> Rows:
    """Return the rounds of a run, after making it if it is not there."""
    folder = out / f"seed{seed}" / arm
    path = folder / "rounds.json"
    if not path.exists():
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut off
        wall, cpu = time.perf_counter(), time.process_time()
        rows = online_rlhf.learn(warm, folder, ROUNDS, PAIRS, UPDATES, seed, arm == "online")
        rows[-1] |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        path.write_text(json.dumps([{"arm": arm, "seed": seed} | row for row in rows]) + "\n")
        print(path, flush=True)
    result: Rows = json.loads(path.read_text())
    return result


def curve(out: Path, arm: str, seed: int, column: str) -> list[float]:
    """Return a column of the log of the updates."""
    lines = (out / f"seed{seed}" / arm / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)[column] for line in lines]


def means(rows: Rows, arm: str, number: int) -> dict[str, Any]:
    """Return the means over the seeds of a round."""
    some = [row for row in rows if (row["arm"], row["round"]) == (arm, number)]
    names = ("labels", "held_out", "of_warm", "before", "after", "proxy", "gold", "kl")
    return {"arm": arm, "round": number} | {name: float(np.mean([row[name] for row in some])) for name in names}


def rounded(value: float) -> float | None:
    """Return it with three decimals; None, which JSON knows, for what is not a number."""
    return None if math.isnan(value) else round(value, 3)


def draw(path: Path, out: Path, rows: Rows, seeds: list[int]) -> None:
    """Draw gold and proxy by update (thin: the seeds), and accuracies on the policy's own pairs."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for panel, column, title in zip(panels, ("monitor/gold", "rollout/ep_rew_mean"), ("gold", "proxy"), strict=False):
        for arm, colour in ARMS.items():
            curves = np.array([curve(out, arm, seed, column) for seed in seeds])
            steps = np.arange(1, curves.shape[1] + 1)
            panel.plot(steps, curves.T, color=colour, alpha=0.3, linewidth=0.8)
            panel.plot(steps, curves.mean(0), color=colour, linewidth=2, label=arm)
        for number in range(1, ROUNDS):
            panel.axvline(number * UPDATES + 0.5, color="grey", linewidth=0.5, linestyle=":")
        panel.set(title=title, xlabel="update")
    panels[0].set_ylabel("mean reward of the batch")
    panels[0].legend(loc="lower left")
    bars = (("online", "before", "C0", "online, before the refit"), ("online", "after", "C2", "online, after it"),
            ("offline", "before", "C3", "offline"))  # fmt: skip
    for i, (arm, name, colour, label) in enumerate(bars):
        for number in range(1, ROUNDS):
            x = number + (i - 1) * 0.27
            values = [row[name] for row in rows if (row["arm"], row["round"]) == (arm, number)]
            panels[2].bar(x, np.mean(values), 0.25, color=colour, label=label if number == 1 else None)
            panels[2].plot([x] * len(values), values, "k.", markersize=3)
    panels[2].axhline(0.5, color="grey", linewidth=0.5)
    panels[2].set(title="accuracy on the policy's own pairs", xlabel="round", xticks=range(1, ROUNDS), ylim=(0, 1.2))
    panels[2].legend(loc="upper left", ncols=2, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/online_rlhf"))
    parser.add_argument(
        "--warm", type=Path, default=Path("runs/rlhf/warm"), help="the warm start, made if it is missing"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--picture", type=Path, default=Path("runs/online_rlhf/online_rlhf.png"))
    args = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small to share out
    if not args.warm.exists():
        warm_start(400).save(args.warm)
    rows = [row for seed in args.seeds for arm in ARMS for row in run(args.out, args.warm, arm, seed)]
    for row in [*rows, *(means(rows, arm, number) for arm in ARMS for number in range(ROUNDS))]:
        shown = {name: rounded(value) if isinstance(value, float) else value for name, value in row.items()}
        print(json.dumps({"benchmark": "online_rlhf"} | shown))
    draw(args.picture, args.out, rows, args.seeds)


if __name__ == "__main__":
    main()
