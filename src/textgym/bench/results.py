"""Finished cells, read back: as they are, and as matrices of normalised scores for ``statistics``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textgym.agents.files import read_json, read_lines
from textgym.bench.contenders import CONTENDERS
from textgym.bench.statistics import Array, normalize


@dataclasses.dataclass(frozen=True)
class Scores:
    """One agent's scores: 0 is where it began, 1 is the oracle."""

    values: Array
    """(runs, tasks), float64."""
    seeds: list[int]
    """Of the rows."""
    envs: list[str]
    """Names of the columns."""


def read_results(out: str | Path) -> list[dict[str, Any]]:
    """Return the ``result.json`` of every finished cell below ``out``, sorted by id."""
    return [read_json(path) for path in sorted(Path(out).glob("*/result.json"))]


def read_errors(out: str | Path) -> dict[str, str]:
    """Return why cells failed, by id."""
    return {path.parent.name: path.read_text(encoding="utf-8") for path in sorted(Path(out).glob("*/error.txt"))}


def read_curve(out: str | Path, cell_id: str) -> list[dict[str, Any]]:
    """Return the points of a cell's curve, finished or not; none where nothing learns."""
    return read_lines(Path(out) / cell_id / "curve.jsonl")


def label(result: dict[str, Any]) -> str:
    """Return what a table calls the agent of a result: its name, with its policy if it has one."""
    cell = result["cell"]
    return cell["agent_name"] if cell["policy"] is None else f"{cell['agent_name']} ({cell['policy']})"


def normalized_scores(results: Sequence[dict[str, Any]], envs: Sequence[str]) -> dict[str, Scores]:
    """Return the scores of each agent on some envs, by label, of the seeds that it has finished on all of them.

    0 is the greedy success of the language model that the agent began with, or for one that began with none the mean of
    ``random``; 1 is the oracle's. Agents without a seed that has finished on all envs are left out, and so are the
    warm starts' own cells.

    Args:
        results: of ``read_results``.
        envs: names; see ``normalizable``.

    Raises:
        ValueError: for an env without room between where an agent began and the oracle, or without either.
    """
    cells: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for result in results:
        if result["cell"]["agent_name"] != "warm-start":
            cells.setdefault(label(result), {})[result["cell"]["env_name"], result["cell"]["seed"]] = result
    scores = {}
    for name, runs in cells.items():
        seeds = sorted({seed for _, seed in runs if all((env, seed) in runs for env in envs)})
        if not seeds:
            continue
        raw = [[runs[env, seed]["score"] for env in envs] for seed in seeds]
        low = [beginning(results, runs[env, seeds[0]]) for env in envs]
        high = [perfection(results, env) for env in envs]
        scores[name] = Scores(normalize(raw, low, high), seeds, list(envs))
    return scores


def normalizable(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of the envs on which every agent's scores can be normalised, in alphabetical order."""
    envs = sorted({result["cell"]["env_name"] for result in results})
    return [env for env in envs if _has_room(results, env)]


def beginning(results: Sequence[dict[str, Any]], result: dict[str, Any]) -> float:
    """Return what counts as 0 for the agent of a result; see ``normalized_scores``.

    Raises:
        ValueError: without a finished cell of ``random`` on its env, if the agent began with no language model.
    """
    cell = result["cell"]
    if CONTENDERS[cell["agent"]].needs_policy:
        return float(result["before"]["greedy"])
    return _mean_score(results, "random", cell["env_name"])


def perfection(results: Sequence[dict[str, Any]], env: str) -> float:
    """Return what counts as 1 on an env, the oracle's score; ValueError without a finished cell of it."""
    return _mean_score(results, "oracle", env)


def _has_room(results: Sequence[dict[str, Any]], env: str) -> bool:
    try:
        high = perfection(results, env)
        lows = [beginning(results, result) for result in results if result["cell"]["env_name"] == env]
    except ValueError:
        return False
    return max(lows) < high


def _mean_score(results: Sequence[dict[str, Any]], agent: str, env: str) -> float:
    names = {"agent": agent, "env_name": env}
    scores = [r["score"] for r in results if all(r["cell"][name] == value for name, value in names.items())]
    if not scores:
        raise ValueError(f"there is no finished cell of {agent} on {env}, which the scores are measured by")
    return float(np.mean(scores))
