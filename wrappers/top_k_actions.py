"""``TopKActions``: a classic agent steers a frozen language model. One for an env, one for a vector env."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textgym.wrappers.frozen_lm import Model, contexts_of, find_reader, recorded


class TopKActions(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Offers, instead of a whole vocabulary, the k tokens that a frozen language model finds most probable.

    **Action.** ``Discrete(k)``: action i plays the token of rank i. Always 0 is the model's greedy decoding.

    **Observation.** The env's. Token ids say little to a small network: see ``HiddenState``.

    **Info.** ``action_mask`` int8 (k,), all ones, as ``action_masks()``.
    """

    def __init__(self, env: gym.Env[Any, Any], model: Model, k: int) -> None:
        """Offer the best ``k`` tokens of ``model``.

        Args:
            env: token level, made with the model's own tokenizer.
            model: ``"tiny"``, a folder, a GGUF file, a hub id, or a ``CausalLM``. With the model of a wrapper further
                in, both share its forwards.
            k: number of actions.
        """
        gym.utils.RecordConstructorArgs.__init__(self, model=recorded(model), k=k)
        gym.Wrapper.__init__(self, env)
        self.reader, _ = find_reader(env, model)
        self.k = _check(k, self.reader.policy.tokenizer.vocab_size)
        self.action_space = spaces.Discrete(k)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset, and read the prompt."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.reader.read(contexts_of(self))
        return observation, info | {"action_mask": self.action_masks()}

    def step(self, action: np.int64 | int) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Play the token of rank ``action``.

        Raises:
            InvalidAction: if there is no such rank.
        """
        if not self.action_space.contains(action):
            raise InvalidAction(f"an action must be an integer in 0..{self.k - 1}, got {action!r}")
        token = self.reader.tokens(self.k)[0, action]
        observation, reward, terminated, truncated, info = self.env.step(token)
        self.reader.read(contexts_of(self))
        return observation, reward, terminated, truncated, info | {"action_mask": self.action_masks()}

    def action_masks(self) -> NDArray[np.int8]:
        """Return ones, int8 (k,)."""
        return np.ones(self.k, np.int8)


class VectorTopKActions(VectorWrapper[Any, Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """``TopKActions`` of a ``TokenVectorEnv``: one forward of one token for all rows."""

    def __init__(self, env: VectorEnv[Any, Any, Any], model: Model, k: int) -> None:
        """Offer the best ``k`` tokens of ``model``; see ``TopKActions``."""
        gym.utils.RecordConstructorArgs.__init__(self, model=recorded(model), k=k)
        VectorWrapper.__init__(self, env)
        self.reader, self._leads = find_reader(env, model)
        self.k = _check(k, self.reader.policy.tokenizer.vocab_size)
        self.single_action_space = spaces.Discrete(k)
        self.action_space = batch_space(self.single_action_space, env.num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset, and read the prompts."""
        observations, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        self.reader.read(contexts_of(self))
        return observations, infos | {"action_mask": self.action_masks()}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Play the tokens of rank ``actions``, integers (num_envs,).

        Raises:
            InvalidAction: if there is no such rank.
        """
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or not np.issubdtype(actions.dtype, np.integer):
            raise InvalidAction(f"actions must be integers ({self.num_envs},), got {actions.dtype} {actions.shape}")
        if actions.min() < 0 or actions.max() >= self.k:
            raise InvalidAction(f"actions must be in 0..{self.k - 1}, got {actions}")
        tokens = self.reader.tokens(self.k)[np.arange(self.num_envs), actions]
        observations, rewards, terminations, truncations, infos = self.env.step(tokens)
        if self._leads:
            self.reader.follow(contexts_of(self), tokens, infos)
        infos = infos | {"action_mask": self.action_masks()}
        if "final_info" in infos:
            infos["final_info"] = infos["final_info"] | {"action_mask": self.action_masks()}
        return observations, rewards, terminations, truncations, infos

    def action_masks(self) -> NDArray[np.int8]:
        """Return ones, int8 (num_envs, k)."""
        return np.ones((self.num_envs, self.k), np.int8)


def _check(k: int, vocab_size: int) -> int:
    if not 1 <= k <= vocab_size:
        raise ValueError(f"k must be in 1..{vocab_size}, the number of tokens, got {k}")
    return k
