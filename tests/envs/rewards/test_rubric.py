"""Rubric: weights, ranges, and failures that stay failures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from textgym.envs.rewards.matching import ExactMatch, PrefixMatch
from textgym.envs.rewards.rubric import Rubric
from textgym.envs.task import Problem, Score

PROBLEMS = [Problem("?", "ab"), Problem("?", "ab"), Problem("?", "ab")]


class TimesOutOn:
    """Pays 1, but times out on one response."""

    range = (0.0, 1.0)

    def __init__(self, response: str) -> None:
        self.response = response

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        late = np.array([response == self.response for response in responses])
        status = ["timeout" if is_late else "ok" for is_late in late]
        return Score(np.where(late, np.nan, 1.0), ~late, status=status)


class RaisesOn(TimesOutOn):
    """Pays 1, but raises on a batch with one response."""

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        if self.response in responses:
            raise RuntimeError("broken")
        return Score(np.ones(len(responses)), np.ones(len(responses), bool))


def test_the_total_is_the_weighted_sum_and_the_parts_are_not_weighted() -> None:
    score = Rubric({"exact": (ExactMatch(), 2.0), "prefix": (PrefixMatch(), 0.5)})(PROBLEMS, ["ab", "a", "x"])
    assert score.total.tolist() == [2.5, 0.25, 0]
    assert {name: part.tolist() for name, part in score.parts.items()} == {"exact": [1, 0, 0], "prefix": [1, 0.5, 0]}


def test_success_is_that_of_the_first_reward() -> None:
    always = TimesOutOn("never written")
    assert Rubric({"exact": (ExactMatch(), 1), "on": (always, 1)})(PROBLEMS, ["ab", "a", "x"]).success.sum() == 1
    assert Rubric({"on": (always, 1), "exact": (ExactMatch(), 1)})(PROBLEMS, ["ab", "a", "x"]).success.sum() == 3


def test_the_range_follows_from_weights_of_either_sign() -> None:
    assert Rubric({"a": (ExactMatch(), 2.0), "b": (PrefixMatch(), -0.5)}).range == (-0.5, 2.0)


def test_an_item_of_which_a_part_failed_is_nan_with_that_status() -> None:
    rubric = Rubric({"exact": (ExactMatch(), 1), "slow": (TimesOutOn("a"), 0.0)})
    score = rubric(PROBLEMS, ["ab", "a", "x"])
    assert list(score.status) == ["ok", "timeout", "ok"]
    assert np.isnan(score.total).tolist() == [False, True, False]
    assert score.parts["exact"].tolist() == [1, 0, 0]


def test_a_part_that_raises_costs_only_its_own_items_and_the_first_failure_names_the_status() -> None:
    rubric = Rubric({"slow": (TimesOutOn("a"), 1), "broken": (RaisesOn("x"), 1), "slow too": (TimesOutOn("x"), 1)})
    with pytest.warns(RuntimeWarning, match="broken"):
        score = rubric(PROBLEMS, ["ab", "a", "x"])
    assert list(score.status) == ["ok", "timeout", "error"]
    assert score.total[0] == 3


def test_a_rubric_without_rewards_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Rubric({})


@pytest.mark.parametrize("weight", [float("inf"), float("-inf"), float("nan")])
def test_a_weight_is_finite(weight: float) -> None:
    with pytest.raises(ValueError, match="the weight of 'b' must be a finite number"):
        Rubric({"a": (ExactMatch(), 1.0), "b": (PrefixMatch(), weight)})


def test_it_says_of_itself_what_its_rewards_say() -> None:
    slow, essay = ExactMatch(), ExactMatch()
    slow.time_limit, essay.open = 2.0, True
    assert not Rubric({"a": (ExactMatch(), 1.0)}).partial and Rubric({"a": (PrefixMatch(), 1.0)}).partial
    both = Rubric({"a": (slow, 1.0), "b": (essay, 1.0)})
    assert both.partial and both.open and both.time_limit == 2.0
    assert not Rubric({"a": (slow, 1.0)}).open and Rubric({"b": (essay, 1.0)}).time_limit is None


def test_the_snapshot_names_those_of_its_models() -> None:
    class Model(ExactMatch):
        def __init__(self, snapshot: str) -> None:
            self.snapshot = snapshot

    first, second = Model("1a"), Model("2b")
    rubric = Rubric({"proxy": (first, 1.0), "exact": (ExactMatch(), 1.0), "other": (second, 0.5)})
    assert rubric.snapshot == "proxy=1a+other=2b"
    second.snapshot = "3c"
    assert rubric.snapshot == "proxy=1a+other=3c"
    assert Rubric({"exact": (ExactMatch(), 1.0)}).snapshot is None
