"""Attention for one new token on a CPU: two batched products, where torch's fused kernel is slow.

Decoding reads the whole KV cache for a single query. ``scaled_dot_product_attention`` on a CPU is made for many queries
and takes up to twice as long for one. ``use_decoding_attention`` registers an alternative under a name of its own with
transformers' ``AttentionInterface``; everything that is not a single query on a CPU still goes to "sdpa".
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "textgym_sdpa"


def use_decoding_attention(model: Any) -> None:
    """Switch a model that uses "sdpa" on a CPU to the function below; leave any other as it is."""
    if model.config._attn_implementation == "sdpa" and model.device.type == "cpu":
        model.set_attn_implementation(NAME)


def attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Return softmax(q k^T * scaling + mask) v, (B, 1, heads, size), for query (B, heads, 1, size).

    Key and value are (B, groups, L, size) with heads a multiple of groups; heads of a group share them uncopied.
    """
    batch, heads, length, size = query.shape
    plain = length == 1 and query.device.type == "cpu" and not torch.is_grad_enabled()
    if not plain or dropout or attention_mask is None or not attention_mask.is_floating_point():
        forward: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return forward
    groups, seen = key.shape[1], key.shape[2]
    grouped = query.reshape(batch * groups, heads // groups, size)
    mask = attention_mask.expand(batch, groups, 1, seen).reshape(batch * groups, 1, seen)
    scores = torch.baddbmm(mask, grouped, key.flatten(0, 1).transpose(1, 2), alpha=scaling or size**-0.5)
    out = torch.bmm(scores.softmax(-1), value.flatten(0, 1))
    return out.reshape(batch, 1, heads, size), None


AttentionInterface.register(NAME, attention_forward)
AttentionMaskInterface.register(NAME, sdpa_mask)
