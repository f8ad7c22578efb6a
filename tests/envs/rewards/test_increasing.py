"""IncreasingRun on hand-worked responses."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgym.envs.rewards.increasing import IncreasingRun
from textgym.envs.task import Problem

FOUR_OF_TEN_TO_FIFTY = Problem("?", metadata={"low": 10, "high": 50, "count": 4})


def total(response: str, problem: Problem = FOUR_OF_TEN_TO_FIFTY) -> float:
    score = IncreasingRun()([problem], [response])
    assert bool(score.success[0]) == (score.total[0] == 1)
    return float(score.total[0])


@pytest.mark.parametrize(
    ("response", "quarters"),
    [
        ("11 12 30 49", 4),
        (" 11\n12\t30 49 ", 4),
        ("", 0),
        ("11", 1),
        ("11 12", 2),
        ("11 12 30", 3),
        ("11 12 12 13", 2),
        ("20 15 16 17", 3),
        ("10 11 12 13", 3),
        ("11 12 13 50", 3),
        ("11 12 x 13", 2),
        ("11 12 30 49 50", 3),
        ("11 12 30 48 49", 3),
        ("so: 11 12 30 49", 3),
        ("11,12,30,49", 0),
        ("-11 +12 1.5 1e1", 0),
        ("1_1 0x20 ١٢ ²", 0),
        ("0000000011 12", 1),
    ],
)
def test_the_longest_run_is_paid_in_quarters(response: str, quarters: int) -> None:
    assert total(response) == quarters / 4


@given(st.lists(st.integers(11, 49), min_size=4, max_size=4, unique=True), st.integers(0, 4))
def test_an_honest_response_gains_one_share_with_each_number(numbers: list[int], written: int) -> None:
    assert total(" ".join(map(str, sorted(numbers)[:written]))) == written / 4


@given(st.text())
def test_any_text_is_accepted_and_in_range(response: str) -> None:
    assert 0 <= total(response) <= 1


@given(st.lists(st.integers(0, 60), max_size=12))
def test_the_score_agrees_with_trying_every_slice(numbers: list[int]) -> None:
    def is_run(row: list[int]) -> bool:
        return row == sorted(set(row)) and all(10 < number < 50 for number in row)

    slices = [numbers[i:j] for i in range(len(numbers)) for j in range(i + 1, len(numbers) + 1)]
    longest = max((len(row) for row in slices if is_run(row)), default=0)
    expected = 1.0 if len(numbers) == 4 and is_run(numbers) else min(longest, 3) / 4
    assert np.isclose(total(" ".join(map(str, numbers))), expected)


def test_a_count_below_two_is_the_tasks_fault() -> None:
    with pytest.raises(ValueError, match="count >= 2"):
        total("11", Problem("?", metadata={"low": 10, "high": 50, "count": 1}))


def test_a_megabyte_is_judged_by_its_beginning() -> None:
    start = time.process_time()
    assert total("11 12 30 " + "49 " * 10**6) == 0.75
    assert total("11 12 30 49" + " " * 20_000 + "no") == 0.75
    assert time.process_time() - start < 0.1
