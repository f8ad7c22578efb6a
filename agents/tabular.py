"""Methods on tables, for finite MDPs.

- ``ValueIteration``, ``PolicyIteration``: plan with a transition model, such as ``env.unwrapped.P`` of TextMaze-v0 or
  of Gymnasium's FrozenLake-v1 and Taxi-v4.
- ``QLearning``: learns from experience, in any env whose observations and actions are ``Discrete``.
- ``TransitionModel``: such a model as arrays, with the two Bellman equations.
- ``epsilon_at``: the schedules of exploration.

See Sutton and Barto, Reinforcement Learning (2nd edition), sections 4.3, 4.4 and 6.5. Of actions worth the same, the
first is taken.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray
from typing_extensions import Self

Transitions = Mapping[int, Mapping[int, Sequence[tuple[float, int, float, bool]]]]
"""``P[state][action] = [(probability, next state, reward, terminated), ...]``, numbered from 0."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SCHEDULES = ("constant", "linear", "exponential")


class TransitionModel:
    """What ``P`` says, as arrays of S states and A actions.

    ``rewards`` float64 (S, A) are the expected rewards p·r. The transitions that go on are a list: ``pairs`` their
    s·A + a, ``next_states`` their s', ``probabilities`` their p, each (n,); after a terminated one nothing follows.
    """

    def __init__(self, P: Transitions) -> None:
        """Read the model.

        Raises:
            ValueError: naming a state whose actions differ from those of state 0, or a pair whose probabilities do not
                add up to 1 or whose next state does not exist.
        """
        self.n_states, self.n_actions = len(P), len(P[0])
        self.rewards: FloatArray = np.zeros((self.n_states, self.n_actions))
        rows: list[tuple[int, int, float]] = []
        for state in range(self.n_states):
            if set(P[state]) != set(range(self.n_actions)):
                raise ValueError(f"state {state} must have the actions 0..{self.n_actions - 1}, got {list(P[state])}")
            for action, outcomes in P[state].items():
                if abs(sum(outcome[0] for outcome in outcomes) - 1.0) > 1e-9:
                    raise ValueError(f"the probabilities of P[{state}][{action}] must add up to 1, got {outcomes}")
                for probability, next_state, reward, terminated in outcomes:
                    if not 0 <= next_state < self.n_states:
                        raise ValueError(f"P[{state}][{action}] leads to {next_state}, not in 0..{self.n_states - 1}")
                    self.rewards[state, action] += probability * reward
                    if not terminated:
                        rows.append((state * self.n_actions + action, next_state, probability))
        self.pairs: IntArray = np.array([pair for pair, _, _ in rows], np.int64)
        self.next_states: IntArray = np.array([next_state for _, next_state, _ in rows], np.int64)
        self.probabilities: FloatArray = np.array([probability for _, _, probability in rows], np.float64)

    def backup(self, values: FloatArray, gamma: float) -> FloatArray:
        """Return Q(s, a) = r(s, a) + γ Σ p(s'|s, a) V(s'), float64 (S, A), of values (S,)."""
        weights = self.probabilities * values[self.next_states]
        follow = np.bincount(self.pairs, weights, minlength=self.rewards.size)
        q_values: FloatArray = self.rewards + gamma * follow.reshape(self.rewards.shape)
        return q_values

    def evaluate(self, policy: IntArray, gamma: float) -> FloatArray:
        """Return the exact values, float64 (S,), of always taking action ``policy[s]``: V = (I − γ P_π)⁻¹ r_π."""
        taken = policy[self.pairs // self.n_actions] == self.pairs % self.n_actions
        matrix = np.eye(self.n_states)
        states, next_states = self.pairs[taken] // self.n_actions, self.next_states[taken]
        np.subtract.at(matrix, (states, next_states), gamma * self.probabilities[taken])
        rewards = self.rewards[np.arange(self.n_states), policy]
        return np.linalg.solve(matrix, rewards).astype(np.float64, copy=False)


class _Planner:
    """What both planners share: ``values`` float64 (S,), ``q_values`` (S, A) and ``policy`` int64 (S,), 0 at first."""

    def __init__(self, P: Transitions, gamma: float = 0.99) -> None:
        """Plan with ``P`` and the discount ``gamma``, 0 <= gamma < 1.

        With gamma 1 a way of any length would be the best one, and what never ends might have no value.

        Raises:
            ValueError: if ``P`` or ``gamma`` is no such thing.
        """
        if not 0 <= gamma < 1:
            raise ValueError(f"gamma must be in [0, 1), got {gamma}")
        self.model = TransitionModel(P)
        self.gamma = gamma
        self.values: FloatArray = np.zeros(self.model.n_states)
        self.q_values: FloatArray = np.zeros_like(self.model.rewards)

    @property
    def policy(self) -> IntArray:
        """The best action in each state."""
        best: IntArray = self.q_values.argmax(1)
        return best

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Return the best action for a state, or for each of an array, and None."""
        return self.policy[_rows(observation, self.model.n_states)], None


class ValueIteration(_Planner):
    """V(s) ← max_a Q(s, a), for all states at once, until nothing changes any more."""

    num_sweeps = 0

    def learn(self, tolerance: float = 1e-12) -> Self:
        """Sweep until no value changes by more than ``tolerance``, relative to the largest if that is above 1.

        The values are then at most γ/(1 − γ) times as far from the optimal ones.
        """
        change = np.inf
        while change > tolerance * max(1.0, float(np.abs(self.values).max())):
            best = self.model.backup(self.values, self.gamma).max(1)
            change = float(np.abs(best - self.values).max())
            self.values = best
            self.num_sweeps += 1
        self.q_values = self.model.backup(self.values, self.gamma)
        return self


class PolicyIteration(_Planner):
    """Evaluates a policy exactly, then takes the best action by its values, until it is the best policy itself."""

    num_iterations = 0

    def learn(self) -> Self:
        """Improve as long as the values rise, which they do by more than rounding or not at all."""
        policy, total = self.policy, -np.inf
        while (values := self.model.evaluate(policy, self.gamma)).sum() > total:
            self.values, total = values, float(values.sum())
            self.q_values = self.model.backup(values, self.gamma)
            better = self.q_values.max(1) > self.q_values[np.arange(len(policy)), policy]
            policy = np.where(better, self.policy, policy)
            self.num_iterations += 1
        return self


@dataclass(frozen=True)
class QLearningConfig:
    """What ``QLearning`` can be told."""

    learning_rate: float = 0.1
    """How far a value moves towards its target; 1 is right where nothing is random."""
    gamma: float = 0.99
    """Discount."""
    exploration_schedule: str = "linear"
    """``"constant"``, ``"linear"`` or ``"exponential"``: see ``epsilon_at``."""
    exploration_initial_eps: float = 1.0
    """Share of random actions at the start, and always if constant."""
    exploration_final_eps: float = 0.05
    """Share of random actions in the end."""
    exploration_steps: int = 10_000
    """Timesteps from the one to the other, counted over all calls of ``learn``."""
    seed: int = 0
    """Of the exploration and of the env."""

    def __post_init__(self) -> None:
        """Check ranges; ValueError names the field and its value."""
        if self.exploration_schedule not in SCHEDULES:
            raise ValueError(f"exploration_schedule must be one of {SCHEDULES}, got {self.exploration_schedule!r}")
        if not 0 < self.learning_rate <= 1:
            raise ValueError(f"learning_rate must be in (0, 1], got {self.learning_rate}")
        for name in ("gamma", "exploration_initial_eps", "exploration_final_eps"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.exploration_schedule == "exponential" and not self.exploration_initial_eps * self.exploration_final_eps:
            raise ValueError("an exponential schedule needs exploration_initial_eps and exploration_final_eps above 0")
        if self.exploration_steps < 1:
            raise ValueError(f"exploration_steps must be >= 1, got {self.exploration_steps}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")


class QLearning:
    """Q(s, a) ← Q(s, a) + α [r + γ max_a' Q(s', a') − Q(s, a)], with epsilon-greedy exploration (Watkins, 1989).

    After a terminated step the target is r alone; a truncated one counts on. ``q_values``, float64 (S, A), are 0 at
    first.
    """

    def __init__(self, env: gym.Env[Any, Any], **hyperparameters: Any) -> None:
        """Learn in ``env``; ``hyperparameters`` are fields of ``QLearningConfig``.

        Raises:
            TypeError: for an unknown hyperparameter.
            ValueError: for one out of range, or an env whose observations or actions are not ``Discrete``.
        """
        observations, actions = env.observation_space, env.action_space
        if not isinstance(observations, Discrete) or not isinstance(actions, Discrete):
            raise ValueError(f"QLearning needs Discrete observations and actions, got {observations} and {actions}")
        known = [field.name for field in dataclasses.fields(QLearningConfig)]
        if unknown := sorted(set(hyperparameters) - set(known)):
            raise TypeError(f"QLearning has no {', '.join(unknown)}; it has {', '.join(known)}")
        self.config = QLearningConfig(**hyperparameters)
        self.env = env
        self.q_values: FloatArray = np.zeros((int(observations.n), int(actions.n)))
        self.num_timesteps = 0
        self._first_state, self._first_action = int(observations.start), int(actions.start)
        self._rng = np.random.default_rng(self.config.seed)

    @property
    def epsilon(self) -> float:
        """The share of random actions now."""
        config = self.config
        return epsilon_at(
            self.num_timesteps,
            config.exploration_schedule,
            config.exploration_initial_eps,
            config.exploration_final_eps,
            config.exploration_steps,
        )

    def learn(self, total_timesteps: int) -> Self:
        """Learn from ``total_timesteps`` more steps, beginning with a new episode; one under way in the end is left."""
        rate, gamma, q_values = self.config.learning_rate, self.config.gamma, self.q_values
        observation, _ = self.env.reset(seed=int(self._rng.integers(2**31)))
        for step in range(total_timesteps):
            action = self._explore(observation)
            following, reward, terminated, truncated, _ = self.env.step(action)
            value = 0.0 if terminated else q_values[following - self._first_state].max()
            pair = observation - self._first_state, action - self._first_action
            q_values[pair] += rate * (float(reward) + gamma * value - q_values[pair])
            self.num_timesteps += 1
            observation = following
            if (terminated or truncated) and step + 1 < total_timesteps:
                observation, _ = self.env.reset()
        return self

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Return the action for an observation, or for each of an array, and None.

        It is the best one if ``deterministic``, else at random as now in ``learn``.
        """
        rows = _rows(observation, len(self.q_values), self._first_state)
        actions = self.q_values.argmax(1)[rows]
        if not deterministic:
            random = self._rng.integers(self.q_values.shape[1], size=rows.shape)
            actions = np.where(self._rng.random(rows.shape) < self.epsilon, random, actions)[()]
        return actions + self._first_action, None

    def save(self, path: str | Path) -> None:
        """Write a file from which ``load`` resumes exactly; a crash in the middle leaves the old one as it was."""
        path = Path(path)
        state = {
            "config": dataclasses.asdict(self.config),
            "num_timesteps": self.num_timesteps,
            "generator": self._rng.bit_generator.state,
        }
        fresh = path.with_name(path.name + ".new")
        with fresh.open("wb") as file:
            np.savez(file, q_values=self.q_values, state=np.array(json.dumps(state)))
        os.replace(fresh, path)

    @classmethod
    def load(cls, path: str | Path, env: gym.Env[Any, Any]) -> Self:
        """Return an agent that goes on exactly where ``save`` was called, in an env made alike.

        Raises:
            ValueError: if the table does not fit the spaces of ``env``.
        """
        with np.load(path, allow_pickle=False) as file:
            q_values, state = file["q_values"], json.loads(file["state"].item())
        agent = cls(env, **state["config"])
        if q_values.shape != agent.q_values.shape:
            raise ValueError(f"the table is {q_values.shape}, but the env is {agent.q_values.shape}: {path}")
        agent.q_values = q_values
        agent.num_timesteps = state["num_timesteps"]
        agent._rng.bit_generator.state = state["generator"]
        return agent

    def _explore(self, observation: int) -> int:
        if self._rng.random() < self.epsilon:
            return self._first_action + int(self._rng.integers(self.q_values.shape[1]))
        return self._first_action + int(self.q_values[observation - self._first_state].argmax())


def epsilon_at(timestep: int, schedule: str, initial: float, final: float, steps: int) -> float:
    """Return the share of random actions at ``timestep``, with x = min(timestep / steps, 1).

    ``"constant"``: initial; ``"linear"``: initial + x (final − initial); ``"exponential"``:
    initial (final / initial)^x, for both above 0.
    """
    x = min(timestep / steps, 1.0)
    if schedule == "constant":
        return initial
    if schedule == "linear":
        return initial + x * (final - initial)
    return float(initial * (final / initial) ** x)


def _rows(observation: Any, n_states: int, first_state: int = 0) -> IntArray:
    """Return the row of each observation in a table."""
    rows: IntArray = np.asarray(observation) - first_state
    if not np.issubdtype(rows.dtype, np.integer) or (rows.size and (rows.min() < 0 or rows.max() >= n_states)):
        states = f"{first_state}..{first_state + n_states - 1}"
        raise ValueError(f"an observation must be a whole number in {states}, got {observation!r:.80}")
    return rows
