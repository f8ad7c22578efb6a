"""A judge on a real server: ``transformers serve`` with the tiny model, and one that learnt a verdict by heart."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from textgym.agents.loading import TINY
from textgym.envs.rewards.judge import Judge, OpenAIBackend, prompts
from textgym.envs.task import Problem

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
MISSING = [name for name in ("openai", "fastapi", "uvicorn") if importlib.util.find_spec(name) is None]


PRINCIPLES = ["Be kind."]
QUESTION, ANSWER = "What is 5 + 2?", "Seven, my friend."


def learn_a_verdict(folder, number):
    """Save the tiny model, after it has learnt what to say to the one prompt of a judge."""
    import torch

    from textgym.agents.policy import CausalLM

    policy = CausalLM.load("tiny", device="cpu")
    policy.model.config.max_position_embeddings = policy.tokenizer.hf.model_max_length = 1024
    prompt, code = prompts.score_prompt(PRINCIPLES, QUESTION, ANSWER)
    said = [*policy.tokenizer.encode_response(f"Score {code}: {number}"), policy.tokenizer.stop_id]
    ids, tokens = torch.tensor([policy.tokenizer.encode_prompt(prompt)]), torch.tensor([said])
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-4)
    for _ in range(60):
        logprobs, _ = policy.logprobs(ids, torch.ones_like(ids), tokens)
        if logprobs.min().exp() > 0.9:
            break
        optimizer.zero_grad()
        logprobs.sum().neg().backward()
        optimizer.step()
    else:
        pytest.fail("it did not learn")
    policy.save(folder)


@pytest.fixture(scope="module")
def served(request, tmp_path_factory):
    """Url and name of the model."""
    if MISSING:
        pytest.skip(f"transformers serve needs {', '.join(MISSING)}: pip install transformers[serving]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("serve")
    log, model = folder / "log", TINY
    if request.param == "a verdict":
        model = folder / "judge"
        learn_a_verdict(model, 7)
    code = "from transformers.cli.transformers import main; main()"
    arguments = ["serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with open(log, "w") as out:
        server = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=out, stderr=out, env=environment)
    try:
        for _ in range(360):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, Path(log).read_text()
            time.sleep(0.5)
        else:
            pytest.fail(f"it did not start: {Path(log).read_text()}")
        yield f"http://127.0.0.1:{port}/v1", str(model)
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize("served", ["as it is"], indirect=True)
def test_it_replies_and_counts_tokens(served):
    url, model = served
    reply = OpenAIBackend(model, base_url=url, max_tokens=16)("What is 5 + 2?")
    assert isinstance(reply.text, str) and reply.prompt_tokens > 0 and reply.completion_tokens > 0


@pytest.mark.parametrize("served", ["as it is"], indirect=True)
def test_what_is_no_verdict_is_no_reward(served):
    url, model = served
    judge = Judge(PRINCIPLES, backend=OpenAIBackend(model, base_url=url, max_tokens=16, retries=0))
    with pytest.warns(RuntimeWarning, match="1 of 1 verdicts failed"):
        found = judge([Problem(QUESTION)], ["Score: 10"])
    assert found.status == ["error"] and np.isnan(found.total).all()


@pytest.mark.parametrize("served", ["a verdict"], indirect=True)
def test_a_verdict_is_read(served):
    url, model = served
    judge = Judge(PRINCIPLES, backend=OpenAIBackend(model, base_url=url, max_tokens=32, retries=0))
    found = judge([Problem(QUESTION)], [ANSWER])
    assert found.status == ["ok"] and found.total.tolist() == [6 / 9] and found.success.tolist() == [True]
    assert judge.usage.calls == 1 and judge.usage.tokens > 500
