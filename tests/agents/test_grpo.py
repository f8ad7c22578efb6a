"""GRPO: its gradients against a naive loop, its bookkeeping, and that it learns what the reward says."""

import json
import signal

import numpy as np
import pytest
import torch

from textgym.agents.grpo import GRPO, PRESETS, GRPOConfig
from textgym.agents.rollout import collect, concatenate
from textgym.envs import Score

SMALL = {"prompts_per_update": 4, "group_size": 4, "max_new_tokens": 5, "warmup_updates": 0, "learning_rate": 1e-3}


def make_agent(policy, make_bandit, reward=None, source=None, **hyperparameters):
    settings = SMALL | hyperparameters
    env = make_bandit(
        settings["prompts_per_update"] * settings["group_size"], settings["group_size"], reward, **(source or {})
    )
    return GRPO(policy, env, **{k: v for k, v in settings.items()})


class OddLength:
    """1 for responses of an odd number of characters: a reward that varies whatever the policy."""

    range = (0.0, 1.0)

    def __call__(self, problems, responses):
        odd = np.array([len(response) % 2 == 1 for response in responses])
        return Score(odd.astype(float), odd)


def parameters(agent):
    return [parameter.detach().clone() for parameter in agent.policy.parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# The gradient, against a loop that shares nothing with the code under test.


def plain_logprobs(model, prompt, tokens, config):
    logits = model.model(torch.cat([prompt, tokens])[None]).logits[0, len(prompt) - 1 : -1] / config.temperature
    return logits.log_softmax(-1)[torch.arange(len(tokens)), tokens]


def naive_gradient(policy, reference, old, rollout, config):
    """Loss of arXiv papers row by row, with one unpadded forward pass a row; returns loss and gradients."""
    rows = []
    for i in range(len(rollout.responses)):
        prompt = rollout.prompt_ids[i][rollout.prompt_mask[i].bool()]
        tokens = rollout.tokens[i][rollout.token_mask[i]]
        with torch.no_grad():
            ref_logp, old_logp = (plain_logprobs(model, prompt, tokens, config) for model in (reference, old))
        rows.append(
            [
                plain_logprobs(policy, prompt, tokens, config),
                old_logp,
                ref_logp,
                float(rollout.returns[i]),
                int(rollout.group_ids[i]),
            ]
        )
    if config.kl_in_reward:
        for row in rows:
            row[3] -= config.kl_coef * float((row[1] - row[2]).sum())
    groups = {g: [row[3] for row in rows if row[4] == g] for g in {row[4] for row in rows}}
    kept = [row for row in rows if not config.drop_zero_variance or len(set(groups[row[4]])) > 1]
    high = config.clip_range if config.clip_range_high is None else config.clip_range_high
    total = 0.0
    for logp, old_logp, ref_logp, reward, group in kept:
        others = groups[group]
        mean = sum(others) / len(others)
        advantage = reward - mean
        if config.advantage == "zscore":
            advantage /= np.std(others, ddof=1) + 1e-4
        elif config.advantage == "rloo":
            advantage = reward - (sum(others) - reward) / (len(others) - 1)
        if len(set(others)) == 1:
            advantage = 0.0
        per_token = []
        for t in range(len(logp)):
            ratio = (logp[t] - old_logp[t]).exp()
            if config.ratio == "seq":
                ratio = (logp - old_logp).mean().exp()
            gain = torch.min(ratio * advantage, ratio.clamp(1 - config.clip_range, 1 + high) * advantage)
            if config.ratio == "none":
                gain = logp[t] * advantage
            loss = -gain
            if config.kl_coef and not config.kl_in_reward:
                d = logp[t] - ref_logp[t]
                loss = loss + config.kl_coef * (d**2 / 2 if config.kl_kind == "k2" else (-d).exp() - 1 + d)
            per_token.append(loss)
        denominator = {
            "token": sum(len(row[0]) for row in kept),
            "seq": len(logp) * len(kept),
            "const": config.max_new_tokens * len(kept),
            "seqsum": len(kept),
        }[config.norm]
        total = total + sum(per_token) / denominator
    return total, torch.autograd.grad(total, list(policy.parameters()))


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_loss_and_gradients_equal_a_naive_loop(make_policy, make_bandit, monkeypatch, preset, moved):
    """``moved``: the policy has left the reference and the policy that sampled, so that ratios, clips and KL act."""
    policy, old, reference = (make_policy(scale=3.0) for _ in range(3))
    if moved and preset == "rloo":
        return  # REINFORCE takes one step on each batch, and says so
    settings = {"prompts_per_update": 8, "resample": 0, "overlong": "keep", "n_epochs": 1 + moved}
    agent = make_agent(policy, make_bandit, preset=preset, **settings)
    rollout = agent.collect(0)
    rollout.rewards[:, 0] += torch.randn(len(rollout.rewards), generator=torch.Generator().manual_seed(1))
    rollout.rewards[:4] = 0.0  # one group without variance
    if moved:
        for seed, model in enumerate((policy, reference)):
            generator = torch.Generator().manual_seed(seed)
            for parameter in model.model.parameters():
                parameter.data += 0.03 * torch.randn(parameter.shape, generator=generator)
    if agent.reference is not None:
        agent.reference = reference
    real_logprobs = agent.logprobs
    monkeypatch.setattr(agent, "logprobs", lambda who, batch: real_logprobs(old if who is policy else who, batch))
    monkeypatch.setattr(agent, "_sample", lambda: (rollout, {}))
    seen = []

    def stop_here():
        seen.extend(parameter.grad.clone() for parameter in policy.parameters())
        raise StopIteration

    monkeypatch.setattr(agent, "step_optimizer", stop_here)
    with pytest.raises(StopIteration):
        agent.update()
    _, expected = naive_gradient(policy, reference, old, rollout, agent.config)
    scale = max(float(gradient.abs().max()) for gradient in expected)
    assert scale > 1e-4
    for mine, theirs in zip(seen, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4 * scale, rtol=1e-3)


def test_the_reported_loss_is_that_of_the_loop(make_policy, make_bandit):
    policy, reference = make_policy(scale=3.0), make_policy(scale=3.0)
    agent = make_agent(policy, make_bandit, preset="grpo", kl_coef=0.5, n_epochs=1)
    for parameter in agent.reference.model.parameters():
        parameter.data += 0.03
    reference.model.load_state_dict(agent.reference.model.state_dict())
    rollout = agent.collect(0)
    expected, _ = naive_gradient(policy, reference, policy, rollout, agent.config)
    agent._sample = lambda: (rollout, {})
    assert agent.update()["train/loss"] == pytest.approx(expected.item(), rel=1e-3)


@pytest.mark.parametrize("norm", ["token", "seq", "const", "seqsum"])
def test_micro_batches_add_up_to_the_whole(make_policy, make_bandit, norm):
    grads = []
    for size in (None, 3):
        agent = make_agent(make_policy(scale=3.0), make_bandit, norm=norm, micro_batch_size=size, learning_rate=0.0)
        rollout = agent.collect(0)
        rows = torch.arange(16)
        agent.step_optimizer = lambda agent=agent: (
            grads.append([p.grad.clone() for p in agent.policy.parameters()]) or 0.0
        )
        agent._step(rollout, torch.linspace(-1, 1, 16), None, None, rows)
    for whole, parts in zip(*grads, strict=True):
        torch.testing.assert_close(whole, parts, atol=1e-6, rtol=1e-4)


# What must not happen.


def test_learning_rate_0_changes_no_bit_and_keeps_the_ratio_at_1(make_policy, make_bandit):
    agent = make_agent(
        make_policy(scale=2.0), make_bandit, learning_rate=0.0, n_epochs=3, kl_coef=0.1, drop_zero_variance=False
    )
    before = parameters(agent)
    for _ in range(2):
        metrics = agent.update()
        assert metrics["train/ratio_max"] == pytest.approx(1.0, abs=1e-5)
        assert metrics["train/clip_fraction"] == 0
        assert metrics["train/approx_kl"] == pytest.approx(0.0, abs=1e-8)
        assert metrics["train/kl_ref"] == pytest.approx(0.0, abs=1e-8)
    assert same(before, parameters(agent))


def test_the_first_step_has_ratio_exactly_1(make_policy, make_bandit):
    metrics = make_agent(make_policy(scale=2.0), make_bandit, OddLength(), prompts_per_update=16).update()
    assert metrics["train/ratio_mean"] == metrics["train/ratio_max"] == 1.0
    assert metrics["train/clip_fraction"] == metrics["train/approx_kl"] == 0.0


def test_groups_without_variance_change_nothing(make_policy, make_bandit, first_char):
    agent = make_agent(make_policy(), make_bandit, reward=first_char(sign=0.0))
    before = parameters(agent)
    metrics = agent.update()
    assert metrics["rollout/frac_zero_std_groups"] == 1.0 and metrics["rollout/frac_kept"] == 0.0
    assert "train/loss" not in metrics and same(before, parameters(agent))


def test_a_failed_verifier_is_no_wrong_answer(make_policy, make_bandit):
    """A row whose reward failed is left out, and the others are compared as if it had never been sampled."""
    agent = make_agent(make_policy(scale=2.0), make_bandit, advantage="center")
    rollout = agent.collect(0)
    rollout.rewards[:, 0] = torch.randn(16, generator=torch.Generator().manual_seed(0))
    rollout.rewards[[0, 5], 0] = torch.nan
    agent._sample = lambda: (rollout, {})
    trained = []
    agent._train = lambda batch, advantages, _: trained.append((batch, advantages)) or {}
    agent.update()
    batch, advantages = trained[0]
    assert len(batch.prompts) == 14 and not batch.returns.isnan().any()
    first = rollout.returns[1:4]
    torch.testing.assert_close(advantages[:3], first - first.mean())


def test_cut_answers_can_be_left_out(make_policy, make_bandit):
    agent = make_agent(make_policy(scale=2.0), make_bandit, overlong="mask", max_new_tokens=60)
    rollout = agent.collect(0)
    rollout.rewards[:, 0] = torch.randn(len(rollout.rewards), generator=torch.Generator().manual_seed(0))
    assert rollout.truncated.any()
    agent._sample = lambda: (rollout, {})
    seen = []
    agent._train = lambda batch, advantages, _: seen.append(batch) or {}
    agent.update()
    assert len(seen[0].prompts) > 1 and not seen[0].truncated.any()


def test_the_overlong_penalty_lowers_the_compared_reward(make_policy, make_bandit):
    agent = make_agent(make_policy(scale=2.0), make_bandit, overlong="penalty", overlong_cache=2)
    rollout = agent.collect(0)
    expected = rollout.returns + ((3 - rollout.lengths) / 2).clamp(-1, 0)
    torch.testing.assert_close(agent._shaped_returns(rollout, None), expected)
    assert (rollout.lengths == 5).any()


def test_dynamic_sampling_replaces_flat_groups(make_policy, make_bandit):
    agent = make_agent(make_policy(scale=1.0), make_bandit, resample=4, prompts_per_update=4)
    first, fresh = agent.collect(0), agent.collect(1)
    first.rewards[:], fresh.rewards[:] = 0.0, 0.0
    first.rewards[0, 0] = 1.0  # group 0 varies
    fresh.rewards[4, 0] = fresh.rewards[12, 0] = 1.0  # groups 1 and 3 do
    flat = torch.tensor([False] * 4 + [True] * 12)
    mixed = agent._replace_groups(first, flat, fresh)
    assert len(mixed.prompts) == 16 and len(set(mixed.group_ids.tolist())) == 4
    varied = {g for g, r in zip(mixed.group_ids.tolist(), mixed.returns.tolist(), strict=True) if r == 1.0}
    assert len(varied) == 3
    counts = [mixed.group_ids.tolist().count(g) for g in set(mixed.group_ids.tolist())]
    assert counts == [4, 4, 4, 4]
    played = agent.num_timesteps
    metrics = agent.update()
    assert agent.num_timesteps == played + 16 * (1 + metrics["rollout/resample_rounds"])  # every sample counts


def test_concatenation_pads_each_side_where_it_is_padded(make_policy, make_bandit):
    policy = make_policy(scale=2.0)
    short = make_agent(policy, make_bandit, max_new_tokens=2).collect(0)
    long = make_agent(policy, make_bandit, max_new_tokens=6, source={"prompt": "which one, a or b?"}).collect(0)
    both = concatenate([short, long])
    for rollout, rows in (short, slice(0, 16)), (long, slice(16, 32)):
        ids = [i[m.bool()].tolist() for i, m in zip(both.prompt_ids[rows], both.prompt_mask[rows], strict=True)]
        assert ids == [i[m.bool()].tolist() for i, m in zip(rollout.prompt_ids, rollout.prompt_mask, strict=True)]
        assert torch.equal(both.returns[rows], rollout.returns)
        assert torch.equal(both.lengths[rows], rollout.lengths)


# That it learns.


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_a_bandit_is_solved_and_a_flipped_reward_undoes_it(make_policy, make_bandit, first_char, preset, sign):
    settings = {"prompts_per_update": 8, "group_size": 8, "max_new_tokens": 2, "learning_rate": 3e-3, "kl_coef": 0.0}
    settings |= {"overlong": "keep", "kl_in_reward": False, "micro_batch_size": None}
    policy = make_policy(scale=1.0)
    a = policy.tokenizer.encode_response("a")[0]
    env_reward = first_char(sign=sign)
    agent = make_agent(policy, make_bandit, preset=preset, reward=env_reward, **settings)
    prompt = torch.tensor([policy.tokenizer.encode_prompt("a or b?")])

    def probability_of_a():
        with torch.no_grad():
            return policy.model(prompt).logits[0, -1].softmax(-1)[a].item()

    if sign < 0:  # begin where a is likely, so that there is something to unlearn
        with torch.no_grad():
            hidden = policy.model.model(prompt).last_hidden_state[0, -1]
            policy.model.lm_head.weight[a] += 3.5 * hidden / hidden.norm() ** 2
        assert 0.1 < probability_of_a() < 0.6
    for _ in range(150):
        agent.update()
        agent.num_updates += 1
        if (probability_of_a() > 0.95) if sign > 0 else (probability_of_a() < 0.05):
            return
    raise AssertionError(f"after 150 updates p(a) = {probability_of_a():.3f}")


# Resuming and being interrupted.


@pytest.mark.parametrize(
    "settings",
    [{}, {"preset": "grpo", "n_epochs": 2, "n_minibatches": 2}, {"preset": "dapo", "overlong_cache": 2}],
    ids=["default", "grpo", "dapo"],
)
def test_5_updates_save_load_5_updates_equal_10(make_policy, make_bandit, tmp_path, settings):
    size = SMALL["prompts_per_update"] * SMALL["group_size"]
    straight = make_agent(make_policy(scale=2.0), make_bandit, OddLength(), warmup_updates=3, **settings)
    for _ in range(10):
        straight.learn(1)
    broken = make_agent(make_policy(scale=2.0), make_bandit, OddLength(), warmup_updates=3, **settings)
    for _ in range(5):
        broken.learn(1)
    broken.save(tmp_path / "checkpoint")
    resumed = GRPO.load(tmp_path / "checkpoint", make_bandit(size, SMALL["group_size"], OddLength()), device="cpu")
    assert resumed.num_updates == 5 and resumed.config == broken.config
    for _ in range(5):
        resumed.learn(1)
    assert not same(parameters(straight), list(make_policy(scale=2.0).parameters()))  # it did learn something
    assert same(parameters(straight), parameters(resumed))
    first, second = straight.optimizer.state_dict(), resumed.optimizer.state_dict()
    for key, state in first["state"].items():
        assert all(torch.equal(value, second["state"][key][name]) for name, value in state.items())
    assert straight.num_timesteps == resumed.num_timesteps


def test_ctrl_c_ends_the_update_and_leaves_a_usable_checkpoint(make_policy, make_bandit, tmp_path):
    agent = make_agent(make_policy(scale=2.0), make_bandit)
    agent.logdir = tmp_path
    before = signal.getsignal(signal.SIGINT)

    def interrupt(locals_, globals_):
        if agent.num_updates == 2:
            signal.raise_signal(signal.SIGINT)
        return True

    with pytest.raises(KeyboardInterrupt):
        agent.learn(1000, callback=interrupt)
    assert signal.getsignal(signal.SIGINT) == before
    resumed = GRPO.load(tmp_path / "checkpoint", agent.env)
    assert resumed.num_updates == 2 and same(parameters(agent), parameters(resumed))


def test_a_crash_while_saving_leaves_the_last_checkpoint(make_policy, make_bandit, tmp_path, monkeypatch):
    agent = make_agent(make_policy(scale=2.0), make_bandit)
    agent.learn(1)
    agent.save(tmp_path / "checkpoint")
    saved = parameters(agent)
    agent.learn(1)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            agent.save(tmp_path / "checkpoint")
    assert same(saved, parameters(GRPO.load(tmp_path / "checkpoint", agent.env)))
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")  # killed between the two renames
    assert same(saved, parameters(GRPO.load(tmp_path / "checkpoint", agent.env)))
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        GRPO.load(tmp_path / "elsewhere", agent.env)


# The interface of stable-baselines3.


def test_a_run_writes_metrics_under_their_usual_names(make_policy, make_bandit, tmp_path, capsys):
    agent = make_agent(make_policy(scale=2.0), make_bandit, reward=OddLength(), transcripts_every=2)
    agent.logdir, agent.verbose = tmp_path, 1
    agent.learn(16 * 3, progress_bar=True)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["train/n_updates"] for line in lines] == [1, 2, 3]
    assert [line["time/total_timesteps"] for line in lines] == [16, 32, 48]
    names = {"rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/success_rate", "train/loss", "train/clip_fraction"}
    assert names <= {name for line in lines for name in line}
    assert "ep_rew_mean" in capsys.readouterr().out
    assert (tmp_path / "progress.csv").read_text().count("\n") >= 4
    assert list((tmp_path / "tensorboard").iterdir())
    transcripts = [json.loads(line) for line in (tmp_path / "transcripts.jsonl").read_text().splitlines()]
    assert {line["update"] for line in transcripts} == {0, 2} and len(transcripts) == 8
    assert set(transcripts[0]) == {"update", "prompt", "response", "reward", "advantage", "status"}


