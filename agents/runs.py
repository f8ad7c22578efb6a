"""A training run that keeps everything in one folder, and can be resumed.

``Run(out, settings, config)`` starts one, ``Run.resume(out)`` goes on with one, ``train()`` does the rest. The folder:

- ``config.json``: the settings and hyperparameters, all that ``resume`` needs besides the checkpoint.
- ``before.json``: the evaluation before training.
- ``answers.jsonl``: greedy answers to the first held-out problems, before training and, once it has ended, after.
- ``metrics.jsonl``, ``progress.csv``, ``tensorboard/``: what each update reports (after a resume also
  ``progress_from_<update>.csv``).
- ``transcripts.jsonl``: a group of answers, now and then.
- ``checkpoint/``: where ``resume`` goes on.
- ``model/``: the trained policy, for ``transformers``.
- ``summary.json``, ``curve.png``: the outcome. They are written last, so a folder that has them is complete.

Under ``accelerate launch`` every process goes through all of it, evaluation included; the main one alone writes.

Importing this is cheap; a run loads torch.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import subprocess
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import textgym
from textgym import agents
from textgym.agents.files import keep_lines, read_json, read_lines, write_lines, write_text
from textgym.wrappers import MonitorReward

AGENTS = {
    "grpo": "GRPO",
    "ppo": "PPO",
    "reinforce": "REINFORCE",
    "expert_iteration": "ExpertIteration",
    "dpo": "DPO",
    "sft": "SFT",
}
SHOWN = 100
"""To so many held-out problems a run keeps the answers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What learns what, for how long."""

    agent: Literal["grpo", "ppo", "reinforce", "expert_iteration", "dpo", "sft"] = "grpo"
    """How it learns: by reinforcement (grpo, ppo, reinforce), from pairs of answers (dpo), or by imitating its own
    right answers (expert_iteration) or perfect ones (sft)."""
    preset: str | None = None
    """Defaults of the switches below. grpo: grpo, dr_grpo, dapo, gspo or rloo; reinforce: reinforce_pp."""
    env: str
    """Environment id, such as TextMath-v0, or my_module:MyEnv-v0 for your own; textgym list shows ours."""
    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the env, such as difficulty=1; docs/envs.md lists them."""
    policy: str = "tiny"
    """Who learns: tiny (comes with textgym), a model's folder, the folder of a run, a .gguf file, or a hub id."""
    total_episodes: int = 20_000
    """How many episodes to learn from, rounded up to whole updates."""
    eval_episodes: int = 500
    """How many held-out problems measure the success before and after."""
    monitor: bool = False
    """Log length, repetition and variety of the answers in training too (monitor/...)."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueError: naming the field and its value.
        """
        if "split" in self.env_kwargs:
            raise ValueError("a run trains on the train split and is measured on the test split: leave split out")
        for name in ("total_episodes", "eval_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")


