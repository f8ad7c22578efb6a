"""``ExpertIteration``: sample, keep what the verifier accepts, imitate it. The baseline that RL must beat.

Also known as RAFT (arXiv 2304.06767), STaR (2203.14465) and rejection-sampling fine-tuning. At equal numbers of
samples it is the honest comparison for every other agent here.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from textgym.agents.agent import AgentConfig
from textgym.agents.distributed import total
from textgym.agents.on_policy import OnPolicyAgent, OnPolicyConfig, mean_metrics, rollout_metrics
from textgym.agents.policy import Evaluated
from textgym.agents.rollout import Rollout


@dataclasses.dataclass(frozen=True)
class ExpertIterationConfig(OnPolicyConfig):
    """Settings of ``ExpertIteration``."""

    prompts_per_update: int = 64
    """Problems of each update."""
    group_size: int = 4
    """Answers to each problem."""
    keep: int = 1
    """At most this many different right answers to a problem are imitated."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        if self.keep < 1:
            raise ValueError(f"keep must be >= 1, got {self.keep}")


class ExpertIteration(OnPolicyAgent):
    """Cross-entropy on the policy's own right answers: L = -sum(mask * log pi) / sum(mask) over the kept rows."""

    Config: ClassVar[type[AgentConfig]] = ExpertIterationConfig
    config: ExpertIterationConfig

    def update(self) -> dict[str, float]:
        """Sample groups of answers, keep the right ones, and take ``n_epochs * n_minibatches`` steps towards them."""
        rollout = self.collect()
        metrics = rollout_metrics(rollout) | self.reference_logprobs(rollout)[1]
        self.write_samples(rollout, rollout.successes.float())
        rows = self._right_answers(rollout)
        kept = int(total(torch.tensor(len(rows), device=rows.device)))
        metrics["rollout/frac_kept"] = kept / self.episodes_per_update
        if kept == 0:
            return metrics
        batch = rollout.select(rows)
        steps = [self._step(batch, some) for _ in range(self.config.n_epochs) for some in self.minibatches(batch)]
        return metrics | mean_metrics(steps)

    def _right_answers(self, rollout: Rollout) -> Tensor:
        """Return the rows to imitate: right, not cut, no two of a group alike, ``keep`` of a group at most."""
        kept: dict[int, set[tuple[int, ...]]] = {}
        rows = []
        good = rollout.successes & ~rollout.cut & torch.isfinite(rollout.returns) & (rollout.lengths > 0)
        for row in torch.nonzero(good).squeeze(1).tolist():
            answers = kept.setdefault(int(rollout.group_ids[row]), set())
            answer = tuple(rollout.tokens[row][rollout.token_mask[row]].tolist())
            if len(answers) < self.config.keep and answer not in answers:
                answers.add(answer)
                rows.append(row)
        return torch.tensor(rows, dtype=torch.long, device=rollout.tokens.device)

    def _step(self, batch: Rollout, rows: Tensor) -> dict[str, float]:
        """Take one optimiser step towards some of the answers."""
        weights = self.weights(batch, rows, "token")

        def loss(part: Rollout, part_rows: Tensor, now: Evaluated) -> tuple[Tensor, dict[str, Tensor]]:
            part_weights = weights[part_rows, : part.tokens.shape[1]]
            return -torch.where(part.action_mask, part_weights * now.logprobs, 0.0).sum(), {}

        return self.step(batch, rows, loss)
