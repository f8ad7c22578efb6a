"""The page of one run: of ``textgym train``, or one cell of a benchmark."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textgym.bench.contenders import CONTENDERS
from textgym.commands.shared import standard_error
from textgym.report.answers import pair_cards, sample_cards, thinned
from textgym.report.charts import Chart, Series, short_number
from textgym.report.model import Notice, Page, Section, Table, Tile
from textgym.report.reading import Complaints, FloatArray, column, number, text

EPISODES = "time/total_timesteps"
REWARD, SUCCESS = "rollout/ep_rew_mean", "rollout/success_rate"
_NAMED = {
    "rollout/kl_to_reference": "KL to the initial policy, in nats an answer",
    "train/kl_ref": "KL to the reference, in nats a token",
    "train/approx_kl": "KL of an update, in nats a token",
    "train/entropy": "Entropy of the policy, in nats a token",
    "rollout/ep_len_mean": "Length of an answer, in tokens",
}
"""What stands on the page in any case, in this order after success and reward."""
_RATES = ("success_rate", "frac", "fraction", "accuracies")
_FOLDER_MARKS = ("metrics.jsonl", "config.json", "cell.json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What the folder of a run holds, as far as it can be read."""

    folder: Path
    settings: dict[str, Any]
    """``config.json``, or ``cell.json`` of a benchmark."""
    before: dict[str, Any]
    """Held-out rates."""
    after: dict[str, Any]
    outcome: dict[str, Any]
    """``summary.json``, or ``result.json`` of a benchmark; nothing while it is not finished."""
    metrics: list[dict[str, Any]]
    curve: list[dict[str, Any]]
    """Held-out rates as learning went on, of a benchmark."""
    samples: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    error: str
    """Why it failed."""
    complaints: tuple[str, ...]


def is_run(folder: Path) -> bool:
    """Say whether the folder is one of a run."""
    return any((folder / name).is_file() for name in _FOLDER_MARKS)


def read_run(folder: Path) -> Run:
    """Return what the folder holds."""
    complaints = Complaints()
    read_json, read_lines = complaints.read_json, complaints.read_lines
    outcome = read_json(folder / "result.json") or read_json(folder / "summary.json")
    before = outcome.get("before") or read_json(folder / "before.json")
    error = folder / "error.txt"
    return Run(
        folder=folder,
        settings=read_json(folder / "cell.json") or read_json(folder / "config.json"),
        before=_mapping(before.get("measured", before)) if isinstance(before, dict) else {},
        after=_mapping(outcome.get("after")),
        outcome=outcome,
        metrics=read_lines(folder / "metrics.jsonl"),
        curve=read_lines(folder / "curve.jsonl"),
        samples=read_lines(folder / "transcripts.jsonl"),
        pairs=read_lines(folder / "answers.jsonl"),
        error=error.read_text(encoding="utf-8", errors="replace") if error.is_file() and not outcome else "",
        complaints=tuple(complaints.found),
    )


def run_page(folder: Path) -> Page:
    """Return the page of the run in a folder."""
    run = read_run(folder)
    episodes = _episodes(run.metrics)
    alarms = alarm_spans(run.metrics, episodes)
    about = {name: text(run.settings.get(name) or "") for name in ("env", "agent", "policy")}
    cards, cards_note = thinned(
        pair_cards(run.pairs, {**about, "seed": ""}, _learns(run)) + sample_cards(run.samples, {**about, "seed": ""})
    )
    sections = [
        Section(id="results", title="Results on held-out problems", tables=list(_result_tables(run))),
        Section(id="learning", title="Learning", text=_about_curves(run), charts=_learning(run, episodes, alarms)),
        Section(id="compute", title="Compute", tables=list(_compute_tables(run, episodes))),
        Section(
            id="monitors",
            title="Monitors and parts of the reward",
            text="What is watched, and what the reward is made of. Where a monitor has fallen from its peak "
            "while the reward, which has risen, holds, the reward is being exploited.",
            charts=_watched(run, episodes, alarms),
        ),
        Section(id="more", title="Everything else that was logged", charts=_others(run, episodes), folded=True),
        Section(id="settings", title="Settings and versions", blocks=_settings(run), folded=True),
    ]
    policy = f", beginning with {about['policy']}" if about["policy"] else ""
    return Page(
        title=f"{about['agent']} on {about['env']}" if about["agent"] else f"The log in {folder.resolve().name}",
        subtitle=f"{folder}{policy}",
        state=_state(run),
        is_complete=bool(run.outcome) or not run.settings,
        tiles=list(_tiles(run, episodes)),
        notices=list(_notices(run, episodes, alarms)),
        sections=[s for s in sections if s.tables or s.blocks or any(not chart.is_empty for chart in s.charts)],
        cards=cards,
        cards_note=cards_note,
    )


