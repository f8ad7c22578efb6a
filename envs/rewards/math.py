r"""Judges the number that a response ends with, exactly and without executing anything.

- ``MathVerifier``: 1 if the response's number is the problem's, 0 otherwise.
- ``parse_number``: the value of a text that is one written-down number.
- ``extract_answer``: the number that a longer response gives as its answer.

A number is an integer, a decimal, a fraction ``a/b``, a mixed number ``3 1/2`` or a percentage, with an optional
sign, thousands separators and a unit. A computation is not a number: ``123*456`` only restates the problem, and so
does ``84/7`` where the answer is whole.
Doubt is always resolved as "no number". LaTeX beyond ``\boxed{}``, ``\$`` and ``\%`` is not read.

Reading is bounded (the last 20,000 characters, 60 digits), so no time-out is needed and any thread may do it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from textgym.envs.task import Problem, Score

_MAX_CHARACTERS = 20_000
_MAX_LITERAL = 400
_MAX_DIGITS = 60


class MathVerifier:
    """1.0 iff the number that the response gives is exactly ``problem.answer``, which must be a number too.

    Values are compared as fractions: ``0.5``, ``1/2`` and ``50%`` are equal, ``0.3333`` and ``1/3`` are not. A whole
    answer must not be written as a fraction; with ``metadata["lowest_terms"]`` any fraction must be in lowest terms.
    A unit may be left out on either side; where both have one they must agree.
    """

    range = (0.0, 1.0)

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the scores; ValueError if a problem's answer is not a number, for that is the task's fault."""
        success = np.array([_is_right(p, r) for p, r in zip(problems, responses, strict=True)], dtype=np.bool_)
        return Score(success.astype(np.float64), success)


def parse_number(text: str) -> Fraction | None:
    """Return the value of a text that is exactly one number with an optional unit, else None.

    Example:
        >>> parse_number("-1,234.50"), parse_number("3 1/2 cups"), parse_number("5%"), parse_number("12,34")
        (Fraction(-2469, 2), Fraction(7, 2), Fraction(1, 20), None)
    """
    quantity = _parse(text)
    return None if quantity is None else quantity.value


def extract_answer(response: str) -> Fraction | None:
    r"""Return the number that ``response`` gives as its answer, or None where it gives none or is unclear.

    Only what follows the last ``</think>`` is read, and of that the last 20,000 characters. The last
    ``<answer>...</answer>`` counts; without one, the last balanced ``\boxed{}``; each must hold one number and
    nothing else. Without either, the last number of the text counts, unless its surroundings take it back ("not
    57", "5 or any number"), make it part of something else (``3+4``, ``f(4)``, "4 million") or leave it unclear
    (``12,34``, ``3/4/2020``, ``1e5``).

    Example:
        >>> extract_answer("so x = -7.")
        Fraction(-7, 1)
    """
    quantity = _extract(response)
    return None if quantity is None else quantity.value


@dataclass(frozen=True)
class _Quantity:
    value: Fraction
    unit: tuple[str, ...]
    fraction: tuple[int, int] | None = None
    """The two numbers of ``a/b``, as written."""


def _is_right(problem: Problem, response: str) -> bool:
    gold = _parse(problem.answer or "")
    if gold is None:
        raise ValueError(f"the answer of a maths problem must be a number, got {problem.answer!r}")
    answer = _extract(response)
    if answer is None or answer.value != gold.value:
        return False
    if answer.fraction is not None and gold.value.denominator == 1:
        return False
    if answer.fraction is not None and problem.metadata.get("lowest_terms") and math.gcd(*answer.fraction) > 1:
        return False
    return not gold.unit or not answer.unit or answer.unit[: len(gold.unit)] == gold.unit


def _extract(response: str) -> _Quantity | None:
    text = response.rpartition("</think>")[2][-_MAX_CHARACTERS:]
    content = _last_tagged(text)
    if content is None:
        content = _last_boxed(text)
    elif (boxed := _last_boxed(content)) is not None and content.strip() == f"\\boxed{{{boxed}}}":
        content = boxed
    return _last_number(text) if content is None else _parse(content)


