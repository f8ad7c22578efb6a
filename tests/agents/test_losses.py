"""Losses against hand-worked numbers, a loop in plain floats, and enumeration over a 7-way softmax."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from textgym.agents.losses import (
    KLKind,
    Norm,
    RatioLevel,
    kl_penalty,
    loss_weights,
    masked_mean,
    policy_loss,
    value_loss,
)

NORMS: tuple[Norm, ...] = get_args(Norm)
LEVELS: tuple[RatioLevel, ...] = get_args(RatioLevel)
KL_KINDS: tuple[KLKind, ...] = get_args(KLKind)
JUNK = [1e4, -1e4, math.inf, -math.inf, math.nan]

LENGTHS = (5, 1, 3, 0, 2, 4)
"""Tokens of each row in `batch`: unequal, one row without any."""


def batch(seed: int = 0, spread: float = 0.5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return logprobs_BT (a leaf), old_logprobs_BT, advantages_B, mask_BT; row 0 has a hole (a tool's token)."""
    generator = torch.Generator().manual_seed(seed)
    mask_BT = torch.arange(6) < torch.tensor(LENGTHS)[:, None]
    mask_BT[0] = torch.tensor([1, 1, 0, 1, 1, 1], dtype=torch.bool)
    logprobs_BT = -torch.rand(6, 6, generator=generator) - 0.5
    old_BT = logprobs_BT + spread * torch.randn(6, 6, generator=generator)
    return logprobs_BT.requires_grad_(), old_BT, torch.randn(6, generator=generator), mask_BT


def gradient(loss: Tensor, leaf: Tensor) -> Tensor:
    (result,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    return result


# --- masks and normalisation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("junk", JUNK)
def test_masked_mean(junk: float) -> None:
    values_BT = torch.tensor([[1.0, 2.0, junk], [6.0, junk, junk]])
    mask_BT = torch.tensor([[True, True, False], [True, False, False]])
    assert masked_mean(values_BT, mask_BT) == 3.0
    assert masked_mean(values_BT, torch.zeros_like(mask_BT)) == 0.0


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("token", [[1 / 4] * 3, [1 / 4, 0, 0], [0, 0, 0]]),
        ("seq", [[1 / 6] * 3, [1 / 2, 0, 0], [0, 0, 0]]),
        ("const", [[1 / 20] * 3, [1 / 20, 0, 0], [0, 0, 0]]),
        ("seqsum", [[1 / 2] * 3, [1 / 2, 0, 0], [0, 0, 0]]),
    ],
)
def test_loss_weights_by_hand(norm: Norm, expected: list[list[float]]) -> None:
    mask_BT = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    weights_BT = loss_weights(mask_BT, norm, max_length=10)
    assert weights_BT.dtype == torch.float32
    torch.testing.assert_close(weights_BT, torch.tensor(expected))


@pytest.mark.parametrize("norm", NORMS)
def test_no_token_at_all_gives_zero_weights(norm: Norm) -> None:
    assert not loss_weights(torch.zeros(2, 3, dtype=torch.bool), norm, max_length=3).any()


def test_loss_weights_refuses() -> None:
    mask_BT = torch.ones(1, 1, dtype=torch.bool)
    with pytest.raises(ValueError, match="max_length, got None"):
        loss_weights(mask_BT, "const")
    with pytest.raises(ValueError, match="got 'mean'"):
        loss_weights(mask_BT, "mean")  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="bool"):
        loss_weights(mask_BT.float(), "token")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("norm", NORMS)
