"""SFT and GRPO from the same start to the same success on two-digit sums, and what either has done to the rest.

    python benchmarks/sft_vs_rl.py

examples/sft_vs_rl.py says what is trained and asked. There is one start; every learning rate is run from it with every
seed, of the problems and the samples. Reported is greedy success on held-out problems, others than those that stopped
the training. Prints one JSON line for each run and adds it to ``--out``; what is there already is not run again. At the
end come a table, means with 95 % intervals (t) over the seeds, and the picture docs/sft_vs_rl.png. Some 30 minutes on
one core.
"""

from __future__ import annotations

import argparse
import json
import math
import runpy
import statistics
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import matplotlib.pyplot as plt
import torch

from textgym.agents import CausalLM
from textgym.agents.rollout import collect

ROOT = Path(__file__).parents[1]
EXAMPLE = runpy.run_path(str(ROOT / "examples" / "sft_vs_rl.py"))
KINDS = {kind: settings for kind, (_, settings) in EXAMPLE["KINDS"].items()}
AGENTS, LEARNING_RATES = (
    ("SFT", "GRPO"),
    (4e-4, 1e-4),
)  # with another seed, both took the fewest updates at 4e-4 (of 2, 4, 8)
TARGET, LIMIT, START_SEED, START_UPDATES = 0.85, 600, 100, 800
WATCHED, REPORTED = range(400), range(400, 900)
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's t at 97.5 %, by the number of seeds


def load_start(folder: Path) -> CausalLM:
    """Return the start, which is made once."""
    if not (folder / "start").exists():
        EXAMPLE["make_start"](START_SEED, START_UPDATES).save(folder / "start")
    return CausalLM.load(folder / "start", device="cpu")


def ask(policy: CausalLM) -> dict[str, float]:
    """Greedy success on each kind of problem."""
    return {kind: round(EXAMPLE["success"](policy, REPORTED, **settings), 4) for kind, settings in KINDS.items()}


@torch.no_grad()
def kl(policy: CausalLM, other: CausalLM) -> tuple[float, float]:
    """KL(policy || other) of whole answers to sums, in nats, and tokens in an answer, over what the policy samples."""
    env = gym.make_vec(EXAMPLE["ENV"], num_envs=len(REPORTED), autoreset_mode="Disabled")
    options, generator = {"problem": REPORTED, "split": "test"}, torch.Generator().manual_seed(0)
    drawn = collect(policy, env, max_new_tokens=8, generator=generator, options=options)
    own, theirs = (each.logprobs(drawn.prompt_ids, drawn.prompt_mask, drawn.tokens)[0] for each in (policy, other))
    ratios = torch.where(drawn.action_mask, own - theirs, 0.0).sum(1)
    return round(ratios.mean().item(), 3), round(drawn.lengths.float().mean().item(), 2)


