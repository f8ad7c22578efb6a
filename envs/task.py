"""What a task is made of, before any environment exists.

- ``Problem``: one question, with what is needed to judge an answer.
- ``Source``: draws problems, and knows a perfect response to each.
- ``Reward``: judges a batch of responses and returns a ``Score``.
- ``draw_problem`` and ``problem_at``: the only two ways an environment gets a problem; both keep the
  train and the test problems apart.
- ``score_batch``: calls a reward so that a broken one is reported as broken, never as a wrong answer.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "test")
STATUSES = frozenset(("ok", "timeout", "error"))
PRINTABLE = "\n" + "".join(map(chr, range(32, 127)))
"""The newline and printable ASCII: the characters of a source that does not name its own."""
_TEST_ONE_IN = 5
_MAX_REDRAWS = 1_000
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Problem:
    """One question.

    ``answer`` is None where there is no single right one; what the reward then needs stands in ``metadata``.

    ``key`` says which problem this is, however it is worded: two prompts that ask the same thing share a key
    and therefore a split. It defaults to the prompt.
    """

    prompt: str
    answer: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""

    def __post_init__(self) -> None:
        """Fill in ``key``."""
        if not self.key:
            object.__setattr__(self, "key", self.prompt)

    @property
    def split(self) -> str:
        """``"test"`` for one problem in five, ``"train"`` for the others: a hash of the key alone."""
        digest = zlib.crc32(self.key.encode("utf-8", "surrogatepass"))
        return "train" if digest % _TEST_ONE_IN else "test"


class Source(Protocol):
    """Where problems come from: a frozen dataclass whose fields are its settings.

    The settings of a registered task have defaults and can be written as JSON. A source may also say

    - ``charset: str``: every character of its prompts and solutions, sorted: the vocabulary of the token level, and
      the smaller it is, the easier for a classic agent. Without it that is ``PRINTABLE``.
    - ``choices: tuple[str, ...]``: all the responses that make sense, where they can be listed.
    - ``open: bool``: as in ``Reward``, where it is the problems that are open.
    """

    def __hash__(self) -> int: ...

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return one problem, a function of ``rng`` alone."""
        ...

    def solution(self, problem: Problem) -> str | None:
        """Return a response that earns the maximum reward, or None where none is known."""
        ...


@runtime_checkable
class FiniteSource(Source, Protocol):
    """A source that can be listed, such as a data set."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Problem: ...


@dataclass(frozen=True)
class Score:
    """What a batch of n responses is worth.

    ``total`` float64 (n,), NaN exactly where ``status`` is not ``"ok"``; ``parts`` named components of the same
    shape; ``status`` (n,) of ``"ok"``, ``"timeout"`` or ``"error"``; ``success`` bool (n,).
    """

    total: NDArray[np.float64]
    success: NDArray[np.bool_]
    parts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    status: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Fill in ``status``; check the lengths, and that the failed items, and no others, are NaN."""
        if not len(self.status):
            object.__setattr__(self, "status", ("ok",) * len(self.total))
        shapes = {name: np.shape(values) for name, values in {"success": self.success, **self.parts}.items()}
        if self.total.ndim != 1 or {(len(self.status),), *shapes.values()} != {self.total.shape}:
            raise ValueError(
                f"total {self.total.shape}, status ({len(self.status)},) and {shapes} must have one length"
            )
        if not STATUSES.issuperset(self.status):
            raise ValueError(f"a status is one of {sorted(STATUSES)}, got {list(self.status)}")
        if np.isinf(self.total).any():
            raise ValueError(f"a score must be finite, got {self.total}")
        if [status != "ok" for status in self.status] != np.isnan(self.total).tolist():
            raise ValueError(f"a score is NaN iff its status is not 'ok', got {self.total} with {list(self.status)}")


