"""A reward model in a benchmark: a warm start fits it, and all that learn on its env are paid by it.

The pairs are answers of the warm start, compared by the task's own reward with the noise of Bradley and Terry's model.
What is measured stays the task's own reward, so that what is lost by optimising a learned one shows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textgym.agents.files import read_json
from textgym.agents.policy import CausalLM
from textgym.bench.matrix import Cell

_ANSWERS = 512  # that set the scale
_SCALE_SEED = 100  # their problems are not those of the pairs


def fit_reward_model(policy: CausalLM, cell: Cell, folder: Path) -> dict[str, float]:
    """Fit a copy of the policy in ``folder / "model"`` to pairs, save it as ``reward``, and return how well it does."""
    import gymnasium as gym

    from textgym.agents import OracleAnnotator, RewardModel, sample_pairs
    from textgym.agents.preferences import sample_answers

    settings = dict(cell.reward_model or {})
    pairs, temperature = settings.pop("pairs"), settings.pop("temperature", 0.0)
    how: dict[str, Any] = {"max_new_tokens": cell.max_new_tokens, **cell.env_kwargs}
    env: Any = gym.make(cell.env, **cell.env_kwargs).unwrapped
    annotator = OracleAnnotator(env.reward, temperature, cell.seed)
    drawn = sample_pairs(policy, cell.env, pairs, cell.seed, **how)
    model = RewardModel.load(folder / "model", seed=cell.seed)
    metrics = model.fit([verdict for verdict in annotator(drawn) if verdict], **{"seed": cell.seed, **settings})
    model.normalise(*sample_answers(policy, cell.env, _ANSWERS, cell.seed + _SCALE_SEED, **how))
    model.save(folder / "reward")
    return {f"reward_{name}": value for name, value in dataclasses.asdict(metrics).items()}


def training_settings(cell: Cell, folder: Path) -> Mapping[str, Any]:
    """Return the settings of the env that a cell learns in: its own, with the reward model if one pays.

    Raises:
        ValueError: if that model is no longer the one that was made.
    """
    if cell.rewarded_by is None:
        return cell.env_kwargs
    from textgym.agents import RewardModel
    from textgym.bench.learning import policy_sha256

    made_by = folder.parent / cell.rewarded_by
    made, found = read_json(made_by / "result.json")["reward_sha256"], policy_sha256(str(made_by / "reward"))
    if made != found:
        raise ValueError(
            f"the reward model of {cell.rewarded_by} has changed: its files' hash was {made} and is {found}"
        )
    return {**cell.env_kwargs, "reward": RewardModel.load(made_by / "reward", device="cpu")}