def test_micro_batches_add_up_and_their_naive_mean_differs(norm: Norm, level: RatioLevel) -> None:
    logprobs_BT, old_BT, advantages_B, mask_BT = batch()
    weights_BT = loss_weights(mask_BT, norm, max_length=8)

    def part(rows: slice, weights_bT: Tensor) -> Tensor:
        inputs = logprobs_BT[rows], old_BT[rows], advantages_B[rows], weights_bT, mask_BT[rows]
        return policy_loss(*inputs, 0.2, 0.28, level)[0]

    micro = [slice(0, 1), slice(1, 3), slice(3, 6)]
    whole = part(slice(0, 6), weights_BT)
    parts = [part(rows, weights_BT[rows]) for rows in micro]
    naive = torch.stack([part(rows, loss_weights(mask_BT[rows], norm, max_length=8)) for rows in micro]).mean()
    torch.testing.assert_close(sum(parts), whole)
    summed_BT = torch.stack([gradient(loss, logprobs_BT) for loss in parts]).sum(0)
    whole_BT = gradient(whole, logprobs_BT)
    torch.testing.assert_close(summed_BT, whole_BT)
    assert abs(naive.item() - whole.item()) > 1e-2
    assert not torch.allclose(gradient(naive, logprobs_BT), whole_BT, rtol=1e-2, atol=1e-3)


# --- the policy loss -------------------------------------------------------------------------------------------------


def loop_loss(
    logprobs_BT: Tensor,
    old_BT: Tensor,
    advantages_B: Tensor,
    mask_BT: Tensor,
    clip: tuple[float, float],
    ratio: str,
    dual_clip: float | None,
    norm: str,
) -> tuple[float, dict[str, float]]:
    """Loss and metrics in plain floats, written from the papers, one token at a time."""
    tokens = int(mask_BT.sum())
    rows = [i for i in range(len(mask_BT)) if mask_BT[i].any()]
    loss, kl, ratios, low, high = 0.0, 0.0, [], 0, 0
    for i in rows:
        steps = [t for t in range(mask_BT.shape[1]) if mask_BT[i, t]]
        logs = {t: logprobs_BT[i, t].item() - old_BT[i, t].item() for t in steps}
        advantage = advantages_B[i].item()
        for t in steps:
            r = math.exp(sum(logs.values()) / len(steps) if ratio == "seq" else logs[t])
            clipped = min(max(r, 1 - clip[0]), 1 + clip[1])
            objective = min(r * advantage, clipped * advantage)
            if dual_clip is not None and advantage < 0:
                objective = max(objective, dual_clip * advantage)
            if ratio == "none":
                objective = advantage * logprobs_BT[i, t].item()
            else:
                low += advantage < 0 and r < 1 - clip[0]
                high += advantage > 0 and r > 1 + clip[1]
            denominator = {"token": tokens, "seq": len(rows) * len(steps), "const": len(rows) * 8}.get(norm, len(rows))
            loss -= objective / denominator
            kl += (math.exp(logs[t]) - 1 - logs[t]) / tokens
            ratios.append(r)
    return loss, {
        "approx_kl": kl,
        "clip_frac": (low + high) / tokens,
        "clip_frac_low": low / tokens,
        "clip_frac_high": high / tokens,
        "ratio_mean": sum(ratios) / tokens,
        "ratio_max": max(ratios),
    }


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 10_000),
    spread=st.sampled_from([0.0, 0.2, 1.5]),
    clip=st.sampled_from([(0.2, 0.2), (0.2, 0.28), (3e-4, 4e-4)]),
    level=st.sampled_from(LEVELS),
    dual_clip=st.sampled_from([None, 3.0]),
    norm=st.sampled_from(NORMS),
)
def test_equals_the_loop(
    seed: int, spread: float, clip: tuple[float, float], level: RatioLevel, dual_clip: float | None, norm: Norm
) -> None:
    logprobs_BT, old_BT, advantages_B, mask_BT = batch(seed, spread)
    weights_BT = loss_weights(mask_BT, norm, max_length=8)
    loss, metrics = policy_loss(logprobs_BT, old_BT, advantages_B, weights_BT, mask_BT, *clip, level, dual_clip)
    expected_loss, expected = loop_loss(logprobs_BT, old_BT, advantages_B, mask_BT, clip, level, dual_clip, norm)
    assert loss.item() == pytest.approx(expected_loss, rel=1e-4, abs=1e-5)
    assert {name: value.item() for name, value in metrics.items()} == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert not any(value.requires_grad for value in metrics.values())


