"""What holds for every agent that learns from its own samples: that it learns, resumes, and survives."""

import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from textgym.agents import PPO, REINFORCE, ExpertIteration
from textgym.agents.grpo import GRPO
from textgym.envs import Score

AGENTS = {
    "ppo": (PPO, {"group_size": 2}),
    "ppo_separate": (PPO, {"group_size": 2, "critic": "separate", "n_minibatches": 1}),
    "ppo_kl": (
        PPO,
        {"kl_coef": 0.01, "kl_target": 0.5, "kl_horizon": 64, "ent_coef": 0.01, "critic_warmup_updates": 2},
    ),
    "reinforce": (REINFORCE, {}),
    "reinforce_moving": (REINFORCE, {"baseline": "moving_average"}),
    "reinforce_group": (REINFORCE, {"baseline": "group_mean", "group_size": 4}),
    "reinforce_none": (REINFORCE, {"baseline": "none"}),
    "reinforce_pp": (REINFORCE, {"preset": "reinforce_pp"}),
    "expert_iteration": (ExpertIteration, {"group_size": 4, "keep": 2}),
    "grpo": (GRPO, {"group_size": 4}),
}
QUICK = ("ppo", "reinforce", "expert_iteration")  # in the default set; the others are variants
everyone = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in AGENTS]
)


class OddLength:
    """1 for responses of an odd number of characters: a reward that varies whatever the policy."""

    range = (0.0, 1.0)

    def __call__(self, problems, responses):
        odd = np.array([len(response) % 2 == 1 for response in responses])
        return Score(odd.astype(float), odd)


