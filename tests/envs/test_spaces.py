"""UnicodeText: every string up to a length."""

from __future__ import annotations

import copy
import functools

import gymnasium as gym
import pytest
from gymnasium.error import CustomSpaceError
from gymnasium.spaces import Dict, Text, Tuple
from gymnasium.vector import AsyncVectorEnv
from gymnasium.vector.utils import batch_space, create_shared_memory
from hypothesis import given
from hypothesis import strategies as st

from textgym.envs import UnicodeText

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # surrogates included


@given(text=ANY_TEXT)
def test_it_contains_any_short_text(text):
    assert text in UnicodeText(20)
    assert (text in UnicodeText(5)) == (len(text) <= 5)


@pytest.mark.parametrize("text", ["", "\ud83d", "\N{PILE OF POO}", "e\u0301", "\x00", "日本語", "\n"])
def test_it_contains_strange_text(text):
    assert text in UnicodeText(2) or len(text) == 3


@pytest.mark.parametrize("thing", [None, 1, b"a", ["a"]])
def test_it_contains_nothing_else(thing):
    assert thing not in UnicodeText(10)


@pytest.mark.parametrize("length", [1, 10, 10**6])
def test_samples_are_short_repeatable_and_differ(length):
    space, twin = UnicodeText(length, seed=3), UnicodeText(length, seed=3)
    samples = [space.sample() for _ in range(200)]
    assert samples == [twin.sample() for _ in range(200)]
    assert all(sample in space and len(sample) <= 32 for sample in samples)
    assert "" in samples and len(set(samples)) > 50


def test_samples_of_a_given_length():
    assert len(UnicodeText(100, seed=0).sample(mask=(77, None))) == 77
    assert len(UnicodeText(100, seed=0).sample(probability=(5, None))) == 5


def test_equality():
    assert UnicodeText(5) == UnicodeText(5, seed=1) == copy.deepcopy(UnicodeText(5))
    assert UnicodeText(5) != UnicodeText(6)
    assert UnicodeText(5) != Text(5)
    assert repr(UnicodeText(5)) == "UnicodeText(5)"


def test_it_cannot_be_flattened():
    assert not UnicodeText(5).is_np_flattenable
    assert not Tuple([UnicodeText(5)]).is_np_flattenable


def test_batches_are_tuples():
    space = batch_space(UnicodeText(5, seed=0), 3)
    assert isinstance(space, Tuple) and len(space) == 3
    assert ("a", "", "é") in space and ("a", "", "toolong") not in space
    assert space.sample() in space


@pytest.mark.parametrize("space", [UnicodeText(5), Tuple([UnicodeText(5)]), Dict(text=UnicodeText(5))], ids=repr)
def test_shared_memory_is_refused_with_the_way_out(space):
    with pytest.raises(CustomSpaceError, match="shared_memory=False"):
        create_shared_memory(space, n=2)


make_copy_env = functools.partial(gym.make, "textgym:TextCopy-v0")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # AsyncVectorEnv.__del__ wants its pipes
def test_async_vector_env_with_shared_memory_says_what_to_do():
    with pytest.raises(ValueError, match="shared_memory=False") as error:
        AsyncVectorEnv([make_copy_env] * 2)
    assert isinstance(error.value.__cause__, CustomSpaceError)


def test_async_vector_env_without_shared_memory_works():
    env, single = AsyncVectorEnv([make_copy_env] * 2, shared_memory=False, context="spawn"), make_copy_env()
    try:
        prompts, _ = env.reset(seed=[5, 6])
        assert prompts == tuple(single.reset(seed=seed)[0] for seed in (5, 6))
        single.reset(seed=5)
        _, rewards, terminations, _, infos = env.step((single.unwrapped.solution(), "é\N{SNOWMAN}"))
        assert rewards.tolist() == [1.0, 0.0] and terminations.all()
        assert infos["response"][1] == "é\N{SNOWMAN}"
    finally:
        env.close()
