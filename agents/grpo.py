"""``GRPO`` and its relatives: no critic, an answer is as good as it beats the other answers to the same problem.

One file for the family of arXiv 2402.03300; a preset is a choice of switches:

- ``grpo``: DeepSeekMath, 2402.03300: z-scored rewards, mean over each sequence, k3 KL in the loss.
- ``dr_grpo``: 2503.20783: centred rewards, a constant denominator, no KL.
- ``dapo``: 2503.14476: clip-higher, mean over tokens, dynamic sampling, overlong penalty, cut rows masked.
- ``gspo``: 2507.18071: one importance ratio for a sequence.
- ``rloo``: 2402.14740: leave-one-out baseline, sums over tokens, no ratio, KL in the reward.

Left out: sampling engines other than ours (and with them off-policy corrections).
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from textgym.agents.advantages import AdvantageKind, group_advantages, soft_overlong_penalty, zero_variance
from textgym.agents.agent import AgentConfig
from textgym.agents.distributed import mean, total
from textgym.agents.losses import KLKind, Norm, RatioLevel, kl_penalty, masked_mean, policy_loss
from textgym.agents.on_policy import OnPolicyAgent, OnPolicyConfig, mean_metrics, rollout_metrics
from textgym.agents.policy import Evaluated
from textgym.agents.rollout import Rollout, concatenate


@dataclasses.dataclass(frozen=True)
class GRPOConfig(OnPolicyConfig):
    """Settings of ``GRPO``; the defaults are centred rewards with a mean over all tokens."""

    group_size: int = 8
    """Answers to each problem."""
    advantage: AdvantageKind = "center"
    """``center`` r - mean, ``zscore`` also / std of the group, ``rloo`` leave-one-out, ``batch_std`` / std of
    r - mean over all groups."""
    norm: Norm = "token"
    """``token`` mean over tokens, ``seq`` mean of sequence means, ``const`` / (rows * limit), ``seqsum`` / rows."""
    ratio: RatioLevel = "token"
    """Importance ratio of a ``token``, of a whole sequence (``seq``), or ``none`` (REINFORCE)."""
    clip_range: float = 0.2
    """The ratio is clipped below 1 - this."""
    clip_range_high: float | None = None
    """The ratio is clipped above 1 + this; None: as ``clip_range``."""
    dual_clip: float | None = None
    """Bound of the ratio where the advantage is negative, > 1."""
    kl_coef: float = 0.0
    """Weight of the KL divergence from the initial policy; above 0 that policy is kept (a
    copy; with LoRA the weights without the adapter)."""
    kl_kind: KLKind = "k2"
    """Estimator of that KL in the loss; in the reward it is always k1."""
    kl_in_reward: bool = False
    """Subtract the KL from the reward instead of adding it to the loss."""
    drop_zero_variance: bool = True
    """Leave out groups whose rewards are all equal, and their tokens in the denominators."""
    resample: int = 0
    """Dynamic sampling: at most this many further rounds to replace groups without variance."""
    overlong: Literal["keep", "mask", "penalty", "mask_and_penalty"] = "keep"
    """Answers cut by ``max_new_tokens``: ``keep`` their reward, ``mask`` them out, or lower it as they near the limit
    (``penalty``), or both. (The limit of a token-level env is part of the task, and what it cuts is not left out.)"""
    overlong_cache: int = 16
    """Tokens before the limit over which the penalty grows from 0 to 1."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        if self.overlong_cache < 1:
            raise ValueError(f"overlong_cache must be >= 1, got {self.overlong_cache}")
        if self.group_size < 2:
            raise ValueError(
                f"group_size must be >= 2, got {self.group_size}: one answer has nothing to be compared with"
            )
        if self.ratio == "seq" and self.norm != "seq":
            raise ValueError(f"ratio='seq' (GSPO) needs norm='seq', got norm={self.norm!r}")
        for name in ("kl_coef", "resample", "clip_range", "clip_range_high"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        if self.dual_clip is not None and self.dual_clip <= 1:
            raise ValueError(f"dual_clip must be > 1, got {self.dual_clip}")
        if self.kl_in_reward and self.kl_coef == 0:
            raise ValueError("kl_in_reward needs kl_coef > 0")
        if self.kl_in_loss and self.kl_kind == "k1":
            raise ValueError("kl_kind='k1' has no gradient in the loss: use k2, or kl_in_reward")
        if self.ratio == "none" and self.n_epochs * self.n_minibatches > 1:
            raise ValueError("ratio='none' (REINFORCE) is right for one step on each batch: n_epochs=n_minibatches=1")

    @property
    def kl_in_loss(self) -> bool:
        """Whether the KL is a term of the loss."""
        return self.kl_coef > 0 and not self.kl_in_reward


PRESETS: dict[str, dict[str, Any]] = {
    "grpo": {"advantage": "zscore", "norm": "seq", "kl_coef": 0.04, "kl_kind": "k3", "drop_zero_variance": False},
    "dr_grpo": {"advantage": "center", "norm": "const"},
    "dapo": {
        "advantage": "zscore", "norm": "token", "clip_range_high": 0.28, "resample": 3, "overlong": "mask_and_penalty"
    },
    "gspo": {"advantage": "zscore", "norm": "seq", "ratio": "seq", "clip_range": 3e-4, "clip_range_high": 4e-4},
    "rloo": {
        "advantage": "rloo", "norm": "seqsum", "ratio": "none", "kl_coef": 0.03, "kl_in_reward": True,
        "drop_zero_variance": False,
    },
}  # fmt: skip


class GRPO(OnPolicyAgent):
    """Group relative policy optimisation (see the module), on sequence-level and token-level envs.

    ``GRPO(policy, env, preset="dapo", group_size=16)``: a preset sets switches, explicit hyperparameters win over it.
    The loss sits near 0 by construction, since the advantages of a group sum to 0: watch ``rollout/ep_rew_mean``.
    """

    Config: ClassVar[type[AgentConfig]] = GRPOConfig
    presets = PRESETS
    config: GRPOConfig

    def _setup_model(self) -> None:
        super()._setup_model()
        if "penalty" in self.config.overlong and self.config.overlong_cache > self.length_limit():
            raise ValueError(
                f"overlong_cache must be <= the longest response, got {self.config.overlong_cache} and "
                f"{self.length_limit()}"
            )

    def update(self) -> dict[str, float]:
        """Sample groups of answers, compare, and step."""
        rollout, metrics = self._sample()
        reference, kl_metrics = self.reference_logprobs(rollout)
        metrics |= kl_metrics
        shaped = self._shaped_returns(rollout, reference)
        scorable = torch.isfinite(shaped)
        if "mask" in self.config.overlong:
            scorable &= ~rollout.cut
        advantages = group_advantages(shaped, rollout.group_ids, scorable, self.config.advantage, total=total)
        keep = scorable & (rollout.lengths > 0)
        if self.config.drop_zero_variance:
            keep &= ~zero_variance(shaped, rollout.group_ids, scorable)
        self.write_samples(rollout, advantages)
        rows = torch.nonzero(keep).squeeze(1)
        metrics["rollout/frac_kept"] = mean(keep).item()
        if total(keep.sum()):
            in_loss = None if reference is None or not self.config.kl_in_loss else reference[rows]
            metrics |= self._train(rollout.select(rows), advantages[rows], in_loss)
        return metrics

    def _sample(self) -> tuple[Rollout, dict[str, float]]:
        """Collect a batch; with ``resample``, replace groups without variance by new ones."""
        rollout = self.collect()
        metrics = rollout_metrics(rollout)
        rounds = 0
        while rounds < self.config.resample:
            flat = zero_variance(rollout.returns, rollout.group_ids, torch.isfinite(rollout.returns))
            if not total(flat.sum()):
                break
            rounds += 1
            rollout = self._replace_groups(rollout, flat, self.collect(attempt=rounds))
        if self.config.resample:
            metrics["rollout/resample_rounds"] = float(rounds)
        return rollout, metrics

    def _replace_groups(self, rollout: Rollout, flat: Tensor, fresh: Rollout) -> Rollout:
        """Return ``rollout`` with flat groups replaced by ones of ``fresh`` that vary, of the same shard, if any."""
        varied = ~zero_variance(fresh.returns, fresh.group_ids, torch.isfinite(fresh.returns))
        wanted, offered = torch.unique(rollout.group_ids[flat]), torch.unique(fresh.group_ids[varied])
        for shard in range(len(self.shards)):
            pairs = zip(wanted[self.shard_of(wanted) == shard], offered[self.shard_of(offered) == shard], strict=False)
            for old, new in pairs:
                kept = rollout.select(torch.nonzero(rollout.group_ids != old).squeeze(1))
                taken = fresh.select(torch.nonzero(fresh.group_ids == new).squeeze(1))
                taken.group_ids = torch.full_like(taken.group_ids, int(old))
                rollout = concatenate([kept, taken])
        return rollout

    def _shaped_returns(self, rollout: Rollout, reference: Tensor | None) -> Tensor:
        """Return what the groups compare: the returns, with the overlong penalty and the KL in the reward."""
        returns = rollout.returns
        if "penalty" in self.config.overlong:
            lengths = rollout.last_response_lengths
            returns = returns + soft_overlong_penalty(lengths, self.length_limit(), self.config.overlong_cache)
        if reference is not None and self.config.kl_in_reward:
            kl = kl_penalty(rollout.logprobs, reference, rollout.action_mask, "k1").sum(1)
            returns = returns - self.config.kl_coef * kl
        return returns

    def _train(self, batch: Rollout, advantages: Tensor, reference: Tensor | None) -> dict[str, float]:
        """Take ``n_epochs * n_minibatches`` optimiser steps; ``reference`` (B, T): for a KL in the loss."""
        config = self.config
        several_steps = config.n_epochs * config.n_minibatches > 1
        old = self.logprobs(self.policy, batch) if several_steps else None
        steps = [
            self._step(batch, advantages, old, reference, rows)
            for _ in range(config.n_epochs)
            for rows in self.minibatches(batch)
        ]
        return mean_metrics(steps) | {
            "train/adv_mean": mean(advantages).item(),
            "train/adv_std": mean((advantages - mean(advantages)).square()).sqrt().item(),
        }

    def _step(
        self, batch: Rollout, advantages: Tensor, old: Tensor | None, reference: Tensor | None, rows: Tensor
    ) -> dict[str, float]:
        """Take one optimiser step; the normalisation is that of all its rows, however they are split."""
        config = self.config
        high = config.clip_range if config.clip_range_high is None else config.clip_range_high
        weights = self.weights(batch, rows, config.norm)

        def loss_of(part: Rollout, part_rows: Tensor, now: Evaluated) -> tuple[Tensor, dict[str, Tensor]]:
            mask, width = part.action_mask, part.tokens.shape[1]
            part_weights, part_old = weights[part_rows, :width], None if old is None else old[part_rows, :width]
            loss, metrics = policy_loss(
                now.logprobs,
                now.logprobs.detach() if part_old is None else part_old,
                advantages[part_rows],
                part_weights,
                mask,
                config.clip_range,
                high,
                config.ratio,
                config.dual_clip,
            )
            metrics["pg_loss"] = loss.detach()
            if reference is not None:
                kl = kl_penalty(now.logprobs, reference[part_rows, :width], mask, config.kl_kind, part_old)
                loss = loss + config.kl_coef * (part_weights * kl).sum()
                metrics["kl_ref"] = masked_mean(kl.detach(), mask)
            return loss, metrics

        return self.step(batch, rows, loss_of)
