"""Learning curves of a benchmark: the mean over seeds at each look, on held-out problems."""

from __future__ import annotations

from typing import Any

import numpy as np

from textgym.report.charts import Chart, Series
from textgym.report.comparison import Bench, span
from textgym.report.model import Section
from textgym.report.reading import Complaints, FloatArray, column, number


def curve_section(bench: Bench) -> Section:
    """Return a chart for each kind of agent and env."""
    charts = []
    for kind, who in ("learning", "language models"), ("classic", "agents that begin with nothing"):
        for env in bench.env_names:
            series = [
                one
                for name in bench.learners
                if bench.kinds[name] == kind and (one := _mean_curve(bench, name, env)) is not None
            ]
            charts.append(
                Chart(
                    name=f"curve-{kind}-{''.join(c if c.isalnum() else '-' for c in env).lower()}", title=env, note=who,
                    series=series, x_label="samples", y_label="greedy success", percent=True,
                    caption=_caption(bench, [each.label for each in series], env),
                )
            )  # fmt: skip
    return Section(
        id="curves",
        title="Learning curves",
        text="Greedy success on held-out problems as learning goes on. Samples are answers that were drawn, those of "
        "dropped groups too; for sft, those it was shown.",
        charts=[chart for chart in charts if not chart.is_empty],
    )


def curve_of(bench: Bench, cell_id: str) -> tuple[FloatArray, FloatArray]:
    """Return the samples and the success of a cell's looks (points,); those without a number are left out."""
    lines = _lines(bench, cell_id)
    # Supervised learning draws nothing: what it was shown counts.
    samples = np.fmax(column(lines, "samples"), column(lines, "episodes"))
    success = column(lines, "greedy")
    known = np.isfinite(samples) & np.isfinite(success)
    return samples[known], success[known]


def _caption(bench: Bench, names: list[str], env: str) -> str:
    runs = [bench.runs(name, env) for name in names]
    lines = [_lines(bench, run["cell"]["id"]) for each in runs for run in each]
    problems = span(number(line.get("problems")) for each in lines for line in each)
    asked = "" if problems == "–" else f" Each point: {problems} held-out problems."
    return f"Line: mean over {span(map(len, runs))} seeds; band: from the lowest seed to the highest.{asked}"


def _lines(bench: Bench, cell_id: str) -> list[dict[str, Any]]:
    return Complaints().read_lines(bench.folder / cell_id / "curve.jsonl")


def _mean_curve(bench: Bench, name: str, env: str) -> Series | None:
    curves = [curve_of(bench, result["cell"]["id"]) for result in bench.runs(name, env)]
    curves = [curve for curve in curves if len(curve[0])]
    if not curves:
        return None
    points = min(len(samples) for samples, _ in curves)
    samples = np.mean([x[:points] for x, _ in curves], 0)
    success = np.array([y[:points] for _, y in curves])
    return Series(
        label=name, x=samples, y=success.mean(0), slot=bench.slot(name), low=success.min(0), high=success.max(0)
    )
