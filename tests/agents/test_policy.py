"""CausalLM: the log-probabilities that training uses, loading and saving."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from textgym.agents.policy import CausalLM, positions
from textgym.agents.sampling import pad_left

PROMPTS = [[5, 6, 7, 8, 9, 10], [11, 12, 13], [11, 12, 13], [20, 21, 22, 23]]
TOKENS = [[30, 31, 32, 0], [33, 0], [34, 35, 36, 37], [38, 39, 0]]


def padded(prompts, tokens, pad=1):
    ids, mask = pad_left(prompts, pad, torch.device("cpu"))
    width = max(map(len, tokens))
    right = torch.tensor([[*row, *[pad] * (width - len(row))] for row in tokens])
    return ids, mask, right


def naive(policy, prompt, tokens, temperature=1.0):
    """One forward pass for each token, without cache or padding."""
    result = []
    for t, token in enumerate(tokens):
        logits = policy.model(torch.tensor([prompt + tokens[:t]])).logits[0, -1].double() / temperature
        result.append(logits.log_softmax(-1)[token])
    return torch.stack(result)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral"])
def test_logprobs_equal_one_forward_pass_for_each_token(make_policy, kind, temperature):
    policy = make_policy(kind)
    for prompts, tokens in (PROMPTS, TOKENS), (PROMPTS[1:], TOKENS[1:]), (PROMPTS[:1], TOKENS[:1]):
        ids, mask, right = padded(prompts, tokens)
        logprobs, entropy = policy.logprobs(ids, mask, right, temperature=temperature)
        assert logprobs.dtype == entropy.dtype == torch.float32
        for row, (prompt, answer) in enumerate(zip(prompts, tokens, strict=True)):
            expected = naive(policy, prompt, answer, temperature)
            torch.testing.assert_close(logprobs[row, : len(answer)].double(), expected, atol=1e-4, rtol=0)


def test_entropy_is_that_of_the_softmax(make_policy):
    policy = make_policy()
    ids, mask, right = padded(PROMPTS, TOKENS)
    _, entropy = policy.logprobs(ids, mask, right, temperature=0.7)
    logits = policy.model(torch.tensor([PROMPTS[3]])).logits[0, -1] / 0.7
    expected = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(entropy[3, 0], expected, atol=1e-4, rtol=0)
    assert not entropy.requires_grad


def test_left_padding_changes_nothing_with_positions_and_does_without(make_policy):
    policy = make_policy("gpt2")
    tokens = torch.tensor([TOKENS[0]])
    ids, mask = torch.tensor([PROMPTS[0]]), torch.ones(1, 6, dtype=torch.long)
    more_ids, more_mask = torch.cat([torch.ones(1, 4, dtype=torch.long), ids], 1), torch.cat([0 * mask[:, :4], mask], 1)
    short, _ = policy.logprobs(ids, mask, tokens)
    long, _ = policy.logprobs(more_ids, more_mask, tokens)
    torch.testing.assert_close(short, long, atol=1e-5, rtol=0)
    full, full_mask = torch.cat([more_ids, tokens], 1), torch.cat([more_mask, torch.ones_like(tokens)], 1)
    good = policy.model(full, attention_mask=full_mask, position_ids=positions(full_mask)).logits
    arange = torch.arange(full.shape[1])[None]
    bad = policy.model(full, attention_mask=full_mask, position_ids=arange).logits
    assert (good - bad)[:, -1].abs().max() > 0.1  # the control: default positions are wrong


def test_a_row_is_the_same_alone_and_among_longer_rows(make_policy):
    policy = make_policy("llama")
    ids, mask, right = padded(PROMPTS, TOKENS)
    together, _ = policy.logprobs(ids, mask, right)
    alone, _ = policy.logprobs(
        torch.tensor([PROMPTS[1]]), torch.ones(1, 3, dtype=torch.long), torch.tensor([TOKENS[1]])
    )
    torch.testing.assert_close(together[1, :2], alone[0], atol=1e-5, rtol=0)


def test_sharing_a_prompt_changes_neither_values_nor_gradients(make_policy):
    shared, apart = make_policy("llama"), make_policy("llama")
    ids, mask, right = padded(PROMPTS, TOKENS)
    weights = torch.randn(right.shape, generator=torch.Generator().manual_seed(0))
    logprobs, _ = shared.logprobs(ids, mask, right)
    (weights * logprobs).sum().backward()
    for row in range(len(ids)):
        one, _ = apart.logprobs(ids[row : row + 1], mask[row : row + 1], right[row : row + 1])
        torch.testing.assert_close(one[0], logprobs[row], atol=1e-5, rtol=0)
        (weights[row] * one).sum().backward()
    for mine, theirs in zip(shared.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-4, rtol=1e-4)


def test_shared_prompts_with_one_token_each(make_policy):
    policy = make_policy()
    ids, mask = pad_left([[5, 6], [5, 6], [7]], 1, torch.device("cpu"))
    logprobs, _ = policy.logprobs(ids, mask, torch.tensor([[9], [10], [11]]))
    expected = torch.stack([naive(policy, p, [t]) for p, t in (([5, 6], 9), ([5, 6], 10), ([7], 11))])
    torch.testing.assert_close(logprobs.double(), expected, atol=1e-5, rtol=0)


def test_no_dropout_is_left(make_policy):
    model = make_policy("gpt2").model
    assert not model.training
    assert all(module.p == 0 for module in model.modules() if isinstance(module, torch.nn.Dropout))
    assert model.config.attn_pdrop == model.config.resid_pdrop == model.config.embd_pdrop == 0


def test_what_save_writes_transformers_loads(make_policy, tmp_path):
    policy = make_policy()
    policy.save(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    ids = AutoTokenizer.from_pretrained(tmp_path / "model")("1 + 2?", return_tensors="pt")["input_ids"]
    assert torch.equal(model(ids).logits, policy.model(ids).logits)
    again = CausalLM.load(tmp_path / "model", device="cpu")
    assert torch.equal(again.model(ids).logits, policy.model(ids).logits)


def test_a_model_that_is_not_there_is_named_with_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"can't load 'nobody/nothing'.*hf download nobody/nothing"):
        CausalLM.load("nobody/nothing")
    with pytest.raises(FileNotFoundError, match=r"no GGUF file at .*missing\.gguf"):
        CausalLM.load(tmp_path / "missing.gguf")
    with pytest.raises(FileNotFoundError, match="no model folder at"):
        CausalLM.load(tmp_path / "missing")
    with pytest.raises(ValueError, match="float33"):
        CausalLM.load("tiny", dtype="float33")


def test_dtype_and_device_can_be_set(make_policy, tmp_path):
    make_policy().save(tmp_path)
    policy = CausalLM.load(tmp_path, device="cpu", dtype="bfloat16")
    assert policy.model.dtype == torch.bfloat16 and policy.device.type == "cpu"
    logprobs, _ = policy.logprobs(*padded(PROMPTS, TOKENS))
    assert logprobs.dtype == torch.float32
