"""The generated page says what the code says."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_gallery_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_gallery", ROOT / "docs/make_gallery.py")
    make_gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_gallery)
    page = (ROOT / "docs/envs.md").read_text(encoding="utf-8")
    assert make_gallery.gallery() == page, "run: python docs/make_gallery.py"
