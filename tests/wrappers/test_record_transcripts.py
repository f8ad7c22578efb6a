"""``RecordTranscripts``: one line an episode, at both levels."""

import json
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from textgym.wrappers import RecordTranscripts


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "transcripts.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_sequence_level(path):
    env = RecordTranscripts(gym.make("TextCopy-v0"), path)
    prompt, _ = env.reset(seed=0)
    env.step(env.unwrapped.solution())
    env.reset(seed=0)
    env.step("naïve \ud800 🙂")
    right, wrong = lines(path)
    assert right["messages"] == [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": prompt.removeprefix("Copy this text: ")},
    ]
    assert (right["reward"], right["is_success"], right["stop_reason"]) == (1.0, True, "answer")
    assert (wrong["reward"], wrong["is_success"]) == (0.0, False)
    assert wrong["messages"][1]["content"] == "naïve \ud800 🙂"


def test_a_game_is_one_line(path):
    env = RecordTranscripts(gym.make("TextGuessNumber-v0"), path)
    env.reset(seed=0)
    turns, ended = 0, False
    while not ended:
        _, _, ended, _, _ = env.step(env.unwrapped.solution())
        turns += 1
    (line,) = lines(path)
    assert len(line["messages"]) == 2 * turns
    assert line["stop_reason"] == "game_over"


def test_token_level_with_dense_reward(path):
    env = RecordTranscripts(gym.make("TextCopyTokens-v0", dense=True), path)
    env.reset(seed=0)
    for token in env.unwrapped.solution():
        env.step(np.int64(token))
    (line,) = lines(path)
    assert line["reward"] == pytest.approx(1.0)
    assert line["stop_reason"] == "stop_token"
    assert [message["role"] for message in line["messages"]] == ["user", "assistant"]


def test_an_unfinished_or_cut_episode(path):
    env = RecordTranscripts(gym.make("TextCopyTokens-v0", max_episode_steps=1), path)
    env.reset(seed=0)
    env.reset(seed=1)
    *_, truncated, _ = env.step(np.int64(1))
    assert truncated
    (line,) = lines(path)
    assert (line["is_success"], line["stop_reason"], len(line["messages"])) == (None, None, 1)


def test_a_reward_that_is_missing_is_null(path):
    env = RecordTranscripts(gym.make("TextCopy-v0"), path)
    env.reset(seed=0)
    env.unwrapped.reward = None  # calling it raises
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env.step("x")
    assert lines(path)[0]["reward"] is None


def test_spec_survives_json(path):
    env = RecordTranscripts(gym.make("TextCopy-v0"), path)
    spec = EnvSpec.from_json(env.spec.to_json())
    copy = gym.make(spec)
    prompt, _ = copy.reset(seed=0)
    copy.step(prompt)
    assert len(lines(path)) == 1
