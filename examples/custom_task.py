"""A task of your own: a source of problems and a reward make an environment, and GRPO trains on it.

    python examples/custom_task.py

The task: answer a word with one that begins with its last letter, as in the children's game. The words are made up, and
the reward is written in plain Python: it sees every response as text. The tiny model has never met the task; on one
core it takes about half a minute to learn it.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np
import torch

from textgym.agents import GRPO
from textgym.envs import Problem, Score, TextEnv, TextVectorEnv
from textgym.envs.task import problem_at

LETTERS = list(ascii_lowercase)


@dataclasses.dataclass(frozen=True)
class Words:
    """Draws a made-up word; a frozen dataclass, so that equal settings are equal sources."""

    min_length: int = 3
    max_length: int = 5

    def draw(self, rng: np.random.Generator) -> Problem:
        length = rng.integers(self.min_length, self.max_length + 1)
        word = "".join(rng.choice(LETTERS, size=length))
        return Problem(prompt=word, answer=word[-1])

    def solution(self, problem: Problem) -> str | None:
        return problem.answer


class BeginsWith:
    """1 if the response begins with the wanted letter, else 0."""

    range = (0.0, 1.0)

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        right = np.array([r.startswith(p.answer or "?") for p, r in zip(problems, responses, strict=True)])
        return Score(total=right.astype(float), success=right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small to share out

    train = TextVectorEnv(lambda: TextEnv(Words(), BeginsWith()), num_envs=256, group_size=16)
    agent = GRPO(
        "tiny", train, prompts_per_update=16, group_size=16, max_new_tokens=2, learning_rate=1e-3, seed=args.seed
    )
    test = [problem_at(Words(), i, "test") for i in range(100)]  # words that training never shows
    words = [problem.prompt for problem in test]
    before, _ = agent.predict(words, deterministic=True)
    agent.learn(args.updates * train.num_envs, progress_bar=True)
    after, _ = agent.predict(words, deterministic=True)

    for word, first, second in list(zip(words, before, after, strict=True))[:5]:
        print(f"{word:8} before: {first!r:8} after: {second!r}")
    rates = [BeginsWith()(test, answers).success.mean() for answers in (before, after)]
    print(f"success on {len(test)} words of the test split: before {rates[0]:.0%}, after {rates[1]:.0%}")


if __name__ == "__main__":
    main()
