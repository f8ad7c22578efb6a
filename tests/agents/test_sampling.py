"""sample: what it draws, what it reports of it, and where responses end."""

import pytest
import torch

from textgym.agents import graphs, sampling
from textgym.agents.decoding import is_plain
from textgym.agents.graphs import GraphDecoder
from textgym.agents.sampling import PromptCache, sample

KINDS = ["llama", "llama-unusual", "qwen2", "mistral", "gpt2"]
PROMPTS = [[5, 6, 7, 8, 9, 10], [11, 12, 13], [5, 6, 7, 8, 9, 10], [20], [11, 12, 13], [21, 22]] * 4


@pytest.fixture(params=["as on a CPU", "as on CUDA"])
def engine(request, monkeypatch):
    """The steps of a CUDA graph are plain torch: one by one they run on a CPU as well."""
    plainly, used = sampling._generate, []

    def generate(model, *arguments, **settings):
        if not is_plain(model):
            return plainly(model, *arguments, **settings)
        used.append(model)
        return graphs.decoder_of(model).generate(model, *arguments, **settings)

    if request.param == "as on CUDA":
        monkeypatch.setattr(sampling, "_generate", generate)
    yield request.param
    assert bool(used) == (request.param == "as on CUDA")


def draw(policy, prompts=PROMPTS, **kwargs):
    kwargs = {"max_new_tokens": 12, "generator": torch.Generator().manual_seed(0)} | kwargs
    return sample(policy, prompts, **kwargs)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("kind", KINDS)
def test_reported_logprobs_equal_the_training_side(make_policy, kind, temperature):
    policy = make_policy(kind, scale=2.0)  # soft, so that rows stop at different times
    drawn = draw(policy, temperature=temperature, max_new_tokens=40)
    trained, _ = policy.logprobs(drawn.prompt_ids, drawn.prompt_mask, drawn.tokens, temperature=temperature)
    assert len(set(drawn.token_mask.sum(1).tolist())) > 4  # rows left the batch
    difference = (drawn.logprobs - trained).abs()[drawn.token_mask]
    assert difference.max() <= 1e-4
    assert (drawn.logprobs[~drawn.token_mask] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_is_what_generate_does_alone(make_policy, kind):
    policy = make_policy(kind)
    drawn = draw(policy, temperature=0)
    for row, prompt in enumerate(PROMPTS[:6]):
        expected = policy.model.generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=12, eos_token_id=0, pad_token_id=1
        )
        assert drawn.tokens[row][drawn.token_mask[row]].tolist() == expected[0, len(prompt) :].tolist()


def test_plain_architectures_decode_without_the_models_forward(make_policy):
    for kind, calls in ("llama", 1), ("qwen2", 1), ("mistral", 5), ("gpt2", 5):
        policy, seen = make_policy(kind), []
        policy.model.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(0))
        draw(policy, max_new_tokens=5, ignore_stop=True)
        assert len(seen) == calls, kind


@pytest.mark.parametrize("pad", ["<pad>", "<eos>"])
def test_the_mask_ends_with_the_stop_token_whatever_pad_is(engine, make_policy, pad):
    policy = make_policy(scale=1.0, pad=pad)
    drawn = draw(policy, PROMPTS * 8, max_new_tokens=100)
    stops = drawn.tokens == 0
    lengths = drawn.token_mask.sum(1)
    for row in range(len(lengths)):
        length = int(lengths[row])
        assert drawn.token_mask[row].tolist() == [True] * length + [False] * (drawn.tokens.shape[1] - length)
        assert bool(drawn.stopped[row]) == bool(stops[row, length - 1])
        assert not stops[row, : length - 1].any()
        assert drawn.stopped[row] or length == 100
    assert drawn.stopped.any() and not drawn.stopped.all()


def test_a_response_may_be_the_stop_token_alone(engine, make_policy):
    policy = make_policy()
    with torch.no_grad():
        policy.model.lm_head.weight.zero_()
        policy.model.lm_head.weight[0] = 0  # all logits equal: greedy takes the first id, which is stop
    drawn = draw(policy, temperature=0)
    assert drawn.tokens.tolist() == [[0]] * len(PROMPTS) and drawn.stopped.all() and drawn.token_mask.all()


