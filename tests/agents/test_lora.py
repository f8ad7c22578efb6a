"""LoRA: only the adapter learns, the reference is the model without it, and a checkpoint resumes exactly."""

import sys

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from textgym.agents import DPO, PPO, REINFORCE, SFT, CausalLM, ExpertIteration
from textgym.agents.grpo import GRPO
from textgym.agents.sampling import pad_left, sample
from textgym.envs import Score

peft = pytest.importorskip("peft")

PROMPTS = [[5, 6, 7, 8, 9, 10], [11, 12, 13], [11, 12, 13], [20, 21, 22, 23]]
AGENTS = {
    "sft": (SFT, {"batch_size": 16}),
    "grpo": (GRPO, {"prompts_per_update": 4, "group_size": 4, "kl_coef": 0.1}),
    "ppo": (PPO, {"prompts_per_update": 16, "kl_coef": 0.1}),
    "ppo_separate": (PPO, {"prompts_per_update": 16, "critic": "separate"}),
    "reinforce": (REINFORCE, {"prompts_per_update": 16, "kl_coef": 0.1}),
    "expert_iteration": (ExpertIteration, {"prompts_per_update": 4, "group_size": 4}),
    "dpo": (DPO, {"prompts_per_update": 2, "group_size": 8}),
}
QUICK = ("sft", "grpo", "ppo")


class OddLength:
    """1 for responses of an odd number of characters: a reward that varies whatever the policy."""

    range = (0.0, 1.0)

    def __call__(self, problems, responses):
        odd = np.array([len(response) % 2 == 1 for response in responses])
        return Score(odd.astype(float), odd)


everyone = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in AGENTS]
)


@pytest.fixture
def make_agent(make_policy, make_bandit):
    def make(name, reward=None, policy=None, scale=2.0, **hyperparameters):
        agent_class, settings = AGENTS[name]
        group = settings.get("group_size", 1)
        settings = {"lora_rank": 4, "max_new_tokens": 3, "warmup_updates": 0, "learning_rate": 1e-2} | settings
        settings |= hyperparameters
        rows = settings.get("batch_size") or settings["prompts_per_update"] * group
        policy = policy or make_policy(scale=scale)
        return agent_class(policy, make_bandit(rows, group, reward or OddLength()), **settings)

    return make


