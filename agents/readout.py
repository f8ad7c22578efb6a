"""``logprobs_and_entropies``: what a loss needs to know of logits, and its gradient, without copies of the logits.

Autograd keeps the logits, their softmax or their log_softmax for the backward pass, and makes two or three more of that
size in it. Here the logits alone are kept, the gradient is written down, and all else goes by a few rows at a time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ROWS = 32
"""Rows that are worked on at a time: the one thing that is made twice is of this height."""
_LOWEST = -1e9
"""Stands for log 0 where it is multiplied by 0."""


def logprobs_and_entropies(logits_NV: Tensor, tokens_N: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Compute log π(y) and the entropy of π = softmax(z / τ), differentiable, in float32.

        log π(y) = z_y / τ - lse            d / dz_v = (1[v = y] - π_v) / τ
        H = -Σ_v π_v log π_v                d / dz_v = -π_v (log π_v + H) / τ

    Args:
        logits_NV: z, of any float type; one row for each token. Tokens forbidden by -inf count as 0 in H.
        tokens_N: y, int64.
        temperature: τ.

    Returns:
        Log-probs and entropies, both float32 (N,). Second derivatives are not there.

    Raises:
        ValueError: If `temperature` is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature ({temperature}) must be positive")
    results: tuple[Tensor, Tensor] = _LogProbsAndEntropies.apply(logits_NV, tokens_N, temperature)  # type: ignore[no-untyped-call]
    return results


class _LogProbsAndEntropies(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor, tokens_N: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        logprobs_N, entropies_N = (torch.empty(len(tokens_N), device=logits_NV.device) for _ in range(2))
        for i in range(0, len(tokens_N), _ROWS):
            rows = slice(i, i + _ROWS)
            log_pi = (logits_NV[rows].float() / temperature).log_softmax(-1)
            logprobs_N[rows] = log_pi.gather(-1, tokens_N[rows, None]).squeeze(-1)
            entropies_N[rows] = -torch.linalg.vecdot(log_pi.exp(), log_pi.clamp_(min=_LOWEST))
        ctx.save_for_backward(logits_NV, tokens_N, entropies_N)
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        return logprobs_N, entropies_N

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, grad_logprobs_N: Tensor | None, grad_entropies_N: Tensor | None
    ) -> tuple[Tensor, None, None]:
        logits_NV, tokens_N, entropies_N = ctx.saved_tensors
        if grad_logprobs_N is None:
            grad_logprobs_N = torch.zeros_like(entropies_N)
        grad_NV = torch.empty_like(logits_NV)
        for i in range(0, len(tokens_N), _ROWS):
            rows = slice(i, i + _ROWS)
            log_pi = (logits_NV[rows].float() / ctx.temperature).log_softmax(-1)
            grad = log_pi.exp()
            if grad_entropies_N is None:
                grad.mul_(-grad_logprobs_N[rows, None])
            else:
                surprise = log_pi.clamp_(min=_LOWEST).add_(entropies_N[rows, None])
                grad.mul_(surprise.mul_(-grad_entropies_N[rows, None]).sub_(grad_logprobs_N[rows, None]))
            grad.scatter_add_(1, tokens_N[rows, None], grad_logprobs_N[rows, None])
            grad_NV[rows] = grad.div_(ctx.temperature)
        return grad_NV, None, None