class Run:
    """A run under way; see the module."""

    def __init__(self, out: str | Path, settings: RunSettings, config: Any) -> None:
        """Make env, policy and agent; nothing is written yet.

        Args:
            out: the folder, which must not exist or be empty.
            settings: what learns what.
            config: the agent's ``Config``.

        Raises:
            FileExistsError: if there is something in ``out``.
            FileNotFoundError: if there is no such policy.
            TypeError: if the env has no such setting.
            ValueError: for a setting out of range.
        """
        if Path(out).exists() and any(Path(out).iterdir()):
            raise FileExistsError(f"{out} is not empty: give another folder, or resume the run in it")
        self._set_up(Path(out), settings, config)

    @classmethod
    def resume(cls, out: str | Path) -> Run:
        """Pick up the run in ``out`` where its last checkpoint stands.

        Raises:
            FileNotFoundError: if there is no run.
        """
        run = cls.__new__(cls)
        run._set_up(Path(out), *read_config(out))
        return run

    def _set_up(self, out: Path, settings: RunSettings, config: Any) -> None:
        self.out = out
        self.settings = settings
        self.config = config
        self.git_commit = git_commit()  # what runs, whatever is checked out in the meantime
        env = gym.make(settings.env, **settings.env_kwargs)
        if settings.monitor:
            env = MonitorReward(env)
        agent_class = agent_named(settings.agent)
        if _has_checkpoint(out):
            self.agent = agent_class.load(out / "checkpoint", env, logdir=out)
        else:
            folder = model_folder(settings.policy)
            self.agent = agent_class(folder, env, logdir=out, **dataclasses.asdict(config))
        if self.is_main_process:
            _forget_transcripts(out, self.agent.num_updates)

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that writes and prints."""
        from textgym.agents.distributed import processes

        return bool(processes().is_main_process)

    @property
    def num_processes(self) -> int:
        """How many processes train together."""
        from textgym.agents.distributed import processes

        return int(processes().num_processes)

    @property
    def episodes_left(self) -> int:
        """How many there are to play; 0 or less when learning is done."""
        return self.settings.total_episodes - int(self.agent.num_timesteps)

    def train(self, progress_bar: bool = False) -> dict[str, Any]:
        """Evaluate, learn, evaluate again, and return the summary."""
        self.evaluate_before()
        self.learn(progress_bar)
        return self.finish()

    def evaluate_before(self) -> dict[str, Any]:
        """Return the held-out success before training, measured once; the folder begins to exist here."""
        from textgym.agents.distributed import anywhere, processes

        path = self.out / "before.json"
        [is_measured] = anywhere(path.exists())
        if not is_measured:
            before, answers = self._evaluate("before")
            if self.is_main_process:
                self.out.mkdir(parents=True, exist_ok=True)
                _write_json(self.out / "config.json", _config_values(self.settings, self.config))
                write_lines(self.out / "answers.jsonl", answers)
                _write_json(path, before)
            processes().wait_for_everyone()
        return read_json(path)

    def learn(self, progress_bar: bool = False) -> None:
        """Play the episodes that are left.

        Raises:
            KeyboardInterrupt: after Ctrl-C, with a checkpoint written.
        """
        if self.episodes_left > 0:
            self.agent.learn(self.episodes_left, progress_bar=progress_bar)

    def finish(self) -> dict[str, Any]:
        """Save the model, evaluate, write the summary and the curve, and return the summary."""
        from textgym.agents.distributed import processes

        after, answers = self._evaluate("after")
        self.agent.policy.save(self.out / "model")
        if self.is_main_process:
            path = self.out / "answers.jsonl"
            first = read_lines(path) or [{}] * len(answers)  # of a run begun before there were any
            write_lines(path, [before | after for before, after in zip(first, answers, strict=False)])
            self._write_outcome(after)
        processes().wait_for_everyone()
        return read_json(self.out / "summary.json")

    def _write_outcome(self, after: dict[str, Any]) -> None:
        metrics = read_metrics(self.out)
        summary = {
            "env": self.settings.env,
            "env_kwargs": self.settings.env_kwargs,
            "agent": self.settings.agent,
            "policy": self.settings.policy,
            "seed": self.config.seed,
            "before": read_json(self.out / "before.json"),
            "after": after,
            "seconds": metrics[-1]["time/time_elapsed"],
            "samples": self.agent.num_timesteps,
            "versions": versions(),
            "git_commit": self.git_commit,
        }
        plot_curve(self.out / "curve.png", summary, metrics)
        _write_json(self.out / "summary.json", summary)

    def _evaluate(self, when: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the held-out success, and the lines of ``answers.jsonl``."""
        from textgym.agents.answers import lines_of
        from textgym.agents.evaluation import evaluate_with_answers

        settings = {"max_new_tokens": self.config.max_new_tokens, **self.settings.env_kwargs}
        rates, answers = evaluate_with_answers(
            self.agent.policy, self.settings.env, self.settings.eval_episodes, **settings
        )
        return dataclasses.asdict(rates), lines_of(answers, when, min(SHOWN, rates.problems))


def agent_named(name: str) -> Any:
    """Return the class of an agent."""
    return getattr(agents, AGENTS[name])


def make_config(agent: str, preset: str | None = None, **hyperparameters: Any) -> Any:
    """Return an agent's ``Config``: its defaults, those of the preset over them, the hyperparameters over both.

    Raises:
        ValueError: for a preset that the agent doesn't have.
    """
    agent_class = agent_named(agent)
    presets = agent_class.presets
    if preset is not None and preset not in presets:
        raise ValueError(f"{agent} has no preset {preset!r}; it has {', '.join(presets) or 'none'}")
    return agent_class.Config(**{**presets.get(preset or "", {}), **hyperparameters})


def model_folder(policy: str) -> str:
    """Return what ``CausalLM.load`` takes: ``policy``, or the model in it if it is the folder of a run."""
    model = Path(policy) / "model"
    return str(model) if (model / "config.json").is_file() else policy


def read_config(out: str | Path) -> tuple[RunSettings, Any]:
    """Return the settings and the agent's ``Config`` of the run in ``out``.

    Raises:
        FileNotFoundError: if there is no run.
    """
    path = Path(out) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"there is no run to resume in {out}: config.json is missing")
    values = read_json(path)
    config = make_config(values["agent"], **values.pop("hyperparameters"))
    return RunSettings(**values), config


