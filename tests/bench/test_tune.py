"""``benchmarks/tune.py``: as many trials as were asked for, all kept, the best written, and goes on after a stop."""

from __future__ import annotations

import dataclasses
import itertools
import json
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from textgym.bench.contenders import CONTENDERS, check_hyperparameters
from textgym.bench.hyperparams import read_hyperparameters, read_yaml
from textgym.bench.matrix import Matrix, read_matrix

pytest.importorskip("optuna", reason="optuna is not installed")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SPACES = sorted((BENCHMARKS / "hyperparams/spaces").glob("*.yml"))
TRIALS = sorted((BENCHMARKS / "hyperparams/trials").glob("*.jsonl"))
RATES = "learning_rate: {low: 1e-4, high: 1e-2, log: true}"
SPACE = f"fixed: {{n_envs: 4}}\nsearch:\n  n_steps: [5, 8]\n  {RATES}\n"
ENTRIES = "entries:\n  n_steps: [5, 8]\n  learning_rate: [1.0e-3, 0.1]\n"
ENTRY = "# It explores too little.\nTextSortTokens-v0: {ent_coef: 0.1}\n"
MATRIX = """
seeds: [90]
steps: 40
protocol: {points: 1, curve_problems: 2, problems: 4, pass_problems: 2, k: 1, transcripts: 1}
envs: [{id: TextMath-v0, settings: {difficulty: 1}, token_settings: {difficulty: 1}}]
agents: [sb3_a2c]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hyper/spaces").mkdir(parents=True)
    (tmp_path / "hyper/spaces/sb3_a2c.yml").write_text(SPACE + ENTRIES)
    (tmp_path / "hyper/sb3_a2c.yml").write_text("# Not tuned.\ndefault:\n  n_steps: 8\n" + ENTRY)
    (tmp_path / "matrix.yml").write_text(MATRIX)
    return tmp_path


@pytest.fixture
def tuner(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The script, with cells that score their own learning rate."""
    script = runpy.run_path(str(BENCHMARKS / "tune.py"))

    def score(matrix: Matrix, agent: str, hyperparameters: dict[str, Any], *_: Any) -> dict[str, Any]:
        rate = hyperparameters["learning_rate"]
        return {"a": (rate, 0.0), "b": (rate + 0.2, 0.0)}

    script["tune"].__globals__["score"] = score
    return script


def tune(script: dict[str, Any], folder: Path, trials: int) -> list[dict[str, Any]]:
    target = script["default_target"]("sb3_a2c", read_matrix(folder / "matrix.yml"), folder / "hyper")
    script["tune"](target, folder / "hyper", folder / "out", trials, 1)
    return [json.loads(line) for line in (folder / "hyper/trials/sb3_a2c.jsonl").read_text().splitlines()]


def test_all_trials_are_kept_and_the_best_is_the_default(tuner: dict[str, Any], folder: Path) -> None:
    lines = tune(tuner, folder, 4)
    assert len(lines) == 4
    assert lines[0]["hyperparameters"]["n_steps"] == 8  # what the file says is the first
    assert all(line["score"] == pytest.approx(line["scores"]["a"] + 0.1) for line in lines)
    assert lines[0]["budget"] == {"envs": ["TextMath-v0"], "seeds": [90], "episodes": 20_000, "steps": 40}
    best = max(lines, key=lambda line: line["score"])["hyperparameters"]
    assert read_hyperparameters(folder / "hyper", "sb3_a2c", "TextMathTokens-v0") == best
    assert read_hyperparameters(folder / "hyper", "sb3_a2c", "TextSortTokens-v0") == {**best, "ent_coef": 0.1}
    text = (folder / "hyper/sb3_a2c.yml").read_text()
    assert "the best of 4 trials" in text and "Not tuned" not in text and text.endswith(ENTRY)


def test_tuning_goes_on(tuner: dict[str, Any], folder: Path) -> None:
    """The third trial is cut off; the next call begins with it, and makes no more than were asked for."""
    whole = tuner["tune"].__globals__["score"]
    first = tune(tuner, folder, 2)
    seen = []

    def stop(matrix: Matrix, agent: str, hyperparameters: dict[str, Any], *_: Any) -> dict[str, Any]:
        seen.append(hyperparameters)
        raise KeyboardInterrupt

    tuner["tune"].__globals__["score"] = stop
    with pytest.raises(KeyboardInterrupt):
        tune(tuner, folder, 4)
    tuner["tune"].__globals__["score"] = whole
    lines = tune(tuner, folder, 4)
    assert lines[:2] == first and len(lines) == 4
    assert lines[2]["hyperparameters"] == seen[0]
    assert tune(tuner, folder, 4) == lines


