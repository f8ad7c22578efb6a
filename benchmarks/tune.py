"""Tune the hyperparameters of agents, with the same number of trials for each.

    python benchmarks/tune.py grpo sb3_ppo --trials 12   # again: goes on where it was stopped
    python benchmarks/tune.py grpo sb3_ppo --entries     # after that, for each env of published.yml

A trial runs an agent on all envs and seeds of a matrix, benchmarks/matrices/tuning.yml, whose seeds no published matrix
has; its score is the mean of the greedy success rates. ``hyperparams/spaces/<agent>.yml`` says what is searched:

    fixed: {group_size: 4}
    search:
      learning_rate: {low: 1e-4, high: 3e-3, log: true}
      n_epochs: [1, 2, 4]
    entries:
      learning_rate: [1e-4, 3e-4]

The first trial is what ``hyperparams/<agent>.yml`` says, as far as it is searched, the others are optuna's (TPE). All
trials, losing and failed ones too, go to ``hyperparams/trials/<agent>.jsonl``, and when there are enough the best
becomes the ``default`` of ``hyperparams/<agent>.yml``.

With ``--entries`` each env of another matrix has trials of its own: every choice that ``entries`` allows, over what the
file says, with half of the budget and another seed, on problems of the train split, so that the held-out ones choose
nothing. The best (of equal ones that with the highest return, which partial credit is in) goes into the entry of the
env if it is ahead of the trial that is nearest to the default by more than 0.05. Else the default stands: a single run
on 200 problems is worth no more, and the luckiest of four is not the best.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import itertools
import json
import math
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from textgym.agents.files import read_json, read_lines, write_lines, write_text
from textgym.bench.hyperparams import read_hyperparameters, read_yaml
from textgym.bench.matrix import Matrix, read_matrix
from textgym.bench.runner import run_cells

HERE = Path(__file__).parent
SEED = 100  # of an entry's trials
MARGIN = 0.05  # standard error of the difference of two rates near one half, on 200 problems each


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """What an agent is tuned for."""

    agent: str
    entry: str
    """Of the agent's file: ``"default"``, or the id of an env."""
    matrix: Matrix
    """What each trial runs."""
    fixed: dict[str, Any]
    """Hyperparameters that are not searched."""
    search: dict[str, Any]
    """Choices (a list) or ranges (a mapping) of those that are."""
    first: list[dict[str, Any]]
    """What is tried first."""
    default: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What stands where no trial is clearly better."""

    @property
    def study(self) -> str:
        """Its name."""
        return self.agent if self.entry == "default" else f"{self.agent}--{self.entry}"


def default_target(agent: str, matrix: Matrix, folder: Path) -> Target:
    """Return what tunes the default of an agent."""
    spaces, known = read_yaml(folder / "spaces" / f"{agent}.yml"), said_in(folder / f"{agent}.yml").get("default") or {}
    first = [{name: known[name] for name in spaces["search"] if name in known}]
    fixed = spaces.get("fixed") or {}
    return Target(agent=agent, entry="default", matrix=matrix, fixed=fixed, search=spaces["search"], first=first)


def entry_targets(agent: str, matrix: Matrix, folder: Path) -> list[Target]:
    """Return what tunes an entry for each env of a matrix.

    Raises:
        ValueError: if the agent's space has no lists of choices for entries.
    """
    search = read_yaml(folder / "spaces" / f"{agent}.yml").get("entries") or {}
    if not search or not all(isinstance(choices, list) for choices in search.values()):
        raise ValueError(f"spaces/{agent}.yml needs entries, lists of choices such as learning_rate: [1e-4, 3e-4]")
    first = [dict(zip(search, values, strict=True)) for values in itertools.product(*search.values())]
    known = said_in(folder / f"{agent}.yml").get("default") or {}
    default = {name: known[name] for name in search if name in known}
    targets = []
    for env in matrix.envs:
        entry = {"id": env} if isinstance(env, str) else env
        halved = {name: entry.get(name, getattr(matrix, name)) // 2 for name in ("episodes", "steps")}
        protocol = dataclasses.replace(
            matrix.protocol, split="train", points=1, curve_problems=8, problems=200, pass_problems=8, k=1
        )
        one = dataclasses.replace(matrix, envs=[{**entry, **halved}], agents=[agent], seeds=[SEED], protocol=protocol)
        env_id = one.cells()[-1].env
        said = read_hyperparameters(folder, agent, env_id)
        fixed = {name: value for name, value in said.items() if name not in search}
        targets.append(
            Target(agent=agent, entry=env_id, matrix=one, fixed=fixed, search=search, first=first, default=default)
        )
    return targets


def suggest(trial: optuna.Trial, target: Target) -> dict[str, Any]:
    """Return hyperparameters for a trial: the fixed ones, and a choice for each that is searched."""
    chosen = dict(target.fixed)
    for name, values in target.search.items():
        if isinstance(values, list):
            chosen[name] = trial.suggest_categorical(name, values)
        else:
            whole = isinstance(values["low"], int) and isinstance(values["high"], int)
            chosen[name] = (trial.suggest_int if whole else trial.suggest_float)(name, **values)
    return chosen


def score(
    matrix: Matrix, agent: str, hyperparameters: dict[str, Any], out: Path, workers: int | None
) -> dict[str, tuple[float, float]]:
    """Run an agent on a matrix, and return greedy success and return of each cell; none is run twice.

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
    results = {cell.id: read_json(out / cell.id / "result.json") for cell in cells if cell.agent_name == name}
    return {cell_id: (result["score"], result["after"]["greedy_reward"]) for cell_id, result in results.items()}


