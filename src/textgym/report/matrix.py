"""The page of a benchmark: a folder of cells, finished or not."""

from __future__ import annotations

import collections
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textgym.bench.contenders import CONTENDERS
from textgym.bench.results import label
from textgym.report.answers import pair_cards, thinned
from textgym.report.cells import Cells, read_cells
from textgym.report.comparison import (
    SEEDS_FOR_INTERVAL,
    Bench,
    aggregate_section,
    improvement_section,
    profile_section,
    span,
)
from textgym.report.effort import compute_section, efficiency_section
from textgym.report.model import Notice, Page, Section, Shade, Table, Tile
from textgym.report.reading import Complaints, number, text
from textgym.report.run import duration, rate
from textgym.report.trajectories import curve_section


def matrix_page(folder: Path) -> Page:
    """Return the page of a benchmark's folder."""
    cells = read_cells(folder)
    bench = Bench(folder, cells.results)
    sections = [
        Section(id="success", title="Success", text=_ABOUT_SUCCESS, tables=list(_success_tables(bench))),
        aggregate_section(bench),
        improvement_section(bench),
        profile_section(bench),
        curve_section(bench),
        efficiency_section(bench),
        compute_section(bench),
        Section(id="failed", title="Failed cells", tables=_failed(cells), blocks=list(cells.errors.items())),
        Section(id="cells", title="Every cell", tables=[_every_cell(cells)], folded=True),
        Section(
            id="settings", title="Hyperparameters, machines and versions", blocks=list(_settings(cells)), folded=True
        ),
    ]
    cards, note = thinned(list(_cards(folder, cells)))
    finished, planned = len(cells.results), len(cells.planned)
    return Page(
        title=f"Benchmark: {_count(bench.learners, 'agent')} on {_count(bench.env_names, 'environment')}",
        subtitle=str(folder),
        state="finished" if finished == planned else f"{finished} of {planned} cells finished",
        is_complete=finished == planned,
        tiles=list(_tiles(bench, cells)),
        notices=list(_notices(bench, cells)),
        sections=[s for s in sections if s.tables or s.blocks or any(not chart.is_empty for chart in s.charts)],
        cards=cards,
        cards_note=" ".join(
            filter(None, ["The most probable answers to the same held-out problems, before and after.", note])
        ),
    )


_ABOUT_SUCCESS = (
    "Share of the held-out problems that are solved, by the most probable tokens at the end of the budget, not at "
    "the best moment: mean over seeds ± their standard deviation. Agents of stable-baselines3 begin with nothing and "
    "play the token-level preset, whose settings may differ: compare them among themselves. Two rows are of sampled "
    "answers: random, and best_of_n, which is right if one of its answers is, on the problems of pass@k."
)


def _success_tables(bench: Bench) -> Iterator[Table]:
    ks = collections.Counter(name for result in bench.results for name in result["after"] if _is_pass_at_several(name))
    [(most_common, _)] = ks.most_common(1) or [("pass@8", 0)]
    captions = {
        "score": "Success, by the most probable tokens",
        "sampled": "Success of sampled answers",
        most_common: f"{most_common}: one at least of {most_common[5:]} is right",
    }
    seeds = span(len(bench.runs(name, env)) for name in bench.learners for env in bench.env_names)
    over = f"mean over {seeds} seeds ± their standard deviation" if bench.learners else ""
    for key, caption in captions.items():
        asked = _problems(bench, key in ("score", "sampled"))
        rows: list[list[str | Shade]] = []
        for name in bench.rows:
            cells = [
                _mean_and_deviation(
                    [number((r if key == "score" else r["after"]).get(key)) for r in bench.runs(name, env)]
                )
                for env in bench.env_names
            ]
            if any(cell.text != "–" for cell in cells):
                rows.append([name, *cells])
        if rows:
            in_markdown = key == "score"
            yield Table(
                header=["agent", *bench.env_names],
                rows=rows,
                caption=caption,
                note="; ".join(filter(None, [asked, over])),
                in_markdown=in_markdown,
            )


def _problems(bench: Bench, all_of_them: bool) -> str:
    """Return how many held-out problems a table is of, and on which envs there are others."""
    most = number(_protocol(bench.results[0]).get("pass_problems")) if bench.results else math.nan
    counts: dict[str, set[float]] = collections.defaultdict(set)  # those of the token level may be others
    for result in bench.results:
        count = number(result["after"].get("problems", result["before"].get("problems")))
        count = count if all_of_them else min(count, most)
        if np.isfinite(count):
            counts[result["cell"]["env_name"]].add(count)
    if not counts:
        return ""
    shown = {env: span(found) for env, found in sorted(counts.items())}
    [(usual, _)] = collections.Counter(shown.values()).most_common(1)
    others = ", ".join(f"{env}: {count}" for env, count in shown.items() if count != usual)
    return f"{usual} held-out problems{f' ({others})' if others else ''}"


def _protocol(result: dict[str, Any]) -> dict[str, Any]:
    found = result["cell"].get("protocol")
    return found if isinstance(found, dict) else {}


def _is_pass_at_several(name: str) -> bool:
    return bool(re.fullmatch(r"pass@\d+", name)) and name != "pass@1"


def _mean_and_deviation(values: Sequence[float]) -> Shade:
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return Shade("–", 0.0)
    deviation = f" ± {100 * np.std(known, ddof=1):.1f}" if len(known) > 1 else ""
    return Shade(f"{rate(float(np.mean(known)))}{deviation}", float(np.clip(np.mean(known), 0, 1)))


