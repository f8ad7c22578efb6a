"""``PPO`` for language models: a critic says what each token was worth, and no step goes far from the sampling policy.

The clipped surrogate of arXiv 1707.06347, advantages by GAE (1506.02438), and as in RLHF (1909.08593, section 2) a KL
penalty for each token in the reward. One class for both levels of an env: at the sequence level the reward stands on
the last token of a response, at the token level it and what wrappers add stand where they were paid.

Left out: several critics, reward normalisation, sampling engines other than ours.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from textgym.agents import sharding
from textgym.agents.advantages import gae, masked_whiten
from textgym.agents.agent import AgentConfig
from textgym.agents.distributed import mean, total
from textgym.agents.losses import kl_penalty, policy_loss, value_loss
from textgym.agents.on_policy import OnPolicyAgent, OnPolicyConfig, mean_metrics, rollout_metrics, usable_rows
from textgym.agents.policy import CausalLM, Evaluated
from textgym.agents.rollout import Rollout


@dataclasses.dataclass(frozen=True)
class PPOConfig(OnPolicyConfig):
    """Settings of ``PPO``, named as in stable-baselines3."""

    prompts_per_update: int = 128
    """Problems of each update."""
    n_epochs: int = 4
    """Passes over each batch."""
    n_minibatches: int = 2
    """Optimiser steps in a pass."""
    gamma: float = 1.0
    """Discount for each token."""
    gae_lambda: float = 0.95
    """1: advantages are returns minus values; smaller: less variance, more of the critic's errors."""
    clip_range: float = 0.2
    """The ratio is clipped to 1 - this, 1 + this."""
    clip_range_vf: float | None = 0.2
    """Values move at most by this from where they were when sampling; None: freely (rewards far from 1 need that)."""
    dual_clip: float | None = None
    """Bound of the ratio where the advantage is negative, > 1."""
    normalize_advantage: bool = True
    """Whiten the advantages over the whole batch."""
    vf_coef: float = 0.5
    """Weight of the critic's loss."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    target_kl: float | None = None
    """End the update when the step's approximate KL exceeds 1.5 times this."""
    kl_coef: float = 0.0
    """Weight of the KL divergence from the initial policy in the reward, at most 10 nats a token; above 0 that policy
    is kept (a copy; with LoRA the weights without the adapter)."""
    kl_target: float | None = None
    """Adapt ``kl_coef`` towards this KL of a whole episode, in nats."""
    kl_horizon: int = 10_000
    """Episodes over which it adapts."""
    overlong: Literal["keep", "bootstrap"] = "keep"
    """Answers cut by ``max_new_tokens``: keep the verdict on them, or put the critic's value in its place. (The limit
    of a token-level env is part of the task.)"""
    critic: Literal["shared", "separate"] = "shared"
    """A value head on the policy's own last states, or on those of a copy of the initial policy that learns apart."""
    critic_warmup_updates: int = 0
    """First updates, in which only the critic learns."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, got {getattr(self, name)}")
        for name in ("clip_range", "vf_coef", "ent_coef", "kl_coef", "critic_warmup_updates"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        for name in ("clip_range_vf", "target_kl", "kl_target", "kl_horizon"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be > 0, got {value}")
        if self.dual_clip is not None and self.dual_clip <= 1:
            raise ValueError(f"dual_clip must be > 1, got {self.dual_clip}")
        if self.kl_target is not None and self.kl_coef == 0:
            raise ValueError("kl_target adapts kl_coef, which must begin > 0")


class PPO(OnPolicyAgent):
    """Proximal policy optimisation (see the module), on sequence-level and token-level envs.

    Truncation bootstraps: after an episode that a limit from outside ended stands the critic's value, after a
    terminated one 0. An answer that ``max_new_tokens`` cut has had its verdict, and counts as terminated; with
    ``overlong="bootstrap"`` the critic's value stands in place of that verdict (both would count the end twice), which
    suits a limit that few answers reach: a policy that is often wrong would learn that it costs nothing to go on.
    Tokens that the env wrote between two turns are no time steps.
    """

    Config: ClassVar[type[AgentConfig]] = PPOConfig
    config: PPOConfig

    def _setup_model(self) -> None:
        super()._setup_model()
        self.kl_coef = self.config.kl_coef
        size = self.policy.model.get_output_embeddings().in_features
        self.value_head = nn.utils.skip_init(nn.Linear, size, 1, device=self.policy.device)  # draws nothing
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.critic: CausalLM | None = copy.deepcopy(self.policy) if self.config.critic == "separate" else None

    @property
    def trained_modules(self) -> list[nn.Module]:
        """The policy and the critic."""
        return [*super().trained_modules, self.value_head, *([self.critic.model] if self.critic else [])]

    def _shard(self) -> None:
        super()._shard()
        sharding.shard(self.value_head, self.value_head.weight.detach())
        if self.critic is not None:
            self.critic.shard()

    def parameters(self) -> list[nn.Parameter]:
        """Return those of the policy and of the critic."""
        trunk = self.critic.model.base_model.parameters() if self.critic else []
        return [*super().parameters(), *(p for p in trunk if p.requires_grad), *self.value_head.parameters()]

    def update(self) -> dict[str, float]:
        """Sample a batch, estimate advantages, and take ``n_epochs * n_minibatches`` steps.

        Raises:
            ValueError: if an episode was truncated that fills the model's context to the last token, so that the state
                after it, whose value takes the place of what would have followed, cannot be looked at.
        """
        config = self.config
        rollout = self.collect()
        metrics = rollout_metrics(rollout)
        reference, kl_metrics = self.reference_logprobs(rollout)
        metrics |= kl_metrics
        rows = usable_rows(rollout)
        episodes = int(total(torch.tensor(len(rows), device=rows.device)))
        if episodes == 0:
            return metrics
        batch = rollout.select(rows)
        mask = batch.action_mask
        goes_on = batch.truncated & (~batch.cut | (config.overlong == "bootstrap"))
        old, values, last_values = self._look_back(batch, goes_on)
        rewards = batch.rewards
        if config.overlong == "bootstrap":
            at_end = torch.arange(mask.shape[1], device=mask.device) == batch.token_mask.sum(1, keepdim=True) - 1
            rewards = torch.where(batch.cut[:, None] & at_end, 0.0, rewards)
        if reference is not None:
            kl = kl_penalty(old, reference[rows, : mask.shape[1]], mask, "k1")
            rewards = rewards - self.kl_coef * kl.clamp(-_MAX_KL, _MAX_KL)
            metrics |= {"train/kl_ref": mean(kl[mask]).item(), "train/kl_coef": self.kl_coef}
            if self.num_updates >= config.critic_warmup_updates:
                self._adapt_kl_coef(mean(kl.sum(1)).item(), episodes)
        advantages, returns = gae(rewards, values, last_values, mask, config.gamma, config.gae_lambda)
        metrics |= _advantage_metrics(advantages, returns, values, mask)
        self.write_samples(rollout, advantages.sum(1) / mask.sum(1), rows)
        if config.normalize_advantage:
            advantages = masked_whiten(advantages, mask, total=total)
        steps: list[dict[str, float]] = []
        for _ in range(config.n_epochs):
            for some in self.minibatches(batch):
                steps.append(self._step(batch, some, old, values, advantages, returns))
                if config.target_kl is not None and steps[-1]["train/approx_kl"] > 1.5 * config.target_kl:
                    return metrics | mean_metrics(steps) | {"train/n_steps": float(len(steps))}
        return metrics | mean_metrics(steps) | {"train/n_steps": float(len(steps))}

    def values(self, batch: Rollout, states: Tensor | None = None, wanted: Tensor | None = None) -> Tensor:
        """Return the value of the state before each token, float32 (B, T).

        ``states`` are the policy's, if known; ``wanted``, bool (B, T), says where the values are needed, if not all.
        """
        if self.critic is not None:
            states = self.critic.states(batch.prompt_ids, batch.prompt_mask, batch.tokens, wanted)
        elif states is None:
            states = self.policy.states(batch.prompt_ids, batch.prompt_mask, batch.tokens, wanted)
        values: Tensor = self.value_head(states.float()).squeeze(-1)
        return values

    def _step(
        self, batch: Rollout, rows: Tensor, old: Tensor, old_values: Tensor, advantages: Tensor, returns: Tensor
    ) -> dict[str, float]:
        """Take one optimiser step; the normalisation is that of all its rows, however they are split."""
        config = self.config
        weights = self.weights(batch, rows, "token")
        critic_only = self.num_updates < config.critic_warmup_updates

        def loss_of(part: Rollout, part_rows: Tensor, now: Evaluated) -> tuple[Tensor, dict[str, Tensor]]:
            mask, width = part.action_mask, part.tokens.shape[1]

            def of_part(values: Tensor) -> Tensor:
                return values[part_rows, :width]

            pg_loss, metrics = policy_loss(
                now.logprobs,
                of_part(old),
                of_part(advantages),
                of_part(weights),
                mask,
                config.clip_range,
                config.clip_range,
                dual_clip=config.dual_clip,
            )
            values = self.values(part, now.states.detach() if critic_only else now.states, mask)
            error = value_loss(
                values, of_part(old_values), of_part(returns), of_part(weights), mask, config.clip_range_vf
            )
            loss = config.vf_coef * error
            if not critic_only:
                loss = loss + pg_loss
                if config.ent_coef > 0:
                    loss = loss - config.ent_coef * torch.where(mask, of_part(weights) * now.entropies, 0.0).sum()
            return loss, metrics | {"pg_loss": pg_loss.detach(), "value_loss": error.detach()}

        return self.step(batch, rows, loss_of, entropy_gradient=config.ent_coef > 0)

    @torch.no_grad()
    def _look_back(self, batch: Rollout, goes_on: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the policy and the critic thought when the batch was sampled.

        Returns:
            Log-probabilities (B, T), values (B, T) of the states before the tokens, and values (B,) of the states after
            the last where the episode ``goes_on``, bool (B,); 0 elsewhere.
        """
        logprobs, values = torch.zeros_like(batch.logprobs), torch.zeros_like(batch.logprobs)
        last_values = batch.logprobs.new_zeros(len(batch.logprobs))
        extra = int(goes_on.any())  # one column more, for there may be no room for it in the model
        room = self.policy.context_length
        if extra and room is not None:
            longest = int((batch.prompt_mask.sum(1) + batch.token_mask.sum(1))[goes_on].max())
            if longest > room:
                raise ValueError(
                    f"a truncated episode of {longest} tokens leaves the context of {room} no room to look at the "
                    "state after them: lower max_new_tokens"
                )
        for rows in self.micro_batches(torch.arange(len(values), device=values.device), batch.width):
            part = batch.select(rows)
            width, lengths = part.tokens.shape[1], part.token_mask.sum(1)
            part.tokens = nn.functional.pad(part.tokens, (0, extra), value=self.policy.tokenizer.pad_id)
            columns = torch.arange(width + extra, device=lengths.device)
            wanted = columns < (lengths + goes_on[rows])[:, None]
            now = self.policy.evaluate_tokens(
                part.prompt_ids, part.prompt_mask, part.tokens, wanted=wanted, temperature=self.config.temperature
            )
            part_values = self.values(part, now.states, wanted)
            logprobs[rows, :width], values[rows, :width] = now.logprobs[:, :width], part_values[:, :width]
            if extra:
                last_values[rows] = torch.where(goes_on[rows], part_values.gather(1, lengths[:, None]).squeeze(1), 0.0)
        return logprobs, values, last_values

    def _adapt_kl_coef(self, kl: float, episodes: int) -> None:
        """Ziegler et al. (arXiv 1909.08593, section 2.2): a proportional controller, bounded to 20 % of the error."""
        if self.config.kl_target is not None:
            error = min(max(kl / self.config.kl_target - 1.0, -0.2), 0.2)
            self.kl_coef *= 1.0 + error * episodes / self.config.kl_horizon

    def _state(self) -> dict[str, Any]:
        state = super()._state() | {"value_head": sharding.full_state(self.value_head), "kl_coef": self.kl_coef}
        if self.critic is not None:
            state["critic"] = sharding.full_state(self.critic.model)
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        sharding.load_full_state(self.value_head, state["value_head"])
        self.kl_coef = state["kl_coef"]
        if self.critic is not None:
            sharding.load_full_state(self.critic.model, state["critic"])


_MAX_KL = 10.0
"""Bound of a single token's KL in the reward, in nats: one token that the reference hardly knows is not the batch."""


def _advantage_metrics(advantages: Tensor, returns: Tensor, values: Tensor, mask: Tensor) -> dict[str, float]:
    spread, rest = _variance(returns[mask]).item(), _variance((returns - values)[mask]).item()
    return {
        "train/adv_mean": mean(advantages[mask]).item(),
        "train/adv_std": _variance(advantages[mask]).sqrt().item(),
        "train/explained_variance": float("nan") if spread == 0 else 1.0 - rest / spread,
    }


def _variance(values: Tensor) -> Tensor:
    return mean((values - mean(values)).square())