def _state(run: Run) -> str:
    if run.outcome:
        return "finished"
    return "failed" if run.error else "not finished" if run.settings else "a log"


def alarm_spans(metrics: Sequence[dict[str, Any]], episodes: FloatArray) -> list[tuple[float, float]]:
    """Return where any ``alarm/...`` of the log was on: from the update that raised it to the first without it."""
    names = sorted({name for line in metrics for name in line if name.startswith("alarm/")})
    on = np.zeros(len(metrics), bool)
    for name in names:
        on |= column(metrics, name) > 0
    edges = np.flatnonzero(np.diff(np.r_[False, on, False].astype(int)))
    last = len(metrics) - 1
    return [(float(episodes[a]), float(episodes[min(b, last)])) for a, b in edges.reshape(-1, 2)]


def _episodes(metrics: Sequence[dict[str, Any]]) -> FloatArray:
    """Return where the updates stand: at their episodes, or at their number where the log does not say so."""
    episodes = column(metrics, EPISODES)
    return episodes if _unit(metrics) == "episodes" else np.arange(1, len(metrics) + 1, dtype=np.float64)


def _unit(metrics: Sequence[dict[str, Any]]) -> str:
    return "episodes" if np.isfinite(column(metrics, EPISODES)).all() else "updates"


def _update_of(metrics: Sequence[dict[str, Any]]) -> str:
    """Return what an update is, with the number of its episodes if that is one."""
    sizes = set(np.diff(np.r_[0.0, column(metrics, EPISODES)]).tolist())
    return f"an update of {sizes.pop():,.0f} episodes" if len(sizes) == 1 and min(sizes) > 0 else "an update"


def _learns(run: Run) -> bool:
    """Say whether before and after may differ: not in the cell of a baseline."""
    contender = CONTENDERS.get(str(run.settings.get("agent")))
    return contender is None or contender.kind != "baseline"


def _tiles(run: Run, episodes: FloatArray) -> Iterator[Tile]:
    for name, label in ("greedy", "Greedy success"), ("sampled", "Sampled success"):
        rates = number(run.before.get(name)), number(run.after.get(name))
        if np.isfinite(rates[1]):
            yield Tile(label, rate(rates[1]), f"from {rate(rates[0])} before")
        elif np.isfinite(rates[0]):
            yield Tile(label, rate(rates[0]), "before; not measured after")
    for name in sorted(run.after):
        if name.startswith("pass@") and name != "pass@1":
            yield Tile(name, rate(number(run.after[name])), f"one of {name[5:]} answers is right")
    if len(run.metrics):
        wanted = number(run.settings.get("total_episodes", run.settings.get("budget")))
        done = float(episodes[-1])
        share = "" if run.outcome or not wanted > 0 else f" of {wanted:,.0f}"
        yield Tile("Episodes", f"{done:,.0f}", f"in {len(run.metrics):,} updates{share}")
        seconds = number(run.metrics[-1].get("time/time_elapsed"))
        if np.isfinite(seconds):
            yield Tile(
                "Learning took", duration(seconds), f"{done / seconds:,.0f} episodes a second" if seconds else ""
            )
    cost = _mapping(run.outcome.get("cost"))
    if np.isfinite(number(cost.get("tokens"))):
        yield Tile(
            "Tokens drawn", short_number(number(cost["tokens"])), f"in {number(cost.get('samples')):,.0f} answers"
        )


def _notices(run: Run, episodes: FloatArray, alarms: list[tuple[float, float]]) -> Iterator[Notice]:
    if alarms:
        begin, end = alarms[0][0], alarms[-1][1]
        lasted = "and was on at the end" if end >= episodes[-1] else f"and was last on before {end:,.0f}"
        yield Notice(
            "alarm",
            f"Reward hacking? The alarm went off at {begin:,.0f} episodes, {lasted}: the reward has risen and "
            "holds, and what it stands for has fallen from its peak. The curves show where.",
        )
    if run.error:
        yield Notice(
            "alarm", f"This run failed: {run.error.strip().splitlines()[-1] if run.error.strip() else 'no reason'}"
        )
    elif not run.settings:
        yield Notice("info", "This is the log of an agent alone: without settings, and without an evaluation.")
    elif not run.outcome:
        yield Notice(
            "warning",
            "This run has not finished: it goes on, or was stopped. What follows is as far as it came; there is no "
            "evaluation after learning.",
        )
    if not run.metrics and not run.curve:
        yield Notice("warning", "No update has been logged, so there are no curves.")
    for complaint in run.complaints:
        yield Notice("warning", complaint)
    if gaps := [f"{name} ({count:,})" for name, count in _not_finite(run.metrics).items()]:
        yield Notice(
            "warning", f"The log has values that are no finite numbers, which the curves leave out: {', '.join(gaps)}."
        )
    unscored = number(run.after.get("unscored"))
    if unscored > 0:
        yield Notice("warning", f"{unscored:,.0f} held-out answers could not be scored, and count neither way.")


