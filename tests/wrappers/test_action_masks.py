"""``action_masks()`` reaches sb3-contrib's agents through every wrapper, Gymnasium's and ours."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import (
    ClipReward,
    NormalizeReward,
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    TimeLimit,
    TransformObservation,
    TransformReward,
)

from textgym.envs import TextEnv
from textgym.envs.rewards import ExactMatch
from textgym.envs.sources import CopySource
from textgym.envs.tokenizers import CharTokenizer
from textgym.wrappers import ChoiceActions, RecordTranscripts

pytest.importorskip("sb3_contrib")

from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor


class OnlyTheSecond(CharTokenizer):
    """A vocabulary in which one token may be chosen."""

    def __init__(self, charset):
        super().__init__(charset)
        self.action_mask = np.eye(self.vocab_size, dtype=np.int8)[1]


class Letters(TextEnv):
    """The choices are a to e, and only the letter of the prompt is allowed."""

    @property
    def choices(self):
        return tuple("abcde")

    def choice_masks(self):
        return np.array([self.problem is not None and self.problem.prompt == c for c in self.choices], np.int8)


def make_letters():
    return ChoiceActions(
        Letters(CopySource(min_length=1, max_length=1, alphabet="abcde", template="{text}"), ExactMatch())
    )


def make_tokens():
    return gym.make("TextMathTokens-v0", tokenizer=OnlyTheSecond("+0123456789="))


WRAPPERS = {
    "none": lambda env, path: env,
    "TimeLimit": lambda env, path: TimeLimit(env, 50),
    "RecordEpisodeStatistics": lambda env, path: RecordEpisodeStatistics(env),
    "OrderEnforcing": lambda env, path: OrderEnforcing(env),
    "PassiveEnvChecker": lambda env, path: PassiveEnvChecker(env),
    "TransformReward": lambda env, path: TransformReward(env, lambda reward: 2 * reward),
    "ClipReward": lambda env, path: ClipReward(env, -1, 1),
    "NormalizeReward": lambda env, path: NormalizeReward(env),
    "RecordTranscripts": lambda env, path: RecordTranscripts(env, path),
    "Monitor": lambda env, path: Monitor(env),
}


@pytest.mark.parametrize("make", [make_letters, make_tokens])
@pytest.mark.parametrize("outer", WRAPPERS)
@pytest.mark.parametrize("inner", ["none", "TimeLimit", "RecordTranscripts"])
def test_masks_reach_the_outside(make, inner, outer, tmp_path):
    path = tmp_path / "transcripts.jsonl"
    env = WRAPPERS[outer](WRAPPERS[inner](make(), path), path)
    _, info = env.reset(seed=0)
    masks = env.get_wrapper_attr("action_masks")()
    assert masks.dtype == np.int8 and masks.shape == (env.action_space.n,) and masks.sum() == 1
    np.testing.assert_array_equal(info["action_mask"], masks)
    assert is_masking_supported(env)
    np.testing.assert_array_equal(get_action_masks(env), masks)
    assert env.action_space.sample(masks) == masks.argmax()


@pytest.mark.parametrize("name", ["TimeLimit", "RecordTranscripts"])
def test_choice_actions_stand_outside_or_inside(name, tmp_path):
    env = ChoiceActions(WRAPPERS[name](make_letters().env, tmp_path / "transcripts.jsonl"))
    prompt, _ = env.reset(seed=0)
    assert get_action_masks(env).tolist() == [int(choice == prompt) for choice in "abcde"]


@pytest.mark.parametrize("make", [make_letters, make_tokens])
def test_masks_of_a_dummy_vec_env(make):
    def encode(env):  # SB3 takes no texts
        if make is make_tokens:
            return env
        return TransformObservation(env, lambda text: ord(text or "a") - ord("a"), gym.spaces.Discrete(5))

    envs = VecMonitor(DummyVecEnv([lambda: TimeLimit(encode(make()), 50)] * 3))
    envs.seed(0)
    observations = envs.reset()
    assert is_masking_supported(envs)
    for _ in range(5):
        masks = get_action_masks(envs)
        assert masks.shape == (3, envs.action_space.n) and (masks.sum(1) == 1).all()
        if make is make_letters:
            assert masks.argmax(1).tolist() == observations.tolist()
        observations, *_ = envs.step(masks.argmax(1))


def test_maskable_ppo_takes_the_only_action_allowed():
    def make():
        env = make_letters()
        return TransformObservation(env, lambda text: ord(text or "a") - ord("a"), gym.spaces.Discrete(5))

    model = MaskablePPO("MlpPolicy", DummyVecEnv([make] * 2), n_steps=16, batch_size=16, seed=0, device="cpu")
    model.learn(32)
    assert (model.rollout_buffer.rewards == 1.0).all()
