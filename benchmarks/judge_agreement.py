"""How often a judge prefers what people prefer: on PandaLM's test set and LLMBar, beside chance and two simple rules.

    python benchmarks/judge_agreement.py testset-v1.json llmbar --model SmolLM2-135M-Instruct.Q4_1.gguf --choose
    python benchmarks/judge_agreement.py llmbar --backend openai --model NAME --url http://127.0.0.1:8000/v1

The data are https://github.com/WeOpenML/PandaLM (three people each; the majority is the label, and may be a tie) and
https://github.com/princeton-nlp/LLMBar (one right answer; the adversarial ones make the wrong one look better). A
folder stands for its JSON files, here copies of LLMBar's dataset.json named Natural.json, Adversarial_Manual.json and
so on. The judge is asked in both orders; where they disagree, that is a tie. Prints a table and one JSON line.
Intervals are Wilson's, 95 %.

Pairs with a response that ``Judge`` would not show to its model, for it is empty or a part of the prompt, are left out.

- ``accuracy``: over the pairs that people and the judge both decide.
- ``coin``: over all pairs that people decide, where a coin is tossed when the judge is undecided or fails.
- ``kappa``: Cohen's, over first, second and tie, of all pairs with a verdict.
- ``disagree``: the share of verdicts that change with the order.
- ``failed``: the share of pairs without a verdict.
- the rules: their ``coin``. That of chance is 0.5.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textgym.envs.rewards.judge import PRINCIPLES, Backend, Judge, LocalBackend, OpenAIBackend, RuleBackend
from textgym.envs.task import Problem

INSTRUCTION = ("The better response does what the instruction asks for, precisely and correctly.",)
TIE = 0.5


@dataclass(frozen=True)
class Pair:
    subset: str
    prompt: str
    first: str
    second: str
    gold: float
    """1 where people prefer the first response, 0 where the second, 0.5 for a tie."""

    @property
    def characters(self) -> int:
        return len(self.prompt + self.first + self.second)


def read_pairs(path: Path) -> list[Pair]:
    """Read a file of either data set, or those of a folder; ValueError for anything else."""
    if path.is_dir():
        return [pair for file in sorted(path.glob("*.json")) for pair in read_pairs(file)]
    rows = json.loads(path.read_text(encoding="utf-8"))
    try:
        return [_pandalm(row) if "response1" in row else _llmbar(row, path.stem) for row in rows]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is neither of PandaLM nor of LLMBar: {error!r}") from error


def _pandalm(row: dict[str, Any]) -> Pair:
    labels = Counter(row[f"annotator{number}"] for number in (1, 2, 3))
    label, votes = labels.most_common(1)[0]
    prompt = "\n\n".join(filter(None, (row["instruction"], row["input"])))
    answers = (str(row["response1"]), str(row["response2"]))  # some "True." became a bool in the file
    return Pair("pandalm", prompt, *answers, TIE if votes == 1 else _gold(label))


def _llmbar(row: dict[str, Any], subset: str) -> Pair:
    return Pair(subset, row["input"], row["output_1"], row["output_2"], _gold(row["label"]))


def _gold(label: int) -> float:
    return {0: TIE, 1: 1.0, 2: 0.0}[label]


def choose_pairs(pairs: Sequence[Pair], judge: Judge, count: int | None, max_chars: int, seed: int) -> list[Pair]:
    """Return ``count`` random pairs of each data set that the judge would show to its model, and not too long."""

    def fits(pair: Pair) -> bool:
        shown = all(judge.shown(Problem(pair.prompt), text) for text in (pair.first, pair.second))
        return shown and pair.characters <= max_chars

    rng = np.random.default_rng(seed)
    chosen = []
    for of_pandalm in (True, False):
        some = [pair for pair in pairs if (pair.subset == "pandalm") == of_pandalm]
        chosen += [some[i] for i in rng.permutation(len(some)) if fits(some[i])][:count]
    return chosen


def ask(judge: Judge, pairs: Sequence[Pair]) -> tuple[list[float], list[bool]]:
    """Return what the judge says of each pair, 1, 0, 0.5 or NaN, and whether that changed with the order."""
    problems = [Problem(pair.prompt, metadata={"reference": pair.second}) for pair in pairs]
    score = judge(problems, [pair.first for pair in pairs])
    return score.total.tolist(), [bool(changed) for changed in score.parts["judge_disagreement"]]


def agreement(gold: Sequence[float], said: Sequence[float], changed: Sequence[bool]) -> dict[str, Any]:
    """Compare verdicts with labels; see the module."""
    heard = [(g, s, c) for g, s, c in zip(gold, said, changed, strict=True) if not math.isnan(s)]
    both = [(g, s) for g, s, _ in heard if TIE not in (g, s)]
    decided = [(g, TIE if math.isnan(s) else s) for g, s in zip(gold, said, strict=True) if g != TIE]
    right = sum(g == s for g, s in both)
    return {
        "pairs": len(gold),
        "gold_ties": sum(g == TIE for g in gold),
        "decided": len(both),
        "accuracy": right / len(both) if both else None,
        "interval": wilson(right, len(both)),
        "coin": sum(1 - abs(g - s) for g, s in decided) / len(decided) if decided else None,
        "kappa": kappa([(g, s) for g, s, _ in heard]),
        "judge_ties": sum(s == TIE for _, s, _ in heard) / len(heard) if heard else None,
        "disagree": sum(c for *_, c in heard) / len(heard) if heard else None,
        "failed": 1 - len(heard) / len(gold),
    }


def wilson(right: int, count: int, z: float = 1.959964) -> tuple[float, float] | None:
    """Return Wilson's interval (1927) for a share."""
    if not count:
        return None
    share, extra = right / count, z * z / count
    middle = (share + extra / 2) / (1 + extra)
    half = math.sqrt(share * (1 - share) * extra + extra * extra / 4) / (1 + extra)
    return middle - half, middle + half


