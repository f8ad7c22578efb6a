"""Anything that changes one env into another env, one idea a file."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "ChoiceActions": "choice_actions",
    "RecordTranscripts": "record_transcripts",
    "ReferenceLogProb": "reference_logprob",
    "VectorChoiceActions": "choice_actions",
    "VectorReferenceLogProb": "reference_logprob",
}
__all__ = [
    "ChoiceActions",
    "RecordTranscripts",
    "ReferenceLogProb",
    "VectorChoiceActions",
    "VectorReferenceLogProb",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"textgym.wrappers.{_HOMES[name]}"), name)
