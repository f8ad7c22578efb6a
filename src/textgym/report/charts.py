"""Charts: matplotlib draws each once, as SVG whose colours the page sets, for light and dark, and as PNG for elsewhere.

Colours are of Okabe and Ito's palette, which the colour-blind can tell apart, darkened until each has a contrast of
3:1 with white; after eight they come again with dashes. Lines are labelled at their ends.
"""

from __future__ import annotations

import dataclasses
import io
import math
import re
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from textgym.agents.labelling.page import visible
from textgym.agents.runs import smooth
from textgym.report.reading import FloatArray

INK, SOFT, GRID, ALARM = "#1d1d1b", "#62625c", "#dcdcd5", "#b3261e"
COLORS = ("#0072b2", "#d55e00", "#00805a", "#b0508a", "#8a6500", "#5546a8", "#444441", "#7d7d77")
VARIABLES = {INK: "ink", SOFT: "soft", GRID: "grid", ALARM: "alarm"} | {c: f"series-{i}" for i, c in enumerate(COLORS)}
"""The CSS variable that stands for each colour in the SVG."""
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
_GAP = 0.08  # between labels, as a share of the height


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """What one colour shows."""

    label: str
    x: FloatArray
    y: FloatArray
    slot: int = 0
    """Which colour."""
    kind: Literal["noisy", "line", "points", "steps", "interval"] = "line"
    """``noisy``: a thin line and its running mean; ``steps``: constant up to the next point; ``interval``: one number,
    ``y[0]``, in a chart of such alone."""
    low: FloatArray | None = None
    """Lower edge of a band."""
    high: FloatArray | None = None
    """Upper edge of a band."""

    @property
    def color(self) -> str:
        """Return the colour."""
        return COLORS[self.slot % len(COLORS)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """Axes with series."""

    name: str
    """Of the PNG, without its ending."""
    title: str
    series: Sequence[Series]
    x_label: str
    y_label: str = ""
    note: str = ""
    """Second line of the title."""
    caption: str = ""
    """What lines and bands are, and of how many: it stands below, in the PNG too."""
    percent: bool = False
    """Whether the numbers are rates, on an axis from 0 to 1."""
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    alarms: Sequence[tuple[float, float]] = ()
    """Where an alarm was on, from and to."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(np.isfinite(series.y).any() for series in self.series)


def draw_svg(chart: Chart) -> str:
    """Return an ``<svg>`` element, to stand in a page that defines ``VARIABLES``."""
    buffer = io.StringIO()
    _save(chart, buffer, "svg", None)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\s(xmlns(:xlink)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 role="img" aria-label="{_attribute(chart.title)}"', svg, count=1)
    svg = re.sub(r' id="(?:figure|axes|patch|text|line2d|matplotlib|xtick|ytick|FillBetween|Poly)[^"]*"', "", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    return re.sub(
        r"(fill|stroke): (#[0-9a-f]{6})",
        lambda found: f"{found[1]}: var(--{VARIABLES[found[2]]})" if found[2] in VARIABLES else found[0],
        svg,
    )


def draw_png(chart: Chart, about: str) -> bytes:
    """Return the file of a picture on white, 150 dots an inch, that says what it is ``about``."""
    buffer = io.BytesIO()
    _save(chart, buffer, "png", about)
    return buffer.getvalue()


def _save(chart: Chart, file: Any, kind: str, about: str | None) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none", "svg.hashsalt": chart.name, "font.size": 10, "font.family": "sans-serif",
        "text.color": INK, "axes.labelcolor": SOFT, "axes.edgecolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT,
        "grid.color": GRID, "axes.unicode_minus": True, "path.simplify_threshold": 0.5, "text.parse_math": False,
    }  # fmt: skip
    with matplotlib.rc_context(style), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a glyph that the font lacks, limits that are equal
        caption = textwrap.wrap(visible(chart.caption), 88) if about is not None else []
        extra = 0.0 if about is None else 0.45 + 0.14 * len(caption)
        figure = Figure(figsize=(4.8, _height(chart) + extra), layout="constrained")
        axes = figure.subplots()
        if about is not None:
            figure.supxlabel("\n".join(caption), x=0.02, ha="left", fontsize=7.5, color=SOFT)
            second = chart.note if len(chart.note) > 40 else ", ".join(filter(None, [chart.note, about]))
            figure.suptitle(f"{shortened(chart.title, 62)}\n{shortened(second, 62)}", x=0.02, ha="left", fontsize=9.5)
        if all(series.kind == "interval" for series in chart.series):
            _draw_intervals(axes, chart.series)
            axes.set_xlabel(visible(chart.x_label))
        else:
            _fill(axes, chart)
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None} if kind == "svg" else None
        figure.savefig(file, format=kind, dpi=150, transparent=kind == "svg", metadata=metadata)


def _height(chart: Chart) -> float:
    """Return the height in inches: names at line ends, and rows of intervals, need theirs."""
    return max(2.9, 0.21 * len(chart.series) + 0.5)


def _fill(axes: Any, chart: Chart) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

    for begin, end in chart.alarms:
        axes.axvspan(begin, end, color=ALARM, alpha=0.12, linewidth=0)
    for series in chart.series:
        _draw(axes, series, 0.14 if len(chart.series) <= 4 else 0.08)
    if chart.percent:
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    if chart.y_limits is not None:
        axes.set_ylim(*chart.y_limits)
    ends = [series.x[np.isfinite(series.y)] for series in chart.series]
    last = max((float(x.max()) for x in ends if len(x)), default=1.0)
    axes.set_xlim(
        *(chart.x_limits or (min(0.0, *(float(x.min()) for x in ends if len(x))) if last else 0.0, last or 1))
    )
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.set_xlabel(visible(chart.x_label))
    axes.set_ylabel(shortened(chart.y_label, 40))
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    for begin, _ in chart.alarms[:1]:
        left = begin > axes.get_xlim()[1] / 2
        axes.axvline(begin, color=ALARM, linewidth=1.2)
        axes.annotate(
            "hacking alarm ▲" if left else "▲ hacking alarm", (begin, 0), (-4 if left else 4, 4),
            ("data", "axes fraction"), "offset points", color=ALARM, fontsize=9, ha="right" if left else "left",
        )  # fmt: skip
    if len(chart.series) > 1 or chart.series[0].kind != "noisy":
        _label_ends(axes, chart.series)


def _draw(axes: Any, series: Series, shade: float) -> None:
    color, dashes = series.color, _DASHES[series.slot // len(COLORS) % len(_DASHES)]
    known = np.isfinite(series.x) & np.isfinite(series.y)
    x, y = series.x[known], series.y[known]
    if not len(x):
        return
    if series.low is not None and series.high is not None:
        step = "post" if series.kind == "steps" else None
        axes.fill_between(x, series.low[known], series.high[known], step=step, color=color, alpha=shade, linewidth=0)
    if series.kind == "noisy":
        axes.plot(x, y, color=color, alpha=0.28, linewidth=0.9)
        axes.plot(x, smooth(y, max(1, len(y) // 10)), color=color, linewidth=2, marker="o" if len(x) == 1 else "")
        return
    styles: dict[str, dict[str, Any]] = {
        "points": {
            "marker": "os^D"[series.slot % 4], "markersize": 6, "linewidth": 1.2,
            "linestyle": (0, (1, 2)) if len(x) > 2 else "",  # nothing is known between two
        },
        "line": {"marker": "o", "markersize": 3 if len(x) < 40 else 0, "linewidth": 1.8, "linestyle": dashes},
        "steps": {"drawstyle": "steps-post", "linewidth": 1.8, "linestyle": dashes},
    }  # fmt: skip
    axes.plot(x, y, color=color, clip_on=False, zorder=3, **styles[series.kind])


def _label_ends(axes: Any, all_series: Sequence[Series]) -> None:
    """Write the name of each series beside its last point, one below the other where they would overlap.

    Steps end together, at the bottom: their names stand in a column, the highest line's first.
    """
    bottom, top = axes.get_ylim()
    ends = []
    for series in all_series:
        known = series.y[np.isfinite(series.y)]
        if len(known):
            smoothed = smooth(known, max(1, len(known) // 10)) if series.kind == "noisy" else known
            end = known.mean() if series.kind == "steps" else smoothed[-1]
            ends.append((float(np.clip((end - bottom) / (top - bottom), 0, 1)), series))
    ends.sort(key=lambda each: each[0])
    for (height, series), place in zip(ends, spread([height for height, _ in ends], _GAP), strict=True):
        style = {"color": series.color, "transform": axes.transAxes}
        begin = place if series.kind == "steps" else height
        axes.plot([1.005, 1.03], [begin, place], linewidth=0.8, clip_on=False, **style)
        axes.text(1.04, place, shortened(series.label, 22), va="center", fontsize=9.5, **style)


def _draw_intervals(axes: Any, all_series: Sequence[Series]) -> None:
    """Draw each series as a dot with its interval in a row of its own, the first on top."""
    for row, series in enumerate(reversed(all_series)):
        if series.low is not None and series.high is not None:
            axes.plot([series.low[0], series.high[0]], [row, row], color=series.color, linewidth=5, alpha=0.35)
        axes.plot(series.y[:1], [row], "o", color=series.color, markersize=6)
        value = f"{series.y[0]:.2f}".replace("-", "−")
        axes.text(1.02, row, value, transform=axes.get_yaxis_transform(), va="center", fontsize=9.5, color=INK)
    axes.set_yticks(range(len(all_series)), [shortened(series.label, 22) for series in reversed(all_series)])
    axes.set_ylim(-0.6, len(all_series) - 0.3)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return increasing heights moved apart until neighbours have a gap, inside of 0 to 1 if there is room for all.

    Neighbours that are too close make a block around the mean of where they want to be, and blocks that touch make one.
    """
    blocks: list[tuple[float, int]] = []  # the middle and the number of each
    for height in heights:
        middle, count = height, 1
        while blocks and middle - count * gap / 2 < blocks[-1][0] + blocks[-1][1] * gap / 2:
            before, number = blocks.pop()
            middle, count = (before * number + middle * count) / (number + count), number + count
        blocks.append((max(middle, (count - 1) / 2 * gap), count))
    places = [middle + (i - (count - 1) / 2) * gap for middle, count in blocks for i in range(count)]
    limit = max(1.0, (len(places) - 1) * gap)
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - gap
    return places


def short_number(value: float) -> str:
    """Return a number in a few characters: 240k, 1.5M, 0.03, 2e-5."""
    if not math.isfinite(value):
        return "–"
    for size, unit in (1e9, "G"), (1e6, "M"), (1e3, "k"):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}" if abs(value) < 1e12 else f"{value:.1e}"
    return f"{value:.3g}".replace("e-0", "e-").replace("-", "−")


def shortened(label: str, length: int) -> str:
    """Return a text that is not longer."""
    label = visible(label)
    return label if len(label) <= length else label[: length - 1] + "…"


def _attribute(value: str) -> str:
    from html import escape

    return escape(visible(value)).replace("\\", "\\\\")
