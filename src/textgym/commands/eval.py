"""``textgym eval``: the success rates of a policy on held-out problems."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Annotated, Any

import tyro

from textgym.agents.runs import model_folder
from textgym.commands.shared import complaints, find_text_env, parse, quieten, standard_error


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """Measure a language model on held-out problems, greedily and by sampling."""

    policy: str = "tiny"
    """tiny (comes with textgym), the folder of a run or of a model, a .gguf file, or a hub id."""
    env: str
    """Environment id, such as TextMath-v0, or my_module:MyEnv-v0 for your own."""
    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the env; docs/envs.md lists them."""
    episodes: int = 500
    """How many problems; the first of the test split, the same for every policy."""
    samples: int | None = None
    """Draw also this many answers to each problem, and show what k of them are good for, up to half of it: pass@k, at
    least one is right, and maj@k, the most frequent answer is."""
    max_new_tokens: int = 64
    """Longest response, in tokens."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one line of JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("episodes", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.samples is not None and self.samples < 2:
            raise ValueError(f"samples must be >= 2, got {self.samples}")


def main(argv: list[str]) -> int:
    """Print rates with standard errors."""
    options = parse(EvalOptions, argv, "eval")
    env_id = find_text_env(options.env, options.env_kwargs, several=True)
    quieten()
    with complaints():
        from textgym.agents import CausalLM
        from textgym.agents.evaluation import evaluate, evaluate_samples

        policy = CausalLM.load(model_folder(options.policy))
        settings: dict[str, Any] = {"max_new_tokens": options.max_new_tokens, **options.env_kwargs}
        single = evaluate(policy, env_id, options.episodes, **settings)
        rates, unscored = {"greedy": single.greedy, "sampled": single.sampled}, single.unscored
        errors = {name: standard_error(rate, single.problems) for name, rate in rates.items()}
        if options.samples:
            several = evaluate_samples(policy, env_id, options.episodes, samples=options.samples, **settings)
            rates, errors = rates | several.rates, errors | several.errors
            unscored += several.unscored
    if options.json:
        values = {"env": options.env, "env_kwargs": options.env_kwargs, "policy": options.policy}
        values |= {"episodes": single.episodes, "problems": single.problems, "samples": options.samples}
        measured = rates | {f"{name}_se": error for name, error in errors.items()}
        values |= {name: None if math.isnan(value) else value for name, value in measured.items()}
        values |= {"tasks": single.tasks} if single.tasks else {}
        print(json.dumps(values | {"unscored": unscored}))
        return 0
    print(f"{options.policy} on {options.env}, success on {single.problems} held-out problems:")
    for name, rate in rates.items():
        print(f"  {name:<8} {rate:6.1%} ± {errors[name]:.1%}   ({_meaning(name, options.samples)})")
    for task, on_task in single.tasks.items():
        print(f"  {task}: " + ", ".join(f"{name} {rate:.1%}" for name, rate in on_task.items()))
    if unscored:
        print(f"  {unscored} responses could not be scored and do not count")
    return 0


def _meaning(name: str, samples: int | None) -> str:
    kind, _, k = name.partition("@")
    meanings = {
        "greedy": "most probable tokens",
        "sampled": "temperature 1",
        "pass": f"at least one of {k} is right; {samples} drawn",
        "maj": f"the most frequent answer of {k} is right; {samples} drawn",
    }
    return meanings[kind]
