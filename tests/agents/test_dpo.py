"""DPO: its loss and gradient against a naive loop and TRL, its pairs, and that it learns what is preferred."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from textgym.agents.dpo import DPO, Pair, contrasting_pairs, dpo_loss, read_pairs
from textgym.envs import Score

SMALL = {"prompts_per_update": 4, "group_size": 4, "max_new_tokens": 5, "warmup_updates": 0, "learning_rate": 1e-3}
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


class OddSum:
    """1 for responses whose characters have an odd sum: a reward that varies whatever the policy."""

    range = (0.0, 1.0)

    def __call__(self, problems, responses):
        odd = np.array([sum(map(ord, response)) % 2 == 1 for response in responses])
        return Score(odd.astype(float), odd)


@pytest.fixture
def make_agent(make_policy, make_bandit):
    def make(reward=None, scale=2.0, policy=None, **hyperparameters):
        settings = SMALL | hyperparameters
        size = settings["group_size"]
        env = make_bandit(settings["prompts_per_update"] * size, size, reward or OddSum())
        return DPO(policy or make_policy(scale=scale), env, **settings)

    return make


@pytest.fixture
def write_pairs(tmp_path):
    def write(*lines, name="pairs.jsonl"):
        path = tmp_path / name
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return path

    return write


def triples(count=6):
    """Preferences of different lengths, some with the prompt of another."""
    return [
        {"prompt": f"{i % 4} or {i}?" * (1 + i % 2), "chosen": "a" * (i % 3), "rejected": "bc" * (1 + i % 4)}
        for i in range(count)
    ]


def parameters(agent):
    return [parameter.detach().clone() for parameter in agent.policy.parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def move(policy, seed, size=0.03):
    """Return a copy of a policy with other weights."""
    moved, generator = copy.deepcopy(policy), torch.Generator().manual_seed(seed)
    for parameter in moved.model.parameters():
        parameter.data += size * torch.randn(parameter.shape, generator=generator)
    return moved


def assert_close_gradients(ours, theirs):
    largest = max(float(gradient.abs().max()) for gradient in theirs)
    assert largest > 1e-3, "there is nothing to compare"
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-5 * max(1.0, largest), rtol=1e-3)


# The loss.


def test_the_loss_by_hand():
    chosen, rejected = torch.tensor([-1.0, -3.0]), torch.tensor([-2.0, -1.0])
    reference = torch.tensor([-1.5, -3.0]), torch.tensor([-1.0, -1.0])
    # z = 0.5 * ((-1 + 1.5) - (-2 + 1)) = 0.75, and 0.5 * (0 - 0) = 0
    expected = [math.log(1 + math.exp(-0.75)), math.log(2)]
    assert dpo_loss(chosen, rejected, *reference, 0.5).tolist() == pytest.approx(expected, rel=1e-6)
    smoothed = 0.9 * math.log(1 + math.exp(-0.75)) + 0.1 * math.log(1 + math.exp(0.75))
    assert dpo_loss(chosen, rejected, *reference, 0.5, 0.1).tolist() == pytest.approx([smoothed, math.log(2)], rel=1e-6)


def test_the_loss_is_finite_far_out():
    far = torch.tensor([-1e5, 0.0], requires_grad=True)
    loss = dpo_loss(far, far.flip(0), torch.zeros(2), torch.zeros(2), 0.1, 0.1)
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(far.grad).all()


def naive_update(policy, reference, pairs, beta, smoothing):
    """Equation 7 of the paper pair by pair, with one unpadded forward pass for each answer."""

    def logprob(model, prompt, answer):
        ids = torch.tensor(prompt + answer)
        logits = model.model(ids[None]).logits[0, len(prompt) - 1 : -1]
        return logits.log_softmax(-1)[torch.arange(len(answer)), torch.tensor(answer)].sum()

    losses = []
    for pair in pairs:
        with torch.no_grad():
            reference_margin = logprob(reference, pair.prompt_ids, pair.chosen_ids) - logprob(
                reference, pair.prompt_ids, pair.rejected_ids
            )
        margin = logprob(policy, pair.prompt_ids, pair.chosen_ids) - logprob(policy, pair.prompt_ids, pair.rejected_ids)
        z = beta * (margin - reference_margin)
        losses.append(-(1 - smoothing) * z.sigmoid().log() - smoothing * (-z).sigmoid().log())
    total = sum(losses) / len(losses)
    return total.detach(), torch.autograd.grad(total, list(policy.parameters()))


@pytest.mark.parametrize(
    ("kind", "micro_batch_size", "smoothing"), [("llama", None, 0.0), ("llama", 1, 0.2), ("gpt2", 4, 0.2)]
)
def test_loss_and_gradients_equal_a_naive_loop(
    make_agent, make_policy, write_pairs, gradients_of_update, kind, micro_batch_size, smoothing
):
    agent = make_agent(
        policy=make_policy(kind, scale=3.0), pairs=write_pairs(*triples()), prompts_per_update=6,
        beta=0.3, label_smoothing=smoothing, micro_batch_size=micro_batch_size,
    )  # fmt: skip
    agent.reference = move(agent.policy, 1)
    expected_loss, expected = naive_update(agent.policy, agent.reference, agent.pairs, 0.3, smoothing)
    loss, gradients = gradients_of_update(agent)
    torch.testing.assert_close(loss, expected_loss, atol=1e-5, rtol=1e-5)
    assert_close_gradients(gradients, expected)


@pytest.mark.filterwarnings("ignore")  # of the deprecations that TRL and accelerate meet
def test_loss_gradients_and_metrics_equal_trl(
    make_agent, make_policy, write_pairs, gradients_of_update, monkeypatch, tmp_path
):
    """TRL's own trainer, around copies of our models; only the collating of tokens is ours."""
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    agent = make_agent(policy=make_policy(scale=3.0), pairs=write_pairs(*triples()), prompts_per_update=6, beta=0.3)
    agent.reference = move(agent.policy, 1)
    trainer = trl.DPOTrainer(
        copy.deepcopy(agent.policy.model),
        ref_model=copy.deepcopy(agent.reference.model),
        args=trl.DPOConfig(
            output_dir=str(tmp_path / "trl"), beta=0.3, gradient_checkpointing=False, bf16=False, use_cpu=True,
            report_to="none",
        ),
        train_dataset=Dataset.from_list(triples()),
        processing_class=agent.policy.tokenizer.hf,
    )  # fmt: skip
    rows = [(pair.prompt_ids, pair.chosen_ids) for pair in agent.pairs]
    rows += [(pair.prompt_ids, pair.rejected_ids) for pair in agent.pairs]
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    pad = agent.policy.tokenizer.pad_id
    ids = [[*prompt, *answer] + [pad] * (width - len(prompt) - len(answer)) for prompt, answer in rows]
    answers = [
        [0] * len(prompt) + [1] * len(answer) + [0] * (width - len(prompt) - len(answer)) for prompt, answer in rows
    ]
    known = [[1] * (len(prompt) + len(answer)) + [0] * (width - len(prompt) - len(answer)) for prompt, answer in rows]
    inputs = {"input_ids": ids, "attention_mask": known, "completion_mask": answers}
    trainer.model.train()  # has no dropout; the metrics are kept by mode
    their_loss = trainer.compute_loss(trainer.model, {name: torch.tensor(value) for name, value in inputs.items()})
    their_loss.backward()
    loss, gradients = gradients_of_update(agent)
    torch.testing.assert_close(loss, their_loss.detach(), atol=1e-5, rtol=1e-5)
    assert_close_gradients(gradients, [parameter.grad for parameter in trainer.model.parameters()])

    monkeypatch.setattr(agent, "step_optimizer", lambda: 0.0)
    metrics = agent.update()
    for name in ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"):
        (theirs,) = trainer._metrics["train"][name]
        assert metrics[f"train/{name}"] == pytest.approx(theirs, abs=1e-4), name
    for name in ("logps/chosen", "logps/rejected"):
        (theirs,) = trainer._metrics["train"][name]
        assert metrics[f"train/{name}"] == pytest.approx(theirs, rel=1e-4), name


