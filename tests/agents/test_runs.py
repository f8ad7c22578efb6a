"""What surrounds a training run: its presets and its curve. The runs themselves are in tests/commands/test_train.py."""

import subprocess

import numpy as np
import pytest

import textgym
from textgym.agents import runs


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


@pytest.mark.parametrize("monitor", [True, False])
def test_a_run_can_watch_the_answers(tmp_path, monitor):
    settings = runs.RunSettings(env="TextCopy-v0", total_episodes=4, eval_episodes=1, monitor=monitor)
    config = runs.make_config("grpo", None, prompts_per_update=2, group_size=2, max_new_tokens=2)
    runs.Run(tmp_path / "run", settings, config).train()
    assert runs.read_config(tmp_path / "run")[0] == settings
    watched = {name for name in runs.read_metrics(tmp_path / "run")[0] if name.startswith("monitor/")}
    names = {"words", "distinct_1", "distinct_2", "repetition", "identical"}
    assert watched == ({f"monitor/{name}" for name in names} if monitor else set())


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A function that runs git in a checkout of one commit, in which the package stands."""
    package = tmp_path / "src" / "textgym"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(textgym, "__file__", str(package / "__init__.py"))

    def git(*arguments):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("init")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    git("add", ".")
    git("commit", "-m", "x")
    return git


def test_the_commit_is_named_and_whether_files_were_changed(checkout, tmp_path):
    head = checkout("rev-parse", "HEAD")
    checkout("tag", "v1")
    (tmp_path / "untracked").touch()
    assert runs.git_commit() == head and len(head) == 40
    (tmp_path / "src" / "textgym" / "__init__.py").write_text("changed")
    assert runs.git_commit() == f"{head}-dirty"


def test_an_installed_package_has_no_commit_nor_has_one_without_git(checkout, tmp_path, monkeypatch):
    site = tmp_path / ".venv" / "lib" / "python3" / "site-packages" / "textgym"  # in somebody's checkout
    monkeypatch.setattr(textgym, "__file__", str(site / "__init__.py"))
    assert runs.git_commit() is None
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert runs.git_commit() is None
