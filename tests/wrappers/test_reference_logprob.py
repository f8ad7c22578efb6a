"""``ReferenceLogProb``: what it pays, and that its optimum is the Gibbs policy."""

from __future__ import annotations

import dataclasses
import itertools
import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit
from gymnasium.wrappers.vector import RecordEpisodeStatistics as VectorRecordEpisodeStatistics

import textgym  # noqa: F401  (registers the ids)
from textgym.agents.policy import CausalLM
from textgym.agents.rollout import collect
from textgym.agents.sampling import pad_left
from textgym.envs import Problem, Score, TextEnv, TokenEnv, TokenVectorEnv
from textgym.envs.tokenizers import CharTokenizer
from textgym.wrappers import RecordTranscripts, ReferenceLogProb, VectorReferenceLogProb

BETA = 0.1


@pytest.fixture(scope="module")
def tiny():
    return CausalLM.load("tiny", device="cpu", dtype="float64")  # an episode of -30 has errors of 1e-5 in float32


def naive_logprob(policy, context, response):
    """The sum of log p(token | what precedes it), computed at once and without a cache."""
    ids, mask = pad_left([context], policy.tokenizer.pad_id, policy.device)
    with torch.no_grad():
        return float(policy.logprobs(ids, mask, torch.tensor([response]))[0].double().sum())


def random_response(rng, policy, text_env, max_tokens):
    """Tokens of a perfect response, cut or with some exchanged, up to the limit or the stop token."""
    tokens = [*policy.tokenizer.encode_response(text_env.solution()), policy.tokenizer.stop_id]
    kind = rng.integers(4)
    if kind == 1:
        tokens = [*tokens[: rng.integers(len(tokens))], policy.tokenizer.stop_id]
    elif kind >= 2:
        allowed = np.flatnonzero(policy.tokenizer.action_mask)
        tokens = (
            rng.choice(allowed, max_tokens).tolist() if kind == 2 else tokens[:-1] + rng.choice(allowed, 20).tolist()
        )
    stop = tokens.index(policy.tokenizer.stop_id) if policy.tokenizer.stop_id in tokens else max_tokens
    return tokens[: min(stop + 1, max_tokens)]


class Referee:
    """Sequence-level envs and the naive log-probability: what an episode should be worth."""

    def __init__(self, policy, env_id, seeds, **settings):
        self.policy = policy
        self.envs = [gym.make(env_id, **settings) for _ in seeds]
        for env, seed in zip(self.envs, seeds, strict=True):
            env.reset(seed=seed)

    def begin(self, row):
        self.envs[row].reset()

    def judge(self, row, turns):
        """Return the reward and the log-probability of an episode played with these responses, token lists."""
        encode = self.policy.tokenizer
        messages = self.envs[row].unwrapped.messages
        context = encode.encode_prompt(messages[0]["content"])
        total, logprob = 0.0, 0.0
        for response in turns:
            logprob += naive_logprob(self.policy, context, response)
            message, reward, ended, _, _ = self.envs[row].step(encode.decode(response))
            total += reward
            context = context + response + encode.encode_reply(message, stopped=response[-1] == encode.stop_id)
        assert ended
        return total, logprob


ENVS = {
    "math": ("TextMath-v0", {"difficulty": 1}),
    "dense": ("TextMath-v0", {"difficulty": 2, "dense": True}),
    "game": ("TextGuessNumber-v0", {"high": 9, "template": "{high}?"}),
}


