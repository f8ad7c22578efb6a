"""``textgym list``."""

import json

import gymnasium as gym

from textgym.cli import main
from textgym.envs.sources import CountdownSource


def test_list(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[0] == "TextMathTokens-v0" for line in lines if line)


def test_list_goes_on_when_a_task_is_broken(monkeypatch, capsys):
    def fail(source, rng):
        raise AttributeError("no such thing")

    monkeypatch.setattr(CountdownSource, "draw", fail)
    assert main(["list"]) == 1
    out, err = capsys.readouterr()
    ids = {line.split()[0] for line in out.splitlines() if line.startswith("  Text")}
    assert "TextMaze-v0" in ids and "TextCountdown-v0" not in ids
    assert "TextCountdown-v0 is broken: AttributeError('no such thing')" in err and err.count("\n") == 2


def test_list_as_json(capsys):
    assert main(["list", "--json"]) == 0
    envs = json.loads(capsys.readouterr().out)
    ours = [name for name, spec in gym.registry.items() if str(spec.entry_point).startswith("textgym.")]
    assert sorted(env["id"] for env in envs) == sorted(ours)
    assert {env["oracle"] for env in envs} == {1.0}
    assert max(env["random"] for env in envs) < 0.5
