"""Tabular methods: Bellman's equations, FrozenLake and mazes by independent solutions, and exact resume."""

from __future__ import annotations

import itertools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Discrete

import textgym  # noqa: F401 - registers the ids
from textgym.agents.tabular import PolicyIteration, QLearning, TransitionModel, ValueIteration, epsilon_at
from textgym.envs.games.maze import MazeStates
from textgym.wrappers import ChoiceActions

LAKES = [{"is_slippery": False}, {"is_slippery": True}, {"is_slippery": True, "map_name": "8x8"}]
GAMMAS = pytest.mark.parametrize("gamma", [0.0, 0.9, 0.99])


def maze(problem=0, **settings):
    env = MazeStates(ChoiceActions(gym.make("TextMaze-v0", disable_env_checker=True, **settings)), problem)
    env.reset(seed=0)
    return env


def model_of(name, **kwargs):
    return maze(**kwargs).unwrapped.P if name == "TextMaze-v0" else gym.make(name, **kwargs).unwrapped.P


MODELS = pytest.mark.parametrize(
    ("name", "kwargs"),
    [*(("FrozenLake-v1", lake) for lake in LAKES), ("Taxi-v4", {}), ("CliffWalking-v1", {}), ("TextMaze-v0", {})],
    ids=str,
)


def q_by_loops(P, values, gamma):
    return np.array(
        [
            [
                sum(p * (r + gamma * (0.0 if end else values[s])) for p, s, r, end in P[state][a])
                for a in sorted(P[state])
            ]
            for state in sorted(P)
        ]
    )


def values_of(P, policy, gamma):
    """The exact values of a policy, by a linear system written out element by element."""
    n = len(P)
    matrix, rewards = [[float(i == j) for j in range(n)] for i in range(n)], [0.0] * n
    for state in range(n):
        for p, following, reward, end in P[state][int(policy[state])]:
            rewards[state] += p * reward
            if not end:
                matrix[state][following] -= gamma * p
    return np.linalg.solve(np.array(matrix), np.array(rewards))


