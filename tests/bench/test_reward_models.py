"""A warm start that fits a reward model, and cells that learn from it and are measured by the env's own reward."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from textgym.agents import RewardModel
from textgym.bench.matrix import Cell, Matrix, Protocol
from textgym.bench.reward_models import training_settings
from textgym.bench.runner import run_cells

pytestmark = pytest.mark.timeout(300)
PROTOCOL = Protocol(points=1, curve_problems=2, problems=4, pass_problems=2, k=1, transcripts=1)
RLHF = {"id": "TextRLHF-v0", "max_new_tokens": 6, "token_settings": {"window": 48, "max_tokens": 6}}
PAIRS = {"pairs": 24, "temperature": 1.0, "epochs": 2}
GRPO = {"agent": "grpo", "hyperparameters": {"prompts_per_update": 4, "group_size": 2, "drop_zero_variance": False}}
A2C = {"agent": "sb3_a2c", "hyperparameters": {"n_envs": 4}}


def matrix(**changes: Any) -> Matrix:
    settings = {
        "envs": [{**RLHF, "reward_model": PAIRS}], "agents": [GRPO, A2C, "oracle"], "seeds": [0], "episodes": 8,
        "steps": 20, "protocol": PROTOCOL, "warm_start": {"episodes": 32, "batch_size": 16},
    }  # fmt: skip
    return Matrix(**(settings | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bench")
    states = run_cells(matrix().cells(), out)
    assert set(states.values()) == {"done"}, [path.read_text() for path in out.glob("*/error.txt")]
    return out


def cell_of(out: Path, name: str) -> Cell:
    return Cell.from_json(json.loads((out / name / "cell.json").read_text()))


def test_learners_are_paid_by_what_the_warm_start_has_fitted() -> None:
    warm, grpo, a2c, oracle = matrix().cells()
    assert warm.reward_model == PAIRS and (warm.rewarded_by, grpo.reward_model) == (None, None)
    assert grpo.rewarded_by == a2c.rewarded_by == warm.id and oracle.rewarded_by is None
    assert grpo.needs == a2c.needs == {warm.id} and a2c.begins_with is None
    only_classic = matrix(agents=[A2C]).cells()
    assert [cell.agent for cell in only_classic] == ["sft", "sb3_a2c"]


def test_a_reward_model_pays_and_the_env_measures(finished: Path) -> None:
    result = json.loads((finished / "TextRLHF--warm-start--tiny/result.json").read_text())
    assert 0 <= result["after"]["reward_accuracy"] <= 1 and result["after"]["reward_pairs"] > 0
    model = RewardModel.load(finished / "TextRLHF--warm-start--tiny/reward")
    for name in ("TextRLHF--grpo--tiny--seed0", "TextRLHF--sb3_a2c--seed0"):
        cell = cell_of(finished, name)
        env: Any = gym.make(cell.env, **training_settings(cell, finished / name)).unwrapped
        judge = getattr(env, "text_env", env).reward
        assert judge.snapshot == model.snapshot
        after = json.loads((finished / name / "result.json").read_text())["after"]
        assert 0 <= after["greedy_reward"] <= 1 and 0 <= after["sampled_reward"] <= 1
    [line] = (finished / "TextRLHF--grpo--tiny--seed0/metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["rollout/ep_rew_mean"] != 0.0  # which is what the env pays for six tokens of noise


def test_a_reward_model_that_has_changed_is_refused(finished: Path, tmp_path: Path) -> None:
    name = "TextRLHF--warm-start--tiny"
    (tmp_path / name / "reward").mkdir(parents=True)
    (tmp_path / name / "reward/model.safetensors").write_bytes(b"other weights")
    (tmp_path / name / "result.json").write_text((finished / name / "result.json").read_text())
    learner = "TextRLHF--grpo--tiny--seed0"
    with pytest.raises(ValueError, match=f"the reward model of {name} has changed"):
        training_settings(cell_of(finished, learner), tmp_path / learner)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"reward_model": {"temperature": 1}}, "reward_model of TextRLHF needs pairs >= 1"),
        ({"reward_model": {"pairs": 8, "temperature": -1}}, "temperature of the reward_model of TextRLHF must be >= 0"),
        ({"reward_model": {"pairs": 8, "epoch": 1}}, "reward_model of TextRLHF has no field 'epoch'"),
        ({"reward_model": {"pairs": 8, "epochs": 0}}, "epochs must be >= 1"),
        ({"reward_model": PAIRS, "id": "TextCopy-v0", "token_settings": {"dense": True}}, "leave dense out"),
        ({"warm_start": {"learning_rate": 1e-3}}, "warm_start of TextRLHF needs episodes"),
    ],
)
def test_bad_entries_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message.replace("TextRLHF", "Text[A-Za-z]+")):
        matrix(envs=[{**RLHF, **changes}]).cells()


def test_without_a_warm_start_there_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="needs a warm_start"):
        matrix(warm_start=None).cells()


def test_an_env_may_have_a_warm_start_of_its_own() -> None:
    envs = ["TextMath-v0", {"id": "TextSort-v0", "warm_start": {"episodes": 64, "learning_rate": 1e-3}}]
    first, second = (cell for cell in matrix(envs=envs, agents=["warm_start"]).cells() if cell.agent == "sft")
    assert (first.budget, first.hyperparameters) == (32, {"batch_size": 16})
    assert (second.budget, second.hyperparameters) == (64, {"learning_rate": 1e-3})
