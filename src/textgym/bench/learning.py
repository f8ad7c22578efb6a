"""A cell in which a language model learns: from a fixed beginning, looked at now and then, measured before and after.

A cell that was killed goes on exactly where its last checkpoint stands: what it counted until then stands in
``metrics.jsonl``, a line for each update, and what was written later is dropped and done again.
"""

from __future__ import annotations

import bisect
import dataclasses
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from textgym.agents.answers import Answers, pair_up
from textgym.agents.evaluation import evaluate_samples
from textgym.agents.files import append_line, keep_lines, read_json, read_lines, sha256_of_files, write_json
from textgym.agents.loading import TINY
from textgym.agents.policy import CausalLM
from textgym.agents.runs import agent_named, make_config, model_folder
from textgym.bench.contenders import CONTENDERS
from textgym.bench.controls import CoinFlips
from textgym.bench.matrix import Cell
from textgym.bench.measure import measure_model
from textgym.bench.meter import COSTS, Meter
from textgym.bench.outcome import Outcome, Tell
from textgym.bench.reward_models import fit_reward_model, training_settings


def run_learning(cell: Cell, folder: Path, tell: Tell) -> Outcome:
    """Train from the beginning or from the checkpoint, and return what came out; the model is in ``model/``."""
    agent = _make_agent(cell, folder)
    before = _measured_before(agent.policy, cell, folder)
    updates = agent.num_updates
    keep_lines(folder / "metrics.jsonl", lambda line: line["train/n_updates"] <= updates)
    keep_lines(folder / "curve.jsonl", lambda line: line["updates"] <= updates)
    keep_lines(folder / "transcripts.jsonl", lambda line: line["update"] < updates)
    costs = read_costs(folder)
    if CONTENDERS[cell.agent].coin_flips:
        agent.env = CoinFlips(agent.env)
    watch = _Watch(cell, folder, Meter(agent, {name: costs[name] for name in COSTS}), tell)
    watch.look(agent)  # the first point, or one that a kill has swallowed
    if agent.num_timesteps < cell.budget:
        agent.learn(cell.budget - agent.num_timesteps, callback=watch)
    agent.policy.save(folder / "model")
    fitted = fit_reward_model(agent.policy, cell, folder) if cell.reward_model else {}
    after, answers = measure_model(agent.policy, cell.env, cell.protocol.problems, **_how(cell))
    sampled = evaluate_samples(
        agent.policy, cell.env, cell.protocol.pass_problems, samples=2 * cell.protocol.k, k=[1, cell.protocol.k],
        max_new_tokens=cell.max_new_tokens, seed=cell.seed, split=cell.protocol.split, **cell.env_kwargs,
    )  # fmt: skip
    return Outcome(
        score=after["greedy"],
        before=before["measured"],
        after=after | sampled.rates | fitted,
        cost=read_costs(folder),
        answers=pair_up(Answers(**before["answers"]), answers["greedy"], cell.protocol.transcripts),
        policy_sha256=before["policy_sha256"],
        hyperparameters=dataclasses.asdict(agent.config),
    )


def read_costs(folder: Path) -> dict[str, float]:
    """Return what the updates so far have cost; see ``meter``."""
    lines = read_lines(folder / "metrics.jsonl")
    last = lines[-1] if lines else {}
    names = {"episodes": "time/total_timesteps", "updates": "train/n_updates", "seconds": "time/time_elapsed"}
    return {name: last.get(theirs, 0) for name, theirs in (names | {name: f"cost/{name}" for name in COSTS}).items()}


def beginning(cell: Cell, folder: Path) -> str:
    """Return where the policy of a cell is found: what ``CausalLM.load`` takes.

    Raises:
        FileNotFoundError: if the cell that it begins with has not finished.
        ValueError: if that model is no longer the one that was measured there.
    """
    if cell.begins_with is None:
        return model_folder(str(cell.policy))
    warm_start = folder.parent / cell.begins_with
    if not (warm_start / "result.json").is_file():
        raise FileNotFoundError(f"{cell.id} begins with the model of {cell.begins_with}, which has not finished")
    made, found = read_json(warm_start / "result.json")["model_sha256"], policy_sha256(str(warm_start / "model"))
    if made != found:
        raise ValueError(f"the model of {cell.begins_with} has changed: its files' hash was {made} and is {found}")
    return str(warm_start / "model")


def policy_sha256(name: str) -> str | None:
    """Return a hash of the files of a policy; None for one of the hub, which names no files here."""
    path = TINY if name == "tiny" else Path(name)
    if path.is_file():
        return sha256_of_files([path])
    kinds = ("*.safetensors", "*.json", "*.jinja", "*.gguf")
    files = [file for kind in kinds for file in path.glob(kind)] if path.is_dir() else []
    return sha256_of_files(files) if files else None


class _Watch(BaseCallback):
    """Counts each update, and looks at the policy when another part of the budget is done."""

    def __init__(self, cell: Cell, folder: Path, meter: Meter, tell: Tell) -> None:
        super().__init__()
        self.cell, self.folder, self.meter, self.tell = cell, folder, meter, tell
        points = cell.protocol.points
        self.due = [-(-cell.budget * i // points) for i in range(points + 1)]

    def _on_rollout_end(self) -> None:  # before the update's line is written
        for name, value in self.meter.costs.items():
            self.logger.record(f"cost/{name}", value)

    def _on_step(self) -> bool:
        self.look(self.model)
        return True

    def look(self, agent: Any) -> None:
        """Add a point to the curve if one is due, and write a checkpoint that knows of it."""
        self.tell(agent.num_timesteps)
        lines = read_lines(self.folder / "curve.jsonl")
        done = bisect.bisect_right(self.due, lines[-1]["episodes"]) if lines else 0
        if bisect.bisect_right(self.due, agent.num_timesteps) == done:
            return
        measured, _ = measure_model(agent.policy, self.cell.env, self.cell.protocol.curve_problems, **_how(self.cell))
        append_line(self.folder / "curve.jsonl", read_costs(self.folder) | measured)
        if agent.num_updates:
            agent.save(self.folder / "checkpoint")


def _make_agent(cell: Cell, folder: Path) -> Any:
    import gymnasium as gym

    contender = CONTENDERS[cell.agent]
    agent_class = agent_named(contender.agent)
    env = gym.make(cell.env, **training_settings(cell, folder))
    if any((folder / name / "agent.pt").is_file() for name in ("checkpoint", "checkpoint.old")):
        return agent_class.load(folder / "checkpoint", env, logdir=folder)
    given = {**cell.hyperparameters, "max_new_tokens": cell.max_new_tokens, "seed": cell.seed}
    config = make_config(contender.agent, contender.preset, **given)
    return agent_class(beginning(cell, folder), env, logdir=folder, **dataclasses.asdict(config))


def _measured_before(policy: CausalLM, cell: Cell, folder: Path) -> dict[str, Any]:
    path = folder / "before.json"
    if not path.is_file():
        measured, answers = measure_model(policy, cell.env, cell.protocol.problems, **_how(cell))
        kept = {n: v[: cell.protocol.transcripts] for n, v in dataclasses.asdict(answers["greedy"]).items()}
        sha = policy_sha256(beginning(cell, folder))
        write_json(path, {"measured": measured, "answers": kept, "policy_sha256": sha})
    values: dict[str, Any] = read_json(path)
    return values


def _how(cell: Cell) -> dict[str, Any]:
    return {
        "max_new_tokens": cell.max_new_tokens, "seed": cell.seed, "env_kwargs": cell.env_kwargs,
        "split": cell.protocol.split,
    }  # fmt: skip
