"""``ContextReader``: what a frozen language model makes of the contexts of a token-level env, as they grow.

``HiddenState`` and ``TopKActions`` look at the env through one. The innermost of them that has the same model owns it;
those further out use it, too, so that each token is computed once.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from textgym.agents.decoding import has_plain_layers, is_plain, next_states
from textgym.agents.policy import CausalLM, positions
from textgym.agents.sampling import pad_left
from textgym.envs.token_env import TokenEnv
from textgym.envs.vector import TokenVectorEnv


class Frozen:
    """Holds a live policy, for wrappers that record their arguments: a deep copy of this is itself."""

    def __init__(self, policy: CausalLM) -> None:
        """Hold ``policy``."""
        self.policy = policy

    def __deepcopy__(self, memo: dict[int, Any]) -> Frozen:
        """Return itself: ``env.spec`` deep-copies the arguments of each wrapper."""
        return self


Model = str | Path | CausalLM | Frozen
"""What names a frozen model: whatever ``CausalLM.load`` takes, a policy, or a policy in its handle."""


def recorded(model: Model) -> str | Frozen:
    """Return ``model`` as a wrapper should record it: a name, or a handle."""
    if isinstance(model, CausalLM):
        return Frozen(model)
    return model if isinstance(model, Frozen) else str(model)


class ContextReader:
    """Reads n contexts with a frozen model: a context that has grown by a token costs that token, an old one nothing.

    Any other context is read from its beginning. The KV cache holds the contexts right-aligned, so that one more token
    is one more column, and a context that begins anew is written to the left of the last one.
    """

    def __init__(self, model: Model, num_contexts: int) -> None:
        """Load ``model`` if it is a name."""
        self._model = recorded(model)
        self.policy = self._model.policy if isinstance(self._model, Frozen) else CausalLM.load(self._model)
        self._trunk = self.policy.trunk()
        self.size = int(self.policy.model.get_output_embeddings().weight.shape[1])
        self.contexts: list[list[int]] = [[] for _ in range(num_contexts)]
        self._states = torch.zeros(num_contexts, self.size, device=self.policy.device)
        self._cached = np.zeros(num_contexts, np.int64)  # tokens of each context in the cache, or 0
        self._cache = DynamicCache(config=self.policy.model.config)
        self._tapes: list[_Tape] = []
        self._head: list[int] = []
        self._head_is_known = False
        self._head_cache = DynamicCache(config=self.policy.model.config)
        self._can_cache = has_plain_layers(self._head_cache)
        self._final_rows, self._final_states = np.arange(0), self._states[:0]
        self._ranked: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def has(self, model: Model) -> bool:
        """Return whether this reads with ``model``."""
        known = recorded(model)
        return known == self._model or (isinstance(known, Frozen) and known.policy is self.policy)

    @property
    def states(self) -> NDArray[np.float32]:
        """Last hidden state of each context, float32 (n, size); 0 where the context is empty."""
        return _flat(self._states)

    def tokens(self, k: int) -> NDArray[np.int64]:
        """Return the k most probable next tokens of each context, int64 (n, k), best first."""
        return self._best(k)[0].cpu().numpy()

    def features(self, k: int) -> NDArray[np.float32]:
        """Describe each context, and the k tokens that are most probable next.

        Returns:
            float32 (n, size + k + k * size): the last hidden state (0 where the context is empty), the tokens'
            log-probabilities, best first, and their rows of the model's output layer.
        """
        return _flat(self._states, *(self._best(k)[1:] if k else ()))

    def final_features(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the rows whose episode the last step ended, and the ``features`` of their last contexts."""
        states = self._final_states
        return self._final_rows, _flat(states, *(self._rank(states, k)[1:] if k else ()))

    def _best(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        if k not in self._ranked:
            self._ranked[k] = self._rank(self._states, k)
        return self._ranked[k]

    @torch.inference_mode()
    def _rank(self, states: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the k best next tokens, their log-probabilities (n, k), and their output embeddings (n, k, size)."""
        model = self.policy.model
        with self.policy.forward_pass():
            logits = self.policy.logits(states.to(model.dtype)).float()[:, : self.policy.tokenizer.vocab_size]
        logprobs, tokens = logits.log_softmax(1).topk(k, 1)
        return tokens, logprobs, model.get_output_embeddings().weight[tokens].float()

    def follow(self, contexts: Sequence[list[int]], tokens: NDArray[np.int64], infos: dict[str, Any]) -> None:
        """Read on after a step of a vector env, and read the ends of the episodes that it ended.

        Args:
            contexts: after the step.
            tokens: what the step played, int64 (n,).
            infos: of the step; where ``_final_obs`` is True, the context is that of the next episode.
        """
        if "_final_obs" in infos:
            ended: NDArray[np.bool_] = infos["_final_obs"]
            rows = zip(self.contexts, tokens.tolist(), contexts, ended.tolist(), strict=True)
            self.read([[*before, token] if end else after for before, token, after, end in rows])
            self._final_rows = np.flatnonzero(ended)
            self._final_states = self._states[self._final_rows]
        self.read(contexts)

    @torch.inference_mode()
    def read(self, contexts: Sequence[list[int]]) -> None:
        """Read ``contexts``, n lists of token ids.

        Raises:
            ValueError: if one has more tokens than the model has positions for.
        """
        room = self.policy.context_length
        if room is not None and max(map(len, contexts)) > room:
            raise ValueError(f"a context of {max(map(len, contexts))} tokens exceeds the model's {room}")
        grown: list[int] = []
        fresh: list[int] = []
        for row, (old, new) in enumerate(zip(self.contexts, contexts, strict=True)):
            if new == old:
                continue
            (grown if self._cached[row] and new[:-1] == old else fresh).append(row)
        self.contexts = [list(context) for context in contexts]
        self._ranked = {}
        with self.policy.forward_pass():
            if grown:
                self._append(np.array(grown))
            if fresh:
                self._start(fresh)

    def _append(self, rows: NDArray[np.int64]) -> None:
        """Add the last token of each of ``rows`` to the cache, in one forward; the other rows drop out of it."""
        model, device = self.policy.model, self.policy.device
        kept = np.zeros_like(self._cached)
        kept[rows] = self._cached[rows] + 1
        self._cached = kept
        width = int(kept.max())
        for tape in self._tapes:
            tape.show(width - 1)
        tokens = torch.tensor([context[-1] if n else 0 for context, n in zip(self.contexts, kept, strict=True)])
        lengths = torch.from_numpy(kept).clamp(min=1)[:, None].to(device)  # a row that dropped out sees itself
        seen = torch.arange(width, device=device) >= width - lengths
        tokens = tokens.to(device)
        if is_plain(model):
            bias = torch.zeros(seen.shape, dtype=model.dtype, device=device)
            bias.masked_fill_(~seen, torch.finfo(model.dtype).min)
            states = next_states(model, tokens, bias, lengths - 1, self._cache)
        else:
            states = self._trunk(
                input_ids=tokens[:, None],
                attention_mask=seen.long(),
                position_ids=lengths - 1,
                past_key_values=self._cache,
                use_cache=True,
            ).last_hidden_state[:, -1]
        self._states[rows] = states[rows].float()

    def _start(self, rows: list[int]) -> None:
        """Read the contexts of ``rows`` from their beginning, and put them into the cache."""
        self._cached[rows] = 0
        self._states[rows] = 0.0
        rows = [row for row in rows if self.contexts[row]]
        if not rows:
            return
        contexts = [self.contexts[row] for row in rows]
        self._read_head(contexts)
        head, pad_id, device = len(self._head), self.policy.tokenizer.pad_id, self.policy.device
        ids, mask = pad_left([context[head:] for context in contexts], pad_id, device)
        mask = torch.cat([mask.new_ones(len(rows), head), mask], 1)
        read: Any = copy.deepcopy(self._head_cache)
        read.batch_repeat_interleave(len(rows))
        out = self._trunk(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions(mask)[:, head:],
            past_key_values=read,
            use_cache=True,
        )
        self._states[rows] = out.last_hidden_state[:, -1].float()
        if not self._can_cache:
            return
        if not self._tapes:
            self._tapes = [_Tape(len(self.contexts), layer.keys, layer.values) for layer in read.layers]
            self._cache.layers = list(self._tapes)
        padding, columns = (mask == 0).sum(1, keepdim=True), torch.arange(mask.shape[1], device=device)
        source = torch.where(columns < padding + head, (columns - padding).clamp(0), columns)  # from behind the head
        kept = int(self._cached.max())
        for tape, layer in zip(self._tapes, read.layers, strict=True):
            tape.write(rows, _columns(layer.keys, source), _columns(layer.values, source), kept)
        self._cached[rows] = [len(context) for context in contexts]

    def _read_head(self, contexts: list[list[int]]) -> None:
        """Read, once for all rows, the ids that every context so far has begun with, such as a system prompt."""
        if not self._can_cache:
            return
        known = [self._head] if self._head_is_known else []
        head = _common_prefix([*known, *(context[:-1] for context in contexts)])
        self._head_is_known = True
        if head == self._head:
            return
        self._head, self._head_cache = head, DynamicCache(config=self.policy.model.config)
        if head:
            ids = torch.tensor([head], device=self.policy.device)
            self._trunk(input_ids=ids, past_key_values=self._head_cache, use_cache=True)


def _common_prefix(contexts: list[list[int]]) -> list[int]:
    low, high = min(contexts), max(contexts)
    return [token for token, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))]


def _flat(*parts: Tensor) -> NDArray[np.float32]:
    return torch.cat([part.flatten(1) for part in parts], 1).cpu().numpy()  # a copy


def _columns(states: Tensor, source: Tensor) -> Tensor:
    """Return states (B, heads, L, size) whose column j of row i is column ``source[i, j]``; ``source`` int64 (B, L)."""
    return states.gather(2, source[:, None, :, None].expand_as(states))


class _Tape(DynamicLayer):
    """A cache layer whose rows all end at the same column and begin where they like, with room to the right."""

    def __init__(self, num_rows: int, keys: Tensor, values: Tensor) -> None:
        """Make an empty layer for ``num_rows`` rows of what ``keys`` and ``values`` (rows, heads, length, size) are."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._buffers = [states.new_zeros(num_rows, states.shape[1], 0, states.shape[3]) for states in (keys, values)]
        self._end = 0
        self.show(0)

    def show(self, width: int) -> tuple[Tensor, Tensor]:
        """Make the last ``width`` columns what the layer holds, and return them."""
        self._width = width
        keys, values = (buffer[:, :, self._end - width : self._end] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append one column and return what the layer holds then."""
        width = self._width
        if self._end == self._buffers[0].shape[2]:
            self._move(width, width)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, self._end] = states[:, :, 0]
        self._end += 1
        return self.show(width + 1)

    def write(self, rows: list[int], keys: Tensor, values: Tensor, kept: int) -> None:
        """Replace ``rows`` by right-aligned states (rows, heads, length, size); keep ``kept`` columns of the others."""
        length = keys.shape[2]
        if self._end < length:
            self._move(kept, length)
        for buffer, states in zip(self._buffers, (keys, values), strict=True):
            buffer[rows, :, self._end - length : self._end] = states

    def _move(self, kept: int, end: int) -> None:
        """Copy the last ``kept`` columns to new buffers, in which they end at ``end``."""
        old, self._buffers = self._buffers, []
        for buffer in old:
            rows, heads, _, size = buffer.shape
            moved = buffer.new_zeros(rows, heads, 2 * end + 32, size)
            moved[:, :, end - kept : end] = buffer[:, :, self._end - kept : self._end]
            self._buffers.append(moved)
        self._end = end


def contexts_of(env: Any) -> list[list[int]]:
    """Return the ids so far, of prompt and responses, for each episode of a token-level env, single or vector."""
    base = env.unwrapped
    if isinstance(base, TokenEnv):
        return [base._context + base._response]
    pairs = zip(base.contexts, base._responses(np.arange(base.num_envs)), strict=True)
    return [context + response for context, response in pairs]


def find_reader(env: Any, model: Model) -> tuple[ContextReader, bool]:
    """Return the reader of a wrapper in ``env`` that has the same model, and False; or a new reader, and True.

    Raises:
        TypeError: if ``env`` is not token level.
        ValueError: if its vocabulary is not the model's.
    """
    base = env.unwrapped
    if not isinstance(base, TokenEnv | TokenVectorEnv):
        raise TypeError(f"a language model reads token-level envs (level='token'), got {env}")
    while env is not base:
        reader = getattr(env, "reader", None)
        if isinstance(reader, ContextReader) and reader.has(model):
            return reader, False
        env = env.env
    reader = ContextReader(model, getattr(base, "num_envs", 1))
    ours, theirs = reader.policy.tokenizer, base.tokenizer
    if (ours.vocab_size, ours.stop_id) != (theirs.vocab_size, theirs.stop_id):
        raise ValueError(
            f"the env's vocabulary ({theirs.vocab_size} tokens) is not the model's ({ours.vocab_size}): make the env "
            f"with tokenizer=policy.tokenizer"
        )
    return reader, True
