"""Results as matrices: what is measured by what, and what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from textgym.bench.results import normalizable, normalized_scores


def result(agent: str, env: str, seed: int, score: float, before: float = 0.0, name: str = "") -> dict[str, Any]:
    policy = None if agent in ("sb3_ppo", "random", "oracle") else "tiny"
    cell = {"agent": agent, "agent_name": name or agent, "env_name": env, "seed": seed, "policy": policy}
    return {"cell": cell, "score": score, "before": {"greedy": before}}


RESULTS = [
    *(result("oracle", env, 0, 1.0) for env in "ab"),
    *(result("random", env, seed, 0.1 + 0.2 * seed) for env in "ab" for seed in (0, 1)),  # mean 0.2
    *(result("grpo", env, seed, 0.5 + 0.5 * seed, before=0.5) for env in "ab" for seed in (0, 1)),
    result("sb3_ppo", "a", 0, 0.6), result("sb3_ppo", "b", 0, 0.2), result("sb3_ppo", "a", 1, 1.0),
    result("sft", "a", 7, 0.5, name="warm-start"),
]  # fmt: skip


def test_scores_are_measured_by_the_beginning_of_each_agent() -> None:
    scores = normalized_scores(RESULTS, ["a", "b"])
    np.testing.assert_allclose(scores["grpo (tiny)"].values, [[0, 0], [1, 1]])
    np.testing.assert_allclose(scores["sb3_ppo"].values, [[0.5, 0.0]])  # (0.6 - 0.2) / 0.8; seed 1 lacks b
    assert scores["sb3_ppo"].seeds == [0]
    assert set(scores) == {"grpo (tiny)", "sb3_ppo", "random", "oracle"}


def test_fewer_envs_have_more_seeds() -> None:
    assert normalized_scores(RESULTS, ["a"])["sb3_ppo"].seeds == [0, 1]


def test_envs_without_room_or_oracle_are_not_normalizable() -> None:
    perfect = [result("oracle", "c", 0, 1.0), result("random", "c", 0, 0.0), result("grpo", "c", 0, 1.0, before=1.0)]
    assert normalizable(RESULTS + perfect + [result("grpo", "d", 0, 1.0)]) == ["a", "b"]
    with pytest.raises(ValueError, match="room"):
        normalized_scores(RESULTS + perfect, ["c"])
    with pytest.raises(ValueError, match="no finished cell of oracle on d"):
        normalized_scores([*RESULTS, result("grpo", "d", 0, 1.0)], ["d"])
