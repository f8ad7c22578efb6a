"""``Isolated``: any reward, in a process of its own that is killed when it hangs."""

from __future__ import annotations

import functools
import importlib
import json
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from textgym.envs.rewards.worker import Worker, WorkerError, WorkerTimeout
from textgym.envs.task import Problem, Reward, Score


class Isolated:
    """The reward ``"package.module:ClassName"`` with a time limit for each response.

    A response on which it takes longer is NaN with the status ``"timeout"``, one on which it raises or crashes NaN with
    ``"error"`` and a ``RuntimeWarning``; a fresh process judges the next. ``settings`` are the arguments of the class.
    They and the problems travel as JSON, so the metadata of a problem are JSON too, and a tuple arrives as a
    list. Responses are judged one by one, for some 0.1 ms each besides the reward's own time.

    It protects training from a reward that hangs or crashes, and not the machine from what a policy wrote: a reward
    that executes a response needs a sandbox.

    Example:
        >>> Isolated("textgym.envs.rewards:ExactMatch", time_limit=2.0).range
        (0.0, 1.0)
    """

    def __init__(self, reward: str, *, time_limit: float = 5.0, **settings: Any) -> None:
        """Find the class and make one of it, for its range; the process starts at the first call."""
        if not time_limit > 0 or not math.isfinite(time_limit):
            raise ValueError(f"time_limit must be a number of seconds above 0, got {time_limit!r}")
        self.name = reward
        self.settings = json.dumps(settings, sort_keys=True)
        self.time_limit = time_limit
        here = _reward(self.name, self.settings)
        self.range = here.range
        self.partial = bool(getattr(here, "partial", False))
        self.open = bool(getattr(here, "open", False))
        if isinstance(snapshot := getattr(here, "snapshot", None), str):
            self.snapshot = snapshot
        self._worker = Worker()

    def __deepcopy__(self, memo: dict[int, Any]) -> Isolated:
        """Return itself: ``env.spec`` copies its kwargs, and a process has no copy."""
        return self

    def __repr__(self) -> str:
        """Name the reward."""
        return f"Isolated({self.name!r}, time_limit={self.time_limit:g})"

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the scores; TypeError if a problem's metadata cannot be written as JSON."""
        judged = [self._judge(problem, response) for problem, response in zip(problems, responses, strict=True)]
        names = sorted({name for one in judged for name in one["parts"]})
        return Score(
            total=np.array([one["total"] for one in judged], dtype=np.float64),
            success=np.array([one["success"] for one in judged], dtype=np.bool_),
            parts={name: np.array([one["parts"].get(name, math.nan) for one in judged]) for name in names},
            status=[one["status"] for one in judged],
        )

    def _judge(self, problem: Problem, response: str) -> dict[str, Any]:
        question = [problem.prompt, problem.answer, dict(problem.metadata), problem.key]
        status = "error"
        try:
            judged: dict[str, Any] = self._worker.call(
                f"{__name__}:judge", self.name, self.settings, question, response, timeout=self.time_limit
            )
            return judged
        except WorkerTimeout:
            status = "timeout"
        except WorkerError as error:
            warnings.warn(f"{self} failed on {response[:80]!r}: {error}", RuntimeWarning, stacklevel=3)
        return {"total": math.nan, "success": False, "parts": {}, "status": status}


def judge(reward: str, settings: str, question: tuple[Any, ...], response: str) -> dict[str, Any]:
    """Judge one response; what the process of ``Isolated`` runs."""
    score = _reward(reward, settings)([Problem(*question)], [response])
    return {
        "total": float(score.total[0]),
        "success": bool(score.success[0]),
        "parts": {name: float(values[0]) for name, values in score.parts.items()},
        "status": score.status[0],
    }


@functools.lru_cache(maxsize=64)
def _reward(name: str, settings: str) -> Reward:
    module, _, attribute = name.partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    if not isinstance(cls, type):
        raise TypeError(f"Isolated takes the name of a class whose instances are a textgym.envs.Reward, got {cls!r}")
    made: Reward = cls(**json.loads(settings))
    return made
