r"""Competition problems in the format of MATH (Hendrycks et al., 2021, https://arxiv.org/abs/2103.03874).

A file has one JSON object a line, ``{"problem": "...", "solution": "... \\boxed{\\frac{1}{2}}.", "level": "Level 3",
"type": "Algebra"}``. 55 problems of our own in this format, with typed answers, come with the package, in
``math_problems.jsonl``.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textgym.envs.rewards.math import MathVerifier, parse_number
from textgym.envs.rewards.math.answers import ANSWER_TYPES, guess_type
from textgym.envs.rewards.math.extraction import answer_part
from textgym.envs.sources._files import check_answers, check_texts, read_rows
from textgym.envs.sources._settings import check_template, check_whole
from textgym.envs.task import Problem

_BUNDLED = Path(__file__).with_name("math_problems.jsonl")
_FORMULA = re.compile(r"\$([^$]{1,500})\$|\\\[(.{1,500}?)\\\]|\\\((.{1,500}?)\\\)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class MATHSource:
    r"""Competition mathematics whose answers are numbers, expressions, sets, intervals, matrices, points or words.

    The metadata of a problem are ``answer_type``, as the file says or as guessed from the answer, ``as_written``,
    ``lowest_terms``, ``level``, ``type`` and ``solution``.

    ## Description
    A problem of school or competition mathematics in LaTeX, with a worked solution. The package has 55 of its own, in
    seven subjects and five levels; a file in the format of MATH brings others.

    ## Observation
    The problem and the request to put the answer in ``\boxed{}``.

    ## Action
    A solution in any words, with the answer in the last ``\boxed{}``.

    ## Reward
    1 if the answer is right (``MathVerifier``), else 0. A number must be written down, a fraction in lowest
    terms, so that repeating the question earns nothing; an expression must be equal and, where the problem itself holds
    an equal one ("Simplify $\sqrt{72}$"), made of the same numbers and names as the gold.

    ## Start
    A random problem of the split, the level and the subject.

    ## End
    After one response.

    ## Version history
    v0: the first.
    """

    path: str | None = None
    """A JSONL file, which may be gzipped (.gz); None is the 55 problems of the package. It is loaded at the first use,
    once. A line may have an "answer_type" of its own."""
    difficulty: int | None = None
    """Only the problems of this level, 1 to 5; None: all."""
    subject: str | None = None
    """Only the problems of this "type", such as "Number Theory"; None: all."""
    template: str = "{problem}\nPut the answer in \\boxed{{}}."

    def __post_init__(self) -> None:
        """Check the settings; the file is not opened yet."""
        for name, value in (("path", self.path), ("subject", self.subject)):
            if value is not None and (not isinstance(value, str) or not value):
                raise ValueError(f"{name} must be text or None, got {value!r}")
        if self.difficulty is not None:
            check_whole("difficulty", self.difficulty, 1, 5)
        check_template(self.template, ["problem"])

    def __len__(self) -> int:
        """Return the number of problems."""
        return len(_selected(self))

    def __getitem__(self, index: int, /) -> Problem:
        """Return one problem, in the order of the file."""
        return _selected(self)[index]

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return a random problem."""
        problems = _selected(self)
        return problems[int(rng.integers(0, len(problems)))]

    def solution(self, problem: Problem) -> str | None:
        """Return the worked solution."""
        return str(problem.metadata["solution"])


@functools.lru_cache(maxsize=16)
def _selected(source: MATHSource) -> tuple[Problem, ...]:
    """Return the problems of a level and a subject; ValueError if there is none, with what there is."""
    problems = _problems(source.path, source.template)
    chosen = tuple(
        problem
        for problem in problems
        if source.difficulty in (None, problem.metadata["level"]) and source.subject in (None, problem.metadata["type"])
    )
    if not chosen:
        subjects = sorted({problem.metadata["type"] for problem in problems})
        raise ValueError(
            f"{source.path or 'the package'} holds no problem of difficulty {source.difficulty} and subject "
            f"{source.subject!r}; its subjects are {', '.join(subjects)}"
        )
    return chosen


@functools.lru_cache(maxsize=16)
def _problems(path: str | None, template: str) -> tuple[Problem, ...]:
    """Load a file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if a row is malformed, with the file and the line.
    """
    if path is not None and not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path!r}; path must be a JSONL file (.jsonl or .jsonl.gz)")
    rows = read_rows(_BUNDLED if path is None else Path(path))
    return check_answers(path, "problem", ((where, _problem(where, row, template)) for where, row in rows))


def _problem(where: str, row: Any, template: str) -> Problem:
    check_texts(where, row, "problem", "solution")
    level = re.fullmatch(r"(?:Level )?([1-5])", str(row.get("level")))
    answer, marked = answer_part(row["solution"])
    if not marked or not answer.strip():
        raise ValueError(f"{where}: the solution has no \\boxed{{}} answer, or several in one sentence")
    question = row["problem"].strip()
    problem = Problem(
        template.format(problem=question),
        answer.strip(),
        metadata={
            "answer_type": _answer_type(where, row.get("answer_type"), answer.strip()),
            "level": int(level[1]) if level else None,
            "type": str(row.get("type", row.get("subject", ""))),
            "solution": row["solution"].strip(),
        },
        key="math " + " ".join(question.split()),
    )
    if _pays(problem, row["solution"]):
        formulas = ("".join(found).strip().rstrip(".,;") for found in _FORMULA.findall(question))
        restates = any(_pays(problem, f"\\boxed{{{formula}}}") for formula in formulas)
        demands = {"as_written": restates, "lowest_terms": problem.metadata["answer_type"] == "literal"}
        return _with(
            problem,
            **{
                name: demanded and _pays(_with(problem, **{name: True}), row["solution"])
                for name, demanded in demands.items()
            },
        )
    if "answer_type" in row:
        raise ValueError(f"{where}: the answer {answer!r} is no {row['answer_type']} that can be judged")
    return _with(problem, answer_type="text")


def _answer_type(where: str, given: object, answer: str) -> str:
    known = ("literal", *ANSWER_TYPES)
    if given is None:
        return "literal" if parse_number(answer) is not None else guess_type(answer)
    if given not in known:
        raise ValueError(f"{where}: answer_type must be one of {', '.join(known)}, got {given!r}")
    return str(given)


def _pays(problem: Problem, response: str) -> bool:
    try:
        return bool(MathVerifier()([problem], [response]).success[0])
    except ValueError:  # the answer is not of its type
        return False


def _with(problem: Problem, **metadata: Any) -> Problem:
    return Problem(problem.prompt, problem.answer, {**problem.metadata, **metadata}, problem.key)
