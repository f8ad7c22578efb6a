"""``pack``: lays prompts and answers one after the other in bins, so that little padding goes through the model.

A prompt that several answers share stands in a bin once, before them. An answer sees its prompt and itself, and its
positions go on from its prompt's: the model computes for it what it would compute for prompt and answer alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Packing:
    """Where each token of a batch stands in N bins of L slots, for prompts (B, P) and answers (B, T) side by side."""

    sources_NL: Tensor
    """int64: the index of the slot's token in the flattened (B, P + T); 0 in a slot that is left over."""
    positions_NL: Tensor
    """int64: position ids, from 0 on for each prompt."""
    prompts_NL: Tensor
    """int64: which prompt the token belongs to or follows; -1 in a slot that is left over."""
    answers_NL: Tensor
    """int64: the row whose answer it is; -1 for tokens of a prompt and in slots left over."""
    states_BT: Tensor
    """int64: the flattened slot whose state predicts the answer's token; 0 beyond the answer's end."""

    def mask(self, dtype: torch.dtype) -> Tensor:
        """Return what is added to attention's scores, (N, 1, L, L): 0 where a query sees a key, else -inf.

        Every slot sees itself, those left over, too: no softmax is of nothing.
        """
        sees = self.prompts_NL[:, :, None] == self.prompts_NL[:, None]
        sees &= (self.answers_NL[:, None] < 0) | (self.answers_NL[:, :, None] == self.answers_NL[:, None])
        sees = sees.tril()
        return torch.zeros(sees.shape, dtype=dtype, device=sees.device).masked_fill(~sees, -torch.inf)[:, None]

    def to(self, device: torch.device) -> Packing:
        """Return the same on another device."""
        return Packing(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))


def forward_cost(tokens: int, keys: int, size: int) -> int:
    """Return the work of putting tokens through a transformer, in units that cancel.

    Per layer of hidden size d, a token takes about 24 d² floating-point operations in the matrices, and 4 d for every
    key that attention compares it with, masked or not (Kaplan et al., arXiv 2001.08361, table 1): 4 d (6 d + keys).
    """
    return tokens * (6 * size + keys)


