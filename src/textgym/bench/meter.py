"""What learning cost: a ``Meter`` counts an agent's draws and steps, and reads the clock, from outside.

- ``episodes``: answers played, those thrown away too, or demonstrated (``sft``).
- ``samples``, ``tokens``: answers and tokens that the agent drew, those of dropped groups and resampled rounds too.
- ``gradient_steps``: optimiser steps. An update of several epochs and minibatches has several.
- ``seconds``: of learning, evaluation and files aside; of these ``seconds_env`` in the env and its reward, and
  ``seconds_sampling`` in the rest of drawing.
"""

from __future__ import annotations

import time
from typing import Any

from gymnasium.vector import VectorEnv, VectorWrapper

COSTS = ("samples", "tokens", "gradient_steps", "seconds_env", "seconds_sampling")


class Meter:
    """Counts what an ``Agent`` does from now on; put on before ``learn``."""

    def __init__(self, agent: Any, costs: dict[str, float] | None = None) -> None:
        """Wrap the agent's env, and its methods that draw and step; go on from ``costs``, those of a checkpoint."""
        self.costs: dict[str, float] = dict.fromkeys(COSTS, 0) | (costs or {})
        agent.env = self.env = _Timed(agent.env, self.costs)
        if hasattr(agent, "collect"):
            agent.collect = self._counted_collect(agent.collect)
        agent.step_optimizer = self._counted_step(agent.step_optimizer)

    def _counted_collect(self, collect: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            began, env_seconds = time.perf_counter(), self.costs["seconds_env"]
            rollout = collect(*args, **kwargs)
            self.costs["samples"] += len(rollout.prompts)
            self.costs["tokens"] += int(rollout.lengths.sum())
            in_env = self.costs["seconds_env"] - env_seconds
            self.costs["seconds_sampling"] += time.perf_counter() - began - in_env
            return rollout

        return counted

    def _counted_step(self, step: Any) -> Any:
        def counted() -> Any:
            norm = step()
            self.costs["gradient_steps"] += 1
            return norm

        return counted


class _Timed(VectorWrapper):
    """Adds the seconds that a vector env takes to ``costs["seconds_env"]``."""

    def __init__(self, env: VectorEnv[Any, Any, Any], costs: dict[str, float]) -> None:
        super().__init__(env)
        self._costs = costs

    def reset(self, **kwargs: Any) -> Any:
        began = time.perf_counter()
        result = super().reset(**kwargs)
        self._costs["seconds_env"] += time.perf_counter() - began
        return result

    def step(self, actions: Any) -> Any:
        began = time.perf_counter()
        result = super().step(actions)
        self._costs["seconds_env"] += time.perf_counter() - began
        return result
