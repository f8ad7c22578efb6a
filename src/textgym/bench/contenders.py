"""Who competes in a benchmark: one table, whose names are those of a matrix's ``agents``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any, Literal

from textgym.agents.runs import make_config

Kind = Literal["learning", "classic", "baseline"]


@dataclasses.dataclass(frozen=True)
class Contender:
    """One line of the table."""

    kind: Kind
    """``learning``: a language model learns; ``classic``: an agent of stable-baselines3 does, from nothing, on the
    token-level preset of the task; ``baseline``: nothing learns."""
    agent: str = ""
    """``learning``: a name of ``agents.runs.AGENTS``; ``classic``: a class of stable-baselines3 or sb3-contrib."""
    preset: str | None = None
    """Of that agent."""
    coin_flips: bool = False
    """The control: it is paid by chance, whatever it answers."""
    level: Literal["sequence", "token"] = "sequence"
    """Which env of the task it plays."""
    needs_policy: bool = True
    """Whether it begins with a language model."""
    once: bool = False
    """Whether all seeds would give the same, so that there is one cell for all."""


CONTENDERS: dict[str, Contender] = {
    "reinforce": Contender("learning", "reinforce"),
    "reinforce_pp": Contender("learning", "reinforce", "reinforce_pp"),
    "rloo": Contender("learning", "grpo", "rloo"),
    "ppo": Contender("learning", "ppo"),
    "grpo": Contender("learning", "grpo", "grpo"),
    "dr_grpo": Contender("learning", "grpo", "dr_grpo"),
    "dapo": Contender("learning", "grpo", "dapo"),
    "gspo": Contender("learning", "grpo", "gspo"),
    "expert_iteration": Contender("learning", "expert_iteration"),
    "sft": Contender("learning", "sft"),
    "random_reward": Contender("learning", "grpo", "grpo", coin_flips=True),
    "sb3_ppo": Contender("classic", "PPO", level="token", needs_policy=False),
    "sb3_a2c": Contender("classic", "A2C", level="token", needs_policy=False),
    "sb3_dqn": Contender("classic", "DQN", level="token", needs_policy=False),
    "sb3_trpo": Contender("classic", "TRPO", level="token", needs_policy=False),
    "random": Contender("baseline", level="token", needs_policy=False),
    "oracle": Contender("baseline", needs_policy=False, once=True),
    "warm_start": Contender("baseline", once=True),
    "best_of_n": Contender("baseline"),
}
"""``sft`` is what more of the warm start's own training would give, ``random_reward`` what training gives that learns
nothing of the task, and ``best_of_n`` what the verifier can pick from answers of the warm start, without training."""


def sb3_class(name: str) -> Any:
    """Return an agent of stable-baselines3, or else of sb3-contrib.

    Raises:
        ImportError: if it is of sb3-contrib, and that is not installed.
    """
    import stable_baselines3

    if hasattr(stable_baselines3, name):
        return getattr(stable_baselines3, name)
    try:
        import sb3_contrib
    except ImportError as error:
        raise ImportError(f"{name} needs sb3-contrib: pip install 'textgym[bench]'") from error
    return getattr(sb3_contrib, name)


def check_hyperparameters(agent: str, hyperparameters: Mapping[str, Any]) -> None:
    """Raise TypeError or ValueError if the contender does not have such a hyperparameter, or not such a value."""
    contender = CONTENDERS[agent]
    if contender.kind == "learning":
        make_config(contender.agent, contender.preset, **hyperparameters)
        return
    known = ["n"] if agent == "best_of_n" else []
    if contender.kind == "classic":
        theirs = inspect.signature(sb3_class(contender.agent).__init__).parameters
        known = ["n_envs", *(name for name in theirs if name not in ("self", "env", "seed", "device"))]
    if unknown := sorted(set(hyperparameters) - set(known)):
        raise TypeError(f"{agent} has no {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
