"""``Rubric``: several rewards as one, weighted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from textgym.envs.task import Problem, Reward, Score, check_ready, score_batch


class Rubric:
    """The weighted sum of named rewards.

    ``parts`` holds the total of each, before its weight, under its name; ``success`` is that of the first. An item
    for which any of them failed is NaN with the status of the first that failed. ``range`` follows from the weights.

    Example:
        >>> from textgym.envs.rewards import ExactMatch, PrefixMatch
        >>> Rubric({"exact": (ExactMatch(), 1.0), "prefix": (PrefixMatch(), 0.5)}).range
        (0.0, 1.5)
    """

    def __init__(self, rewards: Mapping[str, tuple[Reward, float]]) -> None:
        """Take rewards and their weights, by name; the first decides what a success is."""
        if not rewards:
            raise ValueError("a rubric needs at least one reward, got none")
        for name, (_, weight) in rewards.items():
            if not math.isfinite(weight):
                raise ValueError(f"the weight of {name!r} must be a finite number, got {weight!r}")
        self.rewards = dict(rewards)
        bounds = [sorted((weight * reward.range[0], weight * reward.range[1])) for reward, weight in rewards.values()]
        self.range = (float(sum(low for low, _ in bounds)), float(sum(high for _, high in bounds)))
        self.partial = len(rewards) > 1 or any(getattr(reward, "partial", False) for reward, _ in rewards.values())
        self.open = any(getattr(reward, "open", False) for reward, _ in rewards.values())
        limits = [getattr(reward, "time_limit", None) for reward, _ in rewards.values()]
        self.time_limit = sum(limit for limit in limits if limit is not None) or None

    @property
    def snapshot(self) -> str | None:
        """Which weights the models among the rewards have; None if there are no models."""
        return joint_snapshot((name, reward) for name, (reward, _) in self.rewards.items())

    def check_ready(self) -> None:
        """Raise ``ValueError`` if one of the rewards cannot judge yet."""
        for reward, _ in self.rewards.values():
            check_ready(reward)

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the weighted scores; a reward that raises costs only the items on which it raises."""
        scores = {name: score_batch(reward, problems, responses) for name, (reward, _) in self.rewards.items()}
        total = np.zeros(len(problems))
        status = ["ok"] * len(problems)
        for name, score in scores.items():
            total += self.rewards[name][1] * score.total
            status = [old if old != "ok" else new for old, new in zip(status, score.status, strict=True)]
        total[[state != "ok" for state in status]] = np.nan
        first = next(iter(scores.values()))
        return Score(total, first.success, {name: score.total for name, score in scores.items()}, status)


def joint_snapshot(rewards: Iterable[tuple[str, Reward]]) -> str | None:
    """Return the snapshots of those named rewards that have one, as ``name=snapshot+name=snapshot``, or None."""
    snapshots = [(name, getattr(reward, "snapshot", None)) for name, reward in rewards]
    return "+".join(f"{name}={snapshot}" for name, snapshot in snapshots if isinstance(snapshot, str)) or None
