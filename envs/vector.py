"""``TextVectorEnv`` and ``TokenVectorEnv``: n episodes at once, one reward call a step, groups that share a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textgym.envs.task import Problem, score_batch
from textgym.envs.text_env import StepResult, TextEnv, step_together
from textgym.envs.token_env import TokenArray, check_layout, set_stop_reason, token_space, write_left, write_right
from textgym.envs.tokenizers import Tokenizer

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


class _Episodes(VectorEnv[Any, Any, Any]):
    """What both vector envs share: n text envs, their seeds, their groups and their ends.

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
    ) -> tuple[list[int], list[str], list[dict[str, Any]]]:
        """Start episodes where the reset mask says so; return the rows, their prompts and infos."""
        options = dict(options or {})
        rows = self._masked_rows(options.pop("reset_mask", None))
        groups = self.num_envs // self.group_size
        seeds = seed if isinstance(seed, Sequence) else [None if seed is None else seed + g for g in range(groups)]
        indices = options.pop("problem", None)
        indices = [indices] * groups if indices is None or isinstance(indices, int) else list(indices)
        for name, values in ("seed", seeds), ("problem", indices):
            if len(values) != groups:
                raise ValueError(f"expected {groups} values for {name!r}, one for each group, got {len(values)}")
        problems: dict[int, Problem] = {}
        prompts, infos = [], []
        for row in rows:
            group, position = divmod(row, self.group_size)
            env = self.envs[row]
            if position == 0:
                chosen = options if indices[group] is None else {**options, "problem": indices[group]}
                prompt, info = env.reset(seed=seeds[group], options=chosen)
                assert env.problem is not None
                problems[group] = env.problem
            else:
                prompt, info = env.begin(problems[group])
            prompts.append(prompt)
            infos.append(info)
        self._over[rows] = False
        return rows, prompts, infos

    def _masked_rows(self, mask: Any) -> list[int]:
        if mask is None:
            return list(range(self.num_envs))
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise ValueError(f"reset_mask must be a bool array of shape ({self.num_envs},), got {mask!r:.80}")
        groups = mask.reshape(-1, self.group_size)
        if not mask.any() or (groups.any(1) != groups.all(1)).any():
            raise ValueError("reset_mask must name at least one sub-env, and whole groups only")
        return [int(row) for row in np.flatnonzero(mask)]

    def _restart(self, rows: Sequence[int]) -> tuple[list[str], list[dict[str, Any]]]:
        """Begin the next episode of ended rows, each from its own stream of problems (SAME_STEP)."""
        started = [self.envs[row].reset() for row in rows]
        self._over[rows] = False
        return [prompt for prompt, _ in started], [info for _, info in started]


class TextVectorEnv(_Episodes):
    """n ``TextEnv`` of one task: a tuple of texts in, a tuple of texts out.

    Steps like a loop over single envs, but calls the reward once for all the episodes that end. See ``_Episodes``
    below for groups, autoreset and seeds.
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
        rows, prompts, infos = self._begin(seed, options)
        for row, prompt in zip(rows, prompts, strict=True):
            self._observations[row] = prompt
        return tuple(self._observations), _columns(self.num_envs, rows, infos)

    def step(self, actions: Sequence[str]) -> tuple[tuple[str, ...], FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Give each sub-env its response."""
        if isinstance(actions, str) or len(actions) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} responses, one for each sub-env, got {actions!r:.80}")
        rows = [int(row) for row in np.flatnonzero(~self._over)]
        results = step_together([self.envs[row] for row in rows], [actions[row] for row in rows])
        rewards = np.zeros(self.num_envs)
        terminations = self._over.copy()
        truncations = np.zeros(self.num_envs, bool)
        for row, (observation, reward, terminated, truncated, _) in zip(rows, results, strict=True):
            self._observations[row] = observation
            rewards[row], terminations[row], truncations[row] = reward, terminated, truncated
        ended = [row for row in rows if terminations[row] or truncations[row]]
        self._over[ended] = True
        infos = [result[4] for result in results]
        if self.autoreset_mode == AutoresetMode.DISABLED or not ended:
            return (
                tuple(self._observations),
                rewards,
                terminations,
                truncations,
                _columns(self.num_envs, rows, infos),
            )
        final = [(self._observations[row], info) for row, info in zip(rows, infos, strict=True) if row in set(ended)]
        prompts, new_infos = self._restart(ended)
        for row, prompt in zip(ended, prompts, strict=True):
            self._observations[row] = prompt
        shown = dict(zip(rows, infos, strict=True)) | dict(zip(ended, new_infos, strict=True))
        columns = _final_columns(self.num_envs, ended, [f[0] for f in final], [f[1] for f in final])
        columns |= _columns(self.num_envs, list(shown), list(shown.values()))
        return tuple(self._observations), rewards, terminations, truncations, columns


