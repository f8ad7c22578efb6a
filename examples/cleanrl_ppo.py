"""PPO in one file, as CleanRL would have it: of textgym it knows the import line, and gym.make_vec does the rest.

    python examples/cleanrl_ppo.py
    python examples/cleanrl_ppo.py --env TextMathTokens-v0 --env-kwargs '{"difficulty": 1, "dense": true}'
    python examples/cleanrl_ppo.py --env CartPole-v1 --eval-kwargs '{}' --env-kwargs \
        '{"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": "SameStep"}}'

Prints the training curve, then one JSON line with the greedy success (``info["is_success"]``) on problems that were
never trained on. Left out: continuous actions, action masks, recurrent networks.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from torch import Tensor, nn

import textgym  # noqa: F401


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="TextReverseTokens-v0")
    parser.add_argument(
        "--env-kwargs", type=json.loads, default={"min_length": 1, "max_length": 2, "dense": True, "layout": "slots"}
    )
    parser.add_argument("--eval-kwargs", type=json.loads, default={"split": "test"}, help="what evaluation changes")
    parser.add_argument("--eval-episodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--total-timesteps", type=int, default=150_000)
    parser.add_argument("--num-envs", type=int, default=32)
    parser.add_argument("--num-steps", type=int, default=32, help="of each env between two updates")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="falls to 0 on a line")
    parser.add_argument("--gamma", type=float, default=0.99)
    parser.add_argument("--gae-lambda", type=float, default=0.95)
    parser.add_argument("--update-epochs", type=int, default=4)
    parser.add_argument("--num-minibatches", type=int, default=4)
    parser.add_argument("--clip-coef", type=float, default=0.2)
    parser.add_argument("--ent-coef", type=float, default=0.01)
    parser.add_argument("--vf-coef", type=float, default=0.5)
    parser.add_argument("--max-grad-norm", type=float, default=0.5)
    return parser.parse_args()


def make_envs(args: argparse.Namespace, num_envs: int, **changes: Any) -> RecordEpisodeStatistics:
    envs = gym.make_vec(args.env, num_envs=num_envs, **args.env_kwargs, **changes)
    if envs.metadata["autoreset_mode"] != AutoresetMode.SAME_STEP:
        raise ValueError("collect() expects the observation after a reset in the step that ends an episode")
    return RecordEpisodeStatistics(envs, buffer_length=500)


class Agent(nn.Module):
    """A policy and a critic, apart; tokens and other small numbers of MultiDiscrete go in one-hot."""

    def __init__(self, envs: VectorEnv) -> None:
        super().__init__()
        space = envs.single_observation_space
        self.classes = int(space.nvec.max()) if isinstance(space, MultiDiscrete) else 0
        size = int(np.prod(space.shape)) * max(self.classes, 1)

        def network(outputs: int, scale: float) -> nn.Sequential:
            layers = [nn.Linear(size, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, outputs)]
            for layer in layers[::2]:
                nn.init.orthogonal_(layer.weight, scale if layer is layers[-1] else 2**0.5)
                nn.init.zeros_(layer.bias)
            return nn.Sequential(*layers)

        self.actor, self.critic = network(int(envs.single_action_space.n), 0.01), network(1, 1.0)

    def forward(self, observations: Tensor) -> tuple[torch.distributions.Categorical, Tensor]:
        inputs = nn.functional.one_hot(observations.long(), self.classes) if self.classes else observations
        inputs = inputs.flatten(1).float()
        return torch.distributions.Categorical(logits=self.actor(inputs)), self.critic(inputs).squeeze(-1)


@torch.no_grad()
def collect(
    envs: VectorEnv, agent: Agent, observation: Tensor, args: argparse.Namespace
) -> tuple[dict[str, Tensor], Tensor]:
    """Play ``num_steps`` in each env; return tensors (num_steps, num_envs, ...) and the observation to go on from."""
    steps: list[dict[str, Tensor]] = []
    for _ in range(args.num_steps):
        policy, value = agent(observation)
        action = policy.sample()
        following, reward, terminated, truncated, info = envs.step(action.numpy())
        reward, done = torch.as_tensor(reward).float(), torch.as_tensor(terminated | truncated)
        # An episode that was cut would have gone on: its last reward is followed by what the critic expects after its
        # last observation. What `following` holds there is the next episode's first.
        cut = np.flatnonzero(truncated & ~terminated)
        if len(cut):
            last = torch.as_tensor(np.stack([info["final_obs"][i] for i in cut]))
            reward[cut] += args.gamma * agent(last)[1]
        steps.append(
            {"observation": observation, "action": action, "logprob": policy.log_prob(action), "value": value}
            | {"reward": reward, "done": done}
        )
        observation = torch.as_tensor(following)
    batch = {name: torch.stack([step[name] for step in steps]) for name in steps[0]}
    next_value, advantage = agent(observation)[1], torch.zeros(envs.num_envs)
    batch["advantage"] = torch.zeros_like(batch["reward"])
    for t in reversed(range(args.num_steps)):
        goes_on = (~batch["done"][t]).float()
        delta = batch["reward"][t] + args.gamma * next_value * goes_on - batch["value"][t]
        advantage = delta + args.gamma * args.gae_lambda * goes_on * advantage
        batch["advantage"][t], next_value = advantage, batch["value"][t]
    batch["return"] = batch["advantage"] + batch["value"]
    return batch, observation


def update(agent: Agent, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor], args: argparse.Namespace) -> None:
    batch = {name: values.flatten(0, 1) for name, values in batch.items()}
    for _ in range(args.update_epochs):
        for rows in torch.randperm(len(batch["action"])).chunk(args.num_minibatches):
            policy, value = agent(batch["observation"][rows])
            ratio = (policy.log_prob(batch["action"][rows]) - batch["logprob"][rows]).exp()
            advantage = batch["advantage"][rows]
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
            policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
            value_loss = (value - batch["return"][rows]).square().mean() / 2
            loss = policy_loss + args.vf_coef * value_loss - args.ent_coef * policy.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
            optimizer.step()


@torch.no_grad()
def evaluate(agent: Agent, args: argparse.Namespace, **changes: Any) -> dict[str, float]:
    """Play greedily; the first ``eval_episodes`` to begin count, so that short ones are not preferred."""
    envs = make_envs(args, args.eval_episodes, **changes)
    observation, _ = envs.reset(seed=args.seed + 10_000)
    returns, successes = np.full(envs.num_envs, np.nan), np.zeros(envs.num_envs)
    while np.isnan(returns).any():
        action = agent(torch.as_tensor(observation))[0].logits.argmax(-1)
        observation, _, terminated, truncated, info = envs.step(action.numpy())
        first = (terminated | truncated) & np.isnan(returns)
        if first.any():
            returns[first] = info["episode"]["r"][first]
            successes[first] = info["final_info"].get("is_success", successes)[first]
    return {"return": round(float(returns.mean()), 3), "success": round(float(successes.mean()), 3)}


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)  # networks this small are slower on two
    torch.manual_seed(args.seed)
    envs = make_envs(args, args.num_envs)
    agent = Agent(envs)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    observation, began = torch.as_tensor(envs.reset(seed=args.seed)[0]), time.perf_counter()
    updates = max(1, args.total_timesteps // (args.num_envs * args.num_steps))
    for number in range(updates):
        optimizer.param_groups[0]["lr"] = args.learning_rate * (1 - number / updates)
        batch, observation = collect(envs, agent, observation, args)
        update(agent, optimizer, batch, args)
        if number % 20 == 19:
            steps = (number + 1) * args.num_envs * args.num_steps
            print(f"{steps:>9} steps  mean return {np.mean(envs.return_queue):.3f}", flush=True)
    result = {"example": "cleanrl_ppo", "env": args.env, "seed": args.seed}
    result |= {
        "total_timesteps": updates * args.num_envs * args.num_steps,
        "seconds": round(time.perf_counter() - began),
    }
    result |= evaluate(agent, args)
    if args.eval_kwargs:
        result |= {f"held_out_{name}": value for name, value in evaluate(agent, args, **args.eval_kwargs).items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
