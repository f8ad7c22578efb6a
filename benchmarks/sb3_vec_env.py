"""Steps a second of stable-baselines3's agents over our VecEnv beside the same agents over DummyVecEnv, in one process.

    python benchmarks/sb3_vec_env.py
    python benchmarks/sb3_vec_env.py --env TextReverseTokens-v0 --dense --no-one-hot

Ours gives one-hot observations, which SB3 otherwise makes of token ids each time that its network sees them: the inputs
of the network are the same. Stock hyperparameters, but for PPO's n_steps (32: with 64 envs a rollout is 2048 steps, as
it is with one env by default) and the size of DQN's buffer, which fits into memory with long windows as well; "PPO, one
batch" learns from a whole rollout at once, where the default is 32 minibatches. Both agents of a pair draw the same
random numbers, so that they play the same episodes and end with the same weights.

"learn" is all of it; "rollout" leaves out the gradient steps; "step" is the envs alone, with random actions. "ratio" is
how many times as fast ours is, "bound" what it would be if our envs, and SB3's monitor on them, took no time at all:
the seconds over DummyVecEnv by what else the run over ours took. Seconds are this process's CPU time, on one thread,
medians of rounds that take turns: a busy machine distorts them less. Prints one JSON line for each env.
"""

from __future__ import annotations

import argparse
import json
import platform
import time

import numpy as np
import torch
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common import env_util
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnvWrapper

from textgym.agents.sb3 import make_vec_env

NUM_ENVS = 64
ENVS = [
    ("TextReverseTokens-v0", True),
    ("TextReverseTokens-v0", False),
    ("TextCopyTokens-v0", False),
    ("TextMathTokens-v0", False),
    ("TextSortTokens-v0", False),
    ("TextSudokuTokens-v0", False),
    ("TextMazeTokens-v0", False),
]  # and whether each token is paid for
AGENTS = {
    "PPO": (PPO, {"n_steps": 32}, 32),
    "PPO, one batch": (PPO, {"n_steps": 32, "batch_size": 32 * NUM_ENVS}, 32),
    "A2C": (A2C, {}, 50),
    "DQN": (DQN, {"buffer_size": 20_000}, 40),
}  # class, hyperparameters, steps of each env in a measurement


class StepTime(VecEnvWrapper):
    """Adds up the seconds that the envs take."""

    seconds = 0.0

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        began = time.process_time()
        result = self.venv.step_wait()
        self.seconds += time.process_time() - began
        return result


class RolloutTime(BaseCallback):
    """Adds up the seconds of the rollouts."""

    seconds = 0.0

    def _on_rollout_start(self) -> None:
        self.began = time.process_time()

    def _on_rollout_end(self) -> None:
        self.seconds += time.process_time() - self.began

    def _on_step(self) -> bool:
        return True


def learn(model, steps: int, seed: int) -> dict[str, float]:
    """Seconds for ``steps`` more steps of each env."""
    model.set_random_seed(seed)
    callback, env = RolloutTime(), model.get_env()
    env.seconds, began = 0.0, time.process_time()
    model.learn(steps * NUM_ENVS, callback=callback, reset_num_timesteps=False)
    return {"learn": time.process_time() - began, "rollout": callback.seconds, "env": env.seconds}


def step(env, actions: np.ndarray) -> float:
    """Seconds to step through the actions."""
    env.reset()
    began = time.process_time()
    for row in actions:
        env.step(row)
    return time.process_time() - began


def summary(steps: int, ours: list[float], theirs: list[float], env: list[float] | None = None) -> dict[str, float]:
    """Rates and how they compare; ``env`` is what our envs took of ``ours``."""
    fast, slow = np.median(ours), np.median(theirs)
    rates = {"fps": round(steps * NUM_ENVS / fast), "dummy_fps": round(steps * NUM_ENVS / slow)}
    bound = {} if env is None else {"bound": round(slow / np.median(np.subtract(ours, env)), 2)}
    return rates | {"ratio": round(slow / fast, 2)} | bound


def measure(env_id: str, dense: bool, one_hot: bool, rounds: int) -> dict[str, object]:
    """Return the JSON line of an env."""
    settings = {"dense": True} if dense else {}
    make_envs = {
        "ours": lambda: make_vec_env(env_id, NUM_ENVS, one_hot=one_hot, **settings),
        # without a render mode SB3 asks for "rgb_array", which text does not have
        "dummy": lambda: env_util.make_vec_env(env_id, NUM_ENVS, env_kwargs={"render_mode": None, **settings}),
    }
    result: dict[str, object] = {"benchmark": "sb3_vec_env", "env": env_id, **settings, "one_hot": one_hot}
    result |= {"num_envs": NUM_ENVS, "machine": platform.machine()}

    envs = {name: make() for name, make in make_envs.items()}
    actions = np.random.default_rng(0).integers(0, envs["ours"].action_space.n, (50, NUM_ENVS))
    seconds = [{name: step(env, actions) for name, env in envs.items()} for _ in range(rounds)]
    result["step"] = summary(len(actions), *([measured[name] for measured in seconds] for name in envs))

    for label, (agent, hyperparameters, steps) in AGENTS.items():
        models = {
            name: agent("MlpPolicy", StepTime(make()), seed=0, device="cpu", **hyperparameters)
            for name, make in make_envs.items()
        }
        measured = []
        for seed in range(rounds + 1):  # side by side, and the first round is a warm-up
            measured.append({name: learn(model, steps, seed) for name, model in models.items()})
        ours, theirs = ([both[name] for both in measured[1:]] for name in models)
        result[label] = {
            part: summary(
                steps,
                [times[part] for times in ours],
                [times[part] for times in theirs],
                [times["env"] for times in ours],
            )
            for part in ("learn", "rollout")
        }
        weights = [torch.nn.utils.parameters_to_vector(model.policy.parameters()) for model in models.values()]
        assert torch.equal(*weights), f"{label} learnt differently over the two"
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", help="this one alone, not all")
    parser.add_argument("--dense", action="store_true", help="with --env: pay for each token")
    parser.add_argument("--one-hot", action=argparse.BooleanOptionalAction, default=True, help="what ours shows")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)  # an MLP this small is slower on two
    for env_id, dense in [(args.env, args.dense)] if args.env else ENVS:
        print(json.dumps(measure(env_id, dense, args.one_hot, args.rounds)), flush=True)


if __name__ == "__main__":
    main()
