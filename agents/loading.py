"""What loading a model takes besides transformers: where it is, its tokenizer, and what to say if it is not there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from torch import nn
from transformers import AutoTokenizer
from transformers.utils import logging

TINY = Path(__file__).parent / "tiny"
_LONGEST = 8192


def load_tokenizer(name: str | Path) -> Any:
    """Load the tokenizer that belongs to ``name`` (see ``CausalLM.load``).

    Raises:
        FileNotFoundError: if there is none here and the hub can't be reached or doesn't have it.
    """
    folder, options = locate(name)
    with explained(name):
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    if options:
        _mend_gguf_tokenizer(tokenizer, Path(name))
    if tokenizer.model_max_length > _LONGEST:  # 1e30 where the file does not say
        tokenizer.model_max_length = _LONGEST
    return tokenizer


def locate(name: str | Path) -> tuple[str, dict[str, Any]]:
    """Return what ``from_pretrained`` takes: a folder or hub id, and the name of the GGUF file in it."""
    path = Path(name)
    if str(name) == "tiny":
        return str(TINY), {}
    if path.suffix == ".gguf":
        if not path.is_file():
            raise FileNotFoundError(f"there is no GGUF file at {path}")
        return str(path.parent), {"gguf_file": path.name}
    if not path.is_dir():
        _check_hub(str(name))
    return str(name), {}


def _check_hub(name: str) -> None:
    """Raise FileNotFoundError if the hub is needed and can't be reached, where transformers tries for half a minute."""
    try:
        url = hf_hub_url(name, "config.json")
    except HFValidationError:
        raise FileNotFoundError(f"there is no model folder at {name}") from None
    if try_to_load_from_cache(name, "config.json"):
        return
    with explained(name):
        try:
            get_hf_file_metadata(url)
        except HfHubHTTPError:
            return  # transformers says what is wrong, or doesn't need the file
        except Exception as error:  # of the HTTP library, which huggingface_hub has changed before
            raise OSError(str(error)) from error


def dequantized(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of ``locate`` as a model takes them: the weights of a GGUF file become plain numbers."""
    if not options:
        return {}
    from transformers import GgufConfig

    return {**options, "quantization_config": GgufConfig(dequantize=True)}  # else save_pretrained raises


@contextlib.contextmanager
def no_progress_bar() -> Iterator[None]:
    """Silence the bars that transformers draws over ours for a file that takes milliseconds."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextlib.contextmanager
def explained(name: str | Path) -> Iterator[None]:
    """Turn the OSError of transformers or the hub into a FileNotFoundError that says what to do."""
    try:
        yield
    except OSError as error:
        raise FileNotFoundError(
            f"can't load {str(name)!r}: it is no folder here, and the Hugging Face hub can't be reached or does not "
            f"have it. Give a folder, a .gguf file, 'tiny' (comes with textgym), or download it first with "
            f"`hf download {name}`. The cause: {error}"
        ) from error


def _mend_gguf_tokenizer(tokenizer: Any, path: Path) -> None:
    """Split digits where the GGUF file says ``smollm``: transformers 5 ignores ``tokenizer.ggml.pre``."""
    from gguf import GGUFReader
    from tokenizers.pre_tokenizers import ByteLevel, Digits
    from tokenizers.pre_tokenizers import Sequence as PreTokenizers

    field = GGUFReader(path).get_field("tokenizer.ggml.pre")
    if field is not None and field.contents() == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = PreTokenizers(
            [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
        )


def pick_device(device: str) -> torch.device:
    """Return a device; ``"auto"`` takes CUDA, then Apple's MPS, then the CPU."""
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(dtype: str) -> torch.dtype:
    """Return a dtype by its name; ``"auto"`` takes float32. ValueError for an unknown one."""
    number_type = torch.float32 if dtype == "auto" else getattr(torch, dtype, None)
    if not isinstance(number_type, torch.dtype):
        raise ValueError(f"dtype must be 'auto' or the name of a torch dtype such as 'float32', got {dtype!r}")
    return number_type


def without_dropout(model: Any) -> Any:
    """Switch all dropout off for good, and return the model in evaluation mode."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():  # those of attention and of whole layers are numbers
            if name.endswith(("dropout", "layerdrop")) and isinstance(value, float):
                setattr(module, name, 0.0)
    for name in vars(model.config):
        if name.endswith(("dropout", "pdrop")) and isinstance(getattr(model.config, name), float):
            setattr(model.config, name, 0.0)
    return model.eval()
