"""Countdown. Run: pytest tests/envs/sources/test_countdown.py"""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest

from textgym.envs.sources import CountdownSource


def value(expression: str) -> Fraction:
    """Evaluate an expression of our own making exactly."""
    assert re.fullmatch(r"[\d+*/() -]+", expression)
    return eval(re.sub(r"\d+", r"Fraction(\g<0>)", expression), {"Fraction": Fraction})


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
@pytest.mark.parametrize(("max_number", "max_target"), [(25, 100), (1, 1), (3, 3), (99, 999)])
def test_the_solution_uses_exactly_the_numbers_and_hits_the_target(count, max_number, max_target):
    source = CountdownSource(count=count, max_number=max_number, max_target=max_target)
    rng = np.random.default_rng(0)
    for _ in range(100):
        problem = source.draw(rng)
        numbers, target = problem.metadata["numbers"], problem.metadata["target"]
        solution = source.solution(problem)
        assert type(numbers) is tuple and len(numbers) == count and all(type(number) is int for number in numbers)
        assert sorted(map(int, re.findall(r"\d+", solution))) == sorted(numbers)
        assert value(solution) == target and 1 <= target <= max_target
        assert all(1 <= number <= max_number for number in numbers)
        assert problem.prompt.startswith(f"Use each of the numbers {', '.join(map(str, numbers))} exactly once")
        assert f"to make {target}." in problem.prompt


def test_all_operators_occur_and_no_parenthesis_is_idle():
    source = CountdownSource()
    rng = np.random.default_rng(0)
    solutions = [source.solution(source.draw(rng)) for _ in range(300)]
    assert all(any(operator in solution for solution in solutions) for operator in "+-*/()")
    for solution in solutions:
        opened = []
        for i, char in enumerate(solution):
            if char == "(":
                opened.append(i)
            elif char == ")":
                before, after = solution[: opened.pop()][-2:].strip(), solution[i + 1 :][:2].strip()
                assert (before and before in "-*/") or (after and after in "*/"), solution


def test_the_key_does_not_depend_on_the_order_or_the_wording():
    rng = np.random.default_rng(0)
    source = CountdownSource(count=2, max_number=4, max_target=8)
    keys: dict[tuple, set[str]] = {}
    for _ in range(300):
        problem = source.draw(rng)
        identity = (*sorted(problem.metadata["numbers"]), problem.metadata["target"])
        keys.setdefault(identity, set()).add(problem.key)
    assert all(len(found) == 1 for found in keys.values())
    assert len({key for found in keys.values() for key in found}) == len(keys)
    other = CountdownSource(template="{numbers} -> {target}").draw(np.random.default_rng(1))
    assert other.key == CountdownSource().draw(np.random.default_rng(1)).key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 1}, "count must be a whole number from 2 to 6, got 1"),
        ({"count": 7}, "count must be a whole number from 2 to 6, got 7"),
        ({"max_number": 0}, "max_number must be a whole number from 1 to 999999999, got 0"),
        ({"max_target": 24}, r"max_target must be a whole number at least 25 \(max_number\), got 24"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        CountdownSource(**settings)
