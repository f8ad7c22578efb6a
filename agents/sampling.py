"""``sample``: batched generation with a KV cache, and the log-probability of everything it drew."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from textgym.agents.decoding import Decoder, draw, has_plain_layers, keys_and_values
from textgym.agents.graphs import CHUNK, can_capture, decoder_of
from textgym.agents.policy import CausalLM, positions
from textgym.agents.prepacked import prepacked

_COMPACT_BELOW = 0.75
"""Finished rows are dropped from the batch when at most this share still runs: dropping copies the cache."""

_PACK_FROM = 8
"""So many tokens must be allowed for weights to be reordered first."""


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


def sample(
    policy: CausalLM,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    ignore_stop: bool = False,
    prompt_cache: PromptCache | None = None,
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
        prompt_cache: what the same object saw in its last call need not be computed again: see ``PromptCache``.

    Raises:
        ValueError: for an empty batch or prompt, lengths and temperatures out of range, or more tokens than the model
            has positions for.
        RuntimeError: if the policy's weights are sharded over processes, and not gathered.
    """
    if policy.is_sharded and not policy.is_gathered:
        raise RuntimeError("the weights are sharded: sample inside `with policy.gathered():`, in every process")
    _check(prompts, max_new_tokens, temperature)
    device, pad_id, stop_id = policy.device, policy.tokenizer.pad_id, policy.tokenizer.stop_id
    longest, room = max(map(len, prompts)), policy.context_length
    if room is not None and longest + max_new_tokens - 1 > room:
        raise ValueError(f"a prompt of {longest} tokens and {max_new_tokens} new ones exceed the context of {room}")
    unique = {prompt: i for i, prompt in enumerate(dict.fromkeys(tuple(prompt) for prompt in prompts))}
    which = torch.tensor([unique[tuple(prompt)] for prompt in prompts], device=device)
    ids, mask = pad_left(list(unique), pad_id, device)
    packs = max_new_tokens >= _PACK_FROM and not policy.is_sharded
    with torch.inference_mode(), policy.forward_pass(), prepacked(policy.model) if packs else nullcontext():
        logits, cache, columns = (prompt_cache or PromptCache()).prefill(policy, list(unique))
        is_whole = not policy.is_sharded and not policy.adapter_is_off  # graphs know neither
        in_graphs = device.type == "cuda" and is_whole and has_plain_layers(cache) and can_capture(policy.model)
        generate = decoder_of(policy.model).generate if in_graphs else _generate
        tokens, logprobs = generate(
            policy.model, cache, columns, which, logits[which], max_new_tokens, temperature=temperature,
            generator=generator, stop_id=None if ignore_stop else stop_id,
        )  # fmt: skip
    length = tokens.shape[1]
    stops = (tokens == stop_id) & (not ignore_stop)
    stopped = stops.any(1)
    lengths = torch.where(stopped, stops.int().argmax(1) + 1, length)
    token_mask = torch.arange(length, device=device) < lengths[:, None]  # what finished rows drew while they waited
    tokens, logprobs = torch.where(token_mask, tokens, pad_id), torch.where(token_mask, logprobs, 0.0)
    return Samples(ids[which], mask[which], tokens, token_mask, logprobs, stopped)


