"""``textgym eval``."""

import json

import numpy as np
import pytest

from textgym.cli import main
from textgym.envs import Score
from textgym.envs.rewards import MathVerifier


def test_eval_as_json(tiny, capsys):
    command = ["eval", "--policy", str(tiny), "--env", "TextCopy-v0", "--env-kwargs", "alphabet=abc", "max_length=4"]
    assert main([*command, "--episodes", "7", "--max-new-tokens", "4", "--json"]) == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    values = json.loads(line)
    assert values["env_kwargs"] == {"alphabet": "abc", "max_length": 4}
    assert values["problems"] <= 7 and values["greedy_se"] >= 0 and 0 <= values["sampled"] <= 1
    assert values["samples"] is None and values["unscored"] == 0 and "pass@1" not in values


def test_eval_with_several_samples(tiny, capsys):
    command = ["eval", "--policy", str(tiny), "--env", "TextMath-v0", "--episodes", "5", "--max-new-tokens", "3"]
    assert main([*command, "--samples", "16"]) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    ks = (1, 2, 4, 8)
    assert rows == ["greedy", "sampled", *[f"pass@{k}" for k in ks], *[f"maj@{k}" for k in ks]]
    assert main([*command, "--samples", "4", "--env-kwargs", "difficulty=1", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["samples"] == 4 and {"pass@1", "pass@2_se", "maj@2"} < set(values) and "pass@4" not in values


def test_eval_shows_what_could_not_be_measured(tiny, capsys, monkeypatch):
    def fail(verifier, problems, responses):
        return Score(np.full(len(problems), np.nan), np.zeros(len(problems), bool), status=["error"] * len(problems))

    monkeypatch.setattr(MathVerifier, "__call__", fail)
    command = ["eval", "--policy", str(tiny), "--env", "TextMath-v0", "--episodes", "3", "--max-new-tokens", "2"]
    assert main([*command, "--samples", "2", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["greedy"] is values["pass@1"] is values["maj@1_se"] is None and values["unscored"] == 12
    assert main(command) == 0
    assert "6 responses could not be scored" in capsys.readouterr().out


def test_the_hub_is_asked_once(capsys, monkeypatch):
    """huggingface_hub repeats a request that fails, for half a minute, and transformers lets it."""
    asked = []

    def no_network(url):
        asked.append(url)
        raise RuntimeError("name or service not known")

    monkeypatch.setattr("textgym.agents.loading.get_hf_file_metadata", no_network)
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", pytest.fail)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", pytest.fail)
    assert main(["eval", "--policy", "runs/none", "--env", "TextMath-v0"]) == 2
    assert "can't load 'runs/none'" in capsys.readouterr().err
    assert len(asked) == 1 and asked[0].endswith("/runs/none/resolve/main/config.json")