def stir(policy):
    """Give the adapter weights that are not zero."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)


def clones(parameters):
    return [parameter.detach().clone() for parameter in parameters]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def batch_of(prompts, width):
    ids, mask = pad_left(prompts, 1, torch.device("cpu"))
    return ids, mask, torch.randint(5, 60, (len(prompts), width), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["llama", "llama-unusual", "qwen2", "gpt2", "mistral"])
def test_a_new_adapter_changes_nothing_and_a_stirred_one_does(make_policy, kind):
    policy = make_policy(kind)
    batch = batch_of(PROMPTS, 5)
    before, _ = policy.logprobs(*batch)
    policy.add_lora(4)
    assert torch.equal(policy.logprobs(*batch)[0], before)
    stir(policy)
    assert (policy.logprobs(*batch)[0] - before).abs().max() > 0.1


@pytest.mark.parametrize("kind", ["llama", "llama-unusual", "qwen2", "gpt2", "mistral"])
def test_the_sampler_and_training_see_the_same_adapted_distribution(make_policy, kind):
    policy = make_policy(kind, scale=3.0)
    policy.add_lora(4, alpha=8.0)
    stir(policy)
    drawn = sample(policy, PROMPTS, max_new_tokens=12, generator=torch.Generator().manual_seed(0), ignore_stop=True)
    logprobs, _ = policy.logprobs(drawn.prompt_ids, drawn.prompt_mask, drawn.tokens)
    torch.testing.assert_close(drawn.logprobs, logprobs.detach(), atol=1e-4, rtol=0)


def test_the_adapted_weights_are_those_of_the_paper(make_policy):
    policy, plain = make_policy(), make_policy()
    policy.add_lora(4, alpha=6.0)
    stir(policy)
    weights = dict(policy.model.named_parameters())
    with torch.no_grad():
        for name, weight in plain.model.named_parameters():
            stem = name.removesuffix(".weight")
            if f"{stem}.lora_A.default.weight" in weights:
                a, b = (weights[f"{stem}.lora_{half}.default.weight"] for half in "AB")
                weight += 6.0 / 4 * b @ a
    batch = batch_of(PROMPTS, 5)
    torch.testing.assert_close(policy.logprobs(*batch)[0], plain.logprobs(*batch)[0], atol=1e-4, rtol=0)


def test_the_reference_is_the_untouched_model_without_a_copy(make_policy):
    policy, untouched = make_policy(), make_policy()
    policy.add_lora(4)
    reference = policy.reference()
    stir(policy)
    batch = batch_of(PROMPTS, 5)
    assert torch.equal(reference.logprobs(*batch)[0], untouched.logprobs(*batch)[0])
    assert reference.model is policy.model
    assert not torch.equal(policy.logprobs(*batch)[0], untouched.logprobs(*batch)[0])
    assert all(parameter.requires_grad for parameter in policy.parameters())
    drawn = [sample(who, PROMPTS, max_new_tokens=4, temperature=0) for who in (reference, untouched)]
    assert torch.equal(drawn[0].tokens, drawn[1].tokens)
    torch.testing.assert_close(drawn[0].logprobs, drawn[1].logprobs, atol=1e-6, rtol=0)


@everyone
def test_only_the_adapter_learns(make_agent, name):
    agent = make_agent(name)
    frozen = {n: p for n, p in agent.policy.model.named_parameters() if not p.requires_grad}
    assert sorted(n.replace(".base_layer", "") for n in frozen) == sorted(
        n for n, _ in AutoModelForCausalLM.from_config(agent.policy.model.config).named_parameters()
    )
    assert all(p.requires_grad for group in agent.optimizer.param_groups for p in group["params"])
    before, trained = clones(frozen.values()), clones(agent.parameters())
    for _ in range(4):
        agent.learn(1)
    assert same(before, frozen.values())
    assert not same(trained, agent.parameters())


@everyone
def test_5_updates_save_load_5_updates_equal_10(make_agent, tmp_path, name):
    straight, broken = (make_agent(name, seed=2) for _ in range(2))
    for _ in range(10):
        straight.learn(1)
    for _ in range(5):
        broken.learn(1)
    broken.save(tmp_path / "checkpoint")
    resumed = type(broken).load(tmp_path / "checkpoint", broken.env, device="cpu")
    assert resumed.config == broken.config
    assert same(broken.policy.model.state_dict().values(), resumed.policy.model.state_dict().values())
    for _ in range(5):
        resumed.learn(1)
    assert same(straight.parameters(), resumed.parameters())
    assert not same(straight.parameters(), broken.parameters())


@pytest.mark.parametrize("name", ["grpo", "reinforce", pytest.param("ppo", marks=pytest.mark.slow)])
def test_sft_makes_a_bandit_solvable_and_rl_solves_it(make_agent, first_char, name):
    warm = make_agent("sft", scale=20.0)  # large outputs, since they stay as they are
    a = warm.policy.tokenizer.encode_response("a")[0]
    prompt = torch.tensor([warm.policy.tokenizer.encode_prompt("a or b?")])

    def train(agent, goal):
        for _ in range(150):
            agent.learn(1)
            with torch.no_grad():
                probability = agent.policy.model(prompt).logits[0, -1].softmax(-1)[a].item()
            if probability > goal:
                return
        raise AssertionError(f"after 150 updates p(a) = {probability:.3f}")

    train(warm, 0.1)
    train(make_agent(name, first_char(), warm.policy, max_new_tokens=2, kl_coef=0.0), 0.9)


def test_save_writes_one_model_for_transformers(make_policy, tmp_path):
    policy = make_policy()
    policy.add_lora(4)
    stir(policy)
    before = clones(policy.model.parameters())
    policy.save(tmp_path)
    assert same(before, policy.model.parameters())
    ids = torch.tensor(PROMPTS[:1])
    merged = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(merged) is type(policy.model) and not (tmp_path / "adapter_config.json").exists()
    torch.testing.assert_close(merged(ids).logits, policy.model(ids).logits, atol=1e-4, rtol=0)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # what peft asks transformers for
@pytest.mark.filterwarnings("ignore:fan_in_fan_out:UserWarning")
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_checkpoint_has_the_parts_for_transformers_and_peft(make_policy, tmp_path, kind):
    policy, untouched = make_policy(kind), make_policy(kind)
    policy.add_lora(4)
    stir(policy)
    policy.save_apart(tmp_path)
    ids = torch.tensor(PROMPTS[:1])
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert torch.equal(model(ids).logits, untouched.model(ids).logits)
    adapted = peft.PeftModel.from_pretrained(model, tmp_path / "adapter").eval()
    assert torch.equal(adapted(ids).logits, policy.model(ids).logits)


def test_the_next_agent_begins_with_what_the_adapter_learned(make_agent, make_bandit):
    first = make_agent("sft")
    for _ in range(5):
        first.learn(1)
    policy, batch = first.policy, batch_of(PROMPTS, 3)
    learned = policy.logprobs(*batch)[0].detach()
    second = GRPO(policy, make_bandit(8, 4), lora_rank=2, kl_coef=0.1, prompts_per_update=2, group_size=4)
    torch.testing.assert_close(policy.logprobs(*batch)[0].detach(), learned, atol=1e-4, rtol=0)
    torch.testing.assert_close(second.reference.logprobs(*batch)[0].detach(), learned, atol=1e-4, rtol=0)
    third = GRPO(policy, make_bandit(8, 4), prompts_per_update=2, group_size=4)
    assert policy.lora is None and len(third.parameters()) == len(list(policy.model.parameters()))
    torch.testing.assert_close(policy.logprobs(*batch)[0].detach(), learned, atol=1e-4, rtol=0)


def test_the_seed_alone_decides_the_adapter(make_agent):
    state = torch.get_rng_state()
    first, second, other = (make_agent("sft", seed=seed) for seed in (1, 1, 2))
    assert same(first.parameters(), second.parameters()) and not same(first.parameters(), other.parameters())
    torch.manual_seed(0)  # as make_policy does
    after = torch.get_rng_state()
    make_agent("sft").policy.merge_lora()
    assert state.shape == after.shape


def test_a_missing_peft_is_named_with_its_extra(make_policy, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"textgym\[lora\]"):
        make_policy().add_lora(4)


def test_impossible_settings_are_refused(make_agent, make_policy):
    with pytest.raises(ValueError, match="lora_rank must be >= 1, got 0"):
        make_agent("sft", lora_rank=0)
    with pytest.raises(ValueError, match="lora_alpha must be > 0, got 0"):
        make_agent("sft", lora_alpha=0)
    policy = make_policy()
    policy.add_lora(2)
    with pytest.raises(ValueError, match="has an adapter"):
        policy.add_lora(2)


def test_16_bit_weights_take_an_adapter_of_32_bits(make_policy, tmp_path):
    make_policy().save(tmp_path)
    policy = CausalLM.load(tmp_path, device="cpu", dtype="bfloat16")
    policy.add_lora(4)
    assert {parameter.dtype for parameter in policy.parameters()} == {torch.float32}
    logprobs, _ = policy.logprobs(*batch_of(PROMPTS, 4))
    logprobs.sum().backward()
    assert all(parameter.grad is not None for parameter in policy.parameters())
    sample(policy, PROMPTS, max_new_tokens=4)
