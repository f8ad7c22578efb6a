"""Make the ``"tiny"`` model that comes with textgym: a character-level Llama of a million parameters.

It is fine-tuned on perfect responses to training problems and stopped early: it knows each task's format and is often
wrong, which is where reinforcement learning starts. Deterministic on one thread of one kind of machine.

    python examples/make_tiny.py agents/tiny        # about 10 minutes on one core
"""

from __future__ import annotations

import string

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
            hidden_size=160,
            intermediate_size=448,
            num_hidden_layers=3,
            num_attention_heads=5,
            num_key_value_heads=5,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


# Task, its settings, share of the batches: mostly the demo's arithmetic, and the format of every other small task.
MIXTURE: list[tuple[str, dict[str, Any], int]] = [
    ("TextMath-v0", {}, 8),
    ("TextMath-v0", {"difficulty": 1}, 1),
    ("TextCopy-v0", {}, 1),
    ("TextReverse-v0", {}, 1),
    ("TextIncreasing-v0", {}, 1),
    ("TextGuessNumber-v0", {}, 1),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=150, help="each is a few updates on every task")
    parser.add_argument("--batch-size", type=int, default=128)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    policy = CausalLM(make_model(tokenizer), tokenizer)
    optimizer = None
    teachers = []
    for env_id, settings, share in MIXTURE:
        env = gym.make(env_id, **settings)
        teacher = SFT(policy, env, batch_size=args.batch_size, learning_rate=2e-3, warmup_updates=0)
        optimizer = teacher.optimizer = optimizer or teacher.optimizer  # one optimiser, one set of moments
        teachers.append((teacher, share))
    for round_ in tqdm(range(args.rounds)):
        progress = round_ / args.rounds
        for teacher, share in teachers:
            teacher.learning_rate = 2e-3 * min(1.0, round_ / 10 + 0.1) * (1 - 0.9 * progress)
            teacher.learn(share * args.batch_size)
        if round_ % 10 == 9:
            rates = evaluate(policy, "TextMath-v0", 500, max_new_tokens=8)
            tqdm.write(f"round {round_ + 1}: greedy {rates.greedy:.3f}, sampled {rates.sampled:.3f}")
    policy.save(args.folder)


if __name__ == "__main__":
    main()
