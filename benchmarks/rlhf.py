"""Over-optimisation of a learned reward on TextRLHF-v0: gold and proxy against the KL to the warm start.

    python benchmarks/rlhf.py                       # everything; runs that are finished are not run again
    python benchmarks/rlhf.py --seeds 0 --picture docs/over_optimisation.png

The pipeline is that of ``examples/rlhf.py``. Of each seed: 1,000 pairs compared with noise, a reward model and an
ensemble of four; GRPO and PPO with beta = 0, 0.05 and 0.2 against the model, GRPO with beta = 0 against the ensemble
(the worst of its members); best of n, of 256 answers to each of 32 requests. The warm start
is the same everywhere. Every result is a file, and at the end a line of JSON; processes may share the work by seeds.
The picture is that of Gao et al. (arXiv 2210.10760), figure 1.
"""

from __future__ import annotations

import argparse
import json
import math
import runpy
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray

from textgym.agents import CausalLM, OracleAnnotator, RewardEnsemble, RewardModel, sample_pairs
from textgym.agents.alarm import is_hacking
from textgym.agents.preferences import sample_answers
from textgym.envs.rewards import GoldReward

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))  # for what the example imports
EXAMPLE = runpy.run_path(str(EXAMPLES / "rlhf.py"))
ENV, LENGTH = EXAMPLE["ENV"], EXAMPLE["LENGTH"]
BETAS, PAIRS, UPDATES = (0.0, 0.2, 0.05), 1000, {"grpo": 60, "ppo": 40}  # PPO takes two steps in an update
RATE, SLOW_RATE = 5e-4, 2e-4
RUNS = {
    "model": [(agent, beta, RATE) for beta in BETAS for agent in ("grpo", "ppo")]
    + [(agent, 0.0, SLOW_RATE) for agent in ("grpo", "ppo")],
    "ensemble": [("grpo", 0.0, RATE)],
}
PROMPTS, ANSWERS = 32, 256
FloatArray = NDArray[np.float64]


def best_of_n(proxy: FloatArray, gold: FloatArray, n: int) -> tuple[float, float]:
    """Return the means of proxy and gold of the best by proxy of n answers, over all choices of n of the N there are.

        E = sum over i of C(i - 1, n - 1) / C(N, n) * r_(i),    r_(i) that of the i-th from below by the proxy

    The unbiased estimator of Nakano et al. (arXiv 2112.09332), appendix I. Of float64 (prompts, N) both.
    """
    total = proxy.shape[1]
    order = np.argsort(proxy, axis=1, kind="stable")
    weights = np.array([math.comb(i, n - 1) / math.comb(total, n) for i in range(total)])
    means = [float((np.take_along_axis(values, order, 1) @ weights).mean()) for values in (proxy, gold)]
    return means[0], means[1]


