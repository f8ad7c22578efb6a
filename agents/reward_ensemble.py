"""``RewardEnsemble``: several reward models as one reward, which pays less where they disagree.

Coste et al. (arXiv 2310.02743) optimise the worst of several models, or their mean less what they differ by, against
over-optimisation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgym.agents.preferences import Preference, training_pairs
from textgym.agents.reward_model import RewardModel
from textgym.agents.reward_training import FitConfig, PairMetrics, answer_lengths, pair_metrics
from textgym.envs.task import Problem, Score

FloatArray = NDArray[np.float64]

RULES = ("mean", "min", "mean-std")


class RewardEnsemble:
    """Combines the normalised scores of its members by a rule, and normalises the outcome again.

    ``info["reward/uncertainty"]`` is the standard deviation of the members' normalised scores. Range, success, and what
    is an error are as in ``RewardModel``; an answer that a member can't score has no score.
    """

    range = RewardModel.range
    partial = open = True

    def __init__(self, members: Sequence[RewardModel], rule: str = "mean-std") -> None:
        """Put models together.

        Raises:
            ValueError: for fewer than two, one that is there twice, or a rule that is not one of ``RULES``.
        """
        if len(members) < 2:
            raise ValueError(f"an ensemble has two members or more, got {len(members)}")
        if len(set(map(id, members))) < len(members):
            raise ValueError("a member is there twice, and agrees with itself: that says nothing of how sure it is")
        if rule not in RULES:
            raise ValueError(f"rule must be one of {RULES}, got {rule!r}")
        self.members = tuple(members)
        self.rule = rule
        self.normalisation: tuple[float, float] | None = None
        """Mean and standard deviation of the combined scores of the warm start; None before ``normalise``."""

    @classmethod
    def start(
        cls, name: str | Path, size: int = 4, rule: str = "mean-std", *, seed: int = 0, **options: Any
    ) -> RewardEnsemble:
        """Make ``size`` models of one language model, with different heads; see ``RewardModel.load``."""
        return cls([RewardModel.load(name, seed=seed + i, **options) for i in range(size)], rule)

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> RewardEnsemble:
        """Load what ``save`` wrote; ``options`` as in ``RewardModel.load``.

        Raises:
            FileNotFoundError: if ``folder`` holds no ensemble.
            ValueError: if it holds a single model.
        """
        if not Path(folder, "ensemble.json").is_file():
            if Path(folder, "config.json").is_file():
                raise ValueError(f"{folder} holds a single model: load it with RewardModel.load")
            raise FileNotFoundError(f"{folder} holds no ensemble: ensemble.json is missing")
        values = json.loads(Path(folder, "ensemble.json").read_text(encoding="utf-8"))
        members = [RewardModel.load(Path(folder, str(i)), **options) for i in range(values["size"])]
        ensemble = cls(members, values["rule"])
        if values["normalisation"] is not None:
            mean, std = values["normalisation"]
            ensemble.normalisation = float(mean), float(std)
        return ensemble

    @property
    def snapshot(self) -> str:
        """The snapshots of the members, the rule and the normalisation."""
        return "+".join([*(member.snapshot for member in self.members), self.rule, repr(self.normalisation)])

    def fit(
        self, pairs: Sequence[Preference], held_out: Sequence[Preference] | None = None, **settings: Any
    ) -> PairMetrics:
        """Let each member learn from the pairs, in an order of its own; see ``RewardModel.fit``.

        Returns:
            The metrics of the members' mean score on the held-out pairs.
        """
        seed = FitConfig(**settings).seed
        pairs, held_out = training_pairs(pairs, held_out, seed)
        self.normalisation = None
        for i, member in enumerate(self.members):
            member.fit(pairs, held_out, **{**settings, "seed": seed + i})
        return self.evaluate(held_out)

    def evaluate(self, pairs: Sequence[Preference]) -> PairMetrics:
        """Measure how the members' mean score agrees with preferences."""
        scores = np.mean([member.pair_scores(pairs) for member in self.members], axis=0)
        return pair_metrics(scores, answer_lengths(pairs))

    def normalise(self, problems: Sequence[Problem], responses: Sequence[str]) -> None:
        """Let the members', and then the combined scores of these answers have mean 0 and standard deviation 1.

        Raises:
            ValueError: if the scores are all the same, or not finite.
        """
        for member in self.members:
            member.normalise(problems, responses)
        combined = self._combine(self._member_totals(problems, responses))
        std = float(combined.std())
        if not std > 0:
            raise ValueError(f"{len(combined)} answers with combined scores of a deviation of {std} normalise nothing")
        self.normalisation = float(combined.mean()), std

    def save(self, folder: str | Path) -> None:
        """Write ``ensemble.json``, and the members into folders 0, 1, and so on."""
        for i, member in enumerate(self.members):
            member.save(Path(folder, str(i)))
        values = {"size": len(self.members), "rule": self.rule, "normalisation": self.normalisation}
        Path(folder, "ensemble.json").write_text(json.dumps(values), encoding="utf-8")

    def __repr__(self) -> str:
        """Name the rule and a member."""
        return f"RewardEnsemble({len(self.members)} members, {self.rule!r}, the first {self.members[0]!r})"

    def check_ready(self) -> None:
        """Raise ``ValueError`` before ``normalise``."""
        self._scale()

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the combined, normalised scores; ValueError as for ``RewardModel``."""
        mean, std = self._scale()
        totals = self._member_totals(problems, responses)
        total = np.clip((self._combine(totals) - mean) / std, *self.range)
        status = ["error" if failed else "ok" for failed in np.isnan(total)]
        return Score(total, total > 0, {"uncertainty": totals.std(axis=0)}, status)

    def __deepcopy__(self, memo: dict[int, Any]) -> RewardEnsemble:
        """Return itself: ``env.spec`` deep-copies its kwargs once for each wrapper."""
        return self

    def _scale(self) -> tuple[float, float]:
        if self.normalisation is None:
            raise ValueError("the ensemble has no scale yet: call normalise with answers of the warm start")
        return self.normalisation

    def _member_totals(self, problems: Sequence[Problem], responses: Sequence[str]) -> FloatArray:
        """Return the members' normalised scores, float64 (members, n)."""
        return np.stack([member(problems, responses).total for member in self.members])

    def _combine(self, totals: FloatArray) -> FloatArray:
        if self.rule == "min":
            return np.asarray(totals.min(axis=0))
        penalty = totals.std(axis=0) if self.rule == "mean-std" else 0.0
        return np.asarray(totals.mean(axis=0) - penalty)
