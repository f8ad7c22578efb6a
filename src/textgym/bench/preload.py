"""What all cells import, for the process that they are forked from."""

import textgym.bench.baselines
import textgym.bench.cell  # noqa: F401
