"""``RecordTranscripts``: every finished episode as a line of a JSONL file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import gymnasium as gym


class RecordTranscripts(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Appends ``{"messages", "reward", "is_success", "stop_reason"}`` to a file at the end of each episode.

    ``messages`` are those of the last ``info`` that had any, so that it works at both levels; ``reward`` is the sum
    over the episode, null if it could not be computed. An episode that a time limit cut has neither success nor
    reason: both are null.
    """

    def __init__(self, env: gym.Env[Any, Any], path: str | Path) -> None:
        """Write to ``path``, which may exist; its folder is made if it is missing."""
        gym.utils.RecordConstructorArgs.__init__(self, path=str(path))
        gym.Wrapper.__init__(self, env)
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._messages: list[dict[str, str]] = []
        self._reward = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; one that was under way is not recorded."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._messages = info["messages"]
        self._reward = 0.0
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and write a line if that was the last one."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._messages = info.get("messages", self._messages)
        self._reward += float(reward)
        if terminated or truncated:
            line = {
                "messages": self._messages,
                "reward": self._reward if math.isfinite(self._reward) else None,
                "is_success": info.get("is_success"),
                "stop_reason": info.get("stop_reason"),
            }
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return observation, reward, terminated, truncated, info