def once(path: Path, make: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Return what the JSON file holds, after making it if there is none."""
    if not path.exists():
        wall, cpu = time.perf_counter(), time.process_time()
        value = make(*arguments)
        value |= {"seconds": round(time.perf_counter() - wall), "cpu_seconds": round(time.process_time() - cpu)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value) + "\n")
        print(path, flush=True)
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def worth(policy: CausalLM, reward: Any, seed: int) -> dict[str, float]:
    """Return means (and gold's standard deviation) of 512 answers to training and 512 to held-out requests."""
    result = {}
    for split in ("train", "test"):
        problems, answers = sample_answers(policy, ENV, 512, seed + 1000, split=split, **LENGTH)
        gold = GoldReward()(problems, answers).total
        result |= {f"gold_{split}": float(gold.mean()), f"gold_std_{split}": float(gold.std())}
        result[f"proxy_{split}"] = float(reward(problems, answers).total.mean())
    return result


def accuracies(warm: Path, reward: Any, seed: int) -> dict[str, float]:
    """Return how often the better of two of the warm start's answers scores higher, of 600 pairs without noise."""
    result = {}
    for split in ("train", "test"):
        pairs = sample_pairs(CausalLM.load(warm), ENV, 600, seed + 2000, split=split, **LENGTH)
        result[f"accuracy_{split}"] = reward.evaluate([p for p in OracleAnnotator(GoldReward())(pairs) if p]).accuracy
    return result


def fit_model(out: Path, warm: Path, seed: int) -> dict[str, Any]:
    """Fit the reward model of a seed, and save it."""
    model = EXAMPLE["learned_reward"](warm, CausalLM.load(warm), PAIRS, seed)
    model.save(out / f"seed{seed}" / "model")
    return {"reward": "model", "seed": seed, "pairs": PAIRS, **accuracies(warm, model, seed)}


def fit_ensemble(out: Path, warm: Path, seed: int) -> dict[str, Any]:
    """Fit the ensemble of a seed to the pairs of its model, and save it."""
    policy = CausalLM.load(warm)
    drawn = sample_pairs(policy, ENV, PAIRS, seed, **LENGTH)
    pairs = [verdict for verdict in OracleAnnotator(GoldReward(), 0.1, seed)(drawn) if verdict]
    ensemble = RewardEnsemble.start(warm, 4, "min", seed=seed + 10)
    ensemble.fit(pairs, epochs=3, learning_rate=1e-3, seed=seed + 10)
    ensemble.normalise(*sample_answers(policy, ENV, 512, seed + 100, **LENGTH))
    ensemble.save(out / f"seed{seed}" / "ensemble")
    return {"reward": "ensemble", "seed": seed, "pairs": PAIRS, **accuracies(warm, ensemble, seed)}


def sample_best(out: Path, warm: Path, seed: int) -> dict[str, Any]:
    """Return proxy and gold of the best of n by the KL that this costs, log n - (n - 1) / n."""
    reward = RewardModel.load(out / f"seed{seed}" / "model")
    scores = []
    for part in range(8):  # the same answers for every seed
        problems, answers = sample_answers(
            CausalLM.load(warm), ENV, PROMPTS // 8, 3000 + part, group_size=ANSWERS, **LENGTH
        )
        scores.append(np.stack([reward(problems, answers).total, GoldReward()(problems, answers).total]))
    proxy, gold = np.concatenate(scores, 1).reshape(2, PROMPTS, ANSWERS)
    sizes = [2**i for i in range(9)]
    curve = [best_of_n(proxy, gold, n) for n in sizes]
    return {
        "seed": seed, "n": sizes, "kl": [math.log(n) - (n - 1) / n for n in sizes],
        "proxy": [mean for mean, _ in curve], "gold": [mean for _, mean in curve],
    }  # fmt: skip


def run_name(agent: str, kind: str, beta: float, rate: float) -> str:
    """Return the name of a run's file."""
    return f"{agent}-{kind}-{beta:g}" + ("" if rate == RATE else f"-{rate:g}")


def train(out: Path, warm: Path, agent: str, kind: str, beta: float, rate: float, seed: int) -> dict[str, Any]:
    """Optimise the warm start against a learned reward, and return curves and what came of it."""
    folder = out / f"seed{seed}" / kind
    reward = RewardModel.load(folder) if kind == "model" else RewardEnsemble.load(folder)
    policy = CausalLM.load(warm)
    before = worth(policy, reward, seed)
    logs = out / f"seed{seed}" / run_name(agent, kind, beta, rate)
    shutil.rmtree(logs, ignore_errors=True)  # of a run that was cut off
    log = EXAMPLE["optimise"](
        policy, reward, agent, round(UPDATES[agent] * RATE / rate), logs, kl_coef=beta, learning_rate=rate, seed=seed
    )
    columns = {
        "proxy": "rollout/ep_rew_mean", "gold": "monitor/gold", "kl": "rollout/kl_to_reference",
        "words": "monitor/words", "distinct_1": "monitor/distinct_1",
    }  # fmt: skip
    curves = {name: [line[column] for line in log] for name, column in columns.items()}
    return {"agent": agent, "reward": kind, "beta": beta, "learning_rate": rate, "seed": seed, "before": before,
            "after": worth(policy, reward, seed), **curves}  # fmt: skip


def smooth(values: list[float]) -> FloatArray:
    """Return the means of three updates, as many as there are; the first two are means of what there is."""
    return np.array([np.mean(values[max(0, i - 2) : i + 1]) for i in range(len(values))])


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Return a run in a line; ``fallen`` is the update at which the smoothed gold is a fifth below its peak so far."""
    gold, before, after = smooth(result["gold"]), result["before"], result["after"]
    proxy, watched = result["proxy"], result["gold"]
    alarms = [n for n in range(len(gold) + 1) if is_hacking(proxy[:n], watched[:n])]
    fallen = np.flatnonzero(gold < 0.8 * np.maximum.accumulate(gold)) + 1
    return {
        **{name: result[name] for name in ("agent", "reward", "beta", "learning_rate", "seed")},
        "gold": [before["gold_train"], after["gold_train"]], "gold_held_out": [before["gold_test"], after["gold_test"]],
        "lift_in_std": (after["gold_train"] - before["gold_train"]) / before["gold_std_train"],
        "lift_in_std_held_out": (after["gold_test"] - before["gold_test"]) / before["gold_std_test"],
        "proxy": [before["proxy_train"], after["proxy_train"]],
        "peak": gold.max(), "peak_at": int(gold.argmax()) + 1, "last": gold[-1], "kl": smooth(result["kl"])[-1],
        "alarm_at": alarms[0] if alarms else None, "gold_at_alarm": gold[alarms[0] - 1] if alarms else None,
        "fallen_at": int(fallen[0]) if len(fallen) else None,
        "seconds": result["seconds"], "cpu_seconds": result["cpu_seconds"],
    }  # fmt: skip


def rounded(value: Any) -> Any:
    """Return it with four digits, lists too."""
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def draw(path: Path, runs: list[dict[str, Any]], best: dict[int, dict[str, Any]]) -> None:
    """Draw proxy (dashed) and gold against the KL, both in standard deviations of the warm start's samples.

    A dot is an update, a line the mean of the dots of all seeds in steps of the logarithm of the KL.
    """
    start = {run["seed"]: run["before"] for run in runs}
    figure, panels = plt.subplots(1, 3, figsize=(12.5, 4.6), sharex=True, sharey=True, layout="constrained")

    def curve(panel: Any, some: list[dict[str, Any]], colour: str, label: str, dots: bool = True) -> None:
        """Add proxy and gold of some runs, or of best of n, of several seeds."""
        kl = np.concatenate([each["kl"] for each in some])
        gold = [(np.array(each["gold"]) - start[each["seed"]]["gold_train"]) for each in some]
        gold = [each / start[run["seed"]]["gold_std_train"] for each, run in zip(gold, some, strict=True)]
        far = kl > _NEAREST
        steps = np.round(6 * np.log10(kl[far])) if dots else kl[far]
        for values, style in ((np.concatenate([each["proxy"] for each in some]), "--"), (np.concatenate(gold), "-")):
            line = [(kl[far][steps == step].mean(), values[far][steps == step].mean()) for step in np.unique(steps)]
            panel.plot(*zip(*line, strict=True), style, color=colour, label=label if style == "-" else None)
            if dots and style == "-":
                panel.plot(kl[far], values[far], ".", color=colour, alpha=0.25, markersize=3)

    runs = [run for run in runs if run["learning_rate"] == RATE]
    for panel, agent in zip(panels, ("grpo", "ppo"), strict=False):
        for beta, colour in zip(BETAS, ("C3", "C0", "C1"), strict=True):
            some = [run for run in runs if (run["agent"], run["reward"], run["beta"]) == (agent, "model", beta)]
            curve(panel, some, colour, f"β = {beta:g}")
        panel.set_title(f"{agent.upper()} against a reward model")
    curve(panels[2], [run for run in runs if run["reward"] == "ensemble"], "C2", "GRPO, β = 0, worst of 4 models")
    curve(panels[2], list(best.values()), "k", "best of n answers, n = 2 to 256", dots=False)
    panels[2].set_title("against an ensemble, and without training")
    for panel in panels:
        panel.set(xscale="log", xlabel="KL to the warm start, nats an answer")
        panel.axhline(0, color="grey", linewidth=0.5)
        panel.legend(loc="lower left")
    panels[0].set_ylabel("standard deviations of the warm start")
    figure.suptitle("dashed: the proxy, which is optimised. Solid: gold, which is meant. Three seeds.")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


_NEAREST = 0.1
"""Less KL than this is not drawn, on a logarithmic axis: the policy is still the warm start."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/rlhf"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--agents", nargs="+", choices=EXAMPLE["AGENTS"], default=list(EXAMPLE["AGENTS"]))
    parser.add_argument("--picture", type=Path, default=Path("runs/rlhf/over_optimisation.png"))
    args = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small to share out
    out, warm = args.out, args.out / "warm"
    if not warm.exists():
        EXAMPLE["warm_start"](400).save(warm)
    lines, results, best = [], [], {}
    for kind, fit in (("model", fit_model), ("ensemble", fit_ensemble)):
        lines += [once(out / f"seed{seed}" / f"{kind}.json", fit, out, warm, seed) for seed in args.seeds]
        for agent, beta, rate in RUNS[kind]:
            for seed in args.seeds if agent in args.agents else ():
                path = out / f"seed{seed}" / f"{run_name(agent, kind, beta, rate)}.json"
                results.append(once(path, train, out, warm, agent, kind, beta, rate, seed))
    lines += map(summary, results)
    for seed in args.seeds:
        best[seed] = once(out / f"seed{seed}" / "best_of_n.json", sample_best, out, warm, seed)
        lines.append(best[seed])
    for line in lines:
        print(json.dumps({"benchmark": "rlhf"} | {name: rounded(value) for name, value in line.items()}))
    draw(args.picture, results, best)


if __name__ == "__main__":
    main()
