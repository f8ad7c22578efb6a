"""``textgym check``."""

import json
import re
import sys

import gymnasium as gym
import pytest

from textgym.cli import main
from textgym.envs.checks.contract import Finding
from textgym.envs.sources import ArithmeticSource

OWN = """
import gymnasium as gym
import numpy as np
from textgym.envs import Problem, Score, TextEnv


class Squares:
    def draw(self, rng):
        number = int(rng.integers(1_000))
        return Problem(f"What is the square of {number}?", str(number**2))

    def solution(self, problem):
        return problem.answer


class Anywhere:
    range = (0.0, 1.0)

    def __call__(self, problems, responses):
        found = np.array([p.answer in r for p, r in zip(problems, responses)])
        return Score(found.astype(float), found)


gym.register("OwnSquares-v0", entry_point=lambda: TextEnv(Squares(), Anywhere()))
"""


@pytest.fixture
def own_env(tmp_path, monkeypatch):
    """An env of a user's own, in a module in the current folder."""
    (tmp_path / "own_squares.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [entry for entry in sys.path if entry])
    yield "own_squares:OwnSquares-v0"
    gym.registry.pop("OwnSquares-v0", None)
    sys.modules.pop("own_squares", None)


def test_check(capsys):
    assert main(["check", "TextCopy-v0", "--responses", "50"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "perfect answers" in out and "50 texts judged" in out and "14 passed, 0 failed, 0 skipped." in out
    assert "To mend" not in out


def test_check_of_your_own_env_says_what_to_mend(own_env, capsys):
    assert main(["check", own_env, "--responses", "50"]) == 1
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("every answer at once" in line and "failed" in line for line in lines)
    shown = " ".join(out.split())
    assert "To mend: every answer at once. Pay the least for whatever is not exactly one right answer" in shown
    assert re.search(r"\d+ passed, \d+ failed, \d+ skipped\.", shown)


def test_check_says_once_what_mends_several_checks(monkeypatch, capsys):
    findings = [
        Finding(name, "failed", "seen", mend) for name, mend in [("a", "This."), ("b", "That."), ("c", "This.")]
    ]
    monkeypatch.setattr("textgym.commands.check.check_task", lambda env, responses: findings)
    assert main(["check", "TextCopy-v0"]) == 1
    shown = capsys.readouterr().out
    assert "To mend: a; c. This.\nTo mend: b. That.\n0 passed, 3 failed" in shown


def test_check_ends_politely_on_ctrl_c(monkeypatch, capsys):
    def interrupt(env, responses):
        raise KeyboardInterrupt

    monkeypatch.setattr("textgym.commands.check.check_task", interrupt)
    assert main(["check", "TextCopy-v0"]) == 130
    assert capsys.readouterr().err == "\ntextgym: interrupted\n"


def test_check_says_that_a_module_registers_no_such_env(own_env, capsys):
    assert main(["check", own_env.replace("Own", "My")]) == 2
    assert "own_squares registers no environment 'MySquares-v0'" in capsys.readouterr().err


def test_check_as_json(own_env, capsys):
    assert main(["check", own_env, "--responses", "50", "--json"]) == 1
    line = capsys.readouterr().out
    values = json.loads(line)
    assert line.count("\n") == 1 and (values["env"], values["env_kwargs"]) == ("OwnSquares-v0", {})
    outcomes = {finding["check"]: finding["outcome"] for finding in values["findings"]}
    assert outcomes["every answer at once"] == "failed" and outcomes["perfect answers"] == "passed"


def test_check_all_takes_every_env_and_its_partial_credit(monkeypatch, capsys):
    checked = []

    def pass_all_but_the_maze(env, responses):
        checked.append((env.spec.id, env.spec.kwargs.get("dense", False)))
        return [Finding("oracle", "failed" if env.spec.id == "TextMaze-v0" else "passed", "seen", "mend")]

    monkeypatch.setattr("textgym.commands.check.check_task", pass_all_but_the_maze)
    assert main(["check", "--all"]) == 1
    out = capsys.readouterr().out
    ours = {name for name, spec in gym.registry.items() if str(spec.entry_point).startswith("textgym.")}
    assert {name for name, dense in checked if not dense} == ours
    assert ("TextMath-v0", True) in checked and ("TextMaze-v0", True) not in checked
    assert "TextMath-v0 dense=True" in out and out.count("1 failed") == 1


def test_check_leaves_out_what_needs_an_extra(monkeypatch, capsys):
    def needs_an_extra(source, rng):
        raise ImportError("install textgym[sums]")

    monkeypatch.setattr(ArithmeticSource, "draw", needs_an_extra)
    assert main(["check", "TextMath-v0"]) == 2
    assert capsys.readouterr().err == "textgym: install textgym[sums]\n"
    monkeypatch.setattr("textgym.commands.check.check_task", lambda env, responses: [])
    assert main(["check", "--all"]) == 0
    out, err = capsys.readouterr()
    assert "textgym: TextMath-v0: install textgym[sums]\n" in err and "TextCopy-v0" in out and "TextMath-v0" not in out
