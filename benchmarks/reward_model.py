"""How well a reward model orders pairs that it has not seen, where the annotator makes no mistake: TextRLHF-v0.

    python benchmarks/reward_model.py

Pairs are drafts (``RLHFSource.draft``) of answers to training requests, compared by gold. The model begins with the
warm start of ``examples/rlhf.py``, which has learnt to write such drafts. It is measured on 2,000 pairs for held-out
requests, and on 2,000 other pairs for training requests, by how far gold sets the two apart as well. Equal worth is no
preference. Prints one JSON line; 20 minutes of one core.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from warm_start import warm_start

from textgym.agents import OracleAnnotator, RewardModel
from textgym.agents.preferences import AnswerPair
from textgym.envs.rewards import GoldReward
from textgym.envs.sources import RLHFSource
from textgym.envs.task import draw_problem

EDGES = (0.0, 0.02, 0.2, 1.01)
"""Of the differences in gold by which the held-out pairs are counted apart."""


def draw_pairs(count: int, split: str, seed: int) -> list[AnswerPair]:
    """Return pairs of drafts that differ, and differ in worth."""
    source, rng = RLHFSource(), np.random.default_rng(seed)
    pairs: list[AnswerPair] = []
    while len(pairs) < count:
        problem = draw_problem(source, rng, split)
        pair = AnswerPair(problem, source.draft(problem, rng), source.draft(problem, rng))
        if gap(pair):
            pairs.append(pair)
    return pairs


def gap(pair: AnswerPair) -> float:
    """Return by how much gold sets the two answers apart."""
    first, second = GoldReward()([pair.problem] * 2, [pair.first, pair.second]).total
    return abs(float(first - second))


def accuracy(model: RewardModel, pairs: list[AnswerPair]) -> dict[str, float]:
    """Return how often the better answer has the higher score, in all and by the difference in gold."""
    preferences = [preference for preference in OracleAnnotator(GoldReward())(pairs) if preference]
    chosen, rejected = model.pair_scores(preferences)
    right, gaps = chosen > rejected, np.array([gap(pair) for pair in pairs])
    result = {"all": round(float(right.mean()), 4)}
    for low, high in itertools.pairwise(EDGES):
        some = right[(low < gaps) & (gaps <= high)]
        result[f"gap {low} to {min(high, 1.0)} ({len(some)} pairs)"] = round(float(some.mean()), 3)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=32_000)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        warm_start(400).save(folder)
        model = RewardModel.load(folder)
    learnt = [verdict for verdict in OracleAnnotator(GoldReward())(draw_pairs(args.pairs, "train", 0)) if verdict]
    held_out = draw_pairs(2000, "test", 1)
    verdicts = [verdict for verdict in OracleAnnotator(GoldReward())(held_out) if verdict]
    metrics = model.fit(learnt, verdicts, epochs=args.epochs, learning_rate=1e-3)
    line: dict[str, Any] = {"benchmark": "reward_model", "pairs": len(learnt), "epochs": args.epochs}
    line |= {
        "held_out_requests": accuracy(model, held_out),
        "other_pairs": accuracy(model, draw_pairs(2000, "train", 2)),
    }
    line |= {"ece": round(metrics.ece, 3), "cpu_seconds": round(time.process_time() - began)}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