def _not_finite(metrics: Sequence[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in metrics:
        for name, value in line.items():
            if not np.isfinite(number(value)):
                counts[name] = counts.get(name, 0) + 1
    return counts


def _result_tables(run: Run) -> Iterator[Table]:
    names: list[str] = [n for n in ("greedy", "sampled") if n in run.before or n in run.after]
    names += sorted(n for n in run.after if "@" in n)
    if not names:
        return
    meanings = {"greedy": "most probable tokens", "sampled": "sampled at temperature 1"}
    problems = number(run.after.get("problems", run.before.get("problems")))
    rows = []
    for name in names:
        first, last = number(run.before.get(name)), number(run.after.get(name))
        change = f"{100 * (last - first):+.1f} points".replace("-", "−") if np.isfinite(last - first) else "–"
        shown = [rate(r) if "@" in name else with_error(r, problems) for r in (first, last)]  # @k: of other problems
        rows.append([meanings.get(name, name), *shown, change])
    note = f", {problems:,.0f} problems" if np.isfinite(problems) else ""
    yield Table(
        header=["success", "before", "after", "change"], rows=rows, caption=f"Success{note}, ± one standard error",
        in_markdown=True,
    )  # fmt: skip
    tasks = _mapping(run.after.get("tasks"))
    if tasks:
        rows = [
            [task, *(rate(number(_mapping(rates).get(name))) for name in ("greedy", "sampled"))]
            for task, rates in sorted(tasks.items())
        ]
        yield Table(header=["task", "greedy", "sampled"], rows=rows, caption="After learning, task by task")


def _about_curves(run: Run) -> str:
    success = column(run.metrics, SUCCESS)
    same = np.isfinite(success).any() and np.array_equal(success, column(run.metrics, REWARD), equal_nan=True)
    return "A success is worth 1 and all else 0, so that success is the reward, too." if same else ""


def _about_success(run: Run, trained: bool) -> str:
    """Return what the lines and points of the chart of success are."""
    thin = f"Training, thin line: {_update_of(run.metrics)}, sampled; thick: running mean over a tenth of the run."
    counts = [number(rates.get("problems")) for rates in (run.before, run.after)]
    problems = [f"{count:,.0f} " for count in counts if np.isfinite(count)][-1:] or [""]
    points = [number(line.get("problems")) for line in run.curve[:1]]
    looks = "".join(f"; of them {count:,.0f} in between" for count in points if np.isfinite(count))
    held_out = f"Points: {problems[0]}held-out problems, before and after learning{looks}."
    return " ".join([thin] * trained + [held_out] * (bool(run.before) or bool(run.after)))


def _compute_tables(run: Run, episodes: FloatArray) -> Iterator[Table]:
    """Return what learning took: as it was counted in a benchmark, else as the log tells."""
    last = run.metrics[-1] if run.metrics else {}
    logged = {name[5:]: value for name, value in last.items() if name.startswith("cost/")}
    cost = {name: number(value) for name, value in (logged | _mapping(run.outcome.get("cost"))).items()}
    samples, tokens = cost.get("samples", math.nan), cost.get("tokens", math.nan)
    told = "tokens drawn"
    if run.metrics and _unit(run.metrics) == "episodes" and not np.isfinite(samples):
        drawn = column(run.metrics, "rollout/ep_len_mean") * np.diff(np.r_[0.0, episodes])
        samples, tokens, told = float(episodes[-1]), float(np.nansum(drawn)) or math.nan, "tokens drawn, about"
    seconds = cost.get("seconds", number(last.get("time/time_elapsed")))
    rows = [
        ("updates", cost.get("updates", float(len(run.metrics)) or math.nan), short_number),
        ("episodes", samples, short_number),
        (told, tokens, short_number),
        ("gradient steps", cost.get("gradient_steps", math.nan), short_number),
        ("learning, evaluation aside", seconds, duration),
        ("of it sampling", cost.get("seconds_sampling", math.nan) / seconds if seconds else math.nan, "{:.0%}".format),
        ("of it environment and reward", cost.get("seconds_env", math.nan) / seconds if seconds else math.nan,
         "{:.0%}".format),
        ("episodes a second", samples / seconds if seconds else math.nan, short_number),
        ("tokens a second", tokens / seconds if seconds else math.nan, short_number),
        ("peak memory of the process, in MB", number(_mapping(run.outcome.get("machine")).get("peak_memory_mb")),
         "{:,.0f}".format),
    ]  # fmt: skip
    known = [[name, shown(value)] for name, value, shown in rows if np.isfinite(value)]
    if known:
        yield Table(header=["", "this run"], rows=known, caption="Compute of the run", in_markdown=True)


def _learning(run: Run, episodes: FloatArray, alarms: list[tuple[float, float]]) -> list[Chart]:
    success = column(run.metrics, SUCCESS)
    reward = column(run.metrics, REWARD)
    ends = np.r_[episodes[-1:], column(run.curve, "episodes")[-1:]]
    end = float(ends.max()) if np.isfinite(ends).any() else 1.0
    series = [Series(label="training", x=episodes, y=success, kind="noisy")]
    for slot, name in (1, "greedy"), (2, "sampled"):
        x, y = _held_out(run, name, end)
        series.append(Series(label=f"held-out, {name}", x=x, y=y, slot=slot, kind="points"))
    charts = [
        Chart(
            name="success", title="Success", series=[s for s in series if np.isfinite(s.y).any()],
            x_label=_unit(run.metrics), y_label="share of right answers", percent=True, alarms=alarms,
            caption=_about_success(run, bool(np.isfinite(success).any())),
        )
    ]  # fmt: skip
    if not np.array_equal(success, reward, equal_nan=True):
        charts.append(_chart(REWARD, "Reward", run, episodes, alarms))
    charts += [_chart(name, title, run, episodes, alarms) for name, title in _NAMED.items()]
    return charts


def _held_out(run: Run, name: str, end: float) -> tuple[FloatArray, FloatArray]:
    """Return the held-out rates: before, now and then where they were measured, and after."""
    x = [0.0, *column(run.curve, "episodes"), end]
    y = [number(run.before.get(name)), *column(run.curve, name), number(run.after.get(name))]
    order = np.argsort(x, kind="stable")
    return np.asarray(x)[order], np.asarray(y)[order]


def _watched(run: Run, episodes: FloatArray, alarms: list[tuple[float, float]]) -> list[Chart]:
    names = sorted({name for line in run.metrics for name in line if name.startswith(("monitor/", "reward/"))})
    return [_chart(name, name, run, episodes, alarms) for name in names]


def _others(run: Run, episodes: FloatArray) -> list[Chart]:
    shown = {SUCCESS, REWARD, "train/n_updates", *_NAMED}
    names = {name for line in run.metrics for name in line if "/" in name} - shown
    ours = ("monitor/", "reward/", "alarm/", "time/")
    return [_chart(name, name, run, episodes, []) for name in sorted(names) if not name.startswith(ours)]


def _chart(name: str, title: str, run: Run, episodes: FloatArray, alarms: list[tuple[float, float]]) -> Chart:
    values = column(run.metrics, name)
    percent = any(part in name for part in _RATES) and bool(np.nanmax(np.abs(values), initial=0) <= 1)
    return Chart(
        name="".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:60].strip("-").lower(),
        title=title, series=[Series(label=name, x=episodes, y=values, kind="noisy")], x_label=_unit(run.metrics),
        y_label=title.rsplit(", in ")[-1] if ", in " in title else name.rsplit("/")[-1],
        note="" if title == name else name, percent=percent, alarms=alarms,
        caption=f"Thin line: {_update_of(run.metrics)}; thick: running mean over a tenth of the run.",
    )  # fmt: skip


def _settings(run: Run) -> list[tuple[str, str]]:
    blocks = [("Settings", run.settings), ("Hyperparameters", run.outcome.get("hyperparameters"))]
    blocks += [(name.capitalize(), run.outcome.get(name)) for name in ("versions", "machine", "cost")]
    shown = [(title, json.dumps(values, indent=2, ensure_ascii=False)) for title, values in blocks if values]
    return [("Why it failed", run.error)] * bool(run.error) + shown


def rate(value: float) -> str:
    """Return a share as a percentage."""
    return f"{value:.1%}" if np.isfinite(value) else "–"


def with_error(value: float, problems: float) -> str:
    """Return a rate with its standard error over so many problems."""
    if not 0 <= value <= 1 or not problems >= 1:
        return rate(value)
    return f"{value:.1%} ± {100 * standard_error(value, int(problems)):.1f}"


def duration(seconds: float) -> str:
    """Return a time as one reads it."""
    if not np.isfinite(seconds):
        return "–"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _mapping(values: Any) -> dict[str, Any]:
    return values if isinstance(values, dict) else {}
