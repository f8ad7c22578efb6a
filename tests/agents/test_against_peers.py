"""Ours beside the installed peers on the same tensors: TRL's GRPO and RLOO, stable-baselines3's GAE.

TRL is no dependency: ``pip install trl==1.16.0`` to run its part. Its trainers are built whole, around a random model;
only the sampling is replaced, by our rollout. What they make of it - padding, log-probabilities, advantages, loss,
gradients - is their own.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer

from textgym.agents.advantages import gae, group_advantages
from textgym.agents.grpo import GRPO

GROUP = 4
needs_trl = pytest.mark.filterwarnings("ignore")  # of the deprecations that TRL and accelerate meet
CLOSE = {"atol": 1e-5, "rtol": 1e-5}

# Ours, and what TRL calls the same.
FAMILY = {
    "grpo": (
        {"preset": "grpo", "kl_coef": 0.5},
        {"loss_type": "grpo", "beta": 0.5, "use_bias_correction_kl": False},
    ),
    "grpo, unbiased KL gradient": (
        {"preset": "grpo", "kl_kind": "k3_is", "kl_coef": 0.5},
        {"loss_type": "grpo", "beta": 0.5, "use_bias_correction_kl": True},
    ),
    "dr_grpo": ({"preset": "dr_grpo"}, {"loss_type": "dr_grpo", "scale_rewards": "none"}),
    "dapo": (
        {"preset": "dapo", "resample": 0, "overlong": "keep"},
        {"loss_type": "dapo", "epsilon_high": 0.28},
    ),
    "bnpo": ({"advantage": "zscore", "norm": "token"}, {"loss_type": "bnpo"}),
    "dual clip": ({"advantage": "zscore", "norm": "seq", "dual_clip": 1.5}, {"loss_type": "grpo", "delta": 1.5}),
    "gspo": (
        {"preset": "gspo"},
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4},
    ),
}


def make_agent(policy, **settings):
    """Return an agent that keeps groups without variance in its denominators, as TRL does."""
    sizes = {"prompts_per_update": 6, "group_size": GROUP, "max_new_tokens": 7, "learning_rate": 0.0}
    return GRPO(policy, "TextMath-v0", **sizes, drop_zero_variance=False, **settings)


def make_rollout(agent):
    """Return a batch of responses of many lengths, with many rewards: binary fractions, whose means are exact."""
    rollout, generator = agent.collect(), torch.Generator().manual_seed(1)
    rows, width = rollout.tokens.shape
    lengths = torch.randint(1, width + 1, (rows, 1), generator=generator)
    rollout.token_mask &= torch.arange(width) < lengths
    rollout.action_mask &= rollout.token_mask
    rollout.rewards[:] = 0.0
    rollout.rewards[:, 0] = torch.tensor([0.0, 0.25, 0.5, 1.0, -2.0])[torch.randint(0, 5, (rows,), generator=generator)]
    rollout.rewards[:GROUP] = 0.0  # a group without variance
    return rollout


def move(policy, seed, size=0.03):
    """Return a copy of a policy with other weights."""
    moved, generator = copy.deepcopy(policy), torch.Generator().manual_seed(seed)
    for parameter in moved.model.parameters():
        parameter.data += size * torch.randn(parameter.shape, generator=generator)
    return moved


def make_trainer(name, agent, rollout, folder, **settings):
    """Return TRL's trainer around a copy of our policy's model; it "samples" our rollout."""
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    model = copy.deepcopy(agent.policy.model)
    if agent.reference is not None:
        agent.reference.model.save_pretrained(folder / "reference")
        model.config._name_or_path = str(folder / "reference")  # where the trainer looks for it
    config = getattr(trl, f"{name}Config")(
        output_dir=str(folder / "trl"), per_device_train_batch_size=len(rollout.prompts), num_generations=GROUP,
        max_completion_length=agent.config.max_new_tokens, gradient_checkpointing=False, bf16=False, use_cpu=True,
        report_to="none", **settings,
    )  # fmt: skip
    trainer = getattr(trl, f"{name}Trainer")(
        model,
        reward_funcs=lambda completions, **_: rollout.returns.tolist(),
        args=config,
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in rollout.prompts]),
        processing_class=agent.policy.tokenizer.hf,
    )
    trainer.current_gradient_accumulation_steps = 1
    prompts = [row[mask.bool()].tolist() for row, mask in zip(rollout.prompt_ids, rollout.prompt_mask, strict=True)]
    completions = [row[mask].tolist() for row, mask in zip(rollout.tokens, rollout.token_mask, strict=True)]
    rest = (None, rollout.responses, None, {}, None, None) if name == "GRPO" else (rollout.responses,)
    trainer._generate = lambda _: (prompts, completions, *rest)
    trainer.model.train()
    return trainer


def their_step(trainer, rollout, **changes):
    """Return TRL's advantages, loss and gradients."""
    batch = trainer._generate_and_score_completions([{"prompt": prompt} for prompt in rollout.prompts]) | changes
    loss = trainer._compute_loss(trainer.model, batch)
    loss.backward()
    return batch["advantages"], loss.detach(), gradients(trainer.model)


@pytest.fixture
def our_step(gradients_of_update, monkeypatch):
    """Return a function to our advantages, loss and gradients: those of a whole update, as the optimiser sees them."""

    def step(agent, rollout):
        advantages = []
        monkeypatch.setattr(agent, "_sample", lambda: (rollout, {}))
        monkeypatch.setattr(agent, "write_samples", lambda _, values: advantages.append(values))
        loss, seen = gradients_of_update(agent)
        return advantages[0], loss, seen

    return step


def gradients(model):
    return [parameter.grad.clone() for parameter in model.parameters()]


