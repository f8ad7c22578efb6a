"""Small random models and one-question envs, made here so that no test needs a download or trained weights."""

from __future__ import annotations

import dataclasses
import string

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from textgym.agents.policy import CausalLM
from textgym.envs import Problem, Score, TextEnv, TextVectorEnv

CHARS = ["<eos>", "<pad>", "\n", *string.printable[:95]]


def make_tokenizer(pad: str = "<pad>") -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE({char: i for i, char in enumerate(CHARS)}, []))
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", pad_token=pad)


def make_model(kind: str, scale: float):
    ids = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 1}
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "max_position_embeddings": 512, "vocab_size": len(CHARS)}
    torch.manual_seed(0)
    if kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**sizes, **ids))
    elif kind == "llama-unusual":  # biases, a head size of its own, scaled positions, untied output
        rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1000.0}
        config = LlamaConfig(**sizes, **ids, head_dim=12, attention_bias=True, mlp_bias=True, rope_parameters=rope)
        model = LlamaForCausalLM(config)
    elif kind == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**sizes, **ids))
    elif kind == "gemma3":  # one layer sees a window of 64 tokens, the other all
        layers = {"sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]}
        model = Gemma3ForCausalLM(Gemma3TextConfig(**sizes, **ids, head_dim=8, query_pre_attn_scalar=8, **layers))
    elif kind == "mistral":  # every layer sees a window of 6 tokens only
        model = MistralForCausalLM(MistralConfig(**sizes, **ids, sliding_window=6))
    else:
        model = GPT2LMHeadModel(
            GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=512, vocab_size=len(CHARS), **ids)
        )
    with torch.no_grad():  # sharper than initialisation, so that a wrong position or mask shows
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(scale)
            elif kind in ("llama-unusual", "qwen2"):  # biases begin at 0
                parameter.add_(torch.randn_like(parameter) / 10)
    return model


@pytest.fixture
def make_policy():
    """Return a maker of random policies: kind, sharpness, and whether pad is the stop token."""

    def make(kind: str = "llama", scale: float = 6.0, pad: str = "<pad>") -> CausalLM:
        return CausalLM(make_model(kind, scale), make_tokenizer(pad))

    return make


@dataclasses.dataclass(frozen=True)
class OneQuestion:
    """Always the same problem."""

    prompt: str = "a or b?"
    answer: str = "a"

    def draw(self, rng: np.random.Generator) -> Problem:
        rng.integers(2)
        return Problem(self.prompt, self.answer, key="4")  # a key of the train split

    def solution(self, problem: Problem) -> str:
        return self.answer


class FirstChar:
    """1 if the response begins with the answer, times ``sign``; ``broken`` responses can't be scored."""

    range = (-1.0, 1.0)

    def __init__(self, sign: float = 1.0, broken: str = "\x00") -> None:
        self.sign = sign
        self.broken = broken

    def __call__(self, problems, responses) -> Score:
        right = np.array([r.startswith(p.answer or "") for p, r in zip(problems, responses, strict=True)])
        failed = np.array([r.startswith(self.broken) for r in responses])
        total = np.where(failed, np.nan, self.sign * right)
        return Score(total, right & ~failed, status=["timeout" if f else "ok" for f in failed])


@pytest.fixture
def make_bandit():
    """Return a maker of vector envs that ask one question."""

    def make(num_envs: int, group_size: int = 1, reward: FirstChar | None = None, **source: str) -> TextVectorEnv:
        judge = reward or FirstChar()
        return TextVectorEnv(
            lambda: TextEnv(OneQuestion(**source), judge),
            num_envs,
            group_size=group_size,
            autoreset_mode="Disabled",
        )

    return make


@pytest.fixture
def first_char():
    """Return the reward class of the bandit."""
    return FirstChar


@pytest.fixture
def gradients_of_update(monkeypatch):
    """Return a function to the loss of an agent's update and the gradients that the optimiser would see.

    Nothing is changed: the update ends where the optimiser would step.
    """

    def run(agent):
        losses, seen = [], []
        real_step = agent.step

        def step(batch, rows, loss):
            def watched(part, part_rows, now):
                total, metrics = loss(part, part_rows, now)
                losses.append(total.detach())
                return total, metrics

            return real_step(batch, rows, watched)

        def stop_here():
            seen.extend(parameter.grad.clone() for parameter in agent.policy.parameters())
            raise StopIteration

        monkeypatch.setattr(agent, "step", step)
        monkeypatch.setattr(agent, "step_optimizer", stop_here)
        with pytest.raises(StopIteration):
            agent.update()
        return sum(losses), seen

    return run
