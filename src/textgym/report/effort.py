"""What learning took: samples to a level, with runs that never get there, and the compute of each agent."""

from __future__ import annotations

from typing import Any

import numpy as np

from textgym.bench.results import beginning, perfection
from textgym.bench.statistics import area_under_curve, median_time, normalize, restricted_mean, samples_to_level
from textgym.report.charts import short_number
from textgym.report.comparison import Bench
from textgym.report.model import Section, Shade, Table
from textgym.report.reading import number
from textgym.report.run import duration
from textgym.report.trajectories import curve_of

_LEVELS = (0.5, 0.9)


def efficiency_section(bench: Bench) -> Section:
    """Return for each agent and env how many samples it took to a level, and the area under the curve."""
    learners = [name for name in bench.learners if any(bench.runs(name, env) for env in bench.envs)]
    header = ["agent", *bench.envs]
    curves = {(name, env): _normalized_curves(bench, name, env) for name in learners for env in bench.envs}
    tables = [
        Table(
            header=header,
            rows=[[name, *(_to_level(curves[name, env], level) for env in bench.envs)] for name in learners],
            caption=f"Samples to a normalised score of {level}: median (runs that got there)",
        )
        for level in _LEVELS
    ]  # fmt: skip
    tables.append(
        Table(
            header=header, rows=[[name, *(_area(curves[name, env]) for env in bench.envs)] for name in learners],
            caption="Mean height of the normalised curve",
        )
    )  # fmt: skip
    return Section(
        id="efficiency",
        title="Sample efficiency",
        text="A level is a share of the way from where an agent began to the oracle. Runs that never get there "
        "count as censored at the end of their budget: the median is Kaplan and Meier's, and where fewer than half "
        "of the runs are seen to arrive it is beyond (>) the budget; then the mean up to the budget stands behind. "
        "Curves are looked at now and then, so that a number is late by up to the distance of two looks.",
        tables=tables if learners and bench.envs else [],
    )


def compute_section(bench: Bench) -> Section:
    """Return what the runs of each agent took, on average."""
    rows = []
    for name in bench.learners:
        runs = [result for env in bench.env_names for result in bench.runs(name, env)]
        costs = {key: _mean([run["cost"].get(key) for run in runs]) for key in _COSTS}
        seconds = costs["seconds"]
        split = [_share(costs[key], seconds) for key in ("seconds_sampling", "seconds_env")]
        memory = _mean([run["machine"].get("peak_memory_mb") for run in runs])
        rows.append(
            [
                name, f"{len(runs):,}", *(short_number(costs[key]) for key in ("samples", "tokens", "gradient_steps")),
                duration(seconds), *split, f"{memory:,.0f} MB" if np.isfinite(memory) else "–",
            ]
        )  # fmt: skip
    header = [
        "agent",
        "runs",
        "samples",
        "tokens",
        "gradient steps",
        "learning",
        "sampling",
        "env and reward",
        "peak memory",
    ]
    machine = bench.results[0]["machine"] if bench.results else {}
    where = f" on {machine.get('gpu') or machine.get('processor')}" if machine else ""
    return Section(
        id="compute",
        title="Compute",
        text=f"Means over all runs of an agent{where}. Samples and tokens are what it drew, dropped groups included; "
        "learning is wall-clock without evaluation, and of it the shares of sampling and of environment and reward. "
        "Memory is that of the whole process.",
        tables=[Table(header=header, rows=rows, in_markdown=True, caption="Compute of a run")] if rows else [],
    )


_COSTS = ("samples", "tokens", "gradient_steps", "seconds", "seconds_sampling", "seconds_env")


def _to_level(runs: list[Any], level: float) -> str:
    if not runs:
        return "–"
    found = [samples_to_level(x, y, level) for x, y in runs]
    times, reached = [time for time, _ in found], [arrived for _, arrived in found]
    median, arrived = median_time(times, reached), f"({sum(reached)}/{len(reached)})"
    if np.isfinite(median):
        return f"{short_number(median)} {arrived}"
    limit = min(float(x[-1]) for x, _ in runs)
    mean = f", mean {short_number(restricted_mean(times, reached, limit))}" if any(reached) and limit > 0 else ""
    return f"> {short_number(limit)}{mean} {arrived}"


def _area(runs: list[Any]) -> str | Shade:
    areas = [area_under_curve(x, y) for x, y in runs if len(x) > 1 and x[-1] > x[0]]
    return Shade(f"{np.mean(areas):.2f}".replace("-", "−"), float(np.clip(np.mean(areas), 0, 1))) if areas else "–"


def _normalized_curves(bench: Bench, name: str, env: str) -> list[Any]:
    """Return the curve of each run, 0 where the agent began and 1 at the oracle."""
    curves = []
    for result in bench.runs(name, env):
        samples, success = curve_of(bench, result["cell"]["id"])
        if len(samples):
            low, high = beginning(bench.results, result), perfection(bench.results, env)
            if samples[0] == 0 and result["cell"]["policy"]:
                low = float(success[0])  # of the curve's problems, which are fewer than the score's
            curves.append((samples, normalize(success, low, high)))
    return curves


def _mean(values: list[Any]) -> float:
    known = [value for value in map(number, values) if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if np.isfinite(part) and whole > 0 else "–"
