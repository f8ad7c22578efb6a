"""Advantages: how much better an action, or a whole completion, was than could be expected.

- `gae`: of each token, from a critic's values.
- `returns_to_go`: what came after each token.
- `masked_whiten`: mean 0 and deviation 1 over the tokens that count.
- `group_advantages`: of a whole completion next to the others of its group: centred, z-scored, leave-one-out, or
  centred and scaled by the batch.
- `zero_variance`: rows of groups that have nothing to teach, since all their rewards are the same.
- `soft_overlong_penalty`: DAPO's addition to the reward of an answer that nears the length limit.

Pure functions of tensors. `_B` is the batch of rows (one completion each); a group is the rows that answer one prompt
instance, and is known by its id alone: neither the row order nor the prompt text matters. A row that could not be
scored (`scorable_B` false, or a reward that is not finite) gets advantage 0 and enters no mean and no deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

__all__ = [
    "AdvantageKind",
    "gae",
    "group_advantages",
    "masked_whiten",
    "returns_to_go",
    "soft_overlong_penalty",
    "zero_variance",
]

AdvantageKind = Literal["center", "zscore", "rloo", "batch_std"]
Total = Callable[[Tensor], Tensor]
"""Adds up a number over the processes that have a part of the batch each."""


def gae(
    rewards_BT: Tensor,
    values_BT: Tensor,
    last_values_B: Tensor,
    mask_BT: Tensor,
    gamma: float = 1.0,
    gae_lambda: float = 0.95,
) -> tuple[Tensor, Tensor]:
    """Estimate advantages and returns of each action (GAE, arXiv 1506.02438, equation 16).

        A_t = δ_t + γ λ A_t',   δ_t = r_t + γ V_t' - V_t,   R_t = A_t + V_t

    t' is the next token that the policy sampled: tokens of the environment between two turns are no time steps. After
    the last one stands `last_values_B`: 0 where the episode was terminated, V of the last state where it was truncated.

    Args:
        rewards_BT: Reward of each token.
        values_BT: V of the state before each token.
        last_values_B: V after the last token.
        mask_BT: Which tokens the policy sampled.
        gamma: Discount γ.
        gae_lambda: λ.

    Returns:
        Advantages and returns, (B, T) float32, 0 off the mask.
    """
    assert rewards_BT.shape == values_BT.shape == mask_BT.shape, "rewards, values and mask differ in shape"
    assert last_values_B.shape == mask_BT.shape[:1], f"{tuple(last_values_B.shape)} against {tuple(mask_BT.shape)}"
    rewards_BT = torch.where(mask_BT, rewards_BT.float(), 0.0)
    values_BT = torch.where(mask_BT, values_BT.float(), 0.0)
    next_value_B, advantage_B = last_values_B.float(), torch.zeros_like(last_values_B, dtype=torch.float32)
    advantages_BT = torch.zeros_like(rewards_BT)
    for t in reversed(range(mask_BT.shape[1])):
        is_action_B = mask_BT[:, t]
        delta_B = rewards_BT[:, t] + gamma * next_value_B - values_BT[:, t]
        advantage_B = torch.where(is_action_B, delta_B + gamma * gae_lambda * advantage_B, advantage_B)
        next_value_B = torch.where(is_action_B, values_BT[:, t], next_value_B)
        advantages_BT[:, t] = torch.where(is_action_B, advantage_B, 0.0)
    return advantages_BT, advantages_BT + values_BT


def returns_to_go(rewards_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Sum the rewards from each action on, undiscounted (Sutton and Barto 2018, equation 3.8 with γ = 1).

    Returns:
        (B, T) float32, 0 off the mask.
    """
    rewards_BT = torch.where(mask_BT, rewards_BT.float(), 0.0)
    return torch.where(mask_BT, rewards_BT.flip(1).cumsum(1).flip(1), 0.0)


def masked_whiten(
    values_BT: Tensor, mask_BT: Tensor, eps: float = 1e-8, total: Total = lambda number: number
) -> Tensor:
    """Shift and scale to mean 0 and deviation 1 (N - 1) over the masked values; 0 off the mask.

    Equal values become 0, whatever float32 makes of their mean.
    """
    values_BT, count = torch.where(mask_BT, values_BT.float(), 0.0), total(mask_BT.sum())
    mean = total(values_BT.sum()) / count.clamp(min=1)
    centred_BT = torch.where(mask_BT, values_BT - mean, 0.0)
    deviation = (total(centred_BT.square().sum()) / (count - 1).clamp(min=1)).sqrt()
    return torch.where(deviation > 1e-6 * mean.abs(), centred_BT / (deviation + eps), 0.0)


def _scorable_peers(rewards_B: Tensor, group_ids_B: Tensor, scorable_B: Tensor) -> Tensor:
    """Return (B, B) bool: column j is a scorable member of row i's group. The diagonal says which rows are scorable."""
    assert rewards_B.ndim == 1, f"expected rewards of shape (B,), got {tuple(rewards_B.shape)}"
    assert rewards_B.shape == group_ids_B.shape == scorable_B.shape, "rewards, group ids and scorable differ in shape"
    assert scorable_B.dtype == torch.bool, f"scorable_B must be bool, got {scorable_B.dtype}"
    return (group_ids_B[:, None] == group_ids_B) & (scorable_B & rewards_B.isfinite())


