"""Evaluation: the same held-out problems for everybody, unbiased estimates, and nothing else disturbed."""

import collections
import itertools
import math

import gymnasium as gym
import numpy as np
import pytest
import torch

import textgym  # noqa: F401
from textgym.agents import evaluation
from textgym.agents import rollout as rollouts
from textgym.agents.evaluation import (
    best_at_k,
    evaluate,
    evaluate_samples,
    majority_at_k,
    pass_at_k,
    play_problems,
)
from textgym.envs import Score, TextEnv
from textgym.envs.rewards import MathVerifier
from textgym.envs.sources import ArithmeticSource


def played(policy, env_id, episodes, **kwargs):
    settings = {"temperature": 0.0, "max_new_tokens": 3, "batch_size": 16}
    return play_problems(policy, env_id, range(episodes), **settings | kwargs)


def test_it_plays_distinct_held_out_problems_in_a_fixed_order(make_policy):
    policy = make_policy()
    prompts = [prompt for part in played(policy, "TextMath-v0", 40) for prompt in part.prompts]
    again = [prompt for part in played(policy, "TextMath-v0", 40, seed=5, batch_size=7) for prompt in part.prompts]
    assert len(set(prompts)) == 40 and prompts == again
    train = [prompt for part in played(policy, "TextMath-v0", 40, split="train") for prompt in part.prompts]
    assert not set(prompts) & set(train)


def test_few_problems_come_several_times_and_both_numbers_are_told(make_policy):
    rates = evaluate(make_policy(), "TextMath-v0", 50, max_new_tokens=2, difficulty=1)
    assert rates.episodes == 50 and 1 < rates.problems < 50 and rates.unscored == 0


def test_the_rate_is_that_of_right_answers(make_policy, monkeypatch):
    """A policy that knows the odd problems only."""
    policy = make_policy()
    env = gym.make("TextMath-v0", split="test")

    def know_half(policy_, contexts, **kwargs):
        samples = real(policy_, contexts, **kwargs)
        for row, context in enumerate(contexts):
            a, b = policy.tokenizer.decode(context).strip("?\n")[8:].split(" + ")
            answer = [*policy.tokenizer.encode_response(str(int(a) + int(b) + int(a) % 2)), 0]
            samples.tokens[row, : len(answer)] = torch.tensor(answer)
            samples.token_mask[row] = torch.arange(samples.tokens.shape[1]) < len(answer)
        return samples

    real = rollouts.sample
    monkeypatch.setattr(rollouts, "sample", know_half)
    monkeypatch.setattr(policy.tokenizer, "stop_id", 99)  # so that every row is as long as it may be
    rates = evaluate(policy, "TextMath-v0", 60, max_new_tokens=5)
    prompts = [env.reset(options={"problem": index})[0] for index in range(60)]
    even = sum(int(prompt[8:].split(" + ")[0]) % 2 == 0 for prompt in prompts)
    assert rates.greedy == rates.sampled == pytest.approx(even / 60) and 0 < even < 60


def test_evaluation_changes_no_random_stream_and_no_mode(make_policy):
    policy = make_policy()
    state, training = torch.get_rng_state(), policy.model.training
    first = evaluate(policy, "TextMath-v0", 20, max_new_tokens=3)
    assert torch.equal(state, torch.get_rng_state()) and policy.model.training == training
    assert evaluate(policy, "TextMath-v0", 20, max_new_tokens=3) == first


def test_games_are_evaluated_too(make_policy):
    rates = evaluate(make_policy(), "TextGuessNumber-v0", 6, max_new_tokens=3)
    assert rates.problems == 6


def test_a_split_without_problems_is_named(make_policy):
    with pytest.raises(ValueError, match="has no test problems"):
        evaluate(make_policy(), "TextCopy-v0", 5, alphabet="b", min_length=1, max_length=1)


# Several responses to each problem.


def every_choice(n, k):
    return list(itertools.combinations(range(n), k))


def vote(answers, successes):
    """Success of the majority, averaged over the ways to break a tie; equal answers share their mean success."""
    counts = collections.Counter(answer for answer in answers if answer is not None)
    if not counts:
        return 0.0
    winners = [answer for answer in counts if counts[answer] == max(counts.values())]
    return sum(np.mean([s for a, s in zip(answers, successes, strict=True) if a == w]) for w in winners) / len(winners)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 7])