def pack(
    prompt_mask_UP: Tensor, prompt_of_B: Tensor, wanted_BT: Tensor, size: int, work: float = float("inf")
) -> Packing | None:
    """Pack a batch, if that is clearly less work than another way.

    Longer bins repeat prompts less often, and attention compares more in them: bins as long as the longest row, twice
    and four times that are tried.

    Args:
        prompt_mask_UP: 1 where a prompt has a token; left padded.
        prompt_of_B: int64, the prompt of each row.
        wanted_BT: the tokens to predict; what follows a row's last is left out.
        size: the model's hidden size.
        work: the ``forward_cost`` of the other way.

    Returns:
        None if it saves less than a tenth, if there is a prompt without a token, or if nothing is wanted.
    """
    prompts, answers = _last_columns(prompt_mask_UP.flip(1)), _last_columns(wanted_BT)
    rows_of: dict[int, list[int]] = {}
    for row, prompt in enumerate(prompt_of_B.tolist()):
        if answers[row]:
            rows_of.setdefault(prompt, []).append(row)
    if not rows_of or not all(prompts):
        return None
    longest = max(prompts[prompt] + answers[row] - 1 for prompt, rows in rows_of.items() for row in rows)
    widths = [-(-longest * times // 8) * 8 for times in (1, 2, 4)]  # GPUs want multiples of 8
    tried = [(width, _fill(prompts, rows_of, answers, width)) for width in widths]
    costs = [forward_cost(len(bins) * width, width, size) for width, bins in tried]
    if min(costs) > 0.9 * work:
        return None
    width, bins = tried[costs.index(min(costs))]
    return lay_out(bins, width, prompts, answers, (prompt_mask_UP.shape[1], wanted_BT.shape[1])).to(wanted_BT.device)


Bins = list[list[tuple[int, list[int]]]]
"""In each bin some prompts, and with each the rows whose answers follow it there."""


def lay_out(bins: Bins, width: int, prompts: Sequence[int], answers: Sequence[int], shape: tuple[int, int]) -> Packing:
    """Write down where everything stands in bins of ``width`` slots, for prompts and answers of these lengths.

    An answer's last token is not put in: nothing that follows it is to be predicted. ``shape`` is P and T.
    """
    columns, most = shape
    sources = np.zeros((len(bins), width), np.int64)
    positions = np.zeros_like(sources)
    owners, branches = np.full_like(sources, -1), np.full_like(sources, -1)
    states = np.zeros((len(answers), most), np.int64)
    count = 0
    for n, bin_ in enumerate(bins):
        end = 0
        for prompt, rows in bin_:
            start, length = end, prompts[prompt]
            end += length
            first = rows[0] * (columns + most) + columns
            sources[n, start:end] = np.arange(first - length, first)
            positions[n, start:end] = np.arange(length)
            states[rows, 0] = n * width + end - 1
            for row in rows:
                begin, inner = end, answers[row] - 1
                end += inner
                first = row * (columns + most) + columns
                sources[n, begin:end] = np.arange(first, first + inner)
                positions[n, begin:end] = np.arange(length, length + inner)
                branches[n, begin:end] = row
                states[row, 1 : inner + 1] = np.arange(n * width + begin, n * width + end)
            owners[n, start:end] = count  # a prompt that a bin has twice is two prompts
            count += 1
    return Packing(*map(torch.from_numpy, (sources, positions, owners, branches, states)))


def _last_columns(mask: Tensor) -> list[int]:
    """Return the column of each row's last 1, counted from 1; 0 for a row of zeros."""
    columns = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    return torch.where(mask.bool(), columns, 0).amax(1).tolist()


def _fill(prompts: Sequence[int], rows_of: dict[int, list[int]], answers: Sequence[int], width: int) -> Bins:
    pieces = [
        (prompt, [rows[i] for i in some])
        for prompt, rows in rows_of.items()
        for some in first_fit([answers[row] - 1 for row in rows], width - prompts[prompt])
    ]
    lengths = [prompts[prompt] + sum(answers[row] - 1 for row in rows) for prompt, rows in pieces]
    return [[pieces[i] for i in some] for some in first_fit(lengths, width)]


def first_fit(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Put things, the longest first, each into the first bin that has room for it; return their indices by bin.

    Nothing may be longer than ``room``. It takes at most 11/9 of the fewest possible bins, and one more (Dosa, 2007).
    """
    bins: list[list[int]] = []
    left: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        chosen = next((n for n, free in enumerate(left) if free >= lengths[i]), len(bins))
        if chosen == len(bins):
            bins.append([])
            left.append(room)
        bins[chosen].append(i)
        left[chosen] -= lengths[i]
    return bins


def packed_states(trunk: Any, packing: Packing, prompt_ids: Tensor, tokens: Tensor) -> Tensor:
    """Return the last hidden states (B, T, size) that predict ``tokens``; beyond an answer's end, any state."""
    out = trunk(
        input_ids=torch.cat([prompt_ids, tokens], 1).flatten()[packing.sources_NL],
        attention_mask=packing.mask(trunk.dtype),
        position_ids=packing.positions_NL,
        use_cache=False,
    )
    states: Tensor = out.last_hidden_state.flatten(0, 1).index_select(0, packing.states_BT.flatten())
    return states.view(*tokens.shape, -1)


@torch.no_grad()
def takes_packing(trunk: Any) -> bool:
    """Return whether a model computes in a bin what it computes for each row alone.

    Looks at a small example: a layer with a memory of its own (Mamba, a convolution) mixes rows whatever the mask says,
    and not every model takes such a mask. Attention must be torch's (``sdpa``): flash attention has no masks.
    """
    if trunk.config._attn_implementation != "sdpa":
        return False
    rounding = 0.05 if trunk.dtype.itemsize < 4 else 0.005
    some = trunk.get_input_embeddings().weight.shape[0] // 6  # ids far apart, and a prompt that two rows share
    prompt_ids = some * torch.tensor([[0, 1, 2], [0, 1, 2], [5, 4, 1]], device=trunk.device)
    tokens = some * torch.tensor([[3, 4, 0], [5, 2, 1], [3, 0, 2]], device=trunk.device)
    answers = [2, 3, 3]
    packing = lay_out([[(0, [1, 0]), (1, [2])]], 16, [3, 2], answers, (3, 3)).to(trunk.device)
    try:
        packed = packed_states(trunk, packing, prompt_ids, tokens)
    except Exception:  # however a model refuses a mask: the other ways are always open
        return False
    for row, (length, count) in enumerate(zip((3, 3, 2), answers, strict=True)):
        alone = trunk(input_ids=torch.cat([prompt_ids[row, -length:], tokens[row, : count - 1]])[None], use_cache=False)
        states = alone.last_hidden_state[0, length - 1 :].float()
        if (packed[row, :count] - states).norm() > rounding * states.norm():
            return False
    return True


def attention_reach(config: Any) -> float:
    """Return how many tokens every layer sees; for longer rows some need masks of their own."""
    config = config.get_text_config()
    limits = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((limit for limit in limits if limit is not None), default=float("inf"))
