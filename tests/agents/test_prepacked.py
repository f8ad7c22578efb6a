"""Reordered weights compute what the layers compute, with the weights of the moment, and leave nothing behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from textgym.agents import CausalLM
from textgym.agents.loading import load_tokenizer
from textgym.agents.prepacked import prepacked
from textgym.agents.sampling import sample

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch has no oneDNN")


@pytest.fixture
def policy() -> CausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=384, intermediate_size=512, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=2, tie_word_embeddings=True, bos_token_id=None,
    )  # fmt: skip
    tokenizer = load_tokenizer("tiny")
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    return CausalLM(LlamaForCausalLM(config), tokenizer)


@pytest.mark.parametrize("shape", [(1, 384), (7, 384), (2, 5, 384), (0, 384)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_gives_the_same(shape: tuple[int, ...], bias: bool) -> None:
    layer = nn.Linear(384, 512, bias=bias)
    states = torch.randn(shape)
    with torch.inference_mode():
        plain = layer(states)
        with prepacked(layer):
            assert "forward" in vars(layer)  # or the test would compare the same with the same
            torch.testing.assert_close(layer(states), plain)
            every_other = torch.randn(2 * len(states), *states.shape[1:])[::2]
            torch.testing.assert_close(layer(every_other), nn.functional.linear(every_other, layer.weight, layer.bias))


def test_what_is_drawn_has_the_probabilities_of_the_model(policy: CausalLM) -> None:
    prompts = [[5, 6, 7], [8, 9]] * 4
    drawn = sample(policy, prompts, max_new_tokens=12, generator=torch.Generator().manual_seed(0), ignore_stop=True)
    logprobs, _ = policy.logprobs(drawn.prompt_ids, drawn.prompt_mask, drawn.tokens)
    torch.testing.assert_close(drawn.logprobs, logprobs.detach(), atol=1e-4, rtol=1e-4)


def test_the_weights_of_the_moment_count(policy: CausalLM) -> None:
    settings = {"max_new_tokens": 12, "temperature": 0.0, "ignore_stop": True}
    before = sample(policy, [[5, 6, 7]], **settings)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(1.5)
    after = sample(policy, [[5, 6, 7]], **settings)
    assert (after.logprobs != before.logprobs).all()
    logprobs, _ = policy.logprobs(after.prompt_ids, after.prompt_mask, after.tokens)
    torch.testing.assert_close(after.logprobs, logprobs.detach(), atol=1e-4, rtol=1e-4)


def test_autocast_goes_its_own_way(policy: CausalLM) -> None:
    """What comes into a layer is bfloat16 then."""
    policy.bf16 = True
    drawn = sample(policy, [[5, 6, 7]], max_new_tokens=12, temperature=0.0, ignore_stop=True)
    assert torch.isfinite(drawn.logprobs).all()


def test_layers_are_as_before_even_after_an_error(policy: CausalLM) -> None:
    with pytest.raises(RuntimeError, match="stop"), prepacked(policy.model):
        raise RuntimeError("stop")
    assert not any("forward" in vars(module) for module in policy.model.modules())
    logprobs, _ = policy.logprobs(torch.tensor([[5]]), torch.tensor([[1]]), torch.tensor([[6]]))
    logprobs.sum().backward()
    assert all(parameter.grad is not None for parameter in policy.model.parameters())


def test_a_layer_with_a_hook_keeps_it(policy: CausalLM) -> None:
    layer = policy.model.lm_head
    layer.forward = lambda states: nn.functional.linear(states, layer.weight) + 7
    hooked = layer.forward
    with prepacked(policy.model), prepacked(policy.model):  # and one within another changes nothing
        assert layer.forward is hooked
        assert "forward" in vars(policy.model.model.layers[0].mlp.up_proj)
    assert layer.forward is hooked
    assert "forward" not in vars(policy.model.model.layers[0].mlp.up_proj)


def test_other_types_and_small_layers_stay() -> None:
    layers = nn.ModuleList([nn.Linear(384, 512).double(), nn.Linear(16, 16), nn.Conv1d(384, 512, 1)])
    with prepacked(layers):
        assert not any("forward" in vars(layer) for layer in layers)
