"""Our agents in other people's tools, and their tools around our envs.

stable-baselines3's ``evaluate_policy`` on our agents; Gymnasium's wrappers and vector envs around both levels; and a
single-file PPO that knows Gymnasium only (``examples/cleanrl_ppo.py``).
"""

from __future__ import annotations

import itertools
import runpy
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import (
    FlattenObservation,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    RecordVideo,
    RenderCollection,
    TimeLimit,
    TransformAction,
    TransformObservation,
    TransformReward,
)
from gymnasium.wrappers import vector as vector_wrappers

import textgym  # noqa: F401

CLEANRL = Path(__file__).parents[1] / "examples" / "cleanrl_ppo.py"
IDS = ["TextCopy-v0", "TextCopyTokens-v0", "TextGuessNumber-v0", "TextGuessNumberTokens-v0"]
MODES = ["SameStep", "Disabled"]
N = 4


def answer(env):
    """The actions of a perfect response to the current state: one text, or its tokens."""
    solution = env.unwrapped.solution()
    return [solution] if isinstance(solution, str) else solution


def play(env, limit=100):
    """Play perfectly from a state that ``reset`` has made; return the result of each step."""
    results = []
    while len(results) < limit:
        for action in answer(env):
            results.append(env.step(action))
            if results[-1][2] or results[-1][3]:
                return results
    raise AssertionError("the episode does not end")


# Agents of ours, judged by stable-baselines3.


@pytest.fixture(scope="module", params=["GRPO", "PPO"])
def agent(request):
    import textgym.agents

    make = getattr(textgym.agents, request.param)
    return make("tiny", "TextMath-v0", prompts_per_update=2, max_new_tokens=8)


def by_hand(agent, env, seed, episodes):
    """Returns and lengths of the greedy policy, played in a plain loop."""
    returns, lengths = [], []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed if episode == 0 else None)
        returns.append(0.0)
        lengths.append(0)
        over = False
        while not over:
            action, _ = agent.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            returns[-1] += reward
            lengths[-1] += 1
            over = terminated or truncated
    return returns, lengths


def test_sb3_evaluates_whole_responses(agent):
    """In our ``GymnasiumVecEnv``: SB3's own ``DummyVecEnv`` holds numbers only."""
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecMonitor

    from textgym.agents.sb3 import GymnasiumVecEnv

    vec_env = VecMonitor(GymnasiumVecEnv(gym.make_vec("TextMath-v0", num_envs=12)))
    vec_env.seed(5)
    returns, lengths = evaluate_policy(agent, vec_env, n_eval_episodes=24, return_episode_rewards=True)
    env = gym.make("TextMath-v0")
    first, second = zip(*[by_hand(agent, env, 5 + i, 2)[0] for i in range(12)], strict=True)
    assert returns == [*first, *second] and lengths == [1] * 24
    assert 0 < np.mean(returns) < 1  # both right and wrong answers
    vec_env.seed(5)
    mean, deviation = evaluate_policy(agent, vec_env, n_eval_episodes=24)
    assert (mean, deviation) == pytest.approx((np.mean(returns), np.std(returns)))


def test_sb3_evaluates_tokens(agent):
    """In SB3's own ``DummyVecEnv`` around one env, and in ours around many."""
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    from textgym.agents.sb3 import make_vec_env

    kwargs = {"level": "token", "tokenizer": agent.policy.tokenizer, "window": 64, "max_tokens": 8}
    env = gym.make("TextMath-v0", **kwargs)
    expected = by_hand(agent, env, 5, 6)
    assert expected[0] == by_hand(agent, gym.make("TextMath-v0"), 5, 6)[0], "the levels differ"
    assert min(expected[1]) > 1 and len(set(expected[0])) == 2
    theirs = DummyVecEnv([lambda: Monitor(env)])
    theirs.seed(5)
    assert evaluate_policy(agent, theirs, n_eval_episodes=6, return_episode_rewards=True) == expected
    ours = make_vec_env("TextMath-v0", 4, seed=5, **kwargs)
    returns, lengths = evaluate_policy(agent, ours, n_eval_episodes=4, return_episode_rewards=True)
    first = [by_hand(agent, env, 5 + i, 1) for i in range(4)]
    assert sorted(zip(returns, lengths, strict=True)) == sorted((r[0], n[0]) for r, n in first)


# Gymnasium's wrappers around single envs.


@pytest.mark.parametrize("env_id", IDS)
def test_the_passive_checker_sees_nothing_wrong(env_id):
    env = PassiveEnvChecker(gym.make(env_id, disable_env_checker=True).unwrapped)
    env.reset(seed=0)
    assert play(env)[-1][2]
    env.action_space.seed(0)
    env.reset(seed=1)
    while not env.step(env.action_space.sample())[2]:
        pass