@pytest.mark.parametrize(
    ("advantage", "ratio", "expected_loss", "expected_gradient"),
    [
        (1.0, 1.5, -1.28, 0.0),  # already more likely: no further gain
        (1.0, 0.5, -0.5, -0.5),  # a good token became less likely: correct it
        (-1.0, 1.5, 1.5, 1.5),  # a bad token became more likely: correct it
        (-1.0, 0.5, 0.8, 0.0),  # already less likely: no further gain
    ],
)
@pytest.mark.parametrize("level", ["token", "seq"])
def test_clip_acts_only_on_the_harmful_side(
    advantage: float, ratio: float, expected_loss: float, expected_gradient: float, level: RatioLevel
) -> None:
    logprobs_BT = torch.tensor([[math.log(ratio)]], requires_grad=True)
    ones_BT = torch.ones(1, 1)
    inputs = logprobs_BT, torch.zeros(1, 1), torch.tensor([advantage]), ones_BT, ones_BT.bool()
    loss, metrics = policy_loss(*inputs, 0.2, 0.28, level)
    assert loss.item() == pytest.approx(expected_loss)
    assert gradient(loss, logprobs_BT).item() == pytest.approx(expected_gradient)
    clipped = expected_gradient == 0
    assert metrics["clip_frac"] == clipped
    assert metrics["clip_frac_high"] == (clipped and advantage > 0)
    assert metrics["clip_frac_low"] == (clipped and advantage < 0)


@pytest.mark.parametrize(
    ("advantage", "dual_clip", "expected_loss", "expected_gradient"),
    [(-2.0, None, 20.0, 20.0), (-2.0, 3.0, 6.0, 0.0), (-2.0, 11.0, 20.0, 20.0), (2.0, 3.0, -2.4, 0.0)],
)
def test_dual_clip_bounds_the_loss_of_a_negative_advantage(
    advantage: float, dual_clip: float | None, expected_loss: float, expected_gradient: float
) -> None:
    logprobs_BT = torch.tensor([[math.log(10.0)]], requires_grad=True)
    ones_BT = torch.ones(1, 1)
    inputs = logprobs_BT, torch.zeros(1, 1), torch.tensor([advantage]), ones_BT, ones_BT.bool()
    loss, _ = policy_loss(*inputs, 0.2, 0.2, "token", dual_clip)
    assert loss.item() == pytest.approx(expected_loss)
    assert gradient(loss, logprobs_BT).item() == pytest.approx(expected_gradient)


@pytest.mark.parametrize("level", ["token", "seq"])
@pytest.mark.parametrize("norm", NORMS)
def test_first_epoch_is_reinforce(level: RatioLevel, norm: Norm) -> None:
    logprobs_BT, _, advantages_B, mask_BT = batch()
    weights_BT = loss_weights(mask_BT, norm, max_length=8)
    old_BT = logprobs_BT.detach()
    loss, metrics = policy_loss(logprobs_BT, old_BT, advantages_B, weights_BT, mask_BT, 3e-4, 4e-4, level)
    reinforce = -(weights_BT * advantages_B[:, None] * logprobs_BT).sum()
    torch.testing.assert_close(gradient(loss, logprobs_BT), gradient(reinforce, logprobs_BT))
    assert metrics["ratio_mean"] == metrics["ratio_max"] == 1
    assert metrics["clip_frac"] == metrics["clip_frac_low"] == metrics["clip_frac_high"] == metrics["approx_kl"] == 0
    loss_none, _ = policy_loss(logprobs_BT, old_BT, advantages_B, weights_BT, mask_BT, 3e-4, 4e-4, "none")
    torch.testing.assert_close(loss_none, reinforce)
    torch.testing.assert_close(gradient(loss_none, logprobs_BT), gradient(loss, logprobs_BT))