def test_a_resumed_run_keeps_its_metrics_and_drops_what_it_will_do_again(make_policy, make_bandit, tmp_path):
    agent = make_agent(make_policy(scale=2.0), make_bandit, reward=OddLength())
    agent.logdir = tmp_path
    agent.learn(16 * 2)
    agent.learn(1)  # a third update, after which the run is killed before a checkpoint
    agent.save(tmp_path / "checkpoint")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"train/n_updates": 4}\n{"train/n_upd')  # the fourth was logged, the fifth half written
    resumed = GRPO.load(tmp_path / "checkpoint", agent.env, logdir=tmp_path)
    resumed.learn(1)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["train/n_updates"] for line in lines] == [1, 2, 3, 4]
    assert "rollout/ep_rew_mean" in lines[3]  # the new fourth, not the old


def test_callbacks_can_stop_it(make_policy, make_bandit):
    from stable_baselines3.common.callbacks import BaseCallback

    class StopAtTwo(BaseCallback):
        def _on_step(self) -> bool:
            assert self.num_timesteps == self.model.num_timesteps and self.training_env.num_envs == 16
            return self.n_calls < 2

    agent = make_agent(make_policy(scale=2.0), make_bandit)
    agent.learn(10_000, callback=[StopAtTwo()])
    assert agent.num_updates == 2


