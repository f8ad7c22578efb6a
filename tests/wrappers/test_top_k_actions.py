"""``TopKActions``: action i plays the model's token of rank i, and always 0 is its greedy decoding."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import InvalidAction
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecMonitor

from textgym.agents import GRPO, CausalLM
from textgym.agents.sb3 import GymnasiumVecEnv
from textgym.agents.steering import CandidateScores, start_as_model
from textgym.wrappers import HiddenState, TopKActions, VectorHiddenState, VectorTopKActions

SETTINGS = {"level": "token", "window": 64, "max_tokens": 6}


@pytest.fixture(scope="module")
def tiny():
    return CausalLM.load("tiny", device="cpu")


@pytest.fixture
def settings(tiny):
    return SETTINGS | {"tokenizer": tiny.tokenizer}


def ranked(lm, context):
    """All tokens, the most probable first, from a forward of this context alone."""
    with torch.no_grad():
        return lm.model(input_ids=torch.tensor([context])).logits[0, -1].argsort(descending=True).tolist()


def test_always_0_is_what_the_model_predicts(tiny, settings):
    problems = 60
    texts = gym.make("TextMath-v0")
    prompts = [texts.reset(options={"problem": i, "split": "test"})[0] for i in range(problems)]
    predicted, _ = GRPO(tiny, "TextMath-v0", max_new_tokens=6).predict(prompts, deterministic=True)
    successes = []
    for i, response in enumerate(predicted):
        texts.reset(options={"problem": i, "split": "test"})
        successes.append(texts.step(response)[4]["is_success"])
    assert 0 < sum(successes) < problems

    env = VectorTopKActions(gym.make_vec("TextMath-v0", problems, autoreset_mode="Disabled", **settings), tiny, 2)
    env.reset(options={"problem": list(range(problems)), "split": "test"})
    told, over = {}, np.zeros(problems, bool)
    while not over.all():
        *_, over, _, infos = env.step(np.zeros(problems, int))
        for row in np.flatnonzero(infos.get("_response", [])):
            told[row] = infos["response"][row], infos["is_success"][row]
    assert [told[row] for row in range(problems)] == list(zip(predicted, successes, strict=True))

    single = TopKActions(gym.make("TextMath-v0", **settings), tiny, 2)
    for i in range(10):
        single.reset(options={"problem": i, "split": "test"})
        over = False
        while not over:
            *_, over, _, info = single.step(0)
        assert (info["response"], info["is_success"]) == told[i]


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("vector", [False, True])
def test_an_action_is_a_rank(tiny, settings, vector, with_state):
    rng, n = np.random.default_rng(0), 5 if vector else 1
    if vector:
        env = gym.make_vec("TextMath-v0", n, **settings)
        env = VectorTopKActions(VectorHiddenState(env, tiny) if with_state else env, tiny, 4)
    else:
        env = gym.make("TextMath-v0", **settings)
        env = TopKActions(HiddenState(env, tiny) if with_state else env, tiny, 4)
    env.reset(seed=0)
    text_envs = env.unwrapped.envs if vector else [env.unwrapped.text_env]
    contexts = [tiny.tokenizer.encode_prompt(text_env.messages[0]["content"]) for text_env in text_envs]
    responses: list[list[int]] = [[] for _ in range(n)]
    episodes = 0
    while episodes < 10:
        actions = rng.integers(4, size=n)
        for row, action in enumerate(actions):
            responses[row].append(ranked(tiny, contexts[row] + responses[row])[action])
        _, _, over, _, infos = env.step(actions if vector else actions[0])
        for row in np.flatnonzero(over):
            told = infos["final_info"]["response"][row] if vector else infos["response"]
            assert told == tiny.tokenizer.decode(responses[row])
            if not vector:
                env.reset()
            contexts[row] = tiny.tokenizer.encode_prompt(text_envs[row].messages[0]["content"])
            responses[row] = []
            episodes += 1


def test_spaces_and_masks(tiny, settings):
    single = TopKActions(gym.make("TextMath-v0", **settings), tiny, 3)
    assert single.action_space == gym.spaces.Discrete(3)
    _, info = single.reset(seed=0)
    *_, step_info = single.step(np.int64(2))
    for mask in info["action_mask"], step_info["action_mask"], single.action_masks():
        assert mask.dtype == np.int8 and mask.tolist() == [1, 1, 1]
    assert HiddenState(single, tiny).action_masks().tolist() == [1, 1, 1]

    vector = VectorTopKActions(gym.make_vec("TextMath-v0", 2, **settings), tiny, 3)
    assert vector.single_action_space == gym.spaces.Discrete(3)
    assert vector.action_space == gym.spaces.MultiDiscrete([3, 3])
    _, infos = vector.reset(seed=0)
    assert infos["action_mask"].tolist() == [[1, 1, 1]] * 2
    for _ in range(6):
        *_, infos = vector.step(np.zeros(2, int))
        assert infos["action_mask"].tolist() == [[1, 1, 1]] * 2
    assert VectorHiddenState(vector, tiny).action_masks().tolist() == [[1, 1, 1]] * 2


def test_masks_of_final_infos(tiny, settings):
    env = VectorTopKActions(gym.make_vec("TextMath-v0", 2, **settings | {"max_tokens": 1}), tiny, 3)
    env.reset(seed=0)
    *_, infos = env.step(np.zeros(2, int))
    assert infos["final_info"]["action_mask"].shape == (2, 3)
    assert infos["final_obs"][0].shape == (64,)  # as the env's


def test_refusals(tiny, settings):
    for k in 0, 100:
        with pytest.raises(ValueError, match="k must be"):
            TopKActions(gym.make("TextMath-v0", **settings), tiny, k)
    single = TopKActions(gym.make("TextMath-v0", **settings), tiny, 3)
    single.reset(seed=0)
    for action in 3, -1, 0.5:
        with pytest.raises(InvalidAction):
            single.step(action)
    vector = VectorTopKActions(gym.make_vec("TextMath-v0", 2, **settings), tiny, 3)
    vector.reset(seed=0)
    for actions in [0, 3], [-1, 0], [0], [0.0, 1.0]:
        with pytest.raises(InvalidAction):
            vector.step(np.array(actions))


def test_specs_survive(tiny):
    env = gym.make("TextMath-v0", tokenizer="tiny", **SETTINGS)
    env = TopKActions(HiddenState(env, "tiny"), "tiny", 3)
    assert env.reader is env.env.reader
    copy = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert copy.action_space.n == 3 and copy.observation_space == env.observation_space
    live = TopKActions(HiddenState(gym.make("TextMath-v0", tokenizer=tiny.tokenizer, **SETTINGS), tiny), tiny, 3)
    copy = gym.make(live.spec)
    assert copy.reader.policy is tiny and copy.reader is copy.env.reader


@pytest.mark.parametrize("agent_class", [PPO, DQN])
def test_sb3_trains_on_a_vector_env_and_begins_as_the_model(tiny, settings, agent_class):
    k, n = 3, 4
    env = gym.make_vec("TextMath-v0", n, **settings)
    env = VectorTopKActions(VectorHiddenState(env, tiny, candidates=k), tiny, k)
    policy_kwargs = {"features_extractor_class": CandidateScores, "features_extractor_kwargs": {"candidates": k}}
    lengths = {"n_steps": 16, "batch_size": 32} if agent_class is PPO else {"learning_starts": 8, "buffer_size": 64}
    net_arch = {"pi": [], "vf": [8]} if agent_class is PPO else []
    agent = agent_class(
        "MlpPolicy",
        VecMonitor(GymnasiumVecEnv(env)),
        seed=0,
        policy_kwargs=policy_kwargs | {"net_arch": net_arch},
        device="cpu",
        **lengths,
    )
    start_as_model(agent)
    observations, _ = env.reset(seed=0)
    assert (agent.predict(observations, deterministic=True)[0] == 0).all()
    before = agent.policy.state_dict()["action_net.weight" if agent_class is PPO else "q_net.q_net.0.weight"].clone()
    agent.learn(64)
    after = agent.policy.state_dict()["action_net.weight" if agent_class is PPO else "q_net.q_net.0.weight"]
    assert not torch.equal(before, after)


def test_scores_are_log_probabilities_and_a_product_with_directions():
    generator = torch.Generator().manual_seed(0)
    size, k = 5, 3
    observations = torch.randn(4, size + k + k * size, generator=generator)
    extractor = CandidateScores(gym.spaces.Box(-np.inf, np.inf, (size + k + k * size,)), candidates=k, width=7)
    scores = extractor(observations)
    for row, observation in enumerate(observations):
        query = extractor.query(extractor.hidden(observation[None, :size]))[0]
        for i in range(k):
            embedding = observation[size + k + i * size :][:size]
            expected = observation[size + i] + (query @ embedding) / embedding.norm()
            assert scores[row, i].item() == pytest.approx(expected.item(), abs=1e-5)
    with pytest.raises(ValueError, match="HiddenState"):
        CandidateScores(gym.spaces.Box(-np.inf, np.inf, (size + k + k * size + 1,)), candidates=k)


def test_sb3s_own_vec_env_takes_the_single_wrappers(tiny, settings):
    def wrap(env):
        return TopKActions(HiddenState(env, tiny), tiny, 3)

    env = make_vec_env("TextMath-v0", n_envs=2, env_kwargs=settings, wrapper_class=wrap)
    PPO("MlpPolicy", env, n_steps=8, batch_size=16, seed=0, device="cpu").learn(16)


def test_start_as_model_knows_its_agents(tiny, settings):
    from stable_baselines3 import SAC

    with pytest.raises(TypeError, match="SACPolicy"):
        start_as_model(SAC("MlpPolicy", "Pendulum-v1", buffer_size=10, device="cpu"))
