"""What can be said of agents from all their scores: aggregates with intervals, who beats whom, and profiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from textgym.bench.contenders import CONTENDERS
from textgym.bench.results import Scores, label, normalizable, normalized_scores
from textgym.bench.statistics import (
    Array,
    bootstrap_interval,
    iqm,
    mean,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from textgym.report.charts import Chart, Series
from textgym.report.model import Section, Shade, Table

SEEDS_FOR_INTERVAL = 5
"""With fewer runs, an interval would say more than is known."""
_TRIVIAL = ("random", "oracle", "warm_start")
"""Baselines that are 0 or 1 by definition where scores are normalised."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """Finished cells, and what is computed of them more than once."""

    folder: Path
    results: list[dict[str, Any]]

    @cached_property
    def envs(self) -> list[str]:
        """Return the names of the envs on which scores can be normalised."""
        return normalizable(self.results)

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """Return the normalised scores by the name of the agent."""
        names = {label(result): self.name(result) for result in self.results}
        found = normalized_scores(self.results, self.envs) if self.envs else {}
        return {names[each]: scores for each, scores in found.items()}

    @cached_property
    def policies(self) -> set[str]:
        """Return the language models that agents begin with."""
        return {result["cell"]["policy"] for result in self.results} - {None}

    def name(self, result: dict[str, Any]) -> str:
        """Return what the page calls an agent; its policy is named where there are several."""
        return label(result) if len(self.policies) > 1 else str(result["cell"]["agent_name"])

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Return the kind of each agent, by name, learners first, in the order of ``CONTENDERS``."""
        order = list(CONTENDERS)
        found = sorted(
            {
                (order.index(r["cell"]["agent"]), self.name(r), r["cell"]["agent"])
                for r in self.results
                if not _is_warm_start(r)
            }
        )
        return {name: CONTENDERS[agent].kind for _, name, agent in found}

    @property
    def rows(self) -> list[str]:
        """Return the names of all agents and baselines."""
        return list(self.kinds)

    @property
    def learners(self) -> list[str]:
        """Return the names of those that learn."""
        return [name for name, kind in self.kinds.items() if kind != "baseline"]

    @property
    def env_names(self) -> list[str]:
        """Return the names of all envs."""
        return sorted({result["cell"]["env_name"] for result in self.results})

    @property
    def seeds(self) -> int:
        """Return how many seeds have finished of each learner on each env, at the least; 0 if none."""
        counts = [len(self.runs(name, env)) for name in self.learners for env in self.env_names]
        return min((count for count in counts if count), default=0)

    def runs(self, name: str, env: str) -> list[dict[str, Any]]:
        """Return the results of an agent on an env."""
        return [
            r for r in self.results if self.name(r) == name and r["cell"]["env_name"] == env and not _is_warm_start(r)
        ]  # fmt: skip

    def slot(self, name: str) -> int:
        """Return the colour of an agent, which is its own in all charts of its kind."""
        return [other for other, kind in self.kinds.items() if kind == self.kinds[name]].index(name)

    def compared(self, kind: str | None = None) -> dict[str, Scores]:
        """Return the scores worth comparing, of learners of one kind or of all that are not 0 or 1 by definition."""
        agents = {self.name(r): r["cell"]["agent"] for r in self.results}
        return {
            name: self.scores[name]
            for name in self.rows
            if name in self.scores and agents[name] not in _TRIVIAL and kind in (None, self.kinds[name])
        }


def aggregate_section(bench: Bench) -> Section:
    """Return IQM, mean and optimality gap of each agent, best first."""
    rows, dots = [], []
    for name, scores in bench.compared().items():
        values, low, high = _aggregates(scores.values), *_interval(_aggregates, scores.values, resamples=50_000)
        begins = "language model" if bench.kinds[name] != "classic" else "nothing"
        shown = [with_interval(*each) for each in zip(values, low, high, strict=True)]
        rows.append((-values[0], [name, begins, *shown, f"{len(scores.seeds)} × {len(scores.envs)}"]))
        slot = 1 if begins == "nothing" else 0
        dots.append(
            (-values[0], Series(label=name, x=values[:1], y=values[:1], low=low, high=high, slot=slot, kind="interval"))
        )
    rows.sort(key=lambda each: each[0])
    dots.sort(key=lambda each: each[0])
    return Section(
        id="aggregates",
        title="Aggregates",
        text="Scores are normalised: 0 is the success that an agent began with (of a language model before "
        "learning; of random play for agents that begin with nothing), 1 is the oracle's. The interquartile mean "
        "(IQM) leaves out the lowest and the highest quarter of all runs; the optimality gap is how far runs fall "
        "short of 1, and less is better. In brackets are 95 % intervals of the stratified bootstrap over seeds: the "
        "tasks are given.",
        tables=[
            Table(
                header=["agent", "begins with", "IQM", "mean", "optimality gap", "seeds × envs"],
                rows=[row for _, row in rows], labels=2, caption="Normalised scores", in_markdown=True,
            )
        ] if rows else [],
        charts=[
            Chart(
                name="iqm", title="Normalised scores", series=[dot for _, dot in dots],
                x_label="IQM (0: as it began, 1: as the oracle)",
                note="blue: begins with a language model, orange: with nothing",
                caption=f"Dot: interquartile mean of all runs, {_runs(bench.compared())}. {_band(bench, 'Bar')}",
            )
        ],
    )  # fmt: skip