def test_entries_are_tuned_over_the_default(tuner: dict[str, Any], folder: Path) -> None:
    """Each env has trials of its own, with half of its budget and problems of the train split."""
    default = tune(tuner, folder, 2)
    best = max(default, key=lambda line: line["score"])["hyperparameters"]
    ran = []

    def score(matrix: Matrix, agent: str, hyperparameters: dict[str, Any], *_: Any) -> dict[str, Any]:
        ran.append((matrix, hyperparameters))
        usual = 0.94 if matrix.envs[0]["id"] == "TextMath-v0" else 0.96
        success = 1.0 if hyperparameters["learning_rate"] == 0.1 else usual
        return {"a": (success, float(hyperparameters["n_steps"]))}  # of two with equal success the return decides

    tuner["tune"].__globals__["score"] = score
    matrix = read_matrix(folder / "matrix.yml")
    matrix = dataclasses.replace(matrix, envs=[*matrix.envs, {"id": "TextSort-v0", "steps": 10}])
    for target in tuner["entry_targets"]("sb3_a2c", matrix, folder / "hyper"):
        tuner["tune"](target, folder / "hyper", folder / "out", 4, 1)
    assert [run.envs[0]["steps"] for run, _ in ran] == [20] * 4 + [5] * 4
    for run, hyperparameters in ran:
        (cell,) = run.cells()
        assert (cell.protocol.split, cell.seed, cell.budget) == ("train", 100, run.envs[0]["steps"])
        assert {**hyperparameters, **{n: best[n] for n in ("n_steps", "learning_rate")}}.items() >= best.items()
    assert [run.get("ent_coef") for _, run in ran] == [None] * 4 + [0.1] * 4
    choices = [(5, 0.001), (5, 0.1), (8, 0.001), (8, 0.1)]
    assert [(run["n_steps"], run["learning_rate"]) for _, run in ran] == choices * 2
    lines = [json.loads(line) for line in (folder / "hyper/trials/sb3_a2c.jsonl").read_text().splitlines()]
    assert lines[:2] == default
    assert [line["entry"] for line in lines[2:]] == ["TextMathTokens-v0"] * 4 + ["TextSortTokens-v0"] * 4
    entry = {"n_steps": 8, "learning_rate": 0.1}
    assert read_hyperparameters(folder / "hyper", "sb3_a2c", "TextMathTokens-v0") == {**best, **entry}
    assert read_hyperparameters(folder / "hyper", "sb3_a2c", "TextSortTokens-v0") == {**best, "ent_coef": 0.1}
    text = (folder / "hyper/sb3_a2c.yml").read_text()
    assert "the best of 4 trials of n_steps, learning_rate; greedy success 1.000, nearest to the default 0.940" in text
    assert "of 4 trials of n_steps, learning_rate none beat 0.960, nearest to the default, by more than 0.05" in text
    assert read_hyperparameters(folder / "hyper", "sb3_a2c", "TextDyckTokens-v0") == best


FILE = """# Chosen by hand.

default: {gamma: 0.5}

# Long games.
# Not tuned: a guess.
A-v0:
  gamma: 1
# within
  n_steps: 5

# The end of B.
B-v0: {
  gamma: 0.9,
}
C-v0: {gamma: 1}"""


@pytest.mark.parametrize("name", ["default", "A-v0", "B-v0", "C-v0", "D-v0"])
def test_nothing_but_the_entry_is_changed(tuner: dict[str, Any], name: str) -> None:
    after = tuner["with_entry"](FILE, name, "# 2026-01-01: the best.\n", f"{name}:\n  n_steps: 7\n")
    assert yaml.safe_load(after) == {**yaml.safe_load(FILE), name: {"n_steps": 7}}
    assert all(part in after for part in ("# Chosen by hand.\n\n", "# Long games.\n", "\n\n# The end of B.\n"))
    assert ("# Not tuned" in after) == (name != "A-v0")
    again = tuner["with_entry"](after, name, "# 2026-01-02: the best.\n", f"{name}:\n  n_steps: 8\n")
    assert again == after.replace("2026-01-01", "2026-01-02").replace("n_steps: 7", "n_steps: 8")


