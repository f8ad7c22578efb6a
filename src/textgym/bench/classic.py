"""A cell in which an agent of stable-baselines3 learns from nothing, token by token.

Such an agent cannot be resumed exactly: a cell that was killed begins anew, and comes to the same end.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from textgym.agents.answers import Answers, pair_up
from textgym.agents.evaluation import pass_at_k
from textgym.agents.files import append_line
from textgym.agents.sb3 import make_vec_env
from textgym.bench.contenders import CONTENDERS, sb3_class
from textgym.bench.matrix import Cell
from textgym.bench.measure import Act, measure_player
from textgym.bench.outcome import Outcome, Tell
from textgym.bench.reward_models import training_settings

_SEED_STEP = 10_007  # SB3 gives sub-env i the seed + i: the envs of two cells must not meet


def run_classic(cell: Cell, folder: Path, tell: Tell) -> Outcome:
    """Train, and return what came out; the agent is in ``model.zip``.

    Observations are one-hot where they are ``MultiDiscrete``, as SB3's networks see them anyway. DQN has no policy to
    sample from: its sampled rates are its greedy ones.
    """
    hyperparameters = dict(cell.hyperparameters)
    one_hot = isinstance(gym.make(cell.env, **cell.env_kwargs).observation_space, gym.spaces.MultiDiscrete)
    envs = make_vec_env(
        cell.env, int(hyperparameters.pop("n_envs", 16)), one_hot=one_hot, **training_settings(cell, folder)
    )
    network = hyperparameters.pop("policy", "MlpPolicy")
    agent_class = sb3_class(CONTENDERS[cell.agent].agent)
    model = agent_class(network, envs, seed=cell.seed * _SEED_STEP, device="cpu", **hyperparameters)
    (folder / "curve.jsonl").unlink(missing_ok=True)
    act = _act(model, one_hot)
    before, first = _measure(act, cell, cell.protocol.problems)
    watch = _Watch(cell, folder, act, tell)
    model.learn(cell.budget, callback=watch)
    model.save(folder / "model.zip")
    after, last = _measure(act, cell, cell.protocol.problems)
    return Outcome(
        score=after["greedy"],
        before=before,
        after=after | sampled_rates(act, cell),
        cost=watch.costs(),
        answers=pair_up(first["greedy"], last["greedy"], cell.protocol.transcripts),
        hyperparameters={"n_envs": envs.num_envs, "policy": network, **hyperparameters},
    )


def sampled_rates(act: Act, cell: Cell) -> dict[str, float]:
    """Return ``pass@1`` and ``pass@k`` of a player of tokens, estimated from 2 k answers to each problem."""
    n, k = 2 * cell.protocol.k, cell.protocol.k
    played = [_measure(act, cell, cell.protocol.pass_problems)[1]["sampled"].successes for _ in range(n)]
    right = np.sum(played, axis=0)
    return {f"pass@{size}": float(np.mean([pass_at_k(n, int(count), size) for count in right])) for size in (1, k)}


class _Watch(BaseCallback):
    """Counts episodes and optimiser steps, and looks at the agent when another part of the budget is done."""

    def __init__(self, cell: Cell, folder: Path, act: Act, tell: Tell) -> None:
        super().__init__()
        self.cell, self.folder, self.act, self.tell = cell, folder, act, tell
        self.episodes = self.optimizer_steps = self.points = 0
        self.seconds, self.began = 0.0, time.perf_counter()

    def costs(self) -> dict[str, float]:
        """Return what learning has cost so far; TRPO takes a step of its own in each update beside the optimiser's."""
        updates = self.model._n_updates
        return {
            "episodes": self.episodes,
            "updates": updates,
            "seconds": self.seconds,
            "samples": self.episodes,
            "tokens": self.num_timesteps,
            "gradient_steps": self.optimizer_steps + (updates if self.cell.agent == "sb3_trpo" else 0),
        }

    def _on_training_start(self) -> None:
        self.model.policy.optimizer.register_step_post_hook(self._count_step)
        self._look()
        self.began = time.perf_counter()

    def _count_step(self, *_: Any) -> None:
        self.optimizer_steps += 1

    def _on_step(self) -> bool:
        self.episodes += int(self.locals["dones"].sum())
        is_due = self.num_timesteps * self.cell.protocol.points >= self.points * self.cell.budget
        if is_due and self.num_timesteps < self.cell.budget:
            self._stop_clock()
            self._look()
            self.began = time.perf_counter()
        if self.n_calls % 50 == 0:
            self.tell(self.num_timesteps)
        return True

    def _on_training_end(self) -> None:
        self._stop_clock()
        self._look()  # not before: the last rollout is still to be learnt from

    def _stop_clock(self) -> None:
        now = time.perf_counter()
        self.seconds, self.began = self.seconds + now - self.began, now

    def _look(self) -> None:
        measured, _ = _measure(self.act, self.cell, self.cell.protocol.curve_problems)
        append_line(self.folder / "curve.jsonl", self.costs() | measured)
        self.points = self.num_timesteps * self.cell.protocol.points // self.cell.budget + 1


def _measure(act: Act, cell: Cell, problems: int) -> tuple[dict[str, Any], dict[str, Answers]]:
    return measure_player(act, cell.env, problems, env_kwargs=cell.env_kwargs, split=cell.protocol.split)


def _act(model: Any, one_hot: bool) -> Act:
    """Return how the agent plays; what it draws comes from a stream of its own, and learning's is left alone."""
    generator_state = torch.Generator().manual_seed(int(model.seed or 0)).get_state()

    def act(observations: NDArray[Any], greedy: bool) -> NDArray[np.int64]:
        nonlocal generator_state
        if one_hot:
            observations = np.eye(model.observation_space.shape[1], dtype=np.uint8)[observations]
        with torch.random.fork_rng():
            torch.set_rng_state(generator_state)
            actions, _ = model.policy.predict(observations, deterministic=greedy)
            generator_state = torch.get_rng_state()
        return np.asarray(actions)

    return act
