"""A task of your own: a source of problems and a reward make an environment, and GRPO trains on it.

    python examples/custom_task.py --updates 40

The task: answer a word with one that begins with its last letter, as in the children's game. The reward is written in
plain Python and sees every response as text. The tiny model has never seen the task.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

from textgym.agents import GRPO
from textgym.envs import Problem, Score, TextEnv, TextVectorEnv

WORDS = ["apple", "bread", "cloud", "dream", "earth", "flame", "grape", "house"]
WORDS += ["island", "jungle", "knife", "lemon", "moon", "night", "orange", "piano"]


@dataclasses.dataclass(frozen=True)
class Words:
    """Draws a word; a frozen dataclass, so that equal settings are equal sources."""

    words: tuple[str, ...] = tuple(WORDS)

    def draw(self, rng: np.random.Generator) -> Problem:
        word = self.words[int(rng.integers(len(self.words)))]
        return Problem(prompt=word, answer=word[-1])

    def solution(self, problem: Problem) -> str | None:
        return problem.answer


class BeginsWith:
    """1 if the response begins with the wanted letter, else 0."""

    range = (0.0, 1.0)

    def __call__(self, problems: list[Problem], responses: list[str]) -> Score:
        right = np.array([r.startswith(p.answer or "?") for p, r in zip(problems, responses, strict=True)])
        return Score(total=right.astype(float), success=right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=40)
    args = parser.parse_args()
    env = TextVectorEnv(lambda: TextEnv(Words(), BeginsWith()), num_envs=128, group_size=8)
    agent = GRPO(
        "tiny", env, prompts_per_update=16, group_size=8, max_new_tokens=4, temperature=1.5, learning_rate=1e-3
    )
    before = [agent.predict(word, deterministic=True)[0] for word in WORDS[:5]]
    agent.learn(args.updates * 128, progress_bar=True)
    after = [agent.predict(word, deterministic=True)[0] for word in WORDS[:5]]
    for word, first, second in zip(WORDS, before, after, strict=False):
        print(f"{word:8} before: {first!r:8} after: {second!r}")


if __name__ == "__main__":
    main()
