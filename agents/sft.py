"""``SFT``: supervised fine-tuning on the env's own perfect responses, the warm start before RL.

Left out: epochs over a fixed data set (problems are drawn fresh).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch

from textgym.agents.agent import Agent, AgentConfig
from textgym.agents.distributed import total
from textgym.agents.losses import loss_weights
from textgym.agents.rollout import concatenate, demonstrate


@dataclasses.dataclass(frozen=True)
class SFTConfig(AgentConfig):
    """Settings of ``SFT``."""

    batch_size: int = 64
    """Episodes of each update."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {self.batch_size}")


class SFT(Agent):
    """Cross-entropy on ``solution()``: L = -sum(mask * log pi) / sum(mask) over response tokens and the stop token."""

    Config: ClassVar[type[AgentConfig]] = SFTConfig
    config: SFTConfig

    @property
    def env_shape(self) -> tuple[int, int]:
        """One problem for each row of the batch."""
        return self.in_shards("batch_size"), 1

    def update(self) -> dict[str, float]:
        """Let the env demonstrate a batch of episodes, and take one gradient step towards them."""
        seeds = [self.update_seed(shard=shard) for shard in self.shards]
        batch = concatenate([demonstrate(self.policy, self.env, seed=seed) for seed in seeds])
        self.num_timesteps += self.episodes_per_update
        weights = loss_weights(batch.action_mask, "token", total=total)
        self.optimizer.zero_grad(set_to_none=True)  # an interrupted step may have left gradients
        sums = torch.zeros(2, device=weights.device)
        for rows in self.micro_batches(torch.arange(len(weights), device=weights.device), batch.width):
            part = batch.select(rows)
            width = part.tokens.shape[1]
            logprobs, _ = self.policy.logprobs(part.prompt_ids, part.prompt_mask, part.tokens, wanted=part.action_mask)
            part_loss = -torch.where(part.action_mask, weights[rows, :width] * logprobs, 0.0).sum()
            part_loss.backward()
            right = torch.where(part.action_mask, weights[rows, :width] * logprobs.detach().exp(), 0.0).sum()
            sums += torch.stack([part_loss.detach(), right])
        grad_norm = self.step_optimizer()
        loss, probability = total(sums).tolist()
        return {"train/loss": loss, "train/token_probability": probability, "train/grad_norm": grad_norm}