def lake_values(policy, gamma, slippery):
    """The values of a policy on the 4x4 lake, from its map and its rules alone; < v > ^ are Gymnasium's 0 to 3."""
    lake = "SFFFFHFHFFFHHFFG"
    P = {state: {0: [(1.0, state, 0.0, True)]} for state in range(16)}
    for state, arrow in enumerate(policy):
        if lake[state] in "SF":
            aim = "<v>^".index(arrow)
            P[state][0] = []
            for direction in ((aim - 1) % 4, aim, (aim + 1) % 4) if slippery else (aim,):
                down, right = [(0, -1), (1, 0), (0, 1), (-1, 0)][direction]
                row, column = min(max(state // 4 + down, 0), 3), min(max(state % 4 + right, 0), 3)
                ground = lake[4 * row + column]
                P[state][0].append((1 / 3 if slippery else 1.0, 4 * row + column, float(ground == "G"), ground in "GH"))
    return values_of(P, [0] * 16, gamma)


# The model


@MODELS
def test_the_backup_and_the_evaluation_are_the_loops(name, kwargs):
    P = model_of(name, **kwargs)
    model, rng = TransitionModel(P), np.random.default_rng(0)
    values, policy = rng.normal(size=len(P)), rng.integers(0, len(P[0]), len(P))
    np.testing.assert_allclose(model.backup(values, 0.9), q_by_loops(P, values, 0.9), atol=1e-12)
    np.testing.assert_allclose(model.evaluate(policy, 0.9), values_of(P, policy, 0.9), atol=1e-10)


@pytest.mark.parametrize(
    ("P", "message"),
    [
        ({0: {0: [(0.5, 0, 0.0, False)]}}, r"probabilities of P\[0\]\[0\] must add up to 1"),
        ({0: {0: []}}, r"probabilities of P\[0\]\[0\] must add up to 1"),
        ({0: {0: [(1.0, 1, 0.0, False)]}}, r"P\[0\]\[0\] leads to 1, not in 0..0"),
        ({0: {0: [(1.0, -1, 0.0, False)]}}, r"P\[0\]\[0\] leads to -1"),
        (
            {0: {0: [(1.0, 0, 0.0, True)]}, 1: {1: [(1.0, 0, 0.0, True)]}},
            r"state 1 must have the actions 0..0, got \[1",
        ),
    ],
)
def test_a_bad_model_is_named(P, message):
    with pytest.raises(ValueError, match=message):
        ValueIteration(P)


@pytest.mark.parametrize("gamma", [1.0, -0.1, float("nan")])
def test_planning_needs_a_discount(gamma):
    with pytest.raises(ValueError, match=r"gamma must be in \[0, 1\), got"):
        PolicyIteration(model_of("FrozenLake-v1"), gamma)


# Planning


@GAMMAS
@MODELS
def test_value_iteration_satisfies_bellmans_optimality_equation(name, kwargs, gamma):
    P = model_of(name, **kwargs)
    planner = ValueIteration(P, gamma).learn()
    best = q_by_loops(P, planner.values, gamma)
    np.testing.assert_allclose(planner.values, best.max(1), rtol=0, atol=1e-10)
    np.testing.assert_allclose(planner.q_values, best, rtol=0, atol=1e-10)


@GAMMAS
@MODELS
def test_policy_iteration_is_value_iteration(name, kwargs, gamma):
    P = model_of(name, **kwargs)
    ours, theirs = PolicyIteration(P, gamma).learn(), ValueIteration(P, gamma).learn()
    np.testing.assert_allclose(ours.values, theirs.values, rtol=0, atol=1e-10)
    for planner in (ours, theirs):
        np.testing.assert_allclose(values_of(P, planner.policy, gamma), ours.values, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("slippery", "policy"),
    [(True, "<^^^<.<.^v<..>v."), (False, "v>v<v.v.>vv..>>.")],
    ids=["slippery", "deterministic"],
)
@pytest.mark.parametrize("planner", [ValueIteration, PolicyIteration])
def test_frozen_lake(planner, slippery, policy):
    """The well-known best policies; that no other first step is better is checked arrow by arrow."""
    values = lake_values(policy, 0.99, slippery)
    np.testing.assert_allclose(
        planner(model_of("FrozenLake-v1", is_slippery=slippery), 0.99).learn().values, values, rtol=0, atol=1e-9
    )
    assert values[0] == pytest.approx(0.5420 if slippery else 0.99**5, abs=1e-4)
    for state, arrow in itertools.product(range(16), "<v>^"):
        other = policy[:state] + arrow + policy[state + 1 :]
        assert policy[state] == "." or (lake_values(other, 0.99, slippery) <= values + 1e-12).all()


def test_frozen_lake_without_ice_by_hand():
    """Six steps to the goal, on the map SFFF FHFH FFFH HFFG."""
    values = ValueIteration(model_of("FrozenLake-v1", is_slippery=False), 0.9).learn().values
    steps = [6, 5, 4, 5, 5, 0, 3, 0, 4, 3, 2, 0, 0, 2, 1, 0]
    np.testing.assert_allclose(values, [0.9 ** (n - 1) if n else 0.0 for n in steps], atol=1e-12)


@pytest.mark.parametrize("size", [2, 4, 7])
@pytest.mark.parametrize("planner", [ValueIteration, PolicyIteration])
def test_the_optimal_policy_takes_the_shortest_way_through_a_maze(planner, size):
    """By breadth-first search over the model, from every cell; the values are the discounts of its lengths."""
    for problem in range(3):
        P = maze(problem, size=size).unwrapped.P
        (exit_,) = (state for state in P if P[state][0][0][1:] == (state, 0.0, True))
        distance, ring = {exit_: 0}, {exit_}
        while ring:
            ring = {s for s in P if s not in distance and any(P[s][a][0][1] in ring for a in range(4))}
            distance |= dict.fromkeys(ring, max(distance.values()) + 1)
        assert len(distance) == size**2
        best = planner(P, 0.99).learn()
        for state in set(P) - {exit_}:
            assert best.values[state] == pytest.approx(0.99 ** (distance[state] - 1), abs=1e-10)
            cell = state
            for left in range(distance[state], 0, -1):
                assert distance[cell] == left
                cell = P[cell][int(best.predict(cell)[0])][0][1]
            assert cell == exit_


# Q-learning


@pytest.mark.parametrize("problem", range(3))
def test_q_learning_reaches_the_optimal_values_of_a_maze_from_every_cell(problem):
    env = maze(problem, size=3, turns=60)
    agent = QLearning(env, learning_rate=1.0, exploration_schedule="constant", seed=problem).learn(6_000)
    P = env.unwrapped.P
    best = ValueIteration(P, 0.99).learn()
    np.testing.assert_allclose(values_of(P, agent.q_values.argmax(1), 0.99), best.values, atol=1e-10)


def test_q_learning_learns_the_q_values_of_frozen_lake():
    env = gym.make("FrozenLake-v1", is_slippery=False, disable_env_checker=True)
    agent = QLearning(env, learning_rate=1.0, gamma=0.9, exploration_schedule="constant").learn(30_000)
    P = env.unwrapped.P
    best = ValueIteration(P, 0.9).learn()
    np.testing.assert_allclose(agent.q_values, best.q_values, atol=1e-10)
    np.testing.assert_allclose(values_of(P, agent.q_values.argmax(1), 0.9), best.values, atol=1e-10)


@pytest.mark.slow
def test_q_learning_plays_taxi_and_the_slippery_lake():
    for name, gamma, rate, steps, share in (
        ("Taxi-v4", 0.99, 0.5, 300_000, 0.99),
        ("FrozenLake-v1", 0.95, 0.05, 400_000, 0.9),
    ):
        env = gym.make(name, disable_env_checker=True)
        agent = QLearning(env, gamma=gamma, learning_rate=rate, exploration_steps=steps // 2).learn(steps)
        start = env.unwrapped.initial_state_distrib
        P = env.unwrapped.P
        reached = start @ values_of(P, agent.q_values.argmax(1), gamma)
        assert reached >= share * (start @ ValueIteration(P, gamma).learn().values)


class Corridor(gym.Env):
    """States 5 and 6, actions 2 and 3; the end comes at once, by termination or by truncation, and each step pays 1."""

    observation_space = Discrete(2, start=5)
    action_space = Discrete(2, start=2)

    def __init__(self, truncated):
        self.truncated = truncated

    def reset(self, *, seed=None, options=None):
        return 5, {}

    def step(self, action):
        assert action in self.action_space
        return 6 if action == 3 else 5, 1.0, not self.truncated, self.truncated, {}


@pytest.mark.parametrize("truncated", [False, True])
def test_only_termination_ends_the_sum_of_rewards(truncated):
    agent = QLearning(Corridor(truncated), gamma=0.5, learning_rate=1.0, exploration_schedule="constant").learn(200)
    assert agent.q_values == pytest.approx(
        np.array([[2.0, 1.0], [0.0, 0.0]] if truncated else [[1.0, 1.0], [0.0, 0.0]])
    )


def test_one_update_by_hand():
    env = Corridor(truncated=True)
    agent = QLearning(env, gamma=0.5, learning_rate=0.1, exploration_schedule="constant", exploration_initial_eps=0.0)
    agent.q_values[0, 0] = 2.0
    agent.learn(1)
    assert agent.q_values[0, 0] == pytest.approx(2.0 + 0.1 * (1.0 + 0.5 * 2.0 - 2.0)) and agent.num_timesteps == 1
    agent.q_values[0] = 1.0, 3.0
    agent.learn(1)
    assert agent.q_values[0].tolist() == pytest.approx([1.0, 3.0 + 0.1 * (1.0 + 0.5 * 0.0 - 3.0)])


def test_predict():
    agent = QLearning(Corridor(truncated=False), exploration_schedule="constant", exploration_initial_eps=0.25)
    agent.q_values[:] = [[0.0, 1.0], [1.0, 0.0]]
    assert agent.predict(5, deterministic=True) == (3, None) and agent.predict(6, deterministic=True) == (2, None)
    assert agent.predict(np.array([[5, 6, 5]]), deterministic=True)[0].tolist() == [[3, 2, 3]]
    assert agent.predict(np.int64(5))[0] in agent.env.action_space
    drawn, _ = agent.predict(np.full(20_000, 5))
    assert (drawn == 2).mean() == pytest.approx(0.125, abs=0.01)
    for bad in (4, 7, 5.0, "5"):
        with pytest.raises((ValueError, TypeError)):
            agent.predict(bad)


def test_exploration_follows_the_schedule():
    env = Corridor(truncated=False)
    agent = QLearning(env, exploration_steps=100, exploration_final_eps=0.2)
    seen = [(agent.epsilon, agent.learn(25).num_timesteps)[0] for _ in range(6)]
    assert seen == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.2])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.8] * 5),
        ("linear", [0.8, 0.65, 0.5, 0.2, 0.2]),
        ("exponential", [0.8, 0.8 / 2**0.5, 0.4, 0.2, 0.2]),
    ],
)
def test_epsilon_schedules(schedule, expected):
    assert [epsilon_at(t, schedule, 0.8, 0.2, 1_000) for t in (0, 250, 500, 1_000, 5_000)] == pytest.approx(expected)


