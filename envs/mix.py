"""Several tasks as one: a weighted mixture, in which each problem is judged by the reward of its own task.

- ``MixSource``: draws a task, then a problem of it.
- ``MixReward``: asks each task's reward once for a batch.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from textgym.envs.rewards.rubric import joint_snapshot
from textgym.envs.task import PRINTABLE, Problem, Reward, Score, Source, score_batch
from textgym.envs.text_env import TextEnv

_EXAMPLE = {"TextMath": 2, "TextSort": 1}


@dataclass(frozen=True, kw_only=True)
class MixSource:
    """Problems of several tasks, as often as their weights say.

    ## Description
    Each problem is one of another task, which ``info["task"]`` names, and belongs to the split that it has there. The
    agents of textgym report the success on each task besides.

    ## Observation
    That of the problem's task.

    ## Action
    That of the problem's task.

    ## Reward
    That of the problem's task; with ``dense=True`` its partial credit, where it has some.

    ## Start
    A random task, by the weights, then a problem of it.

    ## End
    After the response.

    ## Version history
    v0: the first.
    """

    tasks: Mapping[str, Any] = field(default_factory=lambda: {"TextMath": 1.0, "TextSort": 1.0, "TextDyck": 1.0})
    """The weights by the names of the tasks, such as ``{"TextMath": 2, "TextSort": 1}``, or weights and settings, such
    as ``{"TextMath": {"weight": 2, "difficulty": 3}}``. Every task that takes one response can be mixed. A small data
    set whose test problems are not just one in five comes a little more or less often in either split."""
    difficulty: int | None = None
    """That of the tasks that have one; None leaves it to their settings."""

    def __post_init__(self) -> None:
        """Check the settings, and sort the tasks, for equal sources draw alike."""
        if not isinstance(self.tasks, Mapping) or not self.tasks:
            raise ValueError(f"tasks must be weights by the names of tasks, such as {_EXAMPLE}, got {self.tasks!r}")
        for name in self.tasks:
            _check_name(name)
        tasks = {name: _weight_and_settings(name, self.tasks[name]) for name in sorted(self.tasks)}
        object.__setattr__(self, "tasks", tasks)
        if self.difficulty is not None and not any(map(_has_difficulty, tasks)):
            raise ValueError(f"difficulty is {self.difficulty!r}, but none of {', '.join(tasks)} has one")
        self.reward(dense=False)

    def __hash__(self) -> int:
        """Return the hash of the settings, which hold a dict."""
        return hash((json.dumps(self.tasks, sort_keys=True), self.difficulty))

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return a problem of a random task; the metadata are ``task``, its name, and ``problem``, as it is there."""
        names, bounds = self._names_and_bounds
        name = names[int(np.searchsorted(bounds, rng.random(), side="right"))]
        problem = self.sources[name].draw(rng)
        return Problem(problem.prompt, problem.answer, {"task": name, "problem": problem}, problem.key)

    def solution(self, problem: Problem) -> str | None:
        """Return the solution that the problem's task knows."""
        return self.sources[problem.metadata["task"]].solution(problem.metadata["problem"])

    def reward(self, dense: bool) -> MixReward:
        """Return what judges these problems."""
        from textgym.envs.registration import TASKS, make_reward

        return MixReward(
            {
                name: make_reward(name, source, dense and TASKS[name].dense_reward is not None)
                for name, source in self.sources.items()
            }
        )

    @functools.cached_property
    def sources(self) -> dict[str, Source]:
        """The source of each task."""
        from textgym.envs.registration import make_source

        sources = {}
        for name, entry in self.tasks.items():
            settings = {key: value for key, value in entry.items() if key != "weight"}
            if self.difficulty is not None and _has_difficulty(name):
                settings["difficulty"] = self.difficulty
            sources[name] = make_source(name, settings)
        return sources

    @property
    def charset(self) -> str:
        """Every character of the tasks, sorted."""
        charsets = [getattr(source, "charset", PRINTABLE) for source in self.sources.values()]
        return "".join(sorted(set().union(*charsets)))

    @functools.cached_property
    def _names_and_bounds(self) -> tuple[list[str], list[float]]:
        """The tasks, and where between 0 and 1 the share of one ends and that of the next begins."""
        weights = [entry["weight"] for entry in self.tasks.values()]
        bounds = [total / math.fsum(weights) for total in itertools.accumulate(weights)]
        return list(self.tasks), bounds[:-1]


