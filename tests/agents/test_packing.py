"""Packing: the same numbers from fewer tokens."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Lfm2Config, Lfm2ForCausalLM

from textgym.agents import policy as policy_module
from textgym.agents.packing import first_fit, forward_cost, lay_out, pack, packed_states, takes_packing
from textgym.agents.sampling import pad_left

KINDS = ["llama", "llama-unusual", "qwen2", "gemma3", "gpt2"]


def make_batch(rows, seed=0):
    """Return prompts, mask, tokens and wanted for rows of (prompt, answer's length); prompt i has i + 1 tokens."""
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randint(2, 98, (8, 8), generator=generator).tolist()
    ids, mask = pad_left([texts[which][: which + 1] for which, _ in rows], 1, torch.device("cpu"))
    width = max(length for _, length in rows)
    tokens = torch.randint(2, 98, (len(rows), width), generator=generator)
    wanted = torch.arange(width) < torch.tensor([length for _, length in rows])[:, None]
    return ids, mask, tokens, wanted


def evaluate(policy, batch):
    """Return log-probs, entropies, and the gradients of a loss that weighs each wanted one differently."""
    ids, mask, tokens, wanted = batch
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(tokens.shape, generator=generator) * wanted for _ in range(2))
    evaluated = policy.evaluate_tokens(ids, mask, tokens, wanted=wanted, temperature=0.7, entropy_gradient=True)
    policy.model.zero_grad()
    (first * evaluated.logprobs + second * evaluated.entropies).sum().backward()
    gradients = [parameter.grad.clone() for parameter in policy.parameters()]
    return evaluated.logprobs.detach(), evaluated.entropies.detach(), gradients


@pytest.fixture
def always(monkeypatch):
    """Pack whatever it costs."""
    monkeypatch.setattr(policy_module, "forward_cost", lambda *_: 10**15)


def watch(policy):
    """Return a list of the shapes of ids and of the dimensions of masks in the passes from now on."""
    policy.trunk()
    passes = []

    def hook(module, args, inputs):
        mask = inputs.get("attention_mask")
        passes.append((tuple(inputs["input_ids"].shape), 0 if mask is None else mask.ndim))

    policy.model.base_model.register_forward_pre_hook(hook, with_kwargs=True)
    return passes


def count(passes):
    return sum(rows * columns for (rows, columns), _ in passes)


@pytest.mark.parametrize("kind", KINDS)
def test_packing_changes_neither_values_nor_gradients(make_policy, monkeypatch, kind):
    policy = make_policy(kind, scale=2.0)
    passes = watch(policy)

    @settings(max_examples=10, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 12)), min_size=1, max_size=9))
    def check(rows):
        if not any(length for _, length in rows):
            return
        batch = make_batch(rows)
        with monkeypatch.context() as patch:
            patch.setattr(policy_module, "forward_cost", lambda *_: 10**15)
            del passes[:]
            packed = evaluate(policy, batch)
            assert [dimensions for _, dimensions in passes] == [4]
        with monkeypatch.context() as patch:
            patch.setattr(policy, "_takes_packing", False)
            plain, wanted = evaluate(policy, batch), batch[3]
        for mine, theirs in zip(packed[:2], plain[:2], strict=True):
            torch.testing.assert_close(mine[wanted], theirs[wanted], atol=2e-5, rtol=1e-5)
            assert (mine[~wanted] == 0).all()
        for mine, theirs in zip(packed[2], plain[2], strict=True):
            assert (mine - theirs).norm() <= 1e-4 * theirs.norm() + 1e-5

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_see_the_others_of_its_bin(make_policy, always, kind):
    policy = make_policy(kind)
    rows = [(3, 5), (3, 4), (2, 6), (0, 7), (3, 1)]
    ids, mask, tokens, wanted = make_batch(rows)
    passes = watch(policy)
    before, _ = policy.logprobs(ids, mask, tokens, wanted=wanted)
    (bins, _), _ = passes[0]
    assert bins < len(rows)  # some do share one
    for row in range(len(rows)):
        others = torch.arange(len(rows)) != row
        changed_ids, changed = ids.clone(), torch.where(others[:, None], 99 - tokens, tokens)
        changed_ids[others & (ids != ids[row]).any(1)] += 1  # another prompt where it is not the row's own
        after, _ = policy.logprobs(changed_ids.clamp(max=97), mask, changed, wanted=wanted)
        torch.testing.assert_close(after[row], before[row], atol=2e-5, rtol=0)
        assert (after[others] - before[others]).abs().max() > 0.1


def test_what_is_not_wanted_changes_nothing(make_policy, always):
    policy = make_policy()
    ids, mask, tokens, wanted = make_batch([(3, 5), (1, 2), (6, 0)])
    wanted[0, 1] = False  # the env's own token within an episode: seen by what follows, not predicted
    before = policy.evaluate_tokens(ids, mask, tokens, wanted=wanted)
    beyond = torch.arange(5) >= torch.tensor([5, 2, 0])[:, None]
    after = policy.evaluate_tokens(ids, mask, torch.where(beyond, 50, tokens), wanted=wanted)
    assert torch.equal(before.logprobs, after.logprobs) and torch.equal(before.entropies, after.entropies)
    assert torch.isfinite(before.states).all()
    assert before.logprobs[0, 1] == 0 and (before.logprobs[wanted] < 0).all()
    everything, _ = policy.logprobs(ids, mask, tokens)
    torch.testing.assert_close(before.logprobs[wanted], everything[wanted], atol=1e-4, rtol=0)
    before.logprobs.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in policy.parameters())


