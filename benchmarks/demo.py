"""What ``make demo`` runs: "tiny" learns arithmetic by GRPO, and shows what it answered before and after.

    python benchmarks/demo.py --seed 0

It runs one ``textgym train`` command, printed first. Results go to runs/demo, which a second run replaces. The last
line is JSON: the success on held-out problems (greedy, as in "before" and "after" of summary.json), and the seconds
from the first line to the last.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from textgym.agents import CausalLM
from textgym.agents.evaluation import play_problems
from textgym.agents.files import read_json
from textgym.agents.runs import read_metrics, smooth
from textgym.cli import main as textgym

ENV = "TextMath-v0"
OUT = Path("runs/demo")
HYPERPARAMETERS = {
    "prompts_per_update": 64,
    "group_size": 4,
    "learning_rate": 4e-4,
    "lr_schedule": "linear",
    "max_new_tokens": 8,
}
TOTAL_EPISODES = 240_000
SHOWN = 8


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    start = time.perf_counter()
    command = ["train", "--agent", "grpo", "--env", ENV, "--policy", "tiny", "--out", str(OUT)]
    command += ["--seed", str(args.seed), "--total-episodes", str(TOTAL_EPISODES)]
    for name, value in HYPERPARAMETERS.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    shutil.rmtree(OUT, ignore_errors=True)
    print("$ textgym", shlex.join(command).replace(" --", " \\\n    --"), "\n", flush=True)
    if status := textgym(command):
        return status

    show_answers()
    summary = read_json(OUT / "summary.json")
    result = {
        "benchmark": "demo",
        "seed": args.seed,
        "before": round(summary["before"]["greedy"], 4),
        "after": round(summary["after"]["greedy"], 4),
        "seconds": round(time.perf_counter() - start, 1),
        "problems": summary["after"]["problems"],
    }
    print(json.dumps(result))
    return 0


def show_answers() -> None:
    """Print the first held-out problems with the greedy answers of both models, and the course of the training."""
    before, after = (answers(policy) for policy in ("tiny", OUT / "model"))
    table = Table(title=f"The first {SHOWN} held-out problems", title_justify="left")
    for name in ("problem", "before", "after"):
        table.add_column(name)
    for (prompt, *first), (_, *second) in zip(before, after, strict=True):
        cells = (f"{'[green]✓' if right else '[red]✗'} {escape(answer)}" for answer, right in (first, second))
        table.add_row(escape(prompt), *cells)
    console = Console()
    console.print()
    console.print(table)
    rates = [line["rollout/success_rate"] for line in read_metrics(OUT)]
    print(f"success in training: {sparkline(rates)}  {rates[0]:.0%} → {rates[-1]:.0%}")


def answers(policy: str | Path) -> list[tuple[str, str, bool]]:
    """Return (prompt, greedy response, whether it is right) for the first held-out problems."""
    limit = int(HYPERPARAMETERS["max_new_tokens"])
    rollouts = play_problems(CausalLM.load(policy), ENV, range(SHOWN), temperature=0.0, max_new_tokens=limit)
    return [
        row
        for rollout in rollouts
        for row in zip(rollout.prompts, rollout.responses, rollout.successes.tolist(), strict=True)
    ]


def sparkline(rates: list[Any], width: int = 40) -> str:
    """Draw rates from 0 to 1 as a row of blocks."""
    values = smooth(np.array(rates, dtype=float), max(1, len(rates) // 10))
    picked = values[np.linspace(0, len(values) - 1, min(width, len(values))).astype(int)]
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * max(0.0, float(value))))] for value in picked)


if __name__ == "__main__":
    sys.exit(main())
