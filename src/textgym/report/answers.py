"""The answers that a run wrote down, as cards for the page: a problem, and what was answered to it.

A card is a dict, JSON-able: ``env``, ``agent``, ``policy``, ``seed``, ``kind`` and ``when`` (where it is from),
``outcome`` (a name of ``OUTCOMES``), ``prompt``, ``cut`` (characters left out of it), and ``answers``, each with
``label``, ``turns``, ``facts`` and ``mark`` (``right``, ``wrong`` or ``""``). A turn has ``by`` (``policy`` or
``env``), ``text`` and ``cut``; there is one, unless it is a game. All of it is text from a model or from a file:
``page`` writes it as data, never as HTML.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

from textgym.agents.labelling.page import visible
from textgym.report.charts import short_number
from textgym.report.reading import number, text

OUTCOMES = {
    "gained": "wrong before, right after",
    "lost": "right before, wrong after",
    "right": "right before and after",
    "wrong": "wrong before and after",
    "begun": "before learning alone",
    "paid": "all answers paid",
    "mixed": "some answers paid",
    "unpaid": "no answer paid",
    "unscored": "not scored",
    "pair": "preferred and rejected",
}
MOST_CARDS = 5_000
MOST_CHARACTERS = 3_500_000
"""A page with more of either would be slow to open."""
_LONGEST = 6_000  # characters of a prompt, or of an answer with all its turns
_MOST_TURNS = 200


def pair_cards(lines: Sequence[dict[str, Any]], about: dict[str, str], learns: bool = True) -> list[dict[str, Any]]:
    """Return the cards of ``answers.jsonl``: held-out problems that were answered before and after, in their order.

    Where nothing learns, both are the same, and shown once.
    """
    return [_pair_card(line, about, f"held-out problem {i}", learns) for i, line in enumerate(lines, 1)]


def sample_cards(lines: Sequence[dict[str, Any]], about: dict[str, str]) -> list[dict[str, Any]]:
    """Return the cards of ``transcripts.jsonl``: answers to one problem in one update together, like ones as one."""
    cards = []
    for (update, _), group in itertools.groupby(
        lines, lambda line: (text(line.get("update")), text(line.get("prompt")))
    ):
        members = list(group)
        when = f"update {visible(update)[:20]}"
        if "chosen" in members[0]:
            answers = [
                {**_answer(label, {"response": member.get(name)}, ""), "mark": mark}
                for member in members
                for label, name, mark in (("preferred", "chosen", "right"), ("rejected", "rejected", "wrong"))
            ]
            cards.append(_card(about, "training", when, "pair", members[0], answers))
            continue
        rewards = [number(member.get("reward")) for member in members]
        known = [reward > 0 for reward in rewards if math.isfinite(reward)]
        outcome = ("paid" if all(known) else "mixed" if any(known) else "unpaid") if known else "unscored"
        cards.append(
            _card(
                about, "training", when, outcome, members[0], _merged([_answer("", member, "") for member in members])
            )
        )
    return cards


def thinned(
    cards: Sequence[dict[str, Any]], most: int = MOST_CARDS, characters: int = MOST_CHARACTERS
) -> tuple[list[dict[str, Any]], str]:
    """Return at most so many cards and about so many characters of JSON, evenly from all cards.

    And a sentence that says so if some are left out.
    """
    long = sum(len(json.dumps(card, separators=(",", ":"))) for card in cards)
    most = min(most, len(cards) * characters // max(1, long))
    if len(cards) <= most:
        return list(cards), ""
    kept = [cards[i * len(cards) // most] for i in range(most)]
    return kept, f"{most:,} of {len(cards):,} are here, evenly from all; the folder has the rest."


def _pair_card(line: dict[str, Any], about: dict[str, str], when: str, learns: bool) -> dict[str, Any]:
    times = [time for time in ("before", "after") if f"response_{time}" in line]
    answers = [_answer(f"{time} learning", line, f"_{time}") for time in times]
    marks = tuple(answer["mark"] for answer in answers)
    if not learns:
        answers = [answer | {"label": "nothing learns"} for answer in answers[-1:]]
    outcomes = {
        ("wrong", "right"): "gained",
        ("right", "wrong"): "lost",
        ("right",) * 2: "right",
        ("wrong",) * 2: "wrong",
    }
    outcome = "begun" if times == ["before"] else outcomes.get(marks, "unscored")
    return _card(about, "held-out problems", when, outcome, line, answers)


def _card(
    about: dict[str, str], kind: str, when: str, outcome: str, line: dict[str, Any], answers: list[dict[str, Any]]
) -> dict[str, Any]:
    prompt, cut = _limited(text(line.get("prompt", "")))
    return {**about, "kind": kind, "when": when, "outcome": outcome, "prompt": prompt, "cut": cut, "answers": answers}


def _answer(label: str, line: dict[str, Any], suffix: str) -> dict[str, Any]:
    success, reward = line.get(f"success{suffix}"), number(line.get(f"reward{suffix}"))
    status = text(line.get("status", "ok"))
    unscored = f"reward{suffix}" in line and not math.isfinite(reward)
    facts = ["not scored"] if unscored else [f"reward {short_number(reward)}"] if math.isfinite(reward) else []
    facts += [f"advantage {short_number(number(line['advantage']))}"] if "advantage" in line else []
    facts += [] if status == "ok" else [f"reward: {visible(status)[:40]}"]
    mark = "" if unscored or not isinstance(success, bool) else "right" if success else "wrong"
    return {"label": label, "turns": _turns(line.get(f"response{suffix}", "")), "facts": facts, "mark": mark}


def _turns(response: Any) -> list[dict[str, Any]]:
    """Return who said what: a response is a text, or in a game a list of messages."""
    if not (isinstance(response, list) and response and all(isinstance(message, dict) for message in response)):
        response = [{"role": "assistant", "content": response}]
    turns: list[dict[str, Any]] = []
    room = _LONGEST
    for message in response:
        shown, cut = _limited(text(message.get("content", "")), room)
        if len(turns) == _MOST_TURNS or not room:
            turns[-1]["cut"] += len(shown) + cut
            continue
        turns.append({"by": "policy" if message.get("role") == "assistant" else "env", "text": shown, "cut": cut})
        room = max(0, room - len(shown))
    return turns


def _merged(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put answers together that are the same in everything, with their number as a fact."""
    counts: dict[str, tuple[dict[str, Any], int]] = {}
    for answer in answers:
        key = repr(answer)
        counts[key] = (answer, counts.get(key, (answer, 0))[1] + 1)
    return [{**answer, "label": f"{count} times" if count > 1 else ""} for answer, count in counts.values()]


def _limited(value: str, longest: int = _LONGEST) -> tuple[str, int]:
    """Return a text as it can be shown, and how many of its characters are left out."""
    return visible(value[:longest]), max(0, len(value) - longest)