def test_no_row_stops_when_told_to_ignore_it(engine, make_policy):
    drawn = draw(make_policy(scale=1.0), max_new_tokens=60, ignore_stop=True)
    assert drawn.tokens.shape == (len(PROMPTS), 60) and drawn.token_mask.all() and not drawn.stopped.any()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_leaving_the_batch_changes_no_other_row(make_policy, monkeypatch, share):
    policy = make_policy(scale=2.0)
    plain = draw(policy, temperature=0, max_new_tokens=50)
    monkeypatch.setattr(sampling, "_COMPACT_BELOW", share)  # never, and as soon as one row stops
    again = draw(policy, temperature=0, max_new_tokens=50)
    assert torch.equal(plain.tokens, again.tokens) and torch.equal(plain.token_mask, again.token_mask)


def test_draws_follow_the_softmax(engine, make_policy):
    policy = make_policy(scale=4.0)
    count = 4000
    drawn = draw(policy, [[5, 6, 7]] * count, max_new_tokens=1, temperature=0.7)
    probabilities = (policy.model(torch.tensor([[5, 6, 7]])).logits[0, -1] / 0.7).softmax(-1)
    observed = torch.bincount(drawn.tokens[:, 0], minlength=len(probabilities)) / count
    error = (probabilities * (1 - probabilities) / count).sqrt()
    assert ((observed - probabilities).abs() <= 5 * error + 1e-3).all()
    assert (probabilities > 0.02).sum() >= 3  # the test would see a sharpened distribution


def test_the_generator_decides(engine, make_policy):
    policy = make_policy(scale=2.0)
    first, second = draw(policy), draw(policy)
    other = draw(policy, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first.tokens, second.tokens) and not torch.equal(first.tokens, other.tokens)
    state = torch.get_rng_state()
    draw(policy)
    assert torch.equal(state, torch.get_rng_state())


def test_one_prefill_for_each_distinct_prompt(make_policy):
    policy = make_policy()
    sizes = []
    embedding = policy.model.get_input_embeddings()
    handle = embedding.register_forward_pre_hook(lambda module, args: sizes.append(tuple(args[0].shape)))
    draw(policy, max_new_tokens=2, ignore_stop=True)
    handle.remove()
    assert sizes == [(4, 6), (24,)]


def continued(prompts, drawn, turn):
    """What an env makes of them: each response and a message of another length; some rows have ended."""
    rows = zip(prompts, drawn.tokens, drawn.token_mask, strict=True)
    said = [[*prompt, *ids[mask].tolist()] for prompt, ids, mask in rows]
    return [context + [12, 13, 14, 15][: 1 + (i + turn) % 4] for i, context in enumerate(said) if (i + turn) % 5]


def test_a_prompt_cache_goes_with_either_engine(engine, make_policy):
    test_turns_are_the_same_with_and_without_a_prompt_cache(make_policy, "llama")


@pytest.mark.parametrize("kind", KINDS)
def test_turns_are_the_same_with_and_without_a_prompt_cache(make_policy, kind):
    policy, prompt_cache, prompts = make_policy(kind, scale=2.0), PromptCache(), PROMPTS
    for turn in range(4):
        drawn = draw(policy, prompts, prompt_cache=prompt_cache, max_new_tokens=5)
        trained, _ = policy.logprobs(drawn.prompt_ids, drawn.prompt_mask, drawn.tokens)
        assert (drawn.logprobs - trained).abs()[drawn.token_mask].max() <= 1e-4
        greedy, again = (
            draw(policy, prompts, prompt_cache=prompt_cache, temperature=0),
            draw(policy, prompts, temperature=0),
        )
        assert torch.equal(greedy.tokens, again.tokens) and torch.equal(greedy.prompt_ids, again.prompt_ids)
        prompts = continued(prompts, drawn, turn)


def test_a_prompt_cache_runs_what_is_new(make_policy):
    policy, prompt_cache, sizes = make_policy(), PromptCache(), []
    policy.model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    for prompts in (
        [[5, 6, 7], [8, 9]],
        [[8, 9, 10, 11, 12], [5, 6, 7, 8]],
        [[5, 6, 7, 8, 9]],
        [[5, 6, 7, 8, 9, 1], [8, 9, 10]],
    ):
        draw(policy, prompts, prompt_cache=prompt_cache, max_new_tokens=3)
    assert sizes == [3, 3, 1, 6]  # the last has a prompt that the call before did not


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": []}, "at least one prompt"),
        ({"prompts": [[1], []]}, "at least one token"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
    ],
)
def test_bad_input_is_named(make_policy, arguments, message):
    with pytest.raises(ValueError, match=message):
        draw(make_policy(), **arguments)


def graph_draws(policy, decoder, monkeypatch, **settings):
    monkeypatch.setattr(sampling, "_generate", decoder.generate)
    return draw(policy, **settings)


