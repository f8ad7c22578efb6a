import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from textgym.report.charts import COLORS, VARIABLES, Chart, Series, draw_png, draw_svg, short_number, spread


def chart(*series, **settings):
    return Chart(**{"name": "chart", "title": "Title", "series": series, "x_label": "episodes", **settings})


def line(*values, **settings):
    return Series(**{"label": "a", "x": np.arange(len(values), dtype=float), "y": np.array(values, float), **settings})


def test_heights_are_spread_and_their_order_stays():
    assert spread([], 0.1) == []
    assert spread([0.2, 0.8], 0.1) == [0.2, 0.8]
    assert spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert spread([0.5, 0.52, 0.9], 0.1) == pytest.approx([0.46, 0.56, 0.9])
    assert spread([0.0, 0.0, 0.0], 0.1) == pytest.approx([0.0, 0.1, 0.2])
    assert spread([1.0, 1.0, 1.0], 0.1) == pytest.approx([0.8, 0.9, 1.0])
    rng = np.random.default_rng(0)
    for count in (3, 8, 10):
        places = spread(sorted(rng.uniform(size=count)), 0.1)
        assert (np.diff(places) >= 0.1 - 1e-9).all() and min(places) >= -1e-9 and max(places) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (240_000, "240k"), (1_500_000, "1.5M"), (0.25, "0.25"), (-3, "−3"), (2e-5, "2e−5"), (float("nan"), "–"),
     (1e29, "1.0e+29")],
)  # fmt: skip
def test_short_numbers(value, shown):
    assert short_number(value) == shown


def test_the_svg_has_the_pages_colours_and_is_well_formed():
    svg = draw_svg(chart(line(1, 2, 3), line(3, 2, 1, label="b", slot=1), alarms=[(1.0, 2.0)]))
    ElementTree.fromstring(svg.replace("xlink:", ""))
    for name in ("ink", "soft", "grid", "alarm", "series-0", "series-1"):
        assert f"var(--{name})" in svg or name == "ink"
    assert not any(color in svg for color in VARIABLES)
    assert "http" not in svg and 'role="img"' in svg and "hacking alarm" in svg
    assert not re.search(r"<svg[^>]* (width|height)=", svg)


@pytest.mark.parametrize("label", ["$\\frac{", "</text><script>alert(1)</script>", "\0\x1b\ud800\u202e", "é" * 500, ""])
def test_labels_are_text(label):
    made = chart(line(1, 2, label=label), line(2, 1, label="b"), title=label, x_label=label)
    assert "<script" not in draw_svg(made)
    draw_svg(made).encode()
    assert draw_png(made, label).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "values", [[1.0], [np.nan, 1.0, np.nan], [0.0, 0.0], [1e29, -1e29], [1e-300, 2e-300], [5.0] * 3]
)
@pytest.mark.parametrize("kind", ["noisy", "line", "points", "steps"])
def test_odd_numbers_are_drawn(values, kind):
    assert "<svg" in draw_svg(chart(line(*values, kind=kind), line(*values, kind=kind, slot=9)))


def test_the_caption_stands_below_a_picture_and_in_no_svg():
    plain, told = chart(line(1, 2)), chart(line(1, 2), caption="Line: all of it. " * 9, y_label="share")
    heights = [int.from_bytes(draw_png(made, "")[20:24], "big") for made in (plain, told)]
    assert heights[1] > heights[0]
    assert "all of it" not in draw_svg(told) and "share" in draw_svg(told)


def test_one_agent_alone_is_named_and_one_log_is_not():
    assert "lonely" in draw_svg(chart(line(1, 2, label="lonely")))
    assert "lonely" not in draw_svg(chart(line(1, 2, label="lonely", kind="noisy")))


def test_without_numbers_there_is_no_chart():
    assert chart().is_empty and chart(line(np.nan, np.nan)).is_empty and not chart(line(np.nan, 1)).is_empty


def test_intervals_stand_in_rows():
    made = chart(
        *(line(0.5, label=f"agent {i}", kind="interval", low=np.array([0.4]), high=np.array([0.6])) for i in "ab")
    )
    assert "agent a" in draw_svg(made) and "0.50" in draw_svg(made)


def test_the_same_chart_is_the_same_svg():
    assert draw_svg(chart(line(1, 2))) == draw_svg(chart(line(1, 2)))


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_have_contrast_in_light_and_dark():
    """WCAG 2.2, 1.4.11: 3:1 for graphics; the style sheet's light colours are the charts' own."""
    from pathlib import Path

    import textgym.report

    css = (Path(textgym.report.__file__).parent / "templates/page.css").read_text()
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in css.split("@media", 2)[:2])
    assert [light[f"series-{i}"] for i in range(8)] == list(COLORS)
    assert all(contrast(light[f"series-{i}"], "#ffffff") >= 3 for i in range(8))
    assert all(contrast(dark[f"series-{i}"], dark["paper"]) >= 3 for i in range(8))
    for theme, paper in (light, "#ffffff"), (dark, dark["paper"]):
        assert all(
            contrast(theme[name], paper) >= 4.5 for name in ("soft", "accent", "alarm", "warning", "right", "wrong")
        )
