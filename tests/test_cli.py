"""The command line as a whole: its help, and bad input to any command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from textgym.agents.grpo import GRPOConfig
from textgym.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]


def test_help_is_light():
    code = "import sys; from textgym.cli import main; status = main(['--help']); print('torch' in sys.modules, status)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert result.returncode == 0, result.stderr
    assert all(f"\n  {command} " in result.stdout for command in COMMANDS)
    assert result.stdout.splitlines()[-1] == "False 0"


def test_help_of_train_explains_every_field(capsys):
    assert main(["train", "--help"]) == 0
    help_text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name in GRPOConfig.__dataclass_fields__:
        assert re.search(f"--{name.replace('_', '-')}[ ,]", help_text), name
    assert "Answers to each problem. (default: 8)" in help_text
    assert main(["train", "--agent", "sft", "--help"]) == 0
    help_text = capsys.readouterr().out
    assert "--batch-size" in help_text and "--group-size" not in help_text


def test_help_of_a_preset_shows_its_defaults(capsys):
    assert main(["train", "--preset", "dapo", "--help"]) == 0
    assert "(default: 0.28)" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("textgym 0.")


@pytest.mark.parametrize(
    ("command", "culprit"),
    [
        ("tain", "no command 'tain'; see textgym --help. Did you mean train?"),
        ("play TextMth-v0", "no environment 'TextMth-v0'; see textgym list. Did you mean TextMath-v0?"),
        ("play math", "Did you mean TextMath-v0?"),
        ("play no_such_module:TextMath-v0", "can't import 'no_such_module'"),
        ("play CartPole-v1", "CartPole-v1 is not an environment of text"),
        (
            "play TextCopy-v0 --difficulty 3",
            "no setting 'difficulty'; it has min_length, max_length, alphabet, template",
        ),
        ("play TextMath-v0 --difficulty 9", "difficulty must be a whole number from 1 to 5, got 9"),
        ("play TextMath-v0 --split dev", "got 'dev'"),
        ("play TextMath-v0 --env-kwargs digits", "key=value, got 'digits'"),
        ("play TextGSM8K-v0 --env-kwargs path=none.jsonl", "no such file: 'none.jsonl'"),
        ("check TextGSM8K-v0 --env-kwargs path=none.jsonl", "no such file: 'none.jsonl'"),
        ("play", "ID"),
        ("list --jso", "--jso"),
        ("check", "name one environment, or give --all"),
        ("check TextMath-v0 --all", "name one environment, or give --all"),
        ("check TextMath-v0 --responses 0", "responses must be >= 1, got 0"),
        ("check TextMth-v0", "Did you mean TextMath-v0?"),
        ("check no_such_module:MyEnv-v0", "can't import 'no_such_module'"),
        ("eval --env :TextMath-v0", "':TextMath-v0' lacks the name of a module before the colon"),
        ("check textgym:TextMth-v0", "Did you mean TextMath-v0?"),
        ("check CartPole-v1", "only a textgym.envs.TextEnv or TokenEnv can be checked"),
        ("check TextMath-v0 --env-kwargs dificulty=1", "no setting 'dificulty'"),
        ("eval --env TextMath-v0 --policy /nowhere/model", "/nowhere/model"),
        ("eval --env TextMath-v0 --policy no_such_model", "can't load 'no_such_model'"),
        ("eval --env TextMath-v0 --policy ./none", "no model folder at ./none"),
        ("eval --env TextMath-v0 --policy none/", "no model folder at none/"),
        ("eval --env TextMath-v0 --policy runs/a/none", "no model folder at runs/a/none"),
        ("eval --env textmath-v0", "Did you mean TextMath-v0?"),
        ("eval --env TextMath-v0 --episodes 0", "episodes must be >= 1, got 0"),
        ("eval --env TextMath-v0 --samples 1", "samples must be >= 2, got 1"),
        ("bench", "FILE"),
        ("bench none.yml", "none.yml"),
        ("train", "--env"),
        ("train --agent dqn --env TextMath-v0", "dqn"),
        ("train --agent", "--agent"),
        ("train --env TextMath-v0 --preset gpro", "grpo has no preset 'gpro'"),
        ("train --env TextMath-v0 --group-size 1", "group_size must be >= 2, got 1"),
        ("train --env TextMath-v0 --grup-size 1", "--grup-size"),
        ("train --env TextMath-v0 --total-episodes 0", "total_episodes must be >= 1, got 0"),
        ("train --env TextMath-v0 --env-kwargs dificulty=1", "no setting 'dificulty'"),
        ("train --env TextMath-v1", "'TextMath-v1'; see textgym list. Did you mean TextMath-v0?"),
        ("train --env CartPole-v1", "CartPole-v1 is not an environment of text: it makes a CartPoleEnv, not a TextEnv"),
        ("eval --env CartPole-v1", "CartPole-v1 is not an environment of text: it makes a CartPoleEnv, not a TextEnv"),
        ("train --resume", "--resume needs --out"),
        ("report", "DIR"),
        ("report nowhere", "there is no folder nowhere"),
        ("report .", ". is neither a run nor a benchmark"),
        ("train --resume --out /nowhere/run", "no run to resume in /nowhere/run"),
    ],
)
def test_bad_input_is_named(command, culprit, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert culprit in error
    assert "Traceback" not in error and "environment creator" not in error and len(error) < 1000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["TextWorld-v0", "CartPole-v9", "x"])
def test_names_that_are_not_close_are_not_suggested(name, capsys):
    assert main(["play", name]) == 2
    assert capsys.readouterr().err == f"textgym: there is no environment {name!r}; see textgym list\n"
