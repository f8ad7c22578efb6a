"""GuessNumber: hints, limits, and a bisecting player who always wins."""

from __future__ import annotations

import pytest

from textgym.envs import Problem
from textgym.envs.games import GuessNumber
from textgym.envs.rewards import ExactMatch
from textgym.envs.sources import GuessNumberSource


def begin(secret, high=31, **settings):
    source = GuessNumberSource(high=high, **settings)
    env = GuessNumber(source, ExactMatch())
    env.begin(Problem("?", str(secret), {"high": high, "turns": settings.get("turns") or high.bit_length()}))
    return env


def wins(secret, **settings):
    env = begin(secret, **settings)
    terminated = False
    while not terminated:
        _, reward, terminated, _, info = env.step(env.solution())
    assert info["stop_reason"] == ("game_over" if reward else "turn_limit")
    return reward == 1.0 and info["is_success"]


@pytest.mark.parametrize("high", [2, 3, 7, 8, 20, 31, 32, 100])
def test_bisection_always_wins_and_needs_every_turn(high):
    assert all(wins(secret, high=high) for secret in range(1, high + 1))
    turns = high.bit_length() - 1
    assert not all(wins(secret, high=high, turns=turns) for secret in range(1, high + 1))


def test_hints():
    env = begin(20)
    observation, reward, terminated, truncated, info = env.step("4")
    assert (observation, reward, terminated, truncated) == ("higher", 0.0, False, False)
    assert info["messages"][-1] == {"role": "user", "content": "higher"} and "is_success" not in info
    assert env.step(" 25\n")[0] == "lower"
    observation, reward, terminated, _, info = env.step("20")
    assert (observation, reward, terminated) == ("", 1.0, True)
    assert (info["is_success"], info["stop_reason"], info["response"]) == (True, "game_over", "20")


@pytest.mark.parametrize("guess", ["", "x", "3.0", "-3", "03", "3 4", "3!", "٣", "9" * 10, "1e1"])
def test_anything_but_a_number_costs_a_turn(guess):
    env = begin(3, turns=2)
    assert env.step(guess)[0] == "Answer with one whole number."
    _, reward, terminated, _, info = env.step(guess)
    assert (reward, terminated, info["stop_reason"], info["is_success"]) == (0.0, True, "turn_limit", False)


def test_the_last_turn_can_win():
    env = begin(3, turns=2)
    env.step("x")
    assert env.step("3")[1] == 1.0


def test_a_new_game_forgets_the_old_one():
    env = GuessNumber(GuessNumberSource(), ExactMatch())
    env.reset(seed=0)
    env.step("x")
    env.step(env.solution())
    env.reset(seed=0)
    assert env.solution() == "16"
    assert all(not env.step("x")[2] for _ in range(4)) and env.step("x")[2]


@pytest.mark.parametrize("guesses", [["100", "-5"], ["1", "31"], ["999999999", "1"]])
def test_silly_guesses_do_not_mislead_the_oracle(guesses):
    env = begin(20)
    for guess in guesses:
        env.step(guess)
    assert 1 <= int(env.solution()) <= 31


def test_the_charset_covers_the_messages():
    env = begin(20, template="{high}?")
    for guess in ("1", "30", "x"):
        assert set(env.step(guess)[0]) <= set(env.charset)
    assert "\n" in env.charset and env.charset == "".join(sorted(set(env.charset)))