class TokenVectorEnv(_Episodes):
    """n ``TokenEnv`` of one task as arrays: one step is a few array operations, whatever n is.

    Text is made and judged only when a response ends (with ``dense``, at each step). See ``TokenEnv`` for spaces,
    layouts and rewards, and ``_Episodes`` for groups, autoreset and seeds.
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
        self._window = np.full((num_envs, window), tokenizer.pad_id, np.int64)
        self._response = np.zeros((num_envs, max_tokens), np.int64)
        self._length = np.zeros(num_envs, np.int64)
        self._paid = np.zeros(num_envs)
        self._rows = np.arange(num_envs)
        self._masks = np.broadcast_to(tokenizer.action_mask, (num_envs, tokenizer.vocab_size))
        self._all = np.ones(num_envs, bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[TokenArray, dict[str, Any]]:
        """Start episodes; ``options`` as in ``TextEnv.reset``, and ``reset_mask``, bool (num_envs,)."""
        rows, prompts, infos = self._begin(seed, options)
        self._write_prompts(rows, prompts)
        return self._window.copy(), _columns(self.num_envs, rows, infos) | self._mask_columns(rows)

    def step(self, actions: Any) -> tuple[TokenArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Add one token to each response; ``actions`` integers (num_envs,)."""
        tokens = self._check(actions, (self.num_envs,))
        over_before = self._over.copy()
        if over_before.any():
            rows = np.flatnonzero(~over_before)
            tokens = tokens[rows]
        else:
            rows = self._rows
        self._append(rows, tokens)
        rewards = np.zeros(self.num_envs)
        stopped = tokens == self.tokenizer.stop_id
        ended = stopped | (self._length[rows] >= self.max_tokens)
        if self.dense:
            self._pay_increments(rows[~ended], rewards)
        if not ended.any():
            no = np.zeros(self.num_envs, bool)
            return self._window.copy(), rewards, over_before, no, self._mask_columns(rows)
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
        mask = np.asarray(mask, bool)
        tokens = self._check(np.where(mask, tokens, self.tokenizer.stop_id), mask.shape)
        rows = np.flatnonzero(~self._over)
        lengths = mask.sum(1)
        self._check_whole(tokens, mask, lengths, rows)
        over_before = self._over.copy()
        increments = np.zeros(tokens.shape)
        if self.dense:
            for length in range(1, tokens.shape[1]):
                running = rows[lengths[rows] > length]
                self._response[:, :length] = tokens[:, :length]
                self._length[running] = length
                step_rewards = np.zeros(self.num_envs)
                self._pay_increments(running, step_rewards)
                increments[:, length - 1] = step_rewards
        self._response[rows, : tokens.shape[1]] = tokens[rows]
        self._length[rows] = lengths[rows]
        stopped = tokens[rows, lengths[rows] - 1] == self.tokenizer.stop_id
        self._write_windows(rows)
        result = self._end_responses(rows, stopped, rows, over_before, np.zeros(self.num_envs))
        increments[rows, lengths[rows] - 1] = result[1][rows]
        return result[0], increments, *result[2:]

    def action_masks(self) -> NDArray[np.int8]:
        """Return 1 for each token that may come next, int8 (num_envs, vocab_size)."""
        return self._masks.copy()

    def _check(self, tokens: Any, shape: tuple[int, ...]) -> TokenArray:
        tokens = np.asarray(tokens)
        if tokens.shape != shape or not np.issubdtype(tokens.dtype, np.integer):
            raise InvalidAction(f"tokens must be integers of shape {shape}, got {tokens.dtype} {tokens.shape}")
        if tokens.size and (tokens.min() < 0 or tokens.max() >= self.tokenizer.vocab_size):
            bad = tokens[(tokens < 0) | (tokens >= self.tokenizer.vocab_size)][0]
            raise InvalidAction(f"a token must be in 0..{self.tokenizer.vocab_size - 1}, got {bad}")
        checked: TokenArray = tokens.astype(np.int64, copy=False)
        return checked

    def _check_whole(self, tokens: TokenArray, mask: BoolArray, lengths: Any, rows: Any) -> None:
        if mask.ndim != 2 or len(mask) != self.num_envs or not 1 <= mask.shape[1] <= self.max_tokens:
            raise ValueError(f"mask must be (num_envs, 1..max_tokens), got {mask.shape}")
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
        lengths = self._length[rows]
        self._response[rows, lengths] = tokens
        self._length[rows] = lengths + 1
        if self.layout == "slots":
            self._window[rows, self.window - self.max_tokens + lengths] = tokens
        elif len(rows) == self.num_envs:
            self._window[:, :-1] = self._window[:, 1:]
            self._window[:, -1] = tokens
        else:
            self._window[rows, :-1] = self._window[rows, 1:]
            self._window[rows, -1] = tokens

    def _texts(self, rows: Any) -> list[str]:
        decode = self.tokenizer.decode
        ids, lengths = self._response[rows].tolist(), self._length[rows].tolist()
        return [decode(row[:length]) for row, length in zip(ids, lengths, strict=True)]

    def _pay_increments(self, rows: Any, rewards: FloatArray) -> None:
        if len(rows) == 0:
            return
        problems = [self.envs[row].problem for row in rows]
        totals = score_batch(self.envs[0].reward, problems, self._texts(rows)).total
        rewards[rows] = totals - self._paid[rows]
        self._paid[rows] = totals

    def _end_responses(
        self, rows: Any, stopped: BoolArray, played: Any, over_before: BoolArray, rewards: FloatArray
    ) -> tuple[TokenArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Hand the finished responses of ``rows`` to the text envs and take in what they answer."""
        indices = rows.tolist()
        results = step_together([self.envs[row] for row in indices], self._texts(rows))
        terminations = over_before
        truncations = np.zeros(self.num_envs, bool)
        over_rows: list[int] = []
        for row, stop, (message, reward, terminated, truncated, info) in zip(
            indices, stopped.tolist(), results, strict=True
        ):
            rewards[row] = reward - self._paid[row]
            terminations[row], truncations[row] = terminated, truncated
            if terminated or truncated:
                over_rows.append(row)
                set_stop_reason(info, stop)
            else:
                response = self._response[row, : self._length[row]].tolist()
                self.contexts[row] += response + self.tokenizer.encode_reply(message, stopped=stop)
                self._length[row] = 0
                self._write_windows([row])
        self._over[over_rows] = True
        infos = [result[4] for result in results]
        if self.autoreset_mode == AutoresetMode.DISABLED or not over_rows:
            columns = _columns(self.num_envs, indices, infos) | self._mask_columns(played)
            return self._window.copy(), rewards, terminations, truncations, columns
        columns = self._autoreset(indices, results, over_rows)
        return self._window.copy(), rewards, terminations, truncations, columns | self._mask_columns(played)

    def _autoreset(self, indices: list[int], results: list[StepResult], over_rows: list[int]) -> dict[str, Any]:
        """Begin the next episodes and return the infos of the step that ended the last ones."""
        mask = self.tokenizer.action_mask
        infos = {row: result[4] for row, result in zip(indices, results, strict=True)}
        final_infos = [infos[row] | {"action_mask": mask} for row in over_rows]
        columns = _final_columns(self.num_envs, over_rows, list(self._window[over_rows]), final_infos)
        prompts, new_infos = self._restart(over_rows)
        self._write_prompts(over_rows, prompts)
        infos |= dict(zip(over_rows, new_infos, strict=True))
        return columns | _columns(self.num_envs, list(infos), list(infos.values()))

    def _write_prompts(self, rows: Sequence[int], prompts: Sequence[str]) -> None:
        for row, prompt in zip(rows, prompts, strict=True):
            self.contexts[row] = self.tokenizer.encode_prompt(prompt)
        self._length[rows] = 0
        self._paid[rows] = 0.0
        self._write_windows(rows)

    def _write_windows(self, rows: Any) -> None:
        self._window[rows] = self.tokenizer.pad_id
        for row in rows:
            window, context = self._window[row], self.contexts[row]
            response = self._response[row, : self._length[row]].tolist()
            if self.layout == "sliding":
                write_right(window, context + response)
            else:
                slots = self.window - self.max_tokens
                write_left(window[:slots], context)
                write_left(window[slots:], response)

    def _mask_columns(self, rows: Any) -> dict[str, Any]:
        played = self._all
        if len(rows) < self.num_envs:
            played = np.zeros(self.num_envs, bool)
            played[rows] = True
        return {"action_mask": self._masks, "_action_mask": played}


def _columns(n: int, rows: Sequence[int], infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Turn the infos of some rows into arrays with presence masks, as Gymnasium's vector envs do."""
    columns: dict[str, Any] = {}
    names = dict.fromkeys(name for info in infos for name in info)
    for name in names:
        having = [row for row, info in zip(rows, infos, strict=True) if name in info]
        values = [info[name] for info in infos if name in info]
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


def _final_columns(
    n: int, rows: Sequence[int], observations: Sequence[Any], infos: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return ``final_obs`` and ``final_info`` of the episodes that ended in this step (SAME_STEP autoreset)."""
    final_obs = np.full(n, None, object)
    for row, observation in zip(rows, observations, strict=True):
        final_obs[row] = observation
    present = np.zeros(n, bool)
    present[rows] = True
    return {
        "final_obs": final_obs,
        "_final_obs": present,
        "final_info": _columns(n, rows, infos),
        "_final_info": present.copy(),
    }
