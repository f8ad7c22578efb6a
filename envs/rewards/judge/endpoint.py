"""``OpenAIBackend``: a model behind a server with OpenAI's interface.

The client of the extra ``[judge]`` asks again after a rate limit (for as long as ``Retry-After`` says), a server's
error or a lost connection, each time later, up to 8 s. What it does not do stands here: one limit of time for all of
that, and one of size for whatever the server sends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from textgym.envs.rewards.judge.backend import Refusal, Reply

MAX_BYTES = 2**20
"""The longest answer of a server that is read."""
_MODEL = "TEXTGYM_JUDGE_MODEL"


class OpenAIBackend:
    """Asks a model for one completion, at temperature 0.

    ``OPENAI_API_KEY`` is the key, if the server needs one; it is sent to ``base_url`` alone, and appears in no
    message. A call opens a connection of its own, and so may be made in any thread and in a forked process.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        max_tokens: int = 512,
        time_limit: float = 60.0,
        retries: int = 4,
        prices: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Take the server's address and the model's name; nothing is sent yet.

        Args:
            model: its name on the server; None takes the environment variable ``TEXTGYM_JUDGE_MODEL``.
            base_url: such as "http://127.0.0.1:8000/v1"; None takes ``OPENAI_BASE_URL``, or else OpenAI's.
            max_tokens: the longest reply.
            time_limit: seconds for one call, all its retries included.
            retries: how often a call is tried again.
            prices: of a million prompt tokens and a million completion tokens, for ``Reply.cost``.

        Raises:
            ValueError: if no model is named, the address is none, or a limit is out of range.
        """
        model = model or os.environ.get(_MODEL)
        if not model:
            raise ValueError(f"no model: name it, or set {_MODEL}")
        if max_tokens < 1 or not 0 < time_limit < float("inf") or retries < 0:
            raise ValueError(
                f"max_tokens >= 1, time_limit > 0 and retries >= 0, got {max_tokens}, {time_limit}, {retries}"
            )
        self.model = model
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        if not _is_address(self.base_url):
            raise ValueError(f"base_url must be like 'http://127.0.0.1:8000/v1', got {self.base_url!r}")
        self.max_tokens = max_tokens
        self.time_limit = time_limit
        self.retries = retries
        self.prices = prices

    @property
    def name(self) -> str:
        """What replies depend on."""
        return f"{self.base_url} {self.model} max_tokens={self.max_tokens} temperature=0"

    def __call__(self, prompt: str, /) -> Reply:
        """Return the reply.

        Raises:
            ConnectionError: if there is no server, also where ``time_limit`` is over before all retries are made.
            TimeoutError: if ``time_limit`` is over.
            Refusal: if the server's filter or the model says that it refuses.
            RuntimeError: if the server fails, or sends what is no completion, or one that was cut.
            ImportError: without the extra ``textgym[judge]``.
        """
        try:
            import openai
        except ImportError as error:
            raise ImportError("a judge on a server needs 'pip install textgym[judge]'") from error
        unreached: list[Exception] = []
        try:
            completion = asyncio.run(asyncio.wait_for(self._ask(prompt, unreached), self.time_limit))
        except (asyncio.TimeoutError, openai.APIConnectionError) as error:
            if unreached:
                why = _root(unreached[0])
                raise ConnectionError(f"{self.model}: no connection to {self.base_url} ({why})") from None
            if isinstance(error, (asyncio.TimeoutError, openai.APITimeoutError)):
                raise TimeoutError(f"{self.model} did not answer within {self.time_limit:g} s") from None
            raise RuntimeError(f"{self.model}: no answer from the server ({error.__cause__!r})") from None
        except openai.APIStatusError as error:  # its text may show a part of the key
            raise RuntimeError(f"{self.model}: the server answered with status {error.status_code}") from None
        return self._read(completion)

    async def _ask(self, prompt: str, unreached: list[Exception]) -> Any:
        """Return the completion; ``unreached`` holds why there is no server, where the last try found none."""
        import httpx2
        import openai

        class Client(httpx2.AsyncClient):
            async def send(self, *args: Any, **kwargs: Any) -> httpx2.Response:
                unreached.clear()
                try:
                    return await super().send(*args, **kwargs)
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                    unreached.append(error)
                    raise

        patience = httpx2.Timeout(self.time_limit, connect=min(5.0, self.time_limit / 2))
        http = Client(timeout=patience, event_hooks={"response": [_bound]})
        async with openai.AsyncOpenAI(
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            base_url=self.base_url,
            max_retries=self.retries,
            http_client=http,
        ) as client:
            return await client.chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": prompt}],
                max_tokens=self.max_tokens,
                temperature=0.0,
                extra_headers={"Accept-Encoding": "identity"},
            )

    def _read(self, completion: Any) -> Reply:
        """Return what a completion says; the client does not check what the server sends."""
        try:
            choice = completion.choices[0]
            text, refusal, reason = choice.message.content, choice.message.refusal, choice.finish_reason
        except (AttributeError, IndexError, KeyError, TypeError):
            raise RuntimeError(f"{self.model}: the server sent no chat completion") from None
        if refusal or reason == "content_filter":
            raise Refusal(f"{self.model} refused")
        if reason == "length":
            raise RuntimeError(f"{self.model}: the reply was cut after {self.max_tokens} tokens")
        if not isinstance(text, str):
            raise RuntimeError(f"{self.model}: the server sent no text")
        usage = getattr(completion, "usage", None)
        tokens = [_count(getattr(usage, name, 0)) for name in ("prompt_tokens", "completion_tokens")]
        cost = sum(price * count / 1e6 for price, count in zip(self.prices, tokens, strict=True))
        return Reply(text, tokens[0], tokens[1], cost)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number, or half an IPv6 address
        return False


def _root(error: BaseException) -> BaseException:
    """Return what the system said, below what the libraries made of it."""
    while below := error.__cause__ or error.__context__:
        error = below
    return error


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 10**9 else 0


async def _bound(response: Any) -> None:
    """Refuse what is compressed, and cut the connection after ``MAX_BYTES``."""
    import httpx2

    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("the answer is compressed, which nobody asked for")
    stream = response.stream

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in stream:
                if (size := size + len(chunk)) > MAX_BYTES:
                    raise httpx2.DecodingError(f"the answer has more than {MAX_BYTES} bytes")
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Bounded()
