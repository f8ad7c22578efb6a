"""``textgym list``: every environment, and what a random and a perfect player score."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
import tyro

from textgym.commands.shared import is_ours, parse
from textgym.envs.registration import TASKS

_EPISODES = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Show every environment: its spaces, and the mean return of 20 episodes of a random and of a perfect player."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON."""


def main(argv: list[str]) -> int:
    """Print what there is, as a table of at most 80 columns; an env that fails is named, and the status is 1.

    One that needs an extra which is not installed is named too, and is no failure.
    """
    options = parse(ListOptions, argv, "list")
    envs, status = [], 0
    for env_id in sorted(filter(is_ours, gym.registry)):
        try:
            envs.append(_describe(env_id, gym.registry[env_id].kwargs["name"]))
        except ImportError as error:  # an extra that is not installed, and the message says which
            print(f"textgym: {env_id}: {error}", file=sys.stderr)
        except Exception as error:
            print(f"textgym: {env_id} is broken: {error!r}", file=sys.stderr)
            status = 1
    if options.json:
        print(json.dumps(envs, indent=2))
        return status
    line = "  {:<25} {:<22} {:<14} {:>6} {:>7}"
    print(line.format("id", "observation", "action", "random", "perfect"))
    for task in TASKS:
        print(f"\n{task}: {TASKS[task].description}")
        for env in envs:
            if env["task"] == task:
                scores = f"{env['random']:.2f}", f"{env['oracle']:.2f}"
                print(line.format(env["id"], env["observation_space"], env["action_space"], *scores))
    return status


def _describe(env_id: str, task: str) -> dict[str, Any]:
    env: Any = gym.make(env_id).unwrapped
    rng = np.random.default_rng(0)

    def random_action() -> Any:
        if isinstance(env.action_space, gym.spaces.Discrete):
            return rng.integers(env.action_space.n)
        return "".join(rng.choice(list(env.charset), size=rng.integers(1, TASKS[task].max_tokens + 1)))

    return {
        "id": env_id,
        "task": task,
        "description": TASKS[task].description,
        "observation_space": _short(env.observation_space),
        "action_space": _short(env.action_space),
        "random": _mean_return(env, random_action),
        "oracle": _mean_return(env, _Oracle(env)),
    }


def _short(space: gym.Space[Any]) -> str:
    if isinstance(space, gym.spaces.Discrete):
        return f"1 of {space.n} tokens"
    if isinstance(space, gym.spaces.MultiDiscrete):
        return f"{len(space.nvec)} of {space.nvec[0]} token ids"
    return "text"


class _Oracle:
    """Perfect actions: a whole solution, or its tokens one by one."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.tokens: list[int] = []

    def __call__(self) -> Any:
        if not self.tokens:
            solution = self.env.solution()
            if isinstance(solution, str):
                return solution
            self.tokens = list(solution)
        return self.tokens.pop(0)


def _mean_return(env: gym.Env[Any, Any], act: Callable[[], Any]) -> float:
    total = 0.0
    for episode in range(_EPISODES):
        env.reset(seed=episode)
        ended = False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(act())
            total += float(reward)
            ended = terminated or truncated
    return total / _EPISODES
