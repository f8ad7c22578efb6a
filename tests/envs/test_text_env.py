"""TextEnv: one response, what it tells, and what it refuses."""

from __future__ import annotations

import dataclasses
import math
import string

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from textgym.envs import Problem, StopReason, TextEnv
from textgym.envs.rewards import ExactMatch, Rubric
from textgym.envs.sources import ArithmeticSource, CopySource
from textgym.envs.text_env import MAX_CHARS, step_together


class Parrot(TextEnv):
    """A game that repeats what it hears until it hears "stop"; worth 1 if the last word is the answer."""

    def reply(self, response):
        return StopReason.GAME_OVER if response == "stop" else f"You said {response}."


@pytest.fixture
def env():
    env = TextEnv(ArithmeticSource(), ExactMatch())
    env.reset(seed=0)
    return env


def test_an_episode(env):
    prompt, info = env.reset(seed=1)
    question = [{"role": "user", "content": prompt}]
    assert prompt == env.problem.prompt and info == {"messages": question}
    observation, reward, terminated, truncated, info = env.step("nothing")
    assert (observation, reward, terminated, truncated) == ("", 0.0, True, False)
    assert info == {
        "messages": [*question, {"role": "assistant", "content": "nothing"}],
        "is_success": False,
        "stop_reason": "answer",
        "response": "nothing",
        "reward_status": "ok",
    }


def test_a_game_goes_on_until_it_says_why_it_ends():
    env = Parrot(CopySource(), ExactMatch(), render_mode="ansi")
    prompt, _ = env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step("hi")
    assert (observation, reward, terminated, truncated) == ("You said hi.", 0.0, False, False)
    assert [message["content"] for message in info["messages"]] == [prompt, "hi", "You said hi."]
    assert set(info) == {"messages"}
    observation, _, terminated, _, info = env.step("stop")
    assert (observation, terminated, info["stop_reason"]) == ("", True, "game_over")
    assert env.render().splitlines() == [
        f"[user] {prompt}",
        "[assistant] hi",
        "[user] You said hi.",
        "[assistant] stop",
    ]


def test_the_parts_of_a_rubric_are_in_the_info():
    env = TextEnv(ArithmeticSource(), Rubric({"exact": (ExactMatch(), 2.0), "again": (ExactMatch(), 1.0)}))
    env.reset(seed=0)
    _, reward, _, _, info = env.step(env.solution())
    assert reward == 3.0 and env.reward_range == (0.0, 3.0)
    assert (info["reward/exact"], info["reward/again"]) == (1.0, 1.0) and type(info["reward/exact"]) is float


def test_a_reward_that_raises_is_nan_and_says_so(moody):
    env = TextEnv(ArithmeticSource(), moody)
    env.reset(seed=0)
    with pytest.warns(RuntimeWarning, match="failed on 'boom': ZeroDivisionError"):
        _, reward, terminated, truncated, info = env.step("boom")
    assert math.isnan(reward) and terminated and not truncated
    assert info["reward_status"] == "error" and info["is_success"] is False


def test_a_timeout_is_nan_and_says_so(moody):
    env = TextEnv(ArithmeticSource(), moody)
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step("late")
    assert math.isnan(reward) and terminated
    assert info["reward_status"] == "timeout" and info["is_success"] is False and info["reward/length"] == 4.0


def test_envs_that_step_together_call_the_reward_once(moody):
    calls = []

    class Counting(type(moody)):
        def __call__(self, problems, responses):
            calls.append(list(responses))
            return super().__call__(problems, responses)

    envs = [TextEnv(ArithmeticSource(), Counting()) for _ in range(3)]
    for seed, env in enumerate(envs):
        env.reset(seed=seed)
    results = step_together(envs, ["a", "late", "c"])
    assert calls == [["a", "late", "c"]]
    assert [result[4]["reward_status"] for result in results] == ["ok", "timeout", "ok"]
    np.testing.assert_array_equal([result[1] for result in results], [1.0, math.nan, 1.0])


def test_a_bad_action_in_a_batch_changes_nothing():
    envs = [Parrot(CopySource(), ExactMatch()) for _ in range(2)]
    for env in envs:
        env.reset(seed=0)
    with pytest.raises(TypeError, match="got int: 7"):
        step_together(envs, ["a", 7])
    assert len(envs[0].messages) == 1
    assert [result[0] for result in step_together(envs, ["a", "b"])] == ["You said a.", "You said b."]


@pytest.mark.parametrize("action", [None, 3, b"3", ["3"], np.array("3")], ids=repr)
def test_an_action_is_a_string(env, action):
    with pytest.raises(TypeError, match=f"a str, got {type(action).__name__}"):
        env.step(action)
    env.step("")


def test_an_action_has_a_longest_length(env):
    with pytest.raises(ValueError, match="at most 1048576 characters, got 1048577"):
        env.step("x" * (MAX_CHARS + 1))
    assert env.step("x" * MAX_CHARS)[2]


def test_before_reset_and_after_the_end():
    env = TextEnv(ArithmeticSource(), ExactMatch())
    for call in (lambda: env.step("1"), env.solution):
        with pytest.raises(ResetNeeded):
            call()
    env.reset(seed=0)
    env.step("1")
    for call in (lambda: env.step("1"), env.solution):
        with pytest.raises(ResetNeeded):
            call()


def test_the_difficulty_of_one_episode():
    env = gym.make("TextMath-v0", difficulty=1).unwrapped
    env.reset(seed=0, options={"difficulty": 5})
    assert len(env.problem.prompt) > 40
    env.reset(seed=0)
    assert len(env.problem.prompt) < 20
    env.reset(options={"difficulty": 5, "problem": 2, "split": "test"})
    first = env.problem
    assert first.split == "test"
    env.reset(options={"difficulty": 5, "problem": 2, "split": "test"})
    assert env.problem == first


def test_a_small_split_has_an_end():
    env = gym.make("TextMath-v0", difficulty=1).unwrapped
    with pytest.raises(IndexError, match=r"problem 999 does not exist: ArithmeticSource.* has 2\d distinct 'train'"):
        env.reset(options={"problem": 999})


def test_options_are_left_as_they_were(env):
    options = {"split": "test", "difficulty": 2, "problem": 1}
    env.reset(options=options)
    assert options == {"split": "test", "difficulty": 2, "problem": 1}


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="render_mode must be None or 'ansi', got 'human'"):
        TextEnv(CopySource(), ExactMatch(), render_mode="human")
    with pytest.raises(ValueError, match=r"split must be one of .* got 'dev'"):
        TextEnv(CopySource(), ExactMatch(), split="dev")
    with pytest.raises(ValueError, match="CopySource has no difficulty"):
        TextEnv(CopySource(), ExactMatch()).reset(options={"difficulty": 1})


def test_spaces_hold_what_the_env_says_and_takes(env):
    assert "\N{SNOWMAN}\ud800" in env.action_space and "" in env.observation_space
    assert env.observation_space == env.action_space


def test_a_source_that_names_no_charset_has_printable_ascii():
    @dataclasses.dataclass(frozen=True)
    class Asks:
        def draw(self, rng):
            return Problem("Is it 1?", "yes")

    expected = set(string.printable) - set("\t\r\v\f")
    assert TextEnv(Asks(), ExactMatch()).charset == "".join(sorted(expected))
