"""What was answered to held-out problems, for people to read: before and after learning, side by side.

``Answers`` holds it, ``answers_of`` takes it from rollouts, ``lines_of`` and ``pair_up`` make the lines of
``answers.jsonl``.

An answer is a text. In a game of several turns it is the list of all messages after the prompt, the policy's and the
env's, as dicts of ``role`` (``assistant`` or ``user``) and ``content``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textgym.agents.rollout import Rollout

Answer = str | list[dict[str, str]]
"""A response, or a dialogue."""


@dataclasses.dataclass(frozen=True)
class Answers:
    """What was answered to each of n held-out problems, in their order."""

    prompts: list[str]
    responses: list[Answer]
    rewards: list[float]
    successes: list[bool]


def answers_of(rollouts: Sequence[Rollout]) -> Answers:
    """Return what was answered in each row of some batches."""
    return Answers(
        [prompt for rollout in rollouts for prompt in rollout.prompts],
        [answer_in(messages) for rollout in rollouts for messages in rollout.messages],
        [reward for rollout in rollouts for reward in rollout.returns.tolist()],
        [success for rollout in rollouts for success in rollout.successes.tolist()],
    )


def answer_in(messages: Sequence[dict[str, str]]) -> Answer:
    """Return what follows the prompt in a chat: the text of the only response, or all messages."""
    return messages[1]["content"] if len(messages) == 2 else list(messages[1:])


def lines_of(answers: Answers, when: str, count: int) -> list[dict[str, Any]]:
    """Return the answers to the first problems, JSON-able, each in fields that end with ``when``."""
    return [
        {
            "prompt": answers.prompts[i],
            f"response_{when}": answers.responses[i],
            f"reward_{when}": answers.rewards[i] if math.isfinite(answers.rewards[i]) else None,
            f"success_{when}": answers.successes[i],
        }
        for i in range(min(count, len(answers.prompts)))
    ]


def pair_up(before: Answers, after: Answers, count: int) -> list[dict[str, Any]]:
    """Return the answers to the first problems side by side."""
    sides = zip(lines_of(before, "before", count), lines_of(after, "after", count), strict=True)
    return [first | last for first, last in sides]
