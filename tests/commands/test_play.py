"""``textgym play``, with what a person would type."""

import io

import gymnasium as gym

from textgym.cli import main


def type_in(monkeypatch, *lines):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))


def test_play(monkeypatch, capsys):
    prompt, _ = gym.make("TextMath-v0", difficulty=1).reset(seed=3)
    first, _, second = prompt.removeprefix("What is ").removesuffix("?").split()
    type_in(monkeypatch, "", str(int(first) + int(second)), "y", "none", "n")
    assert main(["play", "TextMath-v0", "--difficulty", "1", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert prompt in out
    assert "Type an answer" in out
    assert "Right: reward 1, ended by answer." in out
    assert "Not right: reward 0" in out and "A perfect answer: " in out
    assert "1 of 2 right" in out


def test_play_a_game(monkeypatch, capsys):
    type_in(monkeypatch, "1", "what?", "2")
    assert main(["play", "TextGuessNumber-v0", "--env-kwargs", "high=31", "--seed", "0"]) == 0
    out = capsys.readouterr().out
    assert "> 1\n\nhigher\n" in out and "Answer with one whole number." in out
    assert out.endswith("Bye!\n")  # the input ended in the middle


def test_play_takes_an_answer_of_several_lines(monkeypatch, capsys):
    env = gym.make("TextCode-v0")
    env.reset(seed=3)
    first, *rest = env.unwrapped.solution().split("\n")
    type_in(monkeypatch, "  " + "\\\n".join([first, *rest]), "y", "\\", "wrong", "n")
    assert main(["play", "TextCode-v0", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "Right: reward 1" in out and "1 of 2 right" in out
    assert "A perfect answer:\n```python\n" in out


def test_play_ends_politely_on_ctrl_c(monkeypatch, capsys):
    def interrupt(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    assert main(["play", "TextCopyTokens-v0"]) == 0
    assert capsys.readouterr().out.endswith("Bye!\n")
