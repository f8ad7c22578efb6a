"""Reward models: loss, metrics, scores, learning. Run: pytest tests/agents/test_reward_model.py"""

from __future__ import annotations

import copy
import dataclasses
import math
import string

import gymnasium as gym
import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    GPT2ForSequenceClassification,
)

import textgym
from textgym.agents.preferences import AnswerPair, OracleAnnotator, Preference
from textgym.agents.reward_ensemble import RewardEnsemble
from textgym.agents.reward_model import RewardModel
from textgym.agents.reward_training import FitConfig, bradley_terry_loss, pair_metrics
from textgym.envs import Problem, Score
from textgym.envs.rewards import ExactMatch, Rubric
from textgym.wrappers import MonitorReward

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)
ANSWERS = ["yes", "", "no" * 20, "a b c", "x" * 7, "yes!", "\x00", "\N{PILE OF POO}", "\ud800", "<eos>", "<pad>"]


@pytest.fixture
def make_reward_model(make_policy, tmp_path):
    """Return a maker of reward models on random language models, from their folders."""

    def make(kind="llama", template=TEMPLATE, seed=0, name="backbone"):
        policy = make_policy(kind, scale=2.0)
        policy.tokenizer.hf.chat_template = template
        policy.save(tmp_path / name)
        return RewardModel.load(tmp_path / name, device="cpu", seed=seed)

    return make


def problems(count):
    return [Problem(f"What is {i % 3}?") for i in range(count)]


class Vowels:
    range = (0.0, 100.0)

    def __call__(self, problems, responses):
        total = np.array([float(sum(char in "aeiou" for char in response)) for response in responses])
        return Score(total, total > 0)


def random_pairs(count, seed):
    """Preferences without noise of words with more vowels."""
    rng, letters = np.random.default_rng(seed), list(string.ascii_lowercase)

    def word():
        return "".join(rng.choice(letters, int(rng.integers(3, 9))))

    preferences = []
    while len(preferences) < count:
        pair = AnswerPair(Problem(f"Word {rng.integers(100)}:"), word(), word())
        preferences += [each for each in OracleAnnotator(Vowels())([pair]) if each is not None]
    return preferences


# The loss and the metrics.


def test_the_loss_by_hand():
    chosen, rejected = torch.tensor([2.0, -1.0, 0.0]), torch.tensor([0.5, 1.0, 0.0])
    expected = [math.log(1 + math.exp(-1.5)) + 0.1 * 2.5**2, math.log(1 + math.exp(2.0)), math.log(2)]
    assert bradley_terry_loss(chosen, rejected, 0.1).tolist() == pytest.approx(expected, rel=1e-6)
    far = torch.tensor([-1e4], requires_grad=True)
    bradley_terry_loss(far, -far, 0.01).sum().backward()
    assert torch.isfinite(far.grad).all() and far.grad < 0  # the loss falls as the chosen score rises


def test_the_metrics_by_hand():
    scores = np.array([[1.0, 0.0, 2.0, -1.0], [0.0, 1.0, 2.0, -3.0]])
    lengths = [[3, 1, 2, 9], [1, 3, 2, 4]]
    metrics = pair_metrics(scores, lengths)
    assert metrics.accuracy == (1 + 0 + 0.5 + 1) / 4 and metrics.pairs == 4
    assert metrics.margin == (1 - 1 + 0 + 2) / 4
    sigma = [1 / (1 + math.exp(-x)) for x in (0.0, 1.0, 2.0)]
    losses = [-math.log(sigma[1]), -math.log(1 - sigma[1]), math.log(2), -math.log(sigma[2])]
    assert metrics.loss == pytest.approx(sum(losses) / 4)
    # bins of the confidence: 0.5 (right by half), 0.731 twice (right once), 0.881 (right)
    assert metrics.ece == pytest.approx((abs(1 - 2 * sigma[1]) + abs(1 - sigma[2])) / 4)
    # differences of the scores 1, -1, 0, 2, of the lengths 2, -2, 0, 5
    assert metrics.length_correlation == pytest.approx((2 + 2 + 10) / math.sqrt(6 * 33))
    assert metrics.label_length_correlation == pytest.approx(5 / math.sqrt(4 * 33))


