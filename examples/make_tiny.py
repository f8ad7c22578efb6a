"""Make the ``"tiny"`` model that comes with textgym: a character-level Llama of a million parameters.

It is fine-tuned on perfect responses to training problems and stopped early: it knows the format of the small tasks and
is often wrong, which is where reinforcement learning starts. Deterministic on one thread of one kind of machine.

    python examples/make_tiny.py agents/tiny        # some 10 minutes on one core
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from tokenizers import Tokenizer, decoders, models
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from textgym.agents import SFT, CausalLM, evaluate

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %}{{ '\n' }}{% endif %}{% endfor %}"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token for each printable ASCII character."""
    chars = ["<eos>", "<pad>", "<unk>", "\n", *string.printable[:95]]
    backend = Tokenizer(models.BPE({char: i for i, char in enumerate(chars)}, [], unk_token="<unk>"))
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=512,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return the model with random weights."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            initializer_range=0.1,  # five times the default: sums are learnt in a third of the updates
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


# Task, its settings, updates in each round: mostly the demo's sums, and the format of every other small task.
MIXTURE: list[tuple[str, dict[str, Any], int]] = [
    ("TextMath-v0", {}, 10),
    ("TextMath-v0", {"difficulty": 1}, 1),
    ("TextCopy-v0", {}, 1),
    ("TextReverse-v0", {}, 1),
    ("TextIncreasing-v0", {}, 1),
    ("TextGuessNumber-v0", {}, 1),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=200, help="at most")
    parser.add_argument("--batch-size", type=int, default=192)
    parser.add_argument(
        "--stop-at", type=float, default=0.38, help="greedy success on training problems of TextMath-v0"
    )
    parser.add_argument("--eval-episodes", type=int, default=500)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    policy = CausalLM(make_model(tokenizer), tokenizer)
    teachers = [
        (SFT(policy, gym.make(env_id, **settings), batch_size=args.batch_size, learning_rate=1e-3), updates)
        for env_id, settings, updates in MIXTURE
    ]
    for teacher, _ in teachers:
        teacher.optimizer = teachers[0][0].optimizer  # one optimiser for the one policy
    for round_ in tqdm(range(args.rounds)):
        for teacher, updates in teachers:
            teacher.learn(updates * args.batch_size)
        rates = evaluate(policy, "TextMath-v0", args.eval_episodes, max_new_tokens=8, split="train")
        tqdm.write(f"round {round_ + 1}: greedy {rates.greedy:.3f}, sampled {rates.sampled:.3f} on training problems")
        policy.save(args.folder)
        if rates.greedy >= args.stop_at:
            break
    for env_id, settings, _ in MIXTURE:
        rates = evaluate(policy, env_id, args.eval_episodes, max_new_tokens=32, **settings)
        print(f"| {env_id} {settings or ''} | {rates.greedy:.3f} | {rates.sampled:.3f} | {rates.problems} |")


if __name__ == "__main__":
    main()
