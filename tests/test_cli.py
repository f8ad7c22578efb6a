"""The command line, run in this process, with a random model of the shape of "tiny"."""

import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from textgym.agents import runs
from textgym.agents.grpo import GRPO, GRPOConfig
from textgym.cli import main
from textgym.envs import Score
from textgym.envs.checks.contract import Finding
from textgym.envs.rewards import MathVerifier
from textgym.envs.sources import ArithmeticSource, CountdownSource

ROOT = Path(__file__).parents[1]
SMALL = [
    "--eval-episodes",
    "20",
    "--max-new-tokens",
    "4",
    "--prompts-per-update",
    "4",
    "--group-size",
    "4",
    "--transcripts-every",
    "1",
]


def load_script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with the architecture and the tokenizer of "tiny", and random weights."""
    make_tiny = load_script(ROOT / "examples/make_tiny.py")
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = make_tiny.make_tokenizer()
    tokenizer.save_pretrained(folder)
    make_tiny.make_model(tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def train(tiny):
    """Run ``textgym train`` on one-digit sums and return its status."""

    def run(out, *more, episodes=64):
        command = ["train", "--env", "TextMath-v0", "--env-kwargs", "difficulty=1", "--policy", str(tiny)]
        return main([*command, "--total-episodes", str(episodes), "--out", str(out), *more])

    return run


def type_in(monkeypatch, *lines):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))


# --- help and list


def test_help_is_light():
    code = "import sys; from textgym.cli import main; status = main(['--help']); print('torch' in sys.modules, status)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert result.returncode == 0, result.stderr
    assert all(command in result.stdout for command in ("list", "play", "train", "eval", "check", "label"))
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


# --- play


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


# --- train


def test_train(train, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(out, *SMALL) == 0
    shown = capsys.readouterr().out
    assert "64 episodes, 16 in an update" in shown and "before" in shown and str(out) in shown.replace("\n", "")

    summary = json.loads((out / "summary.json").read_text())
    assert (summary["env"], summary["env_kwargs"], summary["agent"]) == ("TextMath-v0", {"difficulty": 1}, "grpo")
    assert (summary["seed"], summary["samples"]) == (0, 64)
    assert set(summary["versions"]) == {"textgym", "torch", "transformers", "gymnasium", "python"}
    for rates in (summary["before"], summary["after"]):
        assert 0 <= rates["greedy"] <= 1 and 0 <= rates["sampled"] <= 1 and 0 < rates["problems"] <= 20
    assert summary["seconds"] > 0

    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["time/total_timesteps"] for line in lines] == [16, 32, 48, 64]
    assert (out / "progress.csv").read_text().count("\n") == 5
    assert list((out / "tensorboard").iterdir()) and (out / "transcripts.jsonl").stat().st_size
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "config.json").read_text())["hyperparameters"]["group_size"] == 4

    model = AutoModelForCausalLM.from_pretrained(out / "model")
    tokenizer = AutoTokenizer.from_pretrained(out / "model")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is 1 + 1?"}], add_generation_prompt=True, return_tensors="pt"
    )
    assert model.generate(**prompt, max_new_tokens=2).shape[0] == 1

    assert main(["eval", "--policy", str(out), "--env", "TextMath-v0", "--env-kwargs", "difficulty=1"]) == 0
    assert "held-out problems" in capsys.readouterr().out


def test_train_sft_from_a_run(train, tiny, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    small = ["--agent", "sft", "--eval-episodes", "10", "--max-new-tokens", "4", "--batch-size", "8"]
    assert train(first, *small, episodes=16) == 0
    assert train(second, *small, "--policy", str(first), episodes=8) == 0
    before, after = json.loads((second / "summary.json").read_text())["before"], runs.read_json(first / "summary.json")
    assert before == after["after"]  # it went on with the trained model
    assert (second / "curve.png").exists()


def test_train_on_tokens(tiny, tmp_path, capsys):
    command = ["train", "--env", "TextCopyTokens-v0", "--policy", str(tiny), "--out", str(tmp_path / "run"), *SMALL]
    assert main([*command, "--total-episodes", "16", "--env-kwargs", f"tokenizer={tiny}"]) == 0
    assert main([*command[:-1], "9", "--out", str(tmp_path / "other")]) == 2
    assert "vocabulary" in capsys.readouterr().err and not (tmp_path / "other").exists()


def test_ctrl_c_and_resume_end_where_an_uninterrupted_run_does(train, tmp_path, capsys, monkeypatch):
    whole, halves = tmp_path / "whole", tmp_path / "two halves"
    options = [*SMALL, "--n-minibatches", "2", "--learning-rate", "1e-3", "--kl-coef", "0.01"]
    assert train(whole, *options) == 0

    update = GRPO.update

    def interrupted_update(agent):
        if agent.num_updates == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return update(agent)

    with monkeypatch.context() as context:
        context.setattr(GRPO, "update", interrupted_update)
        assert train(halves, *options) == 130
    out = capsys.readouterr().out
    assert "32 episodes to go" in out and f"textgym train --resume --out '{halves}'" in out
    assert not (halves / "summary.json").exists()

    with (halves / "transcripts.jsonl").open("a") as file:  # of an update after the checkpoint, and then a kill
        file.write('{"update": 2}\n{"upd')
    assert main(["train", "--agent", "grpo", "--resume", "--out", str(halves)]) == 0
    assert "32 to go" in capsys.readouterr().out

    def weights(folder):
        return AutoModelForCausalLM.from_pretrained(folder / "model").state_dict()

    expected = weights(whole)
    for name, value in weights(halves).items():
        assert torch.equal(value, expected[name]), name
    assert (halves / "transcripts.jsonl").read_text() == (whole / "transcripts.jsonl").read_text()
    ours, theirs = runs.read_metrics(halves), runs.read_metrics(whole)
    assert [line["rollout/ep_rew_mean"] for line in ours] == [line["rollout/ep_rew_mean"] for line in theirs]
    first, second = (runs.read_json(folder / "summary.json") for folder in (halves, whole))
    assert (first["before"], first["after"]) == (second["before"], second["after"])

    # A finished run has nothing left to learn, and keeps its settings.
    assert main(["train", "--resume", "--out", str(halves)]) == 0
    assert main(["train", "--resume", "--out", str(halves), "--clip-range", "0.3"]) == 2
    assert "--clip-range is 0.2" in capsys.readouterr().err


def test_a_run_killed_before_its_first_checkpoint_starts_again(train, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"

    def fail(agent):
        raise FloatingPointError("the loss is nan")

    with monkeypatch.context() as context:
        context.setattr(GRPO, "update", fail)
        assert train(out, *SMALL, episodes=16) == 1
    assert "the loss is nan" in capsys.readouterr().err
    assert main(["train", "--resume", "--out", str(out)]) == 0
    assert (out / "summary.json").exists()


def test_a_folder_that_is_not_empty_is_refused(train, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("precious")
    assert train(tmp_path / "run") == 2
    assert "is not empty" in capsys.readouterr().err


def test_preset_and_options_over_it(monkeypatch):
    config = runs.make_config("grpo", "rloo", kl_coef=0.5)
    assert (config.advantage, config.kl_coef) == ("rloo", 0.5)
    with pytest.raises(ValueError, match="sft has no preset 'rloo'; it has none"):
        runs.make_config("sft", "rloo")


def test_smooth_is_the_mean_of_as_many_neighbours_on_either_side():
    values = np.array([0.0, 3.0, np.nan, 6.0, 1.0])
    assert runs.smooth(values, 3).tolist() == [0.0, 1.5, 4.5, 3.5, 1.0]
    assert runs.smooth(values, 9).tolist() == [0.0, 1.5, 2.5, 3.5, 1.0]
    assert runs.smooth(values, 1)[[0, 3]].tolist() == [0.0, 6.0] and np.isnan(runs.smooth(values, 1)[2])


@pytest.mark.parametrize("window", [1, 2, 7, 100])
def test_smooth_leaves_a_line_as_it_is_to_its_ends(window):
    line = np.linspace(0.3, 0.9, 40)
    np.testing.assert_allclose(runs.smooth(line, window), line, rtol=1e-12)


def test_the_curve_shows_what_was_measured(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *args, **kwargs: figures.append(figure))
    before, after = {"greedy": 0.3, "sampled": 0.2}, {"greedy": 0.9, "sampled": 0.8}
    summary = {"agent": "grpo", "policy": "tiny", "env": "TextMath-v0", "before": before, "after": after}
    metrics = [
        {"time/total_timesteps": 8 * (i + 1), "rollout/success_rate": i / 40, "rollout/ep_rew_mean": i / 40}
        for i in range(40)
    ]
    runs.plot_curve(tmp_path / "curve.png", summary, metrics)
    (axes,) = figures[0].axes
    assert axes.get_xlabel() == "episodes"
    raw, smoothed, greedy, sampled = axes.lines
    assert raw.get_ydata()[0] == smoothed.get_ydata()[0] == 0.0
    for points, rates in (greedy, (0.3, 0.9)), (sampled, (0.2, 0.8)):
        assert points.get_linestyle() == "None"  # between two measurements nothing was measured
        assert (tuple(points.get_xdata()), tuple(points.get_ydata())) == ((0, 320), rates)


# --- check

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


# --- eval and bad input


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
        ("train", "--env"),
        ("train --agent dqn --env TextMath-v0", "dqn"),
        ("train --agent", "--agent"),
        ("train --env TextMath-v0 --preset gpro", "grpo has no preset 'gpro'"),
        ("train --env TextMath-v0 --group-size 1", "group_size must be >= 2, got 1"),
        ("train --env TextMath-v0 --grup-size 1", "--grup-size"),
        ("train --env TextMath-v0 --total-episodes 0", "total_episodes must be >= 1, got 0"),
        ("train --env TextMath-v0 --env-kwargs dificulty=1", "no setting 'dificulty'"),
        ("train --env TextMath-v1", "'TextMath-v1'; see textgym list. Did you mean TextMath-v0?"),
        ("train --resume", "--resume needs --out"),
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


def test_the_hub_is_asked_once(capsys, monkeypatch):
    """huggingface_hub repeats a request that fails, for half a minute, and transformers lets it."""
    asked = []

    def no_network(url):
        asked.append(url)
        raise RuntimeError("name or service not known")

    monkeypatch.setattr("textgym.agents.policy.get_hf_file_metadata", no_network)
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", pytest.fail)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", pytest.fail)
    assert main(["eval", "--policy", "runs/none", "--env", "TextMath-v0"]) == 2
    assert "can't load 'runs/none'" in capsys.readouterr().err
    assert len(asked) == 1 and asked[0].endswith("/runs/none/resolve/main/config.json")


# --- the demo


def test_demo_twice(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("textgym.agents.policy.TINY", tiny)
    monkeypatch.chdir(tmp_path)
    demo = load_script(ROOT / "benchmarks/demo.py")
    monkeypatch.setattr(demo, "TOTAL_EPISODES", 512)
    for seed in ("0", "1"):
        assert demo.main(["--seed", seed]) == 0
        out = capsys.readouterr().out
        assert [line for line in out.split("\n")[:-2] if len(line) > 80] == []
        result = json.loads(out.splitlines()[-1])
        assert (result["benchmark"], result["seed"], result["problems"]) == ("demo", int(seed), 500)
        assert {"before", "after", "seconds"} < set(result)
    assert runs.read_json(tmp_path / "runs/demo/summary.json")["seed"] == 1
