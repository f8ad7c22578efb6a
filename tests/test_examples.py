"""Every example is short, and runs from beginning to end, with arguments that make it quick."""

import ast
import json
import re
import runpy
import sys
from pathlib import Path

import pytest

import textgym
from textgym.envs.check import check_task

EXAMPLES = Path(__file__).parents[1] / "examples"
SHORT = {
    "cleanrl_ppo.py": ["--updates", "20"],
    "custom_task.py": ["--updates", "1"],
    "maze_tabular.py": ["--size", "2", "--total-timesteps", "500"],
    "make_tiny.py": ["{tmp}/tiny", "--rounds", "1", "--batch-size", "4", "--eval-episodes", "4"],
    "online_rlhf.py": ["--warm-updates", "40", "--rounds", "2", "--pairs", "40", "--updates", "1"],
    "rlaif.py": ["--pairs", "60", "--updates", "1", "--warm-updates", "40"],
    "rlhf.py": ["--warm-updates", "2", "--pairs", "20", "--updates", "1"],
    "sb3_ppo.py": ["--env", "TextMathTokens-v0", "--total-timesteps", "64"],
    "sft_vs_rl.py": ["--start-updates", "1", "--limit", "1", "--problems", "4"],
    "warm_start.py": ["{tmp}/warm", "--updates", "2"],
    "steer_lm.py": ["--agent", "dqn", "--total-timesteps", "640", "--out", "{tmp}/curve.png"],
}


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SHORT)


@pytest.mark.parametrize("name", SHORT)
def test_it_is_short_and_says_how_to_run_it(name):
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    assert f"\n    python examples/{name}" in (ast.get_docstring(ast.parse(text)) or "")


@pytest.mark.parametrize("name", SHORT)
def test_it_runs(name, tmp_path, monkeypatch, capsys):
    arguments = [argument.format(tmp=tmp_path) for argument in SHORT[name]]
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    monkeypatch.syspath_prepend(EXAMPLES)  # as for a script, which may import its neighbours
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    out = capsys.readouterr().out
    assert out
    if name == "sb3_ppo.py":
        result = json.loads(out.splitlines()[-1])
        assert 0 <= result["train_success"] <= 1 and result["total_timesteps"] >= 64
    if name == "cleanrl_ppo.py":
        first, second = re.findall("([0-9]+) steps  mean return ([0-9.]+)", out)
        assert (first[0], second[0]) == ("10240", "20480")
        assert float(second[1]) > float(first[1]) + 0.2, "it does not learn"
    if name == "rlaif.py":
        said = [
            re.search(line, out) for line in ("agrees with gold in ([0-9]+) of ([0-9]+)", "after:  gold ([0-9.]+),")
        ]
        assert int(said[0][1]) <= int(said[0][2]) and 0 <= float(said[1][1]) <= 1
    if name == "make_tiny.py":
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny")
        assert 500_000 < model.num_parameters() < 2_000_000


def test_a_task_of_one_s_own_passes_every_check():
    example = runpy.run_path(str(EXAMPLES / "custom_task.py"))
    env = textgym.make_env(example["make_rows"](500), example["begins_right"])
    assert not [finding for finding in check_task(env, responses=200) if finding.outcome == "failed"]
