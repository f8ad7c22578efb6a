"""A judge on a real server: ``transformers serve`` with the tiny model, which says something, but no verdict."""

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
from textgym.envs.rewards.judge import Judge, OpenAIBackend
from textgym.envs.task import Problem

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
MISSING = [name for name in ("openai", "fastapi", "uvicorn") if importlib.util.find_spec(name) is None]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    if MISSING:
        pytest.skip(f"transformers serve needs {', '.join(MISSING)}: pip install transformers[serving]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    code = "from transformers.cli.transformers import main; main()"
    arguments = ["serve", str(TINY), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with open(log, "w") as out:
        server = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=out, stderr=out, env=environment)
    try:
        for _ in range(180):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, Path(log).read_text()
            time.sleep(0.5)
        else:
            pytest.fail(f"it did not start: {Path(log).read_text()}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def test_it_replies_and_counts_tokens(url):
    reply = OpenAIBackend(str(TINY), base_url=url, max_tokens=16)("What is 5 + 2?")
    assert isinstance(reply.text, str) and reply.prompt_tokens > 0 and reply.completion_tokens > 0


def test_what_it_says_is_no_reward(url):
    judge = Judge(["Be kind."], backend=OpenAIBackend(str(TINY), base_url=url, max_tokens=16, retries=0))
    with pytest.warns(RuntimeWarning, match="1 of 1 verdicts failed"):
        found = judge([Problem("What is 5 + 2?")], ["Score: 10"])
    assert found.status == ["error"] and np.isnan(found.total).all()
