"""A policy network for stable-baselines3 that steers a frozen language model: it scores the tokens on offer.

The env is ``TopKActions`` around ``HiddenState(candidates=k)``. Rank says little: token and rank change places from one
context to the next. Compared with the model's state, the tokens' own embeddings say which is meant.
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor, nn


class CandidateScores(BaseFeaturesExtractor):
    """One feature for each token on offer, its score (He et al. 2016, https://arxiv.org/abs/1511.04636).

        score_i = log p_i + f(s) · e_i / |e_i|

    where s is the model's state, e_i the token's row of its output layer, and f a network with one layer of ``width``
    units. Give it as ``features_extractor_class`` with no further layers for the actions (``net_arch=[]``, for PPO
    ``{"pi": [], "vf": [64, 64]}`` and ``share_features_extractor=False``), then call ``start_as_model``.

    Args:
        observation_space: of ``HiddenState(env, model, candidates)``.
        candidates: k, the number of tokens on offer.
        width: hidden units of f.
    """

    def __init__(self, observation_space: spaces.Box, candidates: int, width: int = 256) -> None:
        super().__init__(observation_space, candidates)
        size, rest = divmod(observation_space.shape[0] - candidates, 1 + candidates)
        if rest:
            raise ValueError(f"observations {observation_space.shape} are none of HiddenState(candidates={candidates})")
        self._parts = [size, candidates, candidates * size]
        self.hidden = nn.Sequential(nn.LayerNorm(size, elementwise_affine=False), nn.Linear(size, width), nn.ReLU())
        self.query = nn.Linear(width, size)

    def forward(self, observations: Tensor) -> Tensor:
        """Return the scores, float32 (batch, k)."""
        state, logprobs, embeddings = observations.split(self._parts, 1)
        directions = nn.functional.normalize(embeddings.view(len(state), -1, state.shape[1]), dim=2)
        scores: Tensor = logprobs + torch.einsum("bd,bkd->bk", self.query(self.hidden(state)), directions)
        return scores


def start_as_model(agent: BaseAlgorithm) -> None:
    """Make an untrained agent prefer the tokens on offer as the model does: greedily, it is the model.

    PPO and A2C begin with the model's distribution over the k tokens. The values of DQN begin with a tenth of the
    log-probabilities: a small distance where rewards are 0 and 1, soon overcome by what it learns.

    Raises:
        TypeError: for any other agent.
    """
    policy: Any = agent.policy
    outputs: list[Any]
    if isinstance(policy, ActorCriticPolicy):
        outputs, scale = [policy.action_net], 1.0
    elif isinstance(policy, DQNPolicy):
        outputs, scale = [policy.q_net.q_net[-1], policy.q_net_target.q_net[-1]], 0.1
    else:
        raise TypeError(f"the policy is neither an actor with a critic nor that of DQN: {type(policy).__name__}")
    queries: list[Any] = [module.query for module in policy.modules() if isinstance(module, CandidateScores)]
    with torch.no_grad():
        for layer in [*queries, *outputs]:
            layer.weight.zero_()
            layer.bias.zero_()
        for layer in outputs:
            layer.weight.fill_diagonal_(scale)
