"""``textgym play``: a person answers."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import Annotated, Any

import gymnasium as gym
import tyro

from textgym.commands.shared import complaints, find_text_env, parse


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """Answer problems yourself: one line is one answer, and after each problem a line says whether to go on, y or n.

    An answer of several lines has a backslash at the end of each but the last.
    """

    env: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ID")]
    """Environment id, such as TextMath-v0, or my_module:MyEnv-v0 for your own."""
    difficulty: int | None = None
    """Short for --env-kwargs difficulty=..., for the environments that have it."""
    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the env; docs/envs.md lists them."""
    split: str = "train"
    """train or test problems."""
    seed: int | None = None
    """Decides the problems; without it they are different each time."""


def main(argv: list[str]) -> int:
    """Let a person answer."""
    options = parse(PlayOptions, argv, "play")
    env_id = find_text_env(options.env, options.env_kwargs)
    kwargs = {**options.env_kwargs, "split": options.split, "level": "sequence"}  # a person types text
    if options.difficulty is not None:
        kwargs["difficulty"] = options.difficulty
    with complaints():
        env = gym.make(env_id, **kwargs)
        env.reset()  # a file is read now
    print("One line is one answer; end it with \\ to go on in the next. Ctrl-D or Ctrl-C ends the game.")
    won = played = 0
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        seed = options.seed
        while played == 0 or _wants_more():
            won += _play_episode(env, seed)
            played += 1
            seed = None
    print(f"\n{won} of {played} right. Bye!" if played else "\nBye!")
    return 0


def _play_episode(env: Any, seed: int | None) -> bool:
    message, _ = env.reset(seed=seed)
    perfect = env.unwrapped.source.solution(env.unwrapped.problem)
    ended = False
    while not ended:
        print(f"\n{message}")
        message, reward, terminated, truncated, info = env.step(_answer())
        ended = terminated or truncated
    success = bool(info.get("is_success"))
    if info.get("reward_status", "ok") != "ok":
        print(f"The reward could not be computed: {info['reward_status']}.")
    else:
        parts = [f"{name.removeprefix('reward/')} {info[name]:g}" for name in info if name.startswith("reward/")]
        more = "".join(f", {part}" for part in [*parts, f"ended by {info.get('stop_reason', 'time limit')}"])
        print(f"{'Right' if success else 'Not right'}: reward {reward:g}{more}.")
    if not success and perfect is not None:
        print("A perfect answer:", perfect, sep="\n" if "\n" in perfect else " ")
    return success


def _answer() -> str:
    while not (line := _ask("> ").lstrip()):
        print("Type an answer and press Enter; Ctrl-D ends the game.")
    lines = [line]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(_ask("  "))  # with its indentation: it may be code
    return "\n".join(lines)


def _wants_more() -> bool:
    return _ask("\nAnother problem? [Y/n] ").lstrip().lower() not in ("n", "no", "q", "quit")


def _ask(question: str) -> str:
    line = input(question).rstrip()
    if not sys.stdin.isatty():
        print(line)  # where nobody typed, nothing has ended the line
    return line