@pytest.mark.parametrize("micro_batch_size", [None, 2])
@pytest.mark.parametrize("offline", [False, True])
def test_it_begins_at_ln_2_and_learning_rate_0_stays_there(make_agent, write_pairs, offline, micro_batch_size):
    pairs = write_pairs(*triples()) if offline else None
    agent = make_agent(pairs=pairs, learning_rate=0.0, micro_batch_size=micro_batch_size)
    before = parameters(agent)
    for _ in range(3):
        metrics = agent.update()
        agent.num_updates += 1
        assert metrics["train/loss"] == pytest.approx(math.log(2), abs=1e-7) and metrics["train/grad_norm"] > 0
        names = ("chosen", "rejected", "margins", "accuracies")
        assert all(metrics[f"train/rewards/{name}"] == 0.0 for name in names)
        assert metrics["train/logps/chosen"] < 0
    assert same(before, parameters(agent))


# The pairs of an env.


def test_the_best_is_preferred_to_the_worst():
    nan = float("nan")
    returns = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, nan, 1.0, nan, 0.0, nan, 0.5, 0.1, 0.9, 0.3, 0.9])
    groups = torch.tensor([0] * 5 + [7] * 5 + [2] * 5)
    rows = contrasting_pairs(returns, groups).view(-1, 2).tolist()
    assert rows == [[1, 3], [2, 0], [12, 11], [14, 13], [6, 8]]


