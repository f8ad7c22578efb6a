"""``UnicodeText``: the space of every string up to a length, for observations and actions that are text."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
from gymnasium.error import CustomSpaceError
from gymnasium.spaces import Text
from gymnasium.vector.utils import create_shared_memory

_SAMPLE_CHARS = string.digits + string.ascii_letters + string.punctuation + " "
_SAMPLE_LENGTH = 32


class UnicodeText(Text):
    """Every string of at most ``max_length`` code points, empty and non-ASCII ones included.

    ``gymnasium.spaces.Text`` allows only the characters it is given, 62 by default; language has more. ``sample``
    draws printable ASCII of 0 to 32 characters.
    """

    def __init__(self, max_length: int, *, seed: int | np.random.Generator | None = None) -> None:
        """Make the space; ``max_length`` is counted in code points."""
        super().__init__(max_length, min_length=0, charset=_SAMPLE_CHARS, seed=seed)
        self._shape, self.dtype = (), np.dtype(object)  # n texts are an object array (n,): SB3's DummyVecEnv makes one

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Return a short random string; a mask or probability works as in ``Text``."""
        if mask is None and probability is None:
            mask = (int(self.np_random.integers(min(_SAMPLE_LENGTH, self.max_length) + 1)), None)
        return super().sample(mask, probability)

    def contains(self, x: Any) -> bool:
        """Return whether ``x`` is a string that is short enough."""
        return isinstance(x, str) and len(x) <= self.max_length

    @property
    def is_np_flattenable(self) -> bool:
        """False: there is no fixed-size array for text of any alphabet."""
        return False

    def __repr__(self) -> str:
        """Return the constructor call."""
        return f"UnicodeText({self.max_length})"

    def __eq__(self, other: object, /) -> bool:
        """Return whether the other space allows the same strings."""
        return isinstance(other, UnicodeText) and self.max_length == other.max_length


@create_shared_memory.register(UnicodeText)
def _no_shared_memory(space: UnicodeText, n: int = 1, ctx: Any = None) -> Any:
    # Gymnasium 1.4 writes text into shared memory by its index in the charset and so corrupts it without a word.
    raise CustomSpaceError("text does not fit into shared memory: use AsyncVectorEnv(..., shared_memory=False)")
