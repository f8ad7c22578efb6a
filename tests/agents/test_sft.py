"""SFT: cross-entropy on perfect responses, and nothing else."""

import gymnasium as gym
import pytest
import torch

import textgym  # noqa: F401
from textgym.agents.rollout import demonstrate
from textgym.agents.sft import SFT

SETTINGS = {"batch_size": 8, "warmup_updates": 0, "learning_rate": 1e-2}


def test_the_loss_is_the_mean_over_response_tokens(make_policy):
    policy = make_policy(scale=2.0)
    agent = SFT(policy, "TextMath-v0", **SETTINGS)
    batch = demonstrate(policy, agent.env, seed=agent.update_seed())
    total, count = 0.0, 0
    for row in range(8):
        prompt = batch.prompt_ids[row][batch.prompt_mask[row].bool()].tolist()
        answer = batch.tokens[row][batch.token_mask[row]].tolist()
        logits = policy.model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum").item()
        count += len(answer)
        assert answer[-1] == policy.tokenizer.stop_id
    assert agent.update()["train/loss"] == pytest.approx(total / count, rel=1e-4)


def test_micro_batches_give_the_same_step(make_policy):
    agents = [SFT(make_policy(scale=2.0), "TextMath-v0", micro_batch_size=size, **SETTINGS) for size in (None, 3)]
    losses = [agent.update()["train/loss"] for agent in agents]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for whole, parts in zip(*(agent.policy.parameters() for agent in agents), strict=True):
        torch.testing.assert_close(whole, parts, atol=1e-4, rtol=1e-3)


def test_it_learns_the_responses(make_policy):
    env = gym.make("TextCopy-v0", alphabet="abcd", min_length=1, max_length=1, template="{text}=")
    agent = SFT(make_policy(scale=2.0), env, batch_size=16, warmup_updates=0, learning_rate=3e-3)
    first = agent.update()["train/loss"]
    agent.learn(16 * 150)
    assert agent.update()["train/loss"] < 0.05 < first
    letter = env.reset(seed=0)[0].removesuffix("=")
    assert agent.predict(f"{letter}=", deterministic=True)[0] == letter


def test_in_games_only_the_answers_are_learnt(make_policy):
    policy = make_policy(scale=2.0)
    agent = SFT(policy, "TextGuessNumber-v0", **SETTINGS)
    batch = demonstrate(policy, agent.env, seed=agent.update_seed())
    assert (batch.token_mask & ~batch.action_mask).any()
    seen = policy.tokenizer.decode(batch.tokens[0][batch.action_mask[0]].tolist())
    assert seen.isdigit()


def test_5_updates_save_load_5_updates_equal_10(make_policy, tmp_path):
    straight = SFT(make_policy(), "TextMath-v0", **SETTINGS)
    straight.learn(8 * 10)
    broken = SFT(make_policy(), "TextMath-v0", **SETTINGS)
    broken.learn(8 * 5)
    broken.save(tmp_path / "checkpoint")
    resumed = SFT.load(tmp_path / "checkpoint", "TextMath-v0", device="cpu")
    resumed.learn(8 * 5)
    pairs = zip(straight.policy.parameters(), resumed.policy.parameters(), strict=True)
    assert all(torch.equal(first, second) for first, second in pairs)


def test_a_task_without_solutions_is_named(make_policy, make_bandit):
    env = make_bandit(8)
    for sub_env in env.envs:
        sub_env.solution = lambda: None
    with pytest.raises(ValueError, match="knows no solution to 'a or b"):
        SFT(make_policy(), env, **SETTINGS).update()


def test_bad_settings_are_named(make_policy):
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        SFT(make_policy(), "TextMath-v0", batch_size=0)
