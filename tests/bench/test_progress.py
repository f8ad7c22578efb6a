"""What the display says, on a terminal and elsewhere."""

import io
import json
from pathlib import Path

from rich.console import Console

from textgym.bench.progress import ProgressDisplay
from textgym.bench.runner import State


def shown(tmp_path: Path, terminal: bool) -> str:
    file = io.StringIO()
    for name in "abc":
        (tmp_path / name).mkdir()
    (tmp_path / "a/progress.json").write_text(json.dumps({"done": 1_250, "budget": 5_000}))
    (tmp_path / "b/error.txt").write_text("Traceback\nValueError: it is\n")
    states: dict[str, State] = {"a": "running", "b": "failed", "c": "waiting"}
    with ProgressDisplay(Console(file=file, force_terminal=terminal, width=80)) as display:
        display.update({"a": "waiting", "b": "waiting", "c": "waiting"}, tmp_path)
        display.update(states, tmp_path)
        display.update(states, tmp_path)
    return file.getvalue()


def test_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    assert shown(tmp_path, terminal=False).splitlines() == [
        "0 of 3 cells done, 1 failed: a running",
        "0 of 3 cells done, 1 failed: b failed: ValueError: it is",
    ]


def test_a_table_on_a_terminal(tmp_path: Path) -> None:
    text = shown(tmp_path, terminal=True)
    assert "1,250 of 5,000" in text
    assert "b failed: ValueError: it is" in text
    assert "0 of 3 cells done, 1 failed, 0:00 min" in text
