"""Mixtures of tasks. Run: pytest tests/envs/test_mix.py"""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest

from textgym.envs import Problem, Score, TextEnv, TokenEnv
from textgym.envs.mix import MixReward, MixSource
from textgym.envs.registration import TASKS
from textgym.envs.rewards import ExactMatch, IncreasingRun
from textgym.envs.sources import ArithmeticSource, DyckSource, SortSource
from textgym.envs.task import draw_problem, problem_at


def draws(source: MixSource, n: int = 2_000) -> list[Problem]:
    rng = np.random.default_rng(0)
    return [source.draw(rng) for _ in range(n)]


def test_tasks_come_as_often_as_their_weights_say():
    source = MixSource(tasks={"TextSort": 1, "TextMath": 2.5, "TextDyck": {"weight": 0.5, "max_depth": 2}})
    counts = Counter(problem.metadata["task"] for problem in draws(source, 4_000))
    for name, share in ("TextSort", 0.25), ("TextMath", 0.625), ("TextDyck", 0.125):
        assert abs(counts[name] / 4_000 - share) < 4 * math.sqrt(share * (1 - share) / 4_000)
    assert {problem.metadata["task"] for problem in draws(MixSource(tasks={"TextDyck": 1e-9}), 5)} == {"TextDyck"}


def test_a_problem_is_one_of_its_task_with_that_task_s_settings():
    alone = {
        "TextMath": ArithmeticSource(difficulty=1),
        "TextSort": SortSource(kind="words"),
        "TextDyck": DyckSource(),
    }
    source = MixSource(tasks={"TextMath": {"difficulty": 1}, "TextSort": {"kind": "words"}, "TextDyck": 1.0})
    assert source.sources == alone
    for problem in draws(source, 100):
        original = problem.metadata["problem"]
        assert (problem.prompt, problem.answer, problem.key) == (original.prompt, original.answer, original.key)
        assert problem.split == original.split
        assert source.solution(problem) == alone[problem.metadata["task"]].solution(original)
    assert MixSource(tasks={"TextMath": 1}).sources["TextMath"].difficulty == TASKS["TextMath"].settings["difficulty"]


def test_the_splits_are_those_of_the_tasks():
    source = MixSource()
    rng = np.random.default_rng(0)
    for split in "train", "test":
        drawn = [draw_problem(source, rng, split) for _ in range(200)]
        assert {problem.metadata["problem"].split for problem in drawn} == {split}
        assert {problem.metadata["task"] for problem in drawn} == {"TextMath", "TextSort", "TextDyck"}
        assert problem_at(source, 3, split).split == split


def test_the_order_of_the_tasks_means_nothing_and_settings_survive_json_and_pickle():
    one = MixSource(tasks={"TextSort": 1, "TextMath": {"difficulty": 1}})
    other = MixSource(tasks={"TextMath": {"weight": 1.0, "difficulty": 1}, "TextSort": {"weight": 1}})
    for copy in other, MixSource(**json.loads(json.dumps(dataclasses.asdict(one)))), pickle.loads(pickle.dumps(one)):
        assert copy == one and hash(copy) == hash(one) and draws(copy, 20) == draws(one, 20)
    assert one != MixSource(tasks={"TextSort": 1, "TextMath": 1})
    given = {"TextMath": {"weight": 2}}
    source = MixSource(tasks=given)
    given["TextMath"]["weight"] = 5
    assert source.tasks == {"TextMath": {"weight": 2.0}}


def test_difficulty_is_for_the_tasks_that_have_one():
    source = MixSource(tasks={"TextMath": {"difficulty": 4}, "TextSort": 1.0}, difficulty=1)
    assert source.sources["TextMath"] == ArithmeticSource(difficulty=1)
    env = gym.make("TextMix-v0", tasks={"TextMath": 1.0})
    assert "What is" in env.reset(seed=0, options={"difficulty": 1})[0]
    for kwargs in {"tasks": {"TextSort": 1}}, {"tasks": {"TextSort": 1, "TextDyck": 1}}:
        with pytest.raises(ValueError, match=r"difficulty is 2, but none of .*TextSort has one"):
            MixSource(**kwargs, difficulty=2)
    with pytest.raises(ValueError, match="difficulty must be a whole number from 1 to 5, got 9"):
        MixSource(difficulty=9)


@pytest.mark.parametrize(
    ("tasks", "error", "message"),
    [
        ({}, ValueError, "tasks must be weights by the names of tasks"),
        (["TextMath"], ValueError, r"tasks must be weights .* got \['TextMath'\]"),
        ({"TextNone": 1}, ValueError, "there is no task 'TextNone' to be mixed; there are TextCopy, "),
        ({"TextMath-v0": 1}, ValueError, "there is no task 'TextMath-v0'"),
        ({"TextMath": 1, 3: 1}, ValueError, "there is no task 3 to be mixed"),
        ({"TextMix": 1}, ValueError, "TextMix is a mixture itself: put its tasks and their weights into this one"),
        ({"TextMath": 1, "TextMaze": 1}, ValueError, "TextMaze is played over several turns"),
        ({"TextGuessNumber": 1}, ValueError, "TextGuessNumber is played over several turns"),
        ({"TextMath": 0}, ValueError, "the weight of TextMath must be a positive number, got 0"),
        ({"TextMath": -1.0}, ValueError, "the weight of TextMath"),
        ({"TextMath": math.nan}, ValueError, "the weight of TextMath"),
        ({"TextMath": math.inf}, ValueError, "the weight of TextMath"),
        ({"TextMath": True}, ValueError, "the weight of TextMath"),
        ({"TextMath": "2"}, ValueError, "the weight of TextMath must be a positive number, got '2'"),
        ({"TextMath": {"weight": None}}, ValueError, "the weight of TextMath"),
        ({"TextMath": {"colour": 1}}, TypeError, "TextMath has no setting 'colour'; it has difficulty"),
        ({"TextMath": {"difficulty": 7}}, ValueError, "difficulty must be .* got 7"),
        ({"TextMath": {"template": 1j}}, ValueError, "the settings of TextMath must be as in JSON"),
    ],
    ids=str,
)
def test_wrong_tasks_are_named(tasks, error, message):
    with pytest.raises(error, match=message):
        MixSource(tasks=tasks)


