"""RLAIF: a judge with a constitution compares the answers, in the place of rlhf.py's people; the rest is as there.

    python examples/rlaif.py                                                  # a judge by rules, offline
    python examples/rlaif.py --model SmolLM2-135M-Instruct.Q4_1.gguf          # any model that CausalLM.load takes
    python examples/rlaif.py --model NAME --url http://127.0.0.1:8000/v1      # a server with OpenAI's interface

The judge is asked about each pair in both orders. What it does not decide is left out, and the true reward of this
small world, gold, only says how often the judge is right, and what the policy is worth before and after.
"""

import argparse
import re
import tempfile

import gymnasium as gym
import torch
from warm_start import ENV, LENGTH, warm_start

from textgym.agents import GRPO, CausalLM, JudgeAnnotator, OracleAnnotator, RewardModel, sample_pairs
from textgym.agents.preferences import sample_answers
from textgym.envs.rewards import GoldReward
from textgym.envs.rewards.gold import ANIMALS, COLOURS
from textgym.envs.rewards.judge import Judge, LocalBackend, OpenAIBackend, RuleBackend

PRINCIPLES = (
    "Speak of the animal that was asked about, in its colour, and of no other.",
    "Be polite with one kind word; a second one is flattery.",
    "Say one or two things about the animal, for nobody asked for a list.",
)


def by_the_principles(question: str, response: str) -> int:
    """Stand in for a model: 10 points, less 5, 2 and 2 for the principles that are not kept."""
    asked, said = ([word for word in re.findall(r"\w+", text.lower())] for text in (question, response))
    subjects = [{*COLOURS, *ANIMALS}.intersection(text) for text in (asked, said)]
    kind_words = sum(word in ("gladly", "pleasure", "welcome", "please") for word in said)
    return 10 - 5 * (subjects[0] != subjects[1]) - 2 * (kind_words != 1) - 2 * (said.count("and") > 1)


def gold_of(policy: CausalLM) -> str:
    """Say what 500 answers to held-out requests are worth."""
    score = GoldReward()(*sample_answers(policy, ENV, 500, seed=1, split="test", **LENGTH))
    return f"gold {score.total.mean():.2f}, success {score.success.mean():.2f}"


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", help="of the judge; default: rules that follow the principles")
parser.add_argument("--url", help="of a server that has the model")
parser.add_argument("--pairs", type=int, default=1000)
parser.add_argument("--updates", type=int, default=60)
parser.add_argument("--warm-updates", type=int, default=400)
args = parser.parse_args()
torch.set_num_threads(1)  # the models are too small to share out
if args.url:
    backend = OpenAIBackend(args.model, base_url=args.url)
else:
    backend = LocalBackend(args.model, choose=True) if args.model else RuleBackend(by_the_principles)
policy = warm_start(args.warm_updates)
pairs = sample_pairs(policy, ENV, args.pairs, **LENGTH)
said = JudgeAnnotator(Judge(PRINCIPLES, "pairwise", backend=backend))(pairs)
both = [(one, other) for one, other in zip(said, OracleAnnotator(GoldReward())(pairs), strict=True) if one and other]
preferences = [preference for preference in said if preference]
print(f"the judge decides {len(preferences)} of {len(pairs)} pairs", end="")
if len(preferences) < 20:
    raise SystemExit(": too few to learn from")
print(f", and agrees with gold in {sum(one == other for one, other in both)} of {len(both)}")
with tempfile.TemporaryDirectory() as folder:
    policy.save(folder)
    reward = RewardModel.load(folder)
print(f"the reward model agrees with the judge: {reward.fit(preferences, epochs=3, learning_rate=1e-3).accuracy:.2f}")
reward.normalise(*sample_answers(policy, ENV, 512, 100, **LENGTH))
print(f"before: {gold_of(policy)}")
settings = {"prompts_per_update": 32, "group_size": 4, "kl_coef": 0.2, "learning_rate": 5e-4}
GRPO(policy, gym.make(ENV, reward=reward), **settings, **LENGTH).learn(args.updates * 128, progress_bar=True)
print(f"after:  {gold_of(policy)}")
