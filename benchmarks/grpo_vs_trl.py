"""Seconds until GRPO samples 85 % right answers to TextMath-v0: ours beside TRL's GRPOTrainer.

    pip install trl==1.16.0 && python benchmarks/grpo_vs_trl.py

Both start from the same weights (``tiny``), on 2-digit sums, with the same batch (64 problems, 4 answers each),
learning rate, warm-up, advantage (centred) and normalisation (over tokens). Success is that of sampling at temperature
1 on 300 held-out problems, measured with our evaluation every few updates, outside the clock. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time

import gymnasium as gym
import torch

import textgym  # noqa: F401
from textgym.agents import GRPO, CausalLM, evaluate
from textgym.envs import Problem

ENV = "TextMath-v0"
PROMPTS, GROUP, NEW_TOKENS, WARMUP = 64, 4, 8, 10


class Clock:
    """Counts training seconds, and stops them while the policy is evaluated."""

    def __init__(self, policy: CausalLM, target: float, every: int) -> None:
        self.policy, self.target, self.every = policy, target, every
        self.updates, self.seconds, self.curve = 0, 0.0, []
        self.began = time.perf_counter()

    def tick(self) -> bool:
        """Note an update; return whether the target is reached."""
        self.seconds += time.perf_counter() - self.began
        self.updates += 1
        reached = False
        if self.updates % self.every == 0:
            success = evaluate(self.policy, ENV, 300, max_new_tokens=NEW_TOKENS).sampled
            self.curve.append((self.updates, round(self.seconds, 1), round(success, 3)))
            print(self.curve[-1], flush=True)
            reached = success >= self.target
        self.began = time.perf_counter()
        return reached


def run_ours(learning_rate: float, target: float, every: int, limit: int, seed: int) -> Clock:
    policy = CausalLM.load("tiny")
    agent = GRPO(
        policy, ENV, prompts_per_update=PROMPTS, group_size=GROUP, max_new_tokens=NEW_TOKENS, warmup_updates=WARMUP,
        learning_rate=learning_rate, seed=seed,
    )  # fmt: skip
    clock = Clock(policy, target, every)
    agent.learn(limit * PROMPTS * GROUP, callback=lambda *_: not clock.tick())
    return clock


def run_trl(learning_rate: float, target: float, every: int, limit: int, seed: int) -> Clock:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    policy = CausalLM.load("tiny")
    env = gym.make_vec(ENV, num_envs=1).unwrapped.envs[0]
    env.reset(seed=seed)
    problems = [env.choose(None) for _ in range(PROMPTS * limit)]
    render = policy.tokenizer.hf.apply_chat_template
    chats = [[{"role": "user", "content": problem.prompt}] for problem in problems]
    rows = [{"prompt": render(c, tokenize=False), "answer": p.answer} for c, p in zip(chats, problems, strict=True)]

    def reward(completions: list[str], answer: list[str], **_: object) -> list[float]:
        return env.reward([Problem("", a) for a in answer], completions).total.tolist()

    clock = Clock(policy, target, every)

    class Tick(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            policy.model.eval()
            control.should_training_stop = clock.tick()
            policy.model.train()

    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder, learning_rate=learning_rate, lr_scheduler_type="constant_with_warmup",
            warmup_steps=WARMUP, adam_beta2=0.95, weight_decay=0.0, max_grad_norm=1.0, max_steps=limit,
            per_device_train_batch_size=PROMPTS * GROUP, gradient_accumulation_steps=1, num_generations=GROUP,
            max_completion_length=NEW_TOKENS, temperature=1.0, scale_rewards="none", loss_type="dapo", beta=0.0,
            gradient_checkpointing=False, bf16=False, use_cpu=not torch.cuda.is_available(), report_to="none",
            save_strategy="no", logging_steps=10**6, disable_tqdm=True, disable_dropout=True, seed=seed,
            dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = GRPOTrainer(
            policy.model, reward, config, train_dataset=Dataset.from_list(rows), processing_class=policy.tokenizer.hf,
            callbacks=[Tick()],
        )  # fmt: skip
        clock.began = time.perf_counter()  # building the trainer is not training
        trainer.train()
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--target", type=float, default=0.85)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--limit", type=int, default=1000, help="updates, if the target is not reached")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    settings = (args.learning_rate, args.target, args.every, args.limit, args.seed)
    runs = {"textgym": run_ours(*settings), "trl": run_trl(*settings)}
    result = {"benchmark": "grpo_vs_trl", "env": ENV, "target_sampled_success": args.target, "seed": args.seed}
    result |= {"learning_rate": args.learning_rate, "threads": torch.get_num_threads()}
    for name, clock in runs.items():
        reached = bool(clock.curve) and clock.curve[-1][2] >= args.target
        result[name] = {"reached": reached, "seconds": round(clock.seconds, 1), "updates": clock.updates}
        result[name]["seconds_per_update"] = round(clock.seconds / clock.updates, 3)
    result["trl_over_textgym"] = round(runs["trl"].seconds / runs["textgym"].seconds, 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