class Reward(Protocol):
    """Judges a batch: n problems and n responses to a ``Score`` of n items, each within ``range``.

    It may also say, for ``textgym check``,

    - ``partial: bool``: it pays for parts of a right answer, so that a wrong one may earn something.
    - ``open: bool``: a text may hold more than the answer, such as a program or an essay; then a text with several
      answers may be right, and so may the answer to another problem.
    - ``time_limit: float``: the seconds that one response may take, where it is more than a quarter of one.
    - ``check_ready()``: raises ``ValueError`` as long as it cannot judge yet; envs call it before each episode.

    and where it is a model

    - ``snapshot: str``: which weights it has, for ``info["reward_snapshot"]``. A model has a ``__deepcopy__`` that
      returns itself, for ``env.spec`` deep-copies what was given to ``gym.make``.
    """

    range: tuple[float, float]

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the scores; must accept any text at all."""
        ...


def draw_problem(source: Source, rng: np.random.Generator, split: str) -> Problem:
    """Draw from ``source`` until the problem lies in ``split``.

    Raises:
        ValueError: if ``split`` is unknown, or if none of 1,000 draws lies in it.
    """
    check_split(split)
    for _ in range(_MAX_REDRAWS):
        problem = source.draw(rng)
        if problem.split == split:
            return problem
    raise ValueError(f"no {split!r} problem in {_MAX_REDRAWS} draws from {source}: it has too few problems to split")


def problem_at(source: Source, index: int, split: str) -> Problem:
    """Return the ``index``-th distinct problem of a split, in an order that is fixed for each source.

    Raises:
        IndexError: if the split has fewer problems, with the number it has.
    """
    check_split(split)
    if index < 0:
        raise IndexError(f"problem index must be >= 0, got {index}")
    with _LOCK:  # two threads must not meet in one stream
        found, stream = _distinct_problems(source, split)
        while len(found) <= index:
            try:
                found.append(next(stream))
            except StopIteration:
                message = f"problem {index} does not exist: {source} has {len(found)} distinct {split!r} problems"
                raise IndexError(message) from None
        return found[index]


def check_split(split: str) -> None:
    """Raise ValueError unless ``split`` is one of ``SPLITS``."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {SPLITS}, got {split!r}")


@functools.lru_cache(maxsize=64)
def _distinct_problems(source: Source, split: str) -> tuple[list[Problem], Iterator[Problem]]:
    """Return the problems found so far and the stream that finds more.

    A data set is opened here and not in the stream: an exception in a stream would end it, and look like its end.
    """
    if isinstance(source, FiniteSource):
        return [], _distinct([source[i] for i in range(len(source))], split, patience=len(source))
    rng = np.random.default_rng(SPLITS.index(split))
    return [], _distinct((source.draw(rng) for _ in itertools.count()), split, patience=_MAX_REDRAWS)


def _distinct(candidates: Iterable[Problem], split: str, patience: int) -> Iterator[Problem]:
    """Yield the new problems of a split, until ``patience`` candidates in a row were none."""
    seen: set[str] = set()
    misses = 0
    for problem in candidates:
        if problem.split == split and problem.key not in seen:
            seen.add(problem.key)
            misses = 0
            yield problem
        elif (misses := misses + 1) > patience:
            return


def check_reward(reward: Any, name: str = "reward") -> None:
    """Refuse what is no reward.

    Raises:
        TypeError: for a class, a plain function, a text.
    """
    if inspect.isclass(reward) or not callable(reward) or not hasattr(reward, "range"):
        raise TypeError(
            f"{name} must be an instance of a Reward, such as ExactMatch(), got {reward!r:.80}; for a plain function "
            "there is textgym.make_env"
        )


def check_ready(reward: Reward) -> None:
    """Let a reward say that it cannot judge yet.

    Raises:
        ValueError: if it says so; see ``Reward``.
    """
    if hasattr(reward, "check_ready"):
        reward.check_ready()


def score_batch(reward: Reward, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
    """Call ``reward`` once on the whole batch.

    If it raises, each item is tried alone, and the items that raise again get NaN and the status ``"error"``, with
    a ``RuntimeWarning`` that shows the exception: a verifier's bug never looks like a wrong answer.
    """
    try:
        score = reward(problems, responses)
        if len(score.total) != len(problems):
            raise ValueError(f"{len(problems)} responses got {len(score.total)} scores")
        return score
    except (Exception, SystemExit) as error:
        if len(problems) == 1:
            warnings.warn(f"{reward} failed on {responses[0][:80]!r}: {error!r}", RuntimeWarning, stacklevel=2)
            return Score(np.full(1, np.nan), np.zeros(1, bool), status=("error",))
    scores = [score_batch(reward, [p], [r]) for p, r in zip(problems, responses, strict=True)]
    names = {name for score in scores for name in score.parts}
    return Score(
        total=np.concatenate([score.total for score in scores]),
        success=np.concatenate([score.success for score in scores]),
        parts={name: np.concatenate([s.parts.get(name, np.full(1, np.nan)) for s in scores]) for name in sorted(names)},
        status=[score.status[0] for score in scores],
    )