def test_groups_without_contrast_and_failed_verifiers_teach_nothing(make_agent, first_char):
    for reward in first_char(sign=0.0), first_char(broken=""):
        agent = make_agent(reward, learning_rate=1.0)
        before = parameters(agent)
        metrics = agent.update()
        assert metrics["rollout/frac_kept"] == 0.0 and "train/loss" not in metrics
        assert same(before, parameters(agent)) and agent.num_timesteps == 16


def test_sampled_pairs_are_answers_to_one_problem_with_different_rewards(make_agent):
    agent = make_agent(n_minibatches=3, micro_batch_size=1)
    batch, metrics = agent._sampled_pairs()
    pairs = len(batch.prompts) // 2
    assert pairs > 3 and metrics["rollout/frac_kept"] == 2 * pairs / 16
    assert (batch.returns[::2] == 1.0).all() and (batch.returns[1::2] == 0.0).all()
    assert torch.equal(batch.group_ids[::2], batch.group_ids[1::2])
    seen = []
    for rows in agent.minibatches(batch):
        for part in agent.micro_batches(rows, batch.width):
            assert len(part) == 2 and part[0] % 2 == 0 and part[1] == part[0] + 1
            seen += part.tolist()
    assert sorted(seen) == list(range(2 * pairs))


def test_games_and_token_envs_make_pairs_too(make_policy):
    import gymnasium as gym

    import textgym  # noqa: F401

    policy = make_policy(scale=2.0)
    tokens = gym.make("TextIncreasingTokens-v0", tokenizer=policy.tokenizer, dense=True)
    for env in (gym.make("TextGuessNumber-v0", high=3), tokens):
        agent = DPO(policy, env, **SMALL | {"prompts_per_update": 8})
        rollout = agent.collect()
        rollout.rewards[:, 0] += torch.arange(len(rollout.prompts)) / 100
        agent.collect = lambda rollout=rollout: rollout
        assert math.isfinite(agent.update()["train/loss"])


