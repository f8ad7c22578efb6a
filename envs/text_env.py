"""``TextEnv``: a task as a sequence-level MDP, where one action is one whole response."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import Enum
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from textgym.envs.spaces import UnicodeText
from textgym.envs.task import (
    PRINTABLE,
    Problem,
    Reward,
    Score,
    Source,
    check_ready,
    check_split,
    draw_problem,
    problem_at,
    score_batch,
)

MAX_CHARS = 2**20

StepResult = tuple[str, float, bool, bool, dict[str, Any]]


class StopReason(str, Enum):
    """Why an episode ended; ``info["stop_reason"]`` holds the value as a plain string."""

    ANSWER = "answer"
    """The task takes one response, and it was given."""
    GAME_OVER = "game_over"
    """A game was decided."""
    TURN_LIMIT = "turn_limit"
    """The turns that the task allows are used up."""
    STOP_TOKEN = "stop_token"
    """Token level: the policy ended its last response."""
    TOKEN_LIMIT = "token_limit"
    """Token level: the last response reached the length that the task allows."""


class TextEnv(gym.Env[str, str]):
    """A task whose observation is a text and whose action is the whole response.

    **Description.** ``reset`` draws a problem from the source; ``step`` takes the response, has it judged by the
    reward, and ends the episode. Games subclass this, override ``reply`` and go on for several turns.

    **Observation.** ``UnicodeText``: the prompt, or in a game the env's next message. After the last step: ``""``.

    **Action.** ``UnicodeText``: any string of at most 1,048,576 characters.

    **Reward.** 0 until the last step, then the reward's total (``reward_range``); NaN if it could not be computed, and
    ``info["reward_status"]`` says why. A game may pay for each turn besides (``turn_reward``).

    **Termination.** After the response, or when a game is over or its turns are used up, which are part of the task.
    Never truncated from inside.

    **Info.** ``messages`` is the chat so far as role/content dicts. The last step adds ``is_success``, ``stop_reason``,
    ``response``, ``reward_status`` and ``reward/<part>``. Where problems are of several tasks, and say so in their
    metadata, ``task`` is there at reset and on the last step.
    Where the reward is a model, ``reward_snapshot`` says at reset which weights it has.

    **Seeding.** ``reset(seed=s)`` alone decides the problem. ``options`` may hold ``problem`` (index into the
    distinct problems of the split), ``split`` (``"train"`` or ``"test"``) and ``difficulty``, for this episode only.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}

    turn_reward = 0.0
    """What the last response earned at once, which a game's ``reply`` sets; the reward's total comes on top."""

    def __init__(self, source: Source, reward: Reward, *, split: str = "train", render_mode: str | None = None) -> None:
        """Put a source and a reward together; problems come from ``split`` unless ``reset`` says otherwise."""
        check_split(split)
        if render_mode not in (None, "ansi"):
            # A TypeError, for SB3's make_vec_env tries "rgb_array" and goes on after one.
            raise TypeError(f"render_mode must be None or 'ansi', got {render_mode!r}")
        self.source = source
        self.reward = reward
        self.split = split
        self.render_mode = render_mode
        self.observation_space = UnicodeText(MAX_CHARS)
        self.action_space = UnicodeText(MAX_CHARS)
        self.problem: Problem | None = None
        self.messages: list[dict[str, str]] = []
        self._over = True

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest return of an episode."""
        return self.reward.range

    @property
    def charset(self) -> str:
        """Every character that prompts, messages and good responses are made of, sorted.

        Printable ASCII and the newline, if the source does not say.
        """
        charset: str = getattr(self.source, "charset", PRINTABLE)
        return charset

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The responses or commands that make sense here, the same for the env's lifetime; None: not to be listed."""
        choices: tuple[str, ...] | None = getattr(self.source, "choices", None)
        return choices

    def choice_masks(self) -> NDArray[np.int8]:
        """Return 1 for each of the ``choices`` that may be given now, int8 (n,); all of them, unless a game knows."""
        return np.ones(len(self.choices or ()), np.int8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Draw a problem and return its prompt. See the class for ``options``."""
        super().reset(seed=seed)
        return self.begin(self.choose(options))

    def step(self, action: str) -> StepResult:
        """Take a response. See the class for what comes back.

        Raises:
            TypeError: if the action is no string.
            ValueError: if it is longer than the action space allows.
            ResetNeeded: before ``reset`` and after the end of an episode.
        """
        return step_together([self], [action])[0]

    def solution(self) -> str | None:
        """Return a perfect response to the current state, or None where none is known."""
        return self.source.solution(self._current())

    def render(self) -> str | None:
        """Return the chat so far as text (mode ``"ansi"``); without a mode, warn and return None."""
        if self.render_mode is None:
            gym.logger.warn('render() needs a render mode, as in gym.make(..., render_mode="ansi")')
            return None
        return "\n".join(f"[{message['role']}] {message['content']}" for message in self.messages)

    # What games override.

    def begin(self, problem: Problem) -> tuple[str, dict[str, Any]]:
        """Start an episode on a given problem: ``reset`` without the draw.

        Raises:
            ValueError: if the reward is a model that cannot judge yet.
        """
        check_ready(self.reward)
        self.problem = problem
        self.messages = [{"role": "user", "content": problem.prompt}]
        self._over = False
        return problem.prompt, {"messages": self._chat()} | _named_task(problem) | _snapshot(self.reward)

    def reply(self, response: str) -> str | StopReason:
        """Return the env's next message, or the reason why ``response`` was the last one."""
        return StopReason.ANSWER

    # What vector envs use.

    def choose(self, options: dict[str, Any] | None) -> Problem:
        """Return the problem that ``reset`` would start on: drawn from ``np_random`` or named by ``options``."""
        if not options:
            return draw_problem(self.source, self.np_random, self.split)
        options = dict(options)
        split = options.pop("split", self.split)
        source = self.source
        if (difficulty := options.pop("difficulty", None)) is not None:
            if "difficulty" not in {field.name for field in dataclasses.fields(source)}:  # type: ignore[arg-type]
                raise ValueError(f"{type(source).__name__} has no difficulty to set through reset options")
            source = dataclasses.replace(source, difficulty=difficulty)  # type: ignore[type-var]
        index = options.pop("problem", None)
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; known: problem, split, difficulty")
        if index is None:
            return draw_problem(source, self.np_random, split)
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
            raise TypeError(f"the reset option 'problem' must be a whole number, got {index!r}")
        return problem_at(source, int(index), split)

    def check(self, action: str) -> None:
        """Raise what ``step`` raises, before anything has changed."""
        if not isinstance(action, str):
            raise TypeError(f"the action of a text env is a str, got {type(action).__name__}: {action!r:.80}")
        if len(action) > MAX_CHARS:
            raise ValueError(f"a response may have at most {MAX_CHARS} characters, got {len(action)}")
        self._current()

    def receive(self, action: str) -> str | StopReason:
        """Record a response and return what ``reply`` says to it."""
        self.messages.append({"role": "assistant", "content": action})
        reply = self.reply(action)
        if isinstance(reply, StopReason):
            self._over = True
        else:
            self.messages.append({"role": "user", "content": reply})
        return reply

    def _chat(self) -> list[dict[str, str]]:
        """Return a copy of the chat so far, for ``info``."""
        return [dict(message) for message in self.messages]

    def _current(self) -> Problem:
        if self._over or self.problem is None:
            raise ResetNeeded("call reset before step: there is no episode, or it has ended")
        return self.problem


def step_together(envs: Sequence[TextEnv], actions: Sequence[str]) -> list[StepResult]:
    """Step several envs that share one reward, and call it once for all episodes that end."""
    for env, action in zip(envs, actions, strict=True):
        env.check(action)
    replies = [env.receive(action) for env, action in zip(envs, actions, strict=True)]
    ended = [i for i, reply in enumerate(replies) if isinstance(reply, StopReason)]
    score = None
    if ended:
        problems = [envs[i].problem for i in ended]
        score = score_batch(envs[0].reward, problems, [actions[i] for i in ended])  # type: ignore[arg-type]
    results: list[StepResult] = []
    position = 0
    for env, action, reply in zip(envs, actions, replies, strict=True):
        info: dict[str, Any] = {"messages": env._chat()}
        if isinstance(reply, StopReason):
            assert score is not None
            info |= _last_info(score, position, action, reply) | _named_task(env.problem)
            results.append(("", env.turn_reward + float(score.total[position]), True, False, info))
            position += 1
        else:
            results.append((reply, env.turn_reward, False, False, info))
    return results


def _named_task(problem: Problem | None) -> dict[str, str]:
    task = None if problem is None else problem.metadata.get("task")
    return {"task": task} if isinstance(task, str) else {}


def _snapshot(reward: Reward) -> dict[str, str]:
    snapshot = getattr(reward, "snapshot", None)
    return {"reward_snapshot": snapshot} if isinstance(snapshot, str) else {}


def _last_info(score: Score, i: int, response: str, reason: StopReason) -> dict[str, Any]:
    info: dict[str, Any] = {
        "is_success": bool(score.success[i]),
        "stop_reason": reason.value,
        "response": response,
        "reward_status": score.status[i],
    }
    for name, values in score.parts.items():
        info[f"reward/{name}"] = float(values[i])
    return info
