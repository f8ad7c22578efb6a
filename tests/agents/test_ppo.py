"""PPO: its gradient against a naive loop, its critic, and that both levels of an env teach it the same."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import VectorWrapper

from textgym.agents import PPO
from textgym.agents import ppo as ppo_module
from textgym.agents.losses import kl_penalty
from textgym.agents.rollout import collect
from textgym.envs import Score


class Length:
    """The number of characters: a reward that varies."""

    range = (0.0, 50.0)

    def __call__(self, problems, responses):
        lengths = np.array([float(len(response)) for response in responses])
        return Score(lengths, lengths > 2)


@pytest.fixture
def make_ppo(make_policy, make_bandit):
    def make(rows=8, reward=None, scale=2.0, **settings):
        settings = {"max_new_tokens": 5, "warmup_updates": 0, "learning_rate": 1e-3, "n_minibatches": 1} | settings
        group = settings.get("group_size", 1)
        env = make_bandit(rows, group, reward or Length())
        return PPO(make_policy(scale=scale), env, prompts_per_update=rows // group, **settings)

    return make


def naive_loss(agent, rollout, old, old_values, last_values):
    """PPO's loss, token by token in plain Python, with autograd through nothing but one forward for each token."""
    config, rows = agent.config, []
    for i in range(len(rollout.prompts)):
        ids = rollout.prompt_ids[i][rollout.prompt_mask[i].bool()].tolist()
        tokens = rollout.tokens[i][rollout.token_mask[i]].tolist()
        logp, values = [], []
        for t, token in enumerate(tokens):
            out = agent.policy.model(torch.tensor([ids + tokens[:t]]), output_hidden_states=True)
            logp.append(out.logits[0, -1].log_softmax(-1)[token])
            values.append(agent.value_head(out.hidden_states[-1][0, -1])[0])
        bootstraps = rollout.cut[i] and config.overlong == "bootstrap"  # nothing but a cut truncates here
        advantage, advantages, next_value = 0.0, [], float(last_values[i]) if bootstraps else 0.0
        for t in reversed(range(len(tokens))):
            reward = 0.0 if bootstraps and t == len(tokens) - 1 else float(rollout.rewards[i, t])
            delta = reward + config.gamma * next_value - float(old_values[i, t])
            advantage = delta + config.gamma * config.gae_lambda * advantage
            advantages.insert(0, advantage)
            next_value = float(old_values[i, t])
        rows.append((logp, values, advantages))
    every = np.array([a for _, _, advantages in rows for a in advantages])
    mean, std, loss, count = every.mean(), every.std(ddof=1), 0.0, len(every)
    for i, (logp, values, advantages) in enumerate(rows):
        for t, advantage in enumerate(advantages):
            ratio = (logp[t] - old[i, t]).exp()
            scaled = (advantage - mean) / (std + 1e-8)
            gain = torch.min(ratio * scaled, ratio.clamp(0.8, 1.2) * scaled)
            goal = advantage + float(old_values[i, t])
            near = old_values[i, t] + (values[t] - old_values[i, t]).clamp(-config.clip_range_vf, config.clip_range_vf)
            error = torch.max((values[t] - goal) ** 2, (near - goal) ** 2) / 2
            loss = loss + (-gain + config.vf_coef * error) / count
    return loss


@pytest.mark.parametrize("overlong", ["keep", "bootstrap"])
def test_loss_and_gradients_equal_a_naive_loop(make_ppo, monkeypatch, overlong):
    """After the policy and the critic have moved away from the batch, so that ratios and clips act."""
    agent = make_ppo(gamma=0.9, gae_lambda=0.8, overlong=overlong)
    rollout = agent.collect()
    assert rollout.truncated.any() and rollout.terminated.any()
    generator = torch.Generator().manual_seed(0)
    agent.value_head.weight.data += torch.randn(agent.value_head.weight.shape, generator=generator) / 5
    goes_on = rollout.truncated & (overlong == "bootstrap")
    old, old_values, last_values = agent._look_back(rollout, goes_on)
    for parameter in agent.parameters():
        parameter.data += 0.03 * torch.randn(parameter.shape, generator=generator)
    monkeypatch.setattr(agent, "collect", lambda: rollout)
    monkeypatch.setattr(agent, "_look_back", lambda batch, goes_on: (old, old_values, last_values))
    seen = []

    def stop_here():
        seen.extend(parameter.grad.clone() for parameter in agent.parameters())
        raise StopIteration

    monkeypatch.setattr(agent, "step_optimizer", stop_here)
    with pytest.raises(StopIteration):
        agent.update()
    agent.optimizer.zero_grad(set_to_none=True)
    naive_loss(agent, rollout, old, old_values, last_values).backward()
    scale = max(float(parameter.grad.abs().max()) for parameter in agent.parameters())
    assert scale > 1e-2
    for mine, parameter in zip(seen, agent.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, atol=1e-4 * scale, rtol=1e-3)


