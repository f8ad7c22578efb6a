"""``sample``: batched generation with a KV cache, and the log-probability of everything it drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from textgym.agents.policy import CausalLM, positions

_COMPACT_BELOW = 0.75
"""Finished rows are dropped from the batch when at most this share still runs: dropping copies the cache."""


@dataclass
class Samples:
    """What was drawn, one row for each prompt in the order given.

    ``prompt_ids`` int64 (B, P), left padded, with ``prompt_mask`` (B, P); ``tokens`` int64 (B, T), right padded;
    ``token_mask`` bool (B, T), True up to and including the stop token; ``logprobs`` float32 (B, T), 0 at padding;
    ``stopped`` bool (B,), False where ``max_new_tokens`` cut the response.
    """

    prompt_ids: Tensor
    prompt_mask: Tensor
    tokens: Tensor
    token_mask: Tensor
    logprobs: Tensor
    stopped: Tensor


@torch.no_grad()
def sample(
    policy: CausalLM,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    ignore_stop: bool = False,
) -> Samples:
    """Draw one response for each prompt.

    Equal prompts are prefilled once, and rows that have stopped leave the batch.

    Args:
        policy: the model to sample from.
        prompts: B non-empty lists of token ids; repeat a prompt to draw several responses to it.
        max_new_tokens: longest response, the stop token included.
        temperature: logits are divided by it; 0 takes the most probable token, whose log-probability is then
            reported at temperature 1.
        generator: the random stream, on the policy's device; the device's default stream if None.
        ignore_stop: go on to ``max_new_tokens`` whatever is drawn (for speed measurements).

    Raises:
        ValueError: for an empty batch or prompt, or lengths and temperatures out of range.
    """
    _check(prompts, max_new_tokens, temperature)
    device = policy.device
    unique = {prompt: i for i, prompt in enumerate(dict.fromkeys(tuple(prompt) for prompt in prompts))}
    which = torch.tensor([unique[tuple(prompt)] for prompt in prompts], device=device)
    ids, mask = pad_left(list(unique), policy.tokenizer.pad_id, device)
    logits, cache = _prefill(policy, ids, mask, which, max_new_tokens)

    count, width = len(prompts), ids.shape[1]
    tokens = torch.full((count, max_new_tokens), policy.tokenizer.pad_id, device=device)
    logprobs = torch.zeros(count, max_new_tokens, device=device)
    lengths = torch.full((count,), max_new_tokens, device=device)
    stopped = torch.zeros(count, dtype=torch.bool, device=device)
    rows = torch.arange(count, device=device)
    running = torch.ones(count, dtype=torch.bool, device=device)
    full_attention = all(type(layer) is _Preallocated for layer in cache.layers)
    visible = torch.ones(count, width + max_new_tokens, dtype=torch.long, device=device)
    visible[:, :width] = mask[which]
    if (
        full_attention
    ):  # a 4D mask of what to add to the scores is used as it is, where a 2D one is built anew each step
        hidden = torch.finfo(logits.dtype).min
        visible = torch.zeros(visible.shape, dtype=logits.dtype, device=device).masked_fill(visible == 0, hidden)
    prompt_lengths = mask.sum(1)[which]

    for t in range(max_new_tokens):
        drawn, logprob = _draw(logits, temperature, generator)
        live = rows[running]
        tokens[live, t], logprobs[live, t] = drawn[running], logprob[running]
        if not ignore_stop:
            stops = running & (drawn == policy.tokenizer.stop_id)
            stopped[rows[stops]] = True
            lengths[rows[stops]] = t + 1
            running = running & ~stops
            left = int(running.sum())
            if left == 0:
                break
            if left <= _COMPACT_BELOW * len(rows):
                keep = torch.nonzero(running).squeeze(1)
                rows, drawn, running = rows[keep], drawn[keep], running[keep]
                visible, prompt_lengths = visible[keep], prompt_lengths[keep]
                cache.batch_select_indices(keep)
        if t + 1 == max_new_tokens:
            break
        seen = visible[:, : width + t + 1]
        out = policy.model(
            input_ids=drawn[:, None],
            attention_mask=seen[:, None, None] if full_attention else seen,
            position_ids=(prompt_lengths + t)[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        logits = out.logits[:, -1]

    longest = int(lengths.max())
    token_mask = torch.arange(longest, device=device) < lengths[:, None]
    return Samples(ids[which], mask[which], tokens[:, :longest], token_mask, logprobs[:, :longest], stopped)


def pad_left(prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids and mask, int64 (B, P), with the prompts at the right edge; the mask comes from the lengths."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[pad_id] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    return ids, mask


class _Preallocated(DynamicLayer):
    """A cache layer with room for all tokens to come, where ``DynamicLayer`` copies everything at each step."""

    def __init__(self, prompt: Any, which: Tensor, capacity: int) -> None:
        """Copy a prefilled prompt layer, one row for each entry of ``which``."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._length = prompt.keys.shape[2]
        self._buffers = [_expanded(states, which, capacity) for states in (prompt.keys, prompt.values)]
        self.dtype, self.device, self.is_initialized = prompt.keys.dtype, prompt.keys.device, True
        self._show()

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append and return everything so far."""
        start = self._length
        self._length += key_states.shape[2]
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start : self._length] = states
        return self._show()

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows."""
        self._buffers = [buffer[indices] for buffer in self._buffers]
        self._show()

    def _show(self) -> tuple[Tensor, Tensor]:
        self.keys, self.values = (buffer[:, :, : self._length] for buffer in self._buffers)
        return self.keys, self.values


def _expanded(states: Tensor, which: Tensor, capacity: int) -> Tensor:
    _, heads, length, size = states.shape
    buffer = states.new_empty(len(which), heads, capacity, size)
    buffer[:, :, :length] = states[which]
    return buffer


def _prefill(
    policy: CausalLM, ids: Tensor, mask: Tensor, which: Tensor, new_tokens: int
) -> tuple[Tensor, DynamicCache]:
    """Run the unique prompts; return the next-token logits and the cache, one row for each entry of ``which``."""
    cache = DynamicCache(config=policy.model.config)
    out = policy.model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions(mask),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    if all(type(layer) is DynamicLayer for layer in cache.layers):
        capacity = ids.shape[1] + new_tokens
        cache.layers = [_Preallocated(layer, which, capacity) for layer in cache.layers]
    else:  # sliding windows and the like keep their own layers
        cache.batch_select_indices(which)
    return out.logits[:, -1][which], cache


def _draw(logits: Tensor, temperature: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Return one token and its log-probability for each row, float32."""
    logprobs = (logits.float() / (temperature or 1.0)).log_softmax(-1)
    if temperature == 0:
        drawn = logprobs.argmax(-1)
    else:  # argmax p/e with e ~ Exp(1) is a draw from p
        drawn = (logprobs.exp() / torch.empty_like(logprobs).exponential_(generator=generator)).argmax(-1)
    return drawn, logprobs.gather(-1, drawn[:, None]).squeeze(-1)


def _check(prompts: Sequence[Sequence[int]], max_new_tokens: int, temperature: float) -> None:
    if not prompts or not all(prompts):
        raise ValueError("sample needs at least one prompt, and at least one token in each")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be >= 1, got {max_new_tokens}")
    if not temperature >= 0:
        raise ValueError(f"temperature must be >= 0, got {temperature}")
