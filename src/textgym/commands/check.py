"""``textgym check``: what is wrong with an environment, without any model."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import gymnasium as gym
import tyro

from textgym.commands.shared import complaints, find_env, is_ours, parse
from textgym.envs.check import check_task
from textgym.envs.checks.contract import Finding
from textgym.envs.registration import TASKS


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Try on an environment and its reward, without any model, what a policy under training would find."""

    env: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="ID")] = None
    """Environment id, such as TextMath-v0, or my_package:MyEnv-v0 for your own, which my_package registers."""
    all: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Check every environment of textgym, with partial credit too where it has it."""
    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the env."""
    responses: int = 2_000
    """How many random responses to try."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one line of JSON for each environment."""

    def __post_init__(self) -> None:
        """Check that one or all are named."""
        if (self.env is None) != self.all:
            raise ValueError("name one environment, or give --all")
        if self.responses < 1:
            raise ValueError(f"responses must be >= 1, got {self.responses}")


def main(argv: list[str]) -> int:
    """Print what was found; the status is 1 if a check failed. With --all an env that needs an extra is left out."""
    options = parse(CheckOptions, argv, "check")
    if options.all:
        variants = [(env_id, kwargs) for env_id in filter(is_ours, gym.registry) for kwargs in _variants(env_id)]
    else:
        variants = [(find_env(options.env), {})]
    failed = False
    for env_id, kwargs in variants:
        settings = {**kwargs, **options.env_kwargs}
        with complaints():
            env = gym.make(env_id, disable_env_checker=True, **settings)
            if missing := _missing(env):
                if not options.all:
                    raise missing
                print(f"textgym: {env_id}: {missing}", file=sys.stderr)
                continue
            findings = check_task(env, responses=options.responses)
        failed |= any(finding.outcome == "failed" for finding in findings)
        if options.json:
            values = [dataclasses.asdict(finding) for finding in findings]
            print(json.dumps({"env": env_id, "env_kwargs": settings, "findings": values}), flush=True)
        else:
            _print_findings(" ".join([env_id, *(f"{key}={value}" for key, value in settings.items())]), findings)
    return int(failed)


def _missing(env: gym.Env[Any, Any]) -> Exception | None:
    """Return the error that names the extra or the file that is not there; other errors are for the checks to find."""
    try:
        env.reset(seed=0)
    except (ImportError, FileNotFoundError) as error:
        return error
    except Exception:
        return None
    return None


def _variants(env_id: str) -> list[dict[str, Any]]:
    task = TASKS[gym.registry[env_id].kwargs["name"]]
    return [{}, {"dense": True}] if task.dense_reward else [{}]


def _print_findings(title: str, findings: Sequence[Finding]) -> None:
    """Print a table, and below it what to mend; text that was tried comes without control characters."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for name in ("check", "result", "what was seen"):
        table.add_column(name)
    styles = {"passed": "green", "failed": "bold red", "skipped": "yellow"}
    for finding in findings:
        table.add_row(finding.check, Text(finding.outcome, styles[finding.outcome]), Text(finding.seen))
    console = Console(highlight=False)
    console.print(table)
    failures = [finding for finding in findings if finding.outcome == "failed"]
    for mend in dict.fromkeys(finding.mend for finding in failures):
        checks = "; ".join(finding.check for finding in failures if finding.mend == mend)
        console.print(Text.assemble(("To mend: ", "bold"), f"{checks}. {mend}"))
    passed = sum(finding.outcome == "passed" for finding in findings)
    skipped = len(findings) - passed - len(failures)
    print(f"{passed} passed, {len(failures)} failed, {skipped} skipped.\n", flush=True)