@pytest.mark.parametrize("env_id", IDS)
def test_rewards_are_transformed_and_counted(env_id):
    env = RecordEpisodeStatistics(gym.make(env_id))
    env = RecordEpisodeStatistics(TransformReward(env, lambda reward: 3.0 * reward - 1.0), stats_key="shaped")
    env.reset(seed=0)
    steps = play(env)
    info = steps[-1][4]
    assert info["episode"]["l"] == info["shaped"]["l"] == len(steps)
    assert info["episode"]["r"] == 1.0
    assert info["shaped"]["r"] == pytest.approx(3.0 - len(steps)) == sum(step[1] for step in steps)


@pytest.mark.parametrize("env_id", IDS[1:])
@pytest.mark.parametrize("make", [lambda env_id: TimeLimit(gym.make(env_id), 2), None], ids=["wrapper", "make"])
def test_a_time_limit_truncates_what_the_task_has_not_ended(env_id, make):
    env = make(env_id) if make else gym.make(env_id, max_episode_steps=2)
    is_text = isinstance(env.action_space, gym.spaces.Text)
    action = "1" if is_text else env.unwrapped.tokenizer.encode_response("1")[0]
    env.reset(seed=0)
    assert env.step(action)[2:4] == (False, False)
    *_, terminated, truncated, info = env.step(action)
    assert (terminated, truncated) == (False, True) and "is_success" not in info
    env.reset()
    assert env.step(action)[2:4] == (False, False)


def test_a_time_limit_that_is_long_enough_never_shows():
    for env_id in IDS:
        env = TimeLimit(gym.make(env_id), 1_000)
        env.reset(seed=0)
        assert {step[3] for step in play(env)} == {False}


def test_observations_and_actions_of_texts_are_transformed():
    env = gym.make("TextCopy-v0", alphabet="ab")
    env = TransformAction(env, lambda text: text.lower().strip(), env.action_space)
    env = TransformObservation(env, str.upper, env.observation_space)
    observation, _ = env.reset(seed=0)
    assert observation.startswith("COPY THIS TEXT: ")
    assert env.step(observation.removeprefix("COPY THIS TEXT: ") + "\n")[1] == 1.0


def test_observations_of_tokens_are_flattened():
    env = gym.make("TextCopyTokens-v0")
    flat = FlattenObservation(gym.make("TextCopyTokens-v0"))
    classes = int(env.observation_space.nvec[0])
    observation, flattened = env.reset(seed=0)[0], flat.reset(seed=0)[0]
    for action in answer(env):
        np.testing.assert_array_equal(flattened, np.eye(classes)[observation].ravel())
        assert flat.observation_space.contains(flattened)
        observation, flattened = env.step(action)[0], flat.step(action)[0]


def test_frames_are_texts(tmp_path):
    env = RenderCollection(gym.make("TextGuessNumber-v0", render_mode="ansi"))
    env.reset(seed=0)
    steps = play(env)
    frames = env.render()
    assert len(frames) == len(steps) + 1
    for frame, longer in itertools.pairwise(frames):
        assert longer.startswith(frame) and len(longer) > len(frame)
    with pytest.raises(ValueError, match="incompatible with RecordVideo"):
        RecordVideo(gym.make("TextCopy-v0", render_mode="ansi"), str(tmp_path))


# Gymnasium's vector envs and vector wrappers.


def actions_of(vector, rng):
    """Perfect responses for about half of the sub-envs, in the form that the vector env takes."""
    if isinstance(vector.single_action_space, gym.spaces.Discrete):
        return rng.integers(0, vector.single_action_space.n, vector.num_envs)
    return tuple(env.solution() if rng.random() < 0.5 else "no" for env in vector.unwrapped.envs)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("env_id", IDS[:2])
def test_gymnasiums_vector_envs_play_the_same(env_id, mode):
    kwargs = {"autoreset_mode": AutoresetMode.SAME_STEP}
    if mode == "async":
        kwargs |= {"shared_memory": False, "context": "spawn"}
    ours = gym.make_vec(env_id, num_envs=2, autoreset_mode="SameStep")
    theirs = gym.make_vec(env_id, num_envs=2, vectorization_mode=mode, vector_kwargs=kwargs)
    rng, ends = np.random.default_rng(0), 0
    try:
        np.testing.assert_array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
        for _ in range(40):
            actions = actions_of(ours, rng)
            our, their = ours.step(actions), theirs.step(actions)
            for mine, other in zip(our[:4], their[:4], strict=True):
                np.testing.assert_array_equal(mine, other)
            over = our[2]
            ends += over.sum()
            for i in np.flatnonzero(over):
                np.testing.assert_array_equal(our[4]["final_obs"][i], their[4]["final_obs"][i])
                assert our[4]["final_info"]["response"][i] == their[4]["final_info"]["response"][i]
    finally:
        theirs.close()
    assert ends > 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", IDS)
