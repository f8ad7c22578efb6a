"""``TextVectorEnv`` and ``TokenVectorEnv``: n episodes at once, one reward call a step, groups that share a problem."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textgym.envs.task import Problem, score_batch
from textgym.envs.text_env import TextEnv, step_together
from textgym.envs.token_env import (
    TokenArray,
    check_layout,
    check_room,
    set_stop_reason,
    token_space,
    write_left,
    write_right,
)
from textgym.envs.tokenizers import Tokenizer

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


class _Episodes(VectorEnv[Any, Any, Any]):
    """What both vector envs share: n text envs, their seeds, their groups and their ends. See ``TextVectorEnv``."""

    def __init__(
        self,
        make_text_env: Callable[[], TextEnv],
        num_envs: int,
        group_size: int = 1,
        autoreset_mode: AutoresetMode | str | None = None,
    ) -> None:
        if num_envs < 1 or group_size < 1 or num_envs % group_size:
            raise ValueError(f"num_envs must be a multiple of group_size, got {num_envs} and {group_size}")
        if autoreset_mode is None:
            autoreset_mode = AutoresetMode.SAME_STEP if group_size == 1 else AutoresetMode.DISABLED
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        if self.autoreset_mode == AutoresetMode.NEXT_STEP:
            raise ValueError("autoreset_mode must be SAME_STEP or DISABLED, got NEXT_STEP")
        if self.autoreset_mode == AutoresetMode.SAME_STEP and group_size > 1:
            raise ValueError("groups begin together, so group_size > 1 needs autoreset_mode='Disabled'")
        self.num_envs = num_envs
        self.group_size = group_size
        self.envs = [make_text_env() for _ in range(num_envs)]
        self.render_mode = self.envs[0].render_mode
        self.metadata = {**TextEnv.metadata, "autoreset_mode": self.autoreset_mode}
        self._over: BoolArray = np.ones(num_envs, bool)

    @property
    def group_ids(self) -> NDArray[np.int64]:
        """The group of each sub-env, int64 (num_envs,)."""
        return np.arange(self.num_envs) // self.group_size

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest return of an episode."""
        return self.envs[0].reward_range

    def render(self) -> tuple[Any, ...]:
        """Return what each sub-env renders."""
        return tuple(env.render() for env in self.envs)

    def _begin(
        self, seed: int | Sequence[int | None] | None, options: Mapping[str, Any] | None
    ) -> tuple[dict[int, str], dict[int, dict[str, Any]]]:
        """Choose all problems, then start episodes where the reset mask says so; return the prompts and infos.

        These rows stay over until the caller has written their prompts: if anything fails, they have no episode.
        """
        options = dict(options or {})
        rows = self._masked_rows(options.pop("reset_mask", None))
        groups = self.num_envs // self.group_size
        seeds = seed if isinstance(seed, Sequence) else [None if seed is None else seed + g for g in range(groups)]
        indices = options.pop("problem", None)
        indices = list(indices) if isinstance(indices, (Sequence, np.ndarray)) else [indices] * groups
        for name, values in ("seed", seeds), ("problem", indices):
            if len(values) != groups:
                raise ValueError(f"expected {groups} values for {name!r}, one for each group, got {len(values)}")
        self._over[rows] = True
        problems: dict[int, Problem] = {}
        for row in rows[:: self.group_size]:
            group = row // self.group_size
            chosen = options if indices[group] is None else {**options, "problem": indices[group]}
            gym.Env.reset(self.envs[row], seed=seeds[group])
            problems[group] = self.envs[row].choose(chosen)
        prompts, infos = {}, {}
        for row in rows:
            prompts[row], infos[row] = self.envs[row].begin(problems[row // self.group_size])
        return prompts, infos

    def _masked_rows(self, mask: Any) -> list[int]:
        if mask is None:
            return list(range(self.num_envs))
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise ValueError(f"reset_mask must be a bool array of shape ({self.num_envs},), got {mask!r:.80}")
        groups = mask.reshape(-1, self.group_size)
        if not mask.any() or (groups.any(1) != groups.all(1)).any():
            raise ValueError("reset_mask must name at least one sub-env, and whole groups only")
        return [int(row) for row in np.flatnonzero(mask)]

    def _running(self) -> NDArray[np.int64]:
        """Return the rows whose episode goes on."""
        rows = np.flatnonzero(~self._over)
        same_step = self.autoreset_mode == AutoresetMode.SAME_STEP
        if not len(rows) and (same_step or all(env.problem is None for env in self.envs)):
            raise ResetNeeded("call reset before step: no episode has begun")
        return rows

    def _restart(self, ended: Sequence[int], infos: dict[int, dict[str, Any]]) -> dict[int, str]:
        """Begin the next episode of ended rows (SAME_STEP); return their prompts, and put their infos in place."""
        prompts = {}
        for row in ended:
            prompts[row], infos[row] = self.envs[row].reset()
        return prompts

    def _info(
        self, infos: Mapping[int, dict[str, Any]], final_infos: Mapping[int, dict[str, Any]], final_obs: Iterable[Any]
    ) -> dict[str, Any]:
        """Return the info of a step, as arrays.

        Args:
            infos: what the step told, by row.
            final_infos: the last info of each row whose next episode has begun.
            final_obs: their last observations.
        """
        columns = _columns(self.num_envs, infos)
        if final_infos:
            present = np.zeros(self.num_envs, bool)
            present[list(final_infos)] = True
            observations = np.full(self.num_envs, None, object)
            for row, observation in zip(final_infos, final_obs, strict=True):
                observations[row] = observation
            columns |= {"final_obs": observations, "_final_obs": present}
            columns |= {"final_info": _columns(self.num_envs, final_infos), "_final_info": present.copy()}
        return columns


class TextVectorEnv(_Episodes):
    """n ``TextEnv`` of one task: a tuple of texts in, a tuple of texts out.

    Steps like a loop over single envs, but calls the reward once for all the episodes that end.

    **Groups.** ``group_size`` consecutive sub-envs share a problem: the first of them draws, the others copy.

    **Autoreset.** ``SAME_STEP`` (default) or ``DISABLED`` (default with groups, which must begin together): then ended
    sub-envs ignore their actions, with reward 0, until ``reset(options={"reset_mask": mask})``.

    **Seeding.** Sub-env i gets ``seed + i``, as in Gymnasium's ``SyncVectorEnv``; with groups, group g gets
    ``seed + g``. ``options={"problem": [...]}`` names one problem for each group.
    """

    def __init__(
        self,
        make_text_env: Callable[[], TextEnv],
        num_envs: int,
        *,
        group_size: int = 1,
        autoreset_mode: AutoresetMode | str | None = None,
    ) -> None:
        """Make ``num_envs`` sub-envs."""
        super().__init__(make_text_env, num_envs, group_size, autoreset_mode)
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._observations = [""] * num_envs

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Start episodes; ``options`` as in ``TextEnv.reset``, and ``reset_mask``, bool (num_envs,)."""
        prompts, infos = self._begin(seed, options)
        for row, prompt in prompts.items():
            self._observations[row] = prompt
        self._over[list(prompts)] = False
        return tuple(self._observations), _columns(self.num_envs, infos)

    def step(self, actions: Sequence[str]) -> tuple[tuple[str, ...], FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Give each sub-env its response."""
        if isinstance(actions, str) or len(actions) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} responses, one for each sub-env, got {actions!r:.80}")
        rows = self._running().tolist()
        results = step_together([self.envs[row] for row in rows], [actions[row] for row in rows])
        rewards = np.zeros(self.num_envs)
        terminations = self._over.copy()
        truncations = np.zeros(self.num_envs, bool)
        infos = {}
        for row, (observation, reward, terminated, truncated, info) in zip(rows, results, strict=True):
            self._observations[row] = observation
            rewards[row], terminations[row], truncations[row] = reward, terminated, truncated
            infos[row] = info
        ended = [row for row in rows if terminations[row] or truncations[row]]
        self._over[ended] = True
        final_obs: list[str] = []
        final_infos: dict[int, dict[str, Any]] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and ended:
            final_obs = [self._observations[row] for row in ended]
            final_infos = {row: infos[row] for row in ended}
            for row, prompt in self._restart(ended, infos).items():
                self._observations[row] = prompt
            self._over[ended] = False
        columns = self._info(infos, final_infos, final_obs)
        return tuple(self._observations), rewards, terminations, truncations, columns


@dataclass(frozen=True)
class _Step:
    """A step of ``TokenVectorEnv``, whose infos lack ``action_mask`` and are by row."""

    observations: TokenArray
    rewards: FloatArray
    terminations: BoolArray
    truncations: BoolArray
    played: NDArray[np.int64]
    """The sub-envs that took a token."""
    infos: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    """Of the sub-envs whose response ended; where the next episode has begun, of its beginning."""
    final_infos: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    """The last infos of the k sub-envs whose next episode has begun."""
    final_obs: TokenArray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """The last observations of those, int64 (k, window)."""


class TokenVectorEnv(_Episodes):
    """n ``TokenEnv`` of one task as arrays: one step is a few array operations, whatever n is.

    Text is made and judged only when a response ends (with ``dense``, at each step). See ``TokenEnv`` for spaces,
    layouts and rewards, and ``TextVectorEnv`` for groups, autoreset and seeds.
    """

    def __init__(
        self,
        make_text_env: Callable[[], TextEnv],
        num_envs: int,
        tokenizer: Tokenizer,
        *,
        window: int,
        max_tokens: int,
        layout: str = "sliding",
        dense: bool = False,
        group_size: int = 1,
        autoreset_mode: AutoresetMode | str | None = None,
    ) -> None:
        """Make ``num_envs`` sub-envs; lengths are counted in tokens."""
        super().__init__(make_text_env, num_envs, group_size, autoreset_mode)
        check_layout(layout, window, max_tokens)
        self.tokenizer = tokenizer
        self.window = window
        self.max_tokens = max_tokens
        self.layout = layout
        self.dense = dense
        self.single_observation_space = token_space(tokenizer, window)
        self.single_action_space = spaces.Discrete(tokenizer.vocab_size)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.contexts: list[list[int]] = [[] for _ in range(num_envs)]
        # Observations are the `window` columns of the tape before `_end`. Sliding by a token moves `_end`, not the
        # tokens; at the tape's end the last window is copied to its beginning.
        self._tape = np.full((num_envs, 2 * window), tokenizer.pad_id, np.int64)
        self._end = window
        self._length = np.zeros(num_envs, np.int64)
        self._paid = np.zeros(num_envs)
        self._masks = np.broadcast_to(tokenizer.action_mask, (num_envs, tokenizer.vocab_size))

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[TokenArray, dict[str, Any]]:
        """Start episodes; ``options`` as in ``TextEnv.reset``, and ``reset_mask``, bool (num_envs,)."""
        prompts, infos = self._begin(seed, options)
        self._write_prompts(prompts)
        return self._window().copy(), _columns(self.num_envs, infos) | self._mask_columns(list(prompts))

    def step(self, actions: Any) -> tuple[TokenArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Add one token to each response; ``actions`` integers (num_envs,)."""
        return self._in_columns(self._step(actions))

    def step_rows(
        self, actions: Any
    ) -> tuple[
        TokenArray, FloatArray, BoolArray, BoolArray, list[dict[str, Any]], dict[int, dict[str, Any]], TokenArray
    ]:
        """Step as ``step`` does, with an info for each sub-env: for those who would take the arrays apart again.

        Returns:
            Observations, rewards, terminations, truncations; num_envs infos; and of the k sub-envs whose next episode
            has begun, their last infos by row and their last observations, int64 (k, window).
        """
        step = self._step(actions)
        mask = self._masks[0]
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row in step.played.tolist():
            infos[row]["action_mask"] = mask
        for row, info in step.infos.items():
            infos[row] |= info
        finals = {row: info | {"action_mask": mask} for row, info in step.final_infos.items()}
        return step.observations, step.rewards, step.terminations, step.truncations, infos, finals, step.final_obs

    def _step(self, actions: Any) -> _Step:
        over_before = self._over.copy()
        rows = self._running()
        tokens = self._check(actions, (self.num_envs,), rows)
        if len(rows) < self.num_envs:
            tokens = tokens[rows]
        self._append(rows, tokens)
        rewards = np.zeros(self.num_envs)
        stopped = tokens == self.tokenizer.stop_id
        ended = stopped | (self._length[_slice(rows, self.num_envs)] >= self.max_tokens)
        if self.dense:
            self._pay_increments(rows[~ended], rewards)
        if not ended.any():
            no = np.zeros(self.num_envs, bool)
            return _Step(self._window().copy(), rewards, over_before, no, rows)
        return self._end_responses(rows[ended], stopped[ended], rows, over_before, rewards)

    def step_tokens(
        self, tokens: Any, mask: Any
    ) -> tuple[TokenArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Play one whole response in each running sub-env: the same as ``step`` once for each token.

        Args:
            tokens: integers (num_envs, t), t <= max_tokens.
            mask: bool (num_envs, t), True for the tokens to play: a prefix of each row that ends with the stop token
                or has ``max_tokens`` tokens. Rows of ended sub-envs are ignored.

        Returns:
            Observations, rewards float64 (num_envs, t) for each token, terminations, truncations and infos as after
            the last of those steps.
        """
        tokens, mask = np.asarray(tokens), np.asarray(mask)
        rows = self._running()
        self._check_whole(tokens, mask, rows)
        tokens = self._check(np.where(mask, tokens, self.tokenizer.stop_id), mask.shape, rows)
        lengths = mask.sum(1)
        over_before = self._over.copy()
        increments = np.zeros(tokens.shape)
        if self.dense:
            for length in range(1, tokens.shape[1]):
                running = rows[lengths[rows] > length]
                self._write_windows(running, tokens[running, :length].tolist())
                self._pay_increments(running, increments[:, length - 1])
        responses = [tokens[row, : lengths[row]].tolist() for row in rows.tolist()]
        self._write_windows(rows, responses)
        stopped = tokens[rows, lengths[rows] - 1] == self.tokenizer.stop_id
        step = self._end_responses(rows, stopped, rows, over_before, np.zeros(self.num_envs))
        increments[rows, lengths[rows] - 1] = step.rewards[rows]
        return self._in_columns(dataclasses.replace(step, rewards=increments))

    def action_masks(self) -> NDArray[np.int8]:
        """Return 1 for each token that may come next, int8 (num_envs, vocab_size)."""
        return self._masks.copy()

    def _check(self, tokens: Any, shape: tuple[int, ...], rows: NDArray[np.int64]) -> TokenArray:
        """Return all the tokens; those of ``rows`` must exist, the others are ignored."""
        tokens = np.asarray(tokens)
        if tokens.shape != shape or not np.issubdtype(tokens.dtype, np.integer):
            raise InvalidAction(f"tokens must be integers of shape {shape}, got {tokens.dtype} {tokens.shape}")
        checked: TokenArray = tokens.astype(np.int64, copy=False)
        played = checked if len(rows) == self.num_envs else checked[rows]
        if played.size and played.view(np.uint64).max() >= self.tokenizer.vocab_size:  # negative ones are huge there
            bad = tokens[rows][(played < 0) | (played >= self.tokenizer.vocab_size)][0]
            raise InvalidAction(f"a token must be in 0..{self.tokenizer.vocab_size - 1}, got {bad}")
        return checked

    def _check_whole(self, tokens: TokenArray, mask: BoolArray, rows: Any) -> None:
        if mask.dtype != np.bool_ or mask.ndim != 2 or len(mask) != self.num_envs:
            raise ValueError(f"mask must be a bool array of shape ({self.num_envs}, t), got {mask.dtype} {mask.shape}")
        if not 1 <= mask.shape[1] <= self.max_tokens:
            raise ValueError(f"a response has 1 to {self.max_tokens} tokens, got a mask of {mask.shape[1]} columns")
        if tokens.shape != mask.shape:
            raise ValueError(f"tokens and mask must have one shape, got {tokens.shape} and {mask.shape}")
        lengths = mask.sum(1)
        if self._length[rows].any():
            raise ValueError("step_tokens plays whole responses, but some have begun: finish them with step")
        if (mask != (np.arange(mask.shape[1]) < lengths[:, None]))[rows].any() or (lengths[rows] == 0).any():
            raise ValueError("each row of mask must be a non-empty prefix: ones, then zeros")
        stops = (tokens == self.tokenizer.stop_id) & mask
        at_end = np.arange(mask.shape[1]) == lengths[:, None] - 1
        if (stops & ~at_end)[rows].any():
            raise ValueError("a response has tokens after its stop token")
        if (~stops.any(1) & (lengths < self.max_tokens))[rows].any():
            raise ValueError("a response ends without the stop token before max_tokens")

    def _append(self, rows: Any, tokens: TokenArray) -> None:
        if self.layout == "slots":
            self._window()[rows, self.window - self.max_tokens + self._length[rows]] = tokens
        else:
            idle = np.flatnonzero(self._over) if len(rows) < self.num_envs else ()
            if len(idle):
                still = self._window()[idle]
            if self._end == self._tape.shape[1]:
                self._tape[:, : self.window] = self._window()
                self._end = self.window
            self._tape[_slice(rows, self.num_envs), self._end] = tokens
            self._end += 1
            if len(idle):
                self._window()[idle] = still
        self._length[_slice(rows, self.num_envs)] += 1

    def _window(self) -> TokenArray:
        """Return the observations as a view, int64 (num_envs, window)."""
        return self._tape[:, self._end - self.window : self._end]

    def _responses(self, rows: Any) -> list[list[int]]:
        """Return the tokens of the responses under way, or just ended."""
        lengths = self._length[rows].tolist()
        windows = self._window()[rows, -self.max_tokens :].tolist()
        if self.layout == "slots":
            return [window[:length] for window, length in zip(windows, lengths, strict=True)]
        return [window[self.max_tokens - length :] for window, length in zip(windows, lengths, strict=True)]

    def _texts(self, rows: Any) -> list[str]:
        return [self.tokenizer.decode(response) for response in self._responses(rows)]

    def _pay_increments(self, rows: Any, rewards: FloatArray) -> None:
        if len(rows) == 0:
            return
        problems = [self.envs[row].problem for row in rows.tolist()]
        totals = score_batch(self.envs[0].reward, problems, self._texts(rows)).total
        totals = np.where(np.isnan(totals), self._paid[rows], totals)  # not judged yet: the next token settles up
        rewards[rows] = totals - self._paid[rows]
        self._paid[rows] = totals

    def _end_responses(
        self, rows: Any, stopped: BoolArray, played: Any, over_before: BoolArray, rewards: FloatArray
    ) -> _Step:
        """Hand the finished responses of ``rows`` to the text envs and take in what they answer."""
        indices = rows.tolist()
        self._over[rows] = True  # until all that they answer is written
        results = step_together([self.envs[row] for row in indices], self._texts(rows))
        terminations = over_before
        truncations = np.zeros(self.num_envs, bool)
        over_rows: list[int] = []
        infos: dict[int, dict[str, Any]] = {}
        for row, stop, (message, reward, terminated, truncated, info) in zip(
            indices, stopped.tolist(), results, strict=True
        ):
            rewards[row] = reward - self._paid[row]
            terminations[row], truncations[row] = terminated, truncated
            infos[row] = info
            if terminated or truncated:
                over_rows.append(row)
                set_stop_reason(info, stop)
            else:
                reply = self.tokenizer.encode_reply(message, stopped=stop)
                self._set_context(row, self.contexts[row] + self._responses([row])[0] + reply)
                self._write_windows([row], [[]])
        self._paid[rows] = 0.0
        self._over[rows] = terminations[rows] | truncations[rows]
        final_infos: dict[int, dict[str, Any]] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and over_rows:
            final_infos = {row: infos[row] for row in over_rows}
        final_obs = self._window()[list(final_infos)]
        if final_infos:
            self._write_prompts(self._restart(over_rows, infos))
        return _Step(self._window().copy(), rewards, terminations, truncations, played, infos, final_infos, final_obs)

    def _in_columns(self, step: _Step) -> tuple[TokenArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Return a step with the infos as Gymnasium's vector envs tell them."""
        final_infos = {
            row: info | {"action_mask": self.tokenizer.action_mask} for row, info in step.final_infos.items()
        }
        info = self._info(step.infos, final_infos, step.final_obs) | self._mask_columns(step.played)
        return step.observations, step.rewards, step.terminations, step.truncations, info

    def _write_prompts(self, prompts: Mapping[int, str]) -> None:
        rows = list(prompts)
        for row, prompt in prompts.items():
            self._set_context(row, self.tokenizer.encode_prompt(prompt))
        self._paid[rows] = 0.0  # a reset may interrupt an episode
        self._write_windows(rows, [[]] * len(rows))
        self._over[rows] = False

    def _set_context(self, row: int, context: list[int]) -> None:
        check_room(context, self.layout, self.window, self.max_tokens)
        self.contexts[row] = context

    def _write_windows(self, rows: Any, responses: Sequence[list[int]]) -> None:
        """Show the contexts of ``rows``, and these responses to them."""
        windows = self._window()
        windows[rows] = self.tokenizer.pad_id
        self._length[rows] = [len(response) for response in responses]
        for row, response in zip(rows, responses, strict=True):
            if self.layout == "sliding":
                write_right(windows[row], self.contexts[row] + response)
            else:
                slots = self.window - self.max_tokens
                write_left(windows[row, :slots], self.contexts[row])
                write_left(windows[row, slots:], response)

    def _mask_columns(self, rows: Any) -> dict[str, Any]:
        played = np.zeros(self.num_envs, bool)
        played[rows] = True
        return {"action_mask": self._masks, "_action_mask": played}


def _slice(rows: Any, num_envs: int) -> Any:
    """Return ``rows``, or a slice if that is all of them: several times as fast to index with."""
    return slice(None) if len(rows) == num_envs else rows


def _columns(n: int, infos: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Turn the infos of some rows into arrays with presence masks, as Gymnasium's vector envs do."""
    columns: dict[str, Any] = {}
    if not infos:
        return columns
    names = next(iter(infos.values())).keys()
    alike = all(info.keys() == names for info in infos.values())
    for name in names if alike else dict.fromkeys(name for info in infos.values() for name in info):
        having = [row for row, info in infos.items() if alike or name in info]
        values = [infos[row][name] for row in having]
        first = values[0]
        if isinstance(first, (bool, int, float)):
            column = np.zeros(n, type(first))
            column[having] = values
        elif isinstance(first, np.ndarray):
            column = np.zeros((n, *first.shape), first.dtype)
            column[having] = values
        else:
            column = np.full(n, None, object)
            for row, value in zip(having, values, strict=True):
                column[row] = value
        present = np.zeros(n, bool)
        present[having] = True
        columns[name], columns[f"_{name}"] = column, present
    return columns
