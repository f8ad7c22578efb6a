"""SFT and RL take one model to the same success on two-digit sums. What else can it do then?

    python examples/sft_vs_rl.py        # some five minutes on one core; docs/sft_vs_rl.md has five seeds

The question of "SFT memorizes, RL generalizes" (Chu et al., arXiv 2501.17161). The start is the tiny model after some
perfect answers to several kinds of problems. Then SFT, on perfect answers, and GRPO, on rewards for its own, meet
two-digit sums alone, until 85 % of held-out ones are right, and are asked everything.
"""

import argparse
import copy

import gymnasium as gym
import torch

import textgym
from textgym.agents import GRPO, SFT, CausalLM
from textgym.agents.rollout import collect
from textgym.envs.rewards import MathVerifier

ENV, WORDS = "TextMath-v0", {"template": "How much is {expression}?"}
KINDS = {  # of problems: how many the start learns from, and the settings of the env
    "sums": (1_000, {}),  # of two digits, "What is 51 + 75?": what SFT and GRPO are trained on
    "sums, other words": (1_000, WORDS),
    "differences": (6_000, {"operators": "-"}),
    "three digits": (8_000, {"digits": 3}),
    "differences, other words": (0, {"operators": "-"} | WORDS),  # new, of parts that are not
    "three digits, other words": (0, {"digits": 3} | WORDS),
}
AGENTS = {"SFT": (SFT, {"batch_size": 64}), "GRPO": (GRPO, {"prompts_per_update": 64, "group_size": 4})}


def make_start(seed: int, updates: int) -> CausalLM:
    """Teach the tiny model a mixture of kinds."""
    rows = []
    for share, settings in KINDS.values():
        env = gym.make(ENV, **settings)
        for i in range(share):
            prompt, _ = env.reset(seed=None if i else seed)
            rows.append({"prompt": prompt, "answer": env.unwrapped.solution(), "split": "train"})
    policy, env = CausalLM.load("tiny", device="cpu"), textgym.make_env(rows, MathVerifier())
    SFT(policy, env, batch_size=64, learning_rate=1e-3, lr_schedule="linear", seed=seed).learn(64 * updates)
    return policy


def success(policy: CausalLM, problems: range, **settings) -> float:
    """Greedy success on some of the held-out problems."""
    env = gym.make_vec(ENV, num_envs=len(problems), autoreset_mode="Disabled", **settings)
    held_out = {"problem": problems, "split": "test"}
    return float(collect(policy, env, max_new_tokens=8, temperature=0.0, options=held_out).successes.float().mean())


def train(start: CausalLM, name: str, learning_rate: float, target: float, problems: range, limit: int, seed: int):
    """Train a copy until so many of these sums are right, looked at every 5 updates, or for ``limit`` updates."""
    agent_class, settings = AGENTS[name]
    agent = agent_class(copy.deepcopy(start), ENV, max_new_tokens=8, learning_rate=learning_rate, seed=seed, **settings)

    def goes_on(*_) -> bool:
        return agent.num_updates % 5 > 0 or success(agent.policy, problems) < target

    return agent.learn(limit * agent.episodes_per_update, callback=goes_on)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start-updates", type=int, default=800)
    parser.add_argument("--limit", type=int, default=600, help="updates, if 85 %% are not reached")
    parser.add_argument("--problems", type=int, default=400, help="held-out ones to stop by; as many others are shown")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small to share out
    policies = {"start": make_start(args.seed, args.start_updates)}
    for name in AGENTS:
        agent = train(policies["start"], name, 4e-4, 0.85, range(args.problems), args.limit, args.seed)
        policies[name] = agent.policy
        print(f"{name}: {agent.num_updates} updates, {agent.num_timesteps} answers")
    for kind, (_, settings) in KINDS.items():
        shown = range(args.problems, 2 * args.problems)
        print(f"{kind:26}", *(f"  {name} {success(policies[name], shown, **settings):.3f}" for name in policies))