def test_the_calibration_of_a_calibrated_model_is_0():
    rng = np.random.default_rng(0)
    margins = rng.normal(0, 2, 100_000)
    chosen = np.where(rng.random(100_000) < 1 / (1 + np.exp(-margins)), margins, -margins)
    lengths = np.ones((2, 100_000), int).tolist()
    right = pair_metrics(np.stack([chosen, 0 * chosen]), lengths)
    assert right.ece < 0.01 and math.isnan(right.length_correlation)
    assert pair_metrics(np.stack([5 * chosen, 0 * chosen]), lengths).ece > 0.1
    with pytest.raises(ValueError, match="no pairs"):
        pair_metrics(np.zeros((2, 0)), [[], []])


# The scores.


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2", "mistral"])
@pytest.mark.parametrize("template", [TEMPLATE, None])
def test_what_is_saved_scores_alike_in_transformers(make_reward_model, tmp_path, kind, template):
    model = make_reward_model(kind, template)
    model.normalise(problems(6), ANSWERS[:6])
    model.save(tmp_path / "saved")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    ours = model.scores(["What is 1?"] * 6, ANSWERS[:6])
    for answer, score in zip(ANSWERS[:6], ours, strict=True):
        if template:
            text = f"<user>What is 1?<assistant>{answer}{tokenizer.eos_token}"
            inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        else:
            inputs = tokenizer("What is 1?" + answer, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            assert theirs(**inputs).logits.item() == pytest.approx(score, abs=1e-5)
    assert np.ptp(ours) > 0.01
    again = RewardModel.load(tmp_path / "saved", device="cpu", seed=5)
    assert again.snapshot == model.snapshot and again.normalisation == model.normalisation
    np.testing.assert_array_equal(again(problems(6), ANSWERS[:6]).total, model(problems(6), ANSWERS[:6]).total)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_order_and_company_change_no_score(make_reward_model, kind):
    model = make_reward_model(kind)
    model.normalise(problems(6), ANSWERS[:6])
    questions, answers = problems(60), [ANSWERS[i % 8] + "z" * i for i in range(60)]
    together = model(questions, answers).total
    np.testing.assert_array_equal(model(questions, answers).total, together)
    np.testing.assert_allclose(model(questions[::-1], answers[::-1]).total[::-1], together, atol=1e-5, rtol=0)
    alone = [model([q], [a]).total[0] for q, a in zip(questions, answers, strict=True)]
    np.testing.assert_allclose(alone, together, atol=1e-5, rtol=0)


def test_an_encoder_reads_pairs_of_texts(make_policy, tmp_path):
    hf = make_policy().tokenizer.hf
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(hf), num_labels=1, pad_token_id=1, **sizes)
    theirs = BertForSequenceClassification(config)
    for parameter in theirs.parameters():  # sharper, so that a wrong mask shows
        parameter.data.add_(torch.randn_like(parameter) / 3)
    theirs.save_pretrained(tmp_path)
    hf.save_pretrained(tmp_path)
    model = RewardModel.load(tmp_path, device="cpu")
    scores = model.scores(["a?"] * 2, ["yes", "no, never"])
    with torch.no_grad():
        theirs = [model.model(**hf("a?", text, return_tensors="pt")).logits.item() for text in ("yes", "no, never")]
    np.testing.assert_allclose(scores, theirs, atol=1e-5)


def test_a_classifier_that_exists_is_taken_as_it_is(make_policy, tmp_path):
    policy = make_policy("gpt2")
    config = copy.deepcopy(policy.model.config)
    config.num_labels = 1
    theirs = GPT2ForSequenceClassification(config)
    theirs.save_pretrained(tmp_path)
    policy.tokenizer.hf.save_pretrained(tmp_path)
    for seed in 0, 1:
        torch.testing.assert_close(
            RewardModel.load(tmp_path, device="cpu", seed=seed).model.score.weight, theirs.score.weight
        )
    config.num_labels = 2
    GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="a reward model has one output"):
        RewardModel.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        RewardModel.load(tmp_path / "no" / "such")


