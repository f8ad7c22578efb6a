"""A secret number to be found by guessing, with "higher" or "lower" after each guess."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from textgym.envs.sources._settings import MAX_NUMBER, check_template, check_whole, literal_chars, number_chars
from textgym.envs.task import Problem

_MAX_CHOICES = 10_000


@dataclass(frozen=True, kw_only=True)
class GuessNumberSource:
    """A secret from 1 to ``high``; the answer is the secret, the metadata are the ints ``high`` and ``turns``."""

    high: int = 31
    turns: int | None = None
    """How many guesses are allowed; None means as many as halving the interval needs at worst, 5 for 31."""
    template: str = (
        "I am thinking of a whole number from 1 to {high}. Guess it in at most {turns} turns; "
        "after each guess I say higher or lower. Answer with the number alone."
    )

    def __post_init__(self) -> None:
        """Check the settings."""
        check_whole("high", self.high, 2, MAX_NUMBER)
        if self.turns is not None:
            check_whole("turns", self.turns, 1)
        check_template(self.template, ["high"], ["turns"])

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return a secret, each equally likely."""
        secret = int(rng.integers(1, self.high + 1))
        metadata = {"high": self.high, "turns": self._turns}
        return Problem(self.template.format(**metadata), str(secret), metadata, key=f"guess {self.high} {secret}")

    def solution(self, problem: Problem) -> str | None:
        """Return the secret, the luckiest first guess."""
        return problem.answer

    @property
    def charset(self) -> str:
        """Every character of the prompts and of any guess, sorted."""
        shown_turns = str(self._turns) if "{turns}" in self.template else ""
        return "".join(sorted(literal_chars(self.template) | number_chars(self.high) | set(shown_turns)))

    @functools.cached_property
    def choices(self) -> tuple[str, ...] | None:
        """The numbers in order, or None if they are more than 10,000."""
        return tuple(map(str, range(1, self.high + 1))) if self.high <= _MAX_CHOICES else None

    @property
    def _turns(self) -> int:
        return self.turns or self.high.bit_length()
