"""``TextMaze``: lead a robot out of a maze that is described in words.

- ``MazeSource``: draws mazes.
- ``ExitReached``: judges the last turn.
- ``TextMaze``: the game, with its exact transition model.
- ``MazeStates``: one maze as a finite MDP, for methods on tables.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete

from textgym.envs.rewards._extraction import read_answer
from textgym.envs.sources._settings import check_whole, number_chars
from textgym.envs.task import Problem, Score
from textgym.envs.text_env import StopReason, TextEnv

COMMANDS = ("north", "south", "east", "west")
"""In the order of the actions of ``TextMaze.P``; action ``a ^ 1`` is the way back."""
VIEWS = ("full", "partial")

_MOVES = ((-1, 0), (1, 0), (0, 1), (0, -1))
_ACTIONS = {name: action for action, command in enumerate(COMMANDS) for name in (command, command[0])}


@dataclass(frozen=True, kw_only=True)
class MazeSource:
    """A square maze in which one way, and only one, leads from each cell to each other.

    Cells have the numbers ``row * size + column``, from 0. The metadata are ``size``; ``ways``, the open directions of
    each cell by their first letters ("es"); the cells ``exit`` and ``robot``; ``turns``, how many are left; ``view``
    and ``letters``. There is no single answer.
    """

    size: int = 4
    view: str = "full"
    """``"full"``: the prompt describes the whole maze; ``"partial"``: each message names the open ways of the robot's
    cell, and nothing tells where the exit is."""
    turns: int | None = None
    """How many commands are allowed; None means twice ``size * size``, enough to walk every way there and back."""
    letters: bool = False
    """Write directions as one letter and leave all other words out, for small vocabularies: "es sw n n>2,2 1,1 8" has
    the open ways of the four cells, the exit, the robot and the turns left."""

    def __post_init__(self) -> None:
        """Check the settings."""
        check_whole("size", self.size, 2, 99)
        if self.turns is not None:
            check_whole("turns", self.turns, self.size**2 - 1, why=" (size * size - 1, the longest way there can be)")
        if self.view not in VIEWS:
            raise ValueError(f"view must be one of {VIEWS}, got {self.view!r}")
        if not isinstance(self.letters, bool):
            raise ValueError(f"letters must be True or False, got {self.letters!r}")

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return a maze carved by a random depth-first search, its exit in a dead end and the robot in another cell.

        So the robot can come to every cell without passing the exit.
        """
        ways = _carve(self.size, rng)
        exit_ = int(rng.choice([cell for cell, open_ in enumerate(ways) if len(open_) == 1]))
        robot = int(rng.choice([cell for cell in range(self.size**2) if cell != exit_]))
        metadata = {"size": self.size, "ways": ways, "exit": exit_, "robot": robot, "turns": self.max_turns}
        metadata |= {"view": self.view, "letters": self.letters}
        return Problem(_prompt(metadata), metadata=metadata, key=f"maze {' '.join(ways)} {robot} {exit_}")

    def solution(self, problem: Problem) -> str | None:
        """Return the next command on the shortest way to the exit."""
        return self.choices[_shortest_ways(problem.metadata)[problem.metadata["robot"]]]

    @property
    def max_turns(self) -> int:
        """How many commands are allowed."""
        return self.turns or 2 * self.size**2

    @property
    def choices(self) -> tuple[str, ...]:
        """The four commands, in the order of ``COMMANDS``."""
        return tuple(command[0] for command in COMMANDS) if self.letters else COMMANDS

    @property
    def charset(self) -> str:
        """Every character of the prompts and the commands, sorted."""
        any_prompt = self.draw(np.random.default_rng(0)).prompt  # prompts differ in their numbers and directions only
        return "".join(sorted({*any_prompt, *"".join(self.choices), *number_chars(max(self.size, self.max_turns))}))