def test_predict_answers_texts_and_windows(make_policy, make_bandit):
    agent = make_agent(make_policy(), make_bandit)
    one, state = agent.predict("a or b?", deterministic=True)
    many, _ = agent.predict(("a or b?", "a or b?"), deterministic=True)
    assert isinstance(one, str) and state is None and many == [one, one]
    ids = agent.policy.tokenizer.encode_prompt("a or b?")
    window = np.array([1] * 5 + ids)
    token, _ = agent.predict(window, deterministic=True)
    tokens, _ = agent.predict(np.stack([window, window]), deterministic=True)
    assert token == tokens[0] == tokens[1] == agent.policy.model(torch.tensor([ids])).logits[0, -1].argmax()


def test_predict_keeps_stop_tokens_between_turns_where_pad_is_the_same_token(make_policy, make_bandit):
    agent = make_agent(make_policy(pad="<eos>"), make_bandit)
    assert agent._unpadded([0, 0, 5, 0, 6, 7]) == [5, 0, 6, 7]
    assert make_agent(make_policy(), make_bandit)._unpadded([1, 5, 0, 6, 1, 7]) == [5, 0, 6, 7]
    with pytest.raises(ValueError, match=r"token 5000 is not in the policy's vocabulary of \d+"):
        agent.predict(np.array([5000, 5]))