def test_a_loaded_agent_goes_on_exactly(tmp_path):
    def lake():
        return gym.make("FrozenLake-v1", disable_env_checker=True)

    agent = QLearning(lake(), seed=3, exploration_schedule="exponential", exploration_steps=900, gamma=0.9).learn(500)
    agent.predict(0)
    path = tmp_path / "agent.npz"
    agent.save(path)
    again = QLearning.load(path, lake())
    assert [file.name for file in tmp_path.iterdir()] == ["agent.npz"]
    assert again.config == agent.config and again.num_timesteps == 500
    for one in (agent, again):
        one.learn(700)
    np.testing.assert_array_equal(again.q_values, agent.q_values)
    observations = np.arange(16).repeat(9)
    np.testing.assert_array_equal(again.predict(observations)[0], agent.predict(observations)[0])
    with pytest.raises(ValueError, match=r"the table is \(16, 4\), but the env is \(2, 2\)"):
        QLearning.load(path, Corridor(truncated=False))


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    def learn(seed):
        return QLearning(gym.make("FrozenLake-v1", disable_env_checker=True), seed=seed).learn(2_000).q_values

    before = repr(np.random.get_state())
    first = learn(0)
    np.random.random()
    state = repr(np.random.get_state())
    np.testing.assert_array_equal(learn(0), first)
    assert state == repr(np.random.get_state()) != before and (learn(1) != first).any()


