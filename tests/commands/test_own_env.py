"""An environment of one's own, named by the module that registers it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import pytest

from textgym.cli import main

MODULE = """
import gymnasium as gym
import textgym

splits = ["train", "test"] * 3
rows = [{"prompt": f"Say {word}.", "answer": word, "split": split} for word, split in zip("abcdef", splits)]


def same(completions, answer):
    return [float(c == a) for c, a in zip(completions, answer)]


def make(**settings):
    return textgym.make_env(rows, same, **settings)


gym.register("Own-v0", entry_point=make, vector_entry_point=make)
gym.register("Alone-v0", entry_point=make)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_words.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("own_words", None)
    for name in "Own-v0", "Alone-v0":
        gym.registry.pop(name, None)


def test_it_is_trained_on_evaluated_and_gone_on_with(
    folder: Path, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    episodes = ["--eval-episodes", "3", "--max-new-tokens", "2", "--prompts-per-update", "2", "--group-size", "2"]
    command = ["train", "--env", "own_words:Own-v0", "--policy", str(tiny), "--total-episodes", "4", "--out", "run"]
    assert main([*command, *episodes]) == 0
    assert main(["train", "--resume", "--out", "run"]) == 0
    assert json.loads((folder / "run/summary.json").read_text())["env"] == "own_words:Own-v0"
    capsys.readouterr()
    assert main(["eval", "--env", "own_words:Own-v0", "--policy", "run", "--max-new-tokens", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == 3


def test_it_must_be_there_for_many_players(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--env", "own_words:Alone-v0"]) == 2
    assert "register it with a vector_entry_point, too" in " ".join(capsys.readouterr().err.split())
    assert not (folder / "runs").exists()
