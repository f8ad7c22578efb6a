"""Labelled answers from beside the checkout; a test that wants them is skipped where they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SHARED_DATA = Path(__file__).parents[4] / "../shared/data"


@pytest.fixture(scope="session")
def shared_file() -> Callable[[str], str]:
    """The text of a file."""

    def read(name: str) -> str:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"needs {path}")
        return path.read_text(encoding="utf-8")

    return read


@pytest.fixture(scope="session")
def labelled(shared_file: Callable[[str], str]) -> Callable[[str], list[dict[str, Any]]]:
    """The pairs of an answer and a gold in a file, and what a judgement should be."""
    return lambda name: [pair for pair in json.loads(shared_file(name)) if pair["answer"] is not None]
