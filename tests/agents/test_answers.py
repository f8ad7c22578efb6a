"""What was answered, as people read it, and the file of it that a run leaves."""

import json
import math

import pytest

from textgym.agents import runs
from textgym.agents.answers import Answers, answer_in, lines_of, pair_up
from textgym.agents.evaluation import evaluate, evaluate_with_answers


def said(*texts):
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def test_one_response_is_a_text_and_a_game_is_a_dialogue():
    assert answer_in(said("What is 1 + 1?", "2")) == "2"
    assert answer_in(said("Guess.", "5", "higher", "7")) == said("Guess.", "5", "higher", "7")[1:]
    assert answer_in(said("Guess.", "5", "higher")) == said("Guess.", "5", "higher")[1:]  # a limit ended it


def test_answers_are_paired_by_problem():
    before = Answers(["p", "q"], ["1", "2"], [math.nan, 1.0], [False, True])
    after = Answers(["p", "q"], ["3", said("q", "4", "no", "5")[1:]], [1.0, 0.0], [True, False])
    lines = pair_up(before, after, 5)
    assert lines[0] == {
        "prompt": "p", "response_before": "1", "reward_before": None, "success_before": False,
        "response_after": "3", "reward_after": 1.0, "success_after": True,
    }  # fmt: skip
    assert [message["content"] for message in lines[1]["response_after"]] == ["4", "no", "5"]
    assert len(pair_up(before, after, 1)) == 1 and json.dumps(lines, allow_nan=False)
    assert lines_of(before, "before", 1) == [{name: lines[0][name] for name in list(lines[0])[:4]}]


def test_what_was_answered_is_what_was_counted(make_policy):
    policy = make_policy()
    settings = {"max_new_tokens": 4, "difficulty": 1}
    rates, answers = evaluate_with_answers(policy, "TextMath-v0", 20, **settings)
    assert rates == evaluate(policy, "TextMath-v0", 20, **settings)
    assert len(answers.responses) == 20 and sum(answers.successes) == 20 * rates.greedy
    assert answers.prompts[0] == answers.prompts[rates.problems]  # they begin anew


@pytest.fixture
def make_run(tmp_path):
    settings = runs.RunSettings(env="TextGuessNumber-v0", total_episodes=8, eval_episodes=30)
    config = runs.make_config("grpo", None, prompts_per_update=2, group_size=2, max_new_tokens=3)
    return lambda: runs.Run(tmp_path / "run", settings, config)


def lines_in(folder):
    return runs.read_lines(folder / "answers.jsonl")


def test_a_run_keeps_its_answers_before_and_after(make_run, monkeypatch):
    monkeypatch.setattr(runs, "SHOWN", 7)
    run = make_run()
    before = run.evaluate_before()
    first = lines_in(run.out)
    assert len(first) == 7 and set(first[0]) == {"prompt", "response_before", "reward_before", "success_before"}
    assert len({line["prompt"] for line in first}) <= before["problems"]
    run.learn()
    # As after a stop: the run is read anew, and measured before no second time.
    resumed = runs.Run.resume(run.out)
    resumed.evaluate_before()
    assert lines_in(run.out) == first
    resumed.finish()
    last = lines_in(run.out)
    assert [{name: line[name] for name in first[0]} for line in last] == first
    assert all({"response_after", "reward_after", "success_after"} < set(line) for line in last)
    assert any(isinstance(line["response_after"], list) for line in last)
    runs.Run.resume(run.out).finish()
    assert lines_in(run.out) == last
    # A run begun before there was such a file has the answers after alone.
    (run.out / "answers.jsonl").unlink()
    runs.Run.resume(run.out).finish()
    assert all("response_after" in line and "response_before" not in line for line in lines_in(run.out))
