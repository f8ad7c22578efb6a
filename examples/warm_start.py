"""A language model from nothing, in a minute: a tokenizer of words, a small Llama, and SFT on somebody's drafts.

    python examples/warm_start.py runs/warm

The drafts are answers of an average writer to the requests of TextRLHF-v0, good and bad. It is where rlhf.py, rlaif.py
and online_rlhf.py begin.
"""

import argparse

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from textgym.agents import SFT, CausalLM
from textgym.agents.loading import load_tokenizer
from textgym.agents.preferences import sample_answers
from textgym.envs import TextEnv
from textgym.envs.rewards import GoldReward
from textgym.envs.sources import RLHFSource
from textgym.envs.vector import TextVectorEnv

ENV, LENGTH = "TextRLHF-v0", {"max_new_tokens": 64}


class Writer(RLHFSource):
    """Answers by drafts, which are good and bad."""

    rng: np.random.Generator

    def solution(self, problem):
        return self.draft(problem, self.rng)


def warm_start(updates: int) -> CausalLM:
    """Make a model of 270,000 parameters whose tokens are the words of drafts, and let it imitate drafts."""
    Writer.rng = np.random.default_rng(0)
    problems = (Writer().draw(Writer.rng) for _ in range(2000))
    texts = [f"{problem.prompt}\n{Writer().solution(problem)}" for problem in problems]
    words, space = Tokenizer(models.BPE()), pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.pre_tokenizer, words.decoder = space, decoders.ByteLevel()
    special = {"special_tokens": ["<eos>", "<pad>"], "initial_alphabet": space.alphabet()}
    words.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=600, show_progress=False, **special))
    template = load_tokenizer("tiny").chat_template
    options = {"eos_token": "<eos>", "pad_token": "<pad>", "model_max_length": 128, "chat_template": template}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **options)
    size = {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"vocab_size": len(tokenizer), "bos_token_id": None, "eos_token_id": 0, "pad_token_id": 1}
    config = LlamaConfig(**size, **ids, max_position_embeddings=128, tie_word_embeddings=True, initializer_range=0.1)
    torch.manual_seed(0)
    policy = CausalLM(LlamaForCausalLM(config), tokenizer)
    env = TextVectorEnv(lambda: TextEnv(Writer(), GoldReward()), 64, autoreset_mode="Disabled")
    SFT(policy, env, batch_size=64, learning_rate=3e-3, lr_schedule="linear").learn(updates * 64)
    return policy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where to save the model")
    parser.add_argument("--updates", type=int, default=400)
    args = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small to share out
    policy = warm_start(args.updates)
    policy.save(args.folder)
    problems, answers = sample_answers(policy, ENV, 256, **LENGTH)
    print(f"{problems[0].prompt} | {answers[0]}")
    print(f"gold reward of 256 answers: {GoldReward()(problems, answers).total.mean():.2f}")


if __name__ == "__main__":
    main()