class MixReward:
    """The reward of each problem's own task, each asked once for all its problems in a batch.

    Where a task's reward fails, its items alone have no score.
    """

    def __init__(self, rewards: Mapping[str, Reward]) -> None:
        """Take the rewards by the names of their tasks; ValueError unless all pay in one range."""
        ranges = {name: tuple(map(float, reward.range)) for name, reward in rewards.items()}
        if len(set(ranges.values())) != 1:
            raise ValueError(f"mixed tasks must pay in one range, got {ranges}")
        self.rewards = dict(rewards)
        self.range: tuple[float, float] = next(iter(rewards.values())).range
        self.partial = any(getattr(reward, "partial", False) for reward in rewards.values())
        self.open = any(getattr(reward, "open", False) for reward in rewards.values())
        limits = [getattr(reward, "time_limit", None) for reward in rewards.values()]
        self.time_limit: float | None = max((limit for limit in limits if limit is not None), default=None)

    @property
    def snapshot(self) -> str | None:
        """Which weights the models among the rewards have; None if there are no models."""
        return joint_snapshot(self.rewards.items())

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the scores; ``parts`` are those of the tasks, NaN for the problems of others."""
        n = len(problems)
        total, success, status = np.zeros(n), np.zeros(n, bool), np.full(n, "ok", object)
        parts: dict[str, Any] = {}
        names = [problem.metadata["task"] for problem in problems]
        pairs = list(zip(problems, responses, strict=True))
        for name in dict.fromkeys(names):
            rows = [row for row in range(n) if names[row] == name]
            score = score_batch(
                self.rewards[name], [pairs[row][0].metadata["problem"] for row in rows], [pairs[row][1] for row in rows]
            )
            total[rows], success[rows], status[rows] = score.total, score.success, list(score.status)
            for part, values in score.parts.items():
                parts.setdefault(part, np.full(n, np.nan))[rows] = values
        return Score(total, success, parts, status.tolist())


def _check_name(name: object) -> None:
    from textgym.envs.registration import TASKS

    if not isinstance(name, str) or name not in TASKS:
        mixable = [
            known for known, task in TASKS.items() if task.env_class is TextEnv and task.source_class is not MixSource
        ]
        raise ValueError(f"there is no task {name!r} to be mixed; there are {', '.join(mixable)}")
    if TASKS[name].source_class is MixSource:
        raise ValueError(f"{name} is a mixture itself: put its tasks and their weights into this one")
    if TASKS[name].env_class is not TextEnv:
        raise ValueError(f"{name} is played over several turns, and a mixture takes tasks of one response only")


def _weight_and_settings(name: str, entry: object) -> dict[str, Any]:
    """Return ``{"weight": 2.0, **settings}``, as it comes back from JSON."""
    given = dict(entry) if isinstance(entry, Mapping) else {"weight": entry}
    weight = given.pop("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < math.inf:
        raise ValueError(f"the weight of {name} must be a positive number, got {weight!r}")
    try:
        settings: dict[str, Any] = json.loads(json.dumps(given))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the settings of {name} must be as in JSON ({error}), got {given!r}") from None
    return {"weight": float(weight), **settings}


def _has_difficulty(name: str) -> bool:
    from textgym.envs.registration import TASKS

    return "difficulty" in {field.name for field in dataclasses.fields(TASKS[name].source_class)}  # type: ignore[arg-type]
