"""ExactMatch and PrefixMatch on hand-worked pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgym.envs.rewards.matching import ExactMatch, PrefixMatch
from textgym.envs.task import Problem, Reward


def problems(*answers: str | None) -> list[Problem]:
    return [Problem("?", answer) for answer in answers]


def test_exact_match_pays_the_answer_and_nothing_else() -> None:
    score = ExactMatch()(problems("abc", "abc", "abc", "", "a"), ["abc", " abc\n", "abcd", " ", "A"])
    assert score.total.tolist() == [1, 1, 0, 1, 0]
    assert score.success.tolist() == [True, True, False, True, False]
    assert score.total.dtype == np.float64 and score.success.dtype == np.bool_


@pytest.mark.parametrize(
    ("response", "total"),
    [
        ("cba", 1.0),
        (" cba\n", 1.0),
        ("cb", 2 / 3),
        ("cbx", 2 / 3),
        ("cbaa", 3 / 4),
        ("xba", 0),
        ("", 0),
        ("c ba", 1 / 4),
    ],
)
def test_prefix_match_pays_for_each_right_character_at_the_front(response: str, total: float) -> None:
    score = PrefixMatch()(problems("cba"), [response])
    assert score.total.tolist() == [total]
    assert score.success.tolist() == [total == 1]


def test_prefix_match_of_nothing_with_nothing_is_a_success() -> None:
    assert PrefixMatch()(problems(""), ["  "]).total.tolist() == [1.0]


@given(st.text(), st.text())
def test_prefix_match_is_in_range_and_agrees_with_exact_match_on_success(answer: str, response: str) -> None:
    dense, exact = PrefixMatch()(problems(answer), [response]), ExactMatch()(problems(answer), [response])
    assert 0 <= dense.total[0] <= 1
    assert (dense.total[0] == 1) == dense.success[0] == exact.success[0] == (response.strip() == answer)


@pytest.mark.parametrize("reward", [ExactMatch(), PrefixMatch()])
def test_a_problem_without_an_answer_is_an_error_and_an_empty_batch_is_not(reward: Reward) -> None:
    with pytest.raises(ValueError, match="needs an answer"):
        reward(problems("a", None), ["a", "None"])
    with pytest.raises(ValueError):
        reward(problems("a"), ["a", "b"])
    assert len(reward([], []).total) == 0
