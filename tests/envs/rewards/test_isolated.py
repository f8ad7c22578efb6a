"""A reward in its own process: what hangs or crashes there is reported, and is never a wrong answer."""

import math
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from textgym.envs import Problem, TextEnv, TextVectorEnv
from textgym.envs.checks.forked import run_forked
from textgym.envs.rewards import CountdownVerifier, ExactMatch, Isolated, PrefixMatch
from textgym.envs.sources import CopySource, CountdownSource
from textgym.envs.task import problem_at, score_batch

UNRULY = """
    import ctypes, os, re, time
    import numpy as np
    from textgym.envs import Score

    class Unruly:
        range = (0.0, 2.0)
        partial = True
        snapshot = "weights-1"

        def __init__(self, pay=2.0):
            self.pay = pay

        def __call__(self, problems, responses):
            (response,) = responses
            if response == "hang":
                while True:
                    pass
            if response == "regex":  # holds the interpreter's lock, so that no thread could stop it
                re.fullmatch("(a+)+", "a" * 64 + "!")
            if response == "sleep":
                time.sleep(60)
            if response == "exit":
                os._exit(0)
            if response == "segfault":
                ctypes.string_at(0)
            if response == "raise":
                raise ZeroDivisionError("by zero")
            if response == "leave":
                raise SystemExit(0)
            right = np.array([response == problems[0].answer])
            return Score(right * self.pay, right, {"length": np.array([float(len(response))])})
"""


@pytest.fixture
def unruly(tmp_path, monkeypatch):
    """The name of a reward that hangs, crashes or raises when told to."""
    (tmp_path / "unruly_rewards.py").write_text(textwrap.dedent(UNRULY))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "unruly_rewards:Unruly"
    sys.modules.pop("unruly_rewards", None)


def test_it_pays_what_the_reward_pays():
    for name, reward, source in (
        ("ExactMatch", ExactMatch(), CopySource()),
        ("PrefixMatch", PrefixMatch(), CopySource()),
        ("CountdownVerifier", CountdownVerifier(), CountdownSource()),
    ):
        isolated = Isolated(f"textgym.envs.rewards:{name}")
        problems = [problem_at(source, i, "train") for i in range(4)] * 2
        responses = [source.solution(problem) for problem in problems[:4]] + ["", "\ud800\x00", "a" * 2**20, "<answer>"]
        ours, theirs = isolated(problems, responses), reward(problems, responses)
        np.testing.assert_array_equal(ours.total, theirs.total)
        np.testing.assert_array_equal(ours.success, theirs.success)
        assert list(ours.status) == ["ok"] * 8 and ours.success.sum() == 4
        assert isolated.range == reward.range and isolated.partial == getattr(reward, "partial", False)


def test_settings_and_parts_travel(unruly):
    reward = Isolated(unruly, pay=1.5)
    score = reward([Problem("?", "yes")] * 2, ["yes", "no"])
    assert score.total.tolist() == [1.5, 0.0] and score.parts["length"].tolist() == [3.0, 2.0]
    assert reward.range == (0.0, 2.0) and reward.partial and reward.snapshot == "weights-1"
    assert not hasattr(Isolated("textgym.envs.rewards:ExactMatch"), "snapshot")


@pytest.mark.parametrize("trick", ["hang", "regex", "sleep"])
def test_a_reward_that_hangs_is_a_timeout_and_costs_only_its_own_item(unruly, trick):
    reward = Isolated(unruly, time_limit=0.5)
    reward([Problem("?", "yes")], ["yes"])
    began = time.perf_counter()
    score = score_batch(reward, [Problem("?", "yes")] * 3, ["yes", trick, "yes"])
    assert time.perf_counter() - began < 20
    assert list(score.status) == ["ok", "timeout", "ok"]
    np.testing.assert_array_equal(score.total, [2.0, math.nan, 2.0])
    assert score.success.tolist() == [True, False, True]
    np.testing.assert_array_equal(score.parts["length"], [3.0, math.nan, 3.0])


@pytest.mark.parametrize(
    ("trick", "shown"),
    [
        ("exit", "exit code 0"),
        ("segfault", "SIGSEGV"),
        ("raise", "ZeroDivisionError: by zero"),
        ("leave", "SystemExit"),
    ],
)
def test_a_reward_that_crashes_or_raises_is_an_error_and_costs_only_its_own_item(unruly, trick, shown):
    reward = Isolated(unruly)
    with pytest.warns(RuntimeWarning, match=f"unruly_rewards:Unruly.* failed on '{trick}'.*{shown}"):
        score = score_batch(reward, [Problem("?", "yes")] * 3, ["yes", trick, "no"])
    assert list(score.status) == ["ok", "error", "ok"]
    np.testing.assert_array_equal(score.total, [2.0, math.nan, 0.0])


def test_an_env_reports_the_timeout_and_goes_on(unruly):
    reward = Isolated(unruly, time_limit=0.5)
    env = TextEnv(CopySource(), reward)
    env.reset(seed=0)
    _, total, terminated, _, info = env.step("hang")
    assert math.isnan(total) and terminated
    assert info["reward_status"] == "timeout" and info["is_success"] is False
    envs = TextVectorEnv(lambda: TextEnv(CopySource(), reward), 3)
    envs.reset(seed=0)
    _, rewards, _, _, infos = envs.step(["hang", envs.envs[1].solution(), "no"])
    np.testing.assert_array_equal(rewards, [math.nan, 2.0, 0.0])
    assert infos["final_info"]["reward_status"].tolist() == ["timeout", "ok", "ok"]


def test_any_thread_may_call_and_a_forked_process_too():
    reward = Isolated("textgym.envs.rewards:ExactMatch")
    found = []
    threads = [
        threading.Thread(target=lambda i=i: found.append(reward([Problem("?", str(i))], [str(i)]).total[0]))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1.0] * 4
    forked = run_forked(lambda send: send(reward([Problem("?", "a")], ["a"]).total[0]), patience=60)
    assert list(forked) == [1.0]
    assert reward([Problem("?", "a")], ["b"]).total[0] == 0.0


def test_what_cannot_be_is_said_at_once():
    for limit in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="time_limit must be a number of seconds above 0"):
            Isolated("textgym.envs.rewards:ExactMatch", time_limit=limit)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        Isolated("no_such_module:Reward")
    with pytest.raises(TypeError, match=r"takes the name of a class whose instances are .*got <function dedent"):
        Isolated("textwrap:dedent")
    with pytest.raises(AttributeError, match="NoSuchReward"):
        Isolated("textgym.envs.rewards:NoSuchReward")
    with pytest.raises(TypeError, match="JSON"):
        Isolated("textgym.envs.rewards:ExactMatch")([Problem("?", "a", {"set": {1}})], ["a"])
