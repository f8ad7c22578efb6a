"""What the commands share: reading options, finding an environment, and complaints about bad input."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from textgym.envs.text_env import TextEnv


class BadInput(Exception):
    """Something the user can put right; the message names the culprit."""


def parse(options_class: Any, argv: list[str], command: str) -> Any:
    """Return an instance made from the arguments; help and bad ones end the program."""
    return tyro.cli(
        options_class,
        prog=f"textgym {command}",
        args=argv,
        config=(tyro.conf.OmitArgPrefixes,),
        registry=_REGISTRY,
    )


_REGISTRY = ConstructorRegistry()


@_REGISTRY.primitive_rule
def _key_value_pairs(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[dict[str, Any]] | None:
    """Read ``dict[str, Any]`` from ``difficulty=1 operators=+``: values are JSON where they can be, else text."""
    if info.type != dict[str, Any]:
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="KEY=VALUE ...",
        instance_from_str=lambda pairs: dict(map(_key_value, pairs)),
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda values: [f"{key}={json.dumps(value)}" for key, value in values.items()] or ["none"],
    )


def _key_value(pair: str) -> tuple[str, Any]:
    key, equals, value = pair.partition("=")
    if not equals or not key.isidentifier():
        raise ValueError(f"settings of an env are written key=value, got {pair!r}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def find_text_env(env_id: str, env_kwargs: dict[str, Any], several: bool = False) -> str:
    """Return the id as ``find_env`` does, if it can be made, and is a ``TextEnv`` or ``TokenEnv``.

    Raises:
        BadInput: if it is not, or if ``several`` of it are to be played and can't.
    """
    name = find_env(env_id)
    with complaints():
        env: Any = gym.make(name, **env_kwargs).unwrapped
    if not isinstance(getattr(env, "text_env", env), TextEnv):
        raise BadInput(f"{name} is not an environment of text: it makes a {type(env).__name__}, not a TextEnv")
    if several and gym.registry[name].vector_entry_point is None:
        raise BadInput(
            f"{name} can't be made for many players at once: register it with a vector_entry_point, too; a function "
            "that calls textgym.make_env(..., **settings) is both"
        )
    return name


def find_env(env_id: str) -> str:
    """Return the id without its module, which is imported, from the current folder too.

    Raises:
        BadInput: if there is none, with close ids.
    """
    module, colon, name = env_id.rpartition(":")
    if colon and not module:
        raise BadInput(f"{env_id!r} lacks the name of a module before the colon")
    if module:
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.append(here)
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            raise BadInput(f"can't import {module!r}, the module in {env_id!r}: {error}") from None
    if name not in gym.registry:
        close = did_you_mean(name, [other for other in gym.registry if is_ours(other)])
        if module and not close:
            raise BadInput(f"{module} registers no environment {name!r}: it lacks gym.register({name!r}, ...)")
        raise BadInput(f"there is no environment {name!r}; see textgym list{close}")
    return name


def is_ours(env_id: str) -> bool:
    """Return whether textgym registered it."""
    return str(gym.registry[env_id].entry_point).startswith("textgym.")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question after the closest name, if one is close; what all ids share makes none so."""

    def core(name: str) -> str:
        return re.sub(r"^text|-v\d+$", "", name.lower())

    cores = {core(other): other for other in reversed(list(names))}
    found = difflib.get_close_matches(core(name), cores, n=1, cutoff=0.65)
    return f". Did you mean {cores[found[0]]}?" if found else ""


@contextlib.contextmanager
def complaints() -> Iterator[None]:
    """Turn what bad input raises into a message; only around code whose errors are the input's."""
    try:
        yield
    except (TypeError, ValueError, OSError, ImportError, gym.error.Error) as error:
        # The causes are for developers, and so are the kwargs that Gymnasium adds.
        raise BadInput(re.split(" The cause:| was raised from the environment creator", str(error))[0]) from error


def quieten() -> None:
    """Keep transformers' progress bars and advice off the screen."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def standard_error(rate: float, problems: int) -> float:
    """Return that of a rate: sqrt(p (1 - p) / n)."""
    return math.sqrt(rate * (1 - rate) / problems)