@pytest.fixture
def make_agent(make_policy, make_bandit):
    def make(name, reward=None, scale=2.0, rows=16, source=None, **hyperparameters):
        agent_class, settings = AGENTS[name]
        settings = {"max_new_tokens": 4, "warmup_updates": 0, "learning_rate": 1e-3, "seed": 1} | settings
        settings |= hyperparameters
        group = settings.get("group_size", 1)
        env = make_bandit(rows, group, reward or OddLength(), **(source or {}))
        return agent_class(make_policy(scale=scale), env, prompts_per_update=rows // group, **settings)

    return make


def parameters(agent):
    return [parameter.detach().clone() for parameter in agent.parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@everyone
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_bandit_is_solved_and_a_flipped_reward_undoes_it(make_agent, first_char, name, sign):
    if sign < 0 and name == "expert_iteration":
        pytest.skip("it looks at successes only, which a flipped reward does not flip")
    if sign < 0 and name == "reinforce_none":
        pytest.skip("without a baseline a reward of -1 or 0 teaches nothing but what to avoid: too slow for a test")
    agent = make_agent(name, first_char(sign), scale=1.0, rows=64, max_new_tokens=2, learning_rate=3e-3)
    policy = agent.policy
    a = policy.tokenizer.encode_response("a")[0]
    prompt = torch.tensor([policy.tokenizer.encode_prompt("a or b?")])

    def probability_of_a():
        with torch.no_grad():
            return policy.model(prompt).logits[0, -1].softmax(-1)[a].item()

    if sign < 0 or name == "expert_iteration":  # begin where a is likely
        with torch.no_grad():
            hidden = policy.model.model(prompt).last_hidden_state[0, -1]
            policy.model.lm_head.weight[a] += 3.5 * hidden / hidden.norm() ** 2
        assert 0.1 < probability_of_a() < 0.6
    for _ in range(200):
        agent.update()
        agent.num_updates += 1
        if (probability_of_a() > 0.95) if sign > 0 else (probability_of_a() < 0.05):
            return
    raise AssertionError(f"after 200 updates p(a) = {probability_of_a():.3f}")


@everyone
def test_5_updates_save_load_5_updates_equal_10(make_agent, tmp_path, name):
    straight, broken = (make_agent(name, warmup_updates=3) for _ in range(2))
    beginning = parameters(straight)
    for _ in range(10):
        straight.learn(1)
    for _ in range(5):
        broken.learn(1)
    broken.save(tmp_path / "checkpoint")
    resumed = type(broken).load(tmp_path / "checkpoint", broken.env, device="cpu")
    assert resumed.num_updates == 5 and resumed.config == broken.config
    for _ in range(5):
        resumed.learn(1)
    assert not same(parameters(straight), beginning)
    assert same(parameters(straight), parameters(resumed))
    first, second = straight.optimizer.state_dict(), resumed.optimizer.state_dict()
    for key, state in first["state"].items():
        assert all(torch.equal(value, second["state"][key][name]) for name, value in state.items())


@everyone
def test_learning_rate_0_changes_no_bit_and_keeps_the_ratio_at_1(make_agent, name):
    agent = make_agent(name, learning_rate=0.0)
    before, norms = parameters(agent), []
    for _ in range(3):
        metrics = agent.update()
        agent.num_updates += 1
        assert metrics.get("train/ratio_max", 1.0) == pytest.approx(1.0, abs=1e-5)
        assert metrics.get("train/approx_kl", 0.0) == pytest.approx(0.0, abs=1e-8)
        assert metrics.get("train/kl_ref", 0.0) == pytest.approx(0.0, abs=1e-6)
        norms.append(metrics.get("train/grad_norm", 0.0))
    assert max(norms) > 0
    assert same(before, parameters(agent))


@everyone
def test_micro_batches_add_up_to_the_whole(make_agent, name):
    gradients = []
    for size in (None, 3):
        agent = make_agent(name, micro_batch_size=size, n_minibatches=1, max_new_tokens=40)

        def stop(agent=agent):
            gradients.append([p.grad.clone() for p in agent.parameters() if p.grad is not None])
            raise StopIteration

        agent.num_updates = 2  # past a critic's warm-up
        agent.step_optimizer = stop
        with pytest.raises(StopIteration):
            agent.update()
    assert max(float(gradient.abs().max()) for gradient in gradients[0]) > 1e-4
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-3)


@everyone
def test_a_failed_verifier_is_no_wrong_answer(make_agent, first_char, name):
    agent = make_agent(name, first_char(broken=""), learning_rate=1.0)  # every verdict fails
    before = parameters(agent)
    metrics = agent.update()
    assert metrics["rollout/unscorable_frac"] == 1.0 and np.isnan(metrics["rollout/ep_rew_mean"])
    assert same(before, parameters(agent))


@pytest.mark.parametrize(
    "agent", [pytest.param(name, marks=() if name == "ppo" else pytest.mark.slow) for name in ("grpo", *QUICK)]
)
def test_kill_9_loses_at_most_the_work_since_the_last_checkpoint(tmp_path, agent):
    script = f"""
        from textgym.agents import *
        import gymnasium as gym
        agent = {dict(grpo="GRPO", ppo="PPO", reinforce="REINFORCE", expert_iteration="ExpertIteration")[agent]}(
            "tiny", gym.make("TextMath-v0", difficulty=1), max_new_tokens=4, prompts_per_update=4, group_size=2,
            checkpoint_every=3, logdir={str(tmp_path)!r},
        )
        agent.learn(10**6, callback=lambda *_: print(agent.num_updates, flush=True) is None)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    with process:
        for line in process.stdout:
            done = int(line)
            if done == 7:
                time.sleep(0.02)  # into the next update
                process.kill()
                break
    from textgym.agents import GRPO, PPO, REINFORCE, ExpertIteration

    kinds = {"grpo": GRPO, "ppo": PPO, "reinforce": REINFORCE, "expert_iteration": ExpertIteration}
    resumed = kinds[agent].load(tmp_path / "checkpoint", "TextMath-v0")
    assert done - 3 <= resumed.num_updates and resumed.num_updates % 3 == 0
    resumed.learn(1)


@everyone
def test_the_kl_divergence_from_the_initial_policy_is_reported(make_agent, name):
    agent = make_agent(name, log_kl=True, rows=1024, max_new_tokens=1, scale=4.0)
    assert agent.update()["rollout/kl_to_reference"] == pytest.approx(0.0, abs=1e-5)
    agent = make_agent(name, log_kl=True, rows=1024, max_new_tokens=1, scale=4.0)
    generator = torch.Generator().manual_seed(0)
    prompt = torch.tensor([agent.policy.tokenizer.encode_prompt("a or b?")])
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        ours, theirs = (
            policy.model(prompt).logits[0, -1].log_softmax(-1) for policy in (agent.policy, agent.reference)
        )
    exact = float((ours.exp() * (ours - theirs)).sum())
    error = float((ours.exp() * (ours - theirs - exact) ** 2).sum() / 1024) ** 0.5
    found = agent.update()["rollout/kl_to_reference"]
    assert exact > 8 * error and abs(found - exact) < 4 * error


@everyone
def test_without_a_wish_for_it_no_reference_is_kept(make_agent, name):
    agent = make_agent(name)
    assert (
        (agent.reference is None)
        == ("rollout/kl_to_reference" not in agent.update())
        == (getattr(agent.config, "kl_coef", 0.0) == 0)
    )


@everyone
def test_watching_the_kl_changes_nothing_else(make_agent, name):
    plain, watched = make_agent(name), make_agent(name, log_kl=True)
    plain.update(), watched.update()
    assert same(parameters(plain), parameters(watched))
