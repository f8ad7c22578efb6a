"""Files of a run's folder: written as a whole or not at all, and cut back to where a checkpoint stands."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any


def write_json(path: Path, values: Any) -> None:
    """Write a file that is never seen half written; NaN becomes null."""
    write_text(path, json.dumps(_known(values), indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def append_line(path: Path, values: dict[str, Any]) -> None:
    """Add a line of JSON; NaN becomes null."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_known(values)) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file, none if there is no file; a kill may have left half of the last one."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("}\n")]


def keep_lines(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Drop the lines that are not wanted."""
    if path.is_file():
        write_lines(path, [line for line in read_lines(path) if wanted(line)])


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write a file of lines of JSON that is never seen half written."""
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def write_text(path: Path, text: str) -> None:
    """Write a file that is never seen half written, even after a power cut."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def sha256_of_files(paths: Iterable[Path]) -> str:
    """Return a hash of the names and contents of files, in any order."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda each: each.name):
        digest.update(f"{path.name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def sha256_of_texts(texts: Sequence[str]) -> str:
    """Return a hash of texts in their order."""
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()


def _known(values: Any) -> Any:
    """Return the values with None for what JSON has no number for."""
    if isinstance(values, dict):
        return {name: _known(value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_known(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
