"""``OnPolicyAgent``: what GRPO, PPO, REINFORCE and expert iteration share - sample, look at the samples, step.

An algorithm's ``update`` reads: ``collect`` a batch, compute what it should have been, ``minibatches``, ``step``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from textgym.agents import sharding
from textgym.agents.advantages import zero_variance
from textgym.agents.agent import Agent, AgentConfig
from textgym.agents.answers import answer_in
from textgym.agents.distributed import gather, gather_object, mean, total
from textgym.agents.losses import Norm, kl_penalty, loss_weights, masked_mean
from textgym.agents.policy import CausalLM, Evaluated
from textgym.agents.rollout import Rollout, collect, concatenate, success_by_task


@dataclasses.dataclass(frozen=True)
class OnPolicyConfig(AgentConfig):
    """Settings of every agent that learns from its own samples."""

    prompts_per_update: int = 32
    """Problems of each update."""
    group_size: int = 1
    """Answers to each problem."""
    temperature: float = 1.0
    """Of the sampling, and of the log-probabilities that are trained."""
    log_kl: bool = False
    """Keep the initial policy and report how far the policy has gone from it (``rollout/kl_to_reference``), also where
    nothing is paid for staying near."""
    n_epochs: int = 1
    """Passes over each batch."""
    n_minibatches: int = 1
    """Optimiser steps in a pass."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        for name in ("prompts_per_update", "group_size", "n_epochs", "n_minibatches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be > 0, got {self.temperature}")


StepLoss = Callable[[Rollout, Tensor, Evaluated], tuple[Tensor, dict[str, Tensor]]]
"""From some rows of the batch, their indices and what the policy makes of them: a loss to add up, and metrics."""