def test_defaults_and_entries_do_not_meet(tuner: dict[str, Any], folder: Path) -> None:
    """Their warm starts have the same names, and other settings."""
    folders = []
    score = tuner["tune"].__globals__["score"]

    def note(matrix: Matrix, agent: str, hyperparameters: dict[str, Any], out: Path, workers: int) -> dict[str, Any]:
        folders.append(out)
        return score(matrix, agent, {"learning_rate": 1e-3, **hyperparameters}, out, workers)

    tuner["tune"].__globals__["score"] = note
    tune(tuner, folder, 1)
    for target in tuner["entry_targets"]("sb3_a2c", read_matrix(folder / "matrix.yml"), folder / "hyper"):
        tuner["tune"](target, folder / "hyper", folder / "out", 1, 1)
    assert len(set(folders)) == 2


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [("matrix.yml", "seeds: [90]", "seeds: [91]", "seeds"), ("hyper/spaces/sb3_a2c.yml", "[5, 8]", "[5, 9]", "space")],
)
def test_trials_of_another_matrix_or_space_are_not_gone_on_with(
    tuner: dict[str, Any], folder: Path, file: str, old: str, new: str, changed: str
) -> None:
    tune(tuner, folder, 1)
    text = (folder / file).read_text()
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=f"another {changed}: begin anew in another --out"):
        tune(tuner, folder, 2)
    (folder / file).write_text(text)
    assert len(tune(tuner, folder, 2)) == 2


def test_a_trial_that_fails_counts_and_says_why(tuner: dict[str, Any], folder: Path) -> None:
    whole = tuner["tune"].__globals__["score"]

    def fail(matrix: Matrix, agent: str, hyperparameters: dict[str, Any], *_: Any) -> dict[str, Any]:
        tuner["tune"].__globals__["score"] = whole
        raise RuntimeError("a cell failed")

    tuner["tune"].__globals__["score"] = fail
    lines = tune(tuner, folder, 2)
    assert [line["score"] is None for line in lines] == [True, False]
    assert lines[0]["error"] == "a cell failed"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_real_trials(folder: Path) -> None:
    script = [sys.executable, str(BENCHMARKS / "tune.py"), "sb3_a2c", "--trials", "2", "--workers", "1"]
    paths = {"--matrix": "matrix.yml", "--hyperparams": "hyper", "--out": "out"}
    options = [part for option, name in paths.items() for part in (option, str(folder / name))]
    done = subprocess.run([*script, *options], capture_output=True, text=True, timeout=560)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / "hyper/trials/sb3_a2c.jsonl").read_text().splitlines()]
    assert [list(line["scores"].values()) == [line["score"]] for line in lines] == [True, True]
    assert len(list((folder / "out/defaults").glob("TextMath--sb3_a2c-*/result.json"))) == 2


def test_every_agent_of_the_published_matrix_has_a_space() -> None:
    learning = {agent for agent in read_matrix(BENCHMARKS / "matrices/published.yml").agents if agent in CONTENDERS}
    controls = {"random", "oracle", "warm_start", "best_of_n", "sft", "random_reward"}
    assert {path.stem for path in SPACES} == learning - controls


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_corner_of_a_space_has_hyperparameters_that_its_agent_has(path: Path) -> None:
    space = read_yaml(path)

    for searched, pick in itertools.product([space["search"], space["entries"]], (0, -1)):
        ends = {n: v[pick] if isinstance(v, list) else (v["low"], v["high"])[pick] for n, v in searched.items()}
        check_hyperparameters(path.stem, {**space["fixed"], **ends})


def test_tuning_seeds_are_not_those_of_the_published_runs() -> None:
    tuned, published = (read_matrix(BENCHMARKS / f"matrices/{name}.yml") for name in ("tuning", "published"))
    assert not set(tuned.seeds) & set(published.seeds)


def test_agents_were_tuned_by_the_same_number_of_trials() -> None:
    counts = {p.stem: Counter(json.loads(line)["entry"] for line in p.read_text().splitlines()) for p in TRIALS}
    assert len({count["default"] for count in counts.values()}) == len({len(count) for count in counts.values()}) == 1
    assert len({number for count in counts.values() for entry, number in count.items() if entry != "default"}) == 1