# That it learns.


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("offline", [False, True])
def test_a_bandit_is_solved_and_flipped_preferences_undo_it(make_agent, first_char, write_pairs, offline, flipped):
    lines = [{"prompt": "a or b?", "chosen": "a", "rejected": other} for other in "bcdefgh"]
    if flipped:
        lines = [line | {"chosen": line["rejected"], "rejected": "a"} for line in lines]
    agent = make_agent(
        first_char(sign=-1.0 if flipped else 1.0), scale=1.0, pairs=write_pairs(*lines) if offline else None,
        prompts_per_update=8, group_size=8, max_new_tokens=2, learning_rate=3e-3,
    )  # fmt: skip
    policy = agent.policy
    a = policy.tokenizer.encode_response("a")[0]
    prompt = torch.tensor([policy.tokenizer.encode_prompt("a or b?")])

    def probability_of_a():
        with torch.no_grad():
            return policy.model(prompt).logits[0, -1].softmax(-1)[a].item()

    with torch.no_grad():  # begin where a is likely
        hidden = policy.model.model(prompt).last_hidden_state[0, -1]
        policy.model.lm_head.weight[a] += 3.5 * hidden / hidden.norm() ** 2
    agent.reference.model.load_state_dict(policy.model.state_dict())
    begin = probability_of_a()
    assert 0.1 < begin < 0.6
    for _ in range(150):
        metrics = agent.update()
        agent.num_updates += 1
        if (probability_of_a() < 0.05) if flipped else (probability_of_a() > 0.95):
            if "train/loss" in metrics:
                assert metrics["train/rewards/accuracies"] > 0.5
            return
    raise AssertionError(f"after 150 updates p(a) = {probability_of_a():.3f}")


# Resuming.


@pytest.mark.parametrize("settings", [{"n_epochs": 2, "n_minibatches": 2}, {"pairs": True, "n_minibatches": 2}])
def test_5_updates_save_load_5_updates_equal_10(make_agent, write_pairs, tmp_path, settings):
    if "pairs" in settings:
        settings = settings | {"pairs": write_pairs(*triples(7))}
    straight, broken = (make_agent(**settings, warmup_updates=3) for _ in range(2))
    beginning = parameters(straight)
    for agent, updates in ((straight, 10), (broken, 5)):
        for _ in range(updates):
            agent.learn(1)
    broken.save(tmp_path / "checkpoint")
    resumed = DPO.load(tmp_path / "checkpoint", broken.env, device="cpu")
    assert resumed.num_updates == 5 and resumed.config == broken.config
    assert same(list(resumed.reference.parameters()), beginning)
    for _ in range(5):
        resumed.learn(1)
    assert not same(parameters(straight), beginning)
    assert same(parameters(straight), parameters(resumed))
    first, second = straight.optimizer.state_dict(), resumed.optimizer.state_dict()
    for key, state in first["state"].items():
        assert all(torch.equal(value, second["state"][key][name]) for name, value in state.items())
    assert straight.num_timesteps == resumed.num_timesteps


def test_a_run_logs_its_metrics_and_its_pairs(make_agent, write_pairs, tmp_path, capsys):
    agent = make_agent(pairs=write_pairs(*triples()), transcripts_every=1)
    agent.logdir, agent.verbose = tmp_path / "log", 1
    agent.learn(16)
    lines = [json.loads(line) for line in (tmp_path / "log/metrics.jsonl").read_text().splitlines()]
    assert [line["time/total_timesteps"] for line in lines] == [8, 16]
    assert {"train/rewards/margins", "train/logps/chosen", "train/loss", "train/entropy"} <= set(lines[0])
    assert "rewards/margins" in capsys.readouterr().out
    transcript = json.loads((tmp_path / "log/transcripts.jsonl").read_text().splitlines()[0])
    assert {key: transcript[key] for key in ("prompt", "chosen", "rejected")} in triples()
    assert isinstance(agent.predict("a or b?")[0], str)


# The file.


def test_every_pair_comes_once_in_a_pass_and_passes_differ(make_agent, write_pairs):
    agent = make_agent(pairs=write_pairs(*triples(6)), prompts_per_update=4)
    prompts = []
    for _ in range(6):  # four passes
        batch = agent._next_pairs()
        agent.num_updates += 1
        assert batch.prompts[::2] == batch.prompts[1::2]
        prompts += list(zip(batch.prompts[::2], batch.responses[::2], batch.responses[1::2], strict=True))
    expected = sorted((line["prompt"], line["chosen"], line["rejected"]) for line in triples(6))
    passes = [prompts[start : start + 6] for start in range(0, 24, 6)]
    assert all(sorted(one) == expected for one in passes) and len(set(map(tuple, passes))) > 1
    assert agent.num_timesteps == 6 * 4 * 2


