"""What a page consists of, whatever it is about: plain records, which ``page`` turns into HTML and Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from textgym.report.charts import Chart


@dataclasses.dataclass(frozen=True)
class Tile:
    """A number that comes first."""

    label: str
    value: str
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Notice:
    """Something to know before reading on."""

    kind: Literal["alarm", "warning", "info"]
    text: str


@dataclasses.dataclass(frozen=True)
class Shade:
    """A cell of a table with a background."""

    text: str
    share: float
    """From 0, as the page, to 1, as full as it gets."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text; the first ``labels`` columns are on the left, all others are numbers, on the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | Shade]]
    labels: int = 1
    caption: str = ""
    note: str = ""
    """Of what and of how many the numbers are; it stands behind the caption."""
    in_markdown: bool = False
    """Whether the Markdown file has it, too."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands below."""

    id: str
    title: str
    text: str = ""
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    blocks: Sequence[tuple[str, str]] = ()
    """Texts of several lines, as they are, each with a heading that opens it."""
    folded: bool = False
    """Whether it is closed until somebody opens it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """One report."""

    title: str
    subtitle: str
    state: str
    """One word or two: finished, or not."""
    is_complete: bool
    tiles: Sequence[Tile] = ()
    notices: Sequence[Notice] = ()
    sections: Sequence[Section] = ()
    cards: Sequence[dict[str, Any]] = ()
    """What the browser of answers shows; see ``answers``."""
    cards_note: str = ""
