"""Tasks of several turns, one game a file."""

from textgym.envs.games.guess_number import GuessNumber

__all__ = ["GuessNumber"]
