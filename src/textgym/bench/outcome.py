"""``Outcome``: what every kind of cell returns, before it becomes ``result.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

Tell = Callable[[int], None]
"""Says how much of the budget is done."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out of a cell."""

    score: float | None
    """The success rate that tables compare: greedy, at the end of the budget; for best-of-n that of the best of n."""
    before: dict[str, Any]
    """As ``measure`` says, before learning."""
    after: dict[str, Any]
    """After it, at the last checkpoint; with ``pass@1`` and ``pass@k``."""
    cost: dict[str, float]
    """As ``meter`` says."""
    answers: list[dict[str, Any]]
    """Greedy answers to the same held-out problems, before and after."""
    policy_sha256: str | None = None
    """Of the files of the language model that it began with."""
    hyperparameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Those of our agents with defaults; of stable-baselines3's the number of envs, the network and what was given."""
