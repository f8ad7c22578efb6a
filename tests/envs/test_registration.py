"""gym.make and gym.make_vec: what they accept, and how they say what they do not."""

from __future__ import annotations

import copy
import inspect
import re

import gymnasium as gym
import numpy as np
import pytest

from textgym.envs import ChatTokenizer, Score, TextEnv, TextVectorEnv, TokenEnv, TokenVectorEnv
from textgym.envs.registration import COMMON_SETTINGS, TASKS, make_env, register_envs
from textgym.envs.rewards import ExactMatch, Isolated, Rubric
from textgym.envs.rewards.judge import Judge, RuleBackend

MAKERS = pytest.mark.parametrize("make", [gym.make, gym.make_vec])


def test_the_classes_behind_the_ids():
    for name, task in TASKS.items():
        assert type(gym.make(f"{name}-v0").unwrapped) is task.env_class and issubclass(task.env_class, TextEnv)
        assert type(gym.make(f"{name}Tokens-v0").unwrapped) is TokenEnv
        assert type(gym.make_vec(f"{name}-v0")) is TextVectorEnv
        assert type(gym.make_vec(f"{name}Tokens-v0")) is TokenVectorEnv


def test_every_setting_of_the_table_is_json(env_id):
    assert env_id in gym.spec(env_id).to_json()


def test_registering_again_would_warn():
    with pytest.warns(UserWarning, match="Overriding environment"):
        register_envs()


def test_either_level_of_any_id():
    assert isinstance(gym.make("TextMath-v0", level="token").unwrapped, TokenEnv)
    env = gym.make("TextMathTokens-v0", level="sequence")
    assert isinstance(env.unwrapped, TextEnv) and re.fullmatch(r"\d+[+-]\d+=", env.reset(seed=0)[0])
    assert isinstance(gym.make_vec("TextMath-v0", level="token"), TokenVectorEnv)
    assert isinstance(gym.make_vec("TextMathTokens-v0", level="sequence"), TextVectorEnv)


def test_the_token_preset_has_the_settings_of_the_task():
    text, tokens = gym.make("TextMath-v0").unwrapped, gym.make("TextMathTokens-v0").unwrapped
    assert text.source.difficulty == tokens.text_env.source.difficulty == 2
    assert gym.make("TextMathTokens-v0", difficulty=1).unwrapped.text_env.source.difficulty == 1


def test_sizes_of_the_token_level():
    env = gym.make("TextCopyTokens-v0", window=11, max_tokens=3, layout="slots", dense=True).unwrapped
    assert (env.window, env.max_tokens, env.layout, env.dense) == (11, 3, "slots", True)
    assert env.observation_space.shape == (11,)
    default = gym.make("TextCopyTokens-v0").unwrapped
    assert (default.window, default.max_tokens) == (TASKS["TextCopy"].preset_window, TASKS["TextCopy"].max_tokens)


@MAKERS
@pytest.mark.parametrize(
    ("name", "kwargs", "error", "message"),
    [
        ("TextMath-v0", {"colour": 1, "size": 2}, TypeError, "TextMath has no setting 'colour', 'size'; it has diff"),
        ("TextCopyTokens-v0", {"difficulty": 1}, TypeError, "TextCopy has no setting 'difficulty'; it has min_length"),
        ("TextGSM8K-v0", {"lvl": 1}, TypeError, "it has path, .*, and as every task split, dense, level, tokenizer"),
        ("TextMath-v0", {"level": "word"}, ValueError, r"level must be one of \('sequence', 'token'\), got 'word'"),
        ("TextMath-v0", {"split": "dev"}, ValueError, "split must be one of .* got 'dev'"),
        ("TextMath-v0", {"difficulty": 6}, ValueError, "difficulty must be a whole number from 1 to 5, got 6"),
        ("TextMath-v0", {"difficulty": "2"}, ValueError, "difficulty must be .* got '2'"),
        ("TextMathTokens-v0", {"layout": "ring"}, ValueError, "layout must be one of .* got 'ring'"),
        ("TextMathTokens-v0", {"max_tokens": 16}, ValueError, "max_tokens=16, window=16"),
        ("TextCountdown-v0", {"dense": True}, ValueError, "TextCountdown has no partial credit, so dense=True"),
        ("TextMathTokens-v0", {"tokenizer": "no/such-model"}, FileNotFoundError, "no/such-model"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(make, name, kwargs, error, message):
    with pytest.raises(error, match=message):
        make(name, **kwargs)


def test_the_common_settings_are_the_arguments():
    arguments = list(inspect.signature(make_env).parameters)
    assert sorted(arguments) == sorted(["name", *COMMON_SETTINGS, "settings"])


@MAKERS
@pytest.mark.parametrize("name", ["TextMath-v0", "TextMathTokens-v0"])
@pytest.mark.parametrize("argument", [{"tokenizer": "tiny"}, {"window": 99}, {"max_tokens": 3}, {"layout": "slots"}])
def test_arguments_of_the_token_level_are_refused_at_the_other(make, name, argument):
    with pytest.raises(ValueError, match=f"{next(iter(argument))}: for level='token' only"):
        make(name, level="sequence", **argument)


def test_a_bad_render_mode_is_named():
    with pytest.raises(TypeError, match="render_mode must be None or 'ansi', got 'human'"):
        gym.make_vec("TextMath-v0", render_mode="human")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, FileNotFoundError, r"no such file: '.*words\.jsonl'"),
        ("", ValueError, r"words\.jsonl holds no problems"),
        ('{"question": "1?", "answer": "#### 1"}\n{oops', ValueError, r"words\.jsonl, line 2: not JSON"),
        ('{"question": "1?"}', ValueError, r"words\.jsonl, line 1: 'answer' must be text, got None"),
        ('{"question": "1?", "answer": "one"}', ValueError, r"words\.jsonl, line 1: no '#### ' answer"),
    ],
    ids=["missing", "empty", "no JSON", "no answer", "no number"],
)
def test_a_bad_data_file_is_named(tmp_path, content, error, message):
    path = tmp_path / "words.jsonl"
    if content is not None:
        path.write_text(content)
    for name in ("TextGSM8K-v0", "TextGSM8KTokens-v0"):
        env = gym.make(name, path=str(path))
        for options in ({}, {"problem": 0}, {"problem": 0}):
            with pytest.raises(error, match=message):
                env.reset(seed=0, options=options)


