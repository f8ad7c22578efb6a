"""``prepacked``: a model's linear layers with their weights in oneDNN's own order, for many passes over few rows.

PyTorch multiplies float32 on a CPU by BLAS, which reads weights as they lie; for the few rows of a decoding step, that
costs 1.6 to 3.5 times what oneDNN takes with weights in the order of its loops (AMD EPYC, SmolLM2-135M's shapes). To
reorder them costs about two steps, and a copy of them while it lasts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

_MIN_WEIGHTS = 100_000  # for smaller layers it costs more than it gains


@contextlib.contextmanager
def prepacked(model: nn.Module) -> Iterator[None]:
    """Within this, linear layers in float32 on a CPU take reordered copies of their weights as they are now.

    For inference: no gradient passes through. Layers whose ``forward`` a hook has replaced stay as they are, and so do
    all where PyTorch has no oneDNN, and under autocast, in which layers get bfloat16.
    """
    linear = (module for module in model.modules() if isinstance(module, nn.Linear))
    layers = [layer for layer in linear if _gains(layer)] if _is_available() else []
    try:
        for layer in layers:
            weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach())
            layer.forward = partial(_linear, weight, layer.bias)  # type: ignore[method-assign]
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _linear(weight: Tensor, bias: Tensor | None, input: Tensor) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
    return product


def _gains(layer: nn.Linear) -> bool:
    weight = layer.weight
    is_plain = type(layer) is nn.Linear and type(weight) is nn.Parameter and "forward" not in vars(layer)
    return is_plain and weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= _MIN_WEIGHTS


def _is_available() -> bool:
    names = ("_reorder_linear_weight", "_linear_pointwise")
    is_wanted = torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu")
    return is_wanted and all(hasattr(torch.ops.mkldnn, name) for name in names)
