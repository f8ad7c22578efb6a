"""YAML to cells: what is in each, what stays stable, and what is refused with a name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from textgym.agents.runs import make_config
from textgym.bench.contenders import CONTENDERS
from textgym.bench.matrix import Cell, Matrix, Protocol, read_matrix

SMALL: dict[str, Any] = {"envs": ["TextMath-v0"], "agents": ["grpo"], "seeds": [0]}


def matrix(**changes: Any) -> Matrix:
    return Matrix(**{**SMALL, **changes})


def test_a_file_becomes_all_pairs_of_envs_agents_policies_and_seeds(tmp_path: Path) -> None:
    (tmp_path / "hyper").mkdir()
    (tmp_path / "hyper/grpo.yml").write_text(
        "default: {learning_rate: 4e-4, group_size: 4}\nTextSort-v0: {group_size: 8}\n"
    )
    (tmp_path / "matrix.yml").write_text(
        """
        policies: [tiny, models/own]
        seeds: [3, 5]
        episodes: 100
        steps: 900
        hyperparams: hyper
        protocol: {points: 4, problems: 300}
        envs:
          - TextSort-v0
          - {id: TextMath-v0, name: sums, settings: {difficulty: 1}, token_settings: {dense: true}, steps: 50}
        agents:
          - {agent: grpo, hyperparameters: {n_epochs: 2}}
          - sb3_ppo
        """
    )
    cells = {cell.id: cell for cell in read_matrix(tmp_path / "matrix.yml").cells()}
    assert len(cells) == 2 * 2 * 2 + 2 * 2  # SB3 has no policy
    lm, classic = cells["sums--grpo--models-own--seed5"], cells["sums--sb3_ppo--seed3"]
    assert (lm.env, lm.env_kwargs, lm.budget, lm.policy) == ("TextMath-v0", {"difficulty": 1}, 100, "models/own")
    assert lm.hyperparameters == {"learning_rate": 4e-4, "group_size": 4, "n_epochs": 2}
    assert cells["TextSort--grpo--tiny--seed3"].hyperparameters["group_size"] == 8
    assert (classic.env, classic.env_kwargs, classic.budget) == ("TextMathTokens-v0", {"dense": True}, 50)
    assert cells["TextSort--sb3_ppo--seed3"].budget == 900
    assert lm.protocol == Protocol(points=4, problems=300)


def test_a_cell_survives_json() -> None:
    [cell] = matrix().cells()
    assert Cell.from_json(json.loads(json.dumps(dataclasses.asdict(cell)))) == cell


def test_warm_starts_come_first_and_the_others_begin_with_them() -> None:
    cells = matrix(warm_start={"episodes": 64, "learning_rate": 1e-3}, agents=["grpo", "sb3_a2c"]).cells()
    assert [cell.agent for cell in cells] == ["sft", "grpo", "sb3_a2c"]
    first, grpo, a2c = cells
    assert (first.budget, first.hyperparameters, first.begins_with) == (64, {"learning_rate": 1e-3}, None)
    assert (grpo.begins_with, a2c.begins_with) == (first.id, None)
    assert len(matrix(warm_start={"episodes": 64}, agents=["sb3_a2c"]).cells()) == 1  # nobody needs it


def test_what_no_seed_changes_is_run_once() -> None:
    cells = matrix(agents=["oracle", "warm_start", "random"], seeds=[0, 1, 2]).cells()
    assert [cell.agent_name for cell in cells] == ["oracle", "warm_start", "random", "random", "random"]


def test_seeds_come_one_after_the_other() -> None:
    """A benchmark that is stopped early has every pair of env and agent."""
    assert [cell.seed for cell in matrix(envs=["TextMath-v0", "TextSort-v0"], seeds=[0, 1]).cells()] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"envs": ["TextMaths-v0"]}, "no environment 'TextMaths-v0'; there are TextCopy-v0"),
        ({"envs": [{"id": "TextMath-v0", "settings": {"level_of": 1}}]}, "TextMath: .*no setting 'level_of'"),
        ({"envs": [{"id": "TextMath-v0", "settings": {"difficulty": 9}}]}, "TextMath: .*difficulty"),
        ({"envs": [{"id": "TextMath-v0", "token_settings": {"difficulty": 9}}]}, "TextMath: .*difficulty"),
        ({"envs": [{"id": "TextMath-v0", "settings": {"split": "test"}}]}, "train split"),
        ({"envs": [{"id": "TextMath-v0", "name": "../up"}]}, "name of an env"),
        ({"envs": [{"id": "TextMath-v0", "episodes": 0}]}, "episodes of TextMath must be >= 1"),
        ({"envs": ["TextMath-v0", "TextMath-v0"]}, "envs have the name TextMath twice"),
        ({"envs": []}, "envs must be a list"),
        ({"agents": ["grop"]}, "no agent 'grop'; there are reinforce, .*sb3_dqn"),
        ({"agents": [{"agent": "grpo", "hyperparameters": {"group": 2}}]}, "group"),
        ({"agents": [{"agent": "grpo", "hyperparameters": {"group_size": 1}}]}, "group_size must be >= 2"),
        ({"agents": [{"agent": "sb3_ppo", "hyperparameters": {"steps": 1}}]}, "sb3_ppo has no steps; it has n_envs"),
        ({"agents": ["grpo", {"agent": "ppo", "name": "grpo"}]}, "agents have the name grpo twice"),
        ({"seeds": [0, 0]}, "seeds have the name 0 twice"),
        ({"seeds": [-1]}, "seeds must be whole numbers"),
        ({"seeds": 3}, "seeds must be a list"),
        ({"episodes": 0}, "episodes must be >= 1"),
        ({"warm_start": {}}, "warm_start needs episodes"),
    ],
)  # fmt: skip
def test_bad_matrices_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        matrix(**changes).cells()


@pytest.mark.parametrize(
    "text, message",
    [
        ("envs: [TextMath-v0", "is not a matrix"),
        ("seeds: [0]\nseeds: [1]", "'seeds' stands twice in a mapping, again in line 2"),
        ("- TextMath-v0", "must be a mapping"),
        ("{envs: [TextMath-v0], agents: [grpo]}", "lacks seeds"),
        ("{envs: [TextMath-v0], agents: [grpo], seeds: [0], episode: 3}", "has no field 'episode'; it has envs"),
        ("{envs: [TextMath-v0], agents: [grpo], seeds: [0], protocol: {points: 0}}", "points of the protocol"),
        ("{envs: [TextMath-v0], agents: [grpo], seeds: [0], protocol: {point: 1}}", "protocol has no field 'point'"),
        (
            "{envs: [TextMath-v0], agents: [grpo], seeds: [0], protocol: {split: dev}}",
            "must be 'test' or 'train', got 'dev'",
        ),
        ("{envs: [TextMath-v0], agents: [grpo], seeds: [0], hyperparams: none}", "no folder of hyperparameters"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "matrix.yml").write_text(text)
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message):
        read_matrix(tmp_path / "matrix.yml")


def test_hyperparameters_for_an_env_that_does_not_exist_are_refused(tmp_path: Path) -> None:
    (tmp_path / "grpo.yml").write_text("default: {}\nTextMaths-v0: {group_size: 4}\n")
    with pytest.raises(ValueError, match=r"grpo\.yml has entries for TextMaths-v0"):
        matrix(hyperparams=tmp_path).cells()


def test_every_contender_that_learns_exists() -> None:
    for contender in CONTENDERS.values():
        if contender.kind == "learning":
            make_config(contender.agent, contender.preset)
    assert {name for name, c in CONTENDERS.items() if c.kind == "classic"} == {
        "sb3_ppo",
        "sb3_a2c",
        "sb3_dqn",
        "sb3_trpo",
    }