def test_sequence_ratio_by_hand() -> None:
    """GSPO: s = exp(mean(log 4, 0)) = 2, and each of the two tokens gets the gradient -A s / |y|."""
    logprobs_BT = torch.tensor([[math.log(4.0), 0.0, 9.0]], requires_grad=True)
    mask_BT = torch.tensor([[True, True, False]])
    weights_BT = loss_weights(mask_BT, "seq")
    inputs = logprobs_BT, torch.zeros(1, 3), torch.tensor([3.0]), weights_BT, mask_BT
    loss, metrics = policy_loss(*inputs, 0.2, 10.0, "seq")
    assert loss.item() == pytest.approx(-6.0)
    torch.testing.assert_close(gradient(loss, logprobs_BT), torch.tensor([[-3.0, -3.0, 0.0]]))
    assert metrics["ratio_mean"].item() == pytest.approx(2.0)
    assert metrics["approx_kl"].item() == pytest.approx((3 - math.log(4)) / 2)  # by token, whatever the ratio


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("junk", JUNK)
def test_what_stands_off_the_mask_changes_nothing(junk: float, level: RatioLevel) -> None:
    logprobs_BT, old_BT, advantages_B, mask_BT = batch()
    weights_BT = loss_weights(mask_BT, "seq")
    clean, clean_metrics = policy_loss(logprobs_BT, old_BT, advantages_B, weights_BT, mask_BT, 0.2, 0.28, level)
    for dirty_old_BT in (old_BT, old_BT.masked_fill(~mask_BT, junk)):
        dirty_BT = logprobs_BT.detach().masked_fill(~mask_BT, junk).requires_grad_()
        loss, metrics = policy_loss(dirty_BT, dirty_old_BT, advantages_B, weights_BT, mask_BT, 0.2, 0.28, level)
        assert torch.equal(loss, clean)
        assert torch.equal(gradient(loss, dirty_BT), gradient(clean, logprobs_BT))
        assert metrics == clean_metrics


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("log_ratio", [200.0, -200.0])
def test_extreme_ratios_stay_finite(log_ratio: float, level: RatioLevel) -> None:
    logprobs_BT = torch.full((2, 1), log_ratio, requires_grad=True)
    ones_BT = torch.ones(2, 1)
    inputs = logprobs_BT, torch.zeros(2, 1), torch.tensor([1.0, -1.0]), ones_BT, ones_BT.bool()
    loss, metrics = policy_loss(*inputs, 0.2, 0.28, level)
    assert loss.isfinite()
    assert gradient(loss, logprobs_BT).isfinite().all()
    assert all(value.isfinite() for value in metrics.values())


def test_no_gradient_reaches_the_old_policy_or_the_advantages() -> None:
    logprobs_BT, old_BT, advantages_B, mask_BT = batch()
    old_BT.requires_grad_()
    advantages_B.requires_grad_()
    loss, _ = policy_loss(logprobs_BT, old_BT, advantages_B, loss_weights(mask_BT, "token"), mask_BT, 0.2, 0.2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert old_BT.grad is None
    assert advantages_B.grad is None


def test_bfloat16_inputs_give_a_float32_loss() -> None:
    logprobs_BT, old_BT, advantages_B, mask_BT = batch()
    low = logprobs_BT.bfloat16(), old_BT.bfloat16(), advantages_B.bfloat16()
    loss, metrics = policy_loss(*low, loss_weights(mask_BT, "token"), mask_BT, 0.2, 0.2)
    assert {loss.dtype, *(value.dtype for value in metrics.values())} == {torch.float32}


def test_policy_loss_refuses() -> None:
    logprobs_BT, old_BT, advantages_B, mask_BT = batch()
    weights_BT = loss_weights(mask_BT, "token")
    with pytest.raises(ValueError, match="got 'sequence'"):
        policy_loss(logprobs_BT, old_BT, advantages_B, weights_BT, mask_BT, 0.2, 0.2, "sequence")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"dual_clip \(1.0\)"):
        policy_loss(logprobs_BT, old_BT, advantages_B, weights_BT, mask_BT, 0.2, 0.2, dual_clip=1.0)
    with pytest.raises(AssertionError):
        policy_loss(logprobs_BT, old_BT, advantages_B[:, None], weights_BT, mask_BT, 0.2, 0.2)
    with pytest.raises(AssertionError):
        policy_loss(logprobs_BT, old_BT[:, :1], advantages_B, weights_BT, mask_BT, 0.2, 0.2)


# --- the value loss --------------------------------------------------------------------------------------------------


