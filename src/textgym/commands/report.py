"""``textgym report``: one page on a run or on a benchmark."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from textgym.commands.shared import complaints, parse


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Write a page on a run or on a benchmark: curves, tables, and the answers to look through (extra textgym[bench]).

    The page is one HTML file that needs no network. Its tables as Markdown and its curves as PNGs lie beside it.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """The folder of textgym train, that of textgym bench, or one of the cells in it."""
    out: Path | None = None
    """Where to write; by default report/ in that folder."""


def main(argv: list[str]) -> int:
    """Write the files, and print where the page is."""
    options = parse(ReportOptions, argv, "report")
    from textgym.report import write_report

    with complaints():
        page, *others = write_report(options.folder, options.out)
    print(f"The report is {page}; beside it are {', '.join(sorted({path.suffix[1:] for path in others}))} files.")
    return 0