def kappa(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Cohen's kappa, (p - e) / (1 - e), with e the agreement by chance of the two margins."""
    if not pairs:
        return None
    agreed = sum(first == second for first, second in pairs) / len(pairs)
    margins = [Counter(values) for values in zip(*pairs, strict=True)]
    chance = sum(margins[0][value] * margins[1][value] for value in margins[0]) / len(pairs) ** 2
    return None if chance == 1 else (agreed - chance) / (1 - chance)


RULES: dict[str, Callable[[Pair], float]] = {
    "always the first": lambda pair: 1.0,
    "the longer": lambda pair: (1 + np.sign(len(pair.first) - len(pair.second))) / 2,
}


def report(pairs: Sequence[Pair], said: Sequence[float], changed: Sequence[bool]) -> dict[str, dict[str, Any]]:
    """Return the agreement of each subset, of all of LLMBar, and of the rules."""
    subsets = {pair.subset: [pair.subset] for pair in pairs}
    llmbar = [subset for subset in subsets if subset != "pandalm"]
    if len(llmbar) > 1:
        subsets |= {"llmbar, all": llmbar, "llmbar, adversarial": [name for name in llmbar if "Adversarial" in name]}
    result = {}
    for name, members in subsets.items():
        rows = [i for i, pair in enumerate(pairs) if pair.subset in members]
        if not rows:
            continue
        gold = [pairs[i].gold for i in rows]
        result[name] = agreement(gold, [said[i] for i in rows], [changed[i] for i in rows])
        for rule, prefer in RULES.items():
            result[name][rule] = agreement(gold, [float(prefer(pairs[i])) for i in rows], [False] * len(rows))["coin"]
    return result


def table(result: dict[str, dict[str, Any]]) -> str:
    """Return the report as lines of Markdown."""
    names = ["decided", "accuracy", "interval", "coin", "kappa", "disagree", "failed", *RULES]
    lines = [f"| {' | '.join(['subset', 'pairs', *names])} |", "|---" * (len(names) + 2) + "|"]
    for subset, row in result.items():
        lines.append(f"| {' | '.join([subset, str(row['pairs']), *(_cell(row[name]) for name in names)])} |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:.2f} to {value[1]:.2f}"
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def make_judge(args: argparse.Namespace) -> Judge:
    principles = INSTRUCTION
    if args.backend == "rules":
        backend: Backend = RuleBackend()
        principles = PRINCIPLES  # it reads no others
    elif args.backend == "openai":
        backend = OpenAIBackend(args.model, base_url=args.url)
    else:
        backend = LocalBackend(args.model, choose=args.choose)
    return Judge(principles, "pairwise", backend=backend, cache=args.cache, max_chars=args.max_chars)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="files, or folders of files")
    parser.add_argument("--backend", choices=["local", "openai", "rules"], default="local")
    parser.add_argument("--model", help="local: what CausalLM.load takes; openai: the model's name")
    parser.add_argument("--url", help="openai: the server's address")
    parser.add_argument("--choose", action="store_true", help="local: the most probable verdict, nothing is written")
    parser.add_argument("--pairs", type=int, help="of each data set, at random; default: all")
    parser.add_argument("--max-chars", type=int, default=8_000, help="pairs with more characters are left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", help="a file to keep verdicts in")
    args = parser.parse_args()
    if args.backend == "local" and not args.model:
        parser.error("--backend local needs --model")
    began = time.perf_counter()
    judge = make_judge(args)
    every = [pair for path in args.data for pair in read_pairs(path)]
    pairs = choose_pairs(every, judge, args.pairs, args.max_chars, args.seed)
    result = report(pairs, *ask(judge, pairs))
    print(table(result))
    settings = {
        "judge": repr(judge),
        "read": len(every),
        "max_chars": args.max_chars,
        "seed": args.seed,
    }
    print(json.dumps({
        "benchmark": "judge_agreement", **settings, "subsets": result, "usage": vars(judge.usage),
        "seconds": round(time.perf_counter() - began),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
