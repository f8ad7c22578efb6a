"""LoRA (arXiv 2106.09685), by peft: the weights stay as they are, and low-rank additions to the linear layers learn.

A layer computes W x + (alpha / rank) B A x, with B = 0 at first: the adapted model begins as the model that it adapts.
peft puts such layers into the model in place, so the model keeps its class, its attributes and its ``forward``. What
peft returns is a handle on the adapter, to switch, merge, save and load it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def add_adapter(model: Any, rank: int, alpha: float, seed: int) -> Any:
    """Freeze a transformers model, put trainable additions into all linear layers but the output, return the handle.

    Args:
        model: changed in place.
        rank: rows of A and columns of B.
        alpha: the additions are scaled by ``alpha / rank``.
        seed: of A's random numbers.

    Returns:
        peft's ``PeftModel`` around ``model``.

    Raises:
        ImportError: without the extra ``textgym[lora]``.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ImportError("LoRA needs peft: pip install 'textgym[lora]'") from error
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that transformers renamed what peft asks for, that GPT-2's weights lie across
        torch.default_generator.manual_seed(seed)
        return get_peft_model(model, config)


def save_adapter(handle: Any, folder: Path) -> None:
    """Write what ``PeftModel.from_pretrained`` and ``load_adapter`` read."""
    handle.save_pretrained(folder, save_embedding_layers=False)  # "auto" asks the hub whether there are new tokens


def load_adapter(handle: Any, folder: Path) -> None:
    """Put saved weights into an adapter of the same rank."""
    from peft import load_peft_weights, set_peft_model_state_dict

    set_peft_model_state_dict(handle, load_peft_weights(str(folder), device="cpu"))


def plain_weights(handle: Any, *, merged: bool) -> dict[str, Tensor]:
    """Return the weights by the names that they have without LoRA; ``merged``: with the additions, as a copy."""
    from peft.tuners.lora import LoraLayer

    model: Any = handle.get_base_model()
    weights = {
        name.replace(".base_layer.", "."): weight
        for name, weight in model.state_dict().items()
        if not any(part.startswith("lora_") for part in name.split("."))
    }
    if merged:
        adapted: dict[str, Any] = {name: m for name, m in model.named_modules() if isinstance(m, LoraLayer)}
        for name, layer in adapted.items():
            weight = weights[f"{name}.weight"]
            weights[f"{name}.weight"] = weight + layer.get_delta_weight("default").to(weight.dtype)
    return weights