def test_the_estimators_are_means_over_every_choice_of_k(k):
    """Against enumeration, with ties, silent responses, and answers of which some spellings only are right."""
    rng = np.random.default_rng(k)
    for _ in range(30):
        n = 8
        answers = [[None, "a", "b", "c"][i] for i in rng.integers(4, size=n)]
        right = [bool(a == "a" or (a == "b" and rng.random() < 0.5)) for a in answers]
        scores = rng.integers(4, size=n).tolist()
        choices = every_choice(n, k)
        passed = np.mean([any(right[i] for i in rows) for rows in choices])
        assert pass_at_k(n, sum(right), k) == pytest.approx(passed, abs=1e-12)
        best = []
        for rows in choices:
            top = max(scores[i] for i in rows)
            best.append(np.mean([right[i] for i in rows if scores[i] == top]))
        assert best_at_k(scores, right, k) == pytest.approx(np.mean(best), abs=1e-12)
        assert best_at_k(right, right, k) == pytest.approx(passed, abs=1e-12)
        # In a choice, equal answers are a sample of all that are equal: on average their success is that of all.
        shared = [
            np.mean([s for a, s in zip(answers, right, strict=True) if a == answers[i]]) if answers[i] else 0.0
            for i in range(n)
        ]
        voted = np.mean([vote([answers[i] for i in rows], [shared[i] for i in rows]) for rows in choices])
        assert majority_at_k(answers, right, k) == pytest.approx(voted, abs=1e-12)


def test_pass_at_k_equals_the_product_of_the_paper_and_survives_large_numbers():
    """The numerically stable form of arXiv 2107.03374, figure 3; at n = 2000 the binomials alone have 600 digits."""
    for n, right, k in [(200, 3, 100), (16, 0, 8), (16, 16, 8), (16, 9, 8), (2000, 40, 1000), (2000, 1, 1)]:
        product = 1.0 if n - right < k else 1.0 - np.prod(1.0 - k / np.arange(n - right + 1, n + 1))
        assert pass_at_k(n, right, k) == pytest.approx(product, rel=1e-9)


def test_a_majority_by_hand():
    """Of 4 responses, two say 7 (right), one says 3, one nothing. Pairs: 77, 73 x2, 7- x2, 3-."""
    assert majority_at_k([7, 7, 3, None], [True, True, False, False], 2) == pytest.approx((1 + 2 * 0.5 + 2) / 6)
    assert majority_at_k([None, None], [False, False], 1) == 0.0


def test_they_are_unbiased():
    """Means over many draws of n = 6 from a known distribution, against the exact value for k = 3."""
    rng = np.random.default_rng(0)
    chances, k = {"a": 0.4, "b": 0.35, None: 0.25}, 3
    words, weights = list(chances), list(chances.values())
    exact_pass, exact_majority = 1 - 0.6**k, 0.0
    for draw in itertools.product(words, repeat=k):
        exact_majority += np.prod([chances[w] for w in draw]) * vote(draw, [w == "a" for w in draw])
    passed, voted = [], []
    for _ in range(3000):
        answers = [words[i] for i in rng.choice(3, size=6, p=weights)]
        right = [answer == "a" for answer in answers]
        passed.append(pass_at_k(6, sum(right), k))
        voted.append(majority_at_k(answers, right, k))
    assert np.mean(passed) == pytest.approx(exact_pass, abs=0.02)
    assert np.mean(voted) == pytest.approx(exact_majority, abs=0.02)


class Longest:
    """A selector that likes long responses."""

    range = (0.0, 1e9)

    def __call__(self, problems, responses):
        assert all(problem.prompt.startswith("What is") for problem in problems)
        return Score(np.array([float(len(r)) for r in responses]), np.zeros(len(responses), bool))


