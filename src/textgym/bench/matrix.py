"""A matrix: envs x agents x policies x seeds, as a YAML file says it, becomes a list of ``Cell``s.

    policies: [tiny]
    warm_start: {episodes: 20000}     # each env begins with this much supervised training; left out: none
    seeds: [0, 1, 2, 3, 4]
    episodes: 20000                   # answers that a language model learns from
    steps: 100000                     # tokens that an agent of stable-baselines3 plays
    protocol: {points: 10, problems: 500}
    hyperparams: ../hyperparams       # files <agent>.yml; from where the matrix stands
    envs:
      - TextMath-v0
      - {id: TextSort-v0, name: sort-5, settings: {max_count: 5}, token_settings: {dense: true}}
      - {id: TextRLHF-v0, reward_model: {pairs: 1000, temperature: 0.1}}
    agents:
      - grpo
      - {agent: sb3_ppo, name: ppo-wide, hyperparameters: {batch_size: 256}}

An env may have ``name`` (what tables call it), ``settings``, ``token_settings`` (of the token-level preset, which
agents of stable-baselines3 play), ``max_new_tokens`` and, in place of the matrix's, ``episodes``, ``steps`` and
``warm_start``. With ``reward_model`` (``pairs`` that are compared, the ``temperature`` of the noise, and fields of
``FitConfig``) all agents learn from a reward model, and the env's own reward still measures.

What an agent's own hyperparameters say goes over its file's entry for the env, and that over the file's default.
``random_reward`` has the file of ``grpo``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym

from textgym.bench.contenders import CONTENDERS, check_hyperparameters
from textgym.bench.hyperparams import read_hyperparameters, read_yaml
from textgym.envs.registration import TASKS

WARM_START_SEED = 2**31
"""Of the problems that a warm start learns from: no cell's ``sft`` sees the same ones in the same order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a cell is measured: on the first problems of a split, the same for all cells."""

    points: int = 10
    """How often the curve is looked at: after each of as many equal parts of the budget."""
    curve_problems: int = 200
    """Problems of each point."""
    problems: int = 500
    """Problems before and after."""
    pass_problems: int = 100
    """Problems for pass@k after."""
    k: int = 8
    """How many answers to each pass@k allows; it is estimated from twice as many."""
    transcripts: int = 8
    """How many problems' answers are kept, before and after."""
    split: Literal["test", "train"] = "test"
    """``"train"`` for choosing hyperparameters alone, so that the held-out problems stay unseen: a benchmark's
    report then says that nothing was held out."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueError: naming the field and its value.
        """
        for name, value in dataclasses.asdict(self).items():
            if name != "split" and not _is_count(value):
                raise ValueError(f"{name} of the protocol must be >= 1, got {value!r}")
        if self.split not in ("test", "train"):
            raise ValueError(f"split of the protocol must be 'test' or 'train', got {self.split!r}")
        if max(self.transcripts, self.curve_problems) > self.problems:
            raise ValueError(f"curve_problems and transcripts must be at most problems, which are {self.problems}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a benchmark: everything that decides what comes out."""

    id: str
    """The name of its folder."""
    env: str
    """Environment id; of a token-level preset where the agent plays tokens."""
    env_name: str
    """What tables call it."""
    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the env."""
    agent: str
    """A name of ``CONTENDERS``."""
    agent_name: str
    """What tables call it."""
    hyperparameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Those that differ from the agent's own."""
    policy: str | None
    """The language model it begins with, as ``CausalLM.load`` names it; None: it needs none."""
    begins_with: str | None = None
    """The id of the cell whose trained model it begins with, in place of ``policy``."""
    reward_model: dict[str, Any] | None = None
    """Of a warm start: how it fits a reward model; see ``_Env``."""
    rewarded_by: str | None = None
    """The id of the cell whose reward model pays in training, in place of the env's own reward."""
    seed: int
    """Of everything but the warm start and the problems of the evaluation."""
    budget: int
    """Answers, or tokens for an agent that plays them; 0 where nothing learns."""
    max_new_tokens: int
    """Longest response."""
    protocol: Protocol = dataclasses.field(default_factory=Protocol)
    """How it is measured."""

    @property
    def needs(self) -> set[str]:
        """The ids of the cells that must have finished before it."""
        return {cell_id for cell_id in (self.begins_with, self.rewarded_by) if cell_id is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Cell:
        """Return the cell that ``dataclasses.asdict`` wrote."""
        return cls(**{**values, "protocol": Protocol(**values["protocol"])})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matrix:
    """What the YAML file says, as the module shows."""

    envs: Sequence[Any]
    agents: Sequence[Any]
    seeds: Sequence[int]
    policies: Sequence[str] = ("tiny",)
    warm_start: Mapping[str, Any] | None = None
    """``episodes``, and hyperparameters of ``SFT``."""
    episodes: int = 20_000
    steps: int = 100_000
    protocol: Protocol = dataclasses.field(default_factory=Protocol)
    hyperparams: Path | None = None
    """Folder of ``<agent>.yml``; None: each agent has its own defaults."""

    def cells(self) -> list[Cell]:
        """Return all cells, warm starts first, then seed by seed, so that whatever is done early covers all pairs.

        Raises:
            TypeError: for a setting or hyperparameter that an env or agent does not have.
            ValueError: for an unknown env or agent, a value out of range, or two with one name.
        """
        for name in ("envs", "agents", "seeds", "policies"):
            values = getattr(self, name)
            if not isinstance(values, (list, tuple)) or not values:
                raise ValueError(f"{name} must be a list that is not empty, got {values!r}")
        for name in ("episodes", "steps"):
            if not _is_count(getattr(self, name)):
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)!r}")
        if any(not isinstance(seed, int) or isinstance(seed, bool) or seed < 0 for seed in self.seeds):
            raise ValueError(f"seeds must be whole numbers >= 0, got {list(self.seeds)}")
        _check_warm_start("warm_start", self.warm_start)
        envs = [_Env.read(entry) for entry in self.envs]
        agents = [_Agent.read(entry) for entry in self.agents]
        for kind, names in ("envs", [e.name for e in envs]), ("agents", [a.name for a in agents]):
            _check_distinct(kind, names)
        _check_distinct("policies", [_slug(policy) for policy in self.policies])
        _check_distinct("seeds", self.seeds)
        learns = any(CONTENDERS[agent.agent].needs_policy for agent in agents)
        warm_starts = [
            self._warm_start(env, policy) for env in envs for policy in self.policies if learns or env.reward_model
        ]
        cells = [cell for cell in warm_starts if cell is not None]
        for seed in self.seeds:
            for env in envs:
                for agent in agents:
                    if seed == self.seeds[0] or not CONTENDERS[agent.agent].once:
                        cells.extend(self._cells(env, agent, seed))
        return cells

    def _cells(self, env: _Env, agent: _Agent, seed: int) -> Iterator[Cell]:
        contender = CONTENDERS[agent.agent]
        env_id, kwargs = env.at(contender.level)
        file = contender.agent if contender.coin_flips else agent.agent  # the control differs in the reward alone
        found = {} if self.hyperparams is None else read_hyperparameters(self.hyperparams, file, env_id)
        hyperparameters = {**found, **agent.hyperparameters}
        check_hyperparameters(agent.agent, hyperparameters)
        budget = {"learning": env.episodes or self.episodes, "classic": env.steps or self.steps, "baseline": 0}
        for policy in self.policies if contender.needs_policy else (None,):
            warm_start = None if policy is None else self._warm_start(env, policy)
            pays = self._warm_start(env, policy or self.policies[0]) if env.reward_model else None
            parts = [env.name, agent.name, *([_slug(policy)] if policy else []), f"seed{seed}"]
            yield Cell(
                id="--".join(parts),
                env=env_id,
                env_name=env.name,
                env_kwargs=kwargs,
                agent=agent.agent,
                agent_name=agent.name,
                hyperparameters=hyperparameters,
                policy=policy,
                begins_with=None if warm_start is None else warm_start.id,
                rewarded_by=None if pays is None or contender.kind == "baseline" else pays.id,
                seed=seed,
                budget=budget[contender.kind],
                max_new_tokens=env.max_new_tokens,
                protocol=self.protocol,
            )

    def _warm_start(self, env: _Env, policy: str) -> Cell | None:
        """Return the cell that trains what the others begin with, if there is to be one."""
        settings = env.warm_start or self.warm_start
        if settings is None:
            if env.reward_model:
                raise ValueError(f"the reward_model of {env.name} needs a warm_start, whose answers are compared")
            return None
        hyperparameters = {**settings}
        episodes = hyperparameters.pop("episodes")
        check_hyperparameters("sft", hyperparameters)
        return Cell(
            id="--".join((env.name, "warm-start", _slug(policy))),
            env=env.id,
            env_name=env.name,
            env_kwargs=env.settings,
            agent="sft",
            agent_name="warm-start",
            hyperparameters=hyperparameters,
            policy=policy,
            reward_model=env.reward_model,
            seed=WARM_START_SEED,
            budget=episodes,
            max_new_tokens=env.max_new_tokens,
            protocol=self.protocol,
        )


