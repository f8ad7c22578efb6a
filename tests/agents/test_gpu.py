"""The same things on a CUDA device: run with `pytest -m gpu` on a machine that has one."""

import pytest
import torch

from textgym.agents import sampling
from textgym.agents.grpo import GRPO
from textgym.agents.policy import CausalLM
from textgym.agents.sampling import sample

pytestmark = pytest.mark.gpu
PROMPTS = [[5, 6, 7, 8, 9, 10], [11, 12, 13], [5, 6, 7, 8, 9, 10], [20]] * 4


def on_gpu(policy: CausalLM) -> CausalLM:
    policy.model.to("cuda")
    return policy


def test_cuda_is_chosen_by_itself(make_policy, tmp_path):
    make_policy().save(tmp_path)
    assert CausalLM.load(tmp_path).device.type == "cuda"


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_logprobs_of_samples_equal_the_training_side_and_the_cpu(make_policy, kind):
    policy, twin = on_gpu(make_policy(kind, scale=2.0)), make_policy(kind, scale=2.0)
    generator = torch.Generator("cuda").manual_seed(0)
    drawn = sample(policy, PROMPTS, max_new_tokens=20, generator=generator)
    trained, _ = policy.logprobs(drawn.prompt_ids, drawn.prompt_mask, drawn.tokens)
    expected, _ = twin.logprobs(drawn.prompt_ids.cpu(), drawn.prompt_mask.cpu(), drawn.tokens.cpu())
    assert (drawn.logprobs - trained).abs()[drawn.token_mask].max() <= 1e-3
    assert (trained.cpu() - expected).abs()[drawn.token_mask.cpu()].max() <= 1e-3


@pytest.mark.parametrize("bf16", [False, True])
def test_graphs_draw_what_single_steps_do_before_and_after_an_update(make_policy, monkeypatch, bf16):
    policy = on_gpu(make_policy("llama", scale=2.0))
    policy.bf16 = bf16
    for _ in range(2):
        with_graphs = sample(policy, PROMPTS, max_new_tokens=150, temperature=0)
        with monkeypatch.context() as patch:
            patch.setattr(sampling, "can_capture", lambda model: False)
            one_by_one = sample(policy, PROMPTS, max_new_tokens=150, temperature=0)
        same = with_graphs.tokens[:, :20] == one_by_one.tokens[:, :20]
        assert same.float().mean() > (0.9 if bf16 else 0.999)  # near ties fall either way
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter.mul_(1.1)


def test_the_host_waits_once_in_a_chunk(make_policy):
    policy = on_gpu(make_policy("llama", scale=2.0))
    generator = torch.Generator("cuda").manual_seed(0)
    sample(policy, PROMPTS, max_new_tokens=65, generator=generator, ignore_stop=True)  # captures
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        sample(policy, PROMPTS, max_new_tokens=65, generator=generator, ignore_stop=True)
    waits = [event for event in profile.events() if event.name in ("aten::nonzero", "aten::item")]
    assert 0 < len(waits) <= 16  # 64 tokens after the first are four chunks


@pytest.mark.parametrize("preset", ["dr_grpo", "rloo", "dapo"])
def test_grpo_updates_saves_and_resumes_on_the_device(make_policy, make_bandit, tmp_path, preset):
    settings = {"prompts_per_update": 4, "group_size": 4, "max_new_tokens": 16}
    agent = GRPO(on_gpu(make_policy(scale=2.0)), make_bandit(16, 4), preset=preset, **settings)
    agent.learn(32)
    agent.save(tmp_path / "checkpoint")
    resumed = GRPO.load(tmp_path / "checkpoint", make_bandit(16, 4))
    assert resumed.policy.device.type == "cuda" and resumed.num_updates == 2
    resumed.learn(16)


def test_bfloat16_policies_sample_and_learn(make_policy, make_bandit):
    policy = on_gpu(make_policy(scale=2.0))
    policy.model.to(torch.bfloat16)
    agent = GRPO(policy, make_bandit(16, 4), prompts_per_update=4, group_size=4, max_new_tokens=8)
    agent.learn(16)
    assert all(torch.isfinite(parameter).all() for parameter in policy.parameters())
