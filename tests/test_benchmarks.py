"""The scripts of ``benchmarks/``: all can be imported, and what they compute by themselves is right."""

from __future__ import annotations

import runpy
from pathlib import Path

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
