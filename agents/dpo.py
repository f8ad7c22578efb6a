"""``DPO``: direct preference optimisation (arXiv 2305.18290), from a file of preferences or from the env's rewards.

With ``pairs=`` the preferences are read from a JSONL file in TRL's format, and the env only says what the policy is
for. Without, the policy answers each problem several times, and what the env pays more for is preferred: online DPO
(2402.04792), with the verifier as the judge.

Left out: the other losses of the family (IPO, KTO, SimPO).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from textgym.agents.agent import AgentConfig
from textgym.agents.answers import answer_in
from textgym.agents.distributed import mean, total
from textgym.agents.on_policy import OnPolicyAgent, OnPolicyConfig, mean_metrics, rollout_metrics
from textgym.agents.policy import CausalLM, Evaluated
from textgym.agents.preferences import Preference, numbered_preferences
from textgym.agents.rollout import Rollout, Row, stack


@dataclasses.dataclass(frozen=True)
class DPOConfig(OnPolicyConfig):
    """Settings of ``DPO``."""

    prompts_per_update: int = 32
    """Problems of each update; with ``pairs``, pairs."""
    group_size: int = 8
    """Answers to each problem; without ``pairs``."""
    beta: float = 0.1
    """How dearly leaving the initial policy is paid for."""
    label_smoothing: float = 0.0
    """Probability that a preference is the wrong way round."""
    pairs: str | None = None
    """JSONL file of prompt, chosen and rejected; None: the answers are sampled, and the env judges them."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        if self.pairs is not None:
            object.__setattr__(self, "pairs", str(Path(self.pairs).absolute()))  # to be found again by ``load``
        elif self.group_size < 2:
            raise ValueError(f"group_size must be >= 2, got {self.group_size}: a preference needs two answers")
        if not self.beta > 0:
            raise ValueError(f"beta must be > 0, got {self.beta}")
        if not 0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must be >= 0 and < 0.5, got {self.label_smoothing}")


