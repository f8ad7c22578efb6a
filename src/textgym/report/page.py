"""From a ``Page`` to files: HTML in which everything is, Markdown for a README, and PNGs.

All that comes from files is text to the page. The template escapes it, characters that would not be seen stand as their
numbers, answers are data that the script shows by ``textContent``, and a policy in the page forbids every script but
that one, and every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from textgym.agents.labelling.page import visible
from textgym.report.answers import OUTCOMES
from textgym.report.charts import draw_png, draw_svg
from textgym.report.model import Page, Shade, Table

_HERE = Path(__file__).parent / "templates"


def write_page(page: Page, out: Path) -> list[Path]:
    """Write ``index.html``, ``tables.md`` and a PNG for each chart that is not folded into ``out``, and return them.

    Raises:
        ImportError: without jinja2.
        OSError: if ``out`` cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {"index.html": render_html(page).encode(), "tables.md": render_markdown(page).encode()}
    for section in page.sections:
        if not section.folded:
            files |= {
                f"{chart.name}.png": draw_png(chart, page.title) for chart in section.charts if not chart.is_empty
            }
    for name, content in files.items():
        (out / name).write_bytes(content)
    return [out / name for name in files]


def render_html(page: Page) -> str:
    """Return the whole page.

    Raises:
        ImportError: without jinja2.
    """
    try:
        import jinja2
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError("a report needs jinja2: pip install 'textgym[bench]'") from error

    def shown(value: Any) -> Any:
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, finalize=shown, trim_blocks=True, lstrip_blocks=True
    )
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        page=page,
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=digest,
        svg=lambda chart: Markup(draw_svg(chart)),
        is_shade=lambda value: isinstance(value, Shade),
        cards=Markup(as_data({"outcomes": OUTCOMES, "cards": list(page.cards)})),
    )


def as_data(values: Any) -> str:
    """Return JSON that cannot end the ``<script>`` element it stands in."""
    data = json.dumps(values, separators=(",", ":"))
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", data)


def render_markdown(page: Page) -> str:
    """Return the tables that are meant for a README."""
    parts = [f"### {_inline(page.title)}"]
    for section in page.sections:
        parts.extend(_markdown_table(table) for table in section.tables if table.in_markdown)
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(table: Table) -> str:
    rule = [":--" if i < table.labels else "--:" for i in range(len(table.header))]
    rows = [[_inline(cell.text if isinstance(cell, Shade) else cell) for cell in row] for row in table.rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in ([_inline(cell) for cell in table.header], rule, *rows)]
    title = f"**{_inline(table.caption)}**" + f": {_inline(table.note)}" * bool(table.note)
    return "\n".join([f"{title}\n"] * bool(table.caption) + lines)


def _inline(value: str) -> str:
    """Return a text as Markdown shows it, in one line."""
    value = " ".join(visible(value).split())
    return re.sub(r"([\\`|*\[\]<>])", r"\\\1", value)
