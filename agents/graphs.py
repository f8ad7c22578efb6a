"""``GraphDecoder``: on a CUDA device a step of decoding is one graph, and the host is asked nothing for 16 tokens.

A small model's step is hundreds of kernels of a few microseconds, and launching each costs as much. Here every step
runs the same kernels on the same memory: captured once for each size of batch and length (CUDA graphs), replayed after.
Sizes are rounded up so that few graphs are needed. The graphs read the weights where the optimiser changes them.

The steps themselves are plain torch, and the tests run them on a CPU without a graph.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from textgym.agents.decoding import draw, is_plain, keys_and_values, next_states

CHUNK = 16
"""Tokens between looks at who has stopped."""
_LENGTHS = 128
"""Lengths are multiples of this."""
_DECODERS: weakref.WeakKeyDictionary[Any, GraphDecoder] = weakref.WeakKeyDictionary()


def decoder_of(model: Any) -> GraphDecoder:
    """Return the decoder of a model, with the graphs and the memory of earlier calls."""
    return _DECODERS.setdefault(model, GraphDecoder())


def can_capture(model: Any) -> bool:
    """Return whether a step of the model is one whose computation ``next_states`` does, and waits for nothing.

    Positions whose scale depends on the length ask the device for it.
    """
    rope = getattr(model.config, "rope_parameters", None) or {}
    return is_plain(model) and rope.get("rope_type") not in ("dynamic", "longrope")


class GraphDecoder:
    """The memory of a generating batch at fixed addresses, and the graphs that work on it."""

    def __init__(self) -> None:
        self._graphs: dict[tuple[Any, ...], Callable[[], None]] = {}
        self._owner: tuple[Any, ...] = ()
        self._rows = self._room = 0
        self._layers: list[tuple[Tensor, Tensor]] = []
        self._pool: Any = None

    def generate(
        self,
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
        """Draw tokens until all rows have stopped.

        Args:
            model: one whose step ``next_states`` computes.
            prompt: the cache of U prefilled prompts.
            prompt_mask: int64 (U, P), 0 at left padding.
            which: int64 (B,), the prompt of each row.
            logits: (B, vocabulary), of the first token.
            max_new_tokens: longest response.
            temperature: see ``sample``.
            generator: see ``sample``.
            stop_id: the token that ends a row; None: no token does.

        Returns:
            Tokens, int64 (B, T), and their log-probabilities, float32 (B, T); rows that stopped go on with anything.
        """
        rows, device = torch.arange(len(which), device=which.device), which.device
        tokens = torch.zeros(len(rows), max_new_tokens, dtype=torch.int64, device=device)
        logprobs = torch.zeros(len(rows), max_new_tokens, device=device)
        self._begin(model, prompt, prompt_mask, which, max_new_tokens, temperature)
        uniform = torch.rand(len(rows), 1, generator=generator, device=device)
        tokens[:, 0], logprobs[:, 0] = draw(logits, temperature, uniform)
        self._last[: len(rows)] = tokens[:, 0]
        done, width, padded = 1, prompt_mask.shape[1], _bucket(len(rows))
        running = tokens[:, 0] != stop_id if stop_id is not None else torch.ones_like(rows, dtype=torch.bool)
        while done < max_new_tokens:
            keep = torch.nonzero(running).squeeze(1)  # the only wait for the device
            if len(keep) == 0:
                break
            if _bucket(len(keep)) < padded:
                padded, rows, running = _bucket(len(keep)), rows[keep], running[keep]
                self._move(keep, width)
            steps = min(CHUNK, max_new_tokens - done)
            self._step.zero_()
            self._uniform[:, :padded] = torch.rand(CHUNK, padded, generator=generator, device=device)
            for _ in range(steps):
                self._run(model, padded, -(-(width + 1) // _LENGTHS) * _LENGTHS, temperature == 0)
                width += 1
            drawn = self._drawn[:steps, : len(rows)].T
            tokens[rows, done : done + steps] = drawn
            logprobs[rows, done : done + steps] = self._logprobs[:steps, : len(rows)].T
            if stop_id is not None:
                running = running & (drawn != stop_id).all(1)
            done += steps
        return tokens[:, :done], logprobs[:, :done]

    def _begin(
        self, model: Any, prompt: DynamicCache, prompt_mask: Tensor, which: Tensor, new: int, temperature: float
    ) -> None:  # fmt: skip
        """Write the prompts into the memory, which is made anew if it is too small or was another model's."""
        width, layers = prompt_mask.shape[1], keys_and_values(prompt)
        rows, room = _bucket(len(which)), -(-(width + new) // _LENGTHS) * _LENGTHS
        weights = [parameter.data_ptr() for parameter in model.parameters()]
        owner = (torch.is_autocast_enabled(which.device.type), layers[0][0].dtype, *weights)
        if owner != self._owner or rows > self._rows or room > self._room:
            self._graphs.clear()
            self._pool, self._layers = None, []  # freed before there is anything new
            if owner != self._owner:
                self._rows = self._room = 0
            self._owner, self._rows, self._room = owner, max(rows, self._rows), max(room, self._room)
            self._allocate(layers, which.device, model.dtype)
        filled = torch.cat([which, which.new_zeros(rows - len(which))])  # rows that pad a batch repeat the first prompt
        for kept, given in zip(self._layers, layers, strict=True):
            for memory, states in zip(kept, given, strict=True):
                memory[:rows, :, :width] = states[filled]
        hidden = torch.finfo(self._mask.dtype).min
        self._mask.fill_(hidden)
        self._mask[:rows, :width].masked_fill_(prompt_mask[filled] != 0, 0.0)
        self._positions[:rows, 0] = prompt_mask[filled].sum(1)
        self._column.fill_(width)
        self._temperature.fill_(temperature or 1.0)

    def _allocate(self, layers: list[tuple[Tensor, Tensor]], device: torch.device, mask_dtype: torch.dtype) -> None:
        rows, room = self._rows, self._room

        # Rotary positions leave keys in float32 where autocast would cast all of them again at each token.
        lowered = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None

        def like(states: Tensor) -> Tensor:  # zeros: what is masked is multiplied by 0, and what lay there may be NaN
            return states.new_zeros(rows, states.shape[1], room, states.shape[3], dtype=lowered or states.dtype)

        self._layers = [(like(keys), like(values)) for keys, values in layers]

        def integers(*size: int) -> Tensor:
            return torch.zeros(size, dtype=torch.int64, device=device)

        self._mask = torch.zeros(rows, room, dtype=mask_dtype, device=device)
        self._positions, self._last = integers(rows, 1), integers(rows)
        self._column, self._step = integers(1), integers(1)
        self._uniform, self._logprobs = torch.zeros(2, CHUNK, rows, device=device)
        self._drawn = integers(CHUNK, rows)
        self._temperature = torch.ones((), device=device)

    def _move(self, keep: Tensor, width: int) -> None:
        """Put some rows first; those that pad the batch stay what they are."""
        count = len(keep)
        for states in itertools.chain.from_iterable(self._layers):
            states[:count, :, :width] = states[keep, :, :width]
        for state in (self._mask, self._positions, self._last):
            state[:count] = state[keep]

    def _run(self, model: Any, rows: int, length: int, greedy: bool) -> None:
        """Take one step: replay its graph, which is captured the first time; without CUDA just do it."""
        if self._last.device.type != "cuda":
            self._take_step(model, rows, length, greedy)
            return
        key = rows, length, greedy
        if key not in self._graphs:
            self._graphs[key] = self._capture(model, *key)
        self._graphs[key]()

    def _capture(self, model: Any, rows: int, length: int, greedy: bool) -> Callable[[], None]:
        """Return the replay of a step. Capturing runs nothing, but warming up does: its traces are wiped out."""
        states = (self._column, self._step, self._positions, self._last)
        before = [state.clone() for state in states]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        # casts that autocast keeps would be freed under the graph
        bf16 = torch.is_autocast_enabled("cuda")
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16, cache_enabled=False):
            with torch.cuda.stream(stream):
                for _ in range(2):
                    self._take_step(model, rows, length, greedy)
                    for state, value in zip(states, before, strict=True):
                        state.copy_(value)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # One pool serves all graphs: they run one after the other, and what they leave stands outside of it.
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            with torch.cuda.graph(graph, pool=self._pool):
                self._take_step(model, rows, length, greedy)
        return graph.replay

    def _take_step(self, model: Any, rows: int, length: int, greedy: bool) -> None:
        """Append the last tokens and draw the next: no size depends on a value, and no value is asked for."""
        self._mask[:rows].index_fill_(1, self._column, 0.0)
        cache = _Columns(self._layers, self._column, rows, length)
        states = next_states(model, self._last[:rows], self._mask[:rows, :length], self._positions[:rows], cache)
        uniform = self._uniform[:, :rows].index_select(0, self._step)[0, :, None]
        drawn, logprobs = draw(model.lm_head(states), 0 if greedy else self._temperature, uniform)
        self._drawn[:, :rows].index_copy_(0, self._step, drawn[None])
        self._logprobs[:, :rows].index_copy_(0, self._step, logprobs[None])
        self._last[:rows] = drawn
        self._positions[:rows] += 1
        self._column += 1
        self._step += 1


class _Columns:
    """The part of the memory that a step works on, with the ``update`` of a transformers cache."""

    def __init__(self, layers: list[Any], column: Tensor, rows: int, length: int) -> None:
        self._layers, self._column, self._rows, self._length = layers, column, rows, length

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Write one column, (B, groups, 1, size), and return all columns up to the length."""
        kept_keys, kept_values = (states[: self._rows] for states in self._layers[layer])
        kept_keys.index_copy_(2, self._column, keys.to(kept_keys.dtype))
        kept_values.index_copy_(2, self._column, values.to(kept_values.dtype))
        return kept_keys[:, :, : self._length], kept_values[:, :, : self._length]


def _bucket(rows: int) -> int:
    """Return the next of 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, ..."""
    power = 1
    while power < rows:
        power *= 2
    return power * 3 // 4 if power >= 4 and power * 3 // 4 >= rows else power
