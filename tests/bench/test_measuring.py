"""What is measured and what is counted, beside evaluations and counts made in another way."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from textgym.agents import GRPO, SFT, CausalLM, evaluate
from textgym.agents.on_policy import OnPolicyAgent
from textgym.bench.controls import CoinFlips
from textgym.bench.measure import first_prompts, measure_model, measure_player
from textgym.bench.meter import Meter

SUMS: dict[str, Any] = {"difficulty": 2}


@pytest.fixture(scope="module")
def tiny() -> CausalLM:
    return CausalLM.load("tiny", device="cpu")


def test_a_model_is_measured_as_by_evaluate(tiny: CausalLM) -> None:
    measured, answers = measure_model(tiny, "TextMath-v0", 60, max_new_tokens=8, seed=3, env_kwargs=SUMS)
    theirs = evaluate(tiny, "TextMath-v0", 60, max_new_tokens=8, seed=3, **SUMS)
    assert (measured["greedy"], measured["sampled"], measured["problems"]) == (theirs.greedy, theirs.sampled, 60)
    assert measured["greedy_reward"] == measured["greedy"]  # 1 for a right answer
    assert 0 < measured["entropy"] < 4 and measured["greedy_cut"] == 0
    assert answers["greedy"].prompts == first_prompts("TextMath-v0", 60, SUMS)
    assert np.mean(answers["sampled"].successes) == measured["sampled"]


def test_the_train_split_has_other_problems(tiny: CausalLM) -> None:
    settings: dict[str, Any] = {"max_new_tokens": 8, "seed": 3, "env_kwargs": SUMS, "split": "train"}
    measured, answers = measure_model(tiny, "TextMath-v0", 60, **settings)
    assert (
        measured["greedy"] == evaluate(tiny, "TextMath-v0", 60, max_new_tokens=8, seed=3, split="train", **SUMS).greedy
    )
    prompts = answers["greedy"].prompts
    assert prompts == first_prompts("TextMath-v0", 60, SUMS, "train")
    assert not set(prompts) & set(first_prompts("TextMath-v0", 500, SUMS))


def test_few_problems_are_asked_once_each(tiny: CausalLM) -> None:
    measured, _ = measure_model(tiny, "TextMath-v0", 60, max_new_tokens=8, seed=0, env_kwargs={"difficulty": 1})
    assert measured["problems"] == 9


def test_a_game_is_shown_with_who_said_what(tiny: CausalLM) -> None:
    """The last message of the env says how the last answer but one went."""
    _, answers = measure_model(tiny, "TextGuessNumber-v0", 3, max_new_tokens=4, seed=0, env_kwargs={})
    assert answers["greedy"].prompts == first_prompts("TextGuessNumber-v0", 3, {})
    dialogues = [answer for answer in answers["greedy"].responses if isinstance(answer, list)]
    assert dialogues
    for messages in dialogues:
        assert [message["role"] for message in messages] == ["assistant", "user"] * (len(messages) // 2) + ["assistant"]
        assert not any("higher" in m["content"] or "lower" in m["content"] for m in messages[::2])
        assert all(m["content"] and m["content"] == m["content"].strip() for m in messages[1::2])


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize("env_id", ["TextMathTokens-v0", "TextGuessNumberTokens-v0", "TextSortTokens-v0"])
def test_a_player_that_repeats_the_solutions_is_perfect_and_a_silent_one_never_right(env_id: str, split: str) -> None:
    prompts = first_prompts(env_id, 20, {}, split)
    env: Any = gym.make_vec(env_id, num_envs=len(prompts), autoreset_mode="Disabled")
    env.reset(seed=0, options={"problem": list(range(len(prompts))), "split": split})
    tokenizer, stop = env.unwrapped.tokenizer, env.unwrapped.tokenizer.stop_id
    plans: list[list[int]] = [[] for _ in prompts]

    def solve(observations: Any, greedy: bool) -> Any:
        """For a game a new solution is needed in each turn; the first guess of a game, and then the answer."""
        actions = []
        for row, sub_env in enumerate(env.unwrapped.envs):
            plans[row] = plans[row] or [*tokenizer.encode_response(sub_env.problem.answer or ""), stop]
            actions.append(plans[row].pop(0))
        return np.array(actions)

    measured, answers = measure_player(solve, env_id, 20, env_kwargs={}, split=split)
    assert (measured["greedy"], measured["problems"]) == (1.0, len(prompts))
    assert answers["greedy"].prompts == prompts
    silent, _ = measure_player(lambda obs, greedy: np.full(len(obs), stop), env_id, 20, env_kwargs={})
    assert silent["greedy"] == silent["sampled"] == 0.0


def test_resampled_and_dropped_answers_are_counted(tiny: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """All groups of the first draws are flat: DAPO draws three more times, and all of it costs."""
    drawn = []
    collect = OnPolicyAgent.collect

    def flat(agent: OnPolicyAgent, attempt: int = 0) -> Any:
        rollout = collect(agent, attempt)
        drawn.append(int(rollout.action_mask.sum()))
        rollout.rewards = torch.zeros_like(rollout.rewards)
        return rollout

    monkeypatch.setattr(OnPolicyAgent, "collect", flat)
    agent = GRPO(
        tiny, "TextMath-v0", preset="dapo", overlong_cache=2, overlong="keep", prompts_per_update=2, group_size=3,
        max_new_tokens=8, resample=3,
    )  # fmt: skip
    meter = Meter(agent)
    agent.learn(1)
    assert len(drawn) == 4
    assert meter.costs["samples"] == 4 * 6 == agent.num_timesteps
    assert meter.costs["tokens"] == sum(drawn)
    assert meter.costs["gradient_steps"] == 0


def test_every_optimiser_step_is_counted_and_demonstrations_are_no_samples(tiny: CausalLM) -> None:
    agent = GRPO(
        tiny, "TextMath-v0", prompts_per_update=4, group_size=2, n_epochs=2, n_minibatches=2, max_new_tokens=8,
        drop_zero_variance=False,
    )  # fmt: skip
    meter = Meter(agent, {"gradient_steps": 10})
    agent.learn(16)
    assert meter.costs["gradient_steps"] == 10 + 2 * 4
    assert meter.costs["seconds_env"] > 0 and meter.costs["seconds_sampling"] > 0
    demonstrated = SFT(tiny, "TextMath-v0", batch_size=4)
    meter = Meter(demonstrated)
    demonstrated.learn(8)
    assert (meter.costs["samples"], meter.costs["tokens"], meter.costs["gradient_steps"]) == (0, 0, 2)


def test_coin_flips_pay_by_chance_and_tell_the_truth() -> None:
    env = CoinFlips(gym.make_vec("TextMath-v0", num_envs=1_000, autoreset_mode="Disabled", difficulty=1))

    def play(seed: int) -> tuple[Any, Any]:
        env.reset(seed=seed)
        solutions = [sub_env.solution() for sub_env in env.unwrapped.envs]  # type: ignore[attr-defined]
        answers = [text if i % 2 else "no" for i, text in enumerate(solutions)]
        _, rewards, _, _, infos = env.step(answers)
        return rewards, infos["is_success"]

    rewards, successes = play(0)
    assert set(rewards.tolist()) == {0.0, 1.0}
    assert successes.tolist() == [False, True] * 500
    assert abs(rewards[successes].mean() - 0.5) < 0.07 and abs(rewards[~successes].mean() - 0.5) < 0.07
    assert (play(0)[0] == rewards).all() and (play(1)[0] != rewards).any()