def read_metrics(out: str | Path) -> list[dict[str, Any]]:
    """Return what each update reported."""
    return [json.loads(line) for line in (Path(out) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def versions() -> dict[str, str]:
    """Return the versions of all that a run's numbers hang on."""
    import torch
    import transformers

    return {
        "textgym": textgym.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "gymnasium": gym.__version__,
        "python": platform.python_version(),
    }


def git_commit() -> str | None:
    """Return the commit of textgym's checkout, with "-dirty" if its files were changed; None where there is none."""
    root = Path(textgym.__file__).parents[2]
    where = [f"--git-dir={root / '.git'}", f"--work-tree={root}"]
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        told = subprocess.run(
            ["git", "--no-optional-locks", *where, *describe], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip()


def plot_curve(path: Path, summary: dict[str, Any], metrics: list[dict[str, Any]]) -> None:
    """Draw success while training, smoothed, with the held-out rates before and after; and the reward or the loss."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    episodes = np.array([line["time/total_timesteps"] for line in metrics])
    success, reward, loss = (
        np.array([line.get(name, np.nan) for line in metrics], dtype=float)
        for name in ("rollout/success_rate", "rollout/ep_rew_mean", "train/loss")
    )
    # Where a success is worth 1 and all else 0, the reward is the success.
    second = None if np.array_equal(success, reward) else ("reward", reward)
    if np.isnan(success).all():
        second = ("loss", loss)
    figure = Figure(figsize=(7.2 if second is None else 11, 4.4), layout="constrained")
    axes = figure.subplots(1, 1 if second is None else 2, squeeze=False)[0]
    figure.suptitle(f"{summary['agent']}: {summary['policy']} on {summary['env']}", fontsize=12)

    _draw(axes[0], episodes, success, "#4477aa", "training, sampled")
    end = int(episodes[-1])
    for name, marker, color in ("greedy", "o", "#ee6677"), ("sampled", "s", "#228833"):
        rates = [summary[when][name] for when in ("before", "after")]
        label = f"held-out, {name}: {rates[0]:.1%} → {rates[1]:.1%}"
        axes[0].plot([0, end], rates, marker, color=color, markersize=8, clip_on=False, zorder=3, label=label)
    axes[0].set(ylim=(0, 1), ylabel="success")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    axes[0].legend(frameon=False, fontsize=9, loc="best")
    if second is not None:
        _draw(axes[1], episodes, second[1], "#aa3377", None)
        axes[1].set(ylabel=f"{second[0]} in training")
    for axis in axes:
        axis.set(xlabel="episodes", xlim=(0, end * 1.02))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def smooth(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the mean of each value and as many neighbours on either side, about ``window`` in all; NaN is left out.

    Near an end there are fewer on both sides, so that a slope is not bent there.
    """
    known = np.isfinite(values)
    sums, counts = (np.r_[0, np.cumsum(array)] for array in (np.where(known, values, 0.0), known))
    at = np.arange(len(values))
    reach = np.minimum(np.minimum(at, at[::-1]), window // 2)
    first, last = at - reach, at + reach + 1
    number = counts[last] - counts[first]
    means: NDArray[np.float64] = np.divide(
        sums[last] - sums[first], number, out=np.full(len(values), np.nan), where=number > 0
    )
    return means


def _draw(axis: Any, x: NDArray[Any], y: NDArray[np.float64], color: str, label: str | None) -> None:
    if np.isnan(y).all():
        return
    axis.plot(x, y, color=color, alpha=0.25, linewidth=1)
    axis.plot(x, smooth(y, max(1, len(y) // 10)), color=color, linewidth=2, label=label)


def _config_values(settings: RunSettings, config: Any) -> dict[str, Any]:
    return {**dataclasses.asdict(settings), "hyperparameters": dataclasses.asdict(config)}


def _write_json(path: Path, values: dict[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=2) + "\n")


def _has_checkpoint(out: Path) -> bool:
    """Say whether ``Agent.save`` has finished once; ``.old`` is what a kill in the middle of a second time leaves."""
    return any((out / name / "agent.pt").is_file() for name in ("checkpoint", "checkpoint.old"))


def _forget_transcripts(out: Path, num_updates: int) -> None:
    """Drop the transcripts of updates that will be done again."""
    keep_lines(out / "transcripts.jsonl", lambda line: bool(line["update"] < num_updates))
