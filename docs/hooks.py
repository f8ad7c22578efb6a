"""What MkDocs does besides its plugins.

- Formulas in ``math`` fences become MathML, which browsers draw by themselves.
- Pages of docs/ itself that the menu does not name stand in it as studies, before the questions.
- A page that would load something from the network is an error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

_LOADS = re.compile(r"<(?:script|img|iframe)\b[^>]*?\ssrc=[\"']?(?:https?:)?//|<link\b[^>]*?\shref=[\"']?https?:")


def on_config(config: Any) -> Any:
    """Let superfences hand ``math`` fences to ``formula``, and put the studies into the menu."""
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "math", "class": "formula", "format": formula})
    named = set(re.findall(r"[\w/]+\.md", repr(config.nav)))
    if studies := sorted({path.name for path in Path(config.docs_dir).glob("*.md")} - named):
        position = [list(entry) for entry in config.nav].index(["Questions"])
        config.nav.insert(position, {"Studies": studies})
    return config


def formula(source: str, language: str, css_class: str, options: Any, md: Any, **kwargs: Any) -> str:
    """Return LaTeX as blocks of MathML; an empty line parts two formulas."""
    lines = [convert(part, display="block") for part in source.strip().split("\n\n")]
    return f'<div class="{css_class}">{"".join(lines)}</div>'


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Check what the page loads."""
    if found := _LOADS.search(output):
        raise PluginError(f"{page.file.src_uri} loads something from the network: {output[found.start() :][:200]}")
    return output
