"""What a judge asks: a function from a prompt to a reply.

- ``Backend``, ``Reply``, ``Refusal``: the interface.
- ``make_backend``: the backends that have names.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Reply:
    """What a backend says, and what that took; the cost is in the currency of the backend's prices."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class Refusal(Exception):
    """The backend will not answer this prompt."""


class Backend(Protocol):
    """Any function of a prompt; several threads may call it at once.

    It raises ``TimeoutError`` where it has waited too long, ``Refusal`` where it will not answer, ``ConnectionError``
    where there is nobody to ask, and anything else where it failed. It may also say

    - ``name: str``: which model this is, with all the settings that change its replies; what a cache keeps them under.
    - ``time_limit: float``: the most seconds that one call takes.
    """

    def __call__(self, prompt: str, /) -> str | Reply:
        """Return the reply."""
        ...


@functools.lru_cache(maxsize=8)
def make_backend(name: str) -> Backend:
    """Return the backend of a name, the same for the same name.

    Args:
        name: ``"rules"``; ``"openai"``, the server and model that the environment names, or ``"openai:MODEL"``; or what
            ``CausalLM.load`` takes: a folder, a GGUF file or a hub id.

    Raises:
        ValueError: if no model is named.
    """
    from textgym.envs.rewards.judge.endpoint import OpenAIBackend
    from textgym.envs.rewards.judge.local import LocalBackend
    from textgym.envs.rewards.judge.rules import RuleBackend

    if name == "rules":
        return RuleBackend()
    kind, _, model = name.partition(":")
    if kind == "openai":
        return OpenAIBackend(model or None)
    return LocalBackend(name)