def value_batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return values_BT (a leaf), old_values_BT, returns_BT, mask_BT; the values have moved by more than a clip."""
    _, _, _, mask_BT = batch()
    generator = torch.Generator().manual_seed(seed)
    old_BT, returns_BT, moved_BT = torch.randn(3, *mask_BT.shape, generator=generator)
    return (old_BT + 0.4 * moved_BT).requires_grad_(), old_BT, returns_BT, mask_BT


def loop_value_loss(
    values_BT: Tensor, old_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor, clip: float | None, norm: str
) -> float:
    """Half the squared error, or that of the clipped value where it is larger, one token at a time."""
    lengths = [int(length) for length in mask_BT.sum(1)]
    rows = sum(length > 0 for length in lengths)
    loss = 0.0
    for i, length in enumerate(lengths):
        denominator = {"token": sum(lengths), "seq": rows * length, "const": rows * 8}.get(norm, rows)
        for t in range(mask_BT.shape[1]):
            if mask_BT[i, t]:
                value, old, target = (values[i, t].item() for values in (values_BT, old_BT, returns_BT))
                error = (value - target) ** 2
                if clip is not None:
                    error = max(error, (min(max(value, old - clip), old + clip) - target) ** 2)
                loss += error / 2 / denominator
    return loss


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), clip=st.sampled_from([None, 0.0, 0.2, 10.0]), norm=st.sampled_from(NORMS))
def test_value_loss_equals_the_loop(seed: int, clip: float | None, norm: Norm) -> None:
    values_BT, old_BT, returns_BT, mask_BT = value_batch(seed)
    loss = value_loss(values_BT, old_BT, returns_BT, loss_weights(mask_BT, norm, max_length=8), mask_BT, clip)
    assert loss.dtype == torch.float32 and loss.ndim == 0
    expected = loop_value_loss(values_BT, old_BT, returns_BT, mask_BT, clip, norm)
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "target", "expected_loss", "expected_gradient"),
    [
        (1.0, 2.0, 1.8**2 / 2, 0.0),  # upwards to the target, and already past the clip: no further
        (1.0, -1.0, 2.0, 2.0),  # upwards, but the target lies below: back
        (-1.0, -2.0, 1.8**2 / 2, 0.0),  # downwards to the target, and already past the clip: no further
        (-1.0, 1.0, 2.0, -2.0),  # downwards, but the target lies above: back
        (0.1, 1.0, 0.9**2 / 2, -0.9),  # within the clip
        (-0.1, 1.0, 1.1**2 / 2, -1.1),
    ],
)
def test_the_value_clip_acts_only_on_the_way_to_the_target(
    value: float, target: float, expected_loss: float, expected_gradient: float
) -> None:
    values_BT, ones_BT = torch.tensor([[value]], requires_grad=True), torch.ones(1, 1)
    inputs = values_BT, torch.zeros(1, 1), torch.tensor([[target]]), ones_BT, ones_BT.bool()
    clipped, plain = value_loss(*inputs, clip_range_vf=0.2), value_loss(*inputs)
    assert clipped.item() == pytest.approx(expected_loss)
    assert gradient(clipped, values_BT).item() == pytest.approx(expected_gradient)
    assert plain.item() == pytest.approx((value - target) ** 2 / 2)
    assert gradient(plain, values_BT).item() == pytest.approx(value - target)


@pytest.mark.parametrize("clip", [None, 0.2])
@pytest.mark.parametrize("junk", JUNK)
def test_value_loss_off_the_mask_changes_nothing(junk: float, clip: float | None) -> None:
    values_BT, old_BT, returns_BT, mask_BT = value_batch()
    weights_BT = loss_weights(mask_BT, "token")
    clean = value_loss(values_BT, old_BT, returns_BT, weights_BT, mask_BT, clip)
    dirty_BT = values_BT.detach().masked_fill(~mask_BT, junk).requires_grad_()
    others = [values.masked_fill(~mask_BT, junk) for values in (old_BT, returns_BT)]
    loss = value_loss(dirty_BT, *others, weights_BT, mask_BT, clip)
    assert torch.equal(loss, clean)
    assert torch.equal(gradient(loss, dirty_BT), gradient(clean, values_BT))


@pytest.mark.parametrize("norm", NORMS)
def test_value_losses_of_micro_batches_add_up(norm: Norm) -> None:
    values_BT, old_BT, returns_BT, mask_BT = value_batch()
    weights_BT = loss_weights(mask_BT, norm, max_length=8)
    inputs = values_BT, old_BT, returns_BT, weights_BT, mask_BT
    parts = [value_loss(*(values[rows] for values in inputs), clip_range_vf=0.2) for rows in (slice(2), slice(2, 6))]
    torch.testing.assert_close(sum(parts), value_loss(*inputs, clip_range_vf=0.2))


@pytest.mark.parametrize("clip", [None, 0.2])
def test_no_gradient_reaches_the_old_values_or_the_returns(clip: float | None) -> None:
    values_BT, old_BT, returns_BT, mask_BT = value_batch()
    old_BT.requires_grad_()
    returns_BT.requires_grad_()
    weights_BT = loss_weights(mask_BT, "token")
    value_loss(values_BT, old_BT, returns_BT, weights_BT, mask_BT, clip).backward()  # type: ignore[no-untyped-call]
    assert values_BT.grad is not None and values_BT.grad.any()
    assert old_BT.grad is None and returns_BT.grad is None


# --- KL estimators, by enumeration -----------------------------------------------------------------------------------

POLICY_LOGITS = torch.tensor([0.3, -1.2, 0.8, 0.1, -0.4, 1.1, -0.9])
REFERENCE_1V = torch.tensor([-0.5, 0.7, 0.2, -1.0, 0.6, 0.4, -0.2]).log_softmax(0)[None]
SAMPLER_1V = torch.tensor([0.9, 0.1, -0.7, 0.4, 0.0, -0.3, 0.5]).log_softmax(0)[None]
ALL_1V = torch.ones(1, 7, dtype=torch.bool)


def policy() -> tuple[Tensor, Tensor]:
    """Return the logits (a leaf) and log π of all seven outcomes, as one row of tokens."""
    theta_V = POLICY_LOGITS.clone().requires_grad_()
    return theta_V, theta_V.log_softmax(0)[None]


def exact_kl(first_1V: Tensor, second_1V: Tensor) -> Tensor:
    return (first_1V.exp() * (first_1V - second_1V)).sum()


def expected_gradient(kind: KLKind, old_1V: Tensor | None = None) -> Tensor:
    """E[∇ estimator] over samples from π, or from the old policy if one is given."""
    theta_V, logp_1V = policy()
    sampler_1V = logp_1V.detach() if old_1V is None else old_1V
    penalty_1V = kl_penalty(logp_1V, REFERENCE_1V, ALL_1V, kind, old_1V)
    return gradient((sampler_1V.exp() * penalty_1V).sum(), theta_V)


def reverse_kl_gradient() -> Tensor:
    theta_V, logp_1V = policy()
    return gradient(exact_kl(logp_1V, REFERENCE_1V), theta_V)


@pytest.mark.parametrize(("kind", "unbiased"), [("k1", True), ("k2", False), ("k3", True), ("k3_is", True)])
def test_kl_value(kind: KLKind, unbiased: bool) -> None:
    logp_1V = policy()[1].detach()
    estimate = (logp_1V.exp() * kl_penalty(logp_1V, REFERENCE_1V, ALL_1V, kind)).sum()
    truth = exact_kl(logp_1V, REFERENCE_1V)
    assert truth > 0.1
    assert torch.isclose(estimate, truth, rtol=1e-5).item() == unbiased
    assert estimate.item() == pytest.approx(truth.item(), rel=0.5)  # k2 is biased, but of the right size


def test_kl_k1_as_loss_has_no_gradient() -> None:
    torch.testing.assert_close(expected_gradient("k1"), torch.zeros(7), atol=1e-7, rtol=0)


@pytest.mark.parametrize("kind", ["k2", "k3_is"])
def test_kl_k2_and_weighted_k3_as_loss_are_right(kind: KLKind) -> None:
    torch.testing.assert_close(expected_gradient(kind), reverse_kl_gradient(), atol=1e-6, rtol=1e-5)


def test_kl_k3_as_loss_is_the_other_divergence() -> None:
    theta_V, logp_1V = policy()
    forward_V = gradient(exact_kl(REFERENCE_1V, logp_1V), theta_V)
    torch.testing.assert_close(expected_gradient("k3"), forward_V, atol=1e-6, rtol=1e-5)
    assert (expected_gradient("k3") - reverse_kl_gradient()).abs().max() > 1e-2


def test_kl_weighted_k3_is_right_off_policy_too() -> None:
    torch.testing.assert_close(expected_gradient("k3_is", SAMPLER_1V), reverse_kl_gradient(), atol=1e-6, rtol=1e-5)
    assert (expected_gradient("k2", SAMPLER_1V) - reverse_kl_gradient()).abs().max() > 1e-2


@pytest.mark.parametrize(("kind", "right"), [("k1", True), ("k3", False)])
def test_kl_as_reward(kind: KLKind, right: bool) -> None:
    """E[estimator ∇log π] is the gradient of KL(π‖ref) for k1 and, although k3 is unbiased as a value, not for k3."""
    theta_V, logp_1V = policy()
    penalty_1V = kl_penalty(logp_1V, REFERENCE_1V, ALL_1V, kind).detach()
    score_V = gradient((logp_1V.detach().exp() * penalty_1V * logp_1V).sum(), theta_V)
    assert torch.allclose(score_V, reverse_kl_gradient(), atol=1e-6, rtol=1e-5) == right


def test_kl_by_hand() -> None:
    logprobs_BT, reference_BT = torch.tensor([[math.log(0.5)]]), torch.tensor([[math.log(0.25)]])
    mask_BT = torch.ones(1, 1, dtype=torch.bool)
    expected = {"k1": math.log(2), "k2": math.log(2) ** 2 / 2, "k3": math.log(2) - 0.5, "k3_is": math.log(2) - 0.5}
    for kind in KL_KINDS:
        assert kl_penalty(logprobs_BT, reference_BT, mask_BT, kind).item() == pytest.approx(expected[kind])


@pytest.mark.parametrize("kind", KL_KINDS)
@pytest.mark.parametrize("difference", [200.0, -200.0])
def test_kl_is_finite_far_away(kind: KLKind, difference: float) -> None:
    logprobs_BT = torch.full((1, 1), difference, requires_grad=True)
    penalty_BT = kl_penalty(logprobs_BT, torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), kind)
    assert penalty_BT.isfinite().all()
    assert gradient(penalty_BT.sum(), logprobs_BT).isfinite().all()


@pytest.mark.parametrize("kind", KL_KINDS)
@pytest.mark.parametrize("junk", JUNK)
def test_kl_off_the_mask_changes_nothing(kind: KLKind, junk: float) -> None:
    logprobs_BT, reference_BT, _, mask_BT = batch()
    clean_BT = kl_penalty(logprobs_BT, reference_BT, mask_BT, kind)
    dirty_BT = logprobs_BT.detach().masked_fill(~mask_BT, junk).requires_grad_()
    penalty_BT = kl_penalty(dirty_BT, reference_BT.masked_fill(~mask_BT, junk), mask_BT, kind)
    assert torch.equal(penalty_BT, clean_BT)
    assert not penalty_BT[~mask_BT].any()
    assert torch.equal(gradient(penalty_BT.sum(), dirty_BT), gradient(clean_BT.sum(), logprobs_BT))


@settings(deadline=None, max_examples=60)
@given(difference=st.floats(-15, 15, width=32))
def test_k3_is_precise_and_not_negative(difference: float) -> None:
    ones_BT = torch.ones(1, 1, dtype=torch.bool)
    k3 = kl_penalty(torch.tensor([[difference]]), torch.zeros(1, 1), ones_BT, "k3").item()
    assert k3 >= 0
    assert k3 == pytest.approx(math.expm1(-difference) + difference, rel=1e-3, abs=1e-9)


def test_kl_refuses() -> None:
    with pytest.raises(ValueError, match="got 'k4'"):
        kl_penalty(REFERENCE_1V, REFERENCE_1V, ALL_1V, "k4")  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        kl_penalty(REFERENCE_1V, REFERENCE_1V[:, :1], ALL_1V)