@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
@pytest.mark.parametrize("kind", ENVS)
def test_episode_rewards_are_those_of_the_sequence_level_plus_the_term(kind, mode, tiny):
    env_id, settings = ENVS[kind]
    num_envs, max_tokens, episodes = 4, 6, 10
    token_settings = {"level": "token", "tokenizer": tiny.tokenizer, "max_tokens": max_tokens}
    base = gym.make_vec(env_id, num_envs, autoreset_mode=mode, **settings, **token_settings)
    env = VectorRecordEpisodeStatistics(VectorReferenceLogProb(base, tiny, BETA))
    referee = Referee(tiny, env_id, range(num_envs), **settings)
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    turns = [[] for _ in range(num_envs)]
    pending = [[] for _ in range(num_envs)]
    returns, parts = np.zeros(num_envs), np.zeros((num_envs, 2))
    over = np.zeros(num_envs, bool)
    judged = 0
    while judged < episodes:
        for row in np.flatnonzero(~over):
            if not pending[row]:
                turns[row].append(random_response(rng, tiny, base.envs[row], max_tokens))
                pending[row] = list(turns[row][-1])
        tokens = np.array([pending[row].pop(0) if not over[row] else 0 for row in range(num_envs)])
        _, rewards, terminations, truncations, infos = env.step(tokens)
        assert not rewards[over].any() and infos["_reward/task"].tolist() == (~over).tolist()
        returns += rewards
        parts += np.stack([infos["reward/task"], infos["reward/reference_logprob"]], 1)
        for row in np.flatnonzero(terminations & ~over):
            task, logprob = referee.judge(row, turns[row])
            assert returns[row] == pytest.approx(task + BETA * logprob, abs=1e-6)
            assert parts[row] == pytest.approx([task, BETA * logprob], abs=1e-6)
            if mode == "SameStep":
                final = infos["final_info"]
                assert final["_reward/task"][row] and final["reward/task"][row] == infos["reward/task"][row]
            statistics = infos["episode"]["r"][row]
            assert statistics == pytest.approx(returns[row])
            judged += 1
            turns[row], pending[row], returns[row], parts[row] = [], [], 0.0, 0.0
        if mode == "SameStep":
            begun = terminations
        else:
            over = terminations | truncations
            begun = over & (rng.random(num_envs) < 0.5)  # the others wait
            if over.all() and not begun.any():
                begun = over.copy()
            if begun.any():
                env.reset(options={"reset_mask": begun})
                over &= ~begun
        for row in np.flatnonzero(begun):
            referee.begin(row)


@pytest.mark.parametrize("kind", ENVS)
def test_a_single_env_in_every_wrapper_pays_the_same(kind, tiny, tmp_path):
    env_id, settings = ENVS[kind]
    base = gym.make(env_id, level="token", tokenizer=tiny.tokenizer, max_tokens=6, **settings)
    env = ReferenceLogProb(RecordTranscripts(base, tmp_path / "inside.jsonl"), tiny, BETA)
    env = RecordEpisodeStatistics(RecordTranscripts(TimeLimit(env, 100), tmp_path / "outside.jsonl"))
    referee = Referee(tiny, env_id, [0], **settings)
    rng = np.random.default_rng(1)
    env.reset(seed=0)
    expected = []
    for _ in range(6):
        turns, total, ended = [], 0.0, False
        while not ended:
            turns.append(random_response(rng, tiny, base.unwrapped.text_env, 6))
            for token in turns[-1]:
                _, reward, ended, _, info = env.step(np.int64(token))
                assert type(reward) is float
                assert reward == info["reward/task"] + info["reward/reference_logprob"]
                total += reward
        task, logprob = referee.judge(0, turns)
        assert total == pytest.approx(task + BETA * logprob, abs=1e-6)
        assert info["episode"]["r"] == pytest.approx(total)
        expected.append((task, task + BETA * logprob))
        env.reset()
        referee.begin(0)
    for name, column in ("inside", 0), ("outside", 1):
        lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
        written = [json.loads(line)["reward"] for line in lines]
        assert written == pytest.approx([pair[column] for pair in expected], abs=1e-6)


