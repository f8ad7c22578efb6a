"""Cells in which nobody learns: what an agent should be better than, and the best that there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from textgym.agents.answers import Answers, answer_in, pair_up
from textgym.agents.evaluation import evaluate_samples
from textgym.agents.policy import CausalLM
from textgym.bench.classic import sampled_rates
from textgym.bench.learning import beginning, policy_sha256
from textgym.bench.matrix import Cell
from textgym.bench.measure import first_prompts, measure_model, measure_player
from textgym.bench.outcome import Outcome, Tell


def run_baseline(cell: Cell, folder: Path, tell: Tell) -> Outcome:
    """Measure it; before and after are the same."""
    return {"random": _random, "oracle": _oracle, "warm_start": _warm_start, "best_of_n": _best_of_n}[cell.agent](
        cell, folder
    )


def _random(cell: Cell, folder: Path) -> Outcome:
    """Tokens of the task's own vocabulary, all equally likely."""
    env: Any = gym.make(cell.env, **cell.env_kwargs)
    rng, tokens = np.random.default_rng(cell.seed), int(env.action_space.n)

    def act(observations: NDArray[Any], greedy: bool) -> NDArray[np.int64]:
        return rng.integers(tokens, size=len(observations))

    measured, answers = measure_player(
        act, cell.env, cell.protocol.problems, env_kwargs=cell.env_kwargs, split=cell.protocol.split
    )
    return _outcome(cell, measured["sampled"], measured | sampled_rates(act, cell), answers["sampled"])


def _oracle(cell: Cell, folder: Path) -> Outcome:
    """The task's own solutions."""
    split = cell.protocol.split
    prompts = first_prompts(cell.env, cell.protocol.problems, cell.env_kwargs, split)
    env: Any = gym.make(cell.env, **cell.env_kwargs)
    responses, rewards, successes = [], [], []
    for index in range(len(prompts)):
        env.reset(seed=0, options={"problem": index, "split": split})
        total, ended, info = 0.0, False, {}
        while not ended:
            response = env.unwrapped.solution()
            _, reward, terminated, truncated, info = env.step(response)
            total, ended = total + float(reward), terminated or truncated
        responses.append(answer_in(info["messages"]))
        rewards.append(total)
        successes.append(bool(info["is_success"]))
    rate, reward = float(np.mean(successes)), float(np.mean(rewards))
    names = {"greedy": rate, "sampled": rate, "pass@1": rate, f"pass@{cell.protocol.k}": rate}
    measured = names | {"greedy_reward": reward, "sampled_reward": reward, "unscored": 0, "problems": len(prompts)}
    return _outcome(cell, rate, measured, Answers(prompts, responses, rewards, successes))


def _warm_start(cell: Cell, folder: Path) -> Outcome:
    """What the learners begin with."""
    where = beginning(cell, folder)
    policy = CausalLM.load(where)
    measured, answers = _measure(policy, cell)
    rates = _sampled(policy, cell, cell.protocol.k)
    return _outcome(cell, measured["greedy"], measured | rates, answers, policy_sha256(where))


def _best_of_n(cell: Cell, folder: Path) -> Outcome:
    """The verifier's choice among n answers of the warm start, pass@n: it takes n answers and a verifier each time.

    With ``maj@n`` beside it where answers can be counted: the majority's choice, which takes no verifier.
    """
    where = beginning(cell, folder)
    policy = CausalLM.load(where)
    n = int(cell.hyperparameters.get("n", cell.protocol.k))
    measured, answers = _measure(policy, cell)
    rates = _sampled(policy, cell, n)
    return _outcome(cell, rates[f"pass@{n}"], measured | rates, answers, policy_sha256(where))


def _measure(policy: CausalLM, cell: Cell) -> tuple[dict[str, Any], Answers]:
    measured, answers = measure_model(
        policy, cell.env, cell.protocol.problems, max_new_tokens=cell.max_new_tokens, seed=cell.seed,
        env_kwargs=cell.env_kwargs, split=cell.protocol.split,
    )  # fmt: skip
    return measured, answers["greedy"]


def _sampled(policy: CausalLM, cell: Cell, k: int) -> dict[str, float]:
    return evaluate_samples(
        policy, cell.env, cell.protocol.pass_problems, samples=2 * k, k=[1, k], max_new_tokens=cell.max_new_tokens,
        seed=cell.seed, split=cell.protocol.split, **cell.env_kwargs,
    ).rates  # fmt: skip


def _outcome(
    cell: Cell, score: float | None, measured: dict[str, Any], answers: Answers, policy_sha256: str | None = None
) -> Outcome:
    pairs = pair_up(answers, answers, cell.protocol.transcripts)
    return Outcome(score=score, before=measured, after=measured, cost={}, answers=pairs, policy_sha256=policy_sha256)
