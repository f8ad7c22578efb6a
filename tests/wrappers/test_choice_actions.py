"""``ChoiceActions``: the same episodes as with texts, in a discrete action space."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import InvalidAction
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

import textgym  # noqa: F401  (registers the ids)
from textgym.envs import TextEnv, TextVectorEnv
from textgym.envs.rewards import ExactMatch
from textgym.envs.sources import CopySource
from textgym.wrappers import ChoiceActions, VectorChoiceActions


class Doors(TextEnv):
    """The choices are a to e; the one that the prompt ends with may not be taken."""

    @property
    def choices(self):
        return tuple("abcde")

    def choice_masks(self):
        return np.array([self.problem is None or not self.problem.prompt.endswith(c) for c in self.choices], np.int8)


def make_doors():
    return Doors(CopySource(min_length=1, max_length=1, alphabet="abcde", template="{text}"), ExactMatch())


@pytest.mark.parametrize("env_id, settings", [("TextGuessNumber-v0", {}), ("TextMath-v0", {"difficulty": 1})])
def test_an_action_is_the_response_of_that_number(env_id, settings):
    env, texts = ChoiceActions(gym.make(env_id, **settings)), gym.make(env_id, **settings)
    assert env.action_space == gym.spaces.Discrete(len(env.choices))
    rng = np.random.default_rng(0)
    for seed in range(20):
        observation, info = env.reset(seed=seed)
        assert observation == texts.reset(seed=seed)[0]
        ended = False
        while not ended:
            assert info["action_mask"].dtype == np.int8 and info["action_mask"].tolist() == [1] * len(env.choices)
            action = rng.integers(len(env.choices))
            *ours, info = env.step(action)
            *theirs, text_info = texts.step(env.choices[action])
            assert ours == theirs and info["messages"] == text_info["messages"]
            ended = ours[2]


@pytest.mark.parametrize("env_id, settings", [("TextGuessNumber-v0", {"high": 9}), ("TextMath-v0", {"difficulty": 1})])
def test_a_perfect_response_is_among_the_choices(env_id, settings):
    env = ChoiceActions(gym.make(env_id, **settings))
    for seed in range(50):
        env.reset(seed=seed)
        ended = False
        while not ended:
            _, reward, ended, _, _ = env.step(env.choices.index(env.unwrapped.solution()))
        assert reward == 1.0


@pytest.mark.parametrize(
    "env_id, settings",
    [
        ("TextMath-v0", {}),
        ("TextMath-v0", {"difficulty": 1, "operators": "-"}),
        ("TextCopy-v0", {}),
        ("TextGuessNumber-v0", {"high": 100_000}),
        ("TextGuessNumberTokens-v0", {}),
    ],
)
def test_what_can_not_be_listed_is_refused(env_id, settings):
    with pytest.raises(ValueError, match="no responses to choose from"):
        ChoiceActions(gym.make(env_id, **settings))
    with pytest.raises(ValueError, match="no responses to choose from"):
        VectorChoiceActions(gym.make_vec(env_id, 2, **settings))


@pytest.mark.parametrize("action", [-1, 31, 1.0, "5"])
def test_an_action_that_does_not_exist(action):
    env = ChoiceActions(gym.make("TextGuessNumber-v0"))
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"0\.\.30"):
        env.step(action)
    envs = VectorChoiceActions(gym.make_vec("TextGuessNumber-v0", 2))
    envs.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"0\.\.30"):
        envs.step([0, action])
    with pytest.raises(InvalidAction, match="2 integers"):
        envs.step([0])


def test_a_game_masks_what_is_not_allowed_now():
    env = ChoiceActions(make_doors())
    prompt, info = env.reset(seed=0)
    expected = [int(choice != prompt) for choice in "abcde"]
    assert info["action_mask"].tolist() == env.action_masks().tolist() == expected
    envs = VectorChoiceActions(TextVectorEnv(make_doors, 4))
    prompts, infos = envs.reset(seed=0)
    for _ in range(3):
        assert infos["action_mask"].tolist() == [[int(choice != prompt) for choice in "abcde"] for prompt in prompts]
        np.testing.assert_array_equal(infos["action_mask"], envs.action_masks())
        prompts, *_, infos = envs.step(np.zeros(4, int))


def test_the_vector_env_is_the_single_envs_side_by_side():
    ours = VectorChoiceActions(gym.make_vec("TextGuessNumber-v0", 3))
    theirs = SyncVectorEnv(
        [lambda: ChoiceActions(gym.make("TextGuessNumber-v0"))] * 3, autoreset_mode=ours.metadata["autoreset_mode"]
    )
    assert ours.action_space == theirs.action_space and ours.single_action_space == theirs.single_action_space
    rng = np.random.default_rng(0)
    (our_observations, our_infos), (their_observations, their_infos) = ours.reset(seed=5), theirs.reset(seed=5)
    for _ in range(30):
        assert our_observations == their_observations
        np.testing.assert_array_equal(our_infos["action_mask"], their_infos["action_mask"])
        actions = rng.integers(31, size=3)
        our_observations, *ours_rest, our_infos = ours.step(actions)
        their_observations, *theirs_rest, their_infos = theirs.step(actions)
        for our, their in zip(ours_rest, theirs_rest, strict=True):
            np.testing.assert_array_equal(our, their)


def test_ended_sub_envs_wait_for_their_reset():
    envs = VectorChoiceActions(gym.make_vec("TextMath-v0", 4, group_size=2, difficulty=1))
    envs.reset(seed=0)
    _, first, terminations, _, _ = envs.step(np.arange(4))
    _, second, _, _, _ = envs.step(np.arange(4))
    assert terminations.all() and first.shape == (4,) and not second.any()


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_passes_gymnasiums_checker():
    check_env(ChoiceActions(gym.make("TextGuessNumber-v0").unwrapped), skip_render_check=True)


def test_spec_survives_json():
    env = ChoiceActions(gym.make("TextGuessNumber-v0", high=9))
    copy = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert copy.action_space == gym.spaces.Discrete(9)
    assert copy.reset(seed=3)[0] == env.reset(seed=3)[0]
