"""``ReferenceLogProb``: pays for tokens that a reference policy finds probable. One for an env, one for a vector env.

An agent that adds β times the entropy of its policy π at each token to the return then maximises

    E[r(y)] - β KL(π ‖ p_ref),    whose optimum is    π(y) = p_ref(y) exp(r(y) / β) / Z

over responses y (Rafailov et al. 2023, https://arxiv.org/abs/2305.18290, equation 4). SB3's ``ent_coef=β`` comes near
where advantages are not normalised: it pays a token for the entropy of its own choice, not for that of later ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv, VectorWrapper
from numpy.typing import ArrayLike, NDArray

from textgym.envs.token_env import TokenEnv
from textgym.envs.vector import TokenVectorEnv
from textgym.wrappers.frozen_lm import ContextReader, Model, contexts_of, find_reader, recorded

FloatArray = NDArray[np.float64]

Reference = Model | Callable[[list[list[int]]], ArrayLike]
"""A language model with the env's vocabulary: ``"tiny"``, a folder, a GGUF file, a hub id, or a ``CausalLM`` that
nobody trains. Or any function from n contexts (token ids of prompt and responses so far) to log-probabilities, (n,
vocab_size).
"""


class ReferenceLogProb(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Adds β log p_ref(token | what precedes it) to the reward of each token.

    **Reward.** The env's plus the term, which is at most 0. A token that the reference rules out counts as one of
    log-probability -100: a reward of -inf would be taken for one that could not be computed.

    **Info.** ``reward/task`` and ``reward/reference_logprob``: the two, whose sum is the reward.
    """

    def __init__(self, env: gym.Env[Any, Any], reference: Reference, beta: float) -> None:
        """Compare with ``reference``.

        Args:
            env: token level; its actions must still be the tokens.
            reference: see ``Reference``.
            beta: β, at least 0.

        Raises:
            TypeError: for an env that is not token level.
            ValueError: if the actions are not the tokens, the reference has another vocabulary, or β is negative.
        """
        name = reference if callable(reference) else recorded(reference)
        gym.utils.RecordConstructorArgs.__init__(self, reference=name, beta=beta)
        gym.Wrapper.__init__(self, env)
        self.beta = _check(env, env.action_space, beta)
        self._score = _make_score(env, reference)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and add the term."""
        contexts = contexts_of(self)
        observation, reward, terminated, truncated, info = self.env.step(action)
        task = float(reward)
        term = self.beta * float(self._score(contexts, np.array([action]), np.ones(1, bool))[0])
        info = info | {"reward/task": task, "reward/reference_logprob": term}
        return observation, task + term, terminated, truncated, info


class VectorReferenceLogProb(VectorWrapper[Any, Any, Any, Any, Any]):
    """``ReferenceLogProb`` of a ``TokenVectorEnv``: one forward of one token for all rows, and one for new prompts.

    The parts in ``infos`` are float64 (num_envs,), aligned with the rewards; ``infos["final_info"]`` has them, too.
    Sub-envs that wait for their reset get 0.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], reference: Reference, beta: float) -> None:
        """Compare with ``reference``; see ``ReferenceLogProb``."""
        super().__init__(env)
        self.beta = _check(env, env.single_action_space, beta)
        self._score = _make_score(env, reference)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step, and add the terms."""
        contexts = contexts_of(self)
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        played = infos["_action_mask"]
        terms = self.beta * self._score(contexts, np.asarray(actions), played)
        parts = {"reward/task": rewards, "reward/reference_logprob": terms}
        infos = infos | parts | {f"_{name}": played for name in parts}
        if "final_info" in infos:
            infos["final_info"] = infos["final_info"] | parts | {f"_{name}": infos["_final_info"] for name in parts}
        return observations, rewards + terms, terminations, truncations, infos

    def action_masks(self) -> NDArray[np.int8]:
        """Return the env's masks, int8 (num_envs, vocab_size)."""
        return self.env.action_masks()  # type: ignore[attr-defined, no-any-return]


_Score = Callable[[list[list[int]], NDArray[np.int64], NDArray[np.bool_]], FloatArray]
"""(contexts, tokens, played) to the log-probability of each token after its context, float64 (n,); 0 if not played."""


def _make_score(env: Any, reference: Reference) -> _Score:
    if callable(reference):
        return _CallableScore(reference, env.unwrapped.tokenizer.vocab_size)
    reader, is_new = find_reader(env, reference)
    # A reader found further in goes with the observations, one token ahead of this one: only the weights are shared.
    return _ModelScore(reader if is_new else ContextReader(reader.policy, len(reader.contexts)))


_LOWEST = -100.0


class _CallableScore:
    """The log-probabilities of a function."""

    def __init__(self, reference: Callable[[list[list[int]]], ArrayLike], vocab_size: int) -> None:
        self.reference = reference
        self.vocab_size = vocab_size

    def __call__(self, contexts: list[list[int]], tokens: NDArray[np.int64], played: NDArray[np.bool_]) -> FloatArray:
        scores = np.zeros(len(contexts))
        rows = np.flatnonzero(played)
        if len(rows):
            logprobs = np.asarray(self.reference([contexts[row] for row in rows]), np.float64)
            if logprobs.shape != (len(rows), self.vocab_size):
                raise ValueError(f"the reference must return {(len(rows), self.vocab_size)}, got {logprobs.shape}")
            if not np.allclose(sums := np.exp(logprobs).sum(1), 1.0, atol=1e-3):
                raise ValueError(f"the reference must return log-probabilities; those of a row sum to {sums}")
            scores[rows] = np.maximum(logprobs[np.arange(len(rows)), tokens[rows]], _LOWEST)
        return scores


class _ModelScore:
    """The log-probabilities of a language model, which keeps in its KV cache what it has read."""

    def __init__(self, reader: ContextReader) -> None:
        self.reader = reader

    @torch.inference_mode()
    def __call__(self, contexts: list[list[int]], tokens: NDArray[np.int64], played: NDArray[np.bool_]) -> FloatArray:
        policy = self.reader.policy
        self.reader.read([context if plays else [] for context, plays in zip(contexts, played, strict=True)])
        states = torch.from_numpy(self.reader.states).to(policy.device, policy.model.dtype)
        drawn = torch.from_numpy(np.where(played, tokens, 0)).to(policy.device)
        with policy.forward_pass():
            logits = policy.logits(states)
        logprobs = logits.double().log_softmax(1).gather(1, drawn[:, None])[:, 0]
        return np.where(played, logprobs.cpu().numpy(), 0.0)


def _check(env: Any, action_space: gym.Space[Any], beta: float) -> float:
    base = env.unwrapped
    if not isinstance(base, TokenEnv | TokenVectorEnv):
        raise TypeError(f"a reference judges tokens: it needs a token-level env (level='token'), got {env}")
    tokens = base.action_space if isinstance(base, TokenEnv) else base.single_action_space
    if action_space != tokens:
        raise ValueError(f"the actions of {env} are no longer the tokens: put it around ReferenceLogProb")
    if not beta >= 0:
        raise ValueError(f"beta must be >= 0, got {beta}")
    return beta
