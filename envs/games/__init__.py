"""Tasks of several turns, one game a file."""

from typing import TYPE_CHECKING

from textgym._lazy import attach

if TYPE_CHECKING:
    from textgym.envs.games.guess_number import GuessNumber as GuessNumber
    from textgym.envs.games.maze import ExitReached as ExitReached
    from textgym.envs.games.maze import MazeSource as MazeSource
    from textgym.envs.games.maze import TextMaze as TextMaze

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "guess_number": ["GuessNumber"],
        "maze": ["ExitReached", "MazeSource", "TextMaze"],
    },
)