def scripted(monkeypatch, responses):
    """Make rollouts say these responses, problem after problem, to one-digit sums."""
    queue = iter(responses)

    def collect(*args, **kwargs):
        rollout = rollouts.collect(*args, **kwargs)
        problems = [env.problem for env in args[1].envs]
        rollout.responses = [next(queue) for _ in problems]
        score = MathVerifier()(problems, rollout.responses)
        rollout.successes = torch.tensor(score.success)
        rollout.rewards = torch.tensor(score.total)[:, None].float()
        rollout.rewards[[r == "broken" for r in rollout.responses]] = torch.nan
        return rollout

    monkeypatch.setattr(evaluation, "collect", collect)


def answers_to(problems):
    env = gym.make("TextMath-v0", difficulty=1).unwrapped
    return [env.choose({"problem": i, "split": "test"}).answer for i in range(problems)]


def test_samples_are_counted_problem_by_problem(make_policy, monkeypatch):
    first, second = answers_to(2)
    said = [first, first, "1000", "none", second, "2000", "It is 2000.", "2000"]
    scripted(monkeypatch, said)
    # batches of 3 rows: they need not end where a problem's samples do
    result = evaluate_samples(
        make_policy(), "TextMath-v0", 2, samples=4, k=(1, 2), selector=Longest(), batch_size=3, difficulty=1
    )
    assert list(result.rates) == ["pass@1", "pass@2", "maj@1", "maj@2", "best@1", "best@2"]
    assert result.rates["pass@1"] == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert result.rates["pass@2"] == pytest.approx((5 / 6 + 3 / 6) / 2)
    assert result.rates["maj@2"] == pytest.approx(((1 + 2 * 0.5 + 2) / 6 + 3 * 0.5 / 6) / 2)
    assert result.rates["best@2"] == pytest.approx((1 / 6 + 0) / 2)  # the pair of the two right ones
    assert result.errors["pass@1"] == pytest.approx(0.25 / 2)
    assert (result.problems, result.samples, result.unscored) == (2, 4, 0)


def test_a_failed_verifier_is_no_wrong_sample(make_policy, monkeypatch):
    first, second = answers_to(2)
    said = [first, "1000", "broken", "broken", second, "broken", "broken", "broken"]
    scripted(monkeypatch, said)
    result = evaluate_samples(make_policy(), "TextMath-v0", 2, samples=4, k=(1, 2), difficulty=1)
    assert result.rates["pass@1"] == result.rates["maj@1"] == pytest.approx((1 / 2 + 1) / 2)
    assert result.rates["pass@2"] == 1.0 and math.isnan(result.errors["pass@2"])  # the first problem only
    assert result.unscored == 5
    scripted(monkeypatch, ["broken"] * 8)
    nothing = evaluate_samples(make_policy(), "TextMath-v0", 2, samples=4, k=(1, 2), difficulty=1)
    assert all(map(math.isnan, nothing.rates.values())) and nothing.unscored == 8
    scripted(monkeypatch, ["broken"] * 4)
    assert math.isnan(evaluate(make_policy(), "TextMath-v0", 2, difficulty=1).greedy)


def test_a_selector_that_fails_is_no_wrong_choice(make_policy, monkeypatch):
    class Moody(Longest):
        def __call__(self, problems, responses):
            if any(response == "1000" for response in responses):
                raise RuntimeError("not 1000 again")
            return super().__call__(problems, responses)

    (first,) = answers_to(1)
    scripted(monkeypatch, [first, "1000", first, "1000"])
    with pytest.warns(RuntimeWarning, match="not 1000 again"):
        result = evaluate_samples(
            make_policy(), "TextMath-v0", 1, samples=4, k=(2,), selector=Moody(), max_new_tokens=2, difficulty=1
        )
    assert result.rates == {"pass@2": 1.0, "maj@2": 1.0, "best@2": 1.0} and result.unscored == 2


def test_sampling_is_repeatable_and_moves_no_other_stream(make_policy):
    policy, state = make_policy(), torch.get_rng_state()
    settings = {"samples": 4, "max_new_tokens": 2, "alphabet": "abcd", "max_length": 4}
    first, second = (evaluate_samples(policy, "TextCopy-v0", 6, **settings) for _ in range(2))
    assert first == second and torch.equal(state, torch.get_rng_state())
    assert [name for name in first.rates if name.startswith("maj")] == ["maj@1", "maj@2"]
    other = evaluate_samples(policy, "TextCopy-v0", 6, **settings, seed=1)
    assert other.rates.keys() == first.rates.keys()


