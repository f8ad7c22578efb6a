"""``textgym bench``."""

from pathlib import Path

import pytest

from textgym.commands.bench import main
from textgym.commands.shared import BadInput

MATRIX = """
seeds: [0, 1]
protocol: {points: 1, curve_problems: 2, problems: 4, pass_problems: 2, k: 1, transcripts: 1}
envs: [{id: TextMath-v0, settings: {difficulty: 1}, token_settings: {difficulty: 1}}]
agents: AGENTS
"""


def write(folder: Path, agents: str) -> str:
    path = folder / "matrix.yml"
    path.write_text(MATRIX.replace("AGENTS", agents))
    return str(path)


def test_list_names_the_cells(tmp_path, capsys):
    assert main([write(tmp_path, "[oracle, random]"), "--list"]) == 0
    assert capsys.readouterr().out.split() == [
        "TextMath--oracle--seed0",
        "TextMath--random--seed0",
        "TextMath--random--seed1",
    ]


def test_a_benchmark_runs_and_ends_with_a_table(tmp_path, capsys):
    command = [write(tmp_path, "[oracle, random]"), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "3 of 3 cells done: TextMath--random--seed1 done" in out
    assert "1.000 (1)" in out and "(2)" in out
    assert main(command) == 0  # nothing is left to do
    assert "done:" not in capsys.readouterr().out


def test_a_failed_cell_is_named_and_is_the_status(tmp_path, capsys):
    assert main([write(tmp_path, "[oracle, dapo]"), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "TextMath--dapo--tiny--seed0 failed: ValueError: overlong_cache must be" in captured.out
    assert "TextMath--dapo--tiny--seed1 failed, see" in captured.err
    assert "1.000 (1)" in captured.out


@pytest.mark.parametrize("agents, message", [("[grop]", "no agent 'grop'"), ("{", "is not a matrix")])
def test_a_bad_matrix_is_bad_input(tmp_path, agents, message):
    with pytest.raises(BadInput, match=message):
        main([write(tmp_path, agents)])


def test_a_matrix_that_is_not_there_is_bad_input():
    with pytest.raises(BadInput, match=r"none\.yml"):
        main(["none.yml"])