def _last_tagged(text: str) -> str | None:
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, max(end, 0))
    return None if start < 0 else text[start + len("<answer>") : end]


_BRACE = re.compile(r"(?P<box>\\boxed\s*\{)|\\[{}\\]|(?P<open>\{)|(?P<close>\})")


def _last_boxed(text: str) -> str | None:
    """Return what the last balanced box holds; of nested boxes the outermost, so that it cannot hide a hedge."""
    if "\\boxed" not in text:
        return None
    content = None
    starts: list[int] = []
    for brace in _BRACE.finditer(text):
        if brace["box"]:
            starts.append(brace.end())
        elif brace["open"]:
            starts.append(-1)
        elif brace["close"] and starts and (start := starts.pop()) >= 0:
            content = text[start : brace.start()]
    return content


# --- one written-down number ------------------------------------------------------------------------------------------

_BLANK = r"[^\S\r\n]"
_INTEGER = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)"
_POWER = r"(?:[²³]|\^[23])?"
_WORD = rf"[A-Za-zµ°]+{_POWER}(?:/[A-Za-z]+{_POWER})?"
_PERCENT_SIGN = rf"(?:\\?[%\uff05\ufe6a]|(?:percents?|per{_BLANK}?cents?|pct)\b)"
_QUANTITY = re.compile(
    rf"""
    (?P<sign>[-+\u2212]?) (?P<currency>(?:\\?\$|[€£¥])?) (?P<inner_sign>[-+\u2212]?)
    (?:
        (?:(?P<whole>[0-9]+){_BLANK}+)? (?P<over>{_INTEGER}){_BLANK}?/{_BLANK}?(?P<under>{_INTEGER})
      | (?P<decimal>{_INTEGER}(?:\.[0-9]+)?|\.[0-9]+)
    )
    (?:
        {_BLANK}*(?P<percent>{_PERCENT_SIGN})
      | (?:{_BLANK}+|(?=°))(?P<unit>{_WORD}(?:{_BLANK}{_WORD}){{0,2}})
    )?
    \.?
    """,
    re.VERBOSE,
)
_CURRENCIES = {"$": "dollar", "\\$": "dollar", "€": "euro", "£": "pound", "¥": "yen"}
_UNIT_LETTERS = frozenset("ACFghJKlLmNsVW")
_NUMERALS = frozenset(
    re.findall(
        r"\w+",
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred "
        "thousand million billion trillion quadrillion lakh crore bn dozen score gross half halves third quarter "
        "fourth fifth sixth seventh eighth ninth tenth twelfth twentieth hundredth thousandth millionth billionth "
        "percent pct percentage permille permil squared cubed factorial point plus minus pi tau",
    )
)
_HEDGES = frozenset(re.findall(r"\w+", "or any not nor isn maybe perhaps possibly wrong incorrect false unless except"))
_NEVER_UNITS = _NUMERALS | _HEDGES


def _parse(text: str) -> _Quantity | None:
    """Return the quantity that the whole of ``text`` is."""
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] == "$":
        text = text[1:-1].strip()
    match = _QUANTITY.fullmatch(text) if len(text) <= _MAX_LITERAL else None
    if match is None or (match["sign"] and match["inner_sign"]):
        return None
    parts = [(match[name] or "0").replace(",", "") for name in ("decimal", "whole", "over")]
    under = (match["under"] or "1").replace(",", "")
    if any(len(part) > _MAX_DIGITS for part in (*parts, under)) or int(under) == 0:
        return None
    decimal, whole, over = parts
    if match["whole"] and int(over) >= int(under):
        return None
    value = Fraction(decimal) + int(whole) + Fraction(int(over), int(under))
    if (match["sign"] or match["inner_sign"]) in ("-", "\u2212"):
        value = -value
    if match["percent"]:
        value /= 100
    words = (match["unit"] or "").split()
    if not _are_units(words):
        return None
    currency = _CURRENCIES.get(match["currency"])
    fraction = (int(over), int(under)) if match["under"] else None
    return _Quantity(value, (currency,) if currency else tuple(map(_singular, words)), fraction)


