"""Reads the files of data sets.

- ``read_rows``: the rows of a file of JSON lines, or of a JSON list.
- ``read_json``: the value of a JSON file.
- ``check_texts``: whether a row is an object with certain texts.
- ``check_answers``: whether the problems that were made of the rows contradict each other.
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from textgym.envs.task import Problem


def read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield where each row stands, "data.jsonl, line 3", and the row.

    A file that begins with "[" is a JSON list, any other has a JSON value a line; either is gzipped if its name ends in
    ".gz".

    Raises:
        ValueError: if it is not a whole gzip file, or not JSON in UTF-8, with the file and the line.
    """
    content = _read_bytes(path)
    if content.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        for number, row in enumerate(_parse(str(path), content), start=1):
            yield f"{path}, row {number}", row
        return
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, _parse(where, line)


def read_json(path: Path) -> Any:
    """Return the value of a JSON file; ValueError, with the file, if it is not JSON in UTF-8."""
    return _parse(str(path), path.read_bytes())


def check_texts(where: str, row: Any, first: str, second: str) -> None:
    """Raise ValueError unless the row is an object that has text, not only white space, under both names."""
    if not isinstance(row, dict):
        raise ValueError(f"{where}: not a JSON object with {first!r} and {second!r} but {type(row).__name__}")
    for name in (first, second):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise ValueError(f"{where}: {name!r} must be text, got {row.get(name)!r}")


def check_answers(path: str | None, kind: str, problems: Iterable[tuple[str, Problem]]) -> tuple[Problem, ...]:
    """Return the problems, which come with where they stand; ``kind`` is what a message calls them.

    Raises:
        ValueError: if there is none, or if one of them has the key of another and not its answer.
    """
    first: dict[str, tuple[str, str | None]] = {}
    checked = []
    for where, problem in problems:
        before, answer = first.setdefault(problem.key, (where, problem.answer))
        if problem.answer != answer:
            raise ValueError(f"{where}: the same {kind} as {before}, but the answer {problem.answer}, not {answer}")
        checked.append(problem)
    if not checked:
        raise ValueError(f"{path} holds no problems")
    return tuple(checked)


def _read_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file ({error})") from error


def _parse(where: str, content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON in UTF-8 ({error})") from None