def test_strings_and_messages_mean_the_same(make_policy, write_pairs):
    policy = make_policy()
    text = {"prompt": "2 + 2?", "chosen": "4", "rejected": "22"}
    chat = {
        "prompt": [{"role": "user", "content": "2 + 2?"}],
        "chosen": [{"role": "assistant", "content": "4"}],
        "rejected": [{"role": "assistant", "content": "22"}],
    }
    first, second = read_pairs(write_pairs(text, "", chat), policy)
    assert first == second
    stop = policy.tokenizer.stop_id
    assert first == Pair(
        "2 + 2?", "4", "22", policy.tokenizer.encode_prompt("2 + 2?"),
        [*policy.tokenizer.encode_response("4"), stop], [*policy.tokenizer.encode_response("22"), stop],
    )  # fmt: skip


def test_a_prompt_of_several_messages_goes_through_the_chat_template(make_policy, write_pairs):
    policy = make_policy()
    history = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "and 3?"},
    ]
    path = write_pairs({"prompt": history, "chosen": "7", "rejected": "no"})
    with pytest.raises(ValueError, match=r"pairs.jsonl, line 1: .*chat template"):
        read_pairs(path, policy)
    policy.tokenizer.hf.chat_template = TEMPLATE
    (pair,) = read_pairs(path, policy)
    stop = policy.tokenizer.hf.eos_token
    expected = f"<system>be brief<user>2 + 2?<assistant>4{stop}<user>and 3?<assistant>"
    assert isinstance(policy.tokenizer.hf, PreTrainedTokenizerFast)
    assert policy.tokenizer.hf.decode(pair.prompt_ids) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "a", "chosen": ', "line 2: .*Expecting value"),
        ('["a", "b", "c"]', "line 2: expected an object with prompt, chosen and rejected"),
        ({"prompt": "a", "chosen": "b"}, "line 2: rejected missing"),
        ({"chosen": "b"}, "line 2: prompt and rejected missing"),
        ({"prompt": "a", "chosen": 4, "rejected": "b"}, "line 2: chosen must be a string or a list"),
        ({"prompt": [], "chosen": "4", "rejected": "b"}, "line 2: prompt must be a string or a list"),
        ({"prompt": [{"role": "user"}], "chosen": "4", "rejected": "b"}, "line 2: prompt must be a string or a list"),
        (
            {"prompt": "a", "chosen": "4", "rejected": [{"role": "user", "content": "b"}]},
            "line 2: rejected must be one message of the assistant",
        ),
        ({"prompt": "a" * 600, "chosen": "4", "rejected": "b"}, "line 2: prompt and answer have 601 tokens"),
    ],
)
def test_a_malformed_line_is_named(make_policy, write_pairs, line, message):
    path = write_pairs({"prompt": "a", "chosen": "b", "rejected": "c"}, line)
    with pytest.raises(ValueError, match=f"pairs.jsonl, {message}"):
        read_pairs(path, make_policy())


def test_what_is_no_text_is_named(make_policy, tmp_path):
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xe9t\xe9", "chosen": "a", "rejected": "b"}\n')
    with pytest.raises(ValueError, match=r"latin.jsonl, line 1: .*can't decode"):
        read_pairs(tmp_path / "latin.jsonl", make_policy())
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="there are no pairs in"):
        read_pairs(tmp_path / "empty.jsonl", make_policy())
    with pytest.raises(FileNotFoundError, match=r"no_such.jsonl"):
        read_pairs(tmp_path / "no_such.jsonl", make_policy())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0.0}, "beta must be > 0, got 0.0"),
        ({"label_smoothing": 0.5}, "label_smoothing must be >= 0 and < 0.5, got 0.5"),
        ({"group_size": 1}, "group_size must be >= 2, got 1"),
    ],
)
def test_bad_settings_are_named(make_agent, settings, message):
    with pytest.raises(ValueError, match=message):
        make_agent(**settings)
