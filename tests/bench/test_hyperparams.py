"""The files of hyperparameters in the repository, and how such a file is read."""

import dataclasses
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from textgym.bench.contenders import CONTENDERS, check_hyperparameters
from textgym.bench.hyperparams import read_hyperparameters, read_yaml
from textgym.bench.matrix import read_matrix

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FILES = sorted((BENCHMARKS / "hyperparams").glob("*.yml"))
MATRICES = sorted((BENCHMARKS / "matrices").glob("*.yml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_has_hyperparameters_that_its_agent_has(path: Path) -> None:
    for env_id in {"TextMath-v0", *read_yaml(path)} - {"default"}:
        check_hyperparameters(path.stem, read_hyperparameters(path.parent, path.stem, env_id))


def test_every_agent_that_learns_has_a_file() -> None:
    learning = {name for name, contender in CONTENDERS.items() if contender.kind != "baseline"}
    assert {path.stem for path in FILES} == learning - {"random_reward"}  # which has grpo's


@pytest.mark.parametrize("path", MATRICES, ids=lambda path: path.stem)
def test_every_matrix_has_cells(path: Path) -> None:
    assert read_matrix(path).cells()


@pytest.mark.parametrize("path", MATRICES, ids=lambda path: path.stem)
def test_windows_hold_a_chat_of_gibberish(path: Path) -> None:
    """That is what an agent of stable-baselines3 begins with, and reminders of the format are long."""
    for env, env_kwargs in {c.env: c.env_kwargs for c in read_matrix(path).cells() if "Tokens" in c.env}.items():
        envs = gym.make_vec(env, num_envs=16, **env_kwargs)
        envs.reset(seed=0)
        for i in range(200):
            envs.step(np.full(16, i // 50 % 4))


def test_an_entry_goes_over_the_default_and_small_numbers_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "ppo.yml").write_text(
        "default: {learning_rate: 4e-4, n_epochs: 2}\nTextMath-v0:\n  n_epochs: 1\nTextSort-v0:\n"
    )
    assert read_hyperparameters(tmp_path, "ppo", "TextMath-v0") == {"learning_rate": 0.0004, "n_epochs": 1}
    assert read_hyperparameters(tmp_path, "ppo", "TextSort-v0") == {"learning_rate": 0.0004, "n_epochs": 2}
    assert read_hyperparameters(tmp_path, "grpo", "TextMath-v0") == {}


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ppo.yml").write_text("default: 3\n")
    with pytest.raises(ValueError, match=r"ppo\.yml must have a 'default'"):
        read_hyperparameters(tmp_path, "ppo", "TextMath-v0")


def test_the_control_differs_from_grpo_in_its_reward_alone() -> None:
    matrix = dataclasses.replace(read_matrix(BENCHMARKS / "matrices/published.yml"), agents=["grpo", "random_reward"])
    cells = {(cell.env_name, cell.seed, cell.agent): cell for cell in matrix.cells()}
    controls = [cell for cell in cells.values() if cell.agent == "random_reward"]
    assert len(controls) == 8 * 5
    for control in controls:
        grpo = cells[control.env_name, control.seed, "grpo"]
        assert dataclasses.replace(control, id=grpo.id, agent="grpo", agent_name="grpo") == grpo
