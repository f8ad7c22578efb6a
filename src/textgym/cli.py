"""The command line, ``textgym``: finds the command in ``textgym.commands``, runs it, and says what went wrong."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import textgym
from textgym.commands.shared import BadInput, did_you_mean

COMMANDS = {
    "list": "show every environment, and what a random and a perfect player score",
    "play": "answer problems yourself",
    "train": "improve a language model, by reinforcement or on perfect answers",
    "eval": "measure a language model on held-out problems",
    "bench": "run agents side by side on the same environments",
    "check": "try on an environment what a policy would find, and say what to mend",
    "label": "let people say on a page which of two answers is better",
    "report": "write a page on a run or on a benchmark: curves, tables, answers",
}
"""Each is a module of ``textgym.commands`` and what the help says of it."""

_LIST = "\n".join(f"  {name:<7} {meaning}" for name, meaning in COMMANDS.items())
HELP = f"""\
usage: textgym COMMAND [OPTIONS]

Language tasks as Gymnasium environments, and agents that learn in them.

commands:
{_LIST}

textgym COMMAND --help shows the options of a command.
textgym --version shows the version.

the shortest training run, with the model that comes with textgym:
  textgym train --agent grpo --env TextMath-v0
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 failed, 2 bad input, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if argv[0] == "--version":
        print(f"textgym {textgym.__version__}")
        return 0
    try:
        if argv[0] not in COMMANDS:
            raise BadInput(f"there is no command {argv[0]!r}; see textgym --help{did_you_mean(argv[0], COMMANDS)}")
        status: int = importlib.import_module(f"textgym.commands.{argv[0]}").main(argv[1:])
        return status
    except BadInput as error:
        print(f"textgym: {error}", file=sys.stderr)
        return 2
    except SystemExit as error:  # tyro has shown the help, or said what is wrong
        return int(error.code or 0)
    except KeyboardInterrupt:
        print("\ntextgym: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
