"""Who answers, and how they learn. Importing a name loads torch and transformers; importing this does not."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "CausalLM": "policy",
    "DPO": "dpo",
    "ExpertIteration": "expert_iteration",
    "GRPO": "grpo",
    "PPO": "ppo",
    "PolicyIteration": "tabular",
    "QLearning": "tabular",
    "REINFORCE": "reinforce",
    "SFT": "sft",
    "ValueIteration": "tabular",
    "evaluate": "evaluation",
    "evaluate_samples": "evaluation",
    "sample": "sampling",
}
__all__ = [
    "DPO",
    "GRPO",
    "PPO",
    "REINFORCE",
    "SFT",
    "CausalLM",
    "ExpertIteration",
    "PolicyIteration",
    "QLearning",
    "ValueIteration",
    "evaluate",
    "evaluate_samples",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"textgym.agents.{_HOMES[name]}"), name)
