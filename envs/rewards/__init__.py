"""Rewards, one file each: what a response is worth."""

from typing import TYPE_CHECKING

from textgym._lazy import attach

if TYPE_CHECKING:
    from textgym.envs.rewards.code import CodeVerifier as CodeVerifier
    from textgym.envs.rewards.countdown import CountdownVerifier as CountdownVerifier
    from textgym.envs.rewards.format import FormatVerifier as FormatVerifier
    from textgym.envs.rewards.gold import GoldReward as GoldReward
    from textgym.envs.rewards.ifeval import IFEvalVerifier as IFEvalVerifier
    from textgym.envs.rewards.increasing import IncreasingRun as IncreasingRun
    from textgym.envs.rewards.isolated import Isolated as Isolated
    from textgym.envs.rewards.judge import Judge as Judge
    from textgym.envs.rewards.logic import LogicVerifier as LogicVerifier
    from textgym.envs.rewards.matching import ExactMatch as ExactMatch
    from textgym.envs.rewards.matching import PrefixMatch as PrefixMatch
    from textgym.envs.rewards.math import MathVerifier as MathVerifier
    from textgym.envs.rewards.reasoning import ReasoningVerifier as ReasoningVerifier
    from textgym.envs.rewards.rubric import Rubric as Rubric
    from textgym.envs.rewards.sentiment import SentimentReward as SentimentReward
    from textgym.envs.rewards.sequences import BracketMatch as BracketMatch
    from textgym.envs.rewards.sequences import ListMatch as ListMatch
    from textgym.envs.rewards.sudoku import SudokuPrefix as SudokuPrefix
    from textgym.envs.rewards.sudoku import SudokuVerifier as SudokuVerifier
    from textgym.envs.rewards.summary import SummaryReward as SummaryReward
    from textgym.envs.rewards.typed import TypedMatch as TypedMatch

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "code": ["CodeVerifier"],
        "countdown": ["CountdownVerifier"],
        "format": ["FormatVerifier"],
        "gold": ["GoldReward"],
        "ifeval": ["IFEvalVerifier"],
        "increasing": ["IncreasingRun"],
        "isolated": ["Isolated"],
        "judge": ["Judge"],
        "logic": ["LogicVerifier"],
        "matching": ["ExactMatch", "PrefixMatch"],
        "math": ["MathVerifier"],
        "reasoning": ["ReasoningVerifier"],
        "rubric": ["Rubric"],
        "sentiment": ["SentimentReward"],
        "sequences": ["BracketMatch", "ListMatch"],
        "sudoku": ["SudokuPrefix", "SudokuVerifier"],
        "summary": ["SummaryReward"],
        "typed": ["TypedMatch"],
    },
)