def test_a_policy_that_is_its_own_reference_is_paid_its_own_log_probabilities(tiny):
    settings = {"autoreset_mode": "Disabled", "level": "token", "tokenizer": tiny.tokenizer, "max_tokens": 6}
    base = gym.make_vec("TextMath-v0", 8, difficulty=1, **settings)
    env = VectorReferenceLogProb(base, tiny, BETA)
    plain, shaped = (
        collect(tiny, each, max_new_tokens=6, generator=torch.Generator().manual_seed(0), seed=0)
        for each in (base, env)
    )
    assert (plain.tokens == shaped.tokens).all()
    torch.testing.assert_close(shaped.rewards, plain.rewards + BETA * shaped.logprobs, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(env.action_masks(), base.action_masks())


# A small env with a reference of its own: the vocabulary is stop, a and b, a response has at most three tokens.

CHARS = CharTokenizer("ab")


@dataclasses.dataclass(frozen=True)
class OneProblem:
    """Always the same problem."""

    prompt: str = "a"
    charset: str = "ab"

    def draw(self, rng):
        return Problem(self.prompt, key="4")  # a key of the train split

    def solution(self, problem):
        return None


class TableReward:
    """A reward of its own for each text, drawn from a seed."""

    range = (-1.0, 1.0)

    def __call__(self, problems, responses):
        total = np.array([np.random.default_rng(list(text.encode())).uniform(-1, 1) for text in responses])
        return Score(total, total > 0)


def table_reference(contexts):
    """Log-probabilities, drawn from a seed for each context."""
    logits = np.stack([np.random.default_rng(context).normal(size=3) for context in contexts])
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def make_text_env():
    return TextEnv(OneProblem(), TableReward())


def make_single():
    return TokenEnv(make_text_env(), CHARS, window=8, max_tokens=3)


SEQUENCES = [
    (*tokens, *stop)
    for length in range(4)
    for tokens in itertools.product([1, 2], repeat=length)
    for stop in [(0,) if length < 3 else ()]
]


def play_all(beta, reference=table_reference):
    """Return of each of the 15 sequences."""
    env = ReferenceLogProb(make_single(), reference, beta)
    returns = []
    for tokens in SEQUENCES:
        env.reset(seed=0)
        steps = [env.step(token) for token in tokens]
        assert [step[2] for step in steps] == [False] * (len(tokens) - 1) + [True]
        returns.append(sum(step[1] for step in steps))
    return np.array(returns)


def gibbs(beta):
    """p_ref(y) exp(r(y) / β) / Z, by enumeration, and β log Z."""
    reference = [sum(table_reference([[1, *y[:t]]])[0][token] for t, token in enumerate(y)) for y in SEQUENCES]
    rewards = TableReward()([None] * 15, [CHARS.decode(y) for y in SEQUENCES]).total
    weights = np.exp(np.array(reference) + rewards / beta)
    assert np.exp(reference).sum() == pytest.approx(1.0)  # these are all sequences
    return weights / weights.sum(), beta * np.log(weights.sum())


@pytest.mark.parametrize("beta", [0.2, 1.0])
def test_the_optimum_with_an_entropy_bonus_is_the_gibbs_policy(beta):
    """A softmax table, one row a context, climbs E[return] + β Σ entropies; nothing in it knows the reference."""
    contexts = sorted({y[:t] for y in SEQUENCES for t in range(len(y))})

    def count(y):  # how often each entry of the table decides in the course of y
        counts = torch.zeros(len(contexts), 3, dtype=torch.float64)
        for t, token in enumerate(y):
            counts[contexts.index(y[:t]), token] += 1
        return counts.flatten()

    returns = torch.tensor(play_all(beta))
    played, reached = torch.stack([count(y) for y in SEQUENCES]), torch.stack([count(y) for y in contexts])
    table = torch.zeros(len(contexts), 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([table], max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14)

    def evaluate():
        logprobs = table.log_softmax(1)
        policy, entropies = (played @ logprobs.flatten()).exp(), -(logprobs.exp() * logprobs).sum(1)
        return policy, policy @ returns + beta * ((reached @ logprobs.flatten()).exp() @ entropies)

    def closure():
        optimizer.zero_grad()
        loss = -evaluate()[1]
        loss.backward()
        return loss.detach()

    optimizer.step(closure)
    policy, value = evaluate()
    expected, best = gibbs(beta)
    np.testing.assert_allclose(policy.detach().numpy(), expected, atol=1e-5)
    assert value.item() == pytest.approx(best, abs=1e-9)
    without = np.exp(play_all(0.0) / beta)
    assert np.abs(without / without.sum() - expected).max() > 0.01  # the wrapper makes the difference


@pytest.mark.parametrize("beta", [0.2, 1.0])
def test_no_policy_is_worth_more_than_the_gibbs_policy(beta):
    """E[return] + β H(π) = β log Z - β KL(π ‖ π*), for any distribution over responses."""
    returns, (optimum, best) = play_all(beta), gibbs(beta)
    rng = np.random.default_rng(0)
    for _ in range(20):
        policy = rng.dirichlet(np.ones(15))
        value = policy @ returns - beta * (policy @ np.log(policy))
        assert value == pytest.approx(best - beta * (policy @ np.log(policy / optimum)), abs=1e-9)


@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
def test_a_vector_env_is_the_single_envs_side_by_side(mode):
    singles = [ReferenceLogProb(make_single(), table_reference, 0.5) for _ in range(3)]
    base = TokenVectorEnv(make_text_env, 3, CHARS, window=8, max_tokens=3, autoreset_mode=mode)
    env = VectorReferenceLogProb(base, table_reference, 0.5)
    env.reset(seed=0)
    for single in singles:
        single.reset(seed=0)
    rng = np.random.default_rng(0)
    over = np.zeros(3, bool)
    for _ in range(60):
        tokens = rng.integers(3, size=3)
        _, rewards, terminations, _, infos = env.step(tokens)
        for row, single in enumerate(singles):
            if over[row]:
                assert rewards[row] == 0.0 and terminations[row]
                continue
            _, reward, terminated, _, info = single.step(tokens[row])
            assert rewards[row] == pytest.approx(reward, abs=1e-12) and terminations[row] == terminated
            for name in ("reward/task", "reward/reference_logprob"):
                assert infos[name][row] == pytest.approx(info[name], abs=1e-12)
            if terminated:
                single.reset()
        if mode == "Disabled":
            over = terminations
            if over.all():
                env.reset(options={"reset_mask": over})
                over = np.zeros(3, bool)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_a_token_that_is_ruled_out_costs_a_lot_and_not_the_verdict(beta):
    """A return of -inf would be taken for a verifier that failed, and teach nothing."""

    def never_b(contexts):
        return np.tile([np.log(0.5), np.log(0.5), -np.inf], (len(contexts), 1))

    returns = play_all(beta, never_b)
    assert np.isfinite(returns).all()
    assert [2 in y and beta > 0 for y in SEQUENCES] == (np.array(returns) < -90).tolist()


def test_a_lora_reference_is_read_with_the_adapter_off():
    pytest.importorskip("peft")
    policy = CausalLM.load("tiny")
    settings = {"level": "token", "tokenizer": policy.tokenizer}
    terms = []
    for shifted in (False, True):
        if shifted:
            policy.add_lora(4)
            with torch.no_grad():
                for parameter in policy.parameters():
                    parameter += 0.3
        reference = policy.reference() if shifted else CausalLM.load("tiny")
        env = ReferenceLogProb(gym.make("TextMath-v0", **settings), reference, 1.0)
        env.reset(seed=0)
        terms.append([env.step(token)[4]["reward/reference_logprob"] for token in (20, 21, 0)])
    assert terms[0] == pytest.approx(terms[1], abs=1e-5)


def test_a_reward_that_is_missing_stays_missing():
    env = ReferenceLogProb(make_single(), table_reference, 1.0)
    env.reset(seed=0)
    env.unwrapped.text_env.reward = None  # calling it raises
    with pytest.warns(RuntimeWarning):
        _, reward, _, _, info = env.step(0)
    assert np.isnan(reward) and np.isnan(info["reward/task"]) and info["reward/reference_logprob"] < 0


def test_what_can_not_be_wrapped_is_refused(tiny):
    with pytest.raises(TypeError, match="token-level"):
        ReferenceLogProb(gym.make("TextMath-v0"), table_reference, 1.0)
    with pytest.raises(TypeError, match="token-level"):
        VectorReferenceLogProb(gym.make_vec("TextMath-v0", 2), table_reference, 1.0)
    with pytest.raises(ValueError, match="vocabulary"):
        ReferenceLogProb(make_single(), tiny, 1.0)
    with pytest.raises(ValueError, match="beta"):
        ReferenceLogProb(make_single(), table_reference, -1.0)
    fewer = gym.wrappers.TransformAction(make_single(), lambda action: action, gym.spaces.Discrete(2))
    with pytest.raises(ValueError, match="no longer the tokens"):
        ReferenceLogProb(fewer, table_reference, 1.0)


@pytest.mark.parametrize(
    "reference, message",
    [(lambda contexts: np.zeros((len(contexts), 3)), "log-probabilities"), (lambda contexts: [0.0], "must return")],
)
def test_a_function_that_returns_something_else(reference, message):
    env = ReferenceLogProb(make_single(), reference, 1.0)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(1)


def test_masks_reach_the_outside_and_a_name_survives_json():
    env = ReferenceLogProb(gym.make("TextMath-v0", level="token", tokenizer="tiny"), "tiny", 0.5)
    copy = gym.make(EnvSpec.from_json(env.spec.to_json()))
    rewards = []
    for each in env, copy:
        _, info = each.reset(seed=0)
        np.testing.assert_array_equal(each.get_wrapper_attr("action_masks")(), info["action_mask"])
        rewards.append(each.step(5)[1])
    assert rewards[0] == rewards[1] < 0
