"""One maze, solved by value iteration, by policy iteration and by Q-learning.

    python examples/maze_tabular.py --size 5 --problem 2

The first two plan with the maze's transition model; Q-learning walks about at random and sees only which cell it is in
and what a step paid. Prints the optimal value of each cell, 0.99 to the power of the steps before the last, then each
method's greedy arrows, and by how much following them falls short of the optimal values in the worst cell.
"""

from __future__ import annotations

import argparse

import gymnasium as gym

import textgym  # noqa: F401 - registers the ids
from textgym.agents.tabular import PolicyIteration, QLearning, ValueIteration
from textgym.envs.games.maze import MazeStates
from textgym.wrappers import ChoiceActions

ARROWS = "↑↓→←"


def picture(ways: tuple[str, ...], size: int, cells: list[str]) -> list[str]:
    """Return the lines of a drawing: the walls around one short text for each cell."""
    width = max(map(len, cells)) + 2
    lines = []
    for row in range(size):
        above, inside = "+", "|"
        for cell in range(row * size, (row + 1) * size):
            above += (" " if "n" in ways[cell] else "-") * width + "+"
            inside += cells[cell].center(width) + (" " if "e" in ways[cell] else "|")
        lines += [above, inside]
    return [*lines, "+" + ("-" * width + "+") * size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=5)
    parser.add_argument("--problem", type=int, default=0, help="which maze")
    parser.add_argument("--total-timesteps", type=int, default=50_000, help="of Q-learning")
    args = parser.parse_args()
    # A random walk needs long episodes to come to the far ends.
    env = MazeStates(ChoiceActions(gym.make("TextMaze-v0", size=args.size, turns=10 * args.size**2)), args.problem)
    env.reset(seed=0)
    maze = env.unwrapped.problem.metadata
    values = ValueIteration(env.unwrapped.P).learn()
    policies = PolicyIteration(env.unwrapped.P).learn()
    learner = QLearning(env, learning_rate=1.0, exploration_schedule="constant").learn(args.total_timesteps)

    shown = [f"{value:.2f}" for value in values.values]
    shown[maze["exit"]] = "exit"
    print("\n".join(["Optimal values", *picture(maze["ways"], args.size, shown), ""]))
    drawings = []
    for agent in (values, policies, learner):
        policy = agent.q_values.argmax(1)
        arrows = [ARROWS[action] for action in policy]
        arrows[maze["exit"]] = "*"
        drawings.append([type(agent).__name__, *picture(maze["ways"], args.size, arrows)])
        drawings[-1].append(f"short by {(values.values - values.model.evaluate(policy, values.gamma)).max():.3g}")
    for lines in zip(*drawings, strict=True):
        print("   ".join(line.ljust(max(4 * args.size + 1, len(drawings[1][0]))) for line in lines).rstrip())
    print(f"\n{values.num_sweeps} sweeps, {policies.num_iterations} iterations, {learner.num_timesteps:,} steps")


if __name__ == "__main__":
    main()
