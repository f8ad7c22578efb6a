"""Reading what runs left behind, kindly: a folder may be of a run that was killed, or that still goes on."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_HUGE = 1e30
"""What is beyond it is no measurement, and no axis can show it."""


@dataclasses.dataclass
class Complaints:
    """What could not be read, for the page to say so."""

    found: list[str] = dataclasses.field(default_factory=list)

    def read_json(self, path: Path) -> dict[str, Any]:
        """Return the object in a file; nothing if there is no file, or if it cannot be read."""
        if not path.is_file():
            return {}
        try:
            values = json.loads(path.read_text(encoding="utf-8", errors="replace"))
        except (ValueError, RecursionError, OSError) as error:
            self.found.append(f"{path.name} cannot be read and is left out: {error}")
            return {}
        if not isinstance(values, dict):
            self.found.append(f"{path.name} holds no object and is left out")
            return {}
        return values

    def read_lines(self, path: Path) -> list[dict[str, Any]]:
        """Return the objects in the lines of a file; lines that are none are left out, and counted."""
        if not path.is_file():
            return []
        lines: list[dict[str, Any]] = []
        broken = []
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for number, line in enumerate(file, 1):
                try:
                    values = json.loads(line)
                except (ValueError, RecursionError):
                    values = None
                if isinstance(values, dict):
                    lines.append(values)
                elif line.strip():
                    broken.append((number, line.endswith("\n")))
        if broken:
            half = " (the last one was cut off while it was written)" if not broken[-1][1] else ""
            self.found.append(
                f"{path.name}: {_count(len(broken), 'line')} could not be read and left out{half}: "
                f"line {', '.join(str(number) for number, _ in broken[:5])}{' and more' if len(broken) > 5 else ''}"
            )
        return lines


def column(lines: Sequence[dict[str, Any]], name: str) -> FloatArray:
    """Return a column (lines,) of the log; NaN where there is no number."""
    return np.array([number(line.get(name)) for line in lines], np.float64)


def number(value: Any) -> float:
    """Return a value as a number; NaN if it is none, or is beyond what can be drawn."""
    if not isinstance(value, (int, float)):
        return math.nan
    return float(value) if abs(value) < _HUGE else math.nan


def text(value: Any) -> str:
    """Return a value as text: what should be text may be anything in a file from elsewhere."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
