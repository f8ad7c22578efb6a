"""PPO in one file, as CleanRL would have it: of textgym it knows the import line, and gym.make_vec does the rest.

    python examples/cleanrl_ppo.py

It learns to turn words of one or two letters around. In 100,000 steps, 20 seconds of one core, the mean return rises
from 0.02 to between 0.92 and 1 (five runs). Left out: continuous actions, action masks, recurrent networks.
"""

import argparse

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from torch import nn

import textgym  # noqa: F401

ENV = {"id": "TextReverseTokens-v0", "min_length": 1, "max_length": 2, "dense": True, "layout": "slots"}
NUM_ENVS, NUM_STEPS, EPOCHS, MINIBATCHES, LEARNING_RATE = 32, 32, 4, 4, 2e-3
GAMMA, LAMBDA, CLIP, VALUE_WEIGHT, ENTROPY_WEIGHT = 0.99, 0.95, 0.2, 0.5, 0.01


def network(envs, outputs):
    tokens, (window,) = int(envs.single_observation_space.nvec.max()), envs.single_observation_space.shape
    hidden = [nn.Linear(window * 32, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh()]
    return nn.Sequential(nn.Embedding(tokens, 32), nn.Flatten(), *hidden, nn.Linear(128, outputs))


@torch.no_grad()
def collect(envs, actor, critic, observation):
    """Play NUM_STEPS in each env; return the batch, and the observation to go on from."""
    steps = []
    for _ in range(NUM_STEPS):
        policy, value = torch.distributions.Categorical(logits=actor(observation)), critic(observation).squeeze(1)
        action = policy.sample()
        following, reward, terminated, truncated, info = envs.step(action.numpy())
        for i in np.flatnonzero(truncated & ~terminated):  # it would have gone on; `following` is the next episode's
            reward[i] += GAMMA * critic(torch.as_tensor(info["final_obs"][i])[None]).item()
        goes_on = torch.as_tensor(~(terminated | truncated))
        steps.append((observation, action, policy.log_prob(action), value, torch.as_tensor(reward).float(), goes_on))
        observation = torch.as_tensor(following)
    *seen_and_done, values, rewards, goes_on = map(torch.stack, zip(*steps, strict=True))
    advantages, advantage, next_value = torch.zeros_like(values), 0.0, critic(observation).squeeze(1)
    for t in reversed(range(NUM_STEPS)):
        delta = rewards[t] + GAMMA * goes_on[t] * next_value - values[t]
        advantages[t] = advantage = delta + GAMMA * LAMBDA * goes_on[t] * advantage
        next_value = values[t]
    return [each.flatten(0, 1) for each in (*seen_and_done, advantages, advantages + values)], observation


def train(envs, updates):
    actor, critic = network(envs, int(envs.single_action_space.n)), network(envs, 1)
    weights = [*actor.parameters(), *critic.parameters()]
    optimizer, observation = torch.optim.Adam(weights, LEARNING_RATE), torch.as_tensor(envs.reset(seed=0)[0])
    for number in range(1, updates + 1):
        batch, observation = collect(envs, actor, critic, observation)
        for rows in [rows for _ in range(EPOCHS) for rows in torch.randperm(len(batch[0])).chunk(MINIBATCHES)]:
            seen, action, old_logprob, advantage, target = (each[rows] for each in batch)
            policy = torch.distributions.Categorical(logits=actor(seen))
            ratio = (policy.log_prob(action) - old_logprob).exp()
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            policy_loss = -torch.min(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage).mean()
            value_loss = (critic(seen).squeeze(1) - target).square().mean() / 2
            optimizer.zero_grad()
            (policy_loss + VALUE_WEIGHT * value_loss - ENTROPY_WEIGHT * policy.entropy().mean()).backward()
            nn.utils.clip_grad_norm_(weights, 0.5)
            optimizer.step()
        if number % 10 == 0:
            print(f"{number * NUM_STEPS * envs.num_envs:>7} steps  mean return {np.mean(envs.return_queue):.3f}")
    return actor, critic


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=100)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # networks this small are slower on two
    train(RecordEpisodeStatistics(gym.make_vec(**ENV, num_envs=NUM_ENVS)), parser.parse_args().updates)
