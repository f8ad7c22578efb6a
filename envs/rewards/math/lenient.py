r"""The math-verify package as a judge of foreign answers, in a process of its own that can be killed.

- ``verify``: scores of problems and responses.
- ``judge``: what the process runs.

math-verify finds answers in free text far better than rules can, and is easily fooled; so it only ever says which text
is the answer, or that an answer is right that the strict readers cannot read:

- An answer that is marked, or the whole response, is judged strictly where it can be read.
- What math-verify takes for right is refused if the strict readers can read it and disagree (``0.333333`` for 1/3,
  ``5\text{ m}`` for 5 cm), if the gold is one scalar and it is not (``[5]``, ``\pm 2``, ``5=5``), or if its sentence
  takes it back or hedges ("not 57", "5 or 6", "5 or any number").

It works on sympy, which a response can send into an endless computation and, by accident, into worse: the timer in the
process ends the first, ``Worker``'s own timer the rest, and nothing that comes back is more than a short text.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

import numpy as np

from textgym.envs.rewards.math.answers import SCALARS, guess_type, read_gold, read_typed, same_answer
from textgym.envs.rewards.math.expression import MAX_DEPTH
from textgym.envs.rewards.math.extraction import answer_part
from textgym.envs.rewards.math.literal import HEDGES, RETRACTIONS
from textgym.envs.rewards.math.tokens import MAX_CHARACTERS, Unreadable
from textgym.envs.rewards.worker import Worker, WorkerError, WorkerTimeout
from textgym.envs.task import Problem, Score

SECONDS = 3
"""Limit on one answer, kept inside the process; it is killed a second later."""

_JUDGE = "textgym.envs.rewards.math.lenient:judge"
_WORKER = Worker()


def verify(problems: Sequence[Problem], responses: Sequence[str]) -> Score:
    """Return the scores; an answer that was not judged in time is NaN with ``"timeout"``, a crash with ``"error"``."""
    pairs = zip(problems, responses, strict=True)
    verdicts = [_verdict(problem.answer or "", response) for problem, response in pairs]
    total = np.array([{"right": 1.0, "wrong": 0.0}.get(verdict, np.nan) for verdict in verdicts], dtype=np.float64)
    status = [verdict if verdict in ("timeout", "error") else "ok" for verdict in verdicts]
    return Score(total, total == 1.0, status=status)


def judge(gold: str, response: str) -> list[str]:
    """Return ``["right", answer]``, ``["wrong", answer]`` or ``["timeout", ""]``, with the answer that was found."""
    import math_verify

    signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        golds = math_verify.parse(f"${gold}$", parsing_timeout=None)
        answers = math_verify.parse(response, parsing_timeout=None)
        right = math_verify.verify(golds, answers, timeout_seconds=None)
    except _Late:
        return ["timeout", ""]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ["right" if right else "wrong", str(answers[-1])[:1000] if answers else ""]


class _Late(BaseException):
    """The time is up; no ``except Exception`` on the way catches it."""


def _ring(number: int, frame: object) -> None:
    raise _Late


def _verdict(gold: str, response: str) -> str:
    content, marked = answer_part(response)
    strict = _strictly(gold, content)
    if strict is not None:
        return "right" if strict else "wrong"
    if not content.strip() or _is_beyond_bounds(f"${content}$" if marked else content):
        return "wrong"
    try:
        verdict, answer = _WORKER.call(_JUDGE, gold, f"${content}$" if marked else content, timeout=SECONDS + 1)
    except WorkerTimeout:
        return "timeout"
    except WorkerError:
        return "error"
    return "wrong" if verdict == "right" and _is_known_error(gold, answer, content) else str(verdict)


_LONG_FORMULA = re.compile(rf"\$([^$\r\n]{{{MAX_CHARACTERS + 1},}})\$")
_PROSE = re.compile(r"[A-Za-z]{2} [A-Za-z]{2}")


def _is_beyond_bounds(text: str) -> bool:
    """Say whether a formula is longer or nested deeper than any that the strict readers take.

    Such a one would only use up the time, and a wrong answer is not to become one that nobody could judge.
    """
    depth = deepest = 0
    for character in text:
        depth = max(0, depth + (character in "([{") - (character in ")]}"))
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH or any(not _PROSE.search(found[1]) for found in _LONG_FORMULA.finditer(text))


def _strictly(gold: str, text: str) -> bool | None:
    """Return whether ``text`` is the gold, None where one of them cannot be read as the gold's type.

    What can be read and has no value within the bounds, such as ``9^{9^{9^9}}``, is not the gold, which has one.
    """
    try:
        answer_type = guess_type(gold)
        right, answer = read_gold(gold, answer_type), read_typed(text, answer_type)
    except ValueError:
        return None
    try:
        return same_answer(right, answer)
    except Unreadable:
        return False


_WORDS = re.compile(r"[^\W\d_]+")
_SENTENCE_END = re.compile(r"[.!?;\n](?=\s|\Z)")
_UNIT = re.compile(r"\s*(?:\\(?:text|textrm|mathrm|mbox)\s*\{[^{}]*\}|[ ~][A-Za-zµ]+(?:\^[23])?)")
_BEFORE = re.compile(r"(?:\\[pm]{2}|[±∓\[{<>≤≥]|\\(?:left\s*)?[\[{]|\\[lg]eq?)\s*\Z")
_AFTER = re.compile(r"\s*(?:[\]}±]|\\(?:right\s*)?[\]}]|\\[pm]{2}|[=<>≤≥])")


def _is_known_error(gold: str, answer: str, content: str) -> bool:
    """Say whether what math-verify takes for right is one of the things that fool it."""
    answer_type = guess_type(gold)
    strict = _strictly(gold, answer)
    if strict is not None and not strict:
        return True
    is_scalar = answer_type in SCALARS
    if strict is None and is_scalar:
        return True
    start = content.rfind(answer)
    if start < 0:
        return is_scalar
    before = content[:start]
    after = content[start + len(answer) :]
    for end in _SENTENCE_END.finditer(before):
        before = content[end.end() : start]
    if following := _SENTENCE_END.search(after):
        if _WORDS.search(after[following.end() :]):
            return True
        after = after[: following.start()]
    words = set(_WORDS.findall(f"{before} {after}".lower()))
    if words & (HEDGES if is_scalar else RETRACTIONS):
        return True
    unit = _UNIT.match(after)
    if unit and _strictly(gold, answer + unit[0]) is False:
        return True
    same_again = re.search(r"(\S+)\s*=\s*\Z", before)
    return is_scalar and bool(
        _BEFORE.search(before) or _AFTER.match(after) or (same_again and _strictly(gold, same_again[1].strip("$ ")))
    )
