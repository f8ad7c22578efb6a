"""stable-baselines3 on the token-level envs: ``make_vec_env``, and extractors that read token ids.

``make_vec_env`` is for speed: an agent of SB3 trains on a single env as it comes, but SB3's own ``DummyVecEnv`` steps
its envs one by one, where ``TokenVectorEnv`` steps them together. The agents of sb3-contrib (the extra ``classic``)
work the same.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from numpy.typing import NDArray
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn
from torch import Tensor, nn

from textgym.envs.vector import TokenVectorEnv


def make_vec_env(
    env_id: str, n_envs: int = 1, seed: int | None = None, *, one_hot: bool = False, **env_kwargs: Any
) -> VecMonitor:
    """Make the ``VecEnv`` of a token-level id, for any agent of stable-baselines3.

    Args:
        env_id: such as ``"TextReverseTokens-v0"``.
        n_envs: number of sub-envs.
        seed: sub-env i begins with ``reset(seed=seed + i)``, as in SB3; None for an arbitrary beginning.
        one_hot: give observations as SB3's ``MlpPolicy`` reads token ids, one-hot; see ``GymnasiumVecEnv``.
        **env_kwargs: what ``gym.make`` takes for this id, such as ``dense=True``.

    Returns:
        A ``GymnasiumVecEnv`` in SB3's ``VecMonitor``, whose episode statistics SB3 logs as ``rollout/ep_rew_mean``.

    Raises:
        ValueError: if the actions of the env are texts, or with ``one_hot`` if its vocabulary is too large for that.
    """
    env = gym.make_vec(env_id, num_envs=n_envs, autoreset_mode=AutoresetMode.SAME_STEP, **env_kwargs)
    if not isinstance(env.single_action_space, spaces.Discrete):
        raise ValueError(f"the actions of {env_id} are texts: use a ...Tokens-v0 id, or give level='token'")
    vec_env = VecMonitor(GymnasiumVecEnv(env, one_hot))
    if seed is not None:
        vec_env.seed(seed)
    return vec_env


class GymnasiumVecEnv(VecEnv):
    """A Gymnasium vector env with ``SAME_STEP`` autoreset as the ``VecEnv`` of stable-baselines3.

    Observations, rewards, dones and infos are those of SB3's ``DummyVecEnv`` over the single envs, and so are
    ``reset_infos`` and what ``seed`` and ``set_options`` do. A reward that could not be computed is NaN here, too;
    SB3's ``VecCheckNan`` finds it.

    ``get_attr`` looks into the sub-envs, then into the vector env, whose attributes all sub-envs share: there are
    ``tokenizer``, ``window`` and ``max_tokens``. ``env_method("action_masks")`` is one call for all.

    With ``one_hot`` an observation is uint8 (window, vocabulary), all 0 but a 1 for each token: what SB3 makes of token
    ids each time that its network sees them, column by column, which takes longer than the network. The network and
    what it learns are the same; a trained agent wants such observations from then on.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], one_hot: bool = False) -> None:
        """Wrap ``env``.

        Raises:
            ValueError: unless it starts the next episode in the step that ends one, or with ``one_hot`` if its
                observations are not ``MultiDiscrete``.
        """
        if env.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset_mode must be SAME_STEP, got {env.metadata.get('autoreset_mode')}")
        self.env = env
        space, self._one_hot = env.single_observation_space, None
        if one_hot:
            if not isinstance(space, spaces.MultiDiscrete):
                raise ValueError(f"one_hot needs MultiDiscrete observations, these are {space}")
            window, num_ids = _window_and_ids(space)
            space, self._one_hot = spaces.Box(0, 1, (window, num_ids), np.uint8), np.eye(num_ids, dtype=np.uint8)
        super().__init__(env.num_envs, space, env.single_action_space)

    def reset(self) -> NDArray[Any]:
        """Start all episodes, with the seeds and options that were set since the last call."""
        distinct: list[dict[str, Any]] = []
        for options in self._options:
            if options not in distinct:
                distinct.append(options)
        for options in distinct:
            mask = np.array([option == options for option in self._options])
            observations, columns = self.env.reset(
                seed=self._seeds,  # type: ignore[arg-type]  # Gymnasium's vector envs take one for each sub-env
                options={**options, "reset_mask": mask},
            )
            infos = _rows(columns, self.num_envs)
            self.reset_infos = [new if m else old for new, old, m in zip(infos, self.reset_infos, mask, strict=True)]
        self._reset_seeds()
        self._reset_options()
        return self._shown(np.asarray(observations))

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step all sub-envs.

        Returns:
            Observations (num_envs, ...), of the next episode where one ended; rewards float32 (num_envs,); dones bool
            (num_envs,); infos with ``TimeLimit.truncated`` and, where an episode ended, ``terminal_observation``.
        """
        step_rows = self.env.step_rows if isinstance(self.env, TokenVectorEnv) else self._step_rows
        observations, rewards, terminations, truncations, infos, finals, final_obs = step_rows(self._actions)
        if finals:
            for (row, info), observation in zip(finals.items(), self._shown(final_obs), strict=True):
                self.reset_infos[row] = infos[row]
                infos[row] = info
                info["terminal_observation"] = observation
        for info, truncated in zip(infos, (truncations & ~terminations).tolist(), strict=True):
            info["TimeLimit.truncated"] = truncated
        return self._shown(observations), rewards.astype(np.float32), terminations | truncations, infos

    def close(self) -> None:
        """Close the vector env."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return the attribute of each sub-env; see the class for where it is looked for."""
        rows = list(self._get_indices(indices))
        if attr_name in ("observation_space", "action_space"):
            return [getattr(self, attr_name) for _ in rows]
        envs = self.env.unwrapped.envs  # type: ignore[attr-defined]
        if all(hasattr(envs[row], attr_name) for row in rows):
            return [getattr(envs[row], attr_name) for row in rows]
        shared = self._shared(attr_name)
        if attr_name == "action_masks":
            return [functools.partial(lambda i: shared()[i], row) for row in rows]
        return [shared for _ in rows]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of sub-envs; what they share cannot be set, and is an AttributeError."""
        envs = self.env.unwrapped.envs  # type: ignore[attr-defined]
        for row in self._get_indices(indices):
            if not hasattr(envs[row], attr_name):
                raise AttributeError(f"the sub-envs have no attribute {attr_name!r} of their own")
            setattr(envs[row], attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of each sub-env."""
        if method_name == "action_masks":
            masks = self._shared("action_masks")()
            return [masks[row] for row in self._get_indices(indices)]
        return [method(*method_args, **method_kwargs) for method in self.get_attr(method_name, indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """Return False for each: sub-envs that step together have no wrappers of their own."""
        return [False for _ in self._get_indices(indices)]

    def _step_rows(self, actions: NDArray[Any]) -> tuple[Any, ...]:
        """Do what ``TokenVectorEnv.step_rows`` does, with any vector env."""
        *step, columns = self.env.step(actions)
        final_columns, final_obs = columns.pop("final_info", {}), columns.pop("final_obs", [])
        final_infos = _rows(final_columns, self.num_envs)
        ended = columns.pop("_final_obs", np.zeros(0, np.bool_)).nonzero()[0].tolist()
        finals = {row: final_infos[row] for row in ended}
        return *step, _rows(columns, self.num_envs), finals, np.array([final_obs[row] for row in ended])

    def _shown(self, observations: NDArray[Any]) -> NDArray[Any]:
        return observations if self._one_hot is None else self._one_hot.take(observations, 0)  # faster than an index

    def _shared(self, attr_name: str) -> Any:
        """Return the attribute of the outermost vector env that has it."""
        env = self.env
        while not hasattr(env, attr_name) and isinstance(env, VectorWrapper):
            env = env.env
        return getattr(env, attr_name)


def _rows(columns: Mapping[str, Any], num_envs: int) -> list[dict[str, Any]]:
    """Turn the info of a vector env, arrays with presence masks, into one dict for each sub-env."""
    infos: list[dict[str, Any]] = [{} for _ in range(num_envs)]
    for name, values in columns.items():
        if f"_{name}" not in columns:  # a presence mask
            continue
        items = values.tolist() if values.ndim == 1 else values  # Python's own numbers, as single envs tell them
        for row in columns[f"_{name}"].nonzero()[0].tolist():
            infos[row][name] = items[row]
    return infos


class TokenEmbeddingExtractor(BaseFeaturesExtractor):
    """Features of a window of token ids: their embeddings, one after the other.

    A smaller first layer than SB3's one-hot vectors give, and the only sensible one for a large vocabulary, whose ids
    ``MlpPolicy`` would read as magnitudes. Padding is embedded as zeros that never train.

    Use it as ``policy_kwargs={"features_extractor_class": TokenEmbeddingExtractor, "features_extractor_kwargs":
    {"pad_id": pad_id}}``, where ``pad_id`` is ``env.get_attr("tokenizer")[0].pad_id``.

    Args:
        observation_space: of a token-level env: ``MultiDiscrete``, ``Box`` (window,), or one-hot.
        pad_id: the id of padding.
        embedding_dim: size of an embedding; there are ``window * embedding_dim`` features.
    """

    def __init__(self, observation_space: spaces.Space[Any], *, pad_id: int, embedding_dim: int = 32) -> None:
        window, num_ids = _window_and_ids(observation_space)
        super().__init__(observation_space, window * embedding_dim)
        self.embedding = nn.Embedding(num_ids, embedding_dim, padding_idx=pad_id)

    def forward(self, observations: Tensor) -> Tensor:
        """Return the features, float32 (batch, window * embedding_dim), of what SB3 makes of observations."""
        embeddings: Tensor = self.embedding(_token_ids(observations, self._observation_space))
        return embeddings.flatten(1)


class TransformerExtractor(BaseFeaturesExtractor):
    """Features of a window of token ids: what a small transformer says about it in one more, learned token.

    Pre-norm encoder layers without dropout, so that PPO's ratios begin at 1. No position attends to padding; positions
    count from the right edge, so that a longer window with more padding on the left has the same features. See
    ``TokenEmbeddingExtractor`` for how to use it.

    Args:
        observation_space: of a token-level env: ``MultiDiscrete``, ``Box`` (window,), or one-hot.
        features_dim: number of features and size of the hidden states.
        pad_id: the id of padding.
        num_layers: number of encoder layers.
        num_heads: attention heads; they divide ``features_dim``.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        features_dim: int = 64,
        *,
        pad_id: int,
        num_layers: int = 2,
        num_heads: int = 4,
    ) -> None:
        super().__init__(observation_space, features_dim)
        window, num_ids = _window_and_ids(observation_space)
        self.pad_id = pad_id
        self.embedding = nn.Embedding(num_ids, features_dim)
        self.position = nn.Embedding(window, features_dim)
        self.summary = nn.Parameter(torch.randn(features_dim))
        layer = nn.TransformerEncoderLayer(
            features_dim, num_heads, 4 * features_dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        norm = nn.LayerNorm(features_dim)
        self.encoder = nn.TransformerEncoder(layer, num_layers, norm, enable_nested_tensor=False)

    def forward(self, observations: Tensor) -> Tensor:
        """Return the features, float32 (batch, features_dim), of what SB3 makes of observations."""
        ids = _token_ids(observations, self._observation_space)
        hidden = self.embedding(ids) + self.position.weight.flip(0)
        hidden = torch.cat([self.summary.expand(len(ids), 1, -1), hidden], 1)
        padding = nn.functional.pad(ids == self.pad_id, (1, 0), value=False)
        features: Tensor = self.encoder(hidden, src_key_padding_mask=padding)[:, 0]
        return features


def _window_and_ids(space: spaces.Space[Any]) -> tuple[int, int]:
    """Return the length of a window and the number of token ids."""
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1 and (space.nvec == space.nvec[0]).all():
        return len(space.nvec), int(space.nvec[0])
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.integer):
        return space.shape[0], int(space.high.max()) + 1
    if isinstance(space, spaces.Box) and len(space.shape) == 2 and space.dtype == np.uint8:  # one-hot
        return space.shape[0], space.shape[1]
    raise ValueError(f"need the observation space of a token-level env, got {space}")


def _token_ids(observations: Tensor, space: spaces.Space[Any]) -> Tensor:
    """Return int64 (batch, window) from what SB3's ``preprocess_obs`` made of them: floats, or one-hot blocks."""
    if isinstance(space, spaces.MultiDiscrete) or len(space.shape or ()) == 2:
        return observations.view(len(observations), _window_and_ids(space)[0], -1).argmax(-1)
    return observations.long()
