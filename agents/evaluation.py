"""How often a policy succeeds on held-out problems.

- ``evaluate``: one answer to each problem, greedily and by sampling; ``evaluate_with_answers``: and what was answered.
- ``evaluate_samples``: several answers to each: pass@k, maj@k, and best@k by the choice of another reward.
- ``play_problems``: the episodes that they count.
- ``pass_at_k``, ``majority_at_k``, ``best_at_k``: what these are estimated by, from n answers to one problem.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import statistics
from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from typing import Any

import gymnasium as gym
import torch
from gymnasium.envs.registration import EnvSpec

from textgym.agents.answers import Answers, answers_of
from textgym.agents.policy import CausalLM
from textgym.agents.rollout import Rollout, collect, success_by_task
from textgym.envs.task import Problem, Reward, score_batch
from textgym.envs.text_env import TextEnv


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Success rates over ``episodes`` responses to ``problems`` distinct held-out problems."""

    greedy: float
    """Success rate of the most probable tokens; NaN if none could be scored."""
    sampled: float
    """Success rate of sampling at temperature 1; NaN if none could be scored."""
    episodes: int
    """Number of responses of each kind."""
    problems: int
    """Number of distinct problems: less than ``episodes`` where the task has no more, and each comes several times."""
    unscored: int
    """Responses whose reward could not be computed, which count neither way."""
    tasks: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    """Both rates on each task, where the problems name theirs: ``{"TextSort": {"greedy": 0.5, "sampled": 0.4}}``."""


@dataclasses.dataclass(frozen=True)
class SampledEvaluation:
    """Success rates when there are several responses to choose from; see ``evaluate_samples``."""

    rates: dict[str, float]
    """``pass@k``, ``maj@k`` and ``best@k``; NaN where no problem has k scored responses."""
    errors: dict[str, float]
    """The standard error of each, from how much the problems differ; NaN for a single problem."""
    problems: int
    """Number of distinct problems."""
    samples: int
    """Number of responses to each."""
    unscored: int
    """Responses whose reward could not be computed, which are left out as if they had never been drawn."""


def evaluate(
    policy: CausalLM,
    env_id: str | EnvSpec,
    episodes: int = 500,
    *,
    max_new_tokens: int = 64,
    batch_size: int = 256,
    seed: int = 0,
    split: str = "test",
    **env_kwargs: Any,
) -> Evaluation:
    """Play the first ``episodes`` distinct problems of a split, greedily and by sampling; begin anew where they end.

    The problems are the same for every policy and seed; the policy's own random streams are not touched. With n
    problems the standard error of a rate p is sqrt(p (1 - p) / n): 0.022 at p = 0.5, n = 500.

    Args:
        policy: who answers.
        env_id: a sequence-level id, or the ``spec`` of an env, with ``env_kwargs`` for ``gym.make_vec``.
        episodes: how many responses of each kind.
        max_new_tokens: longest response.
        batch_size: episodes played at once.
        seed: of the sampling.
        split: ``"test"`` or ``"train"``.
        **env_kwargs: settings of the env, such as ``difficulty``.

    Raises:
        ValueError: if the split is empty.
    """
    limits = {"max_new_tokens": max_new_tokens, "batch_size": batch_size, "seed": seed}
    return evaluate_with_answers(policy, env_id, episodes, **limits, split=split, **env_kwargs)[0]


def evaluate_with_answers(
    policy: CausalLM,
    env_id: str | EnvSpec,
    episodes: int = 500,
    *,
    max_new_tokens: int = 64,
    batch_size: int = 256,
    seed: int = 0,
    split: str = "test",
    **env_kwargs: Any,
) -> tuple[Evaluation, Answers]:
    """Do as ``evaluate`` does, and return the greedy answers, too: ``episodes`` of them, in the problems' order."""
    problems = first_problems(make_text_env(env_id, env_kwargs), env_id, episodes, split)
    indices = [i % len(problems) for i in range(episodes)]
    settings: dict[str, Any] = dict(max_new_tokens=max_new_tokens, batch_size=batch_size, seed=seed, split=split)
    rates, unscored = [], 0
    tasks: dict[str, dict[str, float]] = {}
    for kind, temperature in ("sampled", 1.0), ("greedy", 0.0):
        parts = play_problems(policy, env_id, indices, temperature=temperature, **settings, **env_kwargs)
        successes = torch.cat([part.successes for part in parts])
        scored = torch.cat([torch.isfinite(part.returns) for part in parts])
        rates.append(int(successes[scored].sum()) / int(scored.sum()) if scored.any() else math.nan)
        unscored += int((~scored).sum())
        for task, (right, count) in sorted(success_by_task(parts).items()):
            tasks.setdefault(task, {})[kind] = right / count
    sampled, greedy = rates
    return Evaluation(greedy, sampled, episodes, len(problems), unscored, tasks), answers_of(parts)