def zero_variance(rewards_B: Tensor, group_ids_B: Tensor, scorable_B: Tensor) -> Tensor:
    """Find the rows whose group gives no gradient: max r = min r, or fewer than two scorable rewards.

    These are the groups that dynamic sampling leaves out (DAPO, arXiv 2503.14476, section 3.2). An unscorable row of
    a group that does vary is not marked: it says nothing about its group.

    Args:
        rewards_B: Reward of each row.
        group_ids_B: Integer group of each row.
        scorable_B: False where the reward is not to be used.

    Returns:
        (B,) bool.
    """
    peers_BB = _scorable_peers(rewards_B, group_ids_B, scorable_B)
    rewards_BB = rewards_B.float().expand_as(peers_BB)
    lowest_B = rewards_BB.masked_fill(~peers_BB, torch.inf).amin(dim=1)
    highest_B = rewards_BB.masked_fill(~peers_BB, -torch.inf).amax(dim=1)
    return lowest_B >= highest_B  # strictly greater (inf >= -inf) where nothing is scorable


def group_advantages(
    rewards_B: Tensor,
    group_ids_B: Tensor,
    scorable_B: Tensor,
    kind: AdvantageKind = "center",
    std_eps: float = 1e-4,
    total: Total = lambda number: number,
) -> Tensor:
    """Compare each reward with those of its own group of n scorable samples with mean r̄.

        center     A_i = r_i - r̄                              Dr. GRPO (arXiv 2503.20783), section 3.2
        zscore     A_i = (r_i - r̄) / (std_group + eps)         GRPO (arXiv 2402.03300), section 4.1.2; n - 1
        rloo       A_i = r_i - Σ_{j≠i} r_j / (n - 1)           RLOO (arXiv 2402.14740)
                       = (r_i - r̄) n / (n - 1)
        batch_std  A_i = (r_i - r̄) / (std_batch + eps)         REINFORCE++ with baseline (arXiv 2501.03262)

    std_batch is the deviation (N - 1) of r_i - r̄ over the N scorable rows of all groups with at least two, those
    without variance included (TRL's scale_rewards="batch" takes the deviation of r_i instead). A `zero_variance`
    group gets exactly 0, whatever float32 makes of its mean.

    Args:
        rewards_B: Reward of each row.
        group_ids_B: Integer group of each row.
        scorable_B: False where the reward is not to be used; such a row gets 0.
        kind: Which of the formulas above.
        std_eps: Added to the deviation.
        total: Adds up over the processes that have a part of the batch each, in whole groups; for "batch_std".

    Returns:
        (B,) float32 advantages.

    Raises:
        ValueError: If `kind` is unknown.
    """
    peers_BB = _scorable_peers(rewards_B, group_ids_B, scorable_B)
    valid_B, count_B = peers_BB.diagonal(), peers_BB.sum(dim=1)
    rewards_B = torch.where(valid_B, rewards_B.float(), 0.0)
    mean_B = torch.where(peers_BB, rewards_B, 0.0).sum(dim=1) / count_B.clamp(min=1)
    live_B = valid_B & ~zero_variance(rewards_B, group_ids_B, valid_B)
    centred_B = torch.where(live_B, rewards_B - mean_B, 0.0)
    if kind == "center":
        return centred_B
    if kind == "rloo":
        return centred_B * count_B / (count_B - 1).clamp(min=1)
    if kind == "zscore":
        variance_B = torch.where(peers_BB, centred_B.square(), 0.0).sum(dim=1) / (count_B - 1).clamp(min=1)
        return centred_B / (variance_B.sqrt() + std_eps)
    if kind == "batch_std":
        rows = total((valid_B & (count_B >= 2)).sum())
        return centred_B / ((total(centred_B.square().sum()) / (rows - 1).clamp(min=1)).sqrt() + std_eps)
    raise ValueError(f"kind must be 'center', 'zscore', 'rloo' or 'batch_std', got {kind!r}")


def soft_overlong_penalty(lengths_B: Tensor, max_length: int, cache: int) -> Tensor:
    """Punish answers that end within the last `cache` tokens before the limit (DAPO, arXiv 2503.14476, equation 13).

        R_length(y) = 0                                       |y| <= L_max - L_cache
                      ((L_max - L_cache) - |y|) / L_cache     in between
                      -1                                      |y| >= L_max

    Args:
        lengths_B: Number of tokens of each completion.
        max_length: L_max, the length limit.
        cache: L_cache, the width of the ramp.

    Returns:
        (B,) float32 in [-1, 0], to be added to the reward.

    Raises:
        ValueError: If `cache` does not lie in [1, max_length].
    """
    assert lengths_B.ndim == 1, f"expected lengths of shape (B,), got {tuple(lengths_B.shape)}"
    if not 1 <= cache <= max_length:
        raise ValueError(f"cache ({cache}) must lie between 1 and max_length ({max_length})")
    return ((max_length - cache - lengths_B.float()) / cache).clamp(-1.0, 0.0)
