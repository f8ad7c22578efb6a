"""The secret number. Run: pytest tests/envs/sources/test_guess_number.py"""

from __future__ import annotations

import numpy as np
import pytest

from textgym.envs.sources import GuessNumberSource


def worst_case(high: int) -> int:
    """Return how many guesses halving needs for the least lucky secret."""
    return 0 if high == 0 else 1 + worst_case(high // 2)


@pytest.mark.parametrize("high", [2, 3, 4, 7, 8, 31, 32, 100, 1000])
def test_turns_suffice_for_halving_and_one_fewer_does_not(high):
    problem = GuessNumberSource(high=high).draw(np.random.default_rng(0))
    assert problem.metadata == {"high": high, "turns": worst_case(high)}


def test_every_secret_is_drawn():
    source = GuessNumberSource(high=31)
    rng = np.random.default_rng(0)
    problems = [source.draw(rng) for _ in range(1_000)]
    assert {int(problem.answer) for problem in problems} == set(range(1, 32))
    assert all(source.solution(problem) == problem.answer for problem in problems)
    assert len({problem.prompt for problem in problems}) == 1


def test_the_key_is_the_secret_and_the_range_not_the_wording_or_the_turns():
    problem = GuessNumberSource().draw(np.random.default_rng(0))
    other = GuessNumberSource(turns=3, template="1 to {high}, {turns} turns:").draw(np.random.default_rng(0))
    assert other.prompt == "1 to 31, 3 turns:"
    assert other.key == problem.key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"high": 1}, "high must be a whole number from 2 to 999999999, got 1"),
        ({"high": 10**9}, "high .* got 1000000000"),
        ({"turns": 0}, "turns must be a whole number at least 1, got 0"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        GuessNumberSource(**settings)