def tune(target: Target, folder: Path, out: Path, trials: int, workers: int | None) -> optuna.trial.FrozenTrial:
    """Bring the trials to this number, write them and the best, and return that."""
    study = open_study(target, out)
    cells = out / ("defaults" if target.entry == "default" else "entries")  # whose warm starts have the same names
    while len(finished(study)) < trials:
        trial = study.ask()
        hyperparameters, began = suggest(trial, target), time.perf_counter()
        trial.set_user_attr("hyperparameters", hyperparameters)
        try:
            scores = score(target.matrix, target.agent, hyperparameters, cells, workers)
        except (RuntimeError, TypeError, ValueError) as error:
            trial.set_user_attr("error", str(error))
            study.tell(trial, state=TrialState.FAIL)
        else:
            trial.set_user_attr("scores", {cell_id: success for cell_id, (success, _) in scores.items()})
            trial.set_user_attr("returns", {cell_id: reward for cell_id, (_, reward) in scores.items()})
            trial.set_user_attr("seconds", round(time.perf_counter() - began, 1))
            study.tell(trial, float(np.mean([success for success, _ in scores.values()])))
        write_trials(study, target, folder / "trials" / f"{target.agent}.jsonl")
    write_best(study, target, folder / f"{target.agent}.yml")
    return best_trial(study)


