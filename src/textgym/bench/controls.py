"""``CoinFlips``: the control that shows what training gives when the reward says nothing of the task."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper


class CoinFlips(VectorWrapper):
    """A vector env that pays 0 or 1 by chance where an episode ends; ``is_success`` stays the truth.

    What a model gains from such rewards it does not gain from the task (arXiv 2506.10947). The coin begins anew at each
    reset, whose seed decides it.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Wrap ``env``."""
        super().__init__(env)
        self._rng = np.random.default_rng()

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        """Reset the env and the coin."""
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))  # not the problems' stream
        return super().reset(seed=seed, options=options)

    def step(self, actions: Any) -> Any:
        """Step the env; an answer that could not be scored stays NaN."""
        observations, rewards, terminations, truncations, infos = super().step(actions)
        flips = np.where(terminations | truncations, self._rng.integers(0, 2, len(rewards)), 0.0)
        rewards = np.where(np.isfinite(rewards), flips, rewards).astype(rewards.dtype)
        return observations, rewards, terminations, truncations, infos
