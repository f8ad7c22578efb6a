"""``MonitorReward``: what is watched, at both levels and in vector envs, and the reward left alone."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import textgym  # noqa: F401  (registers the ids)
from textgym.envs import Score
from textgym.envs.rewards import ExactMatch, GoldReward
from textgym.wrappers import MonitorReward, VectorMonitorReward

NAMES = {f"monitor/{name}" for name in ("gold", "words", "distinct_1", "distinct_2", "repetition")}


class Length:
    """Pays for characters; fails on "!"."""

    range = (0.0, 100.0)

    def __call__(self, problems, responses):
        if "!" in responses:
            raise RuntimeError("broken")
        assert all(problem.prompt for problem in problems)
        return Score(np.array([float(len(r)) for r in responses]), np.ones(len(responses), bool))


def test_by_hand():
    env = MonitorReward(gym.make("TextRLHF-v0"), Length())
    env.reset(seed=0)
    *_, info = env.step("a b a b, A b!?")
    # a b a b a b: two of six words distinct, ab and ba of five pairs, aba and bab of four runs of three
    assert {name: info[name] for name in NAMES} == {
        "monitor/gold": 14.0, "monitor/words": 6.0, "monitor/distinct_1": pytest.approx(2 / 6),
        "monitor/distinct_2": pytest.approx(2 / 5), "monitor/repetition": 0.5,
    }  # fmt: skip
    assert all(type(info[name]) is float for name in NAMES)


def test_an_empty_response():
    env = MonitorReward(gym.make("TextCopy-v0"))
    env.reset(seed=0)
    *_, info = env.step("")
    assert [info[f"monitor/{name}"] for name in ("words", "distinct_1", "repetition")] == [0.0, 1.0, 0.0]
    assert "monitor/gold" not in info


def test_a_gold_reward_that_fails_is_nan_and_the_reward_is_paid():
    env = MonitorReward(gym.make("TextCopy-v0"), Length())
    env.reset(seed=0)
    with pytest.warns(RuntimeWarning, match="broken"):
        _, reward, *_, info = env.step("!")
    assert np.isnan(info["monitor/gold"]) and reward == 0.0


@pytest.mark.parametrize("env_id", ["TextCopy-v0", "TextCopyTokens-v0", "TextGuessNumber-v0"])
def test_nothing_else_changes(env_id):
    watched, plain = MonitorReward(gym.make(env_id), ExactMatch()), gym.make(env_id)
    for seed in range(3):
        assert repr(watched.reset(seed=seed)) == repr(plain.reset(seed=seed))
        watched.action_space.seed(seed)
        ended = False
        while not ended:
            action = watched.action_space.sample()
            *ours, info = watched.step(action)
            *theirs, plain_info = plain.step(action)
            ended = theirs[2]
            assert repr(ours) == repr(theirs)
            assert NAMES & info.keys() == (NAMES if ended else set())
            assert repr({k: v for k, v in info.items() if k not in NAMES}) == repr(plain_info)
        assert info["monitor/gold"] == ours[1]  # the env's own reward as gold


@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
def test_a_vector_env_gives_what_single_ones_give(mode):
    envs = VectorMonitorReward(gym.make_vec("TextRLHF-v0", num_envs=4, autoreset_mode=mode), GoldReward())
    single = MonitorReward(gym.make("TextRLHF-v0"), GoldReward())
    prompts, _ = envs.reset(seed=5)
    responses = [f"Gladly. The {prompts[0].split()[-2]} {prompts[0].split()[-1]} is quick.", "x", "no no", "x"]
    _, rewards, terminations, _, infos = envs.step(responses)
    found = infos["final_info"] if mode == "SameStep" else infos
    assert terminations.all()
    for row, response in enumerate(responses):
        single.reset(seed=5 + row)
        _, reward, *_, info = single.step(response)
        assert reward == rewards[row]
        for name in NAMES:
            assert found[f"_{name}"][row] and found[name][row] == info[name]
    assert found["monitor/identical"].tolist() == pytest.approx([0, 1 / 3, 0, 1 / 3])
    assert (found["monitor/gold"] == rewards).all()


def test_vector_envs_of_tokens_and_rows_that_go_on():
    envs = VectorMonitorReward(gym.make_vec("TextCopyTokens-v0", num_envs=2), ExactMatch())
    envs.reset(seed=0)
    stop = envs.unwrapped.tokenizer.stop_id
    other = next(token for token in np.flatnonzero(envs.action_masks()[0]) if token != stop)
    *_, infos = envs.step(np.array([other, other]))
    assert not any("monitor" in name for name in infos)
    *_, infos = envs.step(np.array([stop, other]))
    finals = infos["final_info"]
    assert finals["_monitor/gold"].tolist() == [True, False] and finals["monitor/identical"].tolist() == [0, 0]


def test_envs_without_text_are_refused():
    with pytest.raises(TypeError, match="none inside"):
        MonitorReward(gym.make("CartPole-v1"))
    with pytest.raises(TypeError, match="none inside"):
        VectorMonitorReward(gym.make_vec("CartPole-v1", num_envs=2))


@pytest.mark.parametrize(
    "gold", ["gold", GoldReward, lambda problems, responses: None], ids=["text", "class", "function"]
)
def test_what_is_no_reward_is_no_gold(gold):
    for make, wrapper in (gym.make, MonitorReward), (gym.make_vec, VectorMonitorReward):
        with pytest.raises(TypeError, match="gold must be an instance of a Reward, such as ExactMatch"):
            wrapper(make("TextCopy-v0"), gold=gold)


def test_spec_survives():
    env = MonitorReward(gym.make("TextCopy-v0"))
    again = gym.make(env.spec)
    again.reset(seed=0)
    assert "monitor/words" in again.step("x")[-1]


def test_an_agent_takes_a_watched_env():
    from textgym.agents import GRPO

    class Answer(ExactMatch):
        def __deepcopy__(self, memo):
            return self

    reward, gold = ExactMatch(), Answer()
    env = MonitorReward(gym.make("TextCopy-v0", reward=reward, max_length=3), gold)
    agent = GRPO("tiny", env, prompts_per_update=2, group_size=3, max_new_tokens=4)
    assert isinstance(agent.env, VectorMonitorReward) and agent.env.gold is gold and agent.env.num_envs == 6
    metrics = agent.update()
    assert metrics["monitor/gold"] == metrics["rollout/success_rate"] and metrics["monitor/words"] >= 0
    assert set(metrics) >= NAMES | {"monitor/identical"}
