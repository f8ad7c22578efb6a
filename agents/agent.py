"""``Agent``: what every language-model agent does alike - learn, predict, save, load, log, survive an interruption.

A subclass brings a config and ``update``, which makes one optimiser step's worth of progress and returns metrics.

Under ``accelerate launch`` each process plays its own shards of every update (see ``shards``) and the processes step
together: the parameters are the same in all, and those that one process with as many shards would get. The main process
alone logs and writes. Call the methods of an agent in every process.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import importlib
import json
import shutil
import sys
import time
import typing
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import WrapperSpec
from gymnasium.vector import VectorEnv
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback
from stable_baselines3.common.logger import Logger
from torch import Tensor, nn
from tqdm.auto import tqdm
from typing_extensions import Self

from textgym.agents import sharding
from textgym.agents.distributed import anywhere, gather, processes, share_gradients, share_parameters
from textgym.agents.interrupt import deferred_interrupt
from textgym.agents.logger import make_logger
from textgym.agents.policy import CausalLM
from textgym.agents.sampling import sample

LearnCallback = BaseCallback | Sequence[BaseCallback] | Any


@dataclasses.dataclass(frozen=True)
class AgentConfig:
    """What every agent can be told."""

    learning_rate: float | None = None
    """AdamW step size; None: 1e-4 below 10 million trained parameters, 1e-5 below a billion, 1e-6 above."""
    warmup_updates: int = 10
    """Updates over which the learning rate rises linearly from 0."""
    lr_schedule: Literal["constant", "linear"] = "constant"
    """After the warm-up: as it is, or falling to a tenth by the end of ``learn`` (``linear``)."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    max_new_tokens: int = 64
    """Longest response in a sequence-level env, in tokens; a token-level env has a limit of its own."""
    micro_batch_size: int | None = None
    """Rows in one forward and backward pass; None: as many as keep hidden states, of all layers, below 256 MB (float32;
    what else a layer keeps for the gradient is some 20 times as much)."""
    bf16: bool = False
    """Run the model under bfloat16 autocast, in sampling and in training; weights and losses stay as they are."""
    gradient_checkpointing: bool = False
    """Compute activations again for the gradient instead of keeping them: a forward pass more, memory for one layer."""
    lora_rank: int | None = None
    """Train additions of this rank to the linear layers, and not the weights (LoRA; needs peft); None: the weights."""
    lora_alpha: float = 32.0
    """The additions are scaled by this / lora_rank."""
    gradient_accumulation_steps: int = 1
    """Shards that a process plays one after the other for an update. 2 processes with 1 do what 1 with 2 does."""
    checkpoint_every: int = 50
    """Updates between checkpoints, if there is a ``logdir``."""
    transcripts_every: int = 10
    """Updates between sample transcripts, if there is a ``logdir``."""
    seed: int = 0
    """Of the problems and of the sampling."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueError: naming the field and its value.
        """
        for name, hint in typing.get_type_hints(type(self)).items():
            choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
            if choices and getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in (
            "max_new_tokens", "checkpoint_every", "transcripts_every", "micro_batch_size", "gradient_accumulation_steps"
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")
        if self.learning_rate is not None and not self.learning_rate >= 0:
            raise ValueError(f"learning_rate must be >= 0, got {self.learning_rate}")
        for name in ("max_grad_norm", "lora_alpha"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}")
        if self.lora_rank is not None and self.lora_rank < 1:
            raise ValueError(f"lora_rank must be >= 1, got {self.lora_rank}")
        for name in ("warmup_updates", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")


class Agent(ABC):
    """A policy that learns from a text env, with the interface of stable-baselines3."""

    Config: ClassVar[type[AgentConfig]]
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """Named choices of hyperparameters."""

    def __init__(
        self,
        policy: CausalLM | str | Path,
        env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
        *,
        preset: str | None = None,
        logdir: str | Path | None = None,
        verbose: int = 0,
        device: str = "auto",
        dtype: str = "auto",
        **hyperparameters: Any,
    ) -> None:
        """Make an agent.

        Args:
            policy: a ``CausalLM``, or what ``CausalLM.load`` takes: ``"tiny"``, a folder, a GGUF file, a hub id.
            env: an id, an env from ``gym.make`` (its spec is used, with ``MonitorReward`` and other wrappers that have
                a twin ``Vector...`` for vector envs), or a vector env with autoreset disabled.
            preset: one of the class's ``presets``; explicit hyperparameters win over it.
            logdir: where to write ``metrics.jsonl``, ``progress.csv``, TensorBoard events, ``transcripts.jsonl`` and
                ``checkpoint/``; nothing is written if None.
            verbose: 1 prints a table of metrics after each update.
            device: for loading the policy.
            dtype: for loading the policy.
            **hyperparameters: fields of the class's ``Config``.

        Raises:
            TypeError: for an unknown hyperparameter.
            ValueError: for one out of range, an unknown preset, or an env of the wrong size.
        """
        if preset is not None and preset not in self.presets:
            names = ", ".join(self.presets) or "none"
            raise ValueError(f"{type(self).__name__} has no preset {preset!r}; it has {names}")
        hyperparameters = {**self.presets.get(preset or "", {}), **hyperparameters}
        known = [field.name for field in dataclasses.fields(self.Config)]
        if unknown := sorted(set(hyperparameters) - set(known)):
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}; it has {', '.join(known)}")
        self.config = self.Config(**hyperparameters)
        device = str(processes().device) if device == "auto" and processes().num_processes > 1 else device
        self.policy = policy if isinstance(policy, CausalLM) else CausalLM.load(policy, device=device, dtype=dtype)
        self.env = self._make_env(env)
        self.logdir = None if logdir is None else Path(logdir)
        self.verbose = verbose
        self.num_timesteps = 0
        """Episodes played so far."""
        self.num_updates = 0
        self._set_up_policy()
        self._setup_model()
        share_parameters(self.parameters())
        if sharding.is_wanted():
            self._shard()
        self.learning_rate = self._pick_learning_rate()
        self.optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.learning_rate, betas=(0.9, 0.95), weight_decay=0.0
        )
        self._predict_generator = torch.Generator(self.policy.device).manual_seed(self.config.seed)
        self._logger: Logger | None = None
        self._seconds = 0.0
        self._target = 0

    # The interface of stable-baselines3.

    def learn(self, total_episodes: int, callback: LearnCallback = None, progress_bar: bool = False) -> Self:
        """Train on at least ``total_episodes`` more episodes, in whole updates.

        Ctrl-C ends the update under way, writes a checkpoint if there is a ``logdir``, and then raises
        ``KeyboardInterrupt``; a second one interrupts at once.

        Args:
            total_episodes: how many responses (in games: games) to learn from.
            callback: a stable-baselines3 callback, a list of them, or a function of locals and globals that returns
                False to stop; called after each update.
            progress_bar: show one on stderr.

        Raises:
            FloatingPointError: if log-probabilities or gradients are not finite; that optimiser step is not taken.
        """
        start, target = self.num_timesteps, self.num_timesteps + total_episodes
        total_timesteps = target  # SB3's ProgressBarCallback looks for it among the locals
        self._target = target
        callbacks = _as_callback(callback)
        callbacks.init_callback(self)  # type: ignore[arg-type]
        every = 0.1 if sys.stderr.isatty() else 10.0  # seconds: a log file need not hold every step of the bar
        hide = not (progress_bar and processes().is_main_process)
        bar = tqdm(total=total_episodes, unit="episode", disable=hide, dynamic_ncols=True, mininterval=every)
        cancelled = finished = False
        with deferred_interrupt() as interrupted, bar, self._open_logger():
            callbacks.on_training_start(locals(), globals())
            while self.num_timesteps < target and not (cancelled or finished):
                began = time.perf_counter()
                callbacks.on_rollout_start()
                metrics = self.update()
                self.num_updates += 1
                self._seconds += time.perf_counter() - began
                callbacks.update_locals(locals())
                callbacks.on_rollout_end()
                self._log(metrics)
                bar.update(min(self.num_timesteps, target) - start - bar.n)
                bar.set_postfix({name.split("/")[1]: f"{metrics[name]:.2f}" for name in _SHOWN if name in metrics})
                if self.logdir and self.num_updates % self.config.checkpoint_every == 0:
                    self.save(self.logdir / "checkpoint")
                finished, cancelled = anywhere(not callbacks.on_step(), interrupted.is_set())
            if self.logdir:
                self.save(self.logdir / "checkpoint")
            callbacks.on_training_end()
        if cancelled:
            raise KeyboardInterrupt
        return self

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Return the action for an observation, or for each of a batch, and the state (always None).

        A text gets a whole response; an int window of a token-level env gets the next token.
        """
        temperature = 0.0 if deterministic else 1.0
        if isinstance(observation, np.ndarray) and np.issubdtype(observation.dtype, np.integer):
            if observation.max() >= self.policy.tokenizer.num_ids:
                raise ValueError(
                    f"token {observation.max()} is not in the policy's vocabulary of {self.policy.tokenizer.num_ids}: "
                    f"make the env with tokenizer=policy.tokenizer"
                )
            contexts = [self._unpadded(window) for window in observation.reshape(-1, observation.shape[-1]).tolist()]
            tokens = self._respond(contexts, 1, temperature)
            actions = np.array([ids[0] for ids in tokens])
            return (actions if observation.ndim == 2 else actions[0]), None
        texts = [observation] if isinstance(observation, str) else list(observation)
        contexts = [self.policy.tokenizer.encode_prompt(str(text)) for text in texts]
        responses = self._respond(contexts, self.config.max_new_tokens, temperature)
        decoded = [self.policy.tokenizer.decode(ids) for ids in responses]
        return (decoded[0] if isinstance(observation, str) else decoded), None

    def save(self, path: str | Path) -> None:
        """Write a folder from which ``load`` resumes exactly; ``path/model`` is a ``transformers`` model.

        With LoRA that is the model without the adapter, and ``path/adapter`` has the adapter for peft;
        ``policy.save`` writes the two as one model.

        The folder is replaced as a whole: a crash in the middle leaves the old one, or both.
        """
        path = Path(path)
        fresh, old = path.with_name(path.name + ".new"), path.with_name(path.name + ".old")
        if processes().is_main_process:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
        self.policy.save_apart(fresh)
        state = self._state()
        if processes().is_main_process:
            torch.save(state, fresh / "agent.pt")
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
                path.rename(old)
            fresh.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        processes().wait_for_everyone()

    @classmethod
    def load(
        cls,
        path: str | Path,
        env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
        *,
        logdir: str | Path | None = None,
        verbose: int = 0,
        device: str = "auto",
        dtype: str = "saved",
    ) -> Self:
        """Return an agent that goes on exactly where ``save`` was called, on the same env, device, dtype and shards.

        Raises:
            FileNotFoundError: if ``path`` is no such folder.
        """
        path = Path(path)
        old = path.with_name(path.name + ".old")
        if not path.exists() and old.exists():  # killed between the two renames of save
            path = old
        if not (path / "agent.pt").is_file():
            raise FileNotFoundError(f"there is no checkpoint at {path}: agent.pt is missing")
        state = torch.load(path / "agent.pt", weights_only=True, map_location="cpu")
        dtype = state["dtype"] if dtype == "saved" else dtype
        policy = CausalLM.load((path / "model").resolve(), device=device, dtype=dtype)
        agent = cls(policy, env, logdir=logdir, verbose=verbose, **state["config"])
        if agent.config.lora_rank is not None:
            policy.load_adapter(path)
        agent._restore(state)
        return agent

    @property
    def logger(self) -> Logger:
        """stable-baselines3's logger, as ``set_logger`` gave it or as ``learn`` made it for its time."""
        if self._logger is None:
            raise AttributeError("there is a logger during learn, or after set_logger")
        return self._logger

    def set_logger(self, logger: Logger) -> None:
        """Log to this one instead."""
        self._logger = logger

    def get_env(self) -> VectorEnv[Any, Any, Any]:
        """Return the env that the agent trains on."""
        return self.env

    def get_vec_normalize_env(self) -> None:
        """Return None, for SB3's ``EvalCallback``: nothing is normalised."""
        return

    # What a subclass brings, and what it may call.

    @abstractmethod
    def update(self) -> dict[str, float]:
        """Play episodes (adding to ``num_timesteps``), change the policy, and return metrics."""

    @property
    @abstractmethod
    def env_shape(self) -> tuple[int, int]:
        """Number of sub-envs and group size that a shard of an update needs."""

    @property
    def episodes_per_update(self) -> int:
        """Number of episodes that all processes together play for an update, resampled ones aside."""
        return self.env_shape[0] * self.num_shards

    @property
    def num_shards(self) -> int:
        """Number of shards of an update, over all processes."""
        return int(processes().num_processes) * self.config.gradient_accumulation_steps

    @property
    def shards(self) -> range:
        """Which shards of an update this process plays: each has seeds of its own, whichever process plays it."""
        steps = self.config.gradient_accumulation_steps
        return range(processes().process_index * steps, (processes().process_index + 1) * steps)

    def in_shards(self, name: str) -> int:
        """Return a shard's share of a number of the config.

        Raises:
            ValueError: if it can't be divided.
        """
        number: int = getattr(self.config, name)
        if number % self.num_shards:
            raise ValueError(
                f"{name} must be a multiple of processes * gradient_accumulation_steps, got {number} and "
                f"{processes().num_processes} * {self.config.gradient_accumulation_steps}"
            )
        return number // self.num_shards

    def _set_up_policy(self) -> None:
        """Make the policy train as the config says; the adapter of an earlier agent becomes part of the weights."""
        config = self.config
        self.policy.bf16, self.policy.gradient_checkpointing = config.bf16, config.gradient_checkpointing
        self.policy.merge_lora()
        if config.lora_rank is not None:
            self.policy.add_lora(config.lora_rank, config.lora_alpha, seed=config.seed)

    def _setup_model(self) -> None:
        """Make what else the agent needs, before the optimiser is made."""
        return

    @property
    def trained_modules(self) -> list[nn.Module]:
        """What holds the parameters."""
        return [self.policy.model]

    def _shard(self) -> None:
        """Leave each process a piece of every model, where the launcher asks for FSDP2."""
        self.policy.shard()

    def parameters(self) -> list[nn.Parameter]:
        """Return what the optimiser changes."""
        return list(self.policy.parameters())

    def update_seed(self, attempt: int = 0, shard: int = 0) -> int:
        """Return the seed of a shard's problems and draws: decided by the config's seed and ``num_updates``.

        No random stream goes on from update to update, so a checkpoint needs none to resume exactly.
        """
        who = zlib.crc32(type(self).__name__.encode())  # so that GRPO does not begin with the problems that SFT saw
        entropy = [self.config.seed, who, self.num_updates, attempt]
        words = np.random.SeedSequence(entropy, spawn_key=(shard,) if shard else ()).generate_state(1)
        return int(words[0])

    def micro_batches(self, rows: Tensor, width: int) -> Iterator[Tensor]:
        """Split row indices into pieces whose activations fit into memory; neighbours, which share prompts, stay so.

        ``width`` is the number of columns of a row, the prompt's included.

        With sharded weights all processes get equally many, some of them empty: a pass takes every process.
        """
        size = self.config.micro_batch_size or max(1, _MAX_STATES // (self.policy.state_size * max(width, 1)))
        pieces = list(rows.split(size)) if len(rows) else []
        if self.policy.is_sharded:
            count = torch.tensor([len(pieces)], device=rows.device)
            pieces += [rows[:0]] * (int(gather(count).max()) - len(pieces))
        yield from pieces

    def step_optimizer(self) -> float:
        """Add the processes' gradients up, clip, step and clear; return their norm before clipping.

        Raises:
            FloatingPointError: if it is not finite; nothing is changed then.
        """
        if self.policy.is_sharded:
            sharding.finish_gradients(self.trained_modules)
        else:
            share_gradients(self.parameters())
        norm = sharding.whole(torch.nn.utils.clip_grad_norm_(self.parameters(), self.config.max_grad_norm))
        if not torch.isfinite(norm):
            self.optimizer.zero_grad(set_to_none=True)
            raise FloatingPointError(f"the gradient norm of update {self.num_updates} is {float(norm)}")
        factor = min(1.0, (self.num_updates + 1) / (self.config.warmup_updates + 1))
        if self.config.lr_schedule == "linear":
            factor *= 1.0 - 0.9 * min(1.0, self.num_timesteps / max(1, self._target))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(norm)

    def write_transcripts(self, lines: Sequence[dict[str, Any]]) -> None:
        """Append to ``transcripts.jsonl`` if this is an update to do so."""
        unwanted = self.logdir is None or self.num_updates % self.config.transcripts_every
        if self.logdir is None or unwanted or not processes().is_main_process:
            return
        self.logdir.mkdir(parents=True, exist_ok=True)
        with (self.logdir / "transcripts.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({"update": self.num_updates, **line}) + "\n" for line in lines)

    def _make_env(self, env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> VectorEnv[Any, Any, Any]:
        num_envs, group_size = self.env_shape
        if isinstance(env, VectorEnv):
            theirs = (env.num_envs, getattr(env.unwrapped, "group_size", 1))
            if theirs != (num_envs, group_size):
                raise ValueError(
                    f"{type(self).__name__} needs num_envs={num_envs} and group_size={group_size}, "
                    f"the env has {theirs[0]} and {theirs[1]}"
                )
            return env
        import textgym  # noqa: F401 - registers the ids

        groups: dict[str, Any] = {"num_envs": num_envs, "group_size": group_size, "autoreset_mode": "Disabled"}
        if isinstance(env, str):
            return gym.make_vec(env, **groups)
        if env.spec is None:
            raise ValueError(f"{env} was not made by gym.make; give its id or a vector env")
        spec = copy.deepcopy(env.spec)
        twins = [_vector_wrapper(each) for each in spec.additional_wrappers]
        wrappers = [twin for twin in twins if twin is not None]
        if spec.max_episode_steps or len(wrappers) < len(twins):
            raise ValueError(
                f"{env} has wrappers, and an agent plays many envs at once: give it a vector env with vector wrappers, "
                f"around gym.make_vec(..., num_envs={num_envs}, group_size={group_size}, autoreset_mode='Disabled')"
            )
        spec.additional_wrappers = ()
        return functools.reduce(lambda inner, wrapper: wrapper(inner), wrappers, gym.make_vec(spec, **groups))

    def _pick_learning_rate(self) -> float:
        if self.config.learning_rate is not None:
            return self.config.learning_rate
        size = sum(parameter.numel() for parameter in self.policy.parameters())
        return 1e-4 if size < 10**7 else 1e-5 if size < 10**9 else 1e-6

    def _unpadded(self, window: list[int]) -> list[int]:
        """Return the ids of a token-level observation; a pad that may be the stop token counts at the edges only."""
        pad = self.policy.tokenizer.pad_id
        real = [i for i, token in enumerate(window) if token != pad]
        inner = window[real[0] : real[-1] + 1] if real else []
        return inner if pad == self.policy.tokenizer.stop_id else [token for token in inner if token != pad]

    def _respond(self, contexts: list[list[int]], length: int, temperature: float) -> list[list[int]]:
        generator = self._predict_generator
        with self.policy.gathered():
            samples = sample(self.policy, contexts, max_new_tokens=length, temperature=temperature, generator=generator)
        lengths = samples.token_mask.sum(1).tolist()
        return [ids[:length] for ids, length in zip(samples.tokens.tolist(), lengths, strict=True)]

    @contextlib.contextmanager
    def _open_logger(self) -> Iterator[None]:
        """Make a logger from ``logdir`` and ``verbose`` while learning, unless ``set_logger`` gave one."""
        if self._logger is not None:
            yield
            return
        if processes().is_main_process:
            self._logger = make_logger(self.logdir, self.verbose, self.num_updates)
        else:
            self._logger = Logger(folder=None, output_formats=[])
        try:
            yield
        finally:
            self._logger.close()
            self._logger = None

    def _log(self, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self.logger.record(name, value)
        self.logger.record("train/n_updates", self.num_updates)
        self.logger.record("train/learning_rate", self.optimizer.param_groups[0]["lr"])
        self.logger.record("time/total_timesteps", self.num_timesteps)
        self.logger.record("time/time_elapsed", self._seconds)
        self.logger.dump(self.num_timesteps)

    def _state(self) -> dict[str, Any]:
        return {
            "config": dataclasses.asdict(self.config),
            "dtype": str(self.policy.model.dtype).removeprefix("torch."),
            "num_timesteps": self.num_timesteps,
            "num_updates": self.num_updates,
            "seconds": self._seconds,
            "optimizer": sharding.whole(self.optimizer.state_dict()),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.num_timesteps = state["num_timesteps"]
        self.num_updates = state["num_updates"]
        self._seconds = state["seconds"]
        self.optimizer.load_state_dict(state["optimizer"])
        for parameter, values in self.optimizer.state.items():
            values |= sharding.like(values, dict.fromkeys(_ADAM_MOMENTS, parameter))


_ADAM_MOMENTS = ("exp_avg", "exp_avg_sq")
_MAX_STATES = 2**26
_SHOWN = ("rollout/success_rate", "rollout/ep_rew_mean", "train/loss")


def _vector_wrapper(spec: WrapperSpec) -> Callable[[VectorEnv[Any, Any, Any]], VectorEnv[Any, Any, Any]] | None:
    """Return the twin for vector envs: ``Vector...`` of the same module, which takes the same arguments."""
    module, _, name = spec.entry_point.partition(":")
    twin = getattr(importlib.import_module(module), f"Vector{name}", None)
    return None if twin is None or spec.kwargs is None else functools.partial(twin, **spec.kwargs)


def _as_callback(callback: LearnCallback) -> BaseCallback:
    if isinstance(callback, BaseCallback):
        return callback
    if isinstance(callback, Sequence):
        return CallbackList(list(callback))
    return ConvertCallback(callback)
