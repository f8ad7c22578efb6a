"""``HiddenState``: a frozen language model reads for an agent that can't. One for an env, one for a vector env."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textgym.wrappers.frozen_lm import ContextReader, Model, contexts_of, find_reader, recorded

StateArray = NDArray[np.float32]


class HiddenState(gym.Wrapper[StateArray, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Shows, instead of token ids, what a frozen language model makes of them.

    **Observation.** ``Box`` float32 (size,): the model's last hidden state, from which its output layer would predict
    the next token, after everything said so far. That of an ended episode includes its last token.

    With ``candidates=k``, (size + k + k * size,): the state, the log-probabilities of the k most probable next tokens,
    best first, and their rows of the output layer, one after the other. Rank alone does not tell an agent of
    ``TopKActions`` which token an action would play; this does.
    """

    def __init__(self, env: gym.Env[Any, Any], model: Model, candidates: int = 0) -> None:
        """Read with ``model``.

        Args:
            env: token level, made with the model's own tokenizer.
            model: ``"tiny"``, a folder, a GGUF file, a hub id, or a ``CausalLM``. With the model of a wrapper further
                in, both share its forwards.
            candidates: number of next tokens to show.
        """
        gym.utils.RecordConstructorArgs.__init__(self, model=recorded(model), candidates=candidates)
        gym.Wrapper.__init__(self, env)
        self.reader, _ = find_reader(env, model)
        self.candidates = candidates
        self.observation_space = _space(self.reader, candidates)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[StateArray, dict[str, Any]]:
        """Reset, and read the prompt."""
        _, info = self.env.reset(seed=seed, options=options)
        self.reader.read(contexts_of(self))
        return self.reader.features(self.candidates)[0], info

    def step(self, action: Any) -> tuple[StateArray, Any, bool, bool, dict[str, Any]]:
        """Step, and read on."""
        _, reward, terminated, truncated, info = self.env.step(action)
        self.reader.read(contexts_of(self))
        return self.reader.features(self.candidates)[0], reward, terminated, truncated, info

    def action_masks(self) -> NDArray[np.int8]:
        """Return the env's mask of allowed actions."""
        return self.env.get_wrapper_attr("action_masks")()  # type: ignore[no-any-return]


class VectorHiddenState(VectorWrapper[Any, Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """``HiddenState`` of a ``TokenVectorEnv``: one forward of one token for all rows.

    ``infos["final_obs"]`` of an env that resets itself is changed like the observations.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], model: Model, candidates: int = 0) -> None:
        """Read with ``model``; see ``HiddenState``."""
        gym.utils.RecordConstructorArgs.__init__(self, model=recorded(model), candidates=candidates)
        VectorWrapper.__init__(self, env)
        self.reader, self._leads = find_reader(env, model)
        self.candidates = candidates
        self.single_observation_space = _space(self.reader, candidates)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[StateArray, dict[str, Any]]:
        """Reset, and read the prompts."""
        _, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        self.reader.read(contexts_of(self))
        return self.reader.features(self.candidates), infos

    def step(self, actions: Any) -> tuple[StateArray, Any, Any, Any, dict[str, Any]]:
        """Step, and read on."""
        _, rewards, terminations, truncations, infos = self.env.step(actions)
        if self._leads:
            self.reader.follow(contexts_of(self), np.asarray(actions), infos)
        if "final_obs" in infos:
            infos["final_obs"] = np.full(self.num_envs, None, object)
            for row, features in zip(*self.reader.final_features(self.candidates), strict=True):
                infos["final_obs"][row] = features
        return self.reader.features(self.candidates), rewards, terminations, truncations, infos

    def action_masks(self) -> NDArray[np.int8]:
        """Return the env's mask of allowed actions."""
        return self.env.action_masks()  # type: ignore[attr-defined, no-any-return]


def _space(reader: ContextReader, candidates: int) -> gym.Space[Any]:
    vocab_size = reader.policy.tokenizer.vocab_size
    if not 0 <= candidates <= vocab_size:
        raise ValueError(f"candidates must be in 0..{vocab_size}, the number of tokens, got {candidates}")
    shape = (reader.size + candidates * (1 + reader.size),)
    return spaces.Box(-np.inf, np.inf, shape, np.float32)
