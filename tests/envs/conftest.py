"""What the tests of the environments share: every registered id, an episode played, and infos compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import textgym  # noqa: F401  (registers the ids)
from textgym.envs import Problem, Score, TextEnv, TokenEnv

IDS = sorted(env_id for env_id in gym.registry if env_id.startswith("Text"))
PARAMETERS = {
    "env_id": IDS,
    "text_id": [env_id for env_id in IDS if "Tokens" not in env_id],
    "tokens_id": [env_id for env_id in IDS if "Tokens" in env_id],
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``env_id``, ``text_id`` or ``tokens_id`` for each such id."""
    for name in PARAMETERS.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(name, PARAMETERS[name])


@pytest.fixture(scope="session")
def text_env_of() -> Callable[[gym.Env], TextEnv]:
    """The text env inside an env of either level."""
    return lambda env: env.unwrapped.text_env if isinstance(env.unwrapped, TokenEnv) else env.unwrapped


@pytest.fixture(scope="session")
def play(text_env_of) -> Callable[..., tuple[float, dict[str, Any]]]:
    """Play an episode that ``reset`` has begun; ``respond`` is a text or a function of the text env."""

    def play(env: gym.Env, respond: str | Callable[[TextEnv], str]) -> tuple[float, dict[str, Any]]:
        text_env = text_env_of(env)
        total = 0.0
        while True:
            actions = [respond if isinstance(respond, str) else respond(text_env)]
            if isinstance(env.unwrapped, TokenEnv):
                tokenizer = env.unwrapped.tokenizer
                actions = [*tokenizer.encode_response(actions[0]), tokenizer.stop_id][: env.unwrapped.max_tokens]
            for action in actions:
                _, reward, terminated, truncated, info = env.step(action)
                assert type(reward) is float and type(terminated) is bool and type(truncated) is bool
                total += reward
                if terminated or truncated:
                    return total, info

    return play


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Any, Any], None]:
    """Compare what two vector envs return: arrays with their dtypes, and infos where their masks say so."""

    def same(ours: Any, theirs: Any, path: str = "") -> None:
        if isinstance(theirs, Mapping):
            assert isinstance(ours, Mapping) and set(ours) == set(theirs), path
            for key, value in theirs.items():
                rows = theirs.get(f"_{key}")
                if isinstance(rows, np.ndarray) and isinstance(value, np.ndarray):
                    assert ours[key].dtype == value.dtype, f"{path}/{key}"
                    same(ours[key][rows], value[rows], f"{path}/{key}")
                else:
                    same(ours[key], value, f"{path}/{key}")
        elif isinstance(theirs, np.ndarray) and theirs.dtype != object:
            assert ours.dtype == theirs.dtype, path
            np.testing.assert_array_equal(ours, theirs, err_msg=path)
        elif isinstance(theirs, np.ndarray | list | tuple):
            assert len(ours) == len(theirs), path
            for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
                same(our, their, f"{path}[{i}]")
        else:
            assert type(ours) is type(theirs) and ours == theirs, path

    return same


class Moody:
    """Pays 1 for any response, but raises on a batch with "boom", and times out on "late"."""

    range = (0.0, 1.0)

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the scores, with a part called "length"."""
        if "boom" in responses:
            raise ZeroDivisionError("boom")
        late = np.array([response == "late" for response in responses])
        status = ["timeout" if is_late else "ok" for is_late in late]
        lengths = np.array([float(len(response)) for response in responses])
        return Score(np.where(late, np.nan, 1.0), ~late, {"length": lengths}, status)


@pytest.fixture
def moody() -> Moody:
    """A reward that fails on some responses."""
    return Moody()
