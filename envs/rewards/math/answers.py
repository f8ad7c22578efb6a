r"""Answers that have a type: how each is read and what makes two of them the same.

- ``ANSWER_TYPES``: the names of the types.
- ``read_typed``: a text as a value of a type; ``Unreadable`` where it is none.
- ``same_answer``: whether two such values are the same.
- ``guess_type``: the type of a gold that came without one.

The type drives the reader, so a mismatch is wrong: ``(1, 2)`` is two numbers for a tuple, all between them for an
interval, and nothing for an integer. In an integer, a rational or a real a computation is welcome (``2^{10}``); inside
tuples, sets, intervals and matrices a number that the gold writes down must be written down.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from textgym.envs.rewards.math.expression import variables
from textgym.envs.rewards.math.literal import HEDGES, parse_literal, units_agree
from textgym.envs.rewards.math.scalars import bare, infinity, read_equation, read_scalar, same_equation, same_scalar
from textgym.envs.rewards.math.structures import read_interval, read_matrix, read_set, read_tuple, same_element
from textgym.envs.rewards.math.tokens import Unreadable
from textgym.envs.rewards.math.values import Number, evaluate, is_real

SCALARS = ("integer", "rational", "real", "expression")
ANSWER_TYPES = (*SCALARS, "tuple", "set", "interval", "matrix", "equation", "choice", "text")


@dataclass(frozen=True)
class Answer:
    """What a text says, read as one type."""

    type: str
    value: Any
    """A tree, the sides of an equation, an ``Element``, a set's tuple of them, or words."""
    unit: tuple[str, ...] = ()
    text: str = ""


@functools.lru_cache(maxsize=1024)
def read_gold(text: str, answer_type: str) -> Answer:
    """Return the gold of a problem; ValueError, with the reason, if it is not of its type or cannot be judged."""
    if answer_type not in ANSWER_TYPES:
        raise ValueError(f"answer_type must be 'literal' or one of {', '.join(ANSWER_TYPES)}, got {answer_type!r}")
    try:
        gold = read_typed(text, answer_type)
        if not same_answer(gold, gold):
            raise Unreadable("it does not equal itself")
    except Unreadable as error:
        raise ValueError(f"the answer {text!r} is no {answer_type} that can be judged: {error}") from None
    if answer_type in ("integer", "rational"):
        value = None if variables(gold.value) else value_of(gold)
        if not isinstance(value, Fraction) or (answer_type == "integer" and value.denominator != 1):
            raise ValueError(f"the answer {text!r} is no {answer_type}")
    if answer_type == "real" and (variables(gold.value) or not is_real(value_of(gold))):
        raise ValueError(f"the answer {text!r} is no real number")
    return gold


def read_typed(text: str, answer_type: str) -> Answer:
    """Return ``text`` as a value of a type; Unreadable if it is not exactly one."""
    text = bare(text)
    if not text:
        raise Unreadable("nothing")
    if answer_type in SCALARS:
        tree, unit = read_scalar(text, words=answer_type != "expression")
        return Answer(answer_type, tree, unit, text)
    return Answer(answer_type, _READERS[answer_type](text), (), text)


def same_answer(gold: Answer, answer: Answer, *, as_written: bool = False) -> bool:
    """Say whether two values of one type are the same.

    Args:
        gold: what is right, which says what may vary.
        answer: what was given.
        as_written: the answer's scalars must also be made of the same numbers, names and functions, in any order: where
            the question would otherwise be its own answer ("expand", "simplify").

    Raises:
        Unreadable: if one of them has no value.
    """
    seed = gold.text
    if gold.type in ("choice", "text"):
        return bool(gold.value == answer.value)
    if gold.type in SCALARS:
        return units_agree(gold.unit, answer.unit) and same_scalar(gold.value, answer.value, seed, as_written)
    if gold.type == "equation":
        return same_equation(gold.value, answer.value, seed, as_written)
    same = functools.partial(same_element, seed=seed, as_written=as_written)
    if gold.type == "set":
        return len(gold.value) == len(answer.value) and all(any(same(g, a) for a in answer.value) for g in gold.value)
    return bool(same(gold.value, answer.value))


def value_of(answer: Answer) -> Number:
    """Return the value of an integer, a rational or a real; None for infinity."""
    return None if infinity(answer.value) else evaluate(answer.value, {})


def guess_type(gold: str) -> str:
    r"""Return the type that a gold written by people for people most likely has; "text" where it is none of them.

    Example:
        >>> [guess_type(gold) for gold in ("7", "2/3", r"\sqrt{2}", "x+1", "(1,2)", "(1,2]", r"\{1,2\}", "C", "blue")]
        ['integer', 'rational', 'real', 'expression', 'tuple', 'interval', 'set', 'choice', 'text']
    """
    quantity = parse_literal(gold)
    if quantity is not None:
        return "integer" if quantity.value.denominator == 1 else "rational"
    plain = bare(_without_text(gold))
    if re.fullmatch(r"\(?[A-J]\)?", plain):
        return "choice"
    if re.fullmatch(r"[A-Za-z]+(?:[ '-][A-Za-z]+)*", plain) and not (len(plain) <= 2 and plain.islower()):
        return "text"
    if "=" in plain and re.match(r"[A-Za-z]\s*=.*[A-Za-z]", plain):
        with contextlib.suppress(ValueError):
            if len(variables(read_gold(gold, "expression").value)) > 0:
                read_gold(gold, "equation")
                return "equation"
    for answer_type in ("integer", "rational", "real", "expression", "matrix", "tuple", "interval", "set", "equation"):
        try:
            read_gold(gold, answer_type)
        except ValueError:
            continue
        return answer_type
    return "text"


_TEXT = re.compile(r"\\(?:text|textrm|textbf|textit|textnormal|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_CHOICE = re.compile(r"(?:(?:[Oo]ption|[Cc]hoice)\s+)?(?:\(([A-Za-z])\)|([A-Za-z])(?:[.):]|\Z))(.*)", re.DOTALL)
_WORDS = re.compile(r"[^\W\d_]+")
_SECOND_CHOICE = re.compile(r"^\s*[,/;&|]|\([A-Za-z]\)|(?<![^\W\d_])[A-J](?![^\W\d_])")


def _without_text(text: str) -> str:
    return _TEXT.sub(r"\1", text)


def _read_choice(text: str) -> str:
    r"""Return the letter of "C", "(C)", "C." or "\textbf{(C) }12"; a second choice, or a hedge, is none."""
    match = _CHOICE.fullmatch(bare(_without_text(text)))
    if match is None:
        raise Unreadable("no choice")
    if _SECOND_CHOICE.search(match[3]) or not HEDGES.isdisjoint(_WORDS.findall(match[3].lower())):
        raise Unreadable("more than one choice")
    return (match[1] or match[2]).upper()


def _read_text(text: str) -> str:
    """Return the words, without case, markup and quotation marks around them."""
    plain = _without_text(text)
    plain = re.sub(r"\\[,;:! ]|~|[{}]", lambda match: "" if match[0] in "{}" else " ", plain)
    plain = " ".join(bare(plain).casefold().strip("\"'`*_\u201c\u201d\u2018\u2019 ").split())
    if not plain:
        raise Unreadable("nothing")
    return plain


_READERS: dict[str, Callable[[str], Any]] = {
    "equation": read_equation,
    "tuple": read_tuple,
    "set": read_set,
    "interval": read_interval,
    "matrix": read_matrix,
    "choice": _read_choice,
    "text": _read_text,
}
