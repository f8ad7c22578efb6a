"""Group advantages against hand-worked numbers, an independent loop over plain lists, and their symmetries."""

from __future__ import annotations

import math
import statistics
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from textgym.agents.advantages import AdvantageKind, group_advantages, soft_overlong_penalty, zero_variance

KINDS: tuple[AdvantageKind, ...] = get_args(AdvantageKind)
Row = tuple[float, int, bool]

ROWS = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 0.1, 0.25, 1.0, 3.0, math.nan]), st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=16,
)


def columns(rows: list[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """Return rewards_B, group_ids_B, scorable_B."""
    rewards, ids, scorable = zip(*rows, strict=True)
    return torch.tensor(rewards), torch.tensor(ids), torch.tensor(scorable)


def one_group(rewards: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    return columns([(reward, 7, True) for reward in rewards])


def loop_advantages(rows: list[Row], kind: str, std_eps: float) -> list[float]:
    """The definitions, with `statistics` and lists."""
    usable = [ok and not math.isnan(reward) for reward, _, ok in rows]
    centred, counted = [], []
    for i, (reward, group, _) in enumerate(rows):
        mine = [r for (r, g, _), ok in zip(rows, usable, strict=True) if ok and g == group]
        if not usable[i] or len(mine) < 2:
            centred.append(0.0)
            continue
        value = reward - statistics.fmean(mine)
        if kind == "zscore":
            value /= statistics.stdev(mine) + std_eps
        if kind == "rloo":
            value = reward - (sum(mine) - reward) / (len(mine) - 1)
        centred.append(value)
        counted.append(value)
    if kind == "batch_std" and counted:
        scale = statistics.stdev(counted) + std_eps
        centred = [value / scale for value in centred]
    return centred


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("center", [-2.0, -1.0, 0.0, 3.0]),
        ("zscore", [-2 / math.sqrt(14 / 3), -1 / math.sqrt(14 / 3), 0.0, 3 / math.sqrt(14 / 3)]),
        ("rloo", [-8 / 3, -4 / 3, 0.0, 4.0]),  # e.g. 6 - (1 + 2 + 3) / 3 = 4
        ("batch_std", [-2 / math.sqrt(14 / 3), -1 / math.sqrt(14 / 3), 0.0, 3 / math.sqrt(14 / 3)]),
    ],
)
def test_closed_forms(kind: AdvantageKind, expected: list[float]) -> None:
    advantages_B = group_advantages(*one_group([1.0, 2.0, 3.0, 6.0]), kind, std_eps=0.0)
    torch.testing.assert_close(advantages_B, torch.tensor(expected))


def test_batch_std_spans_groups() -> None:
    rows: list[Row] = [(0.0, 0, True), (2.0, 0, True), (10.0, 1, True), (14.0, 1, True)]
    expected = torch.tensor([-1.0, 1.0, -2.0, 2.0]) / math.sqrt(10 / 3)
    torch.testing.assert_close(group_advantages(*columns(rows), "batch_std", std_eps=0.0), expected)


def test_std_eps_is_added_to_the_deviation() -> None:
    expected = torch.tensor([-0.5, 0.5]) / (math.sqrt(0.5) + 1e-4)
    torch.testing.assert_close(group_advantages(*one_group([0.0, 1.0]), "zscore"), expected)
    half = group_advantages(*one_group([0.0, 1.0]), "zscore", std_eps=math.sqrt(0.5))
    torch.testing.assert_close(half, expected * (math.sqrt(0.5) + 1e-4) / math.sqrt(2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2, 3, 5, 7, 16])
@pytest.mark.parametrize("reward", [0.1, 0.7, -1e-3, 16777217.0])
def test_all_equal_group_is_exactly_zero(kind: AdvantageKind, size: int, reward: float) -> None:
    rewards_B, ids_B, scorable_B = one_group([reward] * size)
    assert group_advantages(rewards_B, ids_B, scorable_B, kind).tolist() == [0.0] * size
    assert zero_variance(rewards_B, ids_B, scorable_B).all()


def test_control_a_float32_mean_is_not_exact() -> None:
    groups = [torch.full((size,), reward) for size in range(2, 17) for reward in (0.1, 0.7, 0.3, 0.9)]
    assert any(((group_G - group_G.mean()) != 0).any() for group_G in groups)


@pytest.mark.parametrize("kind", KINDS)
def test_group_of_one_is_zero(kind: AdvantageKind) -> None:
    rewards_B, ids_B, scorable_B = columns([(5.0, 0, True), (1.0, 1, True), (2.0, 1, True)])
    assert group_advantages(rewards_B, ids_B, scorable_B, kind)[0] == 0
    assert zero_variance(rewards_B, ids_B, scorable_B).tolist() == [True, False, False]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("junk", [math.nan, math.inf, -math.inf, 1e9])
def test_unscorable_rows_get_zero_and_count_nowhere(kind: AdvantageKind, junk: float) -> None:
    rows: list[Row] = [(1.0, 0, True), (junk, 0, False), (4.0, 0, True), (junk, 1, False), (2.0, 1, True)]
    rewards_B, ids_B, scorable_B = columns(rows)
    advantages_B = group_advantages(rewards_B, ids_B, scorable_B, kind)
    assert advantages_B[[1, 3, 4]].tolist() == [0.0, 0.0, 0.0]
    assert torch.equal(advantages_B[[0, 2]], group_advantages(*one_group([1.0, 4.0]), kind))
    assert zero_variance(rewards_B, ids_B, scorable_B).tolist() == [False, False, False, True, True]


@pytest.mark.parametrize("kind", KINDS)
def test_a_nan_reward_is_unscorable_even_if_marked_scorable(kind: AdvantageKind) -> None:
    advantages_B = group_advantages(*one_group([1.0, math.nan, 4.0]), kind)
    assert advantages_B[1] == 0
    assert torch.equal(advantages_B[[0, 2]], group_advantages(*one_group([1.0, 4.0]), kind))


def test_nothing_scorable() -> None:
    rewards_B, ids_B = torch.tensor([math.nan, 1.0]), torch.tensor([0, 0])
    scorable_B = torch.tensor([True, False])
    for kind in KINDS:
        assert group_advantages(rewards_B, ids_B, scorable_B, kind).tolist() == [0.0, 0.0]
    assert zero_variance(rewards_B, ids_B, scorable_B).all()


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(rows=ROWS)
def test_equals_the_loop(kind: AdvantageKind, rows: list[Row]) -> None:
    expected = torch.tensor(loop_advantages(rows, kind, 0.5))
    torch.testing.assert_close(group_advantages(*columns(rows), kind, std_eps=0.5), expected, atol=1e-5, rtol=1e-5)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS)
