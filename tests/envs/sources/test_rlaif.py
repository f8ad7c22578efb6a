"""RLAIFSource: its questions, its settings, and the judge that they name."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import textgym  # noqa: F401
from textgym.envs import TextEnv
from textgym.envs.rewards.judge import PRINCIPLES, Judge, RuleBackend, make_backend
from textgym.envs.sources import RLAIFSource
from textgym.envs.task import PRINTABLE

PROBLEMS = [RLAIFSource()[i] for i in range(len(RLAIFSource()))]


def test_there_are_enough_questions_and_none_twice():
    assert len(PROBLEMS) >= 40 and len({problem.key for problem in PROBLEMS}) == len(PROBLEMS)
    assert all(set(problem.prompt + problem.metadata["reference"]) <= set(PRINTABLE) for problem in PROBLEMS)


def test_every_reference_earns_everything_and_hardly_any_fits_another_question():
    env = TextEnv(RLAIFSource(), Judge(backend=RuleBackend(), concurrency=1))
    references = [problem.metadata["reference"] for problem in PROBLEMS]
    assert env.reward(PROBLEMS, references).total.tolist() == [1.0] * len(PROBLEMS)
    others = [env.reward(PROBLEMS, [reference] * len(PROBLEMS)).total for reference in references]
    assert (np.array(others).sum(1) - 1 <= 2).all()


def test_the_settings_name_the_judge():
    env = gym.make("TextRLAIF-v0", judge="openai:some-model", principles=["Be kind."], cache="verdicts.db")
    env.reset(seed=0)
    metadata = env.unwrapped.problem.metadata
    assert {name: metadata[name] for name in ("judge", "principles", "cache")} == {
        "judge": "openai:some-model",
        "principles": ("Be kind.",),
        "cache": "verdicts.db",
    }
    assert env.unwrapped.solution() is None


def test_a_judge_that_cannot_be_reached_is_an_error_and_no_reward(monkeypatch):
    pytest.importorskip("openai", reason="needs the extra [judge]")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    env = gym.make("TextRLAIF-v0", judge="openai:nobody", disable_env_checker=True)  # it warns of NaN
    make_backend("openai:nobody").retries = 0
    env.reset(seed=0)
    with pytest.warns(RuntimeWarning, match="nobody: no connection to"):
        _, reward, _, _, info = env.step("Some answer.")
    assert np.isnan(reward) and info["reward_status"] == "error" and info["is_success"] is False


def test_tokens_and_cost_are_in_the_info():
    env = gym.make("TextRLAIF-v0")
    env.reset(seed=0)
    info = env.step(env.unwrapped.solution())[-1]
    assert info["reward/judge_tokens"] == info["reward/judge_cost"] == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"judge": ""}, "judge must be"),
        ({"judge": 3}, "judge must be"),
        ({"principles": "Be kind."}, "principles must be a list"),
        ({"principles": [""]}, "principles must be a list"),
        ({"principles": [], "judge": "tiny"}, "principles must not be empty"),
        ({"principles": ["Be kind."]}, "'rules' has rules of its own"),
        ({"cache": ""}, "cache must be"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        RLAIFSource(**settings)
    assert RLAIFSource(principles=list(PRINCIPLES)) == RLAIFSource()