def read_matrix(path: str | Path) -> Matrix:
    """Return the matrix of a YAML file.

    Raises:
        FileNotFoundError: if there is none.
        TypeError: for a field that a matrix does not have, or without one that it must have.
        ValueError: if the file is not YAML, or the protocol is out of range.
    """
    path = Path(path)
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise TypeError(f"{path} must be a mapping with envs, agents and seeds")
    _check_fields(values, Matrix, str(path))
    if "hyperparams" in values:
        values["hyperparams"] = folder = path.parent / values["hyperparams"]
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder of hyperparameters {folder}")
    protocol = values.get("protocol") or {}
    _check_fields(protocol, Protocol, "protocol")
    return Matrix(**{**values, "protocol": Protocol(**protocol)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Env:
    """An entry of ``envs``."""

    id: str
    name: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    token_settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of the token-level preset, which has settings of its own."""
    episodes: int | None = None
    """In place of the matrix's."""
    steps: int | None = None
    """In place of the matrix's."""
    warm_start: dict[str, Any] | None = None
    """In place of the matrix's."""
    reward_model: dict[str, Any] | None = None
    """``pairs`` that are compared, the ``temperature`` of the noise, and fields of ``FitConfig``: learn from a reward
    model in place of the env's own reward, which still measures."""
    max_new_tokens: int
    """By default the task's limit of the token level."""

    @classmethod
    def read(cls, entry: Any) -> _Env:
        values = {"id": entry} if isinstance(entry, str) else dict(entry)
        _check_fields(values, cls, "an env", optional=("name", "max_new_tokens"))
        task = values["id"].removesuffix("-v0")
        if task not in TASKS:
            raise ValueError(f"there is no environment {values['id']!r}; there are {_ids()}")
        env = cls(**{"name": task, "max_new_tokens": TASKS[task].max_tokens, **values})
        if _slug(env.name) != env.name:
            raise ValueError(f"the name of an env may have letters, digits, '.', '_' and '-', got {env.name!r}")
        for name in ("episodes", "steps", "max_new_tokens"):
            if getattr(env, name) is not None and not _is_count(getattr(env, name)):
                raise ValueError(f"{name} of {env.name} must be >= 1, got {getattr(env, name)!r}")
        _check_warm_start(f"the warm_start of {env.name}", env.warm_start)
        if env.reward_model is not None:
            _check_reward_model(env)
        for level in ("sequence", "token"):
            env_id, kwargs = env.at(level)
            if "split" in kwargs:
                raise ValueError(f"{env.name}: agents learn on the train split and are measured on the protocol's")
            try:
                gym.make(env_id, **kwargs).close()
            except (TypeError, ValueError) as error:
                raise type(error)(f"{env.name}: {str(error).split(' was raised from')[0]}") from error
        return env

    def at(self, level: str) -> tuple[str, dict[str, Any]]:
        """Return the id and the settings of a level."""
        return (f"{self.id[:-3]}Tokens-v0", self.token_settings) if level == "token" else (self.id, self.settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Agent:
    """An entry of ``agents``."""

    agent: str
    name: str
    hyperparameters: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, entry: Any) -> _Agent:
        values = {"agent": entry} if isinstance(entry, str) else dict(entry)
        _check_fields(values, cls, "an agent", optional=("name",))
        if values["agent"] not in CONTENDERS:
            raise ValueError(f"there is no agent {values['agent']!r}; there are {', '.join(CONTENDERS)}")
        agent = cls(**{"name": values["agent"], **values})
        if _slug(agent.name) != agent.name:
            raise ValueError(f"the name of an agent may have letters, digits, '.', '_' and '-', got {agent.name!r}")
        return agent


def _check_fields(values: Mapping[str, Any], of: Any, where: str, optional: Sequence[str] = ()) -> None:
    fields = dataclasses.fields(of)
    known = [field.name for field in fields]
    if unknown := sorted(set(values) - set(known)):
        raise TypeError(f"{where} has no field {', '.join(map(repr, unknown))}; it has {', '.join(known)}")
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in needed if name not in values and name not in optional]:
        raise TypeError(f"{where} lacks {', '.join(missing)}")


def _check_warm_start(where: str, values: Mapping[str, Any] | None) -> None:
    if values is not None and not _is_count(values.get("episodes")):
        raise ValueError(f"{where} needs episodes >= 1, got {dict(values)}")


def _check_reward_model(env: _Env) -> None:
    from textgym.agents.reward_training import FitConfig

    settings = dict(env.reward_model or {})
    if not _is_count(settings.pop("pairs", None)):
        raise ValueError(f"the reward_model of {env.name} needs pairs >= 1, got {env.reward_model}")
    if not settings.pop("temperature", 0.0) >= 0:
        raise ValueError(f"the temperature of the reward_model of {env.name} must be >= 0, got {env.reward_model}")
    _check_fields(settings, FitConfig, f"the reward_model of {env.name}")
    FitConfig(**settings)
    if "dense" in {**env.settings, **env.token_settings}:
        raise ValueError(f"{env.name}: a reward model pays for whole answers, so leave dense out")


def _check_distinct(kind: str, names: Sequence[Any]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{kind} have the name {', '.join(map(str, twice))} twice; give one a 'name' of its own")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _slug(name: str) -> str:
    """Return a name as a folder may have it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")


def _ids() -> str:
    return ", ".join(f"{name}-v0" for name in TASKS)
