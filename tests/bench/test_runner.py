"""Real cells, small: they finish, count honestly, go on after a kill as if there had been none, and fail alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from textgym.agents.runs import git_commit
from textgym.bench.matrix import Cell, Matrix, Protocol
from textgym.bench.runner import State, run_cells

pytestmark = pytest.mark.timeout(300)
PROTOCOL = Protocol(points=2, curve_problems=4, problems=6, pass_problems=2, k=2, transcripts=2)
GROUPS = {"prompts_per_update": 2, "group_size": 4, "checkpoint_every": 1}
ENVS = [
    {"id": "TextMath-v0", "settings": {"difficulty": 1}, "token_settings": {"difficulty": 1}},
    {"id": "TextGuessNumber-v0", "token_settings": {"high": 4}},
]
AGENTS = [{"agent": "grpo", "hyperparameters": GROUPS}, {"agent": "sb3_a2c", "hyperparameters": {"n_envs": 4}}]
TIMES = ("seconds", "seconds_env", "seconds_sampling")


def cells_of(**changes: Any) -> list[Cell]:
    settings = {"envs": ENVS, "agents": AGENTS, "seeds": [0, 1], "episodes": 24, "steps": 80, "protocol": PROTOCOL}
    return Matrix(**(settings | changes)).cells()


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_times(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in TIMES}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bench")
    states = run_cells(cells_of(envs=ENVS[:1]), out)
    assert set(states.values()) == {"done"}, [path.read_text() for path in out.glob("*/error.txt")]
    assert len(states) == 4
    return out


def test_a_finished_cell_has_its_files(finished: Path) -> None:
    for folder in (path for path in finished.iterdir() if path.is_dir()):
        result = result_of(folder)
        assert result["score"] == result["after"]["greedy"]
        assert {"pass@1", "pass@2", "sampled", "problems"} <= set(result["after"])
        assert (result["git_commit"] is None) == (git_commit() is None)
        assert {"textgym", "torch", "stable_baselines3"} <= set(result["versions"])
        curve = lines_of(folder / "curve.jsonl")
        assert len(curve) == 3
        assert curve[0]["episodes"] == 0
        assert curve[-1]["gradient_steps"] == result["cost"]["gradient_steps"]  # the agent that is scored
        answers = lines_of(folder / "answers.jsonl")
        assert len(answers) == 2
        assert {"prompt", "response_before", "response_after", "success_before", "success_after"} <= set(answers[0])
        assert not (folder / "checkpoint").exists()
        assert not (folder / "error.txt").exists()


def test_costs_are_counted(finished: Path) -> None:
    cost = result_of(finished / "TextMath--grpo--tiny--seed0")["cost"]
    assert (cost["episodes"], cost["samples"], cost["updates"], cost["gradient_steps"]) == (24, 24, 3, 3)
    assert 24 <= cost["tokens"] <= 24 * 8
    assert 0 < cost["seconds_env"] + cost["seconds_sampling"] < cost["seconds"]
    cost = result_of(finished / "TextMath--sb3_a2c--seed0")["cost"]
    assert cost["tokens"] == 80
    assert cost["gradient_steps"] == 80 / (5 * 4)  # n_steps of A2C by n_envs
    assert 80 / 9 <= cost["samples"] <= 80  # a response has 1 to 8 tokens and a stop token


def test_all_cells_of_an_env_meet_the_same_problems_from_the_same_beginning(finished: Path) -> None:
    results = [result_of(path) for path in sorted(finished.glob("TextMath--grpo--*"))]
    assert len({result["problems_sha256"] for result in results}) == 1
    assert len({result["policy_sha256"] for result in results}) == 1
    assert results[0]["before"]["greedy"] == results[1]["before"]["greedy"]
    assert results[0]["model_sha256"] != results[1]["model_sha256"]  # seeds differ


def test_finished_cells_are_not_run_again(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("*/result.json")}
    assert set(run_cells(cells_of(envs=ENVS[:1]), finished).values()) == {"done"}
    assert {path: path.stat().st_mtime_ns for path in finished.glob("*/result.json")} == before


def test_other_settings_need_another_folder(finished: Path) -> None:
    with pytest.raises(FileExistsError, match="another budget"):
        run_cells(cells_of(envs=ENVS[:1], episodes=48), finished)


def test_a_cell_of_before_a_setting_existed_is_the_same_cell(finished: Path) -> None:
    path = next(finished.glob("TextMath--grpo--*/cell.json"))
    values = json.loads(path.read_text())
    del values["protocol"]["split"]
    path.write_text(json.dumps(values))
    assert set(run_cells(cells_of(envs=ENVS[:1]), finished).values()) == {"done"}


@pytest.mark.slow
def test_a_killed_matrix_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    """kill -9 of the parent, when a cell has a checkpoint and not yet a result: its child ends, too."""
    assert set(run_cells(cells_of(), tmp_path / "reference").values()) == {"done"}
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nsys.path[:0] = [{!r}, {!r}]\nfrom test_runner import cells_of\n"
        "from textgym.bench.runner import run_cells\n"
        "if __name__ == '__main__':\n    run_cells(cells_of(), sys.argv[1], workers=1)\n".format(
            str(Path(__file__).parent), str(Path(__file__).parents[2] / "src")
        )
    )
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, str(script), str(out)], start_new_session=True)
    folder = out / "TextMath--grpo--tiny--seed0"
    while not (folder / "checkpoint/agent.pt").is_file():
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (folder / "result.json").exists()
    with pytest.raises(ProcessLookupError):  # all of its session are gone
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    begun = (folder / "before.json").stat().st_mtime_ns
    assert set(run_cells(cells_of(), out).values()) == {"done"}
    assert (folder / "before.json").stat().st_mtime_ns == begun  # it went on, and did not begin anew
    for reference in (path for path in (tmp_path / "reference").iterdir() if path.is_dir()):
        ours, theirs = result_of(out / reference.name), result_of(reference)
        for name in ("score", "before", "after", "model_sha256", "problems_sha256"):
            assert ours[name] == theirs[name], (reference.name, name)
        assert without_times(ours["cost"]) == without_times(theirs["cost"])
        for name in ("curve.jsonl", "answers.jsonl"):
            lines = zip(lines_of(out / reference.name / name), lines_of(reference / name), strict=True)
            assert all(without_times(mine) == without_times(other) for mine, other in lines)


def test_a_cell_that_fails_does_not_stop_the_rest(tmp_path: Path) -> None:
    """DAPO refuses its overlong penalty where answers are short, but only when it is made; then it is tried again."""
    agents = [{"agent": "dapo", "hyperparameters": GROUPS}, "oracle"]
    cells = cells_of(agents=agents, envs=ENVS[:1], seeds=[0])
    for _ in range(2):
        states = run_cells(cells, tmp_path)
        assert list(states.values()) == ["failed", "done"]
        error = (tmp_path / cells[0].id / "error.txt").read_text()
        assert "Traceback" in error and "overlong_cache must be <=" in error


def test_a_cell_that_dies_is_reported_with_those_that_need_it(tmp_path: Path) -> None:
    """The warm start is killed from outside."""
    cells = cells_of(agents=["warm_start"], envs=ENVS[:1], warm_start={"episodes": 10**6})

    class Killer:
        def update(self, states: dict[str, State], out: Path) -> None:
            import multiprocessing

            for child in multiprocessing.active_children():
                if child.name == cells[0].id and (out / child.name / "log.txt").exists():
                    os.kill(child.pid or 0, signal.SIGKILL)

    states = run_cells(cells, tmp_path, display=Killer())
    assert list(states.values()) == ["failed", "failed"]
    assert "ended with the status -9" in (tmp_path / cells[0].id / "error.txt").read_text()
    assert f"{cells[0].id}, whose model" in (tmp_path / cells[1].id / "error.txt").read_text()


def test_a_warm_start_that_has_changed_is_refused(tmp_path: Path) -> None:
    from textgym.bench.learning import beginning, policy_sha256

    [first, cell] = cells_of(agents=["warm_start"], envs=ENVS[:1], warm_start={"episodes": 8})
    model, folder = tmp_path / first.id / "model", tmp_path / cell.id
    with pytest.raises(FileNotFoundError, match="has not finished"):
        beginning(cell, folder)
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"weights")
    (tmp_path / first.id / "result.json").write_text(json.dumps({"model_sha256": policy_sha256(str(model))}))
    assert beginning(cell, folder) == str(model)
    (model / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ValueError, match="the model of TextMath--warm-start--tiny has changed"):
        beginning(cell, folder)


def test_only_one_process_runs_cells_in_a_folder(tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="another process runs cells"):
            run_cells([], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cells_on_a_ray_cluster_come_to_the_same_end(finished: Path, tmp_path: Path) -> None:
    """Two workers of a local Ray; a cell that fails is reported there, too."""
    pytest.importorskip("ray", reason="Ray is not installed")
    script = (
        f"import sys\nsys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from test_runner import ENVS, GROUPS, cells_of\nfrom textgym.bench.runner import run_cells\n"
        "fails = cells_of(envs=ENVS[:1], seeds=[0], agents=[{'agent': 'dapo', 'hyperparameters': GROUPS}])\n"
        "states = run_cells([*cells_of(envs=ENVS[:1]), *fails], sys.argv[1], workers=2, ray='local')\n"
        "print(*states.values())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=560)
    assert done.stdout.split()[-5:] == ["done"] * 4 + ["failed"], done.stderr
    assert "overlong_cache must be <=" in (tmp_path / "TextMath--dapo--tiny--seed0/error.txt").read_text()
    for reference in (path for path in finished.iterdir() if path.is_dir()):
        ours, theirs = result_of(tmp_path / reference.name), result_of(reference)
        for name in ("score", "before", "after", "model_sha256", "problems_sha256"):
            assert ours[name] == theirs[name], (reference.name, name)
