"""``run_cell``: does what ``cell.json`` in a folder says, and writes ``result.json`` there when all is done.

The folder, whatever the kind:

- ``cell.json``: the cell.
- ``result.json``: the outcome, written last: a folder that has it is complete.
- ``curve.jsonl``: held-out success as learning goes on; each line has the costs so far and what ``measure`` says.
- ``answers.jsonl``: greedy answers (of ``random``, random ones) to the same held-out problems, before and after.
- ``progress.json``: how much of the budget is done.
- ``log.txt``: what was printed; ``error.txt``: why it failed.

and where a language model learns ``before.json``, ``metrics.jsonl``, ``transcripts.jsonl``, ``tensorboard/``,
``checkpoint/`` until it has finished and then ``model/``, as in a run of ``textgym train``; ``reward/`` where it fits a
reward model; ``model.zip`` of an agent of stable-baselines3.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from textgym.agents.files import append_line, read_json, sha256_of_texts, write_json
from textgym.bench.contenders import CONTENDERS
from textgym.bench.matrix import Cell


def run_cell(folder: str | Path) -> dict[str, Any]:
    """Run the cell of a folder, or go on with it, and return its result; one that is finished is not run again."""
    folder = Path(folder)
    if (folder / "result.json").is_file():
        result: dict[str, Any] = read_json(folder / "result.json")
        return result
    import stable_baselines3

    from textgym.agents.runs import git_commit, versions
    from textgym.bench.baselines import run_baseline
    from textgym.bench.classic import run_classic
    from textgym.bench.learning import policy_sha256, run_learning
    from textgym.bench.measure import first_prompts

    cell = Cell.from_json(read_json(folder / "cell.json"))
    kinds = {"learning": run_learning, "classic": run_classic, "baseline": run_baseline}
    commit = git_commit()  # before a run of hours, in which another may be checked out
    outcome = kinds[CONTENDERS[cell.agent].kind](cell, folder, _teller(folder, cell.budget))
    (folder / "answers.jsonl").unlink(missing_ok=True)
    for pair in outcome.answers:
        append_line(folder / "answers.jsonl", pair)
    model, reward = folder / "model", folder / "reward"
    result = {
        "cell": dataclasses.asdict(cell),
        **{name: getattr(outcome, name) for name in ("score", "before", "after", "cost", "hyperparameters")},
        "policy_sha256": outcome.policy_sha256,
        "model_sha256": policy_sha256(str(model)) if model.is_dir() else None,
        "reward_sha256": policy_sha256(str(reward)) if reward.is_dir() else None,
        "problems_sha256": sha256_of_texts(
            first_prompts(cell.env, cell.protocol.problems, cell.env_kwargs, cell.protocol.split)
        ),
        "machine": _machine(),
        "versions": {**versions(), "stable_baselines3": stable_baselines3.__version__},
        "git_commit": commit,
        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    write_json(folder / "result.json", result)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return result


def _teller(folder: Path, budget: int) -> Any:
    """Return what notes progress, twice a second at most."""
    last = 0.0

    def tell(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            fresh = folder / "progress.json.new"
            fresh.write_text(json.dumps({"done": done, "budget": budget}), encoding="utf-8")
            fresh.replace(folder / "progress.json")

    return tell


def _machine() -> dict[str, Any]:
    import torch

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "peak_memory_mb": round(peak / 2**20),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
