"""Make the ``"tiny"`` model that comes with textgym: a character-level Llama of 0.8 million parameters, from nothing.

    python examples/make_tiny.py agents/tiny        # some 6 minutes on one core

It imitates perfect answers to training problems and is stopped early: it knows the format of the small tasks and is
often wrong, which is where reinforcement learning starts. Deterministic on one thread of one kind of machine.
"""

import argparse
import string

import gymnasium as gym
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from textgym.agents import SFT, CausalLM, evaluate

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %}{{ '\n' }}{% endif %}{% endfor %}"
)
MIXTURE = [  # task, its settings, updates in each round: mostly the demo's sums, and the format of other small tasks
    ("TextMath-v0", {}, 10),
    ("TextMath-v0", {"difficulty": 1}, 1),
    ("TextCopy-v0", {}, 1),
    ("TextReverse-v0", {}, 1),
    ("TextIncreasing-v0", {}, 1),
    ("TextGuessNumber-v0", {}, 1),
]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token for each printable ASCII character."""
    chars = ["<eos>", "<pad>", "<unk>", "\n", *string.printable[:95]]
    backend = Tokenizer(models.BPE({char: i for i, char in enumerate(chars)}, [], unk_token="<unk>"))
    backend.decoder = decoders.Fuse()
    options = {"chat_template": CHAT_TEMPLATE, "model_max_length": 512}
    special = {"eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special, **options)


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return the model with random weights."""
    torch.manual_seed(0)
    size = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 2, "max_position_embeddings": 512}
    heads = {"num_attention_heads": 6, "num_key_value_heads": 2}
    ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    # Weights of 0.1, five times the default: sums are learnt in a third of the updates.
    weights = {"vocab_size": len(tokenizer), "tie_word_embeddings": True, "initializer_range": 0.1}
    return LlamaForCausalLM(LlamaConfig(**size, **heads, **ids, **weights))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=200, help="at most")
    parser.add_argument("--batch-size", type=int, default=192)
    parser.add_argument("--stop-at", type=float, default=0.38, help="greedy success on training problems of the first")
    parser.add_argument("--eval-episodes", type=int, default=500)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    policy = CausalLM(make_model(tokenizer), tokenizer)
    settings = {"batch_size": args.batch_size, "learning_rate": 1e-3}
    teachers = [(SFT(policy, gym.make(env_id, **task), **settings), updates) for env_id, task, updates in MIXTURE]
    for teacher, _ in teachers:
        teacher.optimizer = teachers[0][0].optimizer  # one optimiser for the one policy
    for number in range(1, args.rounds + 1):
        for teacher, updates in teachers:
            teacher.learn(updates * args.batch_size)
        rates = evaluate(policy, "TextMath-v0", args.eval_episodes, max_new_tokens=8, split="train")
        print(f"round {number}: greedy {rates.greedy:.3f}, sampled {rates.sampled:.3f} on training problems")
        if rates.greedy >= args.stop_at:
            break
    policy.save(args.folder)
    for env_id, task, _ in MIXTURE:
        rates = evaluate(policy, env_id, args.eval_episodes, max_new_tokens=32, **task)
        print(f"| {env_id} {task or ''} | {rates.greedy:.3f} | {rates.sampled:.3f} | {rates.problems} |")
