"""The scripts of ``benchmarks/``: all can be imported, and what they compute by themselves is right."""

from __future__ import annotations

import argparse
import json
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_every_script_can_be_imported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path.stem == "tune":
        pytest.importorskip("optuna", reason="optuna is not installed")
    monkeypatch.syspath_prepend(path.parent)
    assert callable(runpy.run_path(str(path))["main"])


def test_the_errors_of_group_means_are_those_of_theory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    error = runpy.run_path(str(BENCHMARKS / "value_estimates.py"))["error"]
    rng = np.random.default_rng(0)
    success = rng.beta(2, 2, size=400)
    known, drawn = rng.random((2, 400, 512)) < success[:, None]
    value = known.mean(1)
    for k in (1, 4, 16, 64):
        theory = np.sqrt((success * (1 - success)).mean() / k)
        assert error(drawn.reshape(400, -1, k).mean(2), value) == pytest.approx(theory, rel=0.05)
    assert error(success[:, None], value) < 0.01  # a perfect critic
    assert error(success[:, None] + 0.1, value) == pytest.approx(0.1, rel=0.05)


@pytest.fixture
def speed() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARKS / "speed.py"))


def test_a_ratio_is_the_median_of_the_rounds(speed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that gets slower by the round slows both alike, and a peer that can't run is named with the reason."""
    rounds = {"textgym": iter([1.0, 2.0, 10.0]), "trl": iter([3.0, 4.0, 50.0])}

    def run_apart(command: list[str], limit: float) -> tuple[int, str, str]:
        peer = command[command.index("--peer") + 1]
        return (0, json.dumps({"seconds": next(rounds[peer])}), "") if peer in rounds else (1, "", "no\nmodule 'vllm'")

    compare = speed["compare"]
    monkeypatch.setitem(compare.__globals__, "run_apart", run_apart)
    monkeypatch.setitem(speed["ROWS"], "update-tiny", ("textgym", "trl", "vllm"))
    line = compare("update-tiny", argparse.Namespace(rounds=3, limit=9, device="cpu", gguf=None))
    assert line["trl"] == {"seconds": 4.0, "times_textgym": 3.0, "ratios": [3.0, 2.0, 5.0]}
    assert line["not_measured"] == {"vllm": "module 'vllm'"}


def test_what_takes_too_long_is_killed_with_all_that_it_started(speed: dict[str, Any], tmp_path: Path) -> None:
    late = tmp_path / "late"
    child = f"import time; time.sleep(2); open({str(late)!r}, 'w')"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert speed["run_apart"]([sys.executable, "-c", parent], 1) == (1, "", "took more than 1 seconds")
    time.sleep(2)
    assert not late.exists()
    assert speed["run_apart"]([sys.executable, "-c", "print(3)"], 60) == (0, "3\n", "")