def test_zero_variance_equals_the_loop(rows: list[Row]) -> None:
    kept = [{r for r, g, ok in rows if ok and not math.isnan(r) and g == group} for _, group, _ in rows]
    assert zero_variance(*columns(rows)).tolist() == [len(rewards) < 2 for rewards in kept]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=30)
@given(rows=ROWS, data=st.data())
def test_symmetries(kind: AdvantageKind, rows: list[Row], data: st.DataObject) -> None:
    """Row order and the names of the groups do not matter, a constant reward is worth nothing, a group sums to 0."""
    rewards_B, ids_B, scorable_B = columns(rows)
    advantages_B = group_advantages(rewards_B, ids_B, scorable_B, kind, std_eps=0.5)
    assert torch.equal(group_advantages(rewards_B, 1000 - 37 * ids_B, scorable_B, kind, std_eps=0.5), advantages_B)
    order_B = torch.tensor(data.draw(st.permutations(range(len(rows)))))
    moved_B = group_advantages(rewards_B[order_B], ids_B[order_B], scorable_B[order_B], kind, std_eps=0.5)
    torch.testing.assert_close(moved_B, advantages_B[order_B], atol=1e-5, rtol=1e-5)
    shifted_B = group_advantages(rewards_B + 8.0, ids_B, scorable_B, kind, std_eps=0.5)
    torch.testing.assert_close(shifted_B, advantages_B, atol=1e-5, rtol=1e-5)
    for group in set(ids_B.tolist()):
        assert abs(advantages_B[ids_B == group].sum().item()) < 1e-4


def test_integer_rewards_are_scored_in_float32() -> None:
    advantages_B = group_advantages(torch.tensor([0, 1]), torch.tensor([3, 3]), torch.tensor([True, True]))
    assert advantages_B.dtype == torch.float32
    assert advantages_B.tolist() == [-0.5, 0.5]


def test_bad_arguments() -> None:
    rewards_B, ids_B, scorable_B = one_group([0.0, 1.0])
    with pytest.raises(ValueError, match="got 'median'"):
        group_advantages(rewards_B, ids_B, scorable_B, "median")  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        group_advantages(rewards_B[None], ids_B[None], scorable_B[None])
    with pytest.raises(AssertionError):
        zero_variance(rewards_B, ids_B[:1], scorable_B)
    with pytest.raises(AssertionError, match="bool"):
        zero_variance(rewards_B, ids_B, scorable_B.long())


def test_soft_overlong_penalty() -> None:
    lengths_B = torch.tensor([0, 16, 17, 18, 20, 25])
    expected = torch.tensor([0.0, 0.0, -0.25, -0.5, -1.0, -1.0])
    assert torch.equal(soft_overlong_penalty(lengths_B, max_length=20, cache=4), expected)


@pytest.mark.parametrize("cache", [0, 21])
def test_soft_overlong_penalty_refuses(cache: int) -> None:
    with pytest.raises(ValueError, match=f"cache \\({cache}\\)"):
        soft_overlong_penalty(torch.tensor([1]), max_length=20, cache=cache)
