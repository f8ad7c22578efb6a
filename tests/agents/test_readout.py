"""The read-out: values and gradients of log-probabilities and entropies, beside torch's own."""

import math

import pytest
import torch

from textgym.agents.readout import logprobs_and_entropies


def make_inputs(dtype=torch.float32, rows=70, size=11):  # more rows than are worked on at a time
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(rows, size, generator=generator)).to(dtype)
    weights = torch.randn(2, rows, generator=generator)
    return logits.requires_grad_(), torch.randint(size, (rows,), generator=generator), weights


@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("which", [(1, 1), (1, 0), (0, 1)])
def test_values_and_gradients_are_those_of_torch(temperature, which):
    logits, tokens, weights = make_inputs()
    weights = weights * torch.tensor(which)[:, None]
    pi = torch.distributions.Categorical(logits=logits.double() / temperature)
    expected = torch.stack([pi.log_prob(tokens), pi.entropy()])
    (expected_gradient,) = torch.autograd.grad((weights * expected).sum(), logits)
    results = logprobs_and_entropies(logits, tokens, temperature)
    for result, wanted in zip(results, expected, strict=True):
        assert result.dtype == torch.float32
        torch.testing.assert_close(result.double(), wanted, atol=1e-5, rtol=1e-6)
    loss = sum((w * r).sum() for w, r, on in zip(weights, results, which, strict=True) if on)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-6, rtol=1e-5)


def test_16_bit_logits_are_read_in_float32():
    logits, tokens, weights = make_inputs(torch.bfloat16)
    logprobs, entropies = logprobs_and_entropies(logits, tokens)
    exact = logprobs_and_entropies(logits.detach().float(), tokens)
    assert torch.equal(logprobs, exact[0]) and torch.equal(entropies, exact[1])
    (weights[0] * logprobs).sum().backward()
    assert logits.grad.dtype == torch.bfloat16


def test_token_logprobs_by_hand():
    logits_NV = torch.log(torch.tensor([[1.0, 2.0, 5.0], [1.0, 1.0, 2.0]]))
    tokens_N = torch.tensor([2, 0])
    torch.testing.assert_close(logprobs_and_entropies(logits_NV, tokens_N)[0], torch.log(torch.tensor([5 / 8, 1 / 4])))
    squared = torch.log(torch.tensor([25 / 30, 1 / 6]))  # temperature 1/2 squares the odds
    torch.testing.assert_close(logprobs_and_entropies(logits_NV, tokens_N, 0.5)[0], squared)


def test_token_logprobs_work_in_float32():
    logits_NV = torch.linspace(-30, 30, 7).bfloat16()[None]
    logprobs_N, _ = logprobs_and_entropies(logits_NV, torch.tensor([0]), 0.7)
    assert logprobs_N.dtype == torch.float32
    exact = (logits_NV[0].double() / 0.7).log_softmax(0)[0]
    assert abs(logprobs_N.item() - exact.item()) < 1e-4  # bfloat16 would be off by a quarter


def test_entropy_by_hand():
    logits_NV = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, -math.inf, -math.inf]], requires_grad=True)
    entropy_N = logprobs_and_entropies(logits_NV, torch.tensor([0, 0]))[1]
    torch.testing.assert_close(entropy_N, torch.log(torch.tensor([4.0, 2.0])))
    (gradient,) = torch.autograd.grad(entropy_N.sum(), logits_NV)
    assert gradient.isfinite().all()
    p = torch.tensor([1 / 30, 4 / 30, 25 / 30])
    hot = torch.log(torch.tensor([[1.0, 2.0, 5.0]]))
    entropy_N = logprobs_and_entropies(hot, torch.tensor([0]), 0.5)[1]
    torch.testing.assert_close(entropy_N, -(p * p.log()).sum()[None])


@pytest.mark.parametrize("temperature", [0.0, math.nan])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="temperature"):
        logprobs_and_entropies(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long), temperature)