@pytest.mark.parametrize(
    ("hyperparameters", "error", "message"),
    [
        ({"alpha": 0.1}, TypeError, "QLearning has no alpha; it has learning_rate"),
        ({"learning_rate": 0.0}, ValueError, r"learning_rate must be in \(0, 1\], got 0.0"),
        ({"gamma": 1.1}, ValueError, r"gamma must be in \[0, 1\], got 1.1"),
        ({"exploration_schedule": "cosine"}, ValueError, "exploration_schedule must be one of .* got 'cosine'"),
        ({"exploration_initial_eps": 2}, ValueError, r"exploration_initial_eps must be in \[0, 1\], got 2"),
        ({"exploration_schedule": "exponential", "exploration_final_eps": 0.0}, ValueError, "above 0"),
        ({"exploration_steps": 0}, ValueError, "exploration_steps must be >= 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be >= 0, got -1"),
    ],
    ids=str,
)
def test_a_bad_hyperparameter_is_named(hyperparameters, error, message):
    with pytest.raises(error, match=message):
        QLearning(Corridor(truncated=False), **hyperparameters)


def test_tables_need_numbers():
    with pytest.raises(ValueError, match="QLearning needs Discrete observations and actions, got UnicodeText"):
        QLearning(gym.make("TextMaze-v0"))


@pytest.mark.parametrize("planner", [ValueIteration, PolicyIteration])
def test_stable_baselines3_evaluates_planners_and_learners(planner):
    from stable_baselines3.common.evaluation import evaluate_policy

    env = maze(size=3)
    best = planner(env.unwrapped.P).learn()
    learner = QLearning(env, learning_rate=1.0, exploration_schedule="constant").learn(3_000)
    for agent in (best, learner):
        assert evaluate_policy(agent, env, n_eval_episodes=3, warn=False) == (1.0, 0.0)