def test_a_tokenizer_can_be_passed_and_survives_the_copies_of_a_spec():
    class Tiny:
        """As much of a transformers tokenizer as the constructor looks at."""

        eos_token_id, pad_token_id, all_special_ids = 1, None, (1,)

        def __len__(self):
            return 9

    tokenizer = ChatTokenizer(Tiny())
    env = gym.make("TextMath-v0", level="token", tokenizer=tokenizer)
    assert env.unwrapped.tokenizer is env.spec.kwargs["tokenizer"] is tokenizer


class Length:
    """A model of a reward: 1 for each character less than 100, a success from 0.03 on."""

    range = (-1.0, 1.0)
    snapshot = "weights-1"

    def __deepcopy__(self, memo):
        return self

    def __call__(self, problems, responses):
        total = np.array([len(response) / 100 for response in responses])
        return Score(total, total >= 0.03, {"uncertainty": total / 2})


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_takes_another_reward(name):
    env = gym.make(f"{name}-v0", reward=Length()).unwrapped
    walls = 32.0 if name == "TextMaze" else 0.0
    assert env.reward_range == (-1.0 - walls, 1.0) and isinstance(env.reward, Length)
    assert env.reset(seed=0)[1]["reward_snapshot"] == "weights-1"
    if type(env) is TextEnv:
        _, reward, terminated, _, info = env.step("four")
        assert (reward, terminated, info["is_success"], info["reward/uncertainty"]) == (0.04, True, True, 0.02)
        env.reset(seed=0)
        assert env.step("")[-1]["is_success"] is False


def test_another_reward_at_the_token_level_arrives_with_the_stop_token():
    env = gym.make("TextCopyTokens-v0", reward=Length()).unwrapped
    assert env.reset(seed=0)[1]["reward_snapshot"] == "weights-1"
    digit = int(np.flatnonzero(env.action_masks())[-1])
    steps = [env.step(action) for action in (digit, digit, digit, env.tokenizer.stop_id)]
    assert [step[1] for step in steps] == [0.0, 0.0, 0.0, 0.03] and steps[-1][2]
    assert env.reward_range == (-1.0, 1.0) and steps[-1][-1]["is_success"]


@pytest.mark.parametrize("name", ["TextCopy-v0", "TextCopyTokens-v0"])
def test_vector_envs_share_another_reward(name):
    reward = Length()
    envs = gym.make_vec(name, num_envs=3, reward=reward, autoreset_mode="Disabled")
    assert all(env.reward is reward for env in envs.unwrapped.envs) and envs.unwrapped.reward_range == (-1.0, 1.0)
    assert list(envs.reset(seed=0)[1]["reward_snapshot"]) == ["weights-1"] * 3


@pytest.mark.parametrize(
    "reward",
    [Length(), Judge(backend=RuleBackend()), Isolated("textgym.envs.rewards:ExactMatch"), *[
        Rubric({"length": (Length(), 1.0), "judge": (Judge(backend=RuleBackend()), 1.0)})
    ]],
    ids=lambda reward: type(reward).__name__,
)  # fmt: skip
def test_another_reward_survives_the_copies_of_a_spec(reward):
    env = gym.make("TextCopy-v0", reward=reward)
    again = gym.make_vec(env.spec, num_envs=2)
    ours = again.unwrapped.envs[0].reward
    if isinstance(reward, Rubric):
        assert [part for part, _ in ours.rewards.values()] == [part for part, _ in reward.rewards.values()]
    else:
        assert ours is reward
    again.reset(seed=0)
    again.step(["x", "y"])


def test_the_rewards_of_all_tasks_can_be_copied():
    for name in TASKS:
        copy.deepcopy(gym.make(f"{name}-v0").unwrapped.reward)


@MAKERS
@pytest.mark.parametrize(
    ("reward", "error", "message"),
    [
        (ExactMatch, TypeError, "reward must be an instance of a Reward"),
        (lambda completions: [0.0 for _ in completions], TypeError, r"for a plain function there is textgym.make_env"),
        ("exact", TypeError, "reward must be an instance of a Reward, .* got 'exact'"),
    ],
    ids=["class", "function", "text"],
)
def test_what_is_no_reward_is_refused(make, reward, error, message):
    with pytest.raises(error, match=message):
        make("TextCopy-v0", reward=reward)
    with pytest.raises(ValueError, match="dense=True asks for the task's own partial credit"):
        make("TextCopy-v0", reward=ExactMatch(), dense=True)
