"""JudgeAnnotator: a judge's preferences. Run: pytest tests/agents/test_judge_annotator.py"""

from __future__ import annotations

import re

import pytest

from textgym.agents.judge_annotator import JudgeAnnotator
from textgym.agents.preferences import AnswerPair, Preference, sample_pairs
from textgym.envs import Problem
from textgym.envs.rewards.judge import Judge, RuleBackend, prompts

QUESTION = "Are you ready?"
LONGER = RuleBackend(lambda question, response: min(10, len(response)))


def pair(first, second):
    return AnswerPair(Problem(QUESTION, metadata={"reference": "ignored"}), first, second)


def annotate(backend, *pairs, **settings):
    return JudgeAnnotator(Judge(["Be long."], "pairwise", backend=backend, **settings))(pairs)


def test_the_better_answer_is_preferred_wherever_it_stands():
    expected = Preference(QUESTION, "yessir", "yes")
    assert annotate(LONGER, pair("yessir", "yes"), pair("yes", "yessir")) == [expected, expected]
    assert annotate(LONGER) == []


def test_ties_and_judges_that_go_by_the_place_prefer_nothing():
    assert annotate(LONGER, pair("yes", "no!")) == [None]

    def first(prompt):
        return f"Better {re.findall('Better ([0-9a-f]{8})', prompt)[-1]}: A"

    assert annotate(first, pair("yessir", "yes")) == [None]


@pytest.mark.parametrize("error", [TimeoutError(), OSError("gone")])
def test_a_judge_that_fails_prefers_nothing_and_spoils_no_other_pair(error):
    def backend(prompt):
        if "later" in prompt:
            raise error
        return LONGER(prompt)

    with pytest.warns(RuntimeWarning, match="2 of 4 verdicts failed"):
        found = annotate(backend, pair("later", "yes"), pair("yessir", "yes"))
    assert found == [None, Preference(QUESTION, "yessir", "yes")]


@pytest.mark.parametrize("worthless", ["", " \n", "x" * 100, QUESTION, "<answer></answer>"])
def test_what_need_not_be_seen_is_worse_on_either_side(worthless):
    def backend(prompt):
        pytest.fail("asked")

    found = annotate(backend, pair(worthless, "Yes"), pair("Yes", worthless), pair(worthless, "?"), max_chars=50)
    assert found == [Preference(QUESTION, "Yes", worthless)] * 2 + [None]


def test_both_answers_are_shown_as_rewards_read_them():
    seen = []

    def backend(prompt):
        seen.append(prompts.unquoted(prompt))
        return LONGER(prompt)

    (found,) = annotate(backend, pair("<think>yesyesyes</think>no", "<think>Hm.</think><answer>yes</answer>"))
    assert found is not None and found.chosen == "<think>Hm.</think><answer>yes</answer>"
    assert [{said["RESPONSE A"], said["RESPONSE B"]} for said in seen] == [{"no", "yes"}] * 2


def test_it_annotates_what_a_policy_says(make_policy):
    pairs = sample_pairs(make_policy(), "TextReverse-v0", 4, max_new_tokens=8, batch_size=4)
    found = annotate(LONGER, *pairs)
    for said, asked in zip(found, pairs, strict=True):
        lengths = len(asked.first.strip()), len(asked.second.strip())
        assert (said is None) == (lengths[0] == lengths[1])


def test_a_judge_of_scores_is_refused():
    with pytest.raises(ValueError, match="mode='pairwise', got 'score'"):
        JudgeAnnotator(Judge(backend=LONGER))
