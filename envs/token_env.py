"""``TokenEnv``: the same task as a token-level MDP, where one action is one token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded
from numpy.typing import NDArray

from textgym.envs.task import score_batch
from textgym.envs.text_env import StopReason, TextEnv
from textgym.envs.tokenizers import Tokenizer

LAYOUTS = ("sliding", "slots")
_MAX_ONE_HOT = 256

TokenArray = NDArray[np.int64]


class TokenEnv(gym.Env[TokenArray, np.int64]):
    """A ``TextEnv`` played one token at a time.

    **Description.** The tokens of a response are collected until the stop token or ``max_tokens``; then their text goes
    to the text env, whose reward, end and info come back. In a game the next message follows.

    **Observation.** int64 (window,) of token ids, padded. ``layout="sliding"``: the last tokens of the context and the
    response, right-aligned. ``layout="slots"``: the context in ``window - max_tokens`` tokens, left-aligned, then the
    response, left-aligned. A context that does not fit is an error, never cut. ``MultiDiscrete`` up to 256 ids, which
    stable-baselines3 one-hots; else ``Box``.

    **Action.** ``Discrete(vocab_size)``. ``action_masks()`` and ``info["action_mask"]`` show the allowed ones, which
    are all of them for a character vocabulary.

    **Reward.** That of the text, with the last token. With ``dense`` the score of the response so far minus the score
    before this token: the same total. A response so far that cannot be judged counts as the one before it.

    **Termination.** As the text env: the stop token and ``max_tokens`` are part of the task. Never truncated from
    inside.

    **Info.** That of the text env when a response ends (``stop_reason`` is ``stop_token`` or ``token_limit`` where the
    text env says ``answer``), and ``action_mask`` always.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(
        self,
        text_env: TextEnv,
        tokenizer: Tokenizer,
        *,
        window: int,
        max_tokens: int,
        layout: str = "sliding",
        dense: bool = False,
    ) -> None:
        """Play ``text_env`` with ``tokenizer``; lengths are counted in tokens."""
        check_layout(layout, window, max_tokens)
        self.text_env = text_env
        self.tokenizer = tokenizer
        self.window = window
        self.max_tokens = max_tokens
        self.layout = layout
        self.dense = dense
        self.render_mode = text_env.render_mode
        self.observation_space = token_space(tokenizer, window)
        self.action_space = spaces.Discrete(tokenizer.vocab_size)
        self._context: list[int] = []
        self._response: list[int] = []
        self._paid = 0.0
        self._over = True

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest return of an episode."""
        return self.text_env.reward_range

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[TokenArray, dict[str, Any]]:
        """Draw a problem, with the options of ``TextEnv.reset``, and return its prompt's tokens.

        Raises:
            ValueError: if the prompt does not fit the window.
        """
        super().reset(seed=seed)
        self._over = True  # if this fails, there is no episode
        prompt, info = self.text_env.reset(seed=seed, options=options)
        self._context = self._fit(self.tokenizer.encode_prompt(prompt))
        self._response = []
        self._paid = 0.0
        self._over = False
        return self._observation(), info | {"action_mask": self.action_masks()}

    def step(self, action: np.int64 | int) -> tuple[TokenArray, float, bool, bool, dict[str, Any]]:
        """Add one token.

        Raises:
            InvalidAction: if the action is no token id.
            ResetNeeded: before ``reset`` and after the end of an episode.
        """
        if self._over:
            raise ResetNeeded("call reset before step: there is no episode, or it has ended")
        if not self.action_space.contains(action):
            raise InvalidAction(f"a token must be an integer in 0..{self.tokenizer.vocab_size - 1}, got {action!r}")
        token = int(action)
        self._response.append(token)
        stopped = token == self.tokenizer.stop_id
        info: dict[str, Any] = {"action_mask": self.action_masks()}
        if not stopped and len(self._response) < self.max_tokens:
            return self._observation(), self._increment(), False, False, info

        response = self.tokenizer.decode(self._response)
        message, reward, terminated, truncated, text_info = self.text_env.step(response)
        if terminated:
            self._over = True
            set_stop_reason(text_info, stopped)
        else:
            self._over = True  # until the reply is known to fit
            reply = self.tokenizer.encode_reply(message, stopped=stopped)
            self._context = self._fit(self._context + self._response + reply)
            self._response = []
            self._over = False
        paid, self._paid = self._paid, 0.0
        return self._observation(), reward - paid, terminated, truncated, text_info | info

    def action_masks(self) -> NDArray[np.int8]:
        """Return 1 for each token that may come next, int8 (vocab_size,)."""
        return self.tokenizer.action_mask.copy()

    def solution(self) -> list[int] | None:
        """Return the tokens of a perfect response, with the stop token, or None where none is known."""
        text = self.text_env.solution()
        return None if text is None else [*self.tokenizer.encode_response(text), self.tokenizer.stop_id]

    def render(self) -> str | None:
        """Return the chat so far as text (mode ``"ansi"``), with the response under way."""
        chat = self.text_env.render()
        if chat is None or not self._response or self._over:
            return chat
        return f"{chat}\n[assistant] {self.tokenizer.decode(self._response)}"

    def _increment(self) -> float:
        if not self.dense:
            return 0.0
        problem = self.text_env.problem
        assert problem is not None
        total = float(score_batch(self.text_env.reward, [problem], [self.tokenizer.decode(self._response)]).total[0])
        if math.isnan(total):  # this prefix could not be judged; the next token settles up
            return 0.0
        increment, self._paid = total - self._paid, total
        return increment

    def _fit(self, context: list[int]) -> list[int]:
        check_room(context, self.layout, self.window, self.max_tokens)
        return context

    def _observation(self) -> TokenArray:
        row = np.full(self.window, self.tokenizer.pad_id, np.int64)
        if self.layout == "sliding":
            write_right(row, self._context + self._response)
        else:
            slots = self.window - self.max_tokens
            write_left(row[:slots], self._context)
            write_left(row[slots:], self._response)
        return row


def write_right(row: TokenArray, ids: Sequence[int]) -> None:
    """Write the last ids that fit, ending at the right edge."""
    ids = ids[-len(row) :]
    if ids:
        row[-len(ids) :] = ids


def write_left(row: TokenArray, ids: Sequence[int]) -> None:
    """Write the last ids that fit, beginning at the left edge."""
    ids = ids[-len(row) :]
    row[: len(ids)] = ids


def set_stop_reason(info: dict[str, Any], stopped: bool) -> None:
    """Say how the tokens of a single response ended; games have their own reasons."""
    if info["stop_reason"] == StopReason.ANSWER.value:
        info["stop_reason"] = (StopReason.STOP_TOKEN if stopped else StopReason.TOKEN_LIMIT).value


def token_space(tokenizer: Tokenizer, window: int) -> gym.Space[Any]:
    """Return the space of observations: ``MultiDiscrete`` for small vocabularies, else an integer ``Box``."""
    if tokenizer.num_ids <= _MAX_ONE_HOT:
        return spaces.MultiDiscrete([tokenizer.num_ids] * window)
    return spaces.Box(0, tokenizer.num_ids - 1, (window,), np.int64)


def check_room(context: Sequence[int], layout: str, window: int, max_tokens: int) -> None:
    """Raise ValueError unless a whole prompt or chat can be seen."""
    room = window if layout == "sliding" else window - max_tokens
    if len(context) > room:
        raise ValueError(
            f"the context has {len(context)} tokens, but window={window} leaves room for {room} (layout {layout!r}, "
            f"max_tokens={max_tokens}): give a window that is larger by at least {len(context) - room}"
        )


def check_layout(layout: str, window: int, max_tokens: int) -> None:
    """Raise ValueError unless the lengths are positive and the layout leaves room for the context."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {LAYOUTS}, got {layout!r}")
    if max_tokens < 1 or window <= max_tokens:
        raise ValueError(f"need 1 <= max_tokens < window, got max_tokens={max_tokens}, window={window}")
