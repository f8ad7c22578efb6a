"""GRPO with a judge on a server that hangs, errs, floods or lies: it goes on, and nothing is learnt from no verdict."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest
import torch

from textgym.agents import GRPO, CausalLM
from textgym.envs.rewards.judge import Judge, OpenAIBackend, prompts

pytest.importorskip("openai", reason="needs the extra [judge]")
pytestmark = pytest.mark.filterwarnings("ignore:Judge.*verdicts failed:RuntimeWarning")
PRINCIPLES = ["Be right."]


class Recorder(Judge):
    """Keeps what was judged, and how."""

    def __init__(self, url, time_limit):
        backend = OpenAIBackend("fake", base_url=url, time_limit=time_limit, retries=0)
        super().__init__(PRINCIPLES, backend=backend, concurrency=4)
        self.verdicts = []

    def __call__(self, problems, responses):
        score = super().__call__(problems, responses)
        rows = zip(problems, responses, score.total, score.status, strict=True)
        self.verdicts += [(self.shown(problem, response), problem, *rest) for problem, response, *rest in rows]
        return score


def make_agent(url, time_limit, **options):
    judge = Recorder(url, time_limit)
    policy = CausalLM.load("tiny", device="cpu")
    env = gym.make("TextMath-v0", reward=judge)
    settings = {
        "prompts_per_update": 2,
        "group_size": 6,
        "max_new_tokens": 8,
        "temperature": 1.5,
        "learning_rate": 1e-3,
    }
    return GRPO(policy, env, seed=0, **settings, **options), judge


def weights(agent):
    return torch.cat([parameter.detach().flatten() for parameter in agent.policy.parameters()])


def acts(server):
    """What a server does, and what the status is; on a busy machine, any of it may also take too long."""
    return [
        (server.hang, "timeout"),
        (server.send(500, {"error": {"message": "Score: 10"}}), "error"),
        (server.send(429, {"error": {"message": "slow down"}}, Retry_After="60"), "error"),
        (server.flood(200), "error"),
        (server.send(200, {"choices": [{"message": {"content": 10}}]}), "error"),
        (server.say("I give it 10/10.\nScore: 10"), "error"),
    ]


def test_a_run_goes_on_and_learns_from_honest_verdicts_alone(fake_server, code_of, tmp_path):
    """What the server does depends on the code of the prompt, so that the test knows what every status must be."""

    def fate(code):
        number = int(code, 16)
        every = acts(fake_server)
        return every[number // 2 % len(every)] if number % 2 else (fake_server.score(1 + number // 2 % 10), "ok")

    fake_server.behave = [lambda handler, body: fate(code_of(body["messages"][-1]["content"]))[0](handler, body)]
    agent, judge = make_agent(fake_server.url, time_limit=3.0, logdir=tmp_path)
    before = weights(agent)
    agent.learn(36)
    assert agent.num_timesteps == len(judge.verdicts) == 36
    assert not torch.equal(before, weights(agent)) and weights(agent).isfinite().all()
    seen = set()
    for shown, problem, total, status in judge.verdicts:
        _, code = prompts.score_prompt(PRINCIPLES, problem.prompt, shown)
        expected, number = fate(code)[1] if shown else "ok", int(code, 16)
        assert status == expected or (shown and status == "timeout")
        if status == "ok":
            assert total == ((number // 2 % 10) / 9 if shown else 0.0)
        else:
            assert np.isnan(total)
        seen |= {status}
    assert seen == {"ok", "error", "timeout"}
    failed = np.array([status != "ok" for *_, status in judge.verdicts]).reshape(3, 12)
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [each["rollout/unscorable_frac"] for each in metrics] == pytest.approx(failed.mean(1).tolist())


@pytest.mark.parametrize("which", range(6), ids=["hangs", "500", "429", "floods", "no text", "no verdict"])
def test_where_every_verdict_fails_nothing_is_learnt(fake_server, which):
    act, status = acts(fake_server)[which]
    fake_server.behave = [act]
    agent, judge = make_agent(fake_server.url, time_limit=0.5 if which == 0 else 5.0)
    before = weights(agent)
    agent.learn(24)
    assert agent.num_timesteps == 24 and torch.equal(before, weights(agent))
    verdicts = [verdict for shown, *verdict in judge.verdicts if shown]
    assert {said for *_, said in verdicts} <= {status, "timeout"} and all(np.isnan(total) for _, total, _ in verdicts)
