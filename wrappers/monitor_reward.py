"""``MonitorReward``: beside the reward, what could show that it is being hacked. One for an env, one for a vector env.

The reward itself is not changed. What is watched stands in ``info`` at the end of each episode:

- ``monitor/gold``: what another reward, which is not optimised, pays for the response; NaN if it could not say.
- ``monitor/words``: its length.
- ``monitor/distinct_1``, ``monitor/distinct_2``: the share of its words, and of its pairs of words, that are distinct.
- ``monitor/repetition``: the share of its runs of three words that have come before in it.
- ``monitor/identical``, of a vector env: the share of the other responses that ended in this step and are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from numpy.typing import NDArray

from textgym.envs.rewards._prose import distinct_n, words
from textgym.envs.task import Problem, Reward, check_ready, check_reward, score_batch
from textgym.envs.text_env import TextEnv
from textgym.envs.token_env import TokenEnv

FloatArray = NDArray[np.float64]


class MonitorReward(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Adds the monitors to the last ``info`` of an episode; one that a time limit cut has none.

    In a game, the last response is watched. The agents of textgym log the means of each update, and take an env that is
    wrapped so: ``PPO("tiny", MonitorReward(gym.make("TextRLHF-v0", reward=model), gold=GoldReward()))``.

    Example:
        >>> from textgym.envs.rewards import GoldReward
        >>> env = MonitorReward(gym.make("TextRLHF-v0"), gold=GoldReward())
        >>> _ = env.reset(seed=0)
        >>> *_, info = env.step("Gladly gladly gladly gladly.")
        >>> info["monitor/words"], info["monitor/distinct_1"], info["monitor/repetition"], info["monitor/gold"]
        (4.0, 0.25, 0.5, 0.0)
    """

    def __init__(self, env: gym.Env[Any, Any], gold: Reward | None = None) -> None:
        """Watch ``env``, and with ``gold`` what that reward would have paid.

        Raises:
            TypeError: if the env is not one of text inside, or ``gold`` is no reward.
            ValueError: if ``gold`` cannot judge yet.
        """
        _check_gold(gold)
        gym.utils.RecordConstructorArgs.__init__(self, gold=gold)
        gym.Wrapper.__init__(self, env)
        self.gold = gold
        inner = env.unwrapped
        text_env = inner.text_env if isinstance(inner, TokenEnv) else inner
        if not isinstance(text_env, TextEnv):
            raise TypeError(f"only an env of text can be watched, and {env} is none inside")
        self._text_env = text_env

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and watch the last response."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if "response" in info:
            assert self._text_env.problem is not None
            watched = watch([self._text_env.problem], [info["response"]], self.gold)
            info = info | {f"monitor/{name}": float(values[0]) for name, values in watched.items()}
        return observation, reward, terminated, truncated, info


class VectorMonitorReward(VectorWrapper[Any, Any, Any, Any, Any]):
    """``MonitorReward`` of a ``TextVectorEnv`` or ``TokenVectorEnv``: the gold reward is called once a step.

    The monitors are float64 (num_envs,) beside ``response``: in ``infos["final_info"]`` with autoreset, else in
    ``infos``.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], gold: Reward | None = None) -> None:
        """Watch ``env``; see ``MonitorReward``."""
        _check_gold(gold)
        super().__init__(env)
        if not hasattr(env.unwrapped, "envs") or not all(isinstance(e, TextEnv) for e in env.unwrapped.envs):
            raise TypeError(f"only a vector env of text can be watched, and {env} is none inside")
        self.gold = gold

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step, and watch the responses that ended."""
        problems = [env.problem for env in self.env.unwrapped.envs]  # type: ignore[attr-defined]
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        return observations, rewards, terminations, truncations, self._watched(problems, infos)

    def action_masks(self) -> NDArray[np.int8]:
        """Return the env's masks, int8 (num_envs, n)."""
        return self.env.action_masks()  # type: ignore[attr-defined, no-any-return]

    def _watched(self, problems: Sequence[Problem], infos: dict[str, Any]) -> dict[str, Any]:
        finals = infos.get("final_info", infos)
        if "response" not in finals:
            return infos
        ended = finals["_response"]
        rows = np.flatnonzero(ended).tolist()
        responses = [finals["response"][row] for row in rows]
        watched = watch([problems[row] for row in rows], responses, self.gold)
        watched["identical"] = _identical(responses)
        columns: dict[str, Any] = {}
        for name, values in watched.items():
            columns[f"monitor/{name}"] = np.zeros(self.num_envs)
            columns[f"monitor/{name}"][rows] = values
            columns[f"_monitor/{name}"] = ended.copy()
        return infos | ({"final_info": finals | columns} if "final_info" in infos else columns)


def watch(problems: Sequence[Problem], responses: Sequence[str], gold: Reward | None = None) -> dict[str, FloatArray]:
    """Return the monitors of n responses by name, float64 (n,) each; ``gold`` only if there is one."""
    said = [words(response) for response in responses]
    monitors = {
        "words": np.array([len(items) for items in said], np.float64),
        "distinct_1": np.array([distinct_n(items, 1) for items in said]),
        "distinct_2": np.array([distinct_n(items, 2) for items in said]),
        "repetition": np.array([1 - distinct_n(items, 3) for items in said]),
    }
    return monitors if gold is None else {"gold": score_batch(gold, problems, responses).total, **monitors}


def _check_gold(gold: Reward | None) -> None:
    if gold is not None:
        check_reward(gold, "gold")
        check_ready(gold)


def _identical(responses: Sequence[str]) -> FloatArray:
    """Return for each of n responses the share of the n - 1 others that equal it, 0 if there is no other."""
    counts = Counter(responses)
    return np.array([(counts[response] - 1) / max(len(responses) - 1, 1) for response in responses], np.float64)