# --- rewards ----------------------------------------------------------------------------------------------------------


class Counting(ExactMatch):
    """Counts its calls, and has a part."""

    time_limit = 3.0

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, problems, responses):
        self.batches.append([problem.prompt for problem in problems])
        if "boom" in responses:
            raise ZeroDivisionError
        score = super().__call__(problems, responses)
        return Score(score.total, score.success, {"length": np.array([float(len(r)) for r in responses])})


def of(task: str, prompt: str, answer: str | None) -> Problem:
    return Problem(prompt, answer, {"task": task, "problem": Problem(prompt, answer, {"low": 0})})


def test_each_task_s_reward_is_called_once_with_the_problems_as_they_were():
    reward = MixReward({"a": Counting(), "b": Counting()})
    problems = [of("a", "1", "x"), of("b", "2", "x"), of("a", "3", "x"), of("b", "4", "y")]
    score = reward(problems, ["x", "x", "y", "y"])
    assert score.total.tolist() == [1, 1, 0, 1] and score.success.tolist() == [True, True, False, True]
    assert reward.rewards["a"].batches == [["1", "3"]] and reward.rewards["b"].batches == [["2", "4"]]
    assert score.status == ["ok"] * 4 and score.parts["length"].tolist() == [1.0] * 4
    assert len(reward([], []).total) == 0


def test_a_reward_that_fails_costs_its_own_items_alone():
    reward = MixReward({"a": Counting(), "b": ExactMatch()})
    problems = [of("a", "1", "x"), of("b", "2", "x"), of("a", "3", "x"), of("b", "4", None)]
    with pytest.warns(RuntimeWarning):
        score = reward(problems, ["boom", "x", "x", "x"])
    assert score.status == ["error", "ok", "ok", "error"]
    assert score.total[1:3].tolist() == [1, 1] and np.isnan(score.total[[0, 3]]).all()
    assert np.isnan(score.parts["length"][[0, 1, 3]]).all() and score.parts["length"][2] == 1


def test_what_it_says_of_itself_is_what_its_parts_say():
    plain = MixReward({"a": ExactMatch()})
    assert (plain.range, plain.partial, plain.open, plain.time_limit) == ((0.0, 1.0), False, False, None)
    mixed = MixReward({"a": Counting(), "b": IncreasingRun()})
    assert mixed.partial and mixed.time_limit == 3.0
    wide = ExactMatch()
    wide.range = (-1.0, 1.0)
    with pytest.raises(ValueError, match="mixed tasks must pay in one range"):
        MixReward({"a": wide, "b": ExactMatch()})


# --- environments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["TextMix-v0", "TextMixTokens-v0"])
def test_info_names_the_task_at_reset_and_at_the_end(name):
    env = gym.make(name).unwrapped
    seen = set()
    for seed in range(20):
        _, info = env.reset(seed=seed)
        text_env: TextEnv = env.text_env if isinstance(env, TokenEnv) else env
        task = info["task"]
        assert task == text_env.problem.metadata["task"]
        seen.add(task)
        actions = env.solution() if isinstance(env, TokenEnv) else [env.solution()]
        for action in actions[:-1]:
            assert "task" not in env.step(action)[4]
        *_, terminated, _, info = env.step(actions[-1])
        assert terminated and info["task"] == task and info["is_success"]
    assert seen == {"TextMath", "TextSort", "TextDyck"}


def test_a_vector_env_judges_all_tasks_in_one_step():
    env = gym.make_vec("TextMix-v0", num_envs=12, group_size=2, tasks={"TextMath": 1, "TextBBH": 1})
    _, info = env.reset(seed=0)
    tasks = info["task"].tolist()
    assert tasks[::2] == tasks[1::2] and set(tasks) == {"TextMath", "TextBBH"}
    solutions = [text_env.solution() for text_env in env.envs]
    _, rewards, _, _, info = env.step([s if i % 2 else "" for i, s in enumerate(solutions)])
    assert rewards.tolist() == [0.0, 1.0] * 6
    assert info["task"].tolist() == tasks


def test_dense_pays_what_the_tasks_pay_and_the_others_in_the_end():
    env = gym.make("TextMix-v0", dense=True, tasks={"TextSort": 1, "TextBBH": 1}).unwrapped
    partial = set()
    for seed in range(12):
        _, info = env.reset(seed=seed)
        reward = env.step(env.solution()[:-1])[1]
        if 0 < reward < 1:
            partial.add(info["task"])
    assert partial == {"TextSort"}


def test_the_snapshot_names_those_of_its_models():
    class Model(ExactMatch):
        snapshot = "1a"

    assert MixReward({"TextSort": Model(), "TextMath": ExactMatch()}).snapshot == "TextSort=1a"
    assert MixReward({"TextMath": ExactMatch()}).snapshot is None
