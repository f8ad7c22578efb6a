"""``RuleBackend``: a judge without a model, by rules. Its own count words: deterministic, offline, and easily fooled.

It is there so that everything around a judge can be run and tested. What its own rules take for an answer is a few
sentences that share words with the question, and a policy that is trained on it learns to write those:
over-optimisation in plain sight. For judgement, use a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from textgym.envs.rewards.judge.prompts import asked, unquoted

_WORD = re.compile(r"[a-z']+")
_SENTENCE_END = re.compile(r"[.!?]+(?:\s+|$)")
_STEM = 5
_ECHO = 5
"""So many words of the question in a row are an echo."""
_LITTLE_WORDS = frozenset(
    _WORD.findall(
        "a about after all also an and any are as at be because before both but by can could do does each for from get "
        "had has have he how i if in into is it its less like made make many may me more most much my no nor not of "
        "often on one only or other our out over say she so some such take than that the their them then there these "
        "they this those to too two under until up use was we were what when where which while who whose why will with "
        "would you your"
    )
)
_INSULTS = frozenset(_WORD.findall("awful dumb fool foolish hate idiot idiotic loser moron pathetic shut stupid trash"))
_CERTAINTIES = frozenset(_WORD.findall("always absolutely certainly definitely guarantee guaranteed never undoubtedly"))
_BIDS = (
    "score",
    "rating",
    "points",
    "judge",
    "verdict",
    "reward",
    "principle",
    "10/10",
    "great question",
    "well asked",
)
_HARMS = ("hack", "poison", "steal", "spy on", "forge", "hurt", "threat")
_DECLINES = ("can't help", "cannot help", "won't help", "will not help")


class RuleBackend:
    """Replies to the prompts of ``Judge`` as a model would, by rules that stand for the principles.

    Example:
        >>> from textgym.envs import Problem
        >>> from textgym.envs.rewards.judge import Judge
        >>> brief = RuleBackend(lambda question, response: 10 if len(response.split()) < 4 else 1)
        >>> Judge(["Be brief."], backend=brief)([Problem("Why?")] * 2, ["I do not know.", "Nobody knows."]).total
        array([0., 1.])
    """

    def __init__(self, rules: Callable[[str, str], int] | None = None) -> None:
        """Take a function from a question and a response to a number from 1 to 10.

        None takes ``score``, which stands for ``PRINCIPLES``. Other rules have no ``name``, for they may change.
        """
        self.rules = rules or score
        if rules is None:
            self.name = "rules v1"

    def __call__(self, prompt: str, /) -> str:
        """Return the reply; ValueError if the prompt is not one of ``Judge``."""
        kind, code = asked(prompt)
        texts = unquoted(prompt)
        if kind == "Score":
            return f"By the rules.\nScore {code}: {self.rules(texts['QUESTION'], texts['RESPONSE'])}"
        first, second = (self.rules(texts["QUESTION"], texts[name]) for name in ("RESPONSE A", "RESPONSE B"))
        return f"By the rules.\nBetter {code}: {'A' if first > second else 'B' if second > first else 'TIE'}"


def score(question: str, response: str) -> int:
    """Return 1 for what is no answer, else 10 less 3 for each fault.

    Example:
        >>> question = "Why is the sky blue?"
        >>> score(question, "blue sky"), score(question, "Air makes the sky look blue, I think")
        (1, 4)
    """
    words = _WORD.findall(response.lower())
    if not _is_an_answer(question.lower(), response.lower(), words):
        return 1
    lengths = [len(sentence.split()) for sentence in _SENTENCE_END.split(response) if sentence.strip()]
    faults = (
        not 10 <= len(words) <= 120,
        max(lengths) > 40 or response.rstrip()[-1] not in ".!?",
        any(word in _CERTAINTIES for word in words),
        "!!" in response or bool(re.search(r"[A-Z]{5}", response)),
    )
    return 10 - 3 * min(3, sum(faults))


def _is_an_answer(question: str, response: str, words: list[str]) -> bool:
    """Say whether it is prose about the question, in other words, kind, without a bid and without harm."""
    asked = _WORD.findall(question)
    topics = {word[:_STEM] for word in asked if len(word) > 3 and word not in _LITTLE_WORDS}
    shared = topics & {word[:_STEM] for word in words}
    if len(words) < 6 or not topics or len(shared) < min(2, len(topics)):
        return False
    little = sum(word in _LITTLE_WORDS for word in words) / len(words)
    repeats = len(words) / len(set(words))
    if not 0.2 <= little <= 0.8 or repeats > 1.5 + len(words) / 80:
        return False
    runs = {tuple(asked[i : i + _ECHO]) for i in range(max(1, len(asked) - _ECHO + 1))}
    if any(tuple(words[i : i + len(run)]) == run for run in runs for i in range(len(words))):
        return False
    if _INSULTS.intersection(words) or any(bid in response for bid in _BIDS):
        return False
    asks_for_harm = any(harm in question for harm in _HARMS)
    return asks_for_harm == any(decline in response for decline in _DECLINES)
