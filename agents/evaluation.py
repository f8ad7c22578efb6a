"""``evaluate``: how often a policy succeeds on held-out problems."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium as gym
import torch

from textgym.agents.policy import CausalLM
from textgym.agents.rollout import Rollout, collect


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Rates over ``problems`` distinct held-out problems, one response to each."""

    greedy: float
    """Success rate of the most probable tokens."""
    sampled: float
    """Success rate of sampling at temperature 1."""
    problems: int
    """Number of problems; fewer than asked for where the task has no more."""
    unscored: int
    """Responses whose reward could not be computed, which count neither way."""


def evaluate(
    policy: CausalLM,
    env_id: str,
    episodes: int = 500,
    *,
    max_new_tokens: int = 64,
    batch_size: int = 256,
    seed: int = 0,
    split: str = "test",
    **env_kwargs: Any,
) -> Evaluation:
    """Play the first ``episodes`` distinct problems of a split, greedily and by sampling.

    The problems are the same for every policy and seed; the policy's own random streams are not touched. With n
    problems the standard error of a rate p is sqrt(p (1 - p) / n): 0.022 at p = 0.5, n = 500.

    Args:
        policy: who answers.
        env_id: a sequence-level id, with ``env_kwargs`` for ``gym.make_vec``.
        episodes: how many problems.
        max_new_tokens: longest response.
        batch_size: episodes played at once.
        seed: of the sampling.
        split: ``"test"`` or ``"train"``.
        **env_kwargs: settings of the env, such as ``difficulty``.
    """
    rollouts = {
        temperature: play_problems(
            policy, env_id, episodes, temperature, max_new_tokens, batch_size, seed, split, env_kwargs
        )
        for temperature in (0.0, 1.0)
    }
    rates, unscored = {}, 0
    for temperature, parts in rollouts.items():
        successes = torch.cat([part.successes for part in parts])
        scored = torch.cat([torch.isfinite(part.returns) for part in parts])
        rates[temperature] = successes[scored].float().mean().item()
        unscored += int((~scored).sum())
    return Evaluation(rates[0.0], rates[1.0], sum(len(part.prompts) for part in rollouts[0.0]), unscored)


def play_problems(
    policy: CausalLM,
    env_id: str,
    episodes: int,
    temperature: float,
    max_new_tokens: int,
    batch_size: int,
    seed: int,
    split: str,
    env_kwargs: dict[str, Any],
) -> list[Rollout]:
    """Play one episode on each of the first ``episodes`` problems of a split, in batches.

    Raises:
        ValueError: if the split is empty.
    """
    generator = torch.Generator(policy.device).manual_seed(seed)
    rollouts: list[Rollout] = []
    probe = gym.make(env_id, split=split, **env_kwargs).unwrapped
    count = _count_problems(probe, episodes, split)
    if count == 0:
        raise ValueError(f"{env_id} has no {split} problems")
    for start in range(0, count, batch_size):
        indices = list(range(start, min(start + batch_size, count)))
        env = gym.make_vec(env_id, num_envs=len(indices), autoreset_mode="Disabled", **env_kwargs)
        options = {"problem": indices, "split": split}
        rollouts.append(
            collect(
                policy,
                env,
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                generator=generator,
                seed=seed,
                options=options,
            )
        )
    return rollouts


def _count_problems(env: Any, wanted: int, split: str) -> int:
    """Return how many distinct problems there are, up to ``wanted``."""
    text_env = getattr(env, "text_env", env)
    for index in range(wanted):
        try:
            text_env.choose({"problem": index, "split": split})
        except IndexError:
            return index
    return wanted