def test_vector_wrappers_count_and_transform(env_id, mode):
    """Each episode adds up to what its sub-env paid, thrice that minus 1 for each step."""
    rewards_of = []
    dense = {"dense": True} if "Copy" in env_id else {}
    env = gym.make_vec(env_id, num_envs=N, autoreset_mode=mode, **dense)
    env = vector_wrappers.RecordEpisodeStatistics(vector_wrappers.TransformReward(env, spy(rewards_of)))
    env.reset(seed=0)
    rng, totals, lengths, episodes = np.random.default_rng(0), np.zeros(N), np.zeros(N, int), []
    for step in range(150):
        _, rewards, terminated, truncated, info = env.step(actions_of(env, rng))
        np.testing.assert_array_equal(rewards, 3.0 * rewards_of[step] - 1.0)
        assert not truncated.any()
        totals += rewards_of[step]
        lengths += 1
        if not terminated.any():
            assert "episode" not in info
            continue
        np.testing.assert_array_equal(info["_episode"], terminated)
        np.testing.assert_array_equal(info["episode"]["l"], np.where(terminated, lengths, 0))
        np.testing.assert_allclose(info["episode"]["r"], np.where(terminated, 3.0 * totals - lengths, 0), atol=1e-12)
        episodes += totals[terminated].tolist()
        totals[terminated], lengths[terminated] = 0.0, 0
        if mode == "Disabled":
            env.reset(options={"reset_mask": terminated})
    assert env.episode_count == len(episodes) > N
    if env_id != "TextGuessNumberTokens-v0":  # random tokens guess nothing
        assert 0 < np.mean(episodes) < 0.8


def spy(rewards_of):
    """A transformation that writes down what it was given."""

    def transform(rewards):
        rewards_of.append(rewards.copy())
        return 3.0 * rewards - 1.0

    return transform


def test_observations_of_a_token_vector_env_are_flattened():
    """Gymnasium's own rule: with SAME_STEP autoreset a vector wrapper of observations is refused."""
    env = gym.make_vec("TextCopyTokens-v0", num_envs=2, autoreset_mode="Disabled")
    flat = vector_wrappers.FlattenObservation(gym.make_vec("TextCopyTokens-v0", num_envs=2, autoreset_mode="Disabled"))
    classes = np.eye(int(env.single_observation_space.nvec[0]))
    for observation, flattened in [
        (env.reset(seed=0)[0], flat.reset(seed=0)[0]),
        (env.step(np.array([1, 2]))[0], flat.step(np.array([1, 2]))[0]),
    ]:
        np.testing.assert_array_equal(flattened, classes[observation].reshape(2, -1))
    with pytest.raises(ValueError, match="autoreset_mode"):
        vector_wrappers.FlattenObservation(gym.make_vec("TextCopyTokens-v0", num_envs=2))


# A trainer that knows Gymnasium only.


class OneState(gym.Env):
    """Pays 1 for the only action; each episode has one step, and ends as it is told to."""

    observation_space = gym.spaces.MultiDiscrete([1])
    action_space = gym.spaces.Discrete(1)

    def __init__(self, truncates):
        self.truncates = truncates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.int64), {}

    def step(self, action):
        return np.zeros(1, np.int64), 1.0, not self.truncates, self.truncates, {}


@pytest.mark.parametrize(("truncates", "expected"), [(False, 1.0), (True, 2.0)], ids=["terminated", "truncated"])
def test_cleanrl_ppo_bootstraps_where_it_was_cut(truncates, expected):
    """V = 1 where each step is the last; V = 1 + V / 2 where it would have gone on."""
    import torch

    torch.manual_seed(0)
    train = runpy.run_path(str(CLEANRL))["train"]
    train.__globals__.update(GAMMA=0.5, NUM_STEPS=8)
    envs = gym.vector.SyncVectorEnv([lambda: OneState(truncates)] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    _, critic = train(vector_wrappers.RecordEpisodeStatistics(envs), updates=60)
    assert critic(torch.zeros(1, 1, dtype=torch.long)).item() == pytest.approx(expected, abs=0.1)


def test_sb3s_eval_callback_watches_an_agent(tmp_path):
    """It looks for SB3's names on the agent."""
    from stable_baselines3.common.callbacks import EvalCallback

    from textgym.agents import GRPO

    agent = GRPO("tiny", "TextMath-v0", max_new_tokens=4, prompts_per_update=2, group_size=2)
    evaluation = EvalCallback(
        gym.make("TextMath-v0"), n_eval_episodes=4, eval_freq=2, log_path=str(tmp_path), verbose=0, warn=False
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Training and eval env are not of the same type")
        agent.learn(12, callback=evaluation)
    assert np.load(tmp_path / "evaluations.npz")["timesteps"].tolist() == [8]
    assert np.isfinite(evaluation.last_mean_reward)
