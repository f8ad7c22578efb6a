"""collect and demonstrate: the batch contract, at both levels and over several turns."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import VectorWrapper

import textgym  # noqa: F401
from textgym.agents import on_policy
from textgym.agents.on_policy import rollout_metrics
from textgym.agents.rollout import collect, concatenate, demonstrate, success_by_task
from textgym.envs import Score, TextEnv, TextVectorEnv
from textgym.envs.rewards import ExactMatch, Rubric
from textgym.wrappers import VectorMonitorReward, VectorTopKActions


def make(env_id, num_envs=4, **kwargs):
    return gym.make_vec(env_id, num_envs=num_envs, autoreset_mode="Disabled", **kwargs)


def play(policy, env, **kwargs):
    kwargs = {"max_new_tokens": 6, "seed": 3, "generator": torch.Generator().manual_seed(0)} | kwargs
    return collect(policy, env, **kwargs)


def test_a_row_is_prompt_then_response_with_the_reward_on_the_last_action(make_policy, make_bandit):
    policy = make_policy(scale=2.0)
    rollout = play(policy, make_bandit(64, 8))
    lengths = rollout.lengths.tolist()
    assert rollout.prompts == ["a or b?"] * 64
    assert rollout.group_ids.tolist() == [i // 8 for i in range(64)]
    for row, length in enumerate(lengths):
        ids = rollout.tokens[row, :length].tolist()
        assert policy.tokenizer.decode(ids) == rollout.responses[row]
        assert rollout.rewards[row].nonzero().flatten().tolist() in ([], [length - 1])
        assert rollout.truncated[row] == (ids[-1] != 0)
    assert torch.equal(rollout.action_mask, rollout.token_mask)
    assert torch.equal(rollout.terminated, ~rollout.truncated)
    assert rollout.returns.tolist() == [float(r.startswith("a")) for r in rollout.responses]


def test_what_the_env_says_is_no_action_and_ids_are_never_made_anew(make_policy):
    policy = make_policy(scale=2.0)
    env = make("TextGuessNumber-v0", 6)
    rollout = play(policy, env, max_new_tokens=4)
    assert (rollout.token_mask & ~rollout.action_mask).any()
    assert (rollout.logprobs[~rollout.action_mask] == 0).all()
    for row, sub_env in enumerate(env.unwrapped.envs):
        expected, mask = [], []
        answers = [m["content"] for m in sub_env.messages if m["role"] == "assistant"]
        hints = [m["content"] for m in sub_env.messages[1:] if m["role"] == "user"]
        ids = rollout.tokens[row][rollout.token_mask[row]].tolist()
        position = 0
        for turn, answer in enumerate(answers):  # walk along the stored ids
            end = position
            while end == position or (ids[end - 1] != 0 and end - position < 4):
                end += 1
            assert policy.tokenizer.decode(ids[position:end]) == answer
            stopped = ids[end - 1] == 0
            mask += [True] * (end - position)
            expected += ids[position:end]
            if turn < len(hints):
                reply = policy.tokenizer.encode_reply(hints[turn], stopped=stopped)
                expected += reply
                mask += [False] * len(reply)
            position = len(expected)
        assert ids == expected
        assert rollout.action_mask[row][rollout.token_mask[row]].tolist() == mask


@pytest.mark.parametrize("env_id", ["TextReverse-v0", "TextGuessNumber-v0"])
def test_both_levels_give_the_same_rollout(make_policy, env_id):
    policy = make_policy(scale=2.0)
    rollouts = [
        play(policy, make(env_id, 8), max_new_tokens=5),
        play(policy, make(env_id, 8, level="token", tokenizer=policy.tokenizer, window=512, max_tokens=5)),
    ]
    for name in ("prompt_ids", "tokens", "token_mask", "action_mask", "logprobs", "rewards", "group_ids", "successes"):
        assert torch.equal(getattr(rollouts[0], name), getattr(rollouts[1], name)), name
    assert rollouts[0].responses == rollouts[1].responses
    assert rollouts[0].truncated.any() and not rollouts[1].truncated.any()  # there the limit is part of the task


@pytest.mark.parametrize("level", ["sequence", "token"])
@pytest.mark.parametrize("env_id", ["TextMath-v0", "TextGuessNumber-v0", "TextCountdown-v0"])
def test_demonstrations_are_perfect(make_policy, env_id, level):
    policy = make_policy()
    kwargs = {"level": "token", "tokenizer": policy.tokenizer, "window": 512} if level == "token" else {}
    rollout = demonstrate(policy, make(env_id, 5, **kwargs), seed=1)
    assert rollout.returns.tolist() == [1.0] * 5 and rollout.successes.all() and rollout.terminated.all()
    last = rollout.token_mask.sum(1) - 1
    assert (rollout.tokens[torch.arange(5), last] == 0).all()


def test_a_reward_that_failed_is_nan_and_named(make_policy, make_bandit, first_char):
    policy = make_policy(scale=2.0)
    rollout = play(policy, make_bandit(64, 8))
    common = max(set(r[:1] for r in rollout.responses if r), key=[r[:1] for r in rollout.responses].count)
    broken = play(policy, make_bandit(64, 8, reward=first_char(broken=common)))
    failed = [r.startswith(common) for r in broken.responses]
    assert any(failed) and broken.returns.isnan().tolist() == failed
    assert broken.statuses == ["timeout" if f else "ok" for f in failed]


def test_select_keeps_rows_and_drops_empty_columns(make_policy, make_bandit):
    rollout = play(make_policy(scale=2.0), make_bandit(64, 8), max_new_tokens=30)
    short = torch.argsort(rollout.lengths)[:3]
    part = rollout.select(short)
    assert part.tokens.shape == (3, int(rollout.lengths[short].max()))
    assert torch.equal(part.returns, rollout.returns[short])
    assert part.responses == [rollout.responses[int(i)] for i in short]


def test_envs_that_do_not_fit_are_refused(make_policy):
    policy = make_policy()
    with pytest.raises(ValueError, match="Disabled"):
        collect(policy, gym.make_vec("TextMath-v0", num_envs=2), max_new_tokens=4)
    with pytest.raises(ValueError, match=r"vocabulary .* tokenizer=policy\.tokenizer"):
        collect(policy, make("TextMathTokens-v0"), max_new_tokens=4)


class EndOddRows(VectorWrapper):
    """A wrapper with a limit of its own: it truncates the odd rows after their first step."""

    def step(self, actions):
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        odd = np.arange(self.num_envs) % 2 == 1
        return observations, rewards, terminations, truncations | odd, infos


def test_a_wrappers_limit_is_no_cut_and_has_no_verdict(make_policy):
    rollout = play(make_policy(scale=2.0), EndOddRows(make("TextGuessNumber-v0", 6)), max_new_tokens=2)
    odd = torch.arange(6) % 2 == 1
    assert torch.equal(rollout.truncated & ~rollout.cut, odd) and not rollout.cut[odd].any()
    assert set(rollout.statuses) == {"ok"}


def test_an_end_that_is_also_the_limit_is_terminated(make_policy):
    policy = make_policy(scale=2.0)
    env = make("TextReverse-v0", 4, level="token", tokenizer=policy.tokenizer, max_tokens=1)
    rollout = play(policy, EndOddRows(env))
    assert rollout.terminated.all() and not rollout.truncated.any()


def test_actions_that_are_no_tokens_are_refused(make_policy):
    policy = make_policy()
    env = VectorTopKActions(make("TextReverse-v0", 4, level="token", tokenizer=policy.tokenizer), policy, 3)
    with pytest.raises(ValueError, match="no longer the tokens"):
        play(policy, env)


@pytest.mark.parametrize("level", ["sequence", "token"])
def test_success_is_counted_by_task(make_policy, level):
    policy = make_policy()
    tokens = {"level": level, "tokenizer": policy.tokenizer, "window": 400, "max_tokens": 40}
    env = make("TextMix-v0", 24, **(tokens if level == "token" else {}))
    source = env.envs[0].source
    rollout = demonstrate(policy, env, seed=0)
    tasks = [text_env.problem.metadata["task"] for text_env in env.envs]
    assert rollout.tasks == tasks and set(tasks) == set(source.sources)
    rollout.successes = torch.tensor([task != "TextSort" for task in tasks])
    rollout.rewards[tasks.index("TextMath")] = torch.nan
    counts = {task: tasks.count(task) for task in source.sources}
    expected = {"TextSort": (0, counts["TextSort"]), "TextDyck": (counts["TextDyck"],) * 2}
    expected["TextMath"] = (counts["TextMath"] - 1,) * 2
    assert success_by_task([rollout]) == expected
    halves = [rollout.select(torch.arange(12)), rollout.select(torch.arange(12, 24))]
    assert success_by_task(halves) == success_by_task([concatenate(halves)]) == expected
    metrics = rollout_metrics(rollout)
    assert metrics["rollout/TextSort/success_rate"] == 0 and metrics["rollout/TextDyck/success_rate"] == 1
    alone = demonstrate(policy, make("TextMath-v0", 2), seed=0)
    assert alone.tasks == ["", ""] and not success_by_task([alone])
    assert not [name for name in rollout_metrics(alone) if name.count("/") > 1]


class Length:
    """The number of characters, and as a part a tenth of it; of an odd number it says nothing."""

    range = (0.0, 100.0)

    def __call__(self, problems, responses):
        lengths = np.array([float(len(response)) for response in responses])
        odd = lengths % 2 == 1
        status = ["error" if each else "ok" for each in odd]
        return Score(np.where(odd, np.nan, lengths), ~odd, {"tenth": np.where(odd, np.nan, lengths / 10)}, status)


@pytest.mark.parametrize("env_id", ["TextCopy-v0", "TextGuessNumber-v0"])
@pytest.mark.parametrize("level", ["sequence", "token"])
def test_monitors_and_parts_of_the_reward_are_kept(make_policy, env_id, level):
    policy = make_policy(scale=2.0)
    tokens = {"level": level, "tokenizer": policy.tokenizer, "window": 600, "max_tokens": 6}
    rubric = Rubric({"exact": (ExactMatch(), 1.0), "length": (ExactMatch(), 0.0)})
    env = make(env_id, 16, reward=rubric, **(tokens if level == "token" else {}))
    rollout = play(policy, VectorMonitorReward(env, gold=Length()))
    names = {"gold", "words", "distinct_1", "distinct_2", "repetition", "identical"}
    assert set(rollout.monitors) == {f"monitor/{name}" for name in names} | {"reward/exact", "reward/length"}
    for values in rollout.monitors.values():
        assert values.shape == (16,) and values.dtype == torch.float32
    gold = [float(len(r)) if len(r) % 2 == 0 else np.nan for r in rollout.responses]
    np.testing.assert_array_equal(rollout.monitors["monitor/gold"], gold)
    assert torch.equal(rollout.monitors["reward/exact"], rollout.successes.float())
    words = [len(response.split()) for response in rollout.responses]
    assert (rollout.monitors["monitor/words"] > 0).any() or not any(words)
    metrics = rollout_metrics(rollout)
    assert metrics["monitor/gold"] == pytest.approx(np.nanmean(gold)) and "reward/length" in metrics
    assert set(metrics) >= set(rollout.monitors)


def test_monitors_are_selected_and_put_together(make_policy, make_bandit):
    policy = make_policy(scale=2.0)
    bandit = TextVectorEnv(lambda: TextEnv(make_bandit(1).envs[0].source, Length()), 8, autoreset_mode="Disabled")
    first, second = play(policy, bandit), play(policy, make_bandit(4), seed=9)
    second.monitors["monitor/gold"] = torch.tensor([1.0, 2.0, torch.nan, 4.0])
    joint = concatenate([first, second])
    nan = torch.full((8,), torch.nan)
    np.testing.assert_array_equal(joint.monitors["monitor/gold"], torch.cat([nan, second.monitors["monitor/gold"]]))
    np.testing.assert_array_equal(joint.monitors["reward/tenth"], torch.cat([first.monitors["reward/tenth"], nan[:4]]))
    part = joint.select(torch.tensor([11, 8]))
    assert part.monitors["monitor/gold"].tolist() == [4.0, 1.0] and part.monitors["reward/tenth"].isnan().all()
    assert rollout_metrics(joint)["monitor/gold"] == pytest.approx(7 / 3)
    assert np.isnan(rollout_metrics(part)["reward/tenth"])


def test_means_of_monitors_are_over_all_processes(make_policy, make_bandit, monkeypatch):
    rollout = play(make_policy(), make_bandit(2))
    rollout.monitors = {"monitor/gold": torch.tensor([1.0, 2.0])}
    other = {"monitor/gold": (9.0, 1), "reward/only_there": (4.0, 2)}
    monkeypatch.setattr(on_policy, "gather_object", lambda mine: [mine, other if "monitor/gold" in mine else {}])
    metrics = rollout_metrics(rollout)
    assert (metrics["monitor/gold"], metrics["reward/only_there"]) == (4.0, 2.0)
