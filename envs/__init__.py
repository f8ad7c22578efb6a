"""What is asked, and what an answer is worth: tasks as Gymnasium environments."""

from textgym.envs.spaces import UnicodeText
from textgym.envs.task import FiniteSource, Problem, Reward, Score, Source
from textgym.envs.text_env import StopReason, TextEnv
from textgym.envs.token_env import TokenEnv
from textgym.envs.tokenizers import CharTokenizer, ChatTokenizer
from textgym.envs.vector import TextVectorEnv, TokenVectorEnv

__all__ = [
    "CharTokenizer",
    "ChatTokenizer",
    "FiniteSource",
    "Problem",
    "Reward",
    "Score",
    "Source",
    "StopReason",
    "TextEnv",
    "TextVectorEnv",
    "TokenEnv",
    "TokenVectorEnv",
    "UnicodeText",
]