@pytest.mark.parametrize("share", [True, False])
def test_ragged_answers_are_packed_and_fewer_tokens_go_through_the_model(make_policy, share):
    policy = make_policy()
    passes = watch(policy)
    lengths = [1, 2, 3, 4, 6, 8, 12, 60]
    ids, mask, tokens, wanted = make_batch([(7 if share else i, length) for i, length in enumerate(lengths)])
    policy.logprobs(ids, mask, tokens, wanted=wanted)
    packed = count(passes)
    del passes[:]
    policy._takes_packing = False
    policy.logprobs(ids, mask, tokens, wanted=wanted)
    present = count(passes)
    assert present == (8 + 8 * 59 if share else 8 * (8 + 59))
    least = sum(lengths) - 8 + (8 if share else sum(range(1, 9)))
    assert least <= packed <= 1.5 * least < 0.4 * present


def test_equal_rows_are_not_packed(make_policy):
    policy = make_policy()
    passes = watch(policy)
    ids, mask = torch.arange(2, 34).view(4, 8), torch.ones(4, 8, dtype=torch.long)
    policy.logprobs(ids, mask, torch.full((4, 9), 5))
    assert passes == [((4, 16), 2)]


def test_rows_longer_than_a_layer_sees_are_not_packed(make_policy):
    policy = make_policy("mistral")  # a window of 6
    passes = watch(policy)
    for lengths, packed in (([1, 1, 1, 5], True), ([1, 1, 1, 6], False)):
        del passes[:]
        ids, mask, tokens, wanted = make_batch([(1, length) for length in lengths])
        logprobs, _ = policy.logprobs(ids, mask, tokens, wanted=wanted)
        assert (passes[0][1] == 4) == packed
        apart, _ = policy.logprobs(ids[-1:, -2:], mask[-1:, -2:], tokens[-1:])
        torch.testing.assert_close(logprobs[-1:], apart, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [*KINDS, "mistral"])
def test_attention_takes_packing(make_policy, kind):
    model = make_policy(kind).model.base_model
    assert takes_packing(model)
    model.set_attn_implementation("eager")
    assert not takes_packing(model)


def test_a_layer_with_a_memory_of_its_own_does_not_take_packing():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    layers = {"layer_types": ["conv", "full_attention"], "num_key_value_heads": 2, "vocab_size": 98}
    model = Lfm2ForCausalLM(Lfm2Config(**sizes, **layers)).eval()
    for parameter in model.parameters():
        parameter.data *= 1.0 if parameter.ndim == 1 else 4.0
    assert not takes_packing(model.base_model)


def test_bins_may_be_longer_than_the_context(make_policy):
    policy = make_policy("gpt2")
    ids, mask, tokens, wanted = make_batch([(7, 150)] * 4)
    packing = pack(mask[:1], torch.zeros(4, dtype=torch.long), wanted, size=10_000)
    assert packing.sources_NL.shape[1] > policy.model.config.max_position_embeddings
    with torch.no_grad():
        states = packed_states(policy.trunk(), packing, ids, tokens)
        alone = policy.states(ids[-1:], mask[-1:], tokens[-1:])
    torch.testing.assert_close(states[-1:], alone, atol=1e-3, rtol=1e-3)


def test_a_batch_without_tokens_is_harmless(make_policy):
    policy = make_policy()
    ids, mask, tokens, wanted = make_batch([(1, 3), (2, 2)])
    for some, width in ((0, 3), (2, 0), (2, 3)):
        empty = wanted[:some, :width] & False
        logprobs, entropies = policy.logprobs(ids[:some], mask[:some], tokens[:some, :width], wanted=empty)
        assert logprobs.shape == entropies.shape == (some, width) and (logprobs == 0).all()
        logprobs.sum().backward()


def test_lay_out_by_hand():
    packing = lay_out([[(0, [1, 0])]], 8, [2], [3, 2], (3, 3))  # one prompt of 2 tokens, answers of 3 and 2
    assert packing.sources_NL.tolist() == [[7, 8, 9, 3, 4, 0, 0, 0]]  # rows of 6; row 1's prompt, then 1 and 2 tokens
    assert packing.positions_NL.tolist() == [[0, 1, 2, 2, 3, 0, 0, 0]]
    assert packing.states_BT.tolist() == [[1, 3, 4], [1, 2, 0]]
    sees = (packing.mask(torch.float32)[0, 0] == 0).long().tolist()
    assert sees == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 0, 1, 0, 0, 0, 0],
        [1, 1, 0, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 1, 1, 1],
    ]


def test_the_bins_are_the_least_work_of_those_tried():
    prompts, prompt_of, wanted = torch.ones(1, 8), torch.zeros(64, dtype=torch.long), torch.ones(64, 9)
    small, large = (pack(prompts, prompt_of, wanted, size).sources_NL.shape for size in (1, 1000))
    assert small == (64, 16) and large == (10, 64)  # 10 * 64 tokens of 64 keys: attention alone is more work
    work = forward_cost(640, 64, 1000)
    assert pack(prompts, prompt_of, wanted, 1000, work / 0.89) is not None
    assert pack(prompts, prompt_of, wanted, 1000, work / 0.91) is None
    assert pack(0 * prompts, prompt_of, wanted, 1000) is None
    assert pack(prompts, prompt_of, 0 * wanted, 1000) is None


@given(st.lists(st.integers(0, 20)), st.integers(20, 50))
def test_first_fit_puts_everything_somewhere_and_nothing_over_the_edge(lengths, room):
    bins = first_fit(lengths, room)
    assert sorted(i for some in bins for i in some) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in some) <= room for some in bins)
    assert len(bins) <= max(1, 2 * sum(lengths) / room + 1)
