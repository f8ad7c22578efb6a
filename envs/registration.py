"""Every environment id in one table, and the two entry points that Gymnasium calls."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

from textgym.envs.task import Reward, Source, check_reward
from textgym.envs.text_env import TextEnv
from textgym.envs.token_env import TokenEnv
from textgym.envs.tokenizers import make_tokenizer
from textgym.envs.vector import TextVectorEnv, TokenVectorEnv

LEVELS = ("sequence", "token")
TOKENS_LAYOUT = "sliding"
COMMON_SETTINGS = (
    "split", "dense", "level", "tokenizer", "window", "max_tokens", "layout", "reward", "render_mode"
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One line of the table: where problems come from, what an answer is worth, and the size of its token level."""

    description: str
    source: str
    """Module below ``textgym.envs`` and class, imported when an env is made: nobody waits for all of them."""
    reward: str
    window: int
    """Observation length of the token level, in tokens: room for the longest prompt of the default settings and, in a
    game, for all its turns, by characters and in either layout."""
    preset_window: int
    """The same for the short prompts of the ``...Tokens-v0`` preset."""
    max_tokens: int
    """Longest response of the token level, in tokens."""
    dense_reward: str | None = None
    """The reward with partial credit that ``dense=True`` uses, where the task has one."""
    env: str = "text_env:TextEnv"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the source that differ from its defaults."""
    token_settings: Mapping[str, Any] = field(default_factory=dict)
    """Further ones of the ``...Tokens-v0`` preset, which keep its vocabulary small."""

    @property
    def source_class(self) -> type[Source]:
        """What makes a source of settings."""
        return _imported(self.source)  # type: ignore[no-any-return]

    @property
    def reward_class(self) -> type[Reward]:
        """What judges."""
        return _imported(self.reward)  # type: ignore[no-any-return]

    @property
    def dense_reward_class(self) -> type[Reward] | None:
        """What judges with partial credit, if anything does."""
        return None if self.dense_reward is None else _imported(self.dense_reward)

    @property
    def env_class(self) -> type[TextEnv]:
        """``TextEnv`` or a game."""
        return _imported(self.env)  # type: ignore[no-any-return]


def _imported(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(f"textgym.envs.{module}"), name)


TASKS: dict[str, Task] = {
    "TextCopy": Task(
        "repeat a short text",
        "sources.copying:CopySource", "rewards.matching:ExactMatch",
        window=32, preset_window=16, max_tokens=8, dense_reward="rewards.matching:PrefixMatch",
        token_settings={"template": "{text}=", "alphabet": "0123456789"},
    ),
    "TextReverse": Task(
        "write a short text backwards",
        "sources.copying:ReverseSource", "rewards.matching:ExactMatch",
        window=48, preset_window=16, max_tokens=8, dense_reward="rewards.matching:PrefixMatch",
        token_settings={"template": "{text}=", "alphabet": "0123456789"},
    ),
    "TextIncreasing": Task(
        "write increasing numbers between two bounds",
        "sources.increasing:IncreasingSource", "rewards.increasing:IncreasingRun",
        window=128, preset_window=32, max_tokens=20, dense_reward="rewards.increasing:IncreasingRun",
        token_settings={"template": "{count} {low} {high}="},
    ),
    "TextMath": Task(
        "arithmetic, from one digit (difficulty 1) to word problems (5)",
        "sources.arithmetic:ArithmeticSource", "rewards.math:MathVerifier",
        window=256, preset_window=16, max_tokens=8, dense_reward="rewards.matching:PrefixMatch",
        settings={"difficulty": 2},
        token_settings={"template": "{compact}="},
    ),
    "TextCountdown": Task(
        "reach a target with each given number once",
        "sources.countdown:CountdownSource", "rewards.countdown:CountdownVerifier",
        window=192, preset_window=64, max_tokens=32,
        token_settings={"template": "{numbers} {target}="},
    ),
    "TextGSM8K": Task(
        "grade-school word problems, bundled or from a GSM8K-format file",
        "sources.gsm8k:GSM8KSource", "rewards.math:MathVerifier",
        window=1536, preset_window=1536, max_tokens=400,
    ),
    "TextMATH": Task(
        "competition mathematics, bundled or from a MATH-format file",
        "sources.math_dataset:MATHSource", "rewards.math:MathVerifier",
        window=512, preset_window=512, max_tokens=256,
    ),
    "TextGuessNumber": Task(
        "find a number by hints of higher and lower",
        "sources.guess_number:GuessNumberSource", "rewards.matching:ExactMatch",
        window=320, preset_window=160, max_tokens=4, env="games.guess_number:GuessNumber",
        token_settings={"template": "{high}?"},
    ),
    "TextMaze": Task(
        "lead a robot out of a maze that is described in words",
        "games.maze:MazeSource", "games.maze:ExitReached",
        window=3584, preset_window=336, max_tokens=6, env="games.maze:TextMaze",
        token_settings={"size": 3, "letters": True},
    ),
    "TextLogic": Task(
        "knights and knaves, zebra puzzles and syllogisms",
        "sources.logic:LogicSource", "rewards.logic:LogicVerifier",
        window=960, preset_window=88, max_tokens=72,
        token_settings={"kind": "knights", "difficulty": 1, "letters": True},
    ),
    "TextSudoku": Task(
        "fill in a Sudoku of 4x4 or 9x9 cells",
        "sources.sudoku:SudokuSource", "rewards.sudoku:SudokuVerifier",
        window=320, preset_window=52, max_tokens=32, dense_reward="rewards.sudoku:SudokuPrefix",
        token_settings={"template": "{compact}=", "clues": 12},
    ),
    "TextSort": Task(
        "put numbers or words in order",
        "sources.sorting:SortSource", "rewards.sequences:ListMatch",
        window=160, preset_window=32, max_tokens=20, dense_reward="rewards.matching:PrefixMatch",
        token_settings={"template": "{items}=", "max_count": 4, "max_number": 9},
    ),
    "TextDyck": Task(
        "close the open brackets",
        "sources.dyck:DyckSource", "rewards.sequences:BracketMatch",
        window=112, preset_window=20, max_tokens=8, dense_reward="rewards.matching:PrefixMatch",
        token_settings={"template": "{sequence}|", "brackets": "()[]", "max_length": 8, "max_depth": 4},
    ),
    "TextFormat": Task(
        "write facts as JSON, lines of a pattern, bullets or a table",
        "sources.format:FormatSource", "rewards.format:FormatVerifier",
        window=2048, preset_window=768, max_tokens=384,
        token_settings={"form": "bullets", "records": 1, "fields": 1},
    ),
    "TextIFEval": Task(
        "write under instructions that a program can check",
        "sources.ifeval:IFEvalSource", "rewards.ifeval:IFEvalVerifier",
        window=2048, preset_window=1792, max_tokens=1024,
        token_settings={"instructions": 1},
    ),
    "TextBBH": Task(
        "reasoning of several kinds, bundled or from the files of BIG-Bench Hard",
        "sources.bbh:BBHSource", "rewards.typed:TypedMatch",
        window=352, preset_window=352, max_tokens=72,
    ),
    "TextCode": Task(
        "write a Python function, judged by what it returns",
        "sources.code:CodeSource", "rewards.code:CodeVerifier",
        window=1536, preset_window=1536, max_tokens=1024,
    ),
    "TextReasoning": Task(
        "procedural problems of reasoning-gym (extra [reasoning])",
        "sources.reasoning:ReasoningSource", "rewards.reasoning:ReasoningVerifier",
        window=256, preset_window=128, max_tokens=16,
        token_settings={"template": "{question}"},
    ),
    "TextSummarize": Task(
        "summarise a short article: all facts, and none that is wrong",
        "sources.summary:SummarySource", "rewards.summary:SummaryReward",
        window=768, preset_window=640, max_tokens=128,
        token_settings={"asides": 0},
    ),
    "TextRLHF": Task(
        "answer requests politely and briefly, where the true reward is known",
        "sources.rlhf:RLHFSource", "rewards.gold:GoldReward",
        window=256, preset_window=256, max_tokens=192,
    ),
    "TextSentiment": Task(
        "continue a review so that it is positive or negative, as asked",
        "sources.sentiment:SentimentSource", "rewards.sentiment:SentimentReward",
        window=512, preset_window=512, max_tokens=320,
    ),
    "TextRLAIF": Task(
        "answer so that a judge with a constitution is content",
        "sources.rlaif:RLAIFSource", "rewards.judge.reward:ProblemJudge",
        window=512, preset_window=512, max_tokens=320,
    ),
    "TextMix": Task(
        "several tasks mixed by weight, each judged by its own reward",
        "mix:MixSource", "mix:MixReward",
        window=256, preset_window=32, max_tokens=20, dense_reward="mix:MixReward",
        settings={"tasks": {"TextMath": 1.0, "TextSort": 1.0, "TextDyck": 1.0}},
        token_settings={
            "tasks": {
                "TextMath": {"template": "{compact}="},
                "TextSort": {"template": "{items}=", "max_count": 4, "max_number": 9},
                "TextDyck": {"template": "{sequence}|", "brackets": "()[]", "max_length": 8, "max_depth": 4},
            },
        },
    ),
}  # fmt: skip


def register_envs() -> None:
    """Register each task as ``<name>-v0`` and ``<name>Tokens-v0``."""
    for name, task in TASKS.items():
        preset = {"level": "token", "window": task.preset_window, **task.token_settings}
        for suffix, kwargs in ("", {}), ("Tokens", preset):
            gym.register(
                id=f"{name}{suffix}-v0",
                entry_point="textgym.envs.registration:make_env",
                vector_entry_point="textgym.envs.registration:make_vector_env",
                kwargs={"name": name, **kwargs},
            )


def make_env(
    name: str,
    *,
    level: str = "sequence",
    tokenizer: Any = "char",
    window: int | None = None,
    max_tokens: int | None = None,
    layout: str = TOKENS_LAYOUT,
    reward: Reward | None = None,
    dense: bool = False,
    split: str = "train",
    render_mode: str | None = None,
    **settings: Any,
) -> TextEnv | TokenEnv:
    """Make one env; what ``gym.make("TextMath-v0", ...)`` calls.

    Args:
        name: task in ``TASKS``: the id without level and version.
        level: ``"sequence"`` (one action is a response) or ``"token"``. A ``...Tokens-v0`` id made at the sequence
            level is a ``TextEnv`` with the short prompts of that id.
        tokenizer: token level only: ``"char"``, ``"tiny"``, a hub id or a folder, or a tokenizer.
        window: token level only: observation length in tokens.
        max_tokens: token level only: longest response in tokens.
        layout: token level only: ``"sliding"`` or ``"slots"``.
        reward: judges in place of the task's own: a ``RewardModel``, a ``Judge``, a ``Rubric``, any ``Reward``. What it
            calls a success is one, and ``reward_range`` is its range. The copies of ``env.spec`` share it if it has a
            ``__deepcopy__`` that returns itself.
        dense: pay partial credit; at the token level, token by token.
        split: ``"train"`` or ``"test"`` problems.
        render_mode: None or ``"ansi"``.
        **settings: fields of the task's source, such as ``difficulty``.

    Raises:
        TypeError: for a setting that the task's source does not have, or a reward that is none.
        ValueError: for a value out of range, ``dense`` where the task has no partial credit or with a ``reward``, or an
            argument of the token level at the sequence level.
    """
    text_env = _text_env_maker(name, reward, dense, split, render_mode, settings)()
    if level == "sequence":
        _refuse_token_arguments(name, tokenizer, window, max_tokens, layout)
        return text_env
    return TokenEnv(text_env, **_token_kwargs(name, text_env, level, tokenizer, window, max_tokens, layout, dense))


def make_vector_env(
    name: str,
    num_envs: int = 1,
    *,
    group_size: int = 1,
    autoreset_mode: str | None = None,
    level: str = "sequence",
    tokenizer: Any = "char",
    window: int | None = None,
    max_tokens: int | None = None,
    layout: str = TOKENS_LAYOUT,
    reward: Reward | None = None,
    dense: bool = False,
    split: str = "train",
    render_mode: str | None = None,
    **settings: Any,
) -> TextVectorEnv | TokenVectorEnv:
    """Make ``num_envs`` envs that step together; what ``gym.make_vec("TextMath-v0", ...)`` calls.

    ``group_size`` consecutive sub-envs share a problem; ``autoreset_mode`` is ``"SameStep"`` or ``"Disabled"`` (the
    default with groups). The other arguments are those of ``make_env``.
    """
    make = _text_env_maker(name, reward, dense, split, render_mode, settings)
    groups: dict[str, Any] = {"group_size": group_size, "autoreset_mode": autoreset_mode}
    if level == "sequence":
        _refuse_token_arguments(name, tokenizer, window, max_tokens, layout)
        return TextVectorEnv(make, num_envs, **groups)
    kwargs = _token_kwargs(name, make(), level, tokenizer, window, max_tokens, layout, dense)
    return TokenVectorEnv(make, num_envs, **kwargs, **groups)


def make_source(name: str, settings: Mapping[str, Any]) -> Source:
    """Return the source of a task with these settings in place of its own.

    Raises:
        TypeError: for a setting that the source does not have.
        ValueError: for a value out of range.
    """
    task = TASKS[name]
    known = [field.name for field in dataclasses.fields(task.source_class)]  # type: ignore[arg-type]
    if unknown := sorted(set(settings) - set(known)):
        raise TypeError(
            f"{name} has no setting {', '.join(map(repr, unknown))}; it has {', '.join(known)}, and as every task "
            f"{', '.join(COMMON_SETTINGS)}"
        )
    return task.source_class(**{**task.settings, **settings})


def make_reward(name: str, source: Source, dense: bool) -> Reward:
    """Return the reward of a task; that of a mixture is up to its source."""
    from textgym.envs.mix import MixSource

    if isinstance(source, MixSource):
        return source.reward(dense)
    task = TASKS[name]
    reward = task.dense_reward_class if dense else None
    return (reward or task.reward_class)()


def _text_env_maker(
    name: str, reward: Reward | None, dense: bool, split: str, render_mode: str | None, settings: Mapping[str, Any]
) -> Callable[[], TextEnv]:
    task = TASKS[name]
    if reward is not None:
        check_reward(reward)
        if dense:
            raise ValueError("dense=True asks for the task's own partial credit: leave it out, or the reward")
    elif dense and task.dense_reward is None:
        raise ValueError(f"{name} has no partial credit, so dense=True is not available")
    source = make_source(name, settings)
    judge = make_reward(name, source, dense) if reward is None else reward
    env_class = task.env_class
    return lambda: env_class(source, judge, split=split, render_mode=render_mode)


def _refuse_token_arguments(name: str, tokenizer: Any, window: int | None, max_tokens: int | None, layout: str) -> None:
    changed = {
        "tokenizer": not (isinstance(tokenizer, str) and tokenizer == "char"),
        "window": window not in (None, TASKS[name].preset_window),  # a Tokens id made at the other level brings it
        "max_tokens": max_tokens is not None,
        "layout": layout != TOKENS_LAYOUT,
    }
    if given := [argument for argument, is_changed in changed.items() if is_changed]:
        raise ValueError(f"{', '.join(given)}: for level='token' only, but the level is 'sequence'")


def _token_kwargs(
    name: str,
    text_env: TextEnv,
    level: str,
    tokenizer: Any,
    window: int | None,
    max_tokens: int | None,
    layout: str,
    dense: bool,
) -> dict[str, Any]:
    if level not in LEVELS:
        raise ValueError(f"level must be one of {LEVELS}, got {level!r}")
    return {
        "tokenizer": make_tokenizer(tokenizer, text_env.charset if tokenizer == "char" else ""),
        "window": TASKS[name].window if window is None else window,
        "max_tokens": TASKS[name].max_tokens if max_tokens is None else max_tokens,
        "layout": layout,
        "dense": dense,
    }
