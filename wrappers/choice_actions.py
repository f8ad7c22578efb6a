"""Texts to choose from, as numbered actions.

- ``ChoiceActions``: for one sequence-level env.
- ``VectorChoiceActions``: for a ``TextVectorEnv``.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import InvalidAction
from gymnasium.spaces import Discrete, Text
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textgym.envs.text_env import TextEnv

IntArray = NDArray[np.int64]


class ChoiceActions(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Plays an env of texts with ``Discrete(n)``: action i is the response ``env.unwrapped.choices[i]``.

    Observations stay texts, which a Q-table takes as keys. For a network, put Gymnasium's ``TransformObservation``
    around it. ``action_masks()`` and ``info["action_mask"]`` show what the env's ``choice_masks()`` allows now.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        """Number the choices of ``env``.

        Raises:
            ValueError: if it can't list them.
        """
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self._text_env, self.choices = _list_choices(env, env.action_space)
        self.action_space = Discrete(len(self.choices))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info | {"action_mask": self.action_masks()}

    def step(self, action: np.int64 | int) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Give the response with this number; raises InvalidAction if there is none."""
        if not self.action_space.contains(action):
            raise InvalidAction(f"an action must be an integer in 0..{len(self.choices) - 1}, got {action!r}")
        observation, reward, terminated, truncated, info = self.env.step(self.choices[int(action)])
        return observation, reward, terminated, truncated, info | {"action_mask": self.action_masks()}

    def action_masks(self) -> NDArray[np.int8]:
        """Return 1 for each choice that may be taken now, int8 (n,)."""
        return self._text_env.choice_masks()


class VectorChoiceActions(VectorWrapper[Any, IntArray, Any, Any, Any]):
    """``ChoiceActions`` for a vector env: actions are integers (num_envs,), masks int8 (num_envs, n)."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Number the choices of the sub-envs, which are one task.

        Raises:
            ValueError: if they can't be listed.
        """
        super().__init__(env)
        sub_envs = getattr(env.unwrapped, "envs", [env])
        listed = [_list_choices(sub_env, env.single_action_space) for sub_env in sub_envs]
        self._text_envs = [text_env for text_env, _ in listed]
        self.choices = listed[0][1]
        self.single_action_space = Discrete(len(self.choices))
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start episodes."""
        observations, infos = self.env.reset(seed=seed, options=options)
        return observations, infos | self._mask_columns()

    def step(self, actions: IntArray) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Give each sub-env the response with its number; raises InvalidAction if there is none."""
        actions = np.asarray(actions)
        if not self.action_space.contains(actions):
            n = len(self.choices)
            raise InvalidAction(f"actions must be {self.num_envs} integers in 0..{n - 1}, got {actions!r:.80}")
        texts = tuple(self.choices[action] for action in actions.tolist())
        observations, rewards, terminations, truncations, infos = self.env.step(texts)
        return observations, rewards, terminations, truncations, infos | self._mask_columns()

    def action_masks(self) -> NDArray[np.int8]:
        """Return 1 for each choice that each sub-env allows now, int8 (num_envs, n)."""
        return np.stack([text_env.choice_masks() for text_env in self._text_envs])

    def _mask_columns(self) -> dict[str, Any]:
        return {"action_mask": self.action_masks(), "_action_mask": np.ones(self.num_envs, bool)}


def _list_choices(env: Any, action_space: gym.Space[Any]) -> tuple[TextEnv, tuple[str, ...]]:
    text_env = env.unwrapped
    if isinstance(action_space, Text) and isinstance(text_env, TextEnv) and text_env.choices:
        return text_env, text_env.choices
    raise ValueError(f"{env} has no responses to choose from: it must be a sequence-level env that lists its `choices`")