class ExitReached:
    """1.0 iff the robot has come to the exit.

    Each turn that ran into a wall, or that was no command, has cost 1 before.
    """

    range = (0.0, 1.0)

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the scores of problems as they stand after the last turn."""
        success = np.array([p.metadata["robot"] == p.metadata["exit"] for p in problems], dtype=np.bool_)
        return Score(success.astype(np.float64), success)


class TextMaze(TextEnv):
    """A robot in a maze: the textbook's finite MDP, played in words.

    ## Description
    Each turn moves the robot by one cell of a square maze in which one way, and only one, leads from each cell to each
    other.

    ## Observation
    The rules and, in the full view, the maze; then after each turn where the robot is, in the partial view the open
    ways there, and how many turns are left.

    ## Action
    ``north``, ``south``, ``east`` or ``west``, or its first letter. Case, space around it, text around a last
    ``<answer>...</answer>``, and whatever stands before the last ``</think>``, are forgiven. Anything else is a lost
    turn and costs as much as a wall.

    ## Reward
    1 for reaching the exit, -1 for a turn that runs into a wall or holds no command (the robot stays), else 0; each is
    paid at once. A return lies between ``-turns`` and 1.

    ## Start
    A random maze, its exit in a dead end and the robot in any other cell.

    ## End
    At the exit, or after ``turns`` commands. The texts count the turns, so the limit is part of the task.

    ## Model
    ``P[state][action]`` is ``[(probability, next state, reward, terminated)]`` as in Gymnasium's toy-text
    envs, ``state`` is the robot's cell, and ``n_states`` counts the cells. ``P`` is the maze without its turn limit.
    With the limit, what comes next depends on the cell *and* on the turns left, so the cell alone would not be a Markov
    state; without it, it is one, and ``P`` is exact. To whoever sees cells only, the limit comes from outside:
    ``MazeStates`` reports it as a truncation.

    ## Version history
    v0: the first.
    """

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest return: a wall in every turn and the least reward, and none with the largest."""
        low, high = self.reward.range
        return low - self.source.max_turns, high  # type: ignore[attr-defined]

    @property
    def charset(self) -> str:
        """The source's characters, those of the replies, and the line break between turns."""
        replies = "" if self.source.letters else _WALL + _NO_COMMAND  # type: ignore[attr-defined]
        return "".join(sorted({*super().charset, *replies, "\n"}))

    @property
    def n_states(self) -> int:
        """How many cells there are."""
        return int(self.source.size) ** 2  # type: ignore[attr-defined]

    @property
    def state(self) -> int:
        """The robot's cell, in 0..n_states - 1."""
        return int(self._maze()["robot"])

    @property
    def P(self) -> dict[int, dict[int, list[tuple[float, int, float, bool]]]]:
        """The transition model of the current maze; the exit is absorbing."""
        maze = self._maze()
        return {
            cell: {action: [(1.0, *_transition(maze, cell, action))] for action in range(len(COMMANDS))}
            for cell in range(self.n_states)
        }

    def reply(self, response: str) -> str | StopReason:
        """Move the robot; ``problem`` becomes the problem as it stands then."""
        problem = self._current()
        here, action = problem.metadata["robot"], _read_command(response)
        there = here if action is None else _neighbour(problem.metadata, here, action)
        self.turn_reward = -1.0 if there == here else 0.0
        maze = {**problem.metadata, "robot": there, "turns": problem.metadata["turns"] - 1}
        self.problem = dataclasses.replace(problem, metadata=maze)
        if there == maze["exit"]:
            return StopReason.GAME_OVER
        if maze["turns"] == 0:
            return StopReason.TURN_LIMIT
        if there != here or maze["letters"]:
            return _status(maze)
        return (_NO_COMMAND if action is None else _WALL) + _status(maze)

    def _maze(self) -> Mapping[str, Any]:
        if self.problem is None:
            raise ResetNeeded("call reset before asking for the maze: there is none yet")
        return self.problem.metadata


class MazeStates(gym.Wrapper[Any, Any, str, Any], gym.utils.RecordConstructorArgs):
    """One maze as a finite MDP: the observation is the robot's cell, ``Discrete(n_states)``, and ``TextMaze.P`` holds.

    Around ``ChoiceActions`` actions are numbers too, in the order of ``P``. The turn limit, which a cell does not show,
    is a truncation here.
    """

    def __init__(self, env: gym.Env[str, Any], problem: int = 0) -> None:
        """Play problem number ``problem`` of the split in each episode, unless ``reset`` names another.

        Raises:
            ValueError: if ``env`` is no ``TextMaze`` inside.
        """
        if not isinstance(env.unwrapped, TextMaze):
            raise ValueError(f"MazeStates needs a TextMaze at the sequence level, got {env}")
        gym.utils.RecordConstructorArgs.__init__(self, problem=problem)
        gym.Wrapper.__init__(self, env)
        self.problem = problem
        self.maze = env.unwrapped
        self.observation_space = Discrete(self.maze.n_states)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Start an episode."""
        _, info = self.env.reset(seed=seed, options={"problem": self.problem, **(options or {})})
        return self.maze.state, info

    def step(self, action: Any) -> tuple[int, Any, bool, bool, dict[str, Any]]:
        """Step."""
        _, reward, terminated, truncated, info = self.env.step(action)
        if terminated and info["stop_reason"] == StopReason.TURN_LIMIT.value:
            terminated, truncated = False, True
        return self.maze.state, reward, terminated, truncated, info


# The maze. Functions of the metadata of a problem, see `MazeSource`.


def _carve(size: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Return the open directions of each cell, a random spanning tree of the grid."""
    ways: list[set[int]] = [set() for _ in range(size**2)]
    path = [int(rng.integers(size**2))]
    seen = set(path)
    while path:
        fresh = [(action, cell) for action, cell in _grid_neighbours(path[-1], size) if cell not in seen]
        if not fresh:
            path.pop()
            continue
        action, cell = fresh[int(rng.integers(len(fresh)))]
        ways[path[-1]].add(action)
        ways[cell].add(action ^ 1)
        seen.add(cell)
        path.append(cell)
    return tuple("".join(COMMANDS[action][0] for action in sorted(actions)) for actions in ways)