@pytest.mark.parametrize("kind", ["llama", "llama-unusual", "qwen2"])
def test_the_steps_of_a_cuda_graph_draw_what_the_others_do(make_policy, monkeypatch, kind):
    policy, settings = make_policy(kind, scale=2.0), {"temperature": 0, "max_new_tokens": 150}
    plain = draw(policy, **settings)
    again = graph_draws(policy, GraphDecoder(), monkeypatch, **settings)
    assert torch.equal(plain.tokens, again.tokens) and torch.equal(plain.stopped, again.stopped)
    assert (plain.logprobs - again.logprobs).abs().max() <= 1e-4


def test_rows_leave_the_memory_of_a_cuda_graph_and_logprobs_stay_right(make_policy, monkeypatch):
    policy, sizes = make_policy(scale=2.0), []
    decoder = GraphDecoder()
    step = decoder._take_step
    monkeypatch.setattr(decoder, "_take_step", lambda model, *size: (sizes.append(size[:2]), step(model, *size)))
    drawn = graph_draws(policy, decoder, monkeypatch, temperature=0.7, max_new_tokens=140)
    trained, _ = policy.logprobs(drawn.prompt_ids, drawn.prompt_mask, drawn.tokens, temperature=0.7)
    assert (drawn.logprobs - trained).abs()[drawn.token_mask].max() <= 1e-4
    assert sizes[0] == (24, 128) and len({rows for rows, _ in sizes}) > 2 and {length for _, length in sizes} > {128}


def test_the_memory_of_a_cuda_graph_serves_again_and_grows(make_policy, monkeypatch):
    policy, decoder = make_policy(scale=2.0), GraphDecoder()
    for prompts, new_tokens in (PROMPTS, 12), (PROMPTS[:5], 30), (PROMPTS * 3, 200), (PROMPTS[2:3], 7):
        settings = {"prompts": prompts, "max_new_tokens": new_tokens, "temperature": 0}
        again = graph_draws(policy, decoder, monkeypatch, **settings)
        monkeypatch.undo()
        assert torch.equal(draw(policy, **settings).tokens, again.tokens)
        with torch.no_grad():  # as an optimiser changes them
            policy.model.lm_head.weight.add_(torch.randn_like(policy.model.lm_head.weight) / 10)


def test_graphs_of_weights_that_have_moved_are_dropped(make_policy, monkeypatch):
    policy, decoder = make_policy(), GraphDecoder()
    settings = {"prompts": PROMPTS, "max_new_tokens": 5, "temperature": 0}
    graph_draws(policy, decoder, monkeypatch, **settings)
    decoder._graphs["captured"] = lambda: None
    with torch.no_grad():
        policy.model.lm_head.weight.mul_(2.0)
    graph_draws(policy, decoder, monkeypatch, **settings)
    assert "captured" in decoder._graphs  # changed where they are: the graphs see it
    policy.model.lm_head.weight.data = policy.model.lm_head.weight.data.clone()
    graph_draws(policy, decoder, monkeypatch, **settings)
    assert not decoder._graphs


@pytest.mark.parametrize("scaled", ["dynamic", "longrope"])
def test_positions_that_ask_for_the_length_are_not_captured(make_policy, scaled):
    policy = make_policy()
    assert graphs.can_capture(policy.model)
    policy.model.config.rope_parameters["rope_type"] = scaled
    assert not graphs.can_capture(policy.model)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_looking_seldom_at_who_has_stopped_changes_nothing(make_policy, monkeypatch, kind):
    policy = make_policy(kind)
    often = draw(policy, temperature=0, max_new_tokens=40)
    monkeypatch.setattr(sampling, "_between_looks", lambda device: 16)
    seldom = draw(policy, temperature=0, max_new_tokens=40)
    width = often.tokens.shape[1]
    assert seldom.tokens.shape[1] <= -(-width // 16) * 16
    assert torch.equal(often.tokens, seldom.tokens[:, :width]) and torch.equal(often.stopped, seldom.stopped)
    assert torch.equal(often.token_mask, seldom.token_mask[:, :width]) and not seldom.token_mask[:, width:].any()
    torch.testing.assert_close(often.logprobs, seldom.logprobs[:, :width])


def test_batches_are_rounded_up_by_less_than_half():
    for rows in range(1, 600):
        assert rows <= graphs._bucket(rows) <= max(rows, 1.5 * rows - 1)
    assert len({graphs._bucket(rows) for rows in range(1, 257)}) <= 16
