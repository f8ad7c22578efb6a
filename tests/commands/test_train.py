"""``textgym train``, from the first update to the files it leaves; and the demo, which is such a run."""

import importlib.util
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from textgym.agents import runs
from textgym.agents.grpo import GRPO
from textgym.cli import main

ROOT = Path(__file__).parents[2]
SMALL = ["--eval-episodes", "20", "--max-new-tokens", "4", "--prompts-per-update", "4"]
SMALL += ["--group-size", "4", "--transcripts-every", "1"]


@pytest.fixture
def train(tiny):
    """Run ``textgym train`` on one-digit sums and return its status."""

    def run(out, *more, episodes=64):
        command = ["train", "--env", "TextMath-v0", "--env-kwargs", "difficulty=1", "--policy", str(tiny)]
        return main([*command, "--total-episodes", str(episodes), "--out", str(out), *more])

    return run


def test_train(train, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(out, *SMALL) == 0
    shown = capsys.readouterr().out
    assert "64 episodes, 16 in an update" in shown and "before" in shown and str(out) in shown.replace("\n", "")

    summary = json.loads((out / "summary.json").read_text())
    assert (summary["env"], summary["env_kwargs"], summary["agent"]) == ("TextMath-v0", {"difficulty": 1}, "grpo")
    assert (summary["seed"], summary["samples"]) == (0, 64)
    assert set(summary["versions"]) == {"textgym", "torch", "transformers", "gymnasium", "python"}
    assert (summary["git_commit"] is None) == (runs.git_commit() is None)
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


def test_demo_twice(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("textgym.agents.loading.TINY", tiny)
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("demo", ROOT / "benchmarks/demo.py")
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    monkeypatch.setattr(demo, "TOTAL_EPISODES", 512)
    for seed in ("0", "1"):
        assert demo.main(["--seed", seed]) == 0
        out = capsys.readouterr().out
        assert [line for line in out.split("\n")[:-2] if len(line) > 80] == []
        result = json.loads(out.splitlines()[-1])
        assert (result["benchmark"], result["seed"], result["problems"]) == ("demo", int(seed), 500)
        assert {"before", "after", "seconds"} < set(result)
    assert runs.read_json(tmp_path / "runs/demo/summary.json")["seed"] == 1
