"""Increasing numbers. Run: pytest tests/envs/sources/test_increasing.py"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from textgym.envs.rewards import IncreasingRun
from textgym.envs.sources import IncreasingSource


@pytest.mark.parametrize(("count", "max_number"), [(5, 99), (2, 3), (2, 10), (7, 9)])
def test_every_problem_is_solved_by_its_solution(count, max_number):
    source = IncreasingSource(count=count, max_number=max_number)
    rng = np.random.default_rng(0)
    gaps = set()
    for _ in range(1_000):
        problem = source.draw(rng)
        low, high = problem.metadata["low"], problem.metadata["high"]
        numbers = [int(word) for word in source.solution(problem).split(" ")]
        assert len(numbers) == count == problem.metadata["count"]
        assert 0 <= low < numbers[0] and numbers[-1] < high <= max_number
        assert all(left < right for left, right in itertools.pairwise(numbers))
        assert problem.answer is None
        gaps.add(high - low)
    assert min(gaps) == count + 1
    assert max(gaps) == min(max_number, 2 * (count + 1))


def test_no_constant_answer_solves_many_problems():
    problems = [IncreasingSource().draw(np.random.default_rng(seed)) for seed in range(1_000)]
    share = [IncreasingRun()([problem], ["44 45 46 47 48"]).success[0] for problem in problems]
    assert np.mean(share) < 0.1


def test_the_prompt_and_the_key():
    problem = IncreasingSource(count=3, max_number=4).draw(np.random.default_rng(0))
    assert problem.prompt == "Write 3 increasing whole numbers strictly between 0 and 4, separated by spaces."
    other = IncreasingSource(count=3, max_number=4, template="{low} {high}").draw(np.random.default_rng(0))
    assert other.key == problem.key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 1}, "count must be a whole number at least 2, got 1"),
        ({"count": "5"}, "count .* got '5'"),
        ({"max_number": 5}, r"max_number must be a whole number from 6 to 999999999 \(count \+ 1\), got 5"),
        ({"max_number": 10**9}, "max_number .* got 1000000000"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        IncreasingSource(**settings)
