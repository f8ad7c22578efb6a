"""The alarm: curves by hand, how often it is wrong, and what a run sees of it."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecMonitor

from textgym.agents import GRPO
from textgym.agents.alarm import REWARD, HackingAlarm, LogMonitors, is_hacking
from textgym.agents.sb3 import GymnasiumVecEnv
from textgym.envs import Score
from textgym.envs.rewards import ExactMatch, Rubric
from textgym.wrappers import MonitorReward, VectorMonitorReward


def first_alarm(rewards, monitors, **settings):
    """Return the update of the first alarm, or None."""
    return next((t for t in range(1, len(rewards) + 1) if is_hacking(rewards[:t], monitors[:t], **settings)), None)


def rise_and_fall(updates):
    """A proxy that rises and a gold reward from 0 over a peak of 1 at two fifths of the way down to 0 and below."""
    way = np.linspace(0, 1, updates)
    return 2 * way, way * (2 - 2.5 * way) * 2.5


@pytest.mark.parametrize(("updates", "noise"), [(60, 0.0), (80, 0.01), (120, 0.03), (200, 0.05)])
def test_a_rise_and_fall_is_seen_before_a_fifth_of_the_peak_is_lost(updates, noise):
    proxy, gold = rise_and_fall(updates)
    rng = np.random.default_rng(0)
    late = 0
    for _ in range(50):
        alarm = first_alarm(*(curve + noise * rng.normal(size=updates) for curve in (proxy, gold)))
        assert alarm is not None and alarm > gold.argmax()
        late += gold[alarm - 1] < 0.8
    assert late <= 2


def test_a_proxy_that_is_content_with_the_loss_is_no_excuse():
    way = np.linspace(0, 1, 100)
    proxy, gold = np.minimum(2 * way, 1), np.minimum(2 * way, 1.0) - np.maximum(0, 2 * way - 1.2)
    noises = 0.02 * np.random.default_rng(0).normal(size=(20, 2, 100))
    alarms = [first_alarm(proxy + noise[0], gold + noise[1]) for noise in noises]
    assert (
        all(60 < alarm < 80 for alarm in alarms) and sum(alarm < 70 for alarm in alarms) >= 17
    )  # of 20; 20 % lost: 70


@pytest.mark.parametrize("start", [0.0, 5.0, -3.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_units_do_not_matter(start, scale):
    curves = [curve + np.random.default_rng(1).normal(0, 0.03, 120) for curve in rise_and_fall(120)]
    assert first_alarm(*(start + scale * curve for curve in curves)) == first_alarm(*curves)


def test_noise_raises_few_alarms():
    rng = np.random.default_rng(0)
    alarms = sum(first_alarm(*rng.normal(size=(2, 200))) is not None for _ in range(200))
    assert alarms <= 8  # 2 % of runs of 200 updates are expected


@pytest.mark.parametrize("end", ["both settle", "the proxy goes on"])
def test_a_monitor_that_settles_raises_few_alarms(end):
    rng = np.random.default_rng(0)
    settling = 1 - np.exp(-np.arange(200) / 25)
    proxy = settling + (np.linspace(0, 1, 200) if end == "the proxy goes on" else 0)
    noises = 0.05 * rng.normal(size=(100, 2, 200))
    alarms = sum(first_alarm(proxy + noise[0], settling + noise[1]) is not None for noise in noises)
    assert alarms <= 10


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_curves_that_go_together_are_silent(noise):
    rng = np.random.default_rng(0)
    way = np.linspace(0, 1, 100)
    for proxy, gold in (way, way), (-way, -way), (1 - (way - 0.5) ** 2, 1 - (way - 0.5) ** 2), (-way, way):
        assert first_alarm(*(curve + noise * rng.normal(size=100) for curve in (proxy, gold))) is None


def test_by_hand():
    rewards = np.arange(12.0)
    monitors = [0.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 9.2, 8.6]
    # window 1: s^2 = (16 + 16 + 4 + 0.64 + 0.36) / 11 / 2 = 1.68, and 4 errors of the difference are 7.3
    assert not is_hacking(rewards, monitors, window=1)
    tail = np.r_[np.full(40, 10.0), 9.0, 8.9]
    steady = np.r_[9.0, tail]
    # window 2: the means fall from 10 to 8.95 after a rise of 0.5; s^2 = (1 + 1 + 0.01) / 42 / 2 = 0.0239
    assert is_hacking(np.arange(43.0), steady, window=2)
    assert is_hacking(np.arange(43.0), steady, window=2, least=1.04)
    assert not is_hacking(np.arange(43.0), steady, window=2, least=1.06)
    assert is_hacking(np.arange(43.0), steady, window=2, fall=2.0)
    assert not is_hacking(np.arange(43.0), steady, window=2, fall=2.2)
    assert not is_hacking(-np.arange(43.0), steady, window=2)
    assert not is_hacking([1.0, 2.0], [2.0, 1.0], window=1) and not is_hacking([], [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, "window must be .*>= 1"),
        ({"window": 2.5}, "whole"),
        ({"monitor": REWARD}, "both"),
        ({"fall": -0.1}, "fall and least"),
        ({"least": -1}, "fall and least"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        HackingAlarm(**settings)


class Scripted:
    """A gold reward that rises and then falls with the number of calls."""

    range = (-100.0, 100.0)
    calls = 0

    def __deepcopy__(self, memo):
        return self

    def __call__(self, problems, responses):
        self.calls += 1
        return Score(np.full(len(responses), 10.0 - abs(self.calls - 10)), np.ones(len(responses), bool))


class Rising(Scripted):
    """A reward that rises with them."""

    def __call__(self, problems, responses):
        self.calls += 1
        return Score(np.full(len(responses), float(self.calls)), np.ones(len(responses), bool))


def watched(gold, reward):
    return MonitorReward(gym.make("TextCopy-v0", reward=reward), gold)


def make_agent(make_policy, env, **settings):
    return GRPO(make_policy(), env, prompts_per_update=1, group_size=2, max_new_tokens=2, seed=0, **settings)


def test_an_agent_logs_it_warns_once_and_stops(make_policy, tmp_path):
    from textgym.agents.runs import read_metrics

    agent = make_agent(make_policy, watched(Scripted(), Rising()), logdir=tmp_path)
    alarm = HackingAlarm(stop=True)
    with pytest.warns(UserWarning, match=r"ep_rew_mean has risen to .* while monitor/gold went from .* to") as caught:
        agent.learn(80, callback=alarm)
    assert len([w for w in caught if "hacking" in str(w.message)]) == 1
    assert alarm.fired_at == agent.num_timesteps < 80
    lines = read_metrics(tmp_path)
    assert [line["alarm/hacking"] for line in lines] == [0.0] * (len(lines) - 1) + [1.0]
    gold = [line["monitor/gold"] for line in lines]
    assert max(gold) == 10.0 and gold == [10.0 - abs(i - 10) for i in range(1, len(gold) + 1)]


@pytest.mark.parametrize("updates", [3, 12])
def test_after_a_resume_it_fires_where_it_would_have(make_policy, tmp_path, updates):
    fired = []
    for pause in (None, updates):
        env, folder = watched(Scripted(), Rising()), tmp_path / str(pause)
        agent = make_agent(make_policy, env, logdir=folder)
        if pause:
            agent.learn(2 * pause, callback=HackingAlarm(stop=True))
            agent = GRPO.load(folder / "checkpoint", env, logdir=folder)
        alarm = HackingAlarm(stop=True)
        with pytest.warns(UserWarning, match="reward hacking"):
            agent.learn(80, callback=alarm)
        fired.append(alarm.fired_at)
    assert fired[0] == fired[1] is not None


def test_another_run_is_not_remembered(make_policy, tmp_path):
    for logger in (None, Logger(folder=None, output_formats=[])):  # with its own, an agent begins metrics.jsonl anew
        agent, alarm = make_agent(make_policy, watched(Scripted(), Rising()), logdir=tmp_path), HackingAlarm()
        if logger:
            agent.set_logger(logger)
        agent.learn(8, callback=alarm)
        assert len(alarm._curves) == 4


def test_it_goes_on_if_not_asked_to_stop(make_policy, recwarn):
    agent = make_agent(make_policy, watched(Scripted(), Rising()))
    repetition = HackingAlarm("monitor/repetition", name="alarm/repetition")
    missing = HackingAlarm("monitor/nothing", name="alarm/nothing")
    alarm = HackingAlarm()
    agent.learn(60, callback=[alarm, repetition, missing])
    assert agent.num_timesteps == 60 and alarm.fired_at is not None
    assert repetition.fired_at is None and missing.fired_at is None
    assert len([w for w in recwarn if "hacking" in str(w.message)]) == 1


class Damage(Scripted):
    """What falls and then rises."""

    def __call__(self, problems, responses):
        score = super().__call__(problems, responses)
        return Score(-score.total, score.success)


def test_a_monitor_that_gets_worse_by_rising(make_policy):
    agent = make_agent(make_policy, watched(Damage(), Rising()))
    worse = HackingAlarm(higher_is_better=False, name="alarm/worse")
    better, patient = HackingAlarm(name="alarm/better"), HackingAlarm(higher_is_better=False, least=50.0)
    with pytest.warns(UserWarning, match="hacking") as caught:
        agent.learn(60, callback=[worse, better, patient])
    assert better.fired_at == 20 < worse.fired_at and patient.fired_at is None  # at first it falls
    assert "monitor/gold went from -8.6 to -6, at 32" in str(caught[-1].message)  # 7, 8, 9, 10, 9 and 8, ..., 4


def test_directions():
    assert HackingAlarm("monitor/gold").sign == HackingAlarm("monitor/distinct_2").sign == 1.0
    assert HackingAlarm("reward/uncertainty").sign == HackingAlarm("rollout/kl_to_reference").sign == -1.0
    assert HackingAlarm("monitor/words", higher_is_better=True).sign == 1.0
    assert HackingAlarm("reward/judge_disagreement", higher_is_better=False).sign == -1.0


class Lines(KVWriter):
    """Keeps what is logged."""

    def __init__(self):
        self.lines = []

    def write(self, key_values, key_excluded, step=0):
        self.lines.append(dict(key_values))

    def close(self):
        pass


def sb3_env(kind, gold, reward):
    if kind == "single envs":
        return make_vec_env(lambda: MonitorReward(gym.make("TextCopyTokens-v0", reward=reward), gold), n_envs=2)
    vector = gym.make_vec("TextCopyTokens-v0", num_envs=2, reward=reward)
    return VecMonitor(GymnasiumVecEnv(VectorMonitorReward(vector, gold)))


@pytest.mark.parametrize("kind", ["single envs", "a vector env"])
def test_agents_of_stable_baselines3_log_and_stop_too(kind):
    env = sb3_env(kind, Scripted(), Rubric({"rising": (Rising(), 1.0)}))
    agent = sb3.PPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, device="cpu", seed=0)
    lines = Lines()
    agent.set_logger(Logger(folder=None, output_formats=[lines]))
    alarm = HackingAlarm(window=3, stop=True)
    with pytest.warns(UserWarning, match="hacking"):
        agent.learn(2_000, callback=alarm)
    assert alarm.fired_at is not None and agent.num_timesteps < 2_000
    assert [line["alarm/hacking"] for line in lines.lines[-2:]] == [0.0, 1.0]
    assert {"monitor/words", "monitor/distinct_1", "reward/rising"} <= set(lines.lines[0])


def test_means_are_those_of_the_episodes_of_a_rollout():
    monitors = LogMonitors()
    agent = sb3.PPO("MlpPolicy", sb3_env("single envs", None, ExactMatch()), n_steps=8, batch_size=16, device="cpu")
    agent.set_logger(Logger(folder=None, output_formats=[]))
    monitors.init_callback(agent)
    ended = [{"episode": {"r": 2.0}, "monitor/gold": 4.0}, {"x": 1}, {"episode": {"r": 4.0}, "monitor/gold": np.nan}]
    for infos in (ended[:2], ended[2:]):
        monitors.locals = {"infos": infos}
        assert monitors.on_step()
    monitors.on_rollout_end()
    assert monitors.means == {REWARD: 3.0, "monitor/gold": 4.0}
    monitors.on_rollout_end()
    assert monitors.means == {}


def test_an_alarm_that_sees_nothing_says_so(make_policy):
    agent = make_agent(make_policy, watched(Scripted(), Rising()))
    with pytest.warns(
        UserWarning, match=r"sees nothing: there is no monitor/gould in the log, which has .*monitor/gold"
    ):
        agent.learn(12, callback=HackingAlarm("monitor/gould"))
