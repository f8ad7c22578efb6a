"""``SFT``: supervised fine-tuning on the env's own perfect responses, the warm start before RL.

Left out: packing, epochs over a fixed data set (problems are drawn fresh), learning-rate decay.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch

from textgym.agents.agent import Agent, AgentConfig
from textgym.agents.losses import loss_weights, masked_mean
from textgym.agents.rollout import demonstrate


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
        return self.config.batch_size, 1

    def update(self) -> dict[str, float]:
        """Let the env demonstrate a batch of episodes, and take one gradient step towards them."""
        batch = demonstrate(self.policy, self.env, seed=self.update_seed())
        self.num_timesteps += len(batch.prompts)
        weights = loss_weights(batch.action_mask, "token")
        self.optimizer.zero_grad(set_to_none=True)  # an interrupted step may have left gradients
        loss, right = 0.0, 0.0
        for rows in self.micro_batches(torch.arange(len(weights), device=weights.device), batch.tokens.shape[1]):
            part = batch.select(rows)
            width = part.tokens.shape[1]
            logprobs, _ = self.policy.logprobs(part.prompt_ids, part.prompt_mask, part.tokens)
            part_loss = -torch.where(part.action_mask, weights[rows, :width] * logprobs, 0.0).sum()
            part_loss.backward()
            loss += part_loss.item()
            share = (part.action_mask.sum() / batch.action_mask.sum()).item()
            right += masked_mean(logprobs.detach().exp(), part.action_mask).item() * share
        return {"train/loss": loss, "train/token_probability": right, "train/grad_norm": self.step_optimizer()}
