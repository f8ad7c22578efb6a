"""Checks that the sources share: whole numbers within bounds, and templates with named placeholders."""

from __future__ import annotations

import string
from collections.abc import Sequence

MAX_NUMBER = 999_999_999
"""The largest number that every verifier reads."""


def check_whole(name: str, value: object, low: int, high: int | None = None, why: str = "") -> None:
    """Raise ValueError unless ``value`` is an int from ``low`` to ``high``; ``why`` explains the bound."""
    if type(value) is not int or value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be a whole number {allowed}{why}, got {value!r}")


def check_template(template: object, required: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Raise ValueError unless the placeholders of ``template`` are the required and perhaps the optional ones."""
    known = ", ".join(f"{{{name}}}" for name in (*required, *optional))
    if not isinstance(template, str):
        raise ValueError(f"template must be text with the placeholders {known}, got {template!r}")
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"template {template!r} is malformed ({error}); its placeholders are {known}") from None
    found = [name for _, name, _, _ in parsed if name is not None]
    for _, name, spec, conversion in parsed:
        if name is not None and (name not in (*required, *optional) or spec or conversion):
            shown = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise ValueError(f"template {template!r} has the unknown placeholder {{{shown}}}; allowed: {known}")
    for name in required:
        if name not in found:
            raise ValueError(f"template {template!r} lacks the placeholder {{{name}}}")


def literal_chars(template: str) -> set[str]:
    """Return the characters of ``template`` that stand outside its placeholders."""
    return {char for literal, *_ in string.Formatter().parse(template) for char in literal}


def number_chars(high: int) -> set[str]:
    """Return the digits that the whole numbers from 0 to ``high`` are written with."""
    return {char for number in range(min(high, 9) + 1) for char in str(number)}
