"""``REINFORCE``: raise the log-probability of what was rewarded more than expected.

Williams 1992, with the usual baselines; as in RLHF a KL penalty for each token may stand in the reward
(REINFORCE++, arXiv 2501.03262, section 3). One gradient step for a batch: there is no ratio and nothing to clip. For
leave-one-out baselines see ``GRPO(preset="rloo")``.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from textgym.agents.advantages import masked_whiten, returns_to_go
from textgym.agents.agent import AgentConfig
from textgym.agents.distributed import mean, total
from textgym.agents.losses import kl_penalty, policy_loss
from textgym.agents.on_policy import OnPolicyAgent, OnPolicyConfig, rollout_metrics, usable_rows
from textgym.agents.policy import Evaluated
from textgym.agents.rollout import Rollout


@dataclasses.dataclass(frozen=True)
class REINFORCEConfig(OnPolicyConfig):
    """Settings of ``REINFORCE``."""

    prompts_per_update: int = 256
    """Problems of each update."""
    baseline: Literal["batch_mean", "moving_average", "group_mean", "none"] = "batch_mean"
    """What a return is compared with: the mean of the batch, of earlier batches, of the group, or 0."""
    moving_average: float = 0.9
    """Share of the old value that the moving average keeps at each update."""
    normalize_advantage: bool = False
    """Whiten the advantages over the tokens of the batch."""
    kl_coef: float = 0.0
    """Weight of the KL divergence from the initial policy in the reward; above 0 that
    policy is kept (a copy; with LoRA the weights without the adapter)."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        if self.n_epochs * self.n_minibatches > 1:
            raise ValueError("REINFORCE is right for one step on each batch: n_epochs=n_minibatches=1")
        if self.baseline == "group_mean" and self.group_size < 2:
            raise ValueError("baseline='group_mean' needs group_size >= 2: one answer is its own mean")
        if not 0 <= self.moving_average < 1:
            raise ValueError(f"moving_average must be in 0..1, got {self.moving_average}")
        if not self.kl_coef >= 0:
            raise ValueError(f"kl_coef must be >= 0, got {self.kl_coef}")


PRESETS: dict[str, dict[str, Any]] = {
    "reinforce_pp": {"baseline": "none", "normalize_advantage": True, "kl_coef": 0.01},
}


class REINFORCE(OnPolicyAgent):
    """Policy gradient with a baseline (see the module), on sequence-level and token-level envs.

    ``REINFORCE(policy, env, preset="reinforce_pp")`` whitens the advantages of all tokens instead of subtracting a
    baseline, with a KL penalty for each.
    """

    Config: ClassVar[type[AgentConfig]] = REINFORCEConfig
    config: REINFORCEConfig
    presets = PRESETS

    def _setup_model(self) -> None:
        super()._setup_model()
        self.average: float | None = None
        """The moving average of returns so far."""

    def update(self) -> dict[str, float]:
        """Sample a batch, and take one step on log pi times the advantage of each token."""
        rollout = self.collect()
        metrics = rollout_metrics(rollout)
        reference, kl_metrics = self.reference_logprobs(rollout)
        metrics |= kl_metrics
        rows = usable_rows(rollout)
        if not total(torch.tensor(len(rows), device=rows.device)):
            return metrics
        batch = rollout.select(rows)
        mask, rewards = batch.action_mask, batch.rewards
        if reference is not None:
            kl = kl_penalty(batch.logprobs, reference[rows, : mask.shape[1]], mask, "k1")
            rewards = rewards - self.config.kl_coef * kl
            metrics["train/kl_ref"] = mean(kl[mask]).item()
        advantages = torch.where(mask, returns_to_go(rewards, mask) - self._baseline(batch)[:, None], 0.0)
        if self.config.normalize_advantage:
            advantages = masked_whiten(advantages, mask, total=total)
        self.write_samples(rollout, advantages.sum(1) / mask.sum(1), rows)
        every = torch.arange(len(rows), device=rows.device)
        weights = self.weights(batch, every, "seqsum")

        def loss_of(part: Rollout, part_rows: Tensor, now: Evaluated) -> tuple[Tensor, dict[str, Tensor]]:
            width = part.tokens.shape[1]
            loss, seen = policy_loss(
                now.logprobs,
                now.logprobs.detach(),
                advantages[part_rows, :width],
                weights[part_rows, :width],
                part.action_mask,
                0.0,
                0.0,
                ratio="none",
            )
            return loss, {"pg_loss": loss.detach(), "approx_kl": seen["approx_kl"]}

        return metrics | self.step(batch, every, loss_of)

    def _baseline(self, batch: Rollout) -> Tensor:
        """Return what each row's return is compared with, (B,)."""
        returns = batch.returns
        if self.config.baseline == "group_mean":
            groups, index, counts = torch.unique(batch.group_ids, return_inverse=True, return_counts=True)
            means: Tensor = torch.zeros(len(groups), device=returns.device).index_add(0, index, returns) / counts
            return means[index]
        if self.config.baseline == "batch_mean":
            return mean(returns).expand_as(returns)
        if self.config.baseline == "none":
            return torch.zeros_like(returns)
        now = mean(returns).item()
        baseline = now if self.average is None else self.average
        self.average = self.config.moving_average * baseline + (1 - self.config.moving_average) * now
        return torch.full_like(returns, baseline)

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"average": self.average}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self.average = state["average"]