def test_a_new_head_is_a_matter_of_the_seed(make_reward_model):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, again, other = (make_reward_model(seed=seed) for seed in (0, 0, 1))
    assert first.snapshot == again.snapshot != other.snapshot
    head = RewardModel.load("tiny", device="cpu").model.score.weight
    assert float(head.detach().std()) == pytest.approx(1 / math.sqrt(193), rel=0.2)
    torch.manual_seed(3)
    assert torch.equal(torch.random.get_rng_state(), before)


# As a reward.


def test_the_warm_start_has_mean_0_and_deviation_1(make_reward_model):
    model = make_reward_model()
    with pytest.raises(ValueError, match="call normalise"):
        model(problems(1), ["a"])
    model.normalise(problems(30), [string.ascii_letters[i : 2 * i] for i in range(30)])
    score = model(problems(30), [string.ascii_letters[i : 2 * i] for i in range(30)])
    assert score.total.mean() == pytest.approx(0, abs=1e-5) and score.total.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(score.success, score.total > 0)
    first = model.normalisation
    model.normalise(problems(31), [*(string.ascii_letters[i : 2 * i] for i in range(30)), "a" * 600])
    assert model.normalisation == pytest.approx(first)  # an answer that does not fit has no score to count
    with pytest.raises(ValueError, match="normalise nothing"):
        model.normalise(problems(1) * 3, ["a"] * 3)
    model.model.config.reward_std = 1e-9
    assert set(model(problems(30), ANSWERS[:2] * 15).total) <= {-10.0, 10.0}


def test_hostile_and_endless_answers(make_reward_model):
    model = make_reward_model()
    model.normalise(problems(6), ANSWERS[:6])
    score = model(problems(13), [*ANSWERS, "a" * 600, "a" * 2**20])
    assert score.total[-2:].tolist() == [-10.0, -10.0] and set(score.status) == {"ok"}
    assert np.isfinite(score.total).all()
    with pytest.raises(ValueError, match="alone exceeds the context"):
        model([Problem("a" * 600)], ["a"])
    stop, pad = model.tokenizer.eos_token_id, model.tokenizer.pad_token_id
    ids = model.encode("a", f"x{model.tokenizer.eos_token}<<eos>eos><pad>")
    assert pad not in ids and ids.count(stop) == 1 and ids[-1] == stop


def test_a_score_that_is_not_finite_is_an_error(make_reward_model):
    model = make_reward_model()
    model.normalise(problems(6), ANSWERS[:6])
    model.model.score.weight.data[0, 0] = math.inf
    score = model(problems(2), ["a", "b"])
    assert np.isnan(score.total).all() and set(score.status) == {"error"} and not score.success.any()


def test_an_env_takes_it(make_reward_model):
    model = make_reward_model()
    model.normalise(problems(6), ANSWERS[:6])
    assert copy.deepcopy(model) is model
    env = textgym.make_env([{"prompt": "What is 1?"}], model, split="train", num_envs=2)
    _, infos = env.reset(seed=0)
    assert list(infos["reward_snapshot"]) == [model.snapshot] * 2
    _, rewards, *_, infos = env.step(("yes", "no"))
    expected = model([Problem("What is 1?")] * 2, ["yes", "no"]).total
    np.testing.assert_allclose(rewards, expected, atol=1e-5)
    last = infos.get("final_info", infos)
    assert list(last["reward_status"]) == ["ok", "ok"]
    assert isinstance(env, gym.vector.VectorEnv) and env.reward_range == (-10.0, 10.0)