def _grid_neighbours(cell: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield each action and the cell that it leads to if no wall is in between."""
    for action, (down, right) in enumerate(_MOVES):
        row, column = cell // size + down, cell % size + right
        if 0 <= row < size and 0 <= column < size:
            yield action, row * size + column


def _neighbour(maze: Mapping[str, Any], cell: int, action: int) -> int:
    """Return the cell that ``action`` leads to: ``cell`` itself if there is a wall."""
    down, right = _MOVES[action]
    return cell + down * int(maze["size"]) + right if COMMANDS[action][0] in maze["ways"][cell] else cell


def _transition(maze: Mapping[str, Any], cell: int, action: int) -> tuple[int, float, bool]:
    """Return the next cell, the reward, and whether that is the end."""
    if cell == maze["exit"]:
        return cell, 0.0, True
    there = _neighbour(maze, cell, action)
    reached = there == maze["exit"]
    return there, float(reached) - float(there == cell), reached


def _shortest_ways(maze: Mapping[str, Any]) -> dict[int, int]:
    """Return the first action of the shortest way from each cell to the exit, by breadth-first search from there."""
    towards: dict[int, int] = {}
    cells = [maze["exit"]]
    for cell in cells:  # which grows meanwhile
        for action in range(len(COMMANDS)):
            there = _neighbour(maze, cell, action)
            if there != maze["exit"] and there not in towards and there != cell:
                towards[there] = action ^ 1
                cells.append(there)
    return towards


# What is said.

_WALL = "A wall. "
_NO_COMMAND = "Not a command. "


def _read_command(response: str) -> int | None:
    return _ACTIONS.get(read_answer(response).strip().lower())


def _prompt(maze: Mapping[str, Any]) -> str:
    size, full = maze["size"], maze["view"] == "full"
    if maze["letters"]:
        return (f"{' '.join(maze['ways'])}>{_place(maze, maze['exit'])} " if full else "") + _status(maze)
    shown = (
        f"The exit is at {_place(maze, maze['exit'])}. Each cell and the ways that are open from it:\n"
        + "".join(f"{_place(maze, cell)}: {_directions(maze, cell)}\n" for cell in range(size**2))
        if full
        else "Where the exit is, nobody knows.\n"
    )
    return (
        f"A robot is in a maze of {size} rows and {size} columns. Row 1 is in the north, column 1 in the west. {shown}"
        "Lead it to the exit with one command a turn: north, south, east or west. A wall costs a point.\n"
        + _status(maze)
    )


def _status(maze: Mapping[str, Any]) -> str:
    """Return where the robot is, what it sees there in the partial view, and the turns left."""
    place, partial = _place(maze, maze["robot"]), maze["view"] == "partial"
    if maze["letters"]:
        return " ".join([place, *([maze["ways"][maze["robot"]]] if partial else []), str(maze["turns"])])
    seen = f" Open: {_directions(maze, maze['robot'])}." if partial else ""
    return f"Robot at {place}.{seen} Turns left: {maze['turns']}."


def _place(maze: Mapping[str, Any], cell: int) -> str:
    row, column = cell // maze["size"] + 1, cell % maze["size"] + 1
    return f"{row},{column}" if maze["letters"] else f"row {row}, column {column}"


def _directions(maze: Mapping[str, Any], cell: int) -> str:
    return ", ".join(COMMANDS[_ACTIONS[letter]] for letter in maze["ways"][cell])
