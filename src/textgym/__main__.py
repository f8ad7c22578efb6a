"""``python -m textgym``, and ``accelerate launch -m textgym``: the command line."""

import sys

from textgym.cli import main

if __name__ == "__main__":
    sys.exit(main())
