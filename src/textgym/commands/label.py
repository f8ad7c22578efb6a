"""``textgym label``: people compare two answers of a policy on a page of this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shlex
from pathlib import Path
from typing import Any

from textgym.agents.runs import model_folder
from textgym.commands.shared import BadInput, complaints, find_text_env, parse, quieten


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Let people say which of two answers of a policy is better, on a page of this machine (extra textgym[web]).

    Several may do so, each under a name. What was said stays in --out, and the same command goes on where it was left.
    """

    out: Path = Path("labels.sqlite")
    """An SQLite file for the pairs and the judgements."""
    env: str | None = None
    """Environment id, such as TextMath-v0, or my_module:MyEnv-v0 for your own. It is needed where --out holds no pairs
    yet."""
    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the env; docs/envs.md lists them."""
    policy: str = "tiny"
    """Who answers: tiny (comes with textgym), the folder of a run or of a model, a .gguf file, or a hub id."""
    pairs: int = 100
    """How many pairs of answers to sample."""
    max_new_tokens: int = 64
    """Longest answer, in tokens."""
    temperature: float = 1.0
    """Of the sampling."""
    seed: int = 0
    """Decides the problems and the answers."""
    port: int = 0
    """Where the page is on 127.0.0.1; 0 takes a free port."""
    export: Path | None = None
    """Write the judgements made so far to this file, for DPO or a reward model, and serve nothing. A line for each:
    prompt, chosen, rejected, as TRL has them. Ties and skipped pairs are left out."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("pairs", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be > 0 and finite, got {self.temperature}")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must be in [0, 65535], got {self.port}")


def main(argv: list[str]) -> int:
    """Serve the page, or write what was said on it."""
    options = parse(LabelOptions, argv, "label")
    from textgym.agents.labelling.page import serve
    from textgym.agents.labelling.store import LabelStore

    if not options.out.exists():
        if options.export is not None:
            raise BadInput(f"{options.out} does not exist yet: there is nothing to export")
        if options.env is None:
            raise BadInput(f"{options.out} does not exist yet: name with --env what the pairs are of")
        find_text_env(options.env, options.env_kwargs, several=True)
    with complaints():
        store = LabelStore(options.out)
        if options.export is not None:
            _export_labels(store, options.export)
            return 0
        if store.origin is None:
            _sample_labels(store, options)
        elif options.env is not None:
            _check_same(store.origin, options)
        with contextlib.suppress(KeyboardInterrupt):
            serve(store, options.port)
    print(f"All judgements are in {options.out}. To go on: textgym label --out {shlex.quote(str(options.out))}")
    return 0


def _check_same(origin: dict[str, Any], options: LabelOptions) -> None:
    """Refuse to serve pairs of something else than what was asked for."""
    for name, value in origin.items():
        if (wanted := getattr(options, name, value)) != value:
            what = "" if name == "env" else f"{name} "
            raise BadInput(
                f"{options.out} has pairs of {what}{value}; give {what}{wanted} another --out, or go on with what "
                f"there is: textgym label --out {shlex.quote(str(options.out))}"
            )


def _sample_labels(store: Any, options: LabelOptions) -> None:
    if options.env is None:
        raise BadInput(f"{options.out} holds no pairs yet: name with --env what they are of")
    env_id = find_text_env(options.env, options.env_kwargs, several=True)
    quieten()
    from textgym.agents import CausalLM
    from textgym.agents.preferences import sample_pairs

    settings = {name: getattr(options, name) for name in ("seed", "max_new_tokens", "temperature")}
    policy = CausalLM.load(model_folder(options.policy))
    pairs = sample_pairs(policy, env_id, options.pairs, **settings, **options.env_kwargs)
    origin = {"env": options.env, "env_kwargs": options.env_kwargs, "policy": options.policy}
    if (count := store.add(pairs, origin | settings)) < options.pairs:
        print(f"Some pairs came several times: there are {count} different ones.")


def _export_labels(store: Any, path: Path) -> None:
    from textgym.agents.preferences import write_preferences

    preferences = store.preferences()
    write_preferences(path, preferences)
    print(f"{len(preferences)} preferences are in {path}.")
    for found in store.agreements():
        names, kappa = " and ".join(found.annotators), f"Cohen's kappa {found.kappa:.2f}"
        print(f"{names} agree on {found.same:.0%} of {found.pairs} pairs ({kappa}).")
