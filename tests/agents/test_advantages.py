"""Advantages against hand-worked numbers, independent loops over plain lists, and their symmetries."""

from __future__ import annotations

import math
import statistics
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from textgym.agents.advantages import (
    AdvantageKind,
    gae,
    group_advantages,
    masked_whiten,
    returns_to_go,
    soft_overlong_penalty,
    zero_variance,
)

KINDS: tuple[AdvantageKind, ...] = get_args(AdvantageKind)
Row = tuple[float, int, bool]

ROWS = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 0.1, 0.25, 1.0, 3.0, math.nan]), st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=16,
)


MASKS = st.integers(1, 7).flatmap(
    lambda width: st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=4)
)
DISCOUNTS = st.sampled_from([0.0, 0.5, 0.8, 0.95, 1.0])
JUNK = [1e4, math.inf, -math.inf, math.nan]


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


# --- advantages of tokens --------------------------------------------------------------------------------------------


def steps(mask: list[list[bool]], seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return rewards_BT, values_BT, last_values_B and mask_BT, with numbers off the mask, too."""
    generator, mask_BT = torch.Generator().manual_seed(seed), torch.tensor(mask)
    rewards_BT, values_BT = torch.randn(2, *mask_BT.shape, generator=generator)
    return rewards_BT, values_BT, torch.randn(len(mask), generator=generator), mask_BT


def actions(values_BT: Tensor, mask_BT: Tensor, row: int) -> list[float]:
    return [float(value) for value in values_BT[row][mask_BT[row]]]


def loop_gae(
    rewards: list[float], values: list[float], last_value: float, gamma: float, gae_lambda: float
) -> list[float]:
    """Equation 16: a sum of temporal differences that fades by γλ at each step."""
    following = [*values, last_value][1:]
    deltas = [r + gamma * after - v for r, v, after in zip(rewards, values, following, strict=True)]
    return [sum((gamma * gae_lambda) ** k * delta for k, delta in enumerate(deltas[t:])) for t in range(len(deltas))]


@settings(deadline=None, max_examples=80)
@given(mask=MASKS, seed=st.integers(0, 10_000), gamma=DISCOUNTS, gae_lambda=DISCOUNTS)
def test_gae_equals_the_loop(mask: list[list[bool]], seed: int, gamma: float, gae_lambda: float) -> None:
    rewards_BT, values_BT, last_values_B, mask_BT = steps(mask, seed)
    advantages_BT, returns_BT = gae(rewards_BT, values_BT, last_values_B, mask_BT, gamma, gae_lambda)
    assert advantages_BT.dtype == returns_BT.dtype == torch.float32
    assert not advantages_BT[~mask_BT].any() and not returns_BT[~mask_BT].any()
    for row, last_value in enumerate(last_values_B.tolist()):
        values = actions(values_BT, mask_BT, row)
        expected = loop_gae(actions(rewards_BT, mask_BT, row), values, last_value, gamma, gae_lambda)
        assert actions(advantages_BT, mask_BT, row) == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert actions(returns_BT, mask_BT, row) == pytest.approx(
            [advantage + value for advantage, value in zip(expected, values, strict=True)], rel=1e-4, abs=1e-5
        )


@settings(deadline=None, max_examples=40)
@given(mask=MASKS, seed=st.integers(0, 10_000))
def test_gae_is_the_same_without_the_tokens_of_the_env(mask: list[list[bool]], seed: int) -> None:
    rewards_BT, values_BT, last_values_B, mask_BT = steps(mask, seed)
    whole_BT, _ = gae(rewards_BT, values_BT, last_values_B, mask_BT, 0.9, 0.8)
    for row in range(len(mask)):
        kept_T = mask_BT[row]
        short = [values[row : row + 1, kept_T] for values in (rewards_BT, values_BT)]
        short_1T, _ = gae(*short, last_values_B[row : row + 1], mask_BT[row : row + 1, kept_T], 0.9, 0.8)
        torch.testing.assert_close(short_1T[0], whole_BT[row, kept_T], atol=1e-6, rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(mask=MASKS, seed=st.integers(0, 10_000), gamma=DISCOUNTS)
def test_gae_with_lambda_1_is_the_return_minus_the_value(mask: list[list[bool]], seed: int, gamma: float) -> None:
    rewards_BT, values_BT, last_values_B, mask_BT = steps(mask, seed)
    advantages_BT, returns_BT = gae(rewards_BT, values_BT, last_values_B, mask_BT, gamma, 1.0)
    other_BT, _ = gae(rewards_BT, torch.zeros_like(values_BT), last_values_B, mask_BT, gamma, 1.0)
    torch.testing.assert_close(advantages_BT, (other_BT - values_BT) * mask_BT, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(returns_BT, other_BT, atol=1e-5, rtol=1e-5)  # whatever the critic says
    for row, last_value in enumerate(last_values_B.tolist()):
        rewards = [*actions(rewards_BT, mask_BT, row), last_value]
        expected = [sum(gamma**k * r for k, r in enumerate(rewards[t:])) for t in range(len(rewards) - 1)]
        assert actions(returns_BT, mask_BT, row) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_gae_by_hand() -> None:
    rewards_BT, values_BT = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.25]])
    mask_BT = torch.ones(1, 2, dtype=torch.bool)
    advantages_BT, returns_BT = gae(rewards_BT, values_BT, torch.zeros(1), mask_BT, 0.5, 0.5)
    # δ = (0 + 0.125 - 0.5, 1 - 0.25), A = (-0.375 + 0.25 * 0.75, 0.75)
    torch.testing.assert_close(advantages_BT, torch.tensor([[-0.1875, 0.75]]))
    torch.testing.assert_close(returns_BT, torch.tensor([[0.3125, 1.0]]))


@pytest.mark.parametrize(("last_value", "expected"), [(5.0, 4.5), (0.0, 0.0)], ids=["truncated", "terminated"])
def test_truncation_bootstraps_and_termination_does_not(last_value: float, expected: float) -> None:
    nothing_BT, mask_BT = torch.zeros(1, 3), torch.tensor([[True, True, False]])
    advantages_BT, _ = gae(nothing_BT, nothing_BT, torch.tensor([last_value]), mask_BT, 0.9, 0.95)
    torch.testing.assert_close(advantages_BT, torch.tensor([[0.9 * 0.95 * expected, expected, 0.0]]))


@pytest.mark.parametrize("junk", JUNK)
@settings(deadline=None, max_examples=20)
@given(mask=MASKS, seed=st.integers(0, 10_000))
def test_what_stands_off_the_mask_changes_no_advantage(junk: float, mask: list[list[bool]], seed: int) -> None:
    rewards_BT, values_BT, last_values_B, mask_BT = steps(mask, seed)
    dirty = [values.masked_fill(~mask_BT, junk) for values in (rewards_BT, values_BT)]
    dirty_last_B = last_values_B.masked_fill(~mask_BT.any(1), junk)
    for ours_BT, clean_BT in zip(
        gae(*dirty, dirty_last_B, mask_BT, 0.9, 0.8),
        gae(rewards_BT, values_BT, last_values_B, mask_BT, 0.9, 0.8),
        strict=True,
    ):
        assert torch.equal(ours_BT, clean_BT)
    assert torch.equal(returns_to_go(dirty[0], mask_BT), returns_to_go(rewards_BT, mask_BT))
    assert torch.equal(masked_whiten(dirty[0], mask_BT), masked_whiten(rewards_BT, mask_BT))


def test_gae_refuses_what_does_not_fit() -> None:
    rewards_BT, values_BT, last_values_B, mask_BT = steps([[True, True, False]], 0)
    with pytest.raises(AssertionError, match="differ in shape"):
        gae(rewards_BT, values_BT[:, :2], last_values_B, mask_BT)
    with pytest.raises(AssertionError, match="against"):
        gae(rewards_BT, values_BT, last_values_B[:, None], mask_BT)


@settings(deadline=None, max_examples=60)
@given(mask=MASKS, seed=st.integers(0, 10_000))
def test_returns_to_go_equal_the_loop(mask: list[list[bool]], seed: int) -> None:
    rewards_BT, values_BT, _, mask_BT = steps(mask, seed)
    returns_BT = returns_to_go(rewards_BT, mask_BT)
    assert returns_BT.dtype == torch.float32 and not returns_BT[~mask_BT].any()
    for row in range(len(mask)):
        rewards = actions(rewards_BT, mask_BT, row)
        expected = [sum(rewards[t:]) for t in range(len(rewards))]
        assert actions(returns_BT, mask_BT, row) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    terminated_BT = gae(rewards_BT, values_BT, torch.zeros(len(mask)), mask_BT, 1.0, 1.0)[1]
    torch.testing.assert_close(returns_BT, terminated_BT, atol=1e-5, rtol=1e-5)


@settings(deadline=None, max_examples=60)
@given(mask=MASKS, seed=st.integers(0, 10_000), scale=st.sampled_from([0.1, 1.0, 30.0]))
def test_whitening_equals_the_loop(mask: list[list[bool]], seed: int, scale: float) -> None:
    values_BT, _, _, mask_BT = steps(mask, seed)
    values_BT = scale * (values_BT + 2.0)
    white_BT = masked_whiten(values_BT, mask_BT)
    assert white_BT.dtype == torch.float32 and not white_BT[~mask_BT].any()
    values = [value for row in range(len(mask)) for value in actions(values_BT, mask_BT, row)]
    white = [value for row in range(len(mask)) for value in actions(white_BT, mask_BT, row)]
    if len(values) < 2:
        assert white == [0.0] * len(values)
        return
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    assert white == pytest.approx([(value - mean) / deviation for value in values], rel=1e-3, abs=1e-3)
    assert statistics.fmean(white) == pytest.approx(0.0, abs=1e-3)
    assert statistics.stdev(white) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("value", [0.7, -3.3, 0.0])
def test_equal_values_whiten_to_0(value):
    assert not masked_whiten(torch.full((1, 13), value), torch.ones(1, 13, dtype=torch.bool)).any()
