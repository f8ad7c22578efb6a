"""Hyperparameters as in RL Zoo: a YAML file for each agent, with a ``default`` and an entry for each env.

    default:
      learning_rate: 4e-4
    TextMath-v0:
      group_size: 4

An entry says only what differs from the default.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gymnasium as gym

import textgym  # noqa: F401 - registers the ids


def read_hyperparameters(folder: Path, agent: str, env_id: str) -> dict[str, Any]:
    """Return what ``<agent>.yml`` in ``folder`` says for an env: the default, with the env's entry over it.

    An agent without a file has its own defaults.

    Raises:
        ValueError: if the file is something else, or has an entry for an env that does not exist.
    """
    path = folder / f"{agent}.yml"
    if not path.is_file():
        return {}
    entries = read_yaml(path)
    if not isinstance(entries, dict) or not all(isinstance(entry or {}, dict) for entry in entries.values()):
        raise ValueError(f"{path} must have a 'default' and entries for envs, each a mapping of hyperparameters")
    if unknown := sorted(set(entries) - {"default", *gym.registry}):
        raise ValueError(f"{path} has entries for {', '.join(unknown)}, and there is no such environment")
    return {**(entries.get("default") or {}), **(entries.get(env_id) or {})}


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds; ``4e-4`` is a number.

    Raises:
        ValueError: if it is not YAML, or a key stands twice in a mapping; it says where.
    """
    yaml = _yaml()

    class Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined]
        """Reads numbers as YAML 1.2 does, where PyYAML takes 4e-4 for a text."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.YAMLError(
                        f"{key.value!r} stands twice in a mapping, again in line {key.start_mark.line + 1}"
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
    )
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not a matrix or a file of hyperparameters: {error}") from error


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ImportError("a benchmark's files need PyYAML: pip install 'textgym[bench]'") from error
    return yaml
