"""Reading a benchmark's folder, kindly: cells may have finished, failed, or be under way."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from textgym.bench.contenders import CONTENDERS
from textgym.report.reading import Complaints, number

_CELL = {"id": str, "env": str, "env_name": str, "agent": str, "agent_name": str, "seed": int}
_LONGEST_ERROR = 20_000  # characters, from the end


@dataclasses.dataclass(frozen=True)
class Cells:
    """What a folder of cells holds."""

    planned: list[dict[str, Any]]
    """``cell.json`` of each."""
    results: list[dict[str, Any]]
    """``result.json`` of those that have finished."""
    errors: dict[str, str]
    """Why cells failed, by id."""
    under_way: dict[str, str]
    """How far the others are, by id."""
    complaints: list[str]


def read_cells(folder: Path) -> Cells:
    """Return what the folder holds; a result that has no score counts as a cell that failed."""
    complaints = Complaints()
    cells = Cells([], [], {}, {}, complaints.found)
    for path in sorted(folder.glob("*/cell.json")):
        cell, home = complaints.read_json(path), path.parent
        if not _is_cell(cell):
            complaints.found.append(f"{home.name} is left out: its cell.json is not one of a cell")
            continue
        cells.planned.append(cell)
        result, error = complaints.read_json(home / "result.json"), home / "error.txt"
        for name in ("before", "after", "cost", "machine", "versions", "hyperparameters"):
            if result and not isinstance(result.get(name), dict):
                result[name] = {}
        if result and _has_score(result):
            cells.results.append(result)
        elif result:
            cells.errors[cell["id"]] = "it finished, but its result has no score: no answer could be scored"
        elif error.is_file():
            cells.errors[cell["id"]] = error.read_text(encoding="utf-8", errors="replace")[-_LONGEST_ERROR:]
        else:
            cells.under_way[cell["id"]] = _how_far(complaints.read_json(home / "progress.json"))
    return cells


def _is_cell(cell: Any) -> bool:
    return (
        isinstance(cell, dict)
        and all(isinstance(cell.get(name), kind) for name, kind in _CELL.items())
        and cell["agent"] in CONTENDERS
        and isinstance(cell.get("policy", 0), (str, type(None)))
    )


def _has_score(result: dict[str, Any]) -> bool:
    if not _is_cell(result.get("cell")) or not np.isfinite(number(result.get("score"))):
        return False
    begins_with_nothing = not CONTENDERS[result["cell"]["agent"]].needs_policy
    return begins_with_nothing or bool(np.isfinite(number(result["before"].get("greedy"))))


def _how_far(progress: dict[str, Any]) -> str:
    done, budget = number(progress.get("done")), number(progress.get("budget"))
    return f"{min(1.0, done / budget):.0%} done" if budget > 0 else "not begun"
