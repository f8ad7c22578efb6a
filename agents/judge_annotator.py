"""``JudgeAnnotator``: a judge with a constitution in the place of the people who compare answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from textgym.agents.preferences import AnswerPair, Preference
from textgym.envs.rewards.judge import Judge
from textgym.envs.task import Problem


@dataclass(frozen=True)
class JudgeAnnotator:
    """Asks which answer of a pair is the better one, in both orders.

    A tie, two orders that disagree, and a judge that fails, refuses or is late are no preference. An answer that the
    judge need not see, for it is empty, too long or gives back the question, is worse than any other, and two of them
    are a tie. See ``Judge``: what an answer says about the verdict is data, and never the verdict.

    Example:
        >>> from textgym.envs import Problem
        >>> from textgym.envs.rewards.judge import RuleBackend
        >>> brief = Judge(["Be brief."], "pairwise", backend=RuleBackend(lambda question, response: 11 - len(response)))
        >>> JudgeAnnotator(brief)([AnswerPair(Problem("Ready?"), "Yes, sir.", "Yes")])[0].chosen
        'Yes'
    """

    judge: Judge
    """With ``mode="pairwise"``."""

    def __post_init__(self) -> None:
        """Check the mode.

        Raises:
            ValueError: if the judge compares nothing.
        """
        if self.judge.mode != "pairwise":
            raise ValueError(f"the judge must have mode='pairwise', got {self.judge.mode!r}")

    def __call__(self, pairs: Sequence[AnswerPair]) -> list[Preference | None]:
        """Return what is preferred; one call of the judge."""
        seen = [[self.judge.shown(pair.problem, text) for text in (pair.first, pair.second)] for pair in pairs]
        verdicts: list[Preference | None] = [
            None if bool(first) == bool(second) else pair.preference(bool(first))
            for pair, (first, second) in zip(pairs, seen, strict=True)
        ]
        rows = [i for i, (first, second) in enumerate(seen) if first and second]
        problems = [_with_reference(pairs[i], seen[i][1]) for i in rows]
        for i, total in zip(rows, self.judge(problems, [pairs[i].first for i in rows]).total, strict=True):
            if total in (0.0, 1.0):
                verdicts[i] = pairs[i].preference(total == 1.0)
        return verdicts


def _with_reference(pair: AnswerPair, reference: str) -> Problem:
    return dataclasses.replace(pair.problem, metadata={**pair.problem.metadata, "reference": reference})