def _are_units(words: Sequence[str]) -> bool:
    """Say whether words after a number leave its value alone: "5 cm" and "5 apples" do, "5 million" does not."""
    return _NEVER_UNITS.isdisjoint(_with_singulars(words)) and all(
        len(word) > 1 or not word.isalpha() or word in _UNIT_LETTERS for word in words
    )


def _with_singulars(words: Sequence[str]) -> set[str]:
    lower = [word.lower() for word in words]
    return {*lower, *(word.removesuffix("s") for word in lower)}


def _singular(word: str) -> str:
    """Return "dollar" for "Dollars"; short units such as "mW" and "ms" stay as they are."""
    return word if len(word) <= 2 else word.lower().removesuffix("s")


# --- the last number of a text ----------------------------------------------------------------------------------------

_WINDOW = 500
_SPACES = re.compile(r"\s{2,}|\r")
_DIGIT = re.compile(r"[0-9]")
# A number and whatever is glued to it: "1,234.5" and "3 / 4", but also "12abc", "3:45" and "1e-5", which are none.
_RUN = re.compile(
    rf"\w+(?:(?:(?<=[0-9])[.,:'\u2019](?=[0-9])|{_BLANK}?/{_BLANK}?(?=\w)|(?<=[0-9][eE])[-+](?=[0-9]))\w+)*"
)
_MIXED_WHOLE = re.compile(rf"(?<![\w.,/:])[0-9]+{_BLANK}+\Z")
_CURRENCY = re.compile(r"(?:\\?\$|[€£¥])\Z")
_TAG = re.compile(rf"</?[A-Za-z]{{1,20}}>{_BLANK}*\Z")
# A digit, a bracket or a one-letter name before a sign makes it an operator; a word does so only when glued to it.
_OPERAND = re.compile(rf"(?:[\w)\]}}%]|[0-9)\]}}%]{_BLANK}+|(?<!\w)[^\W\d_]{_BLANK}+)\Z")
_SIGN = r"[-+\u2212\uff0b\uff0d\ufe62\ufe63\u207a\u207b\u208a\u208b\u2795\u2796\u2010-\u2015]"
_MARKS = r"[*_`\"'(]"
_NEGATION = r"(?:\b(?:not|or|nor|neither|never|any|minus|negative|neg|plus|cannot)|n['\u2019]t)"
_REFUSED_BEFORE = re.compile(
    rf"""
    (?:
        [0-9]{_BLANK}+                                          # 1 000
      | [\w.]                                                   # x.5
      | {_SIGN}(?:{_MARKS}+\s*)?                                # --5, a dash that may be a sign, -**5**
      | {_SIGN}\s*{_MARKS}*\({_MARKS}*                          # - (5)
      | (?:[=:(,]|\b(?:is|equals))\s*{_SIGN}\s+{_MARKS}*       # = - 5
      | (?:(?<!{_SIGN}){_SIGN}|{_NEGATION}){_MARKS}*\n{_MARKS}*  # a sign or a negation at the end of the last line
      | [\^{{\[|<≤≥≠±∓√%/\u00d7·÷⋅\u2217]{_BLANK}* | !={_BLANK}*          # [5, < 5, ±5
      | (?<![-=>])>{_BLANK}*                                    # x > 5, but not -> 5 nor <<2+3=5>>5
      | [\w)\]}}]{_BLANK}*\+{_BLANK}*                           # 3 + 5
      | [\w)\]}}]\*+ | [\w)\]}}]{_BLANK}+\*+{_BLANK}+ | [0-9)\]}}]\*+{_BLANK}+  # 3*5, but not **is** 5 nor **5**
      | [0-9)]{_BLANK}*[xX]{_BLANK}*                            # 3 x 5
      | [\w)\]}}+\u2212-]\(                                     # f(5), -(5)
      | \\(?!boxed)[A-Za-z]+{_BLANK}*                           # \pm 5
      | \bout\ of\ (?:the\ )?{_MARKS}*                          # 3 out of 5
      | {_NEGATION}(?:{_BLANK}+[A-Za-z]+){{0,2}}[^\w\n]*
    )\Z
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PERCENT = re.compile(rf"{_BLANK}*{_PERCENT_SIGN}", re.IGNORECASE)
_ACCEPTED_AFTER = re.compile(r"\Z|\s|[-.,;:?)\"'\u2019\u201d»`$°\u2013\u2014]|\*+(?![\w(])|<[/|]|\\[)\]$\\]")
_REFUSED_AFTER = re.compile(
    rf"""{_BLANK}+(?:[=+/^>≤≥≠≈±\u00d7·÷⋅\u2217½¼¾πτ‰]|<(?![/|])|\*{_BLANK}|\\[A-Za-z]|out\s+of\b)
    | {_BLANK}*-{_BLANK}*[b-z]\b
    | [\s)*_`$]*!""",  # a factorial
    re.VERBOSE,
)
_SENTENCE = re.compile(r"[^.!?;:\r\n]{0,80}")
_NEXT_WORDS = re.compile(rf"[*_]*{_BLANK}+({_WORD}(?:{_BLANK}{_WORD}){{0,2}})")
_NOT_UNITS = frozenset(
    ("a", "an", "and", "are", "as", "because", "for", "is", "left", "so", "that", "total", "was", "were")
)


def _last_number(text: str) -> _Quantity | None:
    """Return the last number of free text, unless what stands around it makes it something else."""
    text = _SPACES.sub(lambda spaces: "\n" if "\n" in spaces[0] or "\r" in spaces[0] else " ", text)
    found = _DIGIT.search(text[::-1])
    if found is None:
        return None
    last = len(text) - found.end()
    offset = max(0, last - _WINDOW)
    text, last = text[offset : last + _WINDOW], last - offset
    start, end = next(run.span() for run in _RUN.finditer(text) if run.end() > last)
    if text[:start].endswith("."):
        start -= 1
    elif "/" in text[start:end] and (whole := _MIXED_WHOLE.search(text[:start])):
        start = whole.start()
    number, before, after = text[start:end], text[:start], text[end:]
    if any(unicodedata.category(c) == "Cf" for c in before.rpartition("\n")[2] + after.partition("\n")[0]):
        return None  # an invisible character can hide a sign, or turn the line around

    before, currency = _cut_currency(before)
    if before.endswith(("-", "+", "\u2212")) and not _OPERAND.search(before[:-1]):
        number = before[-1] + number
        before, inner = _cut_currency(before[:-1])
        currency = currency or inner
    is_difference = before.endswith(("-", "\u2212")) and _OPERAND.search(before[:-1])
    if not is_difference and _is_refused_before(before, number):
        return None

    if percent := _PERCENT.match(after):
        number, after = number + "%", after[percent.end() :]
    words = _words_after(after)
    if words is None:
        return None
    quantity = _parse(number)
    if quantity is None:
        return None
    if currency and not after.startswith("$"):
        return replace(quantity, unit=(_CURRENCIES[currency],))
    return replace(quantity, unit=tuple(map(_singular, words)))


def _cut_currency(before: str) -> tuple[str, str]:
    match = _CURRENCY.search(before)
    return (before[: match.start()], match[0]) if match else (before, "")


def _is_refused_before(before: str, number: str) -> bool:
    """Say whether the text before a number makes it a part of something else, or takes it back."""
    before = _TAG.sub("", before[-100:])
    line = before.rpartition("\n")[2]
    return bool(_REFUSED_BEFORE.search(before)) or line.replace(" ", "") == f"{number}="


def _words_after(after: str) -> list[str] | None:
    """Return the unit words that follow a number, or None if what follows changes or retracts it."""
    if not _ACCEPTED_AFTER.match(after) or _REFUSED_AFTER.match(after):
        return None
    sentence = _SENTENCE.match(after)
    words = re.findall(r"[a-z]+", sentence[0].lower())[:3] if sentence else []
    scale = _with_singulars(words if words[:1] == ["and"] else words[:1])
    if not _HEDGES.isdisjoint(words) or not _NUMERALS.isdisjoint(scale):
        return None
    follows = _NEXT_WORDS.match(after)
    units = follows[1].split() if follows else []
    if not units or units[0].lower() in _NOT_UNITS:
        return []
    return units if _are_units(units[:1]) else None
