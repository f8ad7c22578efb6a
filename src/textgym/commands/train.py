"""``textgym train``: a policy learns, and everything is kept in a folder."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from textgym.agents.runs import AGENTS, Run, RunSettings, make_config, read_config
from textgym.commands.shared import BadInput, complaints, find_text_env, parse, quieten, standard_error


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(RunSettings):
    """What learns what, for how long, and where the results go."""

    out: Path | None = None
    """Folder for the results; None: runs/ENV-AGENT-SEED-TIME. It must not hold anything yet."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with the run in --out; everything else is known from there."""


def main(argv: list[str]) -> int:
    """Train a policy, and keep everything in a folder."""
    options, config = _train_options(argv)
    settings = RunSettings(**{field.name: getattr(options, field.name) for field in dataclasses.fields(RunSettings)})
    find_text_env(settings.env, settings.env_kwargs, several=True)
    from textgym.agents.distributed import agreed, processes

    out = agreed(options.out or _new_folder(settings, config))
    with contextlib.nullcontext() if processes().is_main_process else contextlib.redirect_stdout(io.StringIO()):
        return _train(settings, config, out, options.resume)


def _train(settings: RunSettings, config: Any, out: Path, resume: bool) -> int:
    quieten()
    with complaints():
        run = Run.resume(out) if resume else Run(out, settings, config)
    print(_announcement(run, resume), flush=True)
    try:
        with complaints():
            before = run.evaluate_before()
        print(f"Before:  greedy {before['greedy']:.1%}, sampled {before['sampled']:.1%} right", flush=True)
        run.learn(progress_bar=True)
        print("After:   measuring", flush=True)
        summary = run.finish()
    except KeyboardInterrupt:
        if (out / "config.json").exists():
            print(f"\nStopped with {max(0, run.episodes_left):,} episodes to go. To go on:")
            print(f"  textgym train --resume --out {shlex.quote(str(out))}")
        else:
            print("\nStopped before training; nothing was written.")
        return 130
    except FloatingPointError as error:
        print(f"textgym: training failed: {error}. Try a smaller --learning-rate.", file=sys.stderr)
        return 1
    _print_summary(summary, out)
    return 0


def _train_options(argv: list[str]) -> tuple[TrainOptions, Any]:
    """Parse in two steps: the agent, its preset and the run to resume decide the other options and their defaults."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--agent", "--preset", "--out"):
        first.add_argument(name, nargs="?")
    first.add_argument("--resume", action="store_true")
    peek = first.parse_known_args(argv)[0]
    agent = peek.agent if peek.agent in AGENTS else "grpo"  # a wrong one is refused in the second step
    run_default: Any = dataclasses.MISSING
    with complaints():
        if not peek.resume:
            config = make_config(agent, peek.preset)
        elif peek.out is None:
            raise BadInput("--resume needs --out, the folder of the run to go on with")
        else:
            settings, config = read_config(peek.out)
            agent = settings.agent
            run_default = TrainOptions(**dataclasses.asdict(settings), out=Path(peek.out))
    # The type of the hyperparameters is known only here.
    options_class = dataclasses.make_dataclass(
        "Options",
        [
            ("run", TrainOptions, dataclasses.field(default=run_default)),
            ("hyperparameters", type(config), dataclasses.field(default=config)),
        ],
        kw_only=True,
        namespace={"__doc__": f"Train a language model; the hyperparameters are those of --agent {agent}."},
    )
    options = parse(options_class, argv, "train")
    if peek.resume:
        _check_same(options.run, settings)
        _check_same(options.hyperparameters, config)
    return options.run, options.hyperparameters


def _new_folder(settings: RunSettings, config: Any) -> Path:
    env = settings.env.replace(":", "-").replace("/", "-")
    return Path("runs") / f"{env}-{settings.agent}-{config.seed}-{time.strftime('%Y%m%d-%H%M%S')}"


def _check_same(given: Any, saved: Any) -> None:
    for field in dataclasses.fields(saved):
        ours, theirs = getattr(given, field.name), getattr(saved, field.name)
        if ours != theirs:
            option = "--" + field.name.replace("_", "-")
            raise BadInput(f"{option} is {theirs} in the run to resume, and can't become {ours}: leave it out")


def _announcement(run: Run, resumed: bool) -> str:
    settings = run.settings
    size = sum(parameter.numel() for parameter in run.agent.policy.model.parameters())
    env = settings.env + "".join(f", {name}={value}" for name, value in settings.env_kwargs.items())
    each, count = run.agent.episodes_per_update, run.num_processes
    together = f" of {count} processes" if count > 1 else ""
    lines = [
        f"Policy:  {settings.policy}, {size / 1e6:,.1f} million parameters on {run.agent.policy.device}",
        f"Learns:  {env}, by {settings.agent}" + (f" ({settings.preset})" if settings.preset else ""),
        f"Plan:    {settings.total_episodes:,} episodes, {each:,} in an update{together}; success is measured",
        f"         before and after, on the first {settings.eval_episodes:,} held-out problems",
        f"Folder:  {run.out}",
    ]
    if resumed:
        lines.append(f"Resumed: {run.agent.num_timesteps:,} episodes are done, {max(0, run.episodes_left):,} to go")
    return "\n".join(lines)


def _print_summary(summary: dict[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    before, after = summary["before"], summary["after"]
    table = Table(title=f"Success on {after['problems']} held-out problems", title_justify="left")
    for name in ("answers", "before", "after"):
        table.add_column(name, justify="left" if name == "answers" else "right")
    for name, meaning in ("greedy", "greedy (most probable)"), ("sampled", "sampled (temperature 1)"):
        table.add_row(
            meaning, *(f"{r[name]:.1%} ± {standard_error(r[name], r['problems']):.1%}" for r in (before, after))
        )
    console = Console()
    console.print()
    console.print(table)
    print(f"{summary['samples']:,} episodes in {summary['seconds']:.0f} seconds of training.")
    print(f"Model, curve and metrics are in {out}: see {out / 'curve.png'}.")
