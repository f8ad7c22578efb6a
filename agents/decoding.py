"""``decode``: one more token for each row of a batch, given the KV cache.

A transformers model's own ``forward`` does for one token everything that it does for a thousand. For the plain Llama
architecture and its twins this file writes the same computation for one token alone, from the model's own modules: same
weights, same numbers up to rounding. Any other model goes through its ``forward``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_PLAIN = {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"}


class Decoder:
    """The state of a generating batch: the KV cache and what each row may look at."""

    def __init__(self, model: Any, prompt: DynamicCache, prompt_mask: Tensor, which: Tensor, new_tokens: int) -> None:
        """Start from prefilled prompts.

        Args:
            model: a causal language model of transformers.
            prompt: the cache of U prefilled prompts.
            prompt_mask: int64 (U, P), 0 at left padding.
            which: int64 (B,), the prompt of each row.
            new_tokens: how many tokens may follow.
        """
        self.model, self._cache, self._width = model, prompt, prompt_mask.shape[1]
        mask = prompt_mask[which]
        self._positions, self._mask = mask.sum(1), torch.cat([mask, mask.new_ones(len(which), new_tokens)], 1)
        plain_cache = has_plain_layers(prompt)
        self._is_plain = plain_cache and is_plain(model)
        if plain_cache:
            prompt.layers = [_Preallocated(layer, which) for layer in prompt.layers]
        else:
            prompt.batch_select_indices(which)
        if self._is_plain:  # what to add to the scores
            hidden = torch.finfo(model.dtype).min
            self._mask = torch.zeros_like(self._mask, dtype=model.dtype).masked_fill(self._mask == 0, hidden)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Append ``tokens``, int64 (B,), and return the logits of what comes next, (B, vocabulary)."""
        self._width += 1
        mask, positions = self._mask[:, : self._width], self._positions[:, None]
        self._positions = self._positions + 1
        if self._is_plain:
            logits: Tensor = self.model.lm_head(next_states(self.model, tokens, mask, positions, self._cache))
            return logits
        out = self.model(
            input_ids=tokens[:, None],
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
        )
        logits = out.logits[:, -1]
        return logits

    def select(self, rows: Tensor) -> None:
        """Keep some rows of the batch, int64 (rows kept,)."""
        self._mask, self._positions = self._mask[rows], self._positions[rows]
        self._cache.batch_select_indices(rows)


def draw(logits: Tensor, temperature: float | Tensor, uniform: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return one token, int64 (B,), and its log-probability, float32 (B,), for each row of logits (B, vocabulary).

    ``uniform`` is in [0, 1), (B, 1). With a temperature of 0 it is not needed: the most probable token is taken.
    """
    scores = logits.float()
    is_number = not isinstance(temperature, Tensor)
    probabilities = (scores if is_number and temperature in (0, 1) else scores / temperature).softmax(-1)
    if is_number and temperature == 0:
        drawn = probabilities.argmax(-1)
    else:  # the first token at which the cumulated probability exceeds the uniform number
        assert uniform is not None
        cumulated = probabilities.cumsum(-1)
        drawn = (cumulated <= uniform * (1 - 1e-6) * cumulated[:, -1:]).sum(-1)
    return drawn, probabilities.gather(-1, drawn[:, None]).squeeze(-1).log()


def is_plain(model: Any) -> bool:
    """Return whether ``next_states`` computes what the model's own ``forward`` does."""
    return type(model).__name__ in _PLAIN


def has_plain_layers(cache: DynamicCache) -> bool:
    """Return whether every layer of the cache keeps everything: no sliding windows and the like."""
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def keys_and_values(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    """Return those of each layer, (B, groups, L, size)."""
    layers: list[Any] = cache.layers
    return [(layer.keys, layer.values) for layer in layers]


def next_states(model: Any, tokens: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
    """Append ``tokens``, int64 (B,), to the cache and return the last hidden states, (B, size).

    ``positions`` is int64 (B, 1); ``mask``, (B, L), is added to the attention scores.

    Attention with grouped keys (Ainslie et al. 2023, section 2.2) is two batched products: the heads of a group are the
    rows of one matrix, and share keys and values uncopied.
    """
    trunk, states = model.model, model.model.embed_tokens(tokens)
    cos, sin = trunk.rotary_emb(states, positions)  # (B, 1, size)
    batch, size = len(tokens), cos.shape[-1]
    sin = torch.cat((-sin[..., : size // 2], sin[..., size // 2 :]), -1)
    groups = model.config.num_key_value_heads
    mask = mask[:, None].expand(batch, groups, -1).reshape(batch * groups, 1, -1)
    for i, layer in enumerate(trunk.layers):
        attention, normed = layer.self_attn, layer.input_layernorm(states)
        query = _rotate(attention.q_proj(normed).view(batch, -1, size), cos, sin)
        key = _rotate(attention.k_proj(normed).view(batch, groups, size), cos, sin)
        value = attention.v_proj(normed).view(batch, groups, size)
        keys, values = cache.update(key[:, :, None], value[:, :, None], i)  # (B, groups, L, size)
        query = query.reshape(batch * groups, -1, size)
        scores = torch.baddbmm(mask, query, keys.flatten(0, 1).transpose(1, 2), alpha=attention.scaling)
        weights = scores.softmax(-1, torch.float32).to(scores.dtype)
        attended = torch.bmm(weights, values.flatten(0, 1)).reshape(batch, -1)
        states = states + attention.o_proj(attended)
        states = states + layer.mlp(layer.post_attention_layernorm(states))
    normed_states: Tensor = trunk.norm(states)
    return normed_states


def _rotate(states: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
    """Apply rotary positions (Su et al. 2021, section 3.4.2), in transformers' order of halves."""
    return torch.addcmul(states * cos, states.roll(states.shape[-1] // 2, -1), signed_sin)


class _Preallocated(DynamicLayer):
    """A cache layer with room for tokens to come, where ``DynamicLayer`` copies everything at each step."""

    def __init__(self, prompt: Any, which: Tensor) -> None:
        """Copy a prefilled prompt layer, one row for each entry of ``which``."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype, self.device, self.is_initialized = prompt.keys.dtype, prompt.keys.device, True
        self._length = prompt.keys.shape[2]
        self._buffers = [_with_room(states[which]) for states in (prompt.keys, prompt.values)]
        self._show()

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append and return everything so far."""
        start = self._length
        self._length += key_states.shape[2]
        if self._length > self._buffers[0].shape[2]:
            self._buffers = [_with_room(buffer) for buffer in self._buffers]
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start : self._length] = states
        return self._show()

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows."""
        self._buffers = [_with_room(states[indices]) for states in self._show()]
        self._show()

    def _show(self) -> tuple[Tensor, Tensor]:
        self.keys, self.values = (buffer[:, :, : self._length] for buffer in self._buffers)
        return self.keys, self.values


def _with_room(states: Tensor) -> Tensor:
    """Return a copy with room for twice as many tokens, and 32 more at least."""
    rows, heads, length, size = states.shape
    buffer = states.new_empty(rows, heads, length + max(32, length), size)
    buffer[:, :, :length] = states
    return buffer
