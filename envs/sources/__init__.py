"""Where problems come from: one file each, every one a ``Source`` of ``textgym.envs.task``.

- ``CopySource``, ``ReverseSource``: the answer is in the prompt.
- ``IncreasingSource``: increasing numbers between two bounds.
- ``ArithmeticSource``: expressions and word problems in five difficulties.
- ``CountdownSource``: make a target from all of the given numbers.
- ``GSM8KSource``: word problems with worked solutions, from a file, Hugging Face or the package.
- ``CodeSource``: Python functions to be written, from the package or files of HumanEval and MBPP.
- ``GuessNumberSource``: a secret number, for guessing in several turns.
- ``FormatSource``: facts to be written as JSON, lines of a pattern, bullets or a table.
- ``IFEvalSource``: instructions that can be checked, from a file or composed.
- ``BBHSource``: reasoning problems of several kinds, from files of BIG-Bench Hard or the package.
- ``MATHSource``: competition mathematics, from a file or the package.
- ``SortSource``: numbers or words to be put in order.
- ``DyckSource``: brackets to be closed.
- ``LogicSource``: knights and knaves, zebra puzzles and syllogisms.
- ``SudokuSource``: Sudoku puzzles with one solution.
- ``RLHFSource``: requests of a small world, in which what an answer is worth is known.
- ``SummarySource``: made-up news, to be summarised.
- ``SentimentSource``: reviews to be continued, on the positive or the negative side.
- ``ReasoningSource``: problems of the reasoning-gym library.
"""

from typing import TYPE_CHECKING

from textgym._lazy import attach

if TYPE_CHECKING:
    from textgym.envs.sources.arithmetic import ArithmeticSource as ArithmeticSource
    from textgym.envs.sources.bbh import BBHSource as BBHSource
    from textgym.envs.sources.code import CodeSource as CodeSource
    from textgym.envs.sources.copying import CopySource as CopySource
    from textgym.envs.sources.copying import ReverseSource as ReverseSource
    from textgym.envs.sources.countdown import CountdownSource as CountdownSource
    from textgym.envs.sources.dyck import DyckSource as DyckSource
    from textgym.envs.sources.format import FormatSource as FormatSource
    from textgym.envs.sources.gsm8k import GSM8KSource as GSM8KSource
    from textgym.envs.sources.guess_number import GuessNumberSource as GuessNumberSource
    from textgym.envs.sources.ifeval import IFEvalSource as IFEvalSource
    from textgym.envs.sources.increasing import IncreasingSource as IncreasingSource
    from textgym.envs.sources.logic import LogicSource as LogicSource
    from textgym.envs.sources.math_dataset import MATHSource as MATHSource
    from textgym.envs.sources.reasoning import ReasoningSource as ReasoningSource
    from textgym.envs.sources.rlaif import RLAIFSource as RLAIFSource
    from textgym.envs.sources.rlhf import RLHFSource as RLHFSource
    from textgym.envs.sources.sentiment import SentimentSource as SentimentSource
    from textgym.envs.sources.sorting import SortSource as SortSource
    from textgym.envs.sources.sudoku import SudokuSource as SudokuSource
    from textgym.envs.sources.summary import SummarySource as SummarySource

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "arithmetic": ["ArithmeticSource"],
        "bbh": ["BBHSource"],
        "code": ["CodeSource"],
        "copying": ["CopySource", "ReverseSource"],
        "countdown": ["CountdownSource"],
        "dyck": ["DyckSource"],
        "format": ["FormatSource"],
        "gsm8k": ["GSM8KSource"],
        "guess_number": ["GuessNumberSource"],
        "ifeval": ["IFEvalSource"],
        "increasing": ["IncreasingSource"],
        "logic": ["LogicSource"],
        "math_dataset": ["MATHSource"],
        "reasoning": ["ReasoningSource"],
        "rlaif": ["RLAIFSource"],
        "rlhf": ["RLHFSource"],
        "sentiment": ["SentimentSource"],
        "sorting": ["SortSource"],
        "sudoku": ["SudokuSource"],
        "summary": ["SummarySource"],
    },
)
