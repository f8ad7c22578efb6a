"""Tune the hyperparameters of agents, with the same number of trials for each.

    python benchmarks/tune.py grpo sb3_ppo --trials 20     # again: goes on where it was stopped

A trial runs an agent on all envs and seeds of a matrix, benchmarks/matrices/tuning.yml, whose seeds no published matrix
has; its score is the mean of the greedy success rates. ``hyperparams/spaces/<agent>.yml`` says what is searched:

    fixed: {group_size: 4}
    search:
      learning_rate: {low: 1e-4, high: 3e-3, log: true}
      n_epochs: [1, 2, 4]

The first trial is what ``hyperparams/<agent>.yml`` says, as far as it is searched, the others are optuna's (TPE). All
trials, losing and failed ones too, go to ``hyperparams/trials/<agent>.jsonl``, and when there are enough the best
becomes the ``default`` of ``hyperparams/<agent>.yml``; entries for single envs stay.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from textgym.agents.files import read_json
from textgym.bench.hyperparams import read_yaml
from textgym.bench.matrix import Matrix, read_matrix
from textgym.bench.runner import run_cells

HERE = Path(__file__).parent


def suggest(trial: optuna.Trial, space: dict[str, Any]) -> dict[str, Any]:
    """Return hyperparameters for a trial: the fixed ones, and a choice for each that is searched."""
    chosen = dict(space.get("fixed") or {})
    for name, values in space["search"].items():
        if isinstance(values, list):
            chosen[name] = trial.suggest_categorical(name, values)
        else:
            whole = isinstance(values["low"], int) and isinstance(values["high"], int)
            chosen[name] = (trial.suggest_int if whole else trial.suggest_float)(name, **values)
    return chosen


def score(
    matrix: Matrix, agent: str, hyperparameters: dict[str, Any], out: Path, workers: int | None
) -> dict[str, float]:
    """Run an agent on a matrix, and return the score of each cell; those that were run before are not run again.

    Trials share a folder, and so the warm starts; a trial's cells are named by a hash of its hyperparameters.

    Raises:
        RuntimeError: naming the cells that failed.
    """
    digest = hashlib.sha256(json.dumps(hyperparameters, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{agent}-{digest}"
    entry = {"agent": agent, "name": name, "hyperparameters": hyperparameters}
    cells = dataclasses.replace(matrix, agents=[entry], hyperparams=None).cells()
    states = run_cells(cells, out, workers=workers)
    if failed := [cell_id for cell_id, state in states.items() if state == "failed"]:
        raise RuntimeError(f"{', '.join(failed)} failed: {(out / failed[0] / 'error.txt').read_text()[-300:]}")
    return {cell.id: read_json(out / cell.id / "result.json")["score"] for cell in cells if cell.agent_name == name}


def tune(agent: str, matrix: Matrix, folder: Path, out: Path, trials: int, workers: int | None) -> None:
    """Bring the trials of an agent to this number, and write them and the best."""
    space = read_yaml(folder / "spaces" / f"{agent}.yml")
    study = open_study(agent, out)
    check_same_trials(study, matrix, space)
    if not study.trials:
        path = folder / f"{agent}.yml"
        known = (read_yaml(path).get("default") or {}) if path.is_file() else {}
        study.enqueue_trial({name: known[name] for name in space["search"] if name in known})
    while len(finished(study)) < trials:
        trial = study.ask()
        hyperparameters, began = suggest(trial, space), time.perf_counter()
        trial.set_user_attr("hyperparameters", hyperparameters)
        try:
            scores = score(matrix, agent, hyperparameters, out, workers)
        except (RuntimeError, TypeError, ValueError) as error:
            trial.set_user_attr("error", str(error))
            study.tell(trial, state=TrialState.FAIL)
        else:
            trial.set_user_attr("scores", scores)
            trial.set_user_attr("seconds", round(time.perf_counter() - began, 1))
            study.tell(trial, float(np.mean(list(scores.values()))))
        write_trials(study, folder / "trials" / f"{agent}.jsonl", budget(matrix))
    write_best(study, folder / f"{agent}.yml", budget(matrix))


def open_study(agent: str, out: Path) -> optuna.Study:
    """Return the study of an agent, new or begun; a trial that was cut off comes first again."""
    out.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(out / f"{agent}.journal")))
    study = optuna.create_study(storage=storage, study_name=agent, direction="maximize", load_if_exists=True)
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), n_startup_trials=5)
    return study


def check_same_trials(study: optuna.Study, matrix: Matrix, space: dict[str, Any]) -> None:
    """Raise ValueError if the trials so far had another matrix or another space: scores would not compare."""
    values = dataclasses.asdict(dataclasses.replace(matrix, agents=[], hyperparams=None)) | {"space": space}
    was, now = study.user_attrs.get("trials_of"), json.loads(json.dumps(values, default=dict))
    if was is None:
        study.set_user_attr("trials_of", now)
    elif changed := [name for name in now if was[name] != now[name]]:
        raise ValueError(
            f"the trials of {study.study_name} so far had another {' and another '.join(changed)}: "
            "begin anew in another --out, or put back what was there"
        )


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that have a score or an error."""
    return [t for t in study.trials if t.state == TrialState.COMPLETE or "error" in t.user_attrs]


def budget(matrix: Matrix) -> dict[str, Any]:
    """Return what each trial may use."""
    names = [entry if isinstance(entry, str) else entry.get("name", entry["id"]) for entry in matrix.envs]
    return {"envs": names, "seeds": list(matrix.seeds), "episodes": matrix.episodes, "steps": matrix.steps}


def write_trials(study: optuna.Study, path: Path, spent: dict[str, Any]) -> None:
    """Write a line for each finished trial."""
    path.parent.mkdir(exist_ok=True)
    lines = [{"trial": t.number, "score": t.value, **t.user_attrs, "budget": spent} for t in finished(study)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_best(study: optuna.Study, path: Path, spent: dict[str, Any]) -> None:
    """Make the best trial the default of an agent's file."""
    default = yaml.safe_dump({"default": study.best_trial.user_attrs["hyperparameters"]}, sort_keys=False)
    head = (
        f"# Tuned on {datetime.date.today()}: the best of {len(finished(study))} trials, {study.best_value:.3f} mean "
        f"greedy success;\n# {json.dumps(spent)};\n# all of them are in trials/{path.stem}.jsonl.\n"
    )
    path.write_text(head + default + (entries_of_envs(path) if path.is_file() else ""), encoding="utf-8")


def entries_of_envs(path: Path) -> str:
    """Return what follows the default in an agent's file, with its comments."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    below_head = itertools.dropwhile(lambda line: line.startswith("#"), lines)
    return "".join(itertools.dropwhile(lambda line: line.startswith(("default:", " ")), below_head))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agents", nargs="+", help="names of files in spaces/")
    parser.add_argument("--trials", type=int, default=20, help="of each agent")
    parser.add_argument("--matrix", type=Path, default=HERE / "matrices/tuning.yml", help="envs, seeds and budget")
    parser.add_argument("--hyperparams", type=Path, default=HERE / "hyperparams")
    parser.add_argument("--out", type=Path, default=Path("runs/tuning"), help="cells and studies")
    parser.add_argument("--workers", type=int, help="processes at once; as many as there are cores")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for agent in args.agents:
        tune(agent, read_matrix(args.matrix), args.hyperparams, args.out, args.trials, args.workers)
        best = open_study(agent, args.out).best_trial
        line = {"agent": agent, "trials": args.trials, "best": best.number, "score": best.value, **best.params}
        print(json.dumps({"benchmark": "tune"} | line), flush=True)


if __name__ == "__main__":
    main()
