"""How good a player is on problems of a split, in the same numbers for language models and for players of tokens.

``measure_model`` and ``measure_player`` return a dict, JSON-able, with

- ``greedy``, ``sampled``: success rates, of the most probable tokens and of sampling at temperature 1;
- ``greedy_reward``, ``sampled_reward``: mean returns; ``greedy_length``, ``sampled_length``: tokens of an episode;
  ``greedy_cut``, ``sampled_cut``: share of the responses that the limit cut;
- ``entropy``: nats a sampled token, estimated by - log pi of what was drawn (language models);
- ``unscored``: responses whose reward could not be computed, which count neither way; a rate of none is None;
- ``problems``: how many distinct ones; with n of them the standard error of a rate p is sqrt(p (1 - p) / n).

and beside it what was answered: ``Answers`` of each kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from textgym.agents.answers import Answers, answer_in, answers_of
from textgym.agents.evaluation import first_problems, make_text_env, play_problems
from textgym.agents.policy import CausalLM
from textgym.agents.rollout import concatenate

Act = Callable[[NDArray[Any], bool], NDArray[np.int64]]
"""From observations (n, window), and whether to be greedy, to tokens (n,)."""


def first_prompts(env_id: str, wanted: int, env_kwargs: dict[str, Any], split: str = "test") -> list[str]:
    """Return the prompts of the first distinct problems of a split, at most ``wanted``.

    Raises:
        ValueError: if there is none.
    """
    text_env = make_text_env(env_id, env_kwargs)
    return [problem.prompt for problem in first_problems(text_env, env_id, wanted, split)]


def measure_model(
    policy: CausalLM,
    env_id: str,
    problems: int,
    *,
    max_new_tokens: int,
    seed: int,
    env_kwargs: dict[str, Any],
    split: str = "test",
) -> tuple[dict[str, Any], dict[str, Answers]]:
    """Let a language model answer each problem greedily and by sampling; see the module."""
    count = len(first_prompts(env_id, problems, env_kwargs, split))
    measured: dict[str, Any] = {}
    answers: dict[str, Answers] = {}
    unscored = 0
    for kind, temperature in ("greedy", 0.0), ("sampled", 1.0):
        settings: dict[str, Any] = dict(temperature=temperature, max_new_tokens=max_new_tokens, seed=seed, split=split)
        rollout = concatenate(play_problems(policy, env_id, range(count), **settings, **env_kwargs))
        answers[kind] = answers_of([rollout])
        measured |= _rates(kind, answers[kind], rollout.lengths.tolist(), rollout.cut.tolist())
        unscored += int((~torch.isfinite(rollout.returns)).sum())
        if kind == "sampled":
            measured["entropy"] = -float(rollout.logprobs[rollout.action_mask].mean())
    return measured | {"unscored": unscored, "problems": count}, answers


def measure_player(
    act: Act, env_id: str, problems: int, *, env_kwargs: dict[str, Any], split: str = "test"
) -> tuple[dict[str, Any], dict[str, Answers]]:
    """Let a player of tokens do the same; see the module."""
    prompts = first_prompts(env_id, problems, env_kwargs, split)
    measured: dict[str, Any] = {}
    answers: dict[str, Answers] = {}
    unscored = 0
    for kind in "greedy", "sampled":
        played, lengths = _play_tokens(act, kind == "greedy", env_id, prompts, env_kwargs, split)
        answers[kind] = played
        measured |= _rates(kind, played, lengths, None)
        unscored += sum(not math.isfinite(reward) for reward in played.rewards)
    return measured | {"unscored": unscored, "problems": len(prompts)}, answers


def _play_tokens(
    act: Act, greedy: bool, env_id: str, prompts: list[str], env_kwargs: dict[str, Any], split: str
) -> tuple[Answers, list[int]]:
    """Play one episode on each problem, and return how they went and their lengths in tokens."""
    count = len(prompts)
    env: Any = gym.make_vec(env_id, num_envs=count, autoreset_mode="Disabled", **env_kwargs)
    observations, _ = env.reset(seed=0, options={"problem": list(range(count)), "split": split})
    tokenizer = env.unwrapped.tokenizer
    running = np.ones(count, bool)
    returns, lengths, successes = np.zeros(count), np.zeros(count, int), np.zeros(count, bool)
    responses: list[Any] = [""] * count
    while running.any():
        actions = np.where(running, act(observations, greedy), tokenizer.stop_id)
        observations, rewards, terminations, truncations, infos = env.step(actions)
        returns += np.where(running, rewards, 0.0)
        lengths += running
        ended = running & (terminations | truncations)
        if ended.any():
            successes |= ended & infos["is_success"]
            for row in np.flatnonzero(ended):
                responses[row] = answer_in(infos["messages"][row])
        running &= ~ended
    env.close()
    return Answers(prompts, responses, returns.tolist(), successes.tolist()), lengths.tolist()


def _rates(kind: str, answers: Answers, lengths: list[int], cut: list[bool] | None) -> dict[str, Any]:
    scored = [i for i, reward in enumerate(answers.rewards) if math.isfinite(reward)]
    rates = {
        kind: _mean([answers.successes[i] for i in scored]),
        f"{kind}_reward": _mean([answers.rewards[i] for i in scored]),
        f"{kind}_length": _mean(lengths),
    }
    return rates if cut is None else rates | {f"{kind}_cut": _mean(cut)}


def _mean(values: list[Any]) -> float | None:
    return float(np.mean(values)) if values else None
