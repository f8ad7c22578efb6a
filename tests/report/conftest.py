"""Folders as ``textgym train`` and ``textgym bench`` leave them, made by hand, with hostile text in them."""

import json

import numpy as np
import pytest

HOSTILE = (
    "<script>document.title='pwned'</script></script><img src=x onerror=\"document.title='pwned'\"><!-- "
    "{{ 7 * 7 }} [x](javascript:alert(1)) | ` \0\x1b[2J\u202egnp.exe\ud800 $\\frac{"
)


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def metrics(updates, **columns):
    """Lines of a log; a column is a function of the part of the run that is over."""
    return [
        {
            **{name.replace("__", "/"): column(i / updates) for name, column in columns.items()},
            "time/total_timesteps": 64 * (i + 1), "time/time_elapsed": 0.5 * (i + 1),
        }
        for i in range(updates)
    ]  # fmt: skip


@pytest.fixture
def hostile():
    """What a model may write."""
    return HOSTILE


RATES = {"problems": 100, "unscored": 0}


@pytest.fixture
def run_folder(tmp_path):
    """A finished run whose reward was hacked, with answers."""
    folder = tmp_path / "run"
    folder.mkdir()
    config = {
        "agent": "ppo",
        "env": "TextRLHF-v0",
        "env_kwargs": {"note": HOSTILE},
        "policy": "tiny",
        "total_episodes": 6400,
    }
    (folder / "config.json").write_text(json.dumps(config))
    before, after = {"greedy": 0.25, "sampled": 0.2, **RATES}, {"greedy": 0.75, "sampled": 0.5, **RATES}
    (folder / "before.json").write_text(json.dumps(before))
    (folder / "summary.json").write_text(json.dumps({"before": before, "after": after, "versions": {"textgym": "0"}}))
    log = metrics(
        100, rollout__ep_rew_mean=lambda t: 1 + t, rollout__success_rate=lambda t: 0.2 + 0.4 * t,
        monitor__gold=lambda t: min(t, 1 - t), reward__polite=lambda t: t, rollout__kl_to_reference=lambda t: 9 * t,
        train__entropy=lambda t: 1 - t, train__approx_kl=lambda t: 0.01, alarm__hacking=lambda t: float(t >= 0.75),
    )  # fmt: skip
    write_lines(folder / "metrics.jsonl", log)
    samples = [
        {"update": u, "prompt": f"problem {u % 20}", "response": HOSTILE if u == 0 else f"answer {i // 2}",
         "reward": reward, "advantage": 0.5, "status": "ok"}
        for u in range(0, 100, 10) for i, reward in enumerate([0.0, 0.0, 1.0, float("nan")])
    ]  # fmt: skip
    write_lines(folder / "transcripts.jsonl", samples)
    return folder


LEARNERS = {"grpo": (0.9, 0.05), "ppo": (0.8, 0.1), "expert_iteration": (0.7, 0.1), "sft": (0.55, 0.03)}
PLAYERS = {"sb3_ppo": (0.6, 0.15), "sb3_dqn": (0.3, 0.1)}
BASELINES = {"random": (0.0, 0.0), "oracle": (1.0, 0.0), "warm_start": (0.2, 0.0)}


def make_cell(folder, env, agent, seed, score, *, first=0.2, prompt="problem"):
    """One finished cell."""
    policy = None if agent.startswith("sb3") or agent in ("random", "oracle") else "tiny"
    cell = {
        "id": f"{env}--{agent}--seed{seed}", "env": f"{env}-v0", "env_name": env, "env_kwargs": {}, "agent": agent,
        "agent_name": agent, "hyperparameters": {}, "policy": policy, "begins_with": None, "seed": seed, "budget": 1000,
        "max_new_tokens": 8, "protocol": {},
    }  # fmt: skip
    home = folder / cell["id"]
    home.mkdir(parents=True)
    (home / "cell.json").write_text(json.dumps(cell))
    cost = {
        "samples": 1000,
        "tokens": 8000,
        "gradient_steps": 50,
        "seconds": 10.0,
        "seconds_sampling": 6.0,
        "seconds_env": 1.0,
    }
    result = {
        "cell": cell, "score": score, "before": {"greedy": first, "sampled": first, "problems": 100},
        "after": {"greedy": score, "sampled": 0.9 * score, "pass@1": score, "pass@8": min(1.0, 1.1 * score)},
        "cost": {} if agent in BASELINES else cost, "hyperparameters": {"learning_rate": 1e-3}, "problems_sha256": env,
        "machine": {"processor": "a processor", "threads": 1, "gpu": None, "peak_memory_mb": 300},
        "versions": {"torch": "2"},
    }  # fmt: skip
    (home / "result.json").write_text(json.dumps(result))
    if agent not in BASELINES:
        points = [
            {
                "samples": 100 * i,
                "episodes": 100 * i,
                "tokens": 800 * i,
                "greedy": first + (score - first) * min(1, i / 8),
            }
            for i in range(11)
        ]
        write_lines(home / "curve.jsonl", points)
    pairs = [
        {
            "prompt": f"{prompt} {i} of {env}",
            "response_before": "wrong", "reward_before": 0.0, "success_before": False,
            "response_after": "right" if i < 4 * score else "still wrong", "reward_after": 1.0,
            "success_after": i < 4 * score,
        }
        for i in range(4)
    ]  # fmt: skip
    write_lines(home / "answers.jsonl", pairs)
    return home


@pytest.fixture
def make_matrix(tmp_path):
    """Make a folder of cells on two envs, of some seeds."""

    def make(seeds=5, envs=("TextMath", "TextSort")):
        folder, rng = tmp_path / "bench", np.random.default_rng(0)
        for env in envs:
            for agent, (mean, deviation) in (LEARNERS | PLAYERS | BASELINES).items():
                for seed in range(1 if agent in BASELINES else seeds):
                    score = float(np.clip(rng.normal(mean, deviation), 0, 1))
                    make_cell(folder, env, agent, seed, score, first=0.0 if agent in PLAYERS else 0.2)
        return folder

    return make
