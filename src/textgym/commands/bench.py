"""``textgym bench``: agents side by side on the same environments."""

from __future__ import annotations

import dataclasses
import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import tyro

from textgym.commands.shared import BadInput, complaints, parse


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Run a matrix of envs x agents x policies x seeds, in parallel; run it again to go on after a stop."""

    matrix: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """What runs: a YAML file, such as benchmarks/matrices/small.yml."""
    out: Path | None = None
    """Folder for the results, one folder below it for each cell; None: runs/bench-NAME, from the file's name."""
    workers: int | None = None
    """Processes at once; None: as many as there are cores."""
    ray: str | None = None
    """Address of a Ray cluster that runs the cells (extra textgym[ray]): auto for the one that this machine belongs to,
    local for a new one of this machine alone. All its machines must see --out at the same path, on a shared file
    system, and have textgym installed; --workers is then by default its number of cores."""
    list: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show which cells there are, and run none."""


def main(argv: list[str]) -> int:
    """Run the cells that have not finished; the status is 1 if one failed."""
    options = parse(BenchOptions, argv, "bench")
    if options.workers is not None and options.workers < 1:
        raise BadInput(f"--workers must be >= 1, got {options.workers}")
    with complaints():
        from textgym.bench.matrix import read_matrix

        cells = read_matrix(options.matrix).cells()
    out = options.out or Path("runs") / f"bench-{options.matrix.stem}"
    if options.list:
        print("\n".join(cell.id for cell in cells))
        return 0
    from textgym.bench.progress import ProgressDisplay
    from textgym.bench.results import read_results
    from textgym.bench.runner import run_cells

    print(f"{len(cells)} cells in {out}; Ctrl-C stops, and the same command goes on.", flush=True)
    try:
        with complaints(), ProgressDisplay() as display:
            states = run_cells(cells, out, workers=options.workers, display=display, ray=options.ray)
    except RuntimeError as error:  # another process is at work there
        raise BadInput(str(error)) from error
    _print_scores(read_results(out))
    failed = [cell_id for cell_id, state in states.items() if state == "failed"]
    for cell_id in failed:
        print(f"textgym: {cell_id} failed, see {out / cell_id / 'error.txt'}", file=sys.stderr)
    return 1 if failed else 0


def _print_scores(results: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from textgym.bench.results import label

    envs = sorted({result["cell"]["env_name"] for result in results})
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        if result["score"] is not None and result["cell"]["agent_name"] != "warm-start":
            scores[label(result)][result["cell"]["env_name"]].append(result["score"])
    table = Table(title="Success on held-out problems, mean of the seeds that have finished", title_justify="left")
    table.add_column("agent")
    for env in envs:
        table.add_column(env, justify="right")
    for name, by_env in scores.items():
        table.add_row(name, *(_mean(by_env[env]) for env in envs))
    Console().print(table)


def _mean(scores: list[float]) -> str:
    return f"{sum(scores) / len(scores):.3f} ({len(scores)})" if scores else ""