def improvement_section(bench: Bench) -> Section:
    """Return how probably one agent beats another; only among those that begin alike."""
    tables = []
    for kind, title in (
        ("learning", "Agents that train a language model"),
        ("classic", "Agents that begin with nothing"),
    ):
        scores = bench.compared(kind)
        rows: list[list[str | Shade]] = []
        for name, mine in scores.items():
            row: list[str | Shade] = [name]
            for other, theirs in scores.items():
                if other == name:
                    row.append("")
                    continue
                value = float(probability_of_improvement(mine.values, theirs.values))
                low, high = _interval(probability_of_improvement, mine.values, theirs.values, resamples=5_000)
                row.append(Shade(with_interval(value, float(low), float(high)), value))
            rows.append(row)
        if len(rows) > 1:
            tables.append(Table(header=["row beats column", *scores], rows=rows, caption=title))
    return Section(
        id="improvement",
        title="Probability of improvement",
        text="How probably a run of the row's agent ends above a run of the column's, on an environment drawn by "
        "chance; a tie is half a win. Where the interval holds 0.5, the two cannot be told apart.",
        tables=tables,
    )


def profile_section(bench: Bench) -> Section:
    """Return the share of runs above each score."""
    thresholds = np.linspace(0, 1, 51)
    charts = []
    for kind, title in (
        ("learning", "Agents that train a language model"),
        ("classic", "Agents that begin with nothing"),
    ):
        series = []
        for name, scores in bench.compared(kind).items():

            def profile(values: Array) -> Array:
                return performance_profile(values, thresholds)

            low, high = _interval(profile, scores.values, resamples=5_000)
            shares = profile(scores.values)
            slot = bench.slot(name)
            series.append(Series(label=name, x=thresholds, y=shares, slot=slot, kind="steps", low=low, high=high))
        charts.append(
            Chart(
                name=f"profile-{kind}", title=title, series=series, x_label="normalised score τ", percent=True,
                y_label="runs above τ",
                caption=f"Line: share of an agent's runs, {_runs(bench.compared(kind))}, whose score is above τ. "
                f"{_band(bench, 'Band')}",
            )
        )  # fmt: skip
    return Section(
        id="profiles",
        title="Performance profiles",
        text="The higher a line, the more runs reach that score. Where lines cross, neither agent is the better.",
        charts=charts,
    )


def _runs(scores: dict[str, Scores]) -> str:
    """Return of how many runs of each agent something is said."""
    seeds, envs = ([len(getattr(each, name)) for each in scores.values()] for name in ("seeds", "envs"))
    return f"{span(seeds)} seeds × {span(envs)} environments"


def span(counts: Iterable[float]) -> str:
    """Return a count, or the lowest and the highest where they differ."""
    known = sorted({int(count) for count in counts if np.isfinite(count)})
    return "–" if not known else f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"


def _band(bench: Bench, what: str) -> str:
    """Return what a band is, if there is one."""
    seeds = [len(scores.seeds) for scores in bench.compared().values()]
    if max(seeds, default=0) < SEEDS_FOR_INTERVAL:
        return f"There are too few seeds for intervals, which need {SEEDS_FOR_INTERVAL}."
    unless = f", where there are {SEEDS_FOR_INTERVAL} seeds" if min(seeds) < SEEDS_FOR_INTERVAL else ""
    return f"{what}: 95 % interval of the stratified bootstrap over seeds{unless}."


def _aggregates(values: Array) -> Array:
    return np.stack([iqm(values), mean(values), optimality_gap(values)], -1)


def _interval(statistic: Any, *matrices: Array, resamples: int) -> tuple[Array, Array]:
    """Return the ends of the 95 % interval of each number; NaN where there are too few seeds."""
    if min(map(len, matrices)) < SEEDS_FOR_INTERVAL:
        unknown = np.full_like(statistic(*matrices), np.nan)
        return unknown, unknown
    return bootstrap_interval(statistic, *matrices, rng=_rng(), resamples=resamples)


def with_interval(value: float, low: float, high: float) -> str:
    """Return a number and its interval, if there is one."""
    span = f" [{low:.2f}, {high:.2f}]" if np.isfinite(low) else ""
    return f"{value:.2f}{span}".replace("-", "−")


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)  # the same page from the same files


def _is_warm_start(result: dict[str, Any]) -> bool:
    """Say whether the cell trains what others begin with."""
    return bool(result["cell"]["agent_name"] == "warm-start")