@pytest.mark.parametrize("kind", ["model", "ensemble", "in a rubric"])
@pytest.mark.parametrize("num_envs", [None, 2])
def test_an_env_begins_no_episode_before_there_is_a_scale(make_reward_model, kind, num_envs, recwarn):
    models = [make_reward_model(seed=0), make_reward_model(seed=1)]
    model = RewardEnsemble(models) if kind == "ensemble" else models[0]
    reward = Rubric({"exact": (ExactMatch(), 1.0), "model": (model, 0.1)}) if kind == "in a rubric" else model
    env = textgym.make_env([{"prompt": "What is 1?", "answer": 1}], reward, split="train", num_envs=num_envs)
    for _ in range(2):
        with pytest.raises(ValueError, match="has no scale yet: call normalise with answers of the warm start"):
            env.reset(seed=0)
        model.normalise(problems(6), ANSWERS[:6])
        env.reset(seed=0)
        model.fit([Preference(f"{i}?", "a", "b") for i in range(20)])  # which makes the scale void
    with pytest.raises(ValueError, match="call normalise"):
        MonitorReward(gym.make("TextCopy-v0"), gold=model)
    assert not [warning for warning in recwarn if "failed on" in str(warning.message)]


# Learning.


def test_one_step_has_the_gradient_of_a_naive_loop(make_reward_model, monkeypatch):
    pairs = [Preference("a?", "yes", "no, never"), Preference("b?", "x" * 9, "y"), Preference("c?", "", "z")]
    model = make_reward_model()
    losses = []
    for pair in pairs:
        scores = [
            model.model(input_ids=torch.tensor([model.encode(pair.prompt, answer)])).logits[0, 0]
            for answer in (pair.chosen, pair.rejected)
        ]
        losses.append(-(scores[0] - scores[1]).sigmoid().log() + 0.01 * (scores[0] + scores[1]) ** 2)
    expected = torch.autograd.grad(sum(losses) / 3, list(model.model.parameters()))
    seen = []
    monkeypatch.setattr(
        torch.nn.utils, "clip_grad_norm_", lambda p, m: seen.extend(x.grad.clone() for x in p) or torch.ones(())
    )
    model.fit(pairs, pairs, batch_size=3, micro_batch_size=2, learning_rate=0.0)
    assert len(seen) == len(expected)
    for ours, theirs in zip(seen, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_few_steps_learn_something_simple(make_reward_model, bf16):
    rng = np.random.default_rng(0)
    pairs = [Preference(f"{i}?", "a" * int(rng.integers(1, 6)), "b" * int(rng.integers(1, 6))) for i in range(64)]
    model = make_reward_model()
    model.normalise(problems(6), ANSWERS[:6])
    before = model.snapshot
    metrics = model.fit(pairs, epochs=4, batch_size=8, learning_rate=1e-2, bf16=bf16)
    assert metrics.accuracy == 1.0 and metrics.margin > 1 and metrics.pairs == 7
    assert model.normalisation is None and model.snapshot != before
    flipped = [Preference(p.prompt, p.rejected, p.chosen) for p in pairs]
    assert model.evaluate(flipped).accuracy < 0.05
    again = make_reward_model()
    assert (
        dataclasses.astuple(again.fit(pairs, epochs=4, batch_size=8, learning_rate=1e-2, bf16=bf16))[:4]
        == (dataclasses.astuple(metrics)[:4])
    )


def test_pairs_that_do_not_fit_and_bad_settings_are_named(make_reward_model):
    model = make_reward_model()
    with pytest.raises(ValueError, match=r"pair 1: .* tokens exceed the context of 512"):
        model.fit([Preference("a", "b", "c"), Preference("a", "b" * 600, "c")], [Preference("a", "b", "c")])
    with pytest.raises(ValueError, match="no pairs"):
        model.evaluate([])
    for name, value in [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", -1.0),
        ("centering", -1.0),
        ("max_grad_norm", 0),
    ]:
        with pytest.raises(ValueError, match=f"{name} must be"):
            FitConfig(**{name: value})


def test_chats_are_read_with_and_without_a_template(make_reward_model):
    chat = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"})
    with_template, without = make_reward_model(), make_reward_model(template=None, name="plain")
    decode = with_template.tokenizer.decode
    assert decode(with_template.encode(chat, "d")) == "<user>a<assistant>b<eos><user>c<assistant>d<eos>"
    assert decode(without.encode(chat, "d")) == "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d"


# Ensembles.


def test_the_rules_of_an_ensemble(make_reward_model, tmp_path):
    members = [make_reward_model(seed=seed) for seed in range(3)]
    questions, answers = problems(12), [string.ascii_letters[i : 2 * i] for i in range(12)]
    for rule, combine in [
        ("mean", lambda t: t.mean(0)), ("min", lambda t: t.min(0)), ("mean-std", lambda t: t.mean(0) - t.std(0)),
    ]:  # fmt: skip
        ensemble = RewardEnsemble(members, rule)
        with pytest.raises(ValueError, match="call normalise"):
            ensemble(questions, answers)
        ensemble.normalise(questions, answers)
        totals = np.stack([member(questions, answers).total for member in members])
        expected = combine(totals)
        score = ensemble(questions, answers)
        np.testing.assert_allclose(score.total, (expected - expected.mean()) / expected.std(), atol=1e-6)
        np.testing.assert_allclose(score.parts["uncertainty"], totals.std(0), atol=1e-6)
        assert score.parts["uncertainty"].max() > 0.1
        ensemble.save(tmp_path / rule)
        again = RewardEnsemble.load(tmp_path / rule, device="cpu")
        assert again.snapshot == ensemble.snapshot
        np.testing.assert_array_equal(again(questions, answers).total, score.total)
    with pytest.raises(ValueError, match="two members"):
        RewardEnsemble(members[:1])
    with pytest.raises(ValueError, match="there twice"):
        RewardEnsemble([*members, members[0]])
    with pytest.raises(ValueError, match="rule must be one of"):
        RewardEnsemble(members, "median")


def test_a_folder_of_the_other_kind_names_its_class(make_reward_model, tmp_path):
    models = [make_reward_model(seed=0), make_reward_model(seed=1)]
    models[0].save(tmp_path / "one")
    RewardEnsemble(models).save(tmp_path / "two")
    with pytest.raises(ValueError, match=r"two holds an ensemble: load it with RewardEnsemble\.load"):
        RewardModel.load(tmp_path / "two")
    with pytest.raises(ValueError, match=r"one holds a single model: load it with RewardModel\.load"):
        RewardEnsemble.load(tmp_path / "one")
    with pytest.raises(FileNotFoundError, match=r"none holds no ensemble: ensemble\.json is missing"):
        RewardEnsemble.load(tmp_path / "none")


def test_names(make_reward_model):
    model = make_reward_model()
    size = f"{sum(parameter.numel() for parameter in model.model.parameters()):,}"
    assert repr(model) == f"RewardModel(LlamaForSequenceClassification, {size} parameters, without a scale)"
    model.normalise(problems(6), ANSWERS[:6])
    assert repr(model).endswith("parameters, normalised)")
    ensemble = RewardEnsemble([model, make_reward_model(seed=1)])
    assert repr(ensemble) == f"RewardEnsemble(2 members, 'mean-std', the first {model!r})"


def test_an_ensemble_learns(make_reward_model, tmp_path):
    twins = RewardEnsemble([make_reward_model(), make_reward_model()])
    ensemble = RewardEnsemble.start(tmp_path / "backbone", 2, device="cpu")
    pairs = [Preference(f"{i}?", "a", "b" * (1 + i % 3)) for i in range(40)]
    metrics = ensemble.fit(pairs, epochs=3, batch_size=8, learning_rate=1e-2)
    assert metrics.accuracy == 1.0
    assert ensemble.members[0].snapshot != ensemble.members[1].snapshot
    twins.fit(pairs, batch_size=8)
    assert twins.members[0].snapshot != twins.members[1].snapshot  # they saw the pairs in other orders


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tiny_model_learns_to_count_vowels():
    model = RewardModel.load("tiny", device="cpu")
    held_out = random_pairs(1_000, seed=1)
    assert 0.4 < model.evaluate(held_out).accuracy < 0.6
    metrics = model.fit(random_pairs(4_000, seed=0), held_out)
    assert metrics.accuracy >= 0.95 and metrics.ece < 0.1
    assert metrics.length_correlation < metrics.label_length_correlation + 0.1
