"""The page of a benchmark: a folder of cells, finished or not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textgym.bench.contenders import CONTENDERS
from textgym.bench.results import label
from textgym.report.answers import pair_card, thinned
from textgym.report.comparison import SEEDS_FOR_INTERVAL, Bench, aggregate_section, improvement_section, profile_section
from textgym.report.effort import compute_section, efficiency_section
from textgym.report.model import Notice, Page, Section, Shade, Table, Tile
from textgym.report.reading import Complaints, number, text
from textgym.report.run import duration, rate
from textgym.report.trajectories import curve_section


@dataclasses.dataclass(frozen=True)
class Cells:
    """What a folder of cells holds."""

    planned: list[dict[str, Any]]
    """``cell.json`` of each."""
    results: list[dict[str, Any]]
    """``result.json`` of those that have finished."""
    errors: dict[str, str]
    """Why cells failed, by id."""
    progress: dict[str, dict[str, Any]]
    """Of those that have neither finished nor failed."""
    complaints: list[str]


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


def read_cells(folder: Path) -> Cells:
    """Return what the folder holds; a result that cannot be read, or has no score, counts as a cell that failed."""
    complaints = Complaints()
    planned, results, errors, progress = [], [], {}, {}
    for path in sorted(folder.glob("*/cell.json")):
        cell = complaints.read_json(path)
        if not _is_cell(cell):
            complaints.found.append(f"{path.parent.name} is left out: its cell.json is not one of a cell")
            continue
        planned.append(cell)
        result = complaints.read_json(path.with_name("result.json"))
        if (
            result
            and _is_cell(result.get("cell"))
            and np.isfinite(number(result.get("score")))
            and _has_beginning(result)
        ):
            results.append(result)
        elif result:
            errors[cell["id"]] = "it finished, but its result has no score: no answer could be scored"
        elif (path.with_name("error.txt")).is_file():
            errors[cell["id"]] = path.with_name("error.txt").read_text(encoding="utf-8", errors="replace")
        else:
            progress[cell["id"]] = complaints.read_json(path.with_name("progress.json"))
    return Cells(planned, results, errors, progress, complaints.found)


_CELL = {"id": str, "env": str, "env_name": str, "agent": str, "agent_name": str, "seed": int}
_ABOUT_SUCCESS = (
    "Share of the held-out problems that are solved, by the most probable tokens at the end of the budget, not at "
    "the best moment: mean over seeds ± their standard deviation. Agents of stable-baselines3 begin with nothing and "
    "play the token-level preset, whose settings may differ: compare them among themselves."
)


def _is_cell(cell: Any) -> bool:
    return (
        isinstance(cell, dict)
        and all(isinstance(cell.get(name), kind) for name, kind in _CELL.items())
        and cell["agent"] in CONTENDERS
        and "policy" in cell
    )


def _has_beginning(result: dict[str, Any]) -> bool:
    before = result.get("before")
    return not CONTENDERS[result["cell"]["agent"]].needs_policy or (
        isinstance(before, dict) and bool(np.isfinite(number(before.get("greedy"))))
    )


def _success_tables(bench: Bench) -> Iterator[Table]:
    names = {"score": "Success", "sampled": "Success of sampled answers", "pass@": "pass@k"}
    for key, caption in names.items():
        rows, k = [], ""
        for name in bench.rows:
            cells: list[str | Shade] = []
            for env in bench.env_names:
                values = []
                for result in bench.runs(name, env):
                    after = result.get("after") or {}
                    found = sorted((n for n in after if n.startswith("pass@")), key=lambda n: int(n[5:]))
                    k = found[-1] if found else k
                    values.append(
                        number(
                            result["score"]
                            if key == "score"
                            else after.get(found[-1] if found and key == "pass@" else key)
                        )
                    )
                cells.append(_mean_and_deviation(values))
            if any(cell.text != "–" for cell in cells if isinstance(cell, Shade)):
                rows.append([name, *cells])
        if rows:
            yield Table(
                header=["agent", *bench.env_names],
                rows=rows,
                caption=caption if key != "pass@" else f"{k}: one of so many is right",
                in_markdown=key == "score",
            )


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
    seconds = sum(max(0.0, number((r.get("cost") or {}).get("seconds", 0.0))) for r in cells.results)
    yield Tile("Learning took", duration(seconds), "all cells together, evaluation aside")


def _notices(bench: Bench, cells: Cells) -> Iterator[Notice]:
    if cells.errors:
        yield Notice(
            "alarm",
            f"{_many(len(cells.errors), 'cell has', 'cells have')} failed; see Failed cells. They are left out.",
        )
    if cells.progress:
        yield Notice(
            "warning",
            f"{_many(len(cells.progress), 'cell has', 'cells have')} not finished: "
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
    if mixed := _differing(cells.results):
        yield Notice("warning", f"The cells differ in more than they should: {'; '.join(mixed)}.")
    for complaint in cells.complaints:
        yield Notice("warning", complaint)


def _differing(results: Sequence[dict[str, Any]]) -> Iterator[str] | list[str]:
    """Return what should be one for all cells and is not."""
    found = []
    for title, name in ("processors", "processor"), ("numbers of threads", "threads"), ("GPUs", "gpu"):
        values = sorted({str((r.get("machine") or {}).get(name)) for r in results})
        if len(values) > 1:
            found.append(f"{title} ({', '.join(values)})")
    for library in sorted({name for r in results for name in (r.get("versions") or {})}):
        values = sorted({str((r.get("versions") or {}).get(library)) for r in results})
        if len(values) > 1:
            found.append(f"versions of {library} ({', '.join(values)})")
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
            state = "failed" if cell["id"] in cells.errors else "not finished"
            rows.append([cell["id"], state, *["–"] * 6])
            continue
        before, cost = result.get("before") or {}, result.get("cost") or {}
        counts = [number(cost.get(name)) for name in ("samples", "tokens", "gradient_steps")]
        rows.append(
            [
                cell["id"], str(result.get("finished", "finished"))[:16].replace("T", " "),
                rate(number(before.get("greedy"))), rate(number(result["score"])),
                *(f"{count:,.0f}" if np.isfinite(count) else "–" for count in counts),
                duration(number(cost.get("seconds"))),
            ]
        )  # fmt: skip
    header = ["cell", "finished", "before", "score", "samples", "tokens", "gradient steps", "learning"]
    return Table(header=header, rows=rows, labels=2)


def _settings(cells: Cells) -> Iterator[tuple[str, str]]:
    shown: dict[str, dict[str, Any]] = {}
    for result in cells.results:
        if result.get("hyperparameters"):
            shown.setdefault(label(result), {})[result["cell"]["env_name"]] = result["hyperparameters"]
    for name, by_env in shown.items():
        yield f"Hyperparameters of {name}, of its last seed on each environment", _json(by_env)
    if cells.results:
        yield "Protocol", _json(cells.results[0]["cell"].get("protocol"))
        yield "Machine of the first cell", _json(cells.results[0].get("machine"))
        yield "Versions of the first cell", _json(cells.results[0].get("versions"))


def _cards(folder: Path, cells: Cells) -> Iterator[dict[str, Any]]:
    for result in cells.results:
        cell = result["cell"]
        about = {
            name: text(cell[key]) for name, key in (("env", "env_name"), ("agent", "agent_name"), ("seed", "seed"))
        }
        about["policy"] = text(cell["policy"] or "")
        for line in Complaints().read_lines(folder / cell["id"] / "answers.jsonl"):
            yield pair_card(line, about)


def _json(values: Any) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False)


def _count(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'}"


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