def test_there_is_no_vote_where_different_answers_can_be_right(make_policy):
    for env_id in ("TextCountdown-v0", "TextGuessNumber-v0"):
        result = evaluate_samples(make_policy(), env_id, 2, samples=2, max_new_tokens=2)
        assert list(result.rates) == ["pass@1"]


def test_a_reward_may_say_what_the_answer_is():
    class LastWord:
        range = (0.0, 1.0)

        def __call__(self, problems, responses):
            return Score(np.ones(len(problems)), np.ones(len(problems), bool))

        def answer_key(self, problem, response):
            return response.split()[-1]

    env = TextEnv(ArithmeticSource(), LastWord())
    assert evaluation._answer_key(env)(env.choose({"problem": 0}), "it is 5") == "5"


@pytest.mark.parametrize(
    ("env_id", "settings", "other"),
    [
        ("TextMath-v0", {}, "-1000"),
        ("TextCopy-v0", {}, "no"),
        ("TextSort-v0", {}, "1 2"),
        ("TextDyck-v0", {}, "()"),
        ("TextLogic-v0", {"kind": "zebra"}, "1: Ann"),
        ("TextSudoku-v0", {}, "1234 3412 2143 4321"),
        ("TextGSM8K-v0", {}, "#### -1000"),
        ("TextMATH-v0", {}, "\\boxed{-1000}"),
        ("TextBBH-v0", {}, "The answer is 1000"),
    ],
)
def test_right_responses_vote_together_and_a_wrong_one_alone(env_id, settings, other):
    env = gym.make(env_id, **settings).unwrapped
    answer_key = evaluation._answer_key(env)
    for index in range(8):
        problem = env.choose({"problem": index})
        right = env.source.solution(problem)
        key = answer_key(problem, right)
        assert key is not None and hash(key) == hash(answer_key(problem, right))
        assert key == answer_key(problem, f"<think>{other}</think>{right}") or env_id == "TextCopy-v0"
        assert key != answer_key(problem, other)
        assert answer_key(problem, "") in (None, "")


def test_the_problems_are_looked_up_once(make_policy, monkeypatch):
    asked = []
    real = TextEnv.choose
    monkeypatch.setattr(TextEnv, "choose", lambda env, options: asked.append(options) or real(env, options))
    monkeypatch.setattr(evaluation, "play_problems", lambda *args, **settings: [FakeRollout()])
    evaluate(make_policy(), "TextMath-v0", 30)
    assert [options["problem"] for options in asked] == list(range(30))


def test_the_rates_of_a_mixture_are_told_by_task(make_policy, monkeypatch):
    mixed = FakeRollout()
    mixed.successes = torch.tensor([True, False, True, True])
    mixed.returns = torch.tensor([1.0, 0.0, math.nan, 1.0])
    mixed.tasks = ["a", "a", "a", "b"]
    monkeypatch.setattr(evaluation, "play_problems", lambda *args, **settings: [mixed, FakeRollout()])
    rates = evaluate(make_policy(), "TextMath-v0", 5)
    assert rates.tasks == {"a": {"greedy": 0.5, "sampled": 0.5}, "b": {"greedy": 1.0, "sampled": 1.0}}
    assert rates.greedy == 0.75 and rates.unscored == 2


def test_an_env_in_place_of_its_spec_is_refused_in_plain_words(make_policy):
    with pytest.raises(TypeError, match=r"an id or the spec of an env, such as env\.spec, got .*TextEnv"):
        evaluate(make_policy(), gym.make("TextMath-v0"), 2)


class FakeRollout:
    prompts = ["?"]
    messages = [[{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]]
    successes = torch.tensor([True])
    returns = torch.tensor([1.0])
    tasks = [""]


@pytest.mark.parametrize(("samples", "k"), [(16, (1, 9)), (1, None), (4, (0, 1)), (4, ())])
def test_too_few_samples_for_k_are_refused(make_policy, samples, k):
    with pytest.raises(ValueError, match="at most half of the samples"):
        evaluate_samples(make_policy(), "TextMath-v0", 2, samples=samples, k=k)
