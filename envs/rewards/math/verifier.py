r"""Judges the answer of a mathematical problem, exactly and without executing anything.

- ``MathVerifier``: 1 if the response's answer is the problem's, 0 otherwise.
- ``parse_number``: the value of a text that is one written-down number.
- ``extract_answer``: the number that a longer response gives as its answer.

Doubt is always resolved as "no answer". Reading is bounded (20,000 characters of a response, 1,000 of an answer, 400
tokens, 40 levels, 60 digits, and the sizes of what is computed), so no time-out is needed and any thread may do it.
The other files here are its parts.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import re
from collections.abc import Hashable, Sequence
from fractions import Fraction

import numpy as np

from textgym.envs.rewards.math.answers import guess_type, read_gold, read_typed, same_answer, value_of
from textgym.envs.rewards.math.extraction import answer_part
from textgym.envs.rewards.math.free_text import last_number
from textgym.envs.rewards.math.keys import answer_key, number_key
from textgym.envs.rewards.math.literal import Quantity, parse_literal, units_agree
from textgym.envs.rewards.math.tokens import Unreadable
from textgym.envs.rewards.math.values import Number, rounded
from textgym.envs.task import Problem, Score

_MAX_DIGITS = 60
_NAME = re.compile(r"\A\s*(\$?)\s*[A-Za-z](?:_\{?[A-Za-z0-9]\}?)?\s*=\s*")
"""The "x =" before a number."""
_NUMBERS = ("integer", "rational", "real")


class MathVerifier:
    r"""1.0 iff the answer that the response gives is ``problem.answer``, read as ``metadata["answer_type"]``.

    | type                              | answer                                                                   |
    |-----------------------------------|--------------------------------------------------------------------------|
    | ``literal`` (the default)         | a written-down number: ``12``, ``-0.5``, ``\frac{1}{2}``, ``3 1/2``, ``5%`` |
    | ``integer``, ``rational``, ``real`` | an expression of that value, without variables: ``2^{10}``, ``2\sqrt{3}`` |
    | ``expression``                    | one with variables, equal wherever it is tried                           |
    | ``tuple``                         | ``(1, 2)``, in order                                                     |
    | ``set``                           | ``\{1, 2\}``, ``1, 2``, ``x = 1 \text{ or } x = 2``, ``\pm 1``, in any order |
    | ``interval``                      | ``(1, 2]``, a union of such, ``1 < x \le 2``                             |
    | ``matrix``                        | ``\begin{pmatrix}1&2\\3&4\end{pmatrix}``                                 |
    | ``equation``                      | ``y = 2x + 1``, or any multiple of it                                    |
    | ``choice``, ``text``              | ``(C)``; words, whatever their case                                      |

    The answer is what the last ``<answer>...</answer>`` holds, else the last ``\boxed{}``, after any ``</think>``.
    Without either it is the whole response, or what follows its last ``####``; of a number, the last one of the text,
    unless its surroundings leave a doubt.

    Values are exact: ``0.5``, ``1/2`` and ``50%`` are equal, ``0.3333`` and ``1/3`` are not. A unit may be left out on
    either side; where both have one they must agree. Further metadata make it stricter or kinder:

    - ``lowest_terms``: a fraction must be in lowest terms, and a whole number none. (``84/7`` is never 12.)
    - ``decimals``: n; the answer may be the value rounded to n decimals.
    - ``as_written``: an expression must have the numbers, names and functions of the gold, in any order: for questions
      that would otherwise be their own answer, such as "Expand $(x+1)^2$".

    ``extraction="lenient"`` is for foreign data sets: the math-verify package, which must be installed, finds and
    compares the answers. What is known to fool it is refused first; types and metadata are not used. It works in a
    process of its own with a time limit, and an answer that it could not judge is NaN with a status.
    """

    range = (0.0, 1.0)

    def __init__(self, extraction: str = "strict") -> None:
        """Take the way of finding the answer: ``"strict"`` or ``"lenient"``."""
        if extraction not in ("strict", "lenient"):
            raise ValueError(f"extraction must be 'strict' or 'lenient', got {extraction!r}")
        if extraction == "lenient" and importlib.util.find_spec("math_verify") is None:
            raise ImportError("extraction='lenient' needs the math-verify package: pip install 'textgym[math]'")
        self.extraction = extraction

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the scores; ValueError if a problem's answer is not of its type, for that is the task's fault."""
        if self.extraction == "lenient":
            from textgym.envs.rewards.math.lenient import verify

            return verify(problems, responses)
        success = np.array([_is_right(p, r) for p, r in zip(problems, responses, strict=True)], dtype=np.bool_)
        return Score(success.astype(np.float64), success)

    def answer_key(self, problem: Problem, response: str) -> Hashable | None:
        """Return what responses with the same answer share, whatever it is worth; None where there is none to read.

        It is read strictly, as the type of the problem's answer.
        """
        answer_type = problem.metadata.get("answer_type", "literal")
        if self.extraction == "lenient":
            answer_type = guess_type(problem.answer or "")
        if answer_type == "literal":
            number = extract_answer(response)
            return None if number is None else number_key(number)
        content, marked = _answer_text(response)
        try:
            return answer_key(read_typed(content, answer_type))
        except Unreadable:
            pass
        quantity = _number_in(content, marked) if answer_type in _NUMBERS else None
        return None if quantity is None else (number_key(quantity.value),)