class OnPolicyAgent(Agent):
    """An agent that samples a batch, learns from it, and throws it away."""

    config: OnPolicyConfig

    def _setup_model(self) -> None:
        super()._setup_model()
        self.generators = [torch.Generator(self.policy.device) for _ in self.shards]
        self.reference = self.policy.reference() if self.uses_reference else None

    def _shard(self) -> None:
        super()._shard()
        if self.reference is not None and not self.reference.is_sharded:  # with LoRA it is the policy's model
            self.reference.shard()

    @property
    def uses_reference(self) -> bool:
        """Whether the initial policy is kept, to stay near or to be measured: a copy, or with LoRA the same weights."""
        return self.config.log_kl or getattr(self.config, "kl_coef", 0.0) > 0

    @property
    def env_shape(self) -> tuple[int, int]:
        """Groups of answers to one problem each."""
        return self.in_shards("prompts_per_update") * self.config.group_size, self.config.group_size

    def seed_generators(self, attempt: int = 0) -> list[int]:
        """Begin the random streams of this process's shards anew, and return their seeds."""
        seeds = [self.update_seed(attempt, shard) for shard in self.shards]
        for generator, seed in zip(self.generators, seeds, strict=True):
            generator.manual_seed(seed)
        return seeds

    def collect(self, attempt: int = 0) -> Rollout:
        """Play this process's part of a batch, decided by the config's seed, the number of updates and ``attempt``.

        The groups of its first shard have ids from 0 on, the next shard's follow; see ``shard_of``.
        """
        rollouts: list[Rollout] = []
        for seed, generator in zip(self.seed_generators(attempt), self.generators, strict=True):
            rollout = collect(
                self.policy,
                self.env,
                max_new_tokens=self.config.max_new_tokens,
                temperature=self.config.temperature,
                generator=generator,
                seed=seed,
            )
            rollout.group_ids = rollout.group_ids + len(rollouts) * self.in_shards("prompts_per_update")
            rollouts.append(rollout)
        self.num_timesteps += self.episodes_per_update
        return concatenate(rollouts)

    def shard_of(self, group_ids: Tensor) -> Tensor:
        """Return which of this process's shards each group belongs to, counted from 0."""
        return group_ids // self.in_shards("prompts_per_update")

    @torch.no_grad()
    def logprobs(self, policy: CausalLM, batch: Rollout) -> Tensor:
        """Return log-probabilities (B, T) of the action tokens under ``policy``, without gradient; 0 elsewhere."""
        result = torch.zeros_like(batch.logprobs)
        for rows in self.micro_batches(torch.arange(len(result), device=result.device), batch.width):
            part = batch.select(rows)
            logprobs, _ = policy.logprobs(
                part.prompt_ids,
                part.prompt_mask,
                part.tokens,
                wanted=part.action_mask,
                temperature=self.config.temperature,
            )
            result[rows, : logprobs.shape[1]] = logprobs
        return result

    def reference_logprobs(self, rollout: Rollout) -> tuple[Tensor | None, dict[str, float]]:
        """Return log-probabilities (B, T) under the initial policy, None if it is not kept, and how far one is from it.

        ``rollout/kl_to_reference`` is the mean over all processes' episodes of the sum over their sampled tokens of
        log pi - log pi_ref: an unbiased estimate of the KL divergence of whole episodes, in nats (k1; see
        ``kl_penalty``).
        """
        if self.reference is None:
            return None, {}
        logprobs = self.logprobs(self.reference, rollout)
        kl = kl_penalty(rollout.logprobs, logprobs, rollout.action_mask, "k1").sum(1)
        return logprobs, {"rollout/kl_to_reference": mean(kl).item()}

    def minibatches(self, batch: Rollout) -> Iterator[Tensor]:
        """Split the rows of a batch, each shard shuffled, into ``n_minibatches``; all processes get equally many.

        Neighbours, which share prompts, stay so. A part may be empty here, and is left out if it is so everywhere.
        """
        shards, parts = self.shard_of(batch.group_ids), []
        for shard, generator in enumerate(self.generators):
            rows = torch.nonzero(shards == shard).squeeze(1)
            if self.config.n_minibatches > 1:
                rows = rows[torch.randperm(len(rows), generator=generator, device=rows.device)]
            parts.append(rows.tensor_split(self.config.n_minibatches))
        minibatches = [torch.cat(pieces).sort().values for pieces in zip(*parts, strict=True)]
        sizes = total(torch.tensor([len(rows) for rows in minibatches], device=batch.tokens.device))
        yield from (rows for rows, size in zip(minibatches, sizes.tolist(), strict=True) if size)

    def weights(self, batch: Rollout, rows: Tensor, norm: Norm) -> Tensor:
        """Return the weight of each token in a step on ``rows``, (B, T): ``loss_weights`` of all processes' rows."""
        result = torch.zeros_like(batch.logprobs)
        result[rows] = loss_weights(batch.action_mask[rows], norm, self.length_limit(), total)
        return result

    def step(self, batch: Rollout, rows: Tensor, loss: StepLoss, entropy_gradient: bool = False) -> dict[str, float]:
        """Take one optimiser step on some rows of the batch, in micro-batches whose losses add up.

        Args:
            batch: the whole batch.
            rows: int64, those to step on; the other processes add theirs.
            loss: called for each micro-batch; normalise with ``weights``. Metrics are
                means over its action tokens (names that end in ``_max``: maxima; in ``_loss``: terms of the loss).
            entropy_gradient: whether the loss differentiates the entropies.

        Returns:
            Metrics for the logger.
        """
        tokens = float(total(batch.action_mask[rows].sum()))
        self.optimizer.zero_grad(set_to_none=True)  # an interrupted step may have left gradients
        totals: dict[str, float] = {"loss": 0.0}
        for part_rows in self.micro_batches(rows, batch.width):
            part = batch.select(part_rows)
            evaluated = self.policy.evaluate_tokens(
                part.prompt_ids,
                part.prompt_mask,
                part.tokens,
                wanted=part.action_mask,
                temperature=self.config.temperature,
                entropy_gradient=entropy_gradient,
            )
            part_loss, metrics = loss(part, part_rows, evaluated)
            part_loss.backward()
            totals["loss"] += part_loss.item()
            metrics["entropy"] = masked_mean(evaluated.entropies.detach(), part.action_mask)
            share = float(part.action_mask.sum()) / tokens
            scaled = {n: v.item() * (1.0 if n.endswith(("_max", "_loss")) else share) for n, v in metrics.items()}
            totals = _add(totals, scaled)
        grad_norm = self.step_optimizer()
        totals = functools.reduce(_add, gather_object(totals))  # a process without rows knows only some names
        return {f"train/{_SB3_NAMES.get(n, n)}": value for n, value in (totals | {"grad_norm": grad_norm}).items()}

    def length_limit(self) -> int:
        """Return the longest response there can be, in tokens."""
        return int(getattr(self.env.unwrapped, "max_tokens", self.config.max_new_tokens))

    def write_samples(self, rollout: Rollout, advantages: Tensor, rows: Tensor | None = None) -> None:
        """Write the first problem's answers to ``transcripts.jsonl``; ``advantages`` (B,), or those of ``rows``."""
        returns = rollout.returns.tolist()
        if rows is not None:
            advantages = torch.zeros_like(rollout.returns).index_copy(0, rows, advantages)
        self.write_transcripts(
            [
                {
                    "prompt": rollout.prompts[i],
                    "response": answer_in(rollout.messages[i]),
                    "reward": returns[i],
                    "advantage": advantages[i].item(),
                    "status": rollout.statuses[i],
                }
                for i in range(max(self.config.group_size, min(4, len(returns))))
            ]
        )

    def _state(self) -> dict[str, Any]:
        state = super()._state()
        if self.reference is not None and self.policy.lora is None:
            state["reference"] = sharding.full_state(self.reference.model)
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        if self.reference is not None and self.policy.lora is None:
            sharding.load_full_state(self.reference.model, state["reference"])


