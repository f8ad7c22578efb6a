"""The read-out: values and gradients of log-probabilities and entropies, beside torch's own."""

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