def _tiles(bench: Bench, cells: Cells) -> Iterator[Tile]:
    yield Tile("Cells", f"{len(cells.results):,}", f"finished, of {len(cells.planned):,}")
    yield Tile("Environments", f"{len(bench.env_names):,}")
    yield Tile("Agents that learn", f"{len(bench.learners):,}")
    yield Tile("Seeds", f"{bench.seeds:,}", "of each agent, at the least" if bench.seeds else "")
    seconds = sum(max(0.0, number(r["cost"].get("seconds", 0.0))) for r in cells.results)
    yield Tile("Learning took", duration(seconds), "all cells together, evaluation aside")


def _notices(bench: Bench, cells: Cells) -> Iterator[Notice]:
    if cells.errors:
        yield Notice(
            "alarm",
            f"{_many(len(cells.errors), 'cell has', 'cells have')} failed; see Failed cells. They are left out.",
        )
    if cells.under_way:
        yield Notice(
            "warning",
            f"{_many(len(cells.under_way), 'cell has', 'cells have')} not finished: "
            f"what follows is of the {len(cells.results)} that have, and will change.",
        )
    if 0 < bench.seeds < SEEDS_FOR_INTERVAL:
        yield Notice(
            "warning",
            f"Some agents have {_many(bench.seeds, 'seed', 'seeds')} only. A table needs {SEEDS_FOR_INTERVAL}: with "
            "fewer, differences may be luck, and they get no intervals.",
        )
    if left_out := [env for env in bench.env_names if env not in bench.envs]:
        yield Notice(
            "warning",
            f"{', '.join(left_out)} cannot be normalised: oracle, or random where an agent begins with nothing, has "
            "not finished there, or leaves no room above the beginning. The aggregates are without.",
        )
    if missing := [name for name in bench.learners if name not in bench.scores] if bench.scores else []:
        yield Notice(
            "warning", f"{', '.join(missing)}: no seed has finished on all environments; the aggregates are without."
        )
    if any(_protocol(result).get("split") == "train" for result in cells.results):
        yield Notice("warning", "The problems are of the train split, for tuning: nothing here was held out.")
    if mixed := _differing(cells.results):
        yield Notice("warning", f"The cells differ in more than they should: {'; '.join(mixed)}.")
    for complaint in cells.complaints:
        yield Notice("warning", complaint)


def _differing(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return what should be one for all cells and is not."""
    found = []
    for title, name in ("processors", "processor"), ("numbers of threads", "threads"), ("GPUs", "gpu"):
        values = sorted({str(r["machine"].get(name)) for r in results})
        if len(values) > 1:
            found.append(f"{title} ({', '.join(values)})")
    for library in sorted({name for r in results for name in r["versions"]}):
        values = sorted({str(r["versions"].get(library)) for r in results})
        if len(values) > 1:
            found.append(f"versions of {library} ({', '.join(values)})")
    commits = sorted({str(r.get("git_commit"))[:7] for r in results})
    if len(commits) > 1:
        found.append(f"commits of textgym ({', '.join(commits)})")
    for env in sorted({r["cell"]["env"] for r in results}):
        if len({str(r.get("problems_sha256")) for r in results if r["cell"]["env"] == env}) > 1:
            found.append(f"held-out problems of {env}")
    return found


def _failed(cells: Cells) -> list[Table]:
    rows = [
        [name, (error.strip().splitlines() or ["no reason given"])[-1][:300]] for name, error in cells.errors.items()
    ]
    return [Table(header=["cell", "why"], rows=rows, labels=2)] if rows else []


def _every_cell(cells: Cells) -> Table:
    done = {result["cell"]["id"]: result for result in cells.results}
    rows = []
    for cell in cells.planned:
        result = done.get(cell["id"])
        if result is None:
            state = cells.under_way.get(cell["id"], "failed")
            rows.append([cell["id"], state, *["–"] * 6])
            continue
        cost = result["cost"]
        counts = [number(cost.get(name)) for name in ("samples", "tokens", "gradient_steps")]
        rows.append(
            [
                cell["id"], str(result.get("finished", "finished"))[:16].replace("T", " "),
                rate(number(result["before"].get("greedy"))), rate(number(result["score"])),
                *(f"{count:,.0f}" if np.isfinite(count) else "–" for count in counts),
                duration(number(cost.get("seconds"))),
            ]
        )  # fmt: skip
    header = ["cell", "finished", "before", "score", "samples", "tokens", "gradient steps", "learning"]
    return Table(header=header, rows=rows, labels=2)


def _settings(cells: Cells) -> Iterator[tuple[str, str]]:
    shown: dict[str, dict[str, Any]] = {}
    for result in cells.results:
        if result["hyperparameters"]:
            shown.setdefault(label(result), {})[result["cell"]["env_name"]] = result["hyperparameters"]
    for name, by_env in shown.items():
        yield f"Hyperparameters of {name}, of its last seed on each environment", _json(by_env)
    if cells.results:
        yield "Protocol", _json(cells.results[0]["cell"].get("protocol"))
        yield "Machine of the first cell", _json(cells.results[0]["machine"])
        yield "Versions of the first cell", _json(cells.results[0]["versions"])


def _cards(folder: Path, cells: Cells) -> Iterator[dict[str, Any]]:
    for result in cells.results:
        cell = result["cell"]
        about = {
            name: text(cell[key]) for name, key in (("env", "env_name"), ("agent", "agent_name"), ("seed", "seed"))
        }
        about["policy"] = text(cell["policy"] or "")
        learns = CONTENDERS[cell["agent"]].kind != "baseline"
        yield from pair_cards(Complaints().read_lines(folder / cell["id"] / "answers.jsonl"), about, learns)


def _json(values: Any) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False)


def _count(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'}"


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