def pad_left(prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids and mask, int64 (B, P), with the prompts at the right edge; the mask comes from the lengths."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[pad_id] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    return ids, mask


class PromptCache:
    """The keys and values of the last prompts: in a game, what a row sees next begins with what it saw before.

    Use one with one policy, whose weights do not change in between.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self._rows: dict[tuple[int, ...], int] = {}
        self._layers: list[tuple[Tensor, Tensor]] = []
        self._mask = torch.empty(0)

    def prefill(self, policy: CausalLM, prompts: list[tuple[int, ...]]) -> tuple[Tensor, DynamicCache, Tensor]:
        """Run what is new of U prompts, and remember all, if the model goes by position ids and not by columns.

        Returns:
            The next-token logits (U, vocabulary), the cache of C columns, and which of them each row may look at, int64
            (U, C): for a prompt that was continued, these are not all at the right edge.
        """
        cache = DynamicCache(config=policy.model.config)
        begun = [self._longest_prefix(prompt) for prompt in prompts]
        new = max(len(prompt) - len(prefix) for prompt, prefix in zip(prompts, begun, strict=True))
        if all(begun) and self._mask.shape[1] + new <= 2 * max(map(len, prompts)):  # columns of gaps cost memory
            rows = torch.tensor([self._rows[prefix] for prefix in begun], device=policy.device)
            for i, (keys, values) in enumerate(self._layers):
                cache.update(keys[rows], values[rows], i)
            seen = self._mask[rows]
        else:
            begun, seen = [()] * len(prompts), torch.empty(len(prompts), 0, dtype=torch.int64, device=policy.device)
        ids, mask = pad_left(
            [p[len(prefix) :] for p, prefix in zip(prompts, begun, strict=True)], policy.tokenizer.pad_id, policy.device
        )
        columns = torch.cat([seen, mask], 1)
        out = policy.model(
            input_ids=ids,
            attention_mask=columns,
            position_ids=positions(columns)[:, seen.shape[1] :],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        if has_plain_layers(cache) and "position_ids" in inspect.signature(policy.model.forward).parameters:
            self._rows = {prompt: row for row, prompt in enumerate(prompts)}
            self._layers = keys_and_values(cache)
            self._mask = columns
        return out.logits[:, -1], cache, columns

    def _longest_prefix(self, prompt: tuple[int, ...]) -> tuple[int, ...]:
        """Return the longest known beginning that leaves a token to run; empty if there is none."""
        lengths = sorted({len(known) for known in self._rows if len(known) < len(prompt)}, reverse=True)
        return next((prompt[:length] for length in lengths if prompt[:length] in self._rows), ())


def _generate(
    model: Any,
    prompt: DynamicCache,
    prompt_mask: Tensor,
    which: Tensor,
    logits: Tensor,
    max_new_tokens: int,
    *,
    temperature: float,
    generator: torch.Generator | None,
    stop_id: int | None,
) -> tuple[Tensor, Tensor]:
    """Draw tokens until all rows have stopped; arguments and results as of ``GraphDecoder.generate``."""
    rows = torch.arange(len(which), device=which.device)
    tokens = torch.zeros(len(rows), max_new_tokens, dtype=torch.int64, device=which.device)
    logprobs = torch.zeros(len(rows), max_new_tokens, device=which.device)
    decode = Decoder(model, prompt, prompt_mask, which, max_new_tokens)
    running = torch.ones_like(rows, dtype=torch.bool)
    between_looks = _between_looks(which.device)
    for t in range(max_new_tokens):
        uniform = torch.rand(len(rows), 1, generator=generator, device=which.device) if temperature else None
        drawn, logprob = draw(logits, temperature, uniform)
        if len(rows) == len(tokens):
            tokens[:, t], logprobs[:, t] = drawn, logprob
        else:
            tokens[rows, t], logprobs[rows, t] = drawn, logprob
        if stop_id is not None:
            running = running & (drawn != stop_id)
        if stop_id is not None and (t + 1) % between_looks == 0:
            left = int(running.sum())
            if left == 0:
                break
            if left <= _COMPACT_BELOW * len(rows):
                keep = torch.nonzero(running).squeeze(1)
                rows, drawn, running = rows[keep], drawn[keep], running[keep]
                decode.select(keep)
        if t + 1 < max_new_tokens:
            logits = decode(drawn)
    return tokens[:, : t + 1], logprobs[:, : t + 1]


def _between_looks(device: torch.device) -> int:
    """Return after how many tokens to look at who has stopped: asking a GPU means to wait for it."""
    return 1 if device.type == "cpu" else CHUNK


def _check(prompts: Sequence[Sequence[int]], max_new_tokens: int, temperature: float) -> None:
    if not prompts or not all(prompts):
        raise ValueError("sample needs at least one prompt, and at least one token in each")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be >= 1, got {max_new_tokens}")
    if not temperature >= 0:
        raise ValueError(f"temperature must be >= 0, got {temperature}")
