"""evaluate: the same held-out problems for everybody, and nothing else disturbed."""

import gymnasium as gym
import pytest
import torch

import textgym  # noqa: F401
from textgym.agents.evaluation import evaluate, play_problems


def played(policy, env_id, episodes, **kwargs):
    settings = {"temperature": 0.0, "max_new_tokens": 3, "batch_size": 16, "seed": 0, "split": "test", "env_kwargs": {}}
    return play_problems(policy, env_id, episodes, **settings | kwargs)


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
    import textgym.agents.rollout as rollout

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

    real = rollout.sample
    monkeypatch.setattr(rollout, "sample", know_half)
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
