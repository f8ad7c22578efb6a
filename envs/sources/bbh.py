r"""Reasoning problems in the format of BIG-Bench Hard (Suzgun et al., 2022, https://arxiv.org/abs/2210.09261).

A file holds one task, ``{"examples": [{"input": "... Options:\n(A) red\n(B) blue", "target": "(B)"}, ...]}``, and is
named after it. Seven tasks of our own in this format, 55 problems, come with the package, in ``bbh_tasks``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textgym.envs.rewards.typed import TypedMatch, answer_kind
from textgym.envs.sources._files import check_texts, read_json
from textgym.envs.sources._settings import check_template
from textgym.envs.task import Problem

_BUNDLED = Path(__file__).with_name("bbh_tasks")
_OPTION = re.compile(r"^\(([A-Z])\) ?(.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class BBHSource:
    """Reasoning problems of several tasks: options to choose from, yes or no, numbers, sorted words, brackets.

    ## Description
    Problems of BIG-Bench Hard, or of our own in its format: truth values, dates, counting, sorting, brackets, orders
    and walks. A question that comes with two different answers, or with a single option, is left out.

    ## Observation
    The question, with its options if it has some.

    ## Action
    Any text that ends with the answer, as "The answer is (B)", or the answer alone.

    ## Reward
    1 for the answer, 0 for anything else. The letter of an option may be written with or without brackets.

    ## Start
    A problem of a random row.

    ## End
    After the response.

    ## Version history
    v0: the first.
    """

    path: str | None = None
    """A JSON file, or a folder of such files; None is the seven tasks of the package. It is loaded at the first use,
    once."""
    task: str | None = None
    """The name of a file, without ``.json``, whose problems alone are asked; None is all of them. In the package:
    alphabetical_order, boolean_logic, calendar, closing_brackets, counting, queue_order and walk_home."""
    template: str = "{input}\nEnd with 'The answer is' and the answer."

    def __post_init__(self) -> None:
        """Check the settings; no file is opened yet."""
        for name in ("path", "task"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise ValueError(f"{name} must be text or None, got {value!r}")
        check_template(self.template, ["input"])

    def __len__(self) -> int:
        """Return the number of problems."""
        return len(_problems(self.path, self.task, self.template))

    def __getitem__(self, index: int, /) -> Problem:
        """Return a problem; they are in the order of the files' names, and in a file of its rows."""
        return _problems(self.path, self.task, self.template)[index]

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return a random problem."""
        problems = _problems(self.path, self.task, self.template)
        return problems[int(rng.integers(0, len(problems)))]

    def solution(self, problem: Problem) -> str | None:
        """Return "The answer is" and the answer."""
        return f"The answer is {problem.answer}"


@functools.lru_cache(maxsize=16)
def _problems(path: str | None, task: str | None, template: str) -> tuple[Problem, ...]:
    """Load some tasks.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if there is no such task, or if a row is malformed, with the file and the row.
    """
    rows = [row for file in _files(_BUNDLED if path is None else Path(path), task) for row in _read(file, template)]
    answers: dict[str, set[str | None]] = {}
    for _, problem in rows:
        answers.setdefault(problem.key, set()).add(problem.answer)
    problems = [problem for _, problem in rows]
    known = TypedMatch()(problems, [f"The answer is {problem.answer}" for problem in problems]).success
    for (where, problem), is_known in zip(rows, known.tolist(), strict=True):
        if not is_known:
            raise ValueError(f"{where}: the target {problem.answer!r} is not an answer that can be recognised")
    return tuple(p for p in problems if len(answers[p.key]) == 1 and len(p.metadata["options"]) != 1)


def _files(path: Path, task: str | None) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {str(path)!r}; path must be a JSON file, or a folder of them")
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path} holds no JSON files")
    names = [file.stem for file in files]
    if task is not None and task not in names:
        raise ValueError(f"there is no task {task!r} in {path}; there are {', '.join(names)}")
    return files if task is None else [files[names.index(task)]]


def _read(file: Path, template: str) -> Iterator[tuple[str, Problem]]:
    """Yield where each row stands, "counting.json, example 3", and its problem."""
    content = read_json(file)
    examples = content.get("examples") if isinstance(content, dict) else None
    if not isinstance(examples, list) or not examples:
        raise ValueError(f"{file}: not a JSON object with a list of 'examples'")
    for number, example in enumerate(examples, start=1):
        where = f"{file}, example {number}"
        yield where, _problem(where, file.stem, example, template)


def _problem(where: str, task: str, example: Any, template: str) -> Problem:
    check_texts(where, example, "input", "target")
    question, answer = example["input"].strip(), example["target"].strip()
    found = _OPTION.findall(question.rpartition("Options:")[2]) if "Options:" in question else []
    options = {letter: text.strip() for letter, text in found}
    if len(options) < len(found):
        raise ValueError(f"{where}: two options have the same letter")
    if options and re.fullmatch(r"\([A-Z]\)", answer) and answer[1] not in options:
        raise ValueError(f"{where}: the target {answer} is none of the options {', '.join(options)}")
    return Problem(
        template.format(input=question),
        answer,
        metadata={"task": task, "kind": answer_kind(answer, options), "options": options},
        key="bbh " + " ".join(question.split()),
    )
