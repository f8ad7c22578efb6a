"""CausalLM: the log-probabilities that training uses, loading and saving."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from textgym.agents import policy as policy_module
from textgym.agents.grpo import GRPO
from textgym.agents.policy import CausalLM, positions
from textgym.agents.sampling import pad_left, sample
from textgym.agents.sft import SFT

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


@pytest.mark.parametrize("rows", [[0, 1], [0, 1, 1]], ids=["distinct", "shared"])
def test_a_long_prompt_beside_another_rows_long_answer_needs_no_positions_for_padding(make_policy, rows):
    policy = make_policy("gpt2")
    policy.trunk()
    policy._takes_packing = False
    table = policy.model.transformer.wpe
    table.weight = torch.nn.Parameter(table.weight[:14].detach())
    ids, mask, tokens = (torch.randint(2, 98, (2, 12)), torch.ones(2, 12, dtype=torch.long), torch.full((2, 12), 5))
    mask[0, :9] = 0
    wanted = torch.arange(12) < torch.tensor([12, 3])[:, None]
    states = policy.states(ids[rows], mask[rows], tokens[rows], wanted[rows])
    torch.testing.assert_close(states[0], policy.states(ids[:1, 9:], mask[:1, 9:], tokens[:1])[0])
    torch.testing.assert_close(states[1, :3], policy.states(ids[1:], mask[1:], tokens[1:, :3])[0])


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


def gradients(policy, batch, temperature=0.7):
    """Of a loss that weighs every log-probability and every entropy differently."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(batch[2].shape, generator=generator) for _ in range(2))
    evaluated = policy.evaluate_tokens(*batch, temperature=temperature, entropy_gradient=True)
    (first * evaluated.logprobs + second * evaluated.entropies).mean().backward()
    return [parameter.grad for parameter in policy.parameters()]


def plain_gradients(policy, batch, temperature=0.7):
    """The same with all logits, and all that follows from them, at once."""
    prompt_ids, prompt_mask, tokens = batch
    inputs, mask = torch.cat([prompt_ids, tokens], 1), torch.cat([prompt_mask, torch.ones_like(tokens)], 1)
    logits = policy.model(inputs, attention_mask=mask, position_ids=positions(mask), use_cache=False).logits
    pi = torch.distributions.Categorical(logits=logits[:, prompt_ids.shape[1] - 1 : -1] / temperature)
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(tokens.shape, generator=generator) for _ in range(2))
    (first * pi.log_prob(tokens) + second * pi.entropy()).mean().backward()
    return [parameter.grad for parameter in policy.parameters()]


@pytest.mark.parametrize("pieces", [1, 5])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_logits_in_pieces_give_the_gradients_of_logits_at_once(make_policy, monkeypatch, kind, pieces):
    batch = padded(PROMPTS, TOKENS)
    monkeypatch.setattr(policy_module, "_MAX_LOGITS", batch[2].numel() // pieces * 98)
    ours, plain = gradients(make_policy(kind, scale=2.0), batch), plain_gradients(make_policy(kind, scale=2.0), batch)
    assert max(gradient.abs().max() for gradient in plain) > 1e-3
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4)


