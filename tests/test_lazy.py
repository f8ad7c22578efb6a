"""The packages that import a name when it is first used: what Python, ``dir`` and type checkers find in them."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["agents", "envs.games", "envs.rewards", "envs.sources", "wrappers"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_there(package):
    module = importlib.import_module(f"textgym.{package}")
    assert len(module.__all__) > 3 and module.__all__ == sorted(module.__all__)
    assert {*module.__all__, "__doc__", "__path__"} <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
        assert getattr(module, name).__module__.startswith(f"textgym.{package}.")
    with pytest.raises(AttributeError, match=re.escape(f"module 'textgym.{package}' has no attribute 'Nothing'")):
        module.Nothing  # noqa: B018


@pytest.mark.parametrize("package", [package for package in PACKAGES if package.startswith("envs")])
def test_type_checkers_are_shown_the_same_names(package):
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text())
    (shown,) = (node.body for node in tree.body if isinstance(node, ast.If))
    module = importlib.import_module(f"textgym.{package}")
    homes = {alias.asname: line.module for line in shown for alias in line.names}
    assert sorted(homes) == module.__all__
    for name, home in homes.items():
        assert getattr(importlib.import_module(home), name) is getattr(module, name)