def test_predict_and_evaluation_touch_no_training_state(make_policy, make_bandit):
    agent = make_agent(make_policy(scale=2.0), make_bandit)
    agent.learn(1)
    state, mode = agent.generators[0].get_state(), agent.policy.model.training
    world = torch.get_rng_state()
    agent.predict("a or b?")
    assert torch.equal(state, agent.generators[0].get_state()) and torch.equal(world, torch.get_rng_state())
    assert agent.policy.model.training == mode


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"group_size": 1}, ValueError, "group_size must be >= 2"),
        ({"temperature": 0.0}, ValueError, "temperature"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate"),
        ({"ratio": "seq"}, ValueError, "needs norm='seq'"),
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens"),
        ({"overlong": "penalty", "overlong_cache": 99}, ValueError, "overlong_cache"),
        ({"overlong": "maks"}, ValueError, "overlong must be one of keep, mask"),
        ({"advantage": "mean"}, ValueError, "advantage must be one of center"),
        ({"kl_coef": -1.0}, ValueError, "kl_coef must be >= 0"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
        ({"dual_clip": 0.5}, ValueError, "dual_clip must be > 1"),
        ({"kl_in_reward": True}, ValueError, "needs kl_coef > 0"),
        ({"kl_coef": 0.1, "kl_kind": "k1"}, ValueError, "no gradient in the loss"),
        ({"ratio": "none", "n_epochs": 2}, ValueError, "one step on each batch"),
        ({"preset": "ppo"}, ValueError, "no preset"),
        ({"learning_rte": 1.0}, TypeError, "has no learning_rte"),
    ],
)
def test_bad_settings_are_named(make_policy, make_bandit, settings, error, message):
    with pytest.raises(error, match=message):
        make_agent(make_policy(), make_bandit, **settings)


def test_an_env_of_the_wrong_size_is_named(make_policy, make_bandit):
    with pytest.raises(ValueError, match="needs num_envs=256 and group_size=8, the env has 16 and 4"):
        GRPO(make_policy(), make_bandit(16, 4))


def test_every_preset_is_a_valid_config():
    for name, switches in PRESETS.items():
        config = GRPOConfig(**switches)
        assert all(getattr(config, key) == value for key, value in switches.items()), name


def test_an_id_a_made_env_and_a_vector_env_all_serve(make_policy):
    import gymnasium as gym

    import textgym  # noqa: F401

    for env in ("TextCopy-v0", gym.make("TextCopy-v0", max_length=4)):
        agent = GRPO(make_policy(), env, **SMALL)
        assert agent.env.num_envs == 16 and agent.update()
    assert agent.env.unwrapped.envs[0].source.max_length == 4
    rollout = collect(agent.policy, agent.env, max_new_tokens=3, seed=0)
    assert len(set(rollout.prompts)) == 4