class DPO(OnPolicyAgent):
    """Makes the better answer of a pair more probable than the worse one, in relation to the initial policy.

    A batch has the two answers of pair i in rows 2 i (chosen) and 2 i + 1 (rejected). ``micro_batch_size`` counts
    pairs; ``num_timesteps`` counts answers, those that made no pair included.
    """

    Config: ClassVar[type[AgentConfig]] = DPOConfig
    config: DPOConfig

    def _setup_model(self) -> None:
        super()._setup_model()
        self.pairs = [] if self.config.pairs is None else read_pairs(self.config.pairs, self.policy)

    @property
    def uses_reference(self) -> bool:
        """Always."""
        return True

    def update(self) -> dict[str, float]:
        """Take the next pairs from the file or from the env, and ``n_epochs * n_minibatches`` steps on them."""
        batch, metrics = self._sampled_pairs() if self.config.pairs is None else (self._next_pairs(), {})
        if not total(torch.tensor(len(batch.prompts), device=batch.tokens.device)):
            return metrics
        self.write_transcripts(
            [
                {"prompt": batch.prompts[i], "chosen": chosen, "rejected": rejected}
                for i in range(0, min(8, len(batch.prompts)), 2)
                for chosen, rejected in [map(answer_in, batch.messages[i : i + 2])]
            ]
        )
        assert self.reference is not None
        reference = self.logprobs(self.reference, batch)
        steps = [
            self._step(batch, reference, rows) for _ in range(self.config.n_epochs) for rows in self.minibatches(batch)
        ]
        return metrics | mean_metrics(steps)

    def minibatches(self, batch: Rollout) -> Iterator[Tensor]:
        """Split as usual, by whole pairs."""
        chosen = torch.arange(0, len(batch.prompts), 2, device=batch.tokens.device)
        for pairs in super().minibatches(batch.select(chosen)):
            yield _with_rejected(2 * pairs)

    def micro_batches(self, rows: Tensor, width: int) -> Iterator[Tensor]:
        """Split as usual, by whole pairs."""
        for chosen in super().micro_batches(rows[::2], 2 * width):
            yield _with_rejected(chosen)

    def _sampled_pairs(self) -> tuple[Rollout, dict[str, float]]:
        """Sample groups of answers, and return pairs of them with what the groups say of the policy."""
        rollout = self.collect()
        rows = contrasting_pairs(rollout.returns, rollout.group_ids)
        kept = torch.zeros_like(rollout.returns).index_fill(0, rows, 1.0)
        metrics = rollout_metrics(rollout) | {"rollout/frac_kept": mean(kept).item()}
        if self.config.log_kl:
            metrics |= self.reference_logprobs(rollout)[1]
        return rollout.select(rows), metrics

    def _next_pairs(self) -> Rollout:
        """Return the next pairs of the file, which is shuffled anew for each pass, by the config's seed."""
        size, count = self.in_shards("prompts_per_update"), len(self.pairs)
        start = self.num_updates * self.config.prompts_per_update
        positions = range(start + self.shards.start * size, start + self.shards.stop * size)
        orders = {
            epoch: np.random.default_rng([self.config.seed, epoch]).permutation(count)
            for epoch in {position // count for position in positions}
        }
        self.num_timesteps += 2 * self.config.prompts_per_update
        self.seed_generators()  # for ``minibatches``, as ``collect`` does
        return _as_rollout(self.policy, [self.pairs[orders[p // count][p % count]] for p in positions])

    def _step(self, batch: Rollout, reference: Tensor, rows: Tensor) -> dict[str, float]:
        """Take one optimiser step on some pairs; ``reference`` (B, T) is what the initial policy makes of all."""
        beta, seen = self.config.beta, [torch.zeros(2, 0, device=rows.device)]
        pairs = total(torch.tensor(len(rows) // 2, device=rows.device))

        def loss(part: Rollout, part_rows: Tensor, now: Evaluated) -> tuple[Tensor, dict[str, Tensor]]:
            logps, initial = (
                torch.where(part.action_mask, logprobs, 0.0).sum(1)  # in games without the env's messages
                for logprobs in (now.logprobs, reference[part_rows, : part.tokens.shape[1]])
            )
            seen.append(torch.stack([logps.detach(), beta * (logps.detach() - initial)]))
            losses = dpo_loss(logps[::2], logps[1::2], initial[::2], initial[1::2], beta, self.config.label_smoothing)
            return losses.sum() / pairs, {}

        metrics = self.step(batch, rows, loss)
        logps, rewards = torch.cat(seen, 1)
        margins = rewards[::2] - rewards[1::2]
        return metrics | {
            "train/rewards/chosen": mean(rewards[::2]).item(),
            "train/rewards/rejected": mean(rewards[1::2]).item(),
            "train/rewards/margins": mean(margins).item(),
            "train/rewards/accuracies": mean(margins > 0).item(),
            "train/logps/chosen": mean(logps[::2]).item(),
            "train/logps/rejected": mean(logps[1::2]).item(),
        }


def dpo_loss(
    chosen_P: Tensor,
    rejected_P: Tensor,
    reference_chosen_P: Tensor,
    reference_rejected_P: Tensor,
    beta: float,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Compute the loss of each pair, float32 (P,), from the log-probabilities of whole answers.

        L = -(1 - ε) log σ(z) - ε log σ(-z),   z = β ((log π(c) - log π(r)) - (log ref(c) - log ref(r)))

    Rafailov et al. (arXiv 2305.18290), equation 7, for ε = 0; with ε > 0 a preference is the wrong way round with
    that probability (Mitchell, "A note on DPO with noisy preferences").
    """
    z_P = beta * ((chosen_P - rejected_P) - (reference_chosen_P - reference_rejected_P))
    return -(1.0 - label_smoothing) * logsigmoid(z_P) - label_smoothing * logsigmoid(-z_P)


def contrasting_pairs(returns: Tensor, group_ids: Tensor) -> Tensor:
    """Match the best answer of each group with the worst, the second best with the second worst, and so on.

    Two answers that are worth the same are no pair, and one whose reward could not be computed is in none: where the
    reward is 0 or 1, a right answer is preferred to a wrong one, each used once.

    Args:
        returns: (B,), NaN where unknown.
        group_ids: int64 (B,).

    Returns:
        Rows, int64 (2 * pairs,): better, worse, better, worse, and so on.
    """
    rows: list[int] = []
    for group in torch.unique(group_ids):
        members = torch.nonzero((group_ids == group) & torch.isfinite(returns)).squeeze(1)
        ranked = members[returns[members].argsort(descending=True, stable=True)].tolist()
        for better, worse in zip(ranked, reversed(ranked), strict=True):
            if returns[better] > returns[worse]:
                rows += [better, worse]
    return torch.tensor(rows, dtype=torch.long, device=returns.device)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A preference, as text to show and as tokens to learn from; answers end with the stop token."""

    prompt: str
    chosen: str
    rejected: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]


def read_pairs(path: str | Path, policy: CausalLM) -> list[Pair]:
    """Read the preferences of a file (see ``read_preferences``), as tokens of the policy.

    A string is what an env would show and a policy would say: the chat template of the policy, if there is one, is
    put around it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming file and line, for what is no preference or longer than the policy's context; and for a
            file without pairs.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file of pairs at {path}")
    pairs = []
    for where, preference in numbered_preferences(path):
        try:
            pairs.append(_encode(preference, policy))
        except Exception as error:  # of a tokenizer, of a chat template, or ours
            raise ValueError(f"{where}: {error}") from error
    if not pairs:
        raise ValueError(f"there are no pairs in {path}")
    return pairs


def _encode(preference: Preference, policy: CausalLM) -> Pair:
    prompt_ids = _encode_chat(preference.messages, policy)
    chosen_ids, rejected_ids = (
        [*policy.tokenizer.encode_response(answer), policy.tokenizer.stop_id]
        for answer in (preference.chosen, preference.rejected)
    )
    length = len(prompt_ids) + max(len(chosen_ids), len(rejected_ids)) - 1
    room = policy.context_length
    if room is not None and length > room:
        raise ValueError(f"prompt and answer have {length} tokens, which exceed the context of {room}")
    return Pair(preference.text, preference.chosen, preference.rejected, prompt_ids, chosen_ids, rejected_ids)


def _encode_chat(messages: list[dict[str, str]], policy: CausalLM) -> list[int]:
    """Return the ids after which the assistant answers; for one message of the user, those of an env's prompt."""
    tokenizer = policy.tokenizer
    if [message["role"] for message in messages] == ["user"]:
        return tokenizer.encode_prompt(messages[0]["content"])
    if not tokenizer.hf.chat_template:
        raise ValueError("a prompt other than one message of the user needs a policy with a chat template")
    return tokenizer.encode_response(
        tokenizer.hf.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    )


def _as_rollout(policy: CausalLM, pairs: list[Pair]) -> Rollout:
    """Return the answers, chosen and rejected in turns, as if they had been sampled; they were never judged."""
    rows = []
    for pair in pairs:
        for ids, text in (pair.chosen_ids, pair.chosen), (pair.rejected_ids, pair.rejected):
            row = Row(list(pair.prompt_ids), pair.prompt, len(pair.prompt_ids), response=text)
            row.add(ids, True, [0.0] * len(ids), [math.nan] * len(ids))
            rows.append(row)
    return stack(policy, rows, np.arange(len(rows)) // 2)


def _with_rejected(chosen: Tensor) -> Tensor:
    """Return the rows of whole pairs, from those of the chosen answers."""
    return torch.stack([chosen, chosen + 1], 1).flatten()