def parse_number(text: str) -> Fraction | None:
    """Return the value of a text that is exactly one number with an optional unit, else None.

    Example:
        >>> parse_number("-1,234.50"), parse_number("3 1/2 cups"), parse_number("5%"), parse_number("12,34")
        (Fraction(-2469, 2), Fraction(7, 2), Fraction(1, 20), None)
    """
    quantity = parse_literal(text)
    return None if quantity is None else quantity.value


def extract_answer(response: str) -> Fraction | None:
    """Return the number that ``response`` gives as its answer, or None where it gives none or is unclear.

    Example:
        >>> extract_answer("so x = -7.")
        Fraction(-7, 1)
    """
    quantity = _extract_literal(response)
    return None if quantity is None else quantity.value


def _is_right(problem: Problem, response: str) -> bool:
    answer_type = problem.metadata.get("answer_type", "literal")
    if answer_type == "literal":
        return _is_right_literal(problem, response)
    gold = read_gold(problem.answer or "", answer_type)
    content, marked = _answer_text(response)
    try:
        answer = read_typed(content, answer_type)
        if same_answer(gold, answer, as_written=bool(problem.metadata.get("as_written"))):
            return True
    except Unreadable:
        pass  # it may still be a number with words around it, or a rounded one
    if answer_type not in _NUMBERS:
        return False
    quantity = _number_in(content, marked)
    if quantity is None or not units_agree(gold.unit, quantity.unit):
        return False
    value = value_of(gold)
    return value is not None and (value == quantity.value or _is_rounded(value, quantity, problem))


def _answer_text(response: str) -> tuple[str, bool]:
    content, marked = answer_part(response)
    return (content if marked else content.rpartition("####")[2]), marked


def _number_in(content: str, marked: bool) -> Quantity | None:
    return parse_literal(content) if marked else last_number(content)


def _is_right_literal(problem: Problem, response: str) -> bool:
    gold_text = problem.answer or ""
    if _is_digits(response) and _is_digits(gold_text):
        return int(response) == int(gold_text)
    gold = _literal_gold(gold_text)
    answer = _extract_literal(response)
    if answer is None or not units_agree(gold.unit, answer.unit):
        return False
    if answer.value != gold.value:
        return _is_rounded(gold.value, answer, problem)
    if answer.fraction is None:
        return True
    if gold.value.denominator == 1 and (answer.slash or problem.metadata.get("lowest_terms")):
        return False
    return not problem.metadata.get("lowest_terms") or math.gcd(*answer.fraction) == 1


def _is_digits(text: str) -> bool:
    return text.isdigit() and text.isascii() and len(text) <= _MAX_DIGITS


def _is_rounded(value: Number, answer: Quantity, problem: Problem) -> bool:
    decimals = problem.metadata.get("decimals")
    return decimals is not None and answer.fraction is None and answer.value in rounded(value, decimals)


@functools.lru_cache(maxsize=1024)
def _literal_gold(text: str) -> Quantity:
    gold = parse_literal(text)
    if gold is None:
        raise ValueError(f"the answer of a maths problem must be a number, got {text!r}")
    return gold


def _extract_literal(response: str) -> Quantity | None:
    content, marked = answer_part(response)
    if marked:
        return parse_literal(_NAME.sub(r"\1", content))
    return ("\\" in content and parse_literal(_NAME.sub(r"\1", content))) or last_number(content)