def open_study(target: Target, out: Path) -> optuna.Study:
    """Return the study, new or begun; a trial that was cut off comes again.

    Raises:
        ValueError: if the trials so far had another matrix or another space: scores would not compare.
    """
    out.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(out / f"{target.study}.journal")))
    study = optuna.create_study(storage=storage, study_name=target.study, direction="maximize", load_if_exists=True)
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), n_startup_trials=5)
    values = dataclasses.asdict(dataclasses.replace(target.matrix, agents=[], hyperparams=None))
    values |= {"space": {**target.fixed, **target.search}}
    was, now = study.user_attrs.get("trials_of"), json.loads(json.dumps(values, default=dict))
    if was is None:
        for choice in target.first:
            study.enqueue_trial(choice, skip_if_exists=True)
        study.set_user_attr("trials_of", now)
    elif changed := [name for name in now if was.get(name) != now[name]]:
        raise ValueError(
            f"the trials of {target.study} so far had another {' and another '.join(changed)}: "
            "begin anew in another --out, or put back what was there"
        )
    return study


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that have a score or an error."""
    return [t for t in study.trials if t.state == TrialState.COMPLETE or "error" in t.user_attrs]


def best_trial(study: optuna.Study) -> optuna.trial.FrozenTrial:
    """Return the first of the highest score, and of these of the highest return.

    Raises:
        ValueError: if all have failed.
    """
    done = study.get_trials(states=[TrialState.COMPLETE])
    if not done:
        raise ValueError(f"all trials of {study.study_name} failed, the first with {study.trials[0].user_attrs}")
    return max(done, key=lambda t: (t.value, float(np.mean(list(t.user_attrs["returns"].values())))))


def write_trials(study: optuna.Study, target: Target, path: Path) -> None:
    """Write a line for each finished trial, below those of other entries."""
    path.parent.mkdir(exist_ok=True)
    (env, *more), matrix = target.matrix.envs, target.matrix
    names = [entry if isinstance(entry, str) else entry.get("name", entry["id"]) for entry in (env, *more)]
    own = env if isinstance(env, dict) and not more else {}
    spent = {"envs": names, "seeds": list(matrix.seeds)}
    spent |= {name: own.get(name, getattr(matrix, name)) for name in ("episodes", "steps")}
    lines = [line for line in read_lines(path) if line["entry"] != target.entry]
    lines += [
        {"entry": target.entry, "trial": t.number, "score": t.value, **t.user_attrs, "budget": spent}
        for t in finished(study)
    ]
    write_lines(path, lines)


def stand_in(study: optuna.Study, target: Target) -> optuna.trial.FrozenTrial | None:
    """Return the trial that is nearest to the default, by the ratios of numbers; None if the default names not all."""

    def distance(trial: optuna.trial.FrozenTrial) -> float:
        pairs = [(trial.params[name], value) for name, value in target.default.items()]
        return sum(abs(math.log(a / b)) if isinstance(b, float) and min(a, b) > 0 else float(a != b) for a, b in pairs)

    done = study.get_trials(states=[TrialState.COMPLETE])
    return min(done, key=distance, default=None) if target.default.keys() == target.search.keys() else None


def write_best(study: optuna.Study, target: Target, path: Path) -> None:
    """Make the best trial the default of an agent's file, or put what was searched into the entry of an env.

    Raises:
        ValueError: if the file can't be changed without changing something else.
    """
    best, usual = best_trial(study), stand_in(study, target)
    what = f"{len(finished(study))} trials of {', '.join(target.search)}"
    said = f"the best of {what}; greedy success {best.value:.3f}"
    chosen = best.user_attrs["hyperparameters"]
    if target.entry != "default":
        kept = {name: v for name, v in (said_in(path).get(target.entry) or {}).items() if name not in target.search}
        chosen = kept | {name: chosen[name] for name in target.search}
        if usual is not None and best.value - usual.value <= MARGIN:
            said = f"of {what} none beat {usual.value:.3f}, nearest to the default, by more than {MARGIN}"
            chosen = kept
        elif usual is not None:
            said += f", nearest to the default {usual.value:.3f}"
    comment = f"# {datetime.date.today()}: {said}.\n"
    block = yaml.safe_dump({target.entry: chosen}, sort_keys=False)
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    after = with_entry(before, target.entry, comment, block)
    if yaml.safe_load(after) != {**(yaml.safe_load(before) or {}), **yaml.safe_load(block)}:
        raise ValueError(f"an entry can't be put into {path} as it is written: write it in blocks")
    write_text(path, after)


def said_in(path: Path) -> dict[str, Any]:
    """Return what an agent's file says so far."""
    return (read_yaml(path) or {}) if path.is_file() else {}


def with_entry(text: str, name: str, comment: str, block: str) -> str:
    """Return an agent's file with another block of this name; other blocks and comments stay as they are written."""
    lines = f"{text.rstrip()}\n".splitlines(keepends=True) if text.strip() else []
    starts = [*(i for i, line in enumerate(lines) if line[0] not in " \t\n#}]-"), len(lines)]
    found = [(i, j) for i, j in itertools.pairwise(starts) if lines[i].startswith(f"{name}:")]
    begin, end = found[0] if found else (len(lines), len(lines))
    while end > begin + 1 and lines[end - 1][0] in "#\n":  # the next block's
        end -= 1
    if found and begin and re.match(r"# (Not tuned|\d{4}-\d\d-\d\d:)", lines[begin - 1]):
        lines[begin - 1] = ""
    return "".join([*lines[:begin], comment, block, *lines[end:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agents", nargs="+", help="names of files in spaces/")
    parser.add_argument("--trials", type=int, default=20, help="of each agent's default")
    parser.add_argument("--entries", action="store_true", help="tune the entries of envs in place of the default")
    parser.add_argument("--matrix", type=Path, help="envs and budget; tuning.yml, or published.yml for --entries")
    parser.add_argument("--hyperparams", type=Path, default=HERE / "hyperparams")
    parser.add_argument("--out", type=Path, default=Path("runs/tuning"), help="cells and studies")
    parser.add_argument("--workers", type=int, help="processes at once; as many as there are cores")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    matrix = read_matrix(args.matrix or HERE / "matrices" / ("published.yml" if args.entries else "tuning.yml"))
    for agent in args.agents:
        one = [default_target(agent, matrix, args.hyperparams)]
        for target in entry_targets(agent, matrix, args.hyperparams) if args.entries else one:
            trials = len(target.first) if args.entries else args.trials
            best = tune(target, args.hyperparams, args.out, trials, args.workers)
            line = {"agent": agent, "entry": target.entry, "trials": trials, "best": best.number}
            print(json.dumps({"benchmark": "tune"} | line | {"score": best.value} | best.params), flush=True)


if __name__ == "__main__":
    main()