def evaluate_samples(
    policy: CausalLM,
    env_id: str | EnvSpec,
    problems: int = 500,
    *,
    samples: int = 16,
    k: Sequence[int] | None = None,
    selector: Reward | None = None,
    max_new_tokens: int = 64,
    batch_size: int = 256,
    seed: int = 0,
    split: str = "test",
    **env_kwargs: Any,
) -> SampledEvaluation:
    """Draw several responses at temperature 1 to each of the first distinct problems of a split.

    - ``pass@k``: how often one at least of k responses is right: the best of k, with the verifier as the judge.
    - ``maj@k``: how often the answer that most of k responses give is right. Only where the env takes one response, and
      its reward has a method ``answer_key(problem, response)``: what responses with the same answer share, None for
      one without an answer. Ours have it where there is one right answer to find.
    - ``best@k``: how often the one of k responses that ``selector`` scores highest is right.

    Each is the mean over all choices of k among the n responses, computed without drawing them: an unbiased estimate
    of what k fresh responses would do. The same arguments give the same result; no other random stream is touched.

    Args:
        policy: who answers.
        env_id: an id, or the ``spec`` of an env, with ``env_kwargs`` for ``gym.make_vec``.
        problems: how many problems, if the split has so many.
        samples: n, the responses to each.
        k: how many to choose from, at most half of ``samples``: near n, the estimate is little more than one draw.
            None: 1, 2, 4, and so on.
        selector: a reward that chooses instead of the verifier, such as a reward model; it sees problem and response.
        max_new_tokens: longest response.
        batch_size: episodes played at once.
        seed: of the sampling.
        split: ``"test"`` or ``"train"``.
        **env_kwargs: settings of the env, such as ``difficulty``.

    Raises:
        ValueError: if a k is less than 1 or more than half of ``samples``, or if the split is empty.
    """
    ks = [2**i for i in range((samples // 2).bit_length())] if k is None else sorted(set(k))
    if not ks or ks[0] < 1 or samples < 2 * ks[-1]:
        raise ValueError(f"every k must be >= 1 and at most half of the samples, got k={ks} and samples={samples}")
    text_env = make_text_env(env_id, env_kwargs)
    asked = first_problems(text_env, env_id, problems, split)
    indices = [i for i in range(len(asked)) for _ in range(samples)]
    settings = {"max_new_tokens": max_new_tokens, "batch_size": batch_size, "seed": seed, "split": split, **env_kwargs}
    parts = play_problems(policy, env_id, indices, temperature=1.0, **settings)
    responses = [response for part in parts for response in part.responses]
    successes = torch.cat([part.successes for part in parts]).tolist()
    scored = torch.cat([torch.isfinite(part.returns) for part in parts]).tolist()
    scores = [0.0] * len(responses)
    if selector is not None:
        scores = score_batch(selector, [asked[i] for i in indices], responses).total.tolist()
        scored = [known and math.isfinite(score) for known, score in zip(scored, scores, strict=True)]
    answer_key = _answer_key(text_env)

    values: dict[str, list[float]] = collections.defaultdict(list)
    for start in range(0, len(responses), samples):
        rows = [row for row in range(start, start + samples) if scored[row]]
        right = [successes[row] for row in rows]
        answers = [] if answer_key is None else [answer_key(asked[indices[row]], responses[row]) for row in rows]
        for size in ks:
            if len(rows) < size:
                continue
            values[f"pass@{size}"].append(pass_at_k(len(rows), sum(right), size))
            if answer_key is not None:
                values[f"maj@{size}"].append(majority_at_k(answers, right, size))
            if selector is not None:
                values[f"best@{size}"].append(best_at_k([scores[row] for row in rows], right, size))
    kinds = ["pass", *["maj"] * (answer_key is not None), *["best"] * (selector is not None)]
    names = [f"{kind}@{size}" for kind in kinds for size in ks]
    return SampledEvaluation(
        {name: statistics.fmean(values[name]) if values[name] else math.nan for name in names},
        {name: _standard_error(values[name]) for name in names},
        len(asked),
        samples,
        scored.count(False),
    )


def pass_at_k(n: int, right: int, k: int) -> float:
    """Estimate how probable a right one is among k responses, from n of which ``right`` are right.

        1 - C(n - right, k) / C(n, k)        Chen et al., arXiv 2107.03374, equation 1

    The mean over all choices of k among n >= k. In whole numbers up to the last division: nothing overflows or cancels.
    """
    return (math.comb(n, k) - math.comb(n - right, k)) / math.comb(n, k)


def best_at_k(scores: Sequence[float], successes: Sequence[bool], k: int) -> float:
    """Estimate how probably the highest score among k responses is that of a right one.

    The mean over all choices of k among the n >= k responses; of equal scores, each is as likely to be taken. With
    ``scores`` = ``successes`` it is ``pass_at_k``.
    """
    tied: dict[float, list[bool]] = collections.defaultdict(list)
    for score, success in zip(scores, successes, strict=True):
        tied[score].append(success)
    total, below = Fraction(0), 0
    for score in sorted(tied):
        up_to = below + len(tied[score])
        choices = math.comb(up_to, k) - math.comb(below, k)  # those whose highest score is this one
        total += Fraction(choices * sum(tied[score]), len(tied[score]))
        below = up_to
    return float(total / math.comb(len(scores), k))


def majority_at_k(answers: Sequence[Hashable | None], successes: Sequence[bool], k: int) -> float:
    """Estimate how probably the most frequent answer of k responses is right.

    The mean over all choices of k among the n >= k responses, counted and not drawn. Of equally frequent answers each
    is as likely to be taken. A response without an answer (None) has no vote; if none of the k has one, that is a
    failure. Where equal answers differ in success (for the way they are written), their mean counts.
    """
    votes = collections.Counter(answer for answer in answers if answer is not None)
    right = collections.Counter(a for a, success in zip(answers, successes, strict=True) if success and a is not None)
    silent = len(answers) - votes.total()
    total = Fraction(0)
    for answer, successful in right.items():
        others = [count for other, count in votes.items() if other != answer]
        wins = sum(
            math.comb(votes[answer], size) * _ways_to_win(others, silent, size, k)
            for size in range(1, min(k, votes[answer]) + 1)
        )
        total += Fraction(successful, votes[answer]) * wins
    return float(total / math.comb(len(answers), k))


def _ways_to_win(others: Sequence[int], silent: int, size: int, k: int) -> Fraction:
    """Count the choices of ``k - size`` of the other responses in which no answer has more than ``size`` votes.

    Args:
        others: how many responses give each of the other answers.
        silent: how many give none.
        size: the votes of the answer that is to win.
        k: how many responses vote, or have none.

    Returns:
        The number of such choices, each counted 1 / (1 + t) where t other answers have ``size`` votes, too.
    """
    ways = {(taken, 0): math.comb(silent, taken) for taken in range(min(silent, k - size) + 1)}
    for count in others:
        longer: dict[tuple[int, int], int] = collections.defaultdict(int)
        for (taken, ties), number in ways.items():
            for more in range(min(count, size, k - size - taken) + 1):
                longer[taken + more, ties + (more == size)] += number * math.comb(count, more)
        ways = longer
    return sum((Fraction(number, 1 + ties) for (taken, ties), number in ways.items() if taken == k - size), Fraction(0))


def play_problems(
    policy: CausalLM,
    env_id: str | EnvSpec,
    indices: Sequence[int],
    *,
    temperature: float,
    max_new_tokens: int = 64,
    batch_size: int = 256,
    seed: int = 0,
    split: str = "test",
    **env_kwargs: Any,
) -> list[Rollout]:
    """Play one episode on each of these problems of a split, in batches; see ``evaluate`` for the arguments."""
    generator = torch.Generator(policy.device).manual_seed(seed)
    rollouts: list[Rollout] = []
    for start in range(0, len(indices), batch_size):
        batch = list(indices[start : start + batch_size])
        env = gym.make_vec(env_id, num_envs=len(batch), autoreset_mode="Disabled", **env_kwargs)
        rollouts.append(
            collect(
                policy,
                env,
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                generator=generator,
                seed=seed,
                options={"problem": batch, "split": split},
            )
        )
    return rollouts


def make_text_env(env_id: str | EnvSpec, env_kwargs: dict[str, Any]) -> TextEnv:
    """Return the sequence-level env of an id or spec: of a token-level one, that within it.

    Raises:
        TypeError: if it is of something else.
    """
    if not isinstance(env_id, (str, EnvSpec)):
        raise TypeError(f"env_id must be an id or the spec of an env, such as env.spec, got {env_id!r}")
    env: Any = gym.make(env_id, **env_kwargs).unwrapped
    text_env = getattr(env, "text_env", env)
    if not isinstance(text_env, TextEnv):
        raise TypeError(f"{env_id} is not an environment of text: it makes a {type(text_env).__name__}, not a TextEnv")
    return text_env


def first_problems(text_env: TextEnv, env_id: str | EnvSpec, wanted: int, split: str) -> list[Problem]:
    """Return the first distinct problems of the split, at most ``wanted``.

    Raises:
        ValueError: if there is none.
    """
    problems: list[Problem] = []
    try:
        for index in range(wanted):
            problems.append(text_env.choose({"problem": index, "split": split}))
    except IndexError:  # the split has no more
        if not problems:
            raise ValueError(f"{env_id} has no {split} problems") from None
    return problems


def _answer_key(text_env: TextEnv) -> Callable[[Problem, str], Hashable | None] | None:
    """Return what finds the answer in a response; None for games, and where different answers can be right."""
    is_game = type(text_env).reply is not TextEnv.reply
    return None if is_game else getattr(text_env.reward, "answer_key", None)


def _standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