def test_all_logits_at_once_never_exist(make_policy, monkeypatch):
    policy, seen = make_policy(), []
    monkeypatch.setattr(policy_module, "_MAX_LOGITS", 3 * 98)
    policy.trunk()  # looks at the logits of two tokens, once
    policy.model.lm_head.register_forward_hook(lambda module, inputs, output: seen.append(output.numel() // 98))
    logprobs, _ = policy.logprobs(*padded(PROMPTS, TOKENS))
    logprobs.sum().backward()
    assert max(seen) == 3 and sum(seen) == 2 * 16  # each twice: for the value and for the gradient


@pytest.mark.parametrize("kind", ["llama", "llama-unusual", "qwen2", "gpt2", "mistral"])
def test_gradient_checkpointing_changes_no_gradient(make_policy, kind):
    batch = padded(PROMPTS, TOKENS)
    calls = []
    recomputing, keeping = make_policy(kind, scale=2.0), make_policy(kind, scale=2.0)
    recomputing.gradient_checkpointing = True
    trunk = recomputing.model.base_model
    layer = trunk.h[0] if kind == "gpt2" else trunk.layers[0]
    attention = layer.attn if kind == "gpt2" else layer.self_attn
    recomputing.trunk()
    attention.register_forward_hook(lambda *_: calls.append(1))
    for mine, theirs in zip(gradients(recomputing, batch), gradients(keeping, batch), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)
    assert len(calls) == 2  # forward, and again for the gradient
    assert not any(module.training for module in recomputing.model.modules())
    logprobs, _ = recomputing.logprobs(*batch)
    drawn = sample(recomputing, PROMPTS, max_new_tokens=8, generator=torch.Generator().manual_seed(0))
    same = sample(keeping, PROMPTS, max_new_tokens=8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn.tokens, same.tokens) and torch.equal(drawn.logprobs, same.logprobs)
    torch.testing.assert_close(logprobs, keeping.logprobs(*batch)[0], atol=1e-5, rtol=0)


def test_gradient_checkpointing_works_in_a_copy_and_with_lora(make_policy):
    pytest.importorskip("peft")
    batch = padded(PROMPTS, TOKENS)
    policy = make_policy(scale=2.0)
    policy.add_lora(4)
    policy.gradient_checkpointing = True
    expected = gradients(policy, batch)
    again = copy.deepcopy(policy)
    again.gradient_checkpointing = False
    again.model.zero_grad()
    for mine, theirs in zip(gradients(again, batch), expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_bf16_is_for_the_model_and_float32_for_the_loss(make_policy, kind, checkpointing):
    policy, exact = make_policy(kind, scale=2.0), make_policy(kind, scale=2.0)
    policy.bf16, policy.gradient_checkpointing = True, checkpointing
    batch, inside = padded(PROMPTS, TOKENS), []
    policy.trunk()
    policy.model.get_output_embeddings().register_forward_hook(lambda *seen: inside.append(seen[-1].dtype))
    evaluated = policy.evaluate_tokens(*batch)
    assert inside == [torch.bfloat16]
    assert evaluated.logprobs.dtype == evaluated.entropies.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")
    evaluated.logprobs.mean().backward()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in policy.parameters())
    with torch.no_grad():
        difference = (evaluated.logprobs - exact.logprobs(*batch)[0]).abs()
        drawn = sample(policy, PROMPTS, max_new_tokens=8, generator=torch.Generator().manual_seed(0), ignore_stop=True)
        again, _ = policy.logprobs(drawn.prompt_ids, drawn.prompt_mask, drawn.tokens)
    assert 0 < difference.max() < 0.05
    torch.testing.assert_close(drawn.logprobs, again, atol=0.05, rtol=0)


@pytest.mark.parametrize("settings", [{"bf16": True}, {"gradient_checkpointing": True}])
def test_an_agent_learns_with_it_and_resumes(make_policy, make_bandit, tmp_path, settings):
    settings = settings | {"max_new_tokens": 2, "warmup_updates": 0}
    agent = SFT(make_policy(scale=2.0), make_bandit(16), batch_size=16, learning_rate=3e-3, **settings)
    for _ in range(80):
        metrics = agent.update()
        agent.num_updates += 1
    assert metrics["train/token_probability"] > 0.9
    second = GRPO(agent.policy, make_bandit(8, 4), group_size=4, prompts_per_update=2, **settings)
    second.learn(8)
    second.save(tmp_path / "checkpoint")
    resumed = GRPO.load(tmp_path / "checkpoint", second.env, device="cpu")
    for who in second, resumed:
        assert (who.policy.bf16, who.policy.gradient_checkpointing) == (who.config.bf16, not who.config.bf16)
        who.learn(8)
    for mine, theirs in zip(second.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(mine, theirs)