def run(start: CausalLM, name: str, learning_rate: float, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    agent = EXAMPLE["train"](start, name, learning_rate, TARGET, WATCHED, LIMIT, seed)
    seconds = time.perf_counter() - began
    to_start, tokens = kl(agent.policy, start)
    return {
        "updates": agent.num_updates, "answers": agent.num_timesteps, "tokens_an_answer": tokens,
        "seconds": round(seconds, 1), "watched": round(EXAMPLE["success"](agent.policy, WATCHED), 4),
        "kl_model_start": to_start, "kl_start_model": kl(start, agent.policy)[0], "success": ask(agent.policy),
    }  # fmt: skip


def run_all(seeds: list[int], out: Path) -> list[dict[str, Any]]:
    """Run what the file does not have yet, and return all that it has of the start and of these seeds."""
    start = load_start(out.parent)
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(each["agent"], each["learning_rate"], each["seed"]): each for each in lines}
    grid = [(name, rate, seed) for rate in LEARNING_RATES for seed in seeds for name in AGENTS]
    for name, rate, seed in [("start", None, None), *grid]:
        if (name, rate, seed) not in done:
            made = {"success": ask(start)} if seed is None else run(start, name, rate, seed)
            line = {"benchmark": "sft_vs_rl", "agent": name, "learning_rate": rate, "seed": seed, **made}
            done[name, rate, seed] = line
            print(json.dumps(line), flush=True)
            with out.open("a") as file:
                file.write(json.dumps(line) + "\n")
    return [each for each in done.values() if each["seed"] in (None, *seeds)]


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval; the start is a single value and has none."""
    if len(values) == 1:
        return values[0], 0.0
    return statistics.fmean(values), T_95[len(values)] * statistics.stdev(values) / math.sqrt(len(values))


def rate_of(result: dict[str, Any], name: str) -> float:
    """Success on a kind or, but for the sums, which were trained on, on all; or another number of a run."""
    if name == "all but sums":
        return statistics.fmean(rate for kind, rate in result["success"].items() if kind != "sums")
    return float((result | result["success"]).get(name, 0))


def select(results: list[dict[str, Any]], name: str, rate: float | None = None) -> list[dict[str, Any]]:
    """The runs of an agent, in the order of their seeds."""
    chosen = [each for each in results if (each["agent"], each["learning_rate"]) == (name, rate)]
    return sorted(chosen, key=lambda each: int(each["seed"] or 0))


def print_table(results: list[dict[str, Any]]) -> None:
    """Print in Markdown what came out of each learning rate, and the differences between the agents seed by seed."""
    start, names = select(results, "start")[0], ("updates", "answers", "kl_model_start", "kl_start_model")
    table = {"": ["start"]} | {kind: [f"{rate_of(start, kind):.3f}"] for kind in (*KINDS, "all but sums", *names)}
    for rate in LEARNING_RATES:
        sft, grpo = (select(results, name, rate) for name in AGENTS)
        table[""] += [f"{name}, {rate:g}, {len(sft)} seeds" for name in (*AGENTS, "GRPO - SFT")]
        for kind in list(table)[1:]:
            columns = [[rate_of(each, kind) for each in runs] for runs in (sft, grpo)]
            columns.append([theirs - ours for ours, theirs in zip(*columns, strict=True)])
            table[kind] += ["{:.4g} ± {:.2g}".format(*interval(column)) for column in columns]
    for kind, cells in table.items():
        print("|", " | ".join([kind, *cells]), "|" if kind else "|\n|" + "---|" * (len(cells) + 1))


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Left: success on each kind at the first learning rate. Right: what was lost, over the KL from the start."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", width_ratios=(3, 2))
    colors = {"start": "0.55", "SFT": "tab:blue", "GRPO": "tab:orange"}
    for offset, name in zip((-0.2, 0.0, 0.2), colors, strict=True):
        runs = select(results, name, None if name == "start" else LEARNING_RATES[0])
        means, errors = zip(*(interval([each["success"][kind] for each in runs]) for kind in KINDS), strict=True)
        places = [i + offset for i in range(len(KINDS))]
        left.errorbar(means, places, xerr=errors, fmt="o", capsize=3, color=colors[name], label=name)
    left.set_yticks(range(len(KINDS)), [f"{kind}\n(trained on)" if kind == "sums" else kind for kind in KINDS])
    left.invert_yaxis()
    left.set(xlim=(-0.02, 1), xlabel="greedy success on held-out problems")
    left.set_title(f"Learning rate {LEARNING_RATES[0]:g}")
    left.legend(loc="lower right")
    before = rate_of(select(results, "start")[0], "all but sums")
    for name in AGENTS:
        for rate, marker in zip(LEARNING_RATES, "ov", strict=True):
            runs = select(results, name, rate)
            right.scatter(
                [each["kl_start_model"] for each in runs],
                [rate_of(each, "all but sums") - before for each in runs],
                marker=marker, color=colors[name], alpha=0.8, label=f"{name}, {rate:g}",
            )  # fmt: skip
    right.axhline(0, color="0.55", linewidth=1)
    right.set(xlabel="KL(start ‖ model) on sums, nats", ylabel="change of the mean success on the others")
    right.set_title("Each run, at two learning rates")
    right.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], help="five at most")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "sft_vs_rl" / "results.jsonl")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "sft_vs_rl.png")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small to share out
    results = run_all(args.seeds, args.out)
    print_table(results)
    draw(results, args.picture)


if __name__ == "__main__":
    main()
