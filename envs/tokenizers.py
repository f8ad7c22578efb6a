"""How text becomes the actions of a token-level env, and back.

- ``CharTokenizer``: one token a character; the small vocabulary of the ``...Tokens-v0`` ids.
- ``ChatTokenizer``: a Hugging Face tokenizer, with its chat template where it has one.

Both have ``vocab_size`` (number of actions), ``num_ids`` (number of ids an observation can hold), ``pad_id``,
``stop_id``, ``action_mask`` (int8, (vocab_size,)), ``encode_prompt``, ``encode_response``, ``encode_reply`` and
``decode``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Tokenizer(Protocol):
    """What the token-level envs and the language-model agents need of a tokenizer."""

    vocab_size: int
    num_ids: int
    pad_id: int
    stop_id: int
    action_mask: NDArray[np.int8]

    def encode_prompt(self, prompt: str) -> list[int]:
        """Return the ids after which a first response begins."""
        ...

    def encode_response(self, text: str) -> list[int]:
        """Return the ids of a response, without the stop token."""
        ...

    def encode_reply(self, message: str, *, stopped: bool) -> list[int]:
        """Return the ids between a response and the next one; ``stopped`` if the response ended with ``stop_id``."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of a response, without special tokens."""
        ...


class CharTokenizer:
    """One token for each character of ``charset``: id 0 is stop, then the characters in order, then padding.

    Padding is an observation and never an action. Characters outside the charset become ``?`` if the charset has it.
    """

    stop_id = 0

    def __init__(self, charset: str) -> None:
        """Make the vocabulary; ``charset`` must not be empty or repeat a character."""
        if not charset or len(set(charset)) != len(charset):
            raise ValueError(f"charset must hold each character once, got {charset!r}")
        self.charset = charset
        self.vocab_size = 1 + len(charset)
        self.pad_id = self.vocab_size
        self.num_ids = self.vocab_size + 1
        self.action_mask = np.ones(self.vocab_size, np.int8)
        self._ids = {char: i for i, char in enumerate(charset, start=1)}
        self._chars = ["", *charset, ""]

    def encode_prompt(self, prompt: str) -> list[int]:
        """Return one id for each character.

        Raises:
            ValueError: naming the first character that the vocabulary lacks.
        """
        try:
            return [self._ids[char] for char in prompt]
        except KeyError as error:
            if "?" not in self._ids:
                raise ValueError(f"character {error.args[0]!r} is not in the vocabulary {self.charset!r}") from None
            return [self._ids.get(char, self._ids["?"]) for char in prompt]

    def encode_response(self, text: str) -> list[int]:
        """Return one id for each character."""
        return self.encode_prompt(text)

    def encode_reply(self, message: str, *, stopped: bool) -> list[int]:
        """Return the ids of the message on a line of its own."""
        return self.encode_prompt(f"\n{message}\n")

    def decode(self, ids: Sequence[int]) -> str:
        """Return the characters of ``ids``; stop and padding are nothing."""
        chars = self._chars
        return "".join([chars[i] for i in ids])


class ChatTokenizer:
    """A ``transformers`` tokenizer as the vocabulary of an env.

    Prompts go through the chat template if there is one, else they are tokenized as they stand.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Wrap a ``PreTrainedTokenizerBase``, or load one by hub id, folder, or ``"tiny"``."""
        if isinstance(tokenizer, str):
            from textgym.agents.loading import load_tokenizer

            tokenizer = load_tokenizer(tokenizer)
        if tokenizer.eos_token_id is None:
            raise ValueError(f"{type(tokenizer).__name__} has no eos token, so a response could never end")
        self.hf = tokenizer
        self.vocab_size = self.num_ids = len(tokenizer)
        self.stop_id = int(tokenizer.eos_token_id)
        self.pad_id = self.stop_id if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        self.action_mask = np.ones(self.vocab_size, np.int8)
        self.action_mask[[i for i in tokenizer.all_special_ids if i != self.stop_id]] = 0

    def encode_prompt(self, prompt: str) -> list[int]:
        """Return the ids of a chat whose first message is ``prompt``, ready for the answer."""
        if not self.hf.chat_template:
            return [int(i) for i in self.hf(prompt)["input_ids"]]
        text = self._render([{"role": "user", "content": prompt}], generation_prompt=True)
        return self.encode_response(text)

    def encode_response(self, text: str) -> list[int]:
        """Return the ids of ``text`` alone."""
        return [int(i) for i in self.hf(text, add_special_tokens=False)["input_ids"]]

    def encode_reply(self, message: str, *, stopped: bool) -> list[int]:
        """Return what the template puts between the end of an answer and the beginning of the next.

        The ids of earlier turns are never made anew: only this part is tokenized.
        """
        if not self.hf.chat_template:
            return [*([] if stopped else [self.stop_id]), *self.encode_response(f"\n{message}\n")]
        head, tail = self._between
        text = f"{head}{message}{tail}"
        stop = self.hf.eos_token
        if text.startswith(stop):
            return [*([] if stopped else [self.stop_id]), *self.encode_response(text.removeprefix(stop))]
        return self.encode_response(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids`` without special tokens."""
        return str(self.hf.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def __deepcopy__(self, memo: dict[int, Any]) -> ChatTokenizer:
        """Return itself: ``env.spec`` deep-copies its kwargs once for each wrapper."""
        return self

    @functools.cached_property
    def _between(self) -> tuple[str, str]:
        """Return what the template writes after an answer, before and behind the next message."""
        answer, message = "textgym-answer", "textgym-message"
        chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]
        rendered = self._render([*chat, {"role": "user", "content": message}], generation_prompt=True)
        between = rendered.partition(answer)[2]
        head, _, tail = between.partition(message)
        return head, tail

    def _render(self, messages: list[dict[str, str]], *, generation_prompt: bool) -> str:
        return str(self.hf.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation_prompt))


def make_tokenizer(tokenizer: Any, charset: str) -> Tokenizer:
    """Return a tokenizer from ``"char"``, a name or folder, a ``transformers`` tokenizer, or one of ours."""
    if isinstance(tokenizer, (CharTokenizer, ChatTokenizer)):
        return tokenizer
    return CharTokenizer(charset) if tokenizer == "char" else ChatTokenizer(tokenizer)
