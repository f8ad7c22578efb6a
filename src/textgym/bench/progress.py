"""Live progress of a benchmark: a table that renews itself on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from textgym.bench.runner import State


class ProgressDisplay:
    """Shows how many cells are done, which are running and how far they are, and which have failed.

    Use it as a context manager: the table is there as long as the context is.
    """

    def __init__(self, console: Console | None = None) -> None:
        """Show on ``console``, by default the standard output."""
        self.console = console or Console(file=sys.stdout)
        self._live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        self._seen: dict[str, State] = {}
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Leave the last table where it is."""
        if self._live is not None:
            self._live.stop()

    def update(self, states: dict[str, State], out: Path) -> None:
        """Show the state of each cell, by id."""
        if self._live is not None:
            self._live.update(_table(states, out, time.monotonic() - self._began), refresh=True)
            return
        for cell_id, state in states.items():
            known = self._seen.get(cell_id, "waiting")
            if state not in (known, "waiting") and not (not self._seen and state == "done"):
                why = f": {_why(out / cell_id)}" if state == "failed" else ""
                self.console.print(f"{_summary(states)}: {cell_id} {state}{why}", highlight=False, soft_wrap=True)
        self._seen = dict(states)


def _table(states: dict[str, State], out: Path, seconds: float) -> Group:
    rows = Table.grid(padding=(0, 2))
    for cell_id in [cell_id for cell_id, state in states.items() if state == "running"]:
        done, budget = _progress(out / cell_id)
        rows.add_row(cell_id, ProgressBar(max(budget, 1), done, width=24), f"{done:,} of {budget:,}" if budget else "")
    failed = [cell_id for cell_id, state in states.items() if state == "failed"]
    lines = [
        Text(f"{cell_id} failed: {_why(out / cell_id)}", style="red", overflow="ellipsis", no_wrap=True)
        for cell_id in failed
    ]
    minutes, rest = divmod(int(seconds), 60)
    return Group(*lines[-5:], rows, Text(f"{_summary(states)}, {minutes}:{rest:02} min", style="bold"))


def _summary(states: dict[str, State]) -> str:
    count = {state: list(states.values()).count(state) for state in ("done", "failed")}
    failed = f", {count['failed']} failed" if count["failed"] else ""
    return f"{count['done']} of {len(states)} cells done{failed}"


def _progress(folder: Path) -> tuple[int, int]:
    try:
        values: dict[str, Any] = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return 0, 0
    return min(values["done"], values["budget"]), values["budget"]


def _why(folder: Path) -> str:
    """Return the last line of what went wrong."""
    return (folder / "error.txt").read_text(encoding="utf-8").strip().splitlines()[-1]