def _add(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    """Add metrics up by name; of a maximum take the larger."""
    result = dict(first)
    for name, value in second.items():
        before = result.get(name, 0.0)
        result[name] = max(before, value) if name.endswith("_max") else before + value
    return result


_SB3_NAMES = {"clip_frac": "clip_fraction", "pg_loss": "policy_gradient_loss"}


def mean_metrics(steps: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over an update's optimiser steps."""
    return {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]} if steps else {}


def usable_rows(rollout: Rollout) -> Tensor:
    """Return the rows, int64, of episodes that were scored and have an action."""
    return torch.nonzero(torch.isfinite(rollout.returns) & (rollout.lengths > 0)).squeeze(1)


def rollout_metrics(rollout: Rollout) -> dict[str, float]:
    """Return what a batch, all processes' parts of it, says of the policy that sampled it."""
    flat = zero_variance(rollout.returns, rollout.group_ids, torch.isfinite(rollout.returns))
    columns = (rollout.returns, rollout.successes, rollout.lengths, rollout.truncated, flat)
    returns, successes, lengths, truncated, flat = gather(torch.stack([c.float() for c in columns], 1)).T
    scorable = torch.isfinite(returns)
    scored = returns[scorable]
    by_task = {f"rollout/{task}/success_rate": rate for task, rate in _means(success_by_task([rollout])).items()}
    known = {name: values[torch.isfinite(values)] for name, values in rollout.monitors.items()}
    monitors = _means({name: (values.sum().item(), len(values)) for name, values in known.items()})
    return (
        by_task
        | monitors
        | {
            "rollout/ep_rew_mean": scored.mean().item() if len(scored) else float("nan"),
            "rollout/reward_std": scored.std(unbiased=False).item() if len(scored) else float("nan"),
            "rollout/success_rate": successes[scorable].mean().item() if len(scored) else float("nan"),
            "rollout/ep_len_mean": lengths.mean().item(),
            "rollout/truncated_frac": truncated.mean().item(),
            "rollout/unscorable_frac": 1.0 - scorable.float().mean().item(),
            "rollout/frac_zero_std_groups": flat.mean().item(),
        }
    )


def _means(sums: Mapping[str, tuple[float, int]]) -> dict[str, float]:
    """Return by name the mean over all processes, of whose values each brings a sum and a number; NaN of none."""
    parts = gather_object(dict(sums))
    means = {}
    for name in sorted(set().union(*parts)):
        total_, count = (sum(part.get(name, (0, 0))[i] for part in parts) for i in (0, 1))
        means[name] = total_ / count if count else float("nan")
    return means
