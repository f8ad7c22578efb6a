r"""Word problems with worked solutions in the format of GSM8K (Cobbe et al., 2021, https://arxiv.org/abs/2110.14168).

A file has one JSON object a line, ``{"question": "...", "answer": "... <<48/2=24>>24 ...\n#### 72"}``. 48 problems of
our own in this format come with the package, in ``word_problems.jsonl``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textgym.envs.rewards.math import parse_number
from textgym.envs.sources._files import check_answers, check_texts, read_rows
from textgym.envs.sources._settings import check_template
from textgym.envs.task import Problem

_INSTEAD = "or give the path of a JSONL file that you have, or no path for the problems of the package"
_BUNDLED = Path(__file__).with_name("word_problems.jsonl")


@dataclass(frozen=True, kw_only=True)
class GSM8KSource:
    """A data set of word problems; the answer is the number after ``####``.

    The metadata are ``solution``, the worked solution without calculator annotations, which ends in "#### 72", and
    ``lowest_terms``, which keeps ``MathVerifier`` from taking a division that was not carried out for an answer.

    ## Description
    Grade-school word problems of a few steps: 48 of our own, or a file or data set in the format of GSM8K.

    ## Observation
    The question, and how to end the response.

    ## Action
    Any text that ends with the number; what an ``<answer>`` or a box holds counts before that.

    ## Reward
    1 if the number is exactly the answer, a fraction in lowest terms, else 0.

    ## Start
    A random row; the same question in two rows is one problem.

    ## End
    After the response.

    ## Version history
    v0: the first.
    """

    path: str | None = None
    """A JSONL file, which may be gzipped (.gz); or the name of a Hugging Face data set, such as "openai/gsm8k", of
    which the train rows of the configuration "main" are taken; None is the 48 problems of the package. It is loaded
    at the first use, once."""
    template: str = "{question}\nEnd with '#### ' and the answer."

    def __post_init__(self) -> None:
        """Check the settings; the file is not opened yet."""
        if self.path is not None and (not isinstance(self.path, str) or not self.path):
            raise ValueError(f"path must be a file, the name of a Hugging Face data set or None, got {self.path!r}")
        check_template(self.template, ["question"])

    def __len__(self) -> int:
        """Return the number of problems."""
        return len(_problems(self.path, self.template))

    def __getitem__(self, index: int, /) -> Problem:
        """Return the problem of a row."""
        return _problems(self.path, self.template)[index]

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return the problem of a random row."""
        problems = _problems(self.path, self.template)
        return problems[int(rng.integers(0, len(problems)))]

    def solution(self, problem: Problem) -> str | None:
        """Return the worked solution."""
        return str(problem.metadata["solution"])


@functools.lru_cache(maxsize=16)
def _problems(path: str | None, template: str) -> tuple[Problem, ...]:
    """Load a data set.

    Raises:
        FileNotFoundError: if ``path`` is neither a file nor looks like the name of a data set.
        ImportError: if a Hugging Face data set is named and ``datasets`` is not installed.
        OSError: if the data set cannot be had.
        ValueError: if a row is malformed, with the file and the line.
    """
    if path is None:
        rows = read_rows(_BUNDLED)
    elif Path(path).is_file():
        rows = read_rows(Path(path))
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", path) and not path.endswith((".jsonl", ".json", ".gz")):
        rows = _read_hugging_face(path)
    else:
        raise FileNotFoundError(
            f"no such file: {path!r}; path must be a JSONL file (.jsonl or .jsonl.gz) or the name of a Hugging Face "
            "data set such as 'openai/gsm8k'"
        )
    return check_answers(path, "question", ((where, _problem(where, row, template)) for where, row in rows))


def _read_hugging_face(name: str) -> Iterator[tuple[str, Any]]:
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            f"{name!r} is no file, and as a data set it needs 'pip install datasets', {_INSTEAD}"
        ) from error
    try:
        rows = datasets.load_dataset(name, "main", split="train")
    except Exception as error:
        raise OSError(
            f"{name!r} is no file, and as a Hugging Face data set it cannot be loaded: go online once, {_INSTEAD} "
            f"({type(error).__name__}: {error})"
        ) from error
    yield from ((f"{name}, row {number}", row) for number, row in enumerate(rows))


def _problem(where: str, row: Any, template: str) -> Problem:
    check_texts(where, row, "question", "answer")
    question = row["question"].strip()
    work, mark, result = row["answer"].rpartition("#### ")
    if not mark:
        raise ValueError(f"{where}: no '#### ' answer")
    answer = result.strip().replace(",", "")
    if not re.fullmatch(r"-?[0-9,]*\.?[0-9]+", result.strip()) or parse_number(result) is None:
        raise ValueError(f"{where}: the answer after '#### ' is not a number: {result.strip()!r}")
    solution = re.sub(r"<<[^<>]*>>", "", work).rstrip() + f"\n#### {answer}"
    return Problem(
        template.format(question=question),
        answer,
        metadata={"solution": solution.lstrip(), "lowest_terms": True},
        key="gsm8k " + " ".join(question.split()),
    )