def test_values_stand_before_each_token_and_after_the_last(make_ppo):
    agent = make_ppo()
    agent.value_head.weight.data += torch.randn(
        agent.value_head.weight.shape, generator=torch.Generator().manual_seed(0)
    )
    rollout = agent.collect()
    logprobs, values, last_values = agent._look_back(rollout, rollout.truncated)
    torch.testing.assert_close(logprobs[rollout.action_mask], rollout.logprobs[rollout.action_mask], atol=1e-4, rtol=0)
    for i in range(len(rollout.prompts)):
        ids = rollout.prompt_ids[i][rollout.prompt_mask[i].bool()].tolist()
        tokens = rollout.tokens[i][rollout.token_mask[i]].tolist()
        states = agent.policy.model(torch.tensor([ids + tokens]), output_hidden_states=True).hidden_states[-1][0]
        expected = agent.value_head(states[len(ids) - 1 :]).squeeze(-1)
        torch.testing.assert_close(values[i, : len(tokens)], expected[:-1], atol=1e-4, rtol=1e-4)
        last = expected[-1] if rollout.truncated[i] else torch.tensor(0.0)
        torch.testing.assert_close(last_values[i], last, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("overlong", ["keep", "bootstrap"])
def test_truncation_bootstraps_and_termination_does_not(make_ppo, monkeypatch, overlong):
    agent = make_ppo(gae_lambda=1.0, normalize_advantage=False, overlong=overlong)
    agent.value_head.bias.data.fill_(4.5)
    rollout = agent.collect()
    rollout.cut[5:] = False  # as if a wrapper's limit had ended these: their rewards are their own
    expected = rollout.returns + torch.where(rollout.truncated & ~rollout.cut, 4.5, 0.0)
    if overlong == "bootstrap":
        expected = torch.where(rollout.cut, 4.5, expected)
    assert rollout.cut.any() and (rollout.truncated & ~rollout.cut).any() and not rollout.truncated.all()
    seen = {}
    monkeypatch.setattr(agent, "_step", lambda batch, rows, old, values, adv, ret: seen.update(returns=ret) or {})
    monkeypatch.setattr(agent, "collect", lambda: rollout)
    agent.update()
    torch.testing.assert_close(seen["returns"][:, 0], expected)


def test_no_state_is_looked_at_after_a_full_context(make_ppo):
    agent = make_ppo(overlong="bootstrap")
    rollout = agent.collect()
    longest = int((rollout.prompt_mask.sum(1) + rollout.token_mask.sum(1))[rollout.truncated].max())
    agent.policy.model.config.max_position_embeddings = longest
    agent._look_back(rollout, rollout.truncated)
    agent.policy.model.config.max_position_embeddings = longest - 1  # the last token was drawn, and has no position
    agent._look_back(rollout, torch.zeros_like(rollout.truncated))
    with pytest.raises(ValueError, match=rf"{longest} tokens .* context of {longest - 1} .* max_new_tokens"):
        agent._look_back(rollout, rollout.truncated)


class FirstHalf:
    """1 for responses that begin in the first half of the alphabet: known after one token."""

    range = (0.0, 1.0)

    def __call__(self, problems, responses):
        right = np.array([response[:1] < "P" for response in responses])
        return Score(right.astype(float), right)


def test_the_critic_begins_at_0_and_learns_what_answers_are_worth(make_ppo):
    agent = make_ppo(64, FirstHalf(), critic_warmup_updates=99, learning_rate=1e-2, critic="separate")
    assert (agent._look_back(agent.collect(), torch.zeros(64, dtype=torch.bool))[1] == 0).all()
    before, collect = [parameter.clone() for parameter in agent.policy.parameters()], agent.collect

    def all_terminated():
        rollout = collect()
        rollout.truncated[:], rollout.cut[:] = False, False
        return rollout

    agent.collect = all_terminated
    explained = []
    for _ in range(25):
        explained.append(agent.update()["train/explained_variance"])
        agent.num_updates += 1
    assert explained[0] == pytest.approx(0.0, abs=1e-6) and np.mean(explained[-5:]) > 0.2
    assert all(torch.equal(a, b) for a, b in zip(before, agent.policy.parameters(), strict=True))  # a warm-up


def test_a_separate_critic_changes_the_policy_only_through_the_advantages(make_ppo):
    agent = make_ppo(critic="separate", vf_coef=1.0, normalize_advantage=False)
    assert agent.critic.model is not agent.policy.model
    torch.nn.init.ones_(agent.value_head.weight)  # from 0 no gradient reaches the trunk
    rollout = agent.collect()
    old, values, _ = agent._look_back(rollout, rollout.truncated)
    zero = torch.zeros_like(values)
    agent.step_optimizer = lambda: 0.0
    agent._step(rollout, torch.arange(8), old, values, zero, zero + 3.0)
    assert all(p.grad is None or not p.grad.any() for p in agent.policy.parameters())
    assert any(p.grad is not None and p.grad.any() for p in agent.critic.model.parameters())


def test_the_kl_penalty_stands_on_each_token_of_the_reward(make_ppo, monkeypatch):
    agent = make_ppo(kl_coef=0.5, gae_lambda=1.0, normalize_advantage=False, n_epochs=1)
    for parameter in agent.reference.model.parameters():
        parameter.data += 0.05
    rollout = agent.collect()
    mask = rollout.action_mask
    own, reference = (agent.logprobs(policy, rollout) for policy in (agent.policy, agent.reference))
    rollout.cut[:], rollout.truncated[:] = False, False
    rewards = torch.where(mask, rollout.rewards - 0.5 * (own - reference).clamp(-10, 10), 0.0)
    seen = {}
    monkeypatch.setattr(agent, "_step", lambda batch, rows, old, values, adv, ret: seen.update(returns=ret) or {})
    monkeypatch.setattr(agent, "collect", lambda: rollout)
    metrics = agent.update()
    expected = rewards.flip(1).cumsum(1).flip(1) * mask
    torch.testing.assert_close(seen["returns"], expected, atol=1e-4, rtol=1e-4)
    kl = kl_penalty(own, reference, mask, "k1")
    assert metrics["train/kl_ref"] == pytest.approx(float(kl.sum() / mask.sum()), abs=1e-4)


@pytest.mark.parametrize(
    ("kl", "expected"),
    [(10.0, 0.5 * (1 + 0.2 * 8 / 100)), (1.1, 0.5 * (1 + 0.1 * 8 / 100)), (0.0, 0.5 * (1 - 0.2 * 8 / 100))],
)
def test_the_kl_coefficient_follows_its_target(make_ppo, kl, expected):
    agent = make_ppo(kl_coef=0.5, kl_target=1.0, kl_horizon=100)
    agent._adapt_kl_coef(kl, 8)
    assert agent.kl_coef == pytest.approx(expected)


def test_target_kl_ends_the_update(make_ppo):
    calm, eager = (make_ppo(32, n_epochs=8, target_kl=kl, learning_rate=1e-2) for kl in (1e9, 1e-6))
    assert calm.update()["train/n_steps"] == 8
    assert eager.update()["train/n_steps"] == 2  # the first step begins at KL 0


class PayEachToken(VectorWrapper):
    """A wrapper that adds a hundredth of the token's id to each reward."""

    def __init__(self, env):
        super().__init__(env)
        self.over = np.zeros(env.num_envs, bool)

    def reset(self, **kwargs):
        self.over[:] = False
        return self.env.reset(**kwargs)

    def step(self, actions):
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        rewards = rewards + np.where(self.over, 0.0, np.asarray(actions) / 100)
        self.over = terminations | truncations
        return observations, rewards, terminations, truncations, infos


def token_env(policy, task, num_envs, **kwargs):
    settings = {"level": "token", "tokenizer": policy.tokenizer, "autoreset_mode": "Disabled"}
    return gym.make_vec(task, num_envs=num_envs, **settings, **kwargs)


@pytest.mark.parametrize("task", ["TextReverse-v0", "TextGuessNumber-v0"])
def test_wrappers_of_a_token_env_pay_the_tokens_that_earned_it(make_policy, task):
    """Per episode: the sequence-level reward plus the wrapper's own terms."""
    policy = make_policy(scale=2.0)
    plain = collect(
        policy, token_env(policy, task, 6), max_new_tokens=99, seed=3, generator=torch.Generator().manual_seed(0)
    )
    generator = torch.Generator().manual_seed(0)
    wrapped = collect(policy, PayEachToken(token_env(policy, task, 6)), max_new_tokens=99, seed=3, generator=generator)
    for rollout in (plain, wrapped):
        assert rollout.terminated.all() and not rollout.truncated.any()
    extra = torch.where(wrapped.action_mask, wrapped.tokens / 100, 0.0)
    if task == "TextReverse-v0":  # in games rows draw their later answers in another order
        assert torch.equal(plain.tokens, wrapped.tokens) and plain.responses == wrapped.responses
        torch.testing.assert_close(wrapped.rewards, plain.rewards + extra, atol=1e-6, rtol=0)
    text = gym.make_vec(task, num_envs=6, autoreset_mode="Disabled")
    text.reset(seed=3)
    returns, over = np.zeros(6), np.zeros(6, bool)
    responses = [turns(policy, wrapped, row) for row in range(6)]
    for turn in range(max(map(len, responses))):
        _, rewards, terminations, _, _ = text.step([r[turn] if turn < len(r) else "" for r in responses])
        returns += np.where(over, 0.0, rewards)
        over = terminations
    np.testing.assert_allclose(wrapped.returns, returns + extra.sum(1).numpy(), atol=1e-5)


def turns(policy, rollout, row):
    """The row's responses as texts: its runs of action tokens."""
    texts, run = [], []
    for token, action in zip(rollout.tokens[row].tolist(), rollout.action_mask[row].tolist(), strict=True):
        if action:
            run.append(token)
        elif run:
            texts.append(policy.tokenizer.decode(run))
            run = []
    return [*texts, policy.tokenizer.decode(run)] if run else texts


def test_both_levels_give_the_same_update(make_policy):
    """The same problems, samples and rewards, so the same parameters after a step."""
    parameters = []
    for level in ("sequence", "token"):
        policy = make_policy(scale=2.0)
        if level == "token":
            env = token_env(policy, "TextReverse-v0", 8)
            limit = env.unwrapped.max_tokens
        else:
            limit = token_env(policy, "TextReverse-v0", 1).unwrapped.max_tokens
            env = gym.make_vec("TextReverse-v0", num_envs=8, autoreset_mode="Disabled")
        agent = PPO(policy, env, prompts_per_update=8, max_new_tokens=limit, n_minibatches=1, learning_rate=1e-2)
        collected = agent.collect()
        collected.truncated[:] = False  # at the token level the limit is part of the task
        agent.collect = lambda collected=collected: collected
        agent.update()
        parameters.append([parameter.detach().clone() for parameter in agent.parameters()])
    for first, second in zip(*parameters, strict=True):
        torch.testing.assert_close(first, second)


def test_a_process_without_usable_episodes_steps_with_the_others(make_ppo, monkeypatch):
    """Elsewhere there are three; here every verifier failed."""
    agent = make_ppo(reward=FirstHalf())
    rollout = agent.collect()
    rollout.rewards[:] = torch.nan
    agent.collect = lambda: rollout
    real = ppo_module.total
    monkeypatch.setattr(ppo_module, "total", lambda value: real(value) + 3)
    before = [parameter.clone() for parameter in agent.parameters()]
    agent.update()
    assert all(torch.equal(a, b) for a, b in zip(before, agent.parameters(), strict=True))


def test_the_context_may_be_full(make_policy, make_bandit):
    policy = make_policy("gpt2", scale=2.0)
    prompt = len(policy.tokenizer.encode_prompt("a or b?"))
    policy.model.config.max_position_embeddings = prompt + 4
    policy.model.transformer.wpe.weight = torch.nn.Parameter(policy.model.transformer.wpe.weight[: prompt + 4].clone())
    agent = PPO(policy, make_bandit(8), prompts_per_update=8, max_new_tokens=5)
    assert agent.collect().lengths.max() == 5
    agent.update()


def test_making_an_agent_draws_nothing_from_the_global_stream(make_ppo, make_policy):
    state = torch.get_rng_state()
    policy = make_policy()
    torch.set_rng_state(state)
    PPO(policy, gym.make("TextMath-v0"), prompts_per_update=2)
    assert torch.equal(state, torch.get_rng_state())


def test_wrappers_of_a_single_env_are_refused_with_the_way_out(make_policy):
    env = gym.make("TextGuessNumber-v0", max_episode_steps=2)
    with pytest.raises(ValueError, match="vector wrappers"):
        PPO(make_policy(), env)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 1.1}, "gamma must be in 0..1"),
        ({"clip_range": -0.1}, "clip_range must be >= 0"),
        ({"target_kl": 0.0}, "target_kl must be > 0"),
        ({"critic": "none"}, "critic must be one of shared, separate"),
        ({"kl_target": 1.0}, "must begin > 0"),
        ({"n_epochs": 0}, "n_epochs must be >= 1"),
    ],
)
def test_bad_settings_are_named(make_ppo, settings, message):
    with pytest.raises(ValueError, match=message):
        make_ppo(**settings)