def assert_close_gradients(ours, theirs):
    largest = max(float(gradient.abs().max()) for gradient in theirs)
    assert largest > 1e-3, "there is nothing to compare"
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-5 * max(1.0, largest), rtol=1e-4)


@needs_trl
@pytest.mark.parametrize("moved", [False, True], ids=["first step", "moved"])
@pytest.mark.parametrize("member", FAMILY)
def test_grpo_equals_trl(make_policy, our_step, monkeypatch, tmp_path, member, moved):
    """``moved``: the policy has left the one that sampled and the reference, so that ratios, clips and KL act."""
    ours, theirs = FAMILY[member]
    policy = make_policy(scale=3.0)
    agent = make_agent(policy, **ours, n_epochs=1 + moved)
    rollout = make_rollout(agent)
    old = move(policy, 1) if moved else policy
    if agent.reference is not None:
        agent.reference = move(policy, 2)
    real_logprobs = agent.logprobs
    monkeypatch.setattr(agent, "logprobs", lambda who, batch: real_logprobs(old if who is policy else who, batch))
    trainer = make_trainer("GRPO", agent, rollout, tmp_path, **theirs)
    changes = {"old_per_token_logps": real_logprobs(old, rollout)} if moved else {}
    their_advantages, their_loss, their_gradients = their_step(trainer, rollout, **changes)
    our_advantages, our_loss, our_gradients = our_step(agent, rollout)
    torch.testing.assert_close(our_advantages, their_advantages, **CLOSE)
    torch.testing.assert_close(our_loss, their_loss, **CLOSE)
    assert_close_gradients(our_gradients, their_gradients)


@needs_trl
def test_rloo_equals_trl(make_policy, our_step, tmp_path):
    """Advantages with the KL in the reward, and gradients; TRL's loss is the ratio's, ours the log-probability's."""
    policy = make_policy(scale=3.0)
    agent = make_agent(policy, preset="rloo")
    agent.reference = move(policy, 2)
    rollout = make_rollout(agent)
    trainer = make_trainer("RLOO", agent, rollout, tmp_path, beta=agent.config.kl_coef)
    their_advantages, their_loss, their_gradients = their_step(trainer, rollout)
    our_advantages, _, our_gradients = our_step(agent, rollout)
    torch.testing.assert_close(our_advantages, their_advantages, **CLOSE)
    torch.testing.assert_close(their_loss, -their_advantages.mean(), **CLOSE)  # a ratio of 1
    assert_close_gradients(our_gradients, their_gradients)


@needs_trl
@pytest.mark.parametrize(
    ("kind", "trainer_name", "settings"),
    [
        ("zscore", "GRPO", {"scale_rewards": "group"}),
        ("center", "GRPO", {"scale_rewards": "none"}),
        ("rloo", "RLOO", {"beta": 0.0}),
    ],
)
def test_an_unscorable_reward_is_left_out_as_in_trl(make_policy, tmp_path, kind, trainer_name, settings):
    agent = make_agent(make_policy(scale=3.0))
    rollout = make_rollout(agent)
    rollout.rewards[GROUP + 1, 0] = rollout.rewards[2 * GROUP, 0] = torch.nan
    rollout.rewards[3 * GROUP : 4 * GROUP - 1, 0] = torch.nan  # one is left
    trainer = make_trainer(trainer_name, agent, rollout, tmp_path, **settings)
    theirs = trainer._generate_and_score_completions([{"prompt": prompt} for prompt in rollout.prompts])["advantages"]
    ours = group_advantages(rollout.returns, rollout.group_ids, torch.isfinite(rollout.returns), kind)
    torch.testing.assert_close(ours, theirs, **CLOSE)
    assert ours.abs().max() > 0.5


@pytest.mark.parametrize("gae_lambda", [0.0, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_gae_equals_stable_baselines3(gamma, gae_lambda):
    """Steps of several envs, cut into episodes; a time limit bootstraps, as SB3's collector does in the reward."""
    steps, envs, rng = 40, 3, np.random.default_rng(0)
    rewards, values, ends_values = rng.normal(size=(3, steps, envs)).astype(np.float32)
    last_values = rng.normal(size=envs).astype(np.float32)
    ended = rng.random((steps, envs)) < 0.2
    ended[-1] = [True, False, True]
    cut = ended & (rng.random((steps, envs)) < 0.5)
    assert cut.any() and (ended & ~cut).any()

    buffer = RolloutBuffer(steps, spaces.Discrete(2), spaces.Discrete(2), "cpu", gae_lambda, gamma, envs)
    starts = np.vstack([np.ones((1, envs), bool), ended[:-1]])
    for t in range(steps):
        nothing = np.zeros((envs, 1))
        reward = rewards[t] + gamma * ends_values[t] * cut[t]
        value = torch.tensor(values[t])
        buffer.add(nothing, nothing, reward, starts[t], value, torch.zeros(envs))
    buffer.compute_returns_and_advantage(torch.tensor(last_values), ended[-1])

    for env in range(envs):
        stops = [*(np.flatnonzero(ended[:, env]) + 1).tolist(), steps]
        for start, stop in zip([0, *stops], stops, strict=False):
            if start == stop:
                continue
            is_over = ended[stop - 1, env]
            after = ends_values[stop - 1, env] * cut[stop - 1, env] if is_over else last_values[env]
            row = torch.tensor(rewards[start:stop, env])[None], torch.tensor(values[start:stop, env])[None]
            mask = torch.ones_like(row[0], dtype=torch.bool)
            advantages, returns = gae(*row, torch.tensor([after]), mask, gamma, gae_lambda)
            torch.testing.assert_close(advantages[0], torch.tensor(buffer.advantages[start:stop, env]), **CLOSE)
            torch.testing.assert_close(returns[0], torch.tensor(buffer.returns[start:stop, env]), **CLOSE)
