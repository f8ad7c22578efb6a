"""TextVectorEnv and TokenVectorEnv: n episodes together are n episodes alone, and groups share a problem."""

from __future__ import annotations

import functools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from textgym.envs import CharTokenizer, TextEnv, TextVectorEnv, TokenEnv, TokenVectorEnv
from textgym.envs.games import GuessNumber
from textgym.envs.rewards import PrefixMatch
from textgym.envs.sources import ArithmeticSource, CopySource, GuessNumberSource

TEXT = [
    ("TextCopy-v0", {"dense": True}),
    ("TextMath-v0", {"split": "test", "difficulty": 1}),
    ("TextGuessNumber-v0", {"turns": 3, "high": 7}),
    ("TextMaze-v0", {"size": 2, "turns": 4}),
]
TOKENS = [
    ("TextCopyTokens-v0", {}),
    ("TextReverseTokens-v0", {"dense": True, "layout": "slots"}),
    ("TextIncreasingTokens-v0", {"dense": True, "layout": "sliding"}),
    ("TextCountdownTokens-v0", {"layout": "slots"}),
    ("TextGuessNumberTokens-v0", {"layout": "sliding"}),
    ("TextGuessNumberTokens-v0", {"layout": "slots"}),
    ("TextMazeTokens-v0", {"size": 2, "turns": 4}),
]
MODES = ["SameStep", "Disabled"]
N = 4


def sync(name, kwargs, mode):
    env_fns = [functools.partial(gym.make, name, disable_env_checker=True, **kwargs)] * N
    return SyncVectorEnv(env_fns, autoreset_mode=AutoresetMode(mode))


class TextPlayer:
    """Random responses, half of them right."""

    def __init__(self, vector):
        self.vector = vector
        self.rng = np.random.default_rng(0)

    def actions(self):
        return tuple(env.solution() if self.rng.random() < 0.5 else "no" for env in self.vector.envs)


class TokenPlayer(TextPlayer):
    """The tokens of the solution, one in eight of them wrong."""

    def __init__(self, vector):
        super().__init__(vector)
        self.lengths = np.zeros(N, int)

    def actions(self):
        tokenizer = self.vector.tokenizer
        actions = self.rng.integers(0, tokenizer.vocab_size, N)
        for i, env in enumerate(self.vector.envs):
            if self.rng.random() < 7 / 8:
                solution = [*tokenizer.encode_response(env.solution()), tokenizer.stop_id]
                actions[i] = solution[min(self.lengths[i], len(solution) - 1)]
        self.lengths += 1
        self.lengths[(actions == tokenizer.stop_id) | (self.lengths == self.vector.max_tokens)] = 0
        return actions


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "kwargs"), [*TEXT, *TOKENS], ids=str)
def test_a_vector_env_is_a_loop_of_single_envs(name, kwargs, mode, assert_same):
    ours = gym.make_vec(name, num_envs=N, autoreset_mode=mode, **kwargs)
    theirs = sync(name, kwargs, mode)
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"] == AutoresetMode(mode)
    assert_same(ours.reset(seed=7), theirs.reset(seed=7))
    player = (TokenPlayer if "Tokens" in name else TextPlayer)(ours)
    wins = ends = 0
    for step in range(250):
        actions = player.actions()
        our, their = ours.step(actions), theirs.step(actions)
        assert_same(our, their)
        ended = our[2]
        ends += ended.sum()
        wins += (our[1] > 0.3)[ended].sum()
        if step % 100 == 50:
            assert_same(ours.reset(seed=step), theirs.reset(seed=step))
        elif mode == "Disabled" and ended.any():
            reset = [env.reset(options={"reset_mask": ended, "split": "test"}) for env in (ours, theirs)]
            assert_same(*reset)
    assert ends > 0 and (0 < wins < ends or kwargs.get("dense"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "kwargs"), TOKENS, ids=str)
def test_a_step_by_rows_tells_what_a_step_tells(name, kwargs, mode, assert_same):
    ours, theirs = (gym.make_vec(name, num_envs=N, autoreset_mode=mode, **kwargs) for _ in range(2))
    assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(60):
        actions = rng.integers(0, ours.tokenizer.vocab_size, N)
        *our, infos, final_infos, final_obs = ours.step_rows(actions)
        *their, columns = theirs.step(actions)
        assert_same(our, their)
        final_columns, final_observations = columns.pop("final_info", {}), columns.pop("final_obs", [None] * N)
        assert_same(infos, rows_of(columns))
        assert_same(final_infos, {row: info for row, info in enumerate(rows_of(final_columns)) if info})
        assert_same(list(final_obs), [observation for observation in final_observations if observation is not None])
        ends += (our[2] | our[3]).sum()
        if mode == "Disabled" and (our[2] | our[3]).all():
            assert_same(ours.reset(), theirs.reset())
    assert ends > 0


def rows_of(columns):
    """A dict for each sub-env, of arrays with presence masks."""
    names = [name for name in columns if f"_{name}" in columns]
    values = {name: columns[name].tolist() if columns[name].ndim == 1 else columns[name] for name in names}
    return [{name: values[name][row] for name in names if columns[f"_{name}"][row]} for row in range(N)]


@pytest.mark.parametrize("name", ["TextGuessNumber-v0", "TextGuessNumberTokens-v0"])
def test_ended_sub_envs_idle_until_they_are_reset(name):
    env = gym.make_vec(name, num_envs=3, autoreset_mode="Disabled")
    env.reset(seed=0)
    won = env.envs[1].problem.answer
    if "Tokens" in name:
        encode = env.tokenizer.encode_response
        ids = [[0], [*encode(won), 0], [0]]
        width = max(map(len, ids))
        mask = np.arange(width) < np.array([[len(row)] for row in ids])
        tokens = np.array([row + [0] * (width - len(row)) for row in ids])
        observations, rewards, terminations, _, infos = env.step_tokens(tokens, mask)
        rewards, idle = rewards.sum(1), np.array([5, 5, 5])
    else:
        observations, rewards, terminations, _, infos = env.step(("x", won, "x"))
        idle = ("x", None, "x")
    assert terminations.tolist() == [False, True, False] and rewards.tolist() == [0, 1, 0]
    for _ in range(2):
        after, rewards, terminations, truncations, infos = env.step(idle)
        assert terminations.tolist() == [False, True, False] and not truncations.any() and not rewards.any()
        assert np.array_equal(after[1], observations[1])
        assert not any(mask[1] for key, mask in infos.items() if key.startswith("_"))
    before = [list(env.envs[i].messages) for i in range(3)]
    _, infos = env.reset(options={"reset_mask": np.array([False, True, False])})
    assert [i for i in range(3) if env.envs[i].messages != before[i]] == [1]
    assert infos["_messages"].tolist() == [False, True, False]
    assert not env.step(idle if "Tokens" in name else ("x", "x", "x"))[2].any()


# step_tokens


def row_of(columns, i):
    """The info of one sub-env, with Python's own numbers."""
    info = {key: values[i] for key, values in columns.items() if f"_{key}" in columns and columns[f"_{key}"][i]}
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in info.items()}


def whole_responses(envs, rng, max_tokens):
    """Responses of all lengths as padded arrays: right ones, random ones, and ones cut at the limit."""
    mask = np.zeros((len(envs), max_tokens), bool)
    tokens = rng.integers(0, envs[0].tokenizer.vocab_size, mask.shape)
    for i, env in enumerate(envs):
        row = rng.integers(1, env.tokenizer.vocab_size, max_tokens)
        kind = rng.integers(3)
        if kind == 0 and not env._over:
            row = np.array(env.solution())
        elif kind == 1:
            row[rng.integers(max_tokens)] = 0
        stops = np.flatnonzero(row == 0)
        row = row[: stops[0] + 1] if len(stops) else row
        tokens[i, : len(row)], mask[i, : len(row)] = row, True
    width = mask.any(0).sum()
    return tokens[:, :width], mask[:, :width]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "kwargs"), TOKENS, ids=str)
def test_whole_responses_are_steps(name, kwargs, mode, assert_same):
    vector = gym.make_vec(name, num_envs=N, autoreset_mode=mode, **kwargs)
    singles = [gym.make(name, disable_env_checker=True, **kwargs).unwrapped for _ in range(N)]
    rng = np.random.default_rng(1)
    vector.reset(seed=3)
    expected = [env.reset(seed=3 + i)[0] for i, env in enumerate(singles)]
    ends = 0
    for _ in range(60):
        running = [not env._over for env in singles]
        tokens, mask = whole_responses(singles, rng, vector.max_tokens)
        observations, rewards, terminations, truncations, infos = vector.step_tokens(tokens, mask)
        assert rewards.shape == mask.shape and not rewards[~mask].any() and not truncations.any()
        for i, env in enumerate(singles):
            if not running[i]:
                assert terminations[i] and not rewards[i].any()
                assert not row_of(infos, i)
            else:
                steps = [env.step(token) for token in tokens[i][mask[i]]]
                assert [step[1] for step in steps] == rewards[i][mask[i]].tolist()
                expected[i], _, terminated, _, info = steps[-1]
                assert terminations[i] == terminated
                ends += terminated
                if terminated and mode == "SameStep":
                    assert_same(row_of(infos["final_info"], i), info)
                    np.testing.assert_array_equal(infos["final_obs"][i], expected[i])
                    expected[i], info = env.reset()
                ours = row_of({key: value for key, value in infos.items() if "final" not in key}, i)
                assert_same(ours, info)
            np.testing.assert_array_equal(observations[i], expected[i])
        if mode == "Disabled" and rng.random() < 0.5 and terminations.any():
            vector.reset(options={"reset_mask": terminations})
            for i in np.flatnonzero(terminations):
                expected[i] = singles[i].reset()[0]
    assert ends > 10


def test_step_and_step_tokens_can_alternate():
    vector, twin = (gym.make_vec("TextGuessNumberTokens-v0", num_envs=2, autoreset_mode="Disabled") for _ in range(2))
    for env in (vector, twin):
        env.reset(seed=0)
    tokens = np.array([vector.tokenizer.encode_response("9")[0], 0])
    for _ in range(2):
        vector.step_tokens(np.tile(tokens, (2, 1)), np.ones((2, 2), bool))
        for token in tokens:
            vector.step([token] * 2)
            twin.step([token] * 2)
        twin.step_tokens(np.tile(tokens, (2, 1)), np.ones((2, 2), bool))
        assert [env.messages for env in vector.envs] == [env.messages for env in twin.envs]
        assert vector.contexts == twin.contexts


def dense_game():
    return GuessNumber(GuessNumberSource(high=99, turns=3, template="{high}?"), PrefixMatch())


@pytest.mark.parametrize("whole", [False, True])
def test_a_dense_game_is_paid_as_at_the_sequence_level(whole):
    """A first guess with the first digit right is paid and taken back; the right one is paid in full."""
    kwargs = {"tokenizer": CharTokenizer(dense_game().charset), "window": 64, "max_tokens": 4, "dense": True}
    vector, single = (
        TokenVectorEnv(dense_game, N, autoreset_mode="Disabled", **kwargs),
        TokenEnv(dense_game(), **kwargs),
    )
    vector.reset(seed=0)
    answers = [env.problem.answer for env in vector.envs]
    assert [len(answer) for answer in answers] == [2] * N
    near = [answer[0] + str(9 - int(answer[1])) for answer in answers]
    paid = []
    for guesses in (near, answers):
        ids = np.array([[*vector.tokenizer.encode_response(guess), 0] for guess in guesses])
        if whole:
            paid.append(vector.step_tokens(ids, np.ones((N, 3), bool))[1])
        else:
            paid.append(np.stack([vector.step(tokens)[1] for tokens in ids.T], axis=1))
    assert paid[0].tolist() == [[0.5, 0.0, -0.5]] * N and paid[1].tolist() == [[0.5, 0.5, 0.0]] * N
    single.reset(seed=0)
    ids = [token for guess in (near[0], answers[0]) for token in [*vector.tokenizer.encode_response(guess), 0]]
    assert [single.step(token)[1] for token in ids] == [*paid[0][0], *paid[1][0]]


@pytest.mark.parametrize(
    ("tokens", "mask", "error", "message"),
    [
        ([[1, 0]], [[True, True]], ValueError, r"mask must be a bool array of shape \(2, t\), got bool \(1, 2\)"),
        ([1, 0], [True, True], ValueError, r"mask must be a bool array"),
        ([[1, 0]] * 2, [[1, 1]] * 2, ValueError, r"mask must be a bool array of shape \(2, t\), got int64"),
        ([[1] * 9] * 2, [[True] * 9] * 2, ValueError, "1 to 8 tokens, got a mask of 9 columns"),
        (np.zeros((2, 0), int), np.zeros((2, 0), bool), ValueError, "1 to 8 tokens, got a mask of 0 columns"),
        ([[0], [0]], [[True, False]] * 2, ValueError, r"one shape, got \(2, 1\) and \(2, 2\)"),
        ([[1, 0]] * 2, [[True, True], [False, True]], ValueError, "prefix"),
        ([[0], [0]], [[True], [False]], ValueError, "non-empty prefix"),
        ([[0, 1], [1, 0]], [[True, True]] * 2, ValueError, "tokens after its stop token"),
        ([[1, 1], [1, 0]], [[True, True]] * 2, ValueError, "without the stop token before max_tokens"),
        ([[99, 0], [1, 0]], [[True, True]] * 2, InvalidAction, r"a token must be in 0..11, got 99"),
        ([[1.0, 0.0]] * 2, [[True, True]] * 2, InvalidAction, "tokens must be integers of shape"),
    ],
    ids=str,
)
def test_step_tokens_says_what_is_wrong(tokens, mask, error, message):
    env = gym.make_vec("TextCopyTokens-v0", num_envs=2, autoreset_mode="Disabled")
    env.reset(seed=0)
    with pytest.raises(error, match=message):
        env.step_tokens(tokens, mask)
    assert env.step_tokens([[0], [0]], [[True], [True]])[2].all()  # nothing had changed


def test_step_tokens_begins_at_the_beginning():
    env = gym.make_vec("TextCopyTokens-v0", num_envs=2)
    env.reset(seed=0)
    env.step([1, 1])
    with pytest.raises(ValueError, match="some have begun: finish them with step"):
        env.step_tokens([[0], [0]], [[True], [True]])


def test_a_timeout_reaches_the_vector_infos(moody):
    envs = TextVectorEnv(lambda: TextEnv(ArithmeticSource(), moody), 3, autoreset_mode="Disabled")
    envs.reset(seed=0)
    _, rewards, _, _, infos = envs.step(("a", "late", "b"))
    np.testing.assert_array_equal(rewards, [1.0, np.nan, 1.0])
    assert infos["reward_status"].tolist() == ["ok", "timeout", "ok"]
    assert infos["reward/length"].tolist() == [1.0, 4.0, 1.0]
    envs.reset(seed=0)
    with pytest.warns(RuntimeWarning, match="'boom'"):
        _, rewards, _, _, infos = envs.step(("a", "boom", "b"))
    np.testing.assert_array_equal(rewards, [1.0, np.nan, 1.0])
    assert infos["reward_status"].tolist() == ["ok", "error", "ok"]


@pytest.mark.parametrize("whole", [False, True])
def test_a_prefix_that_cannot_be_judged_does_not_spoil_the_total(moody, whole):
    def make():
        return TextEnv(CopySource(), moody)

    tokenizer = CharTokenizer(make().charset)
    env = TokenVectorEnv(make, 2, tokenizer, window=24, max_tokens=8, dense=True, autoreset_mode="Disabled")
    env.reset(seed=0)
    ids = np.array([[*tokenizer.encode_response("lates"), 0], [*tokenizer.encode_response("lat"), 0, 0, 0]])
    mask = np.array([[True] * 6, [True] * 4 + [False] * 2])
    rewards = env.step_tokens(ids, mask)[1] if whole else np.stack([env.step(tokens)[1] for tokens in ids.T], axis=1)
    assert rewards.tolist() == [[1.0, 0, 0, 0, 0, 0]] * 2


# groups


@pytest.mark.parametrize("name", ["TextMath-v0", "TextMathTokens-v0", "TextGuessNumber-v0"])
def test_a_group_shares_a_problem(name, text_env_of):
    env = gym.make_vec(name, num_envs=6, group_size=2)
    assert env.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    assert env.group_ids.tolist() == [0, 0, 1, 1, 2, 2] and env.group_size == 2
    single = gym.make(name)
    env.reset(seed=5)
    for group in range(3):
        single.reset(seed=5 + group)
        first, second = env.envs[2 * group : 2 * group + 2]
        assert first.problem is second.problem == text_env_of(single).problem
    before = [sub_env.problem for sub_env in env.envs]
    mask = np.array([False, False, True, True, False, False])
    env.reset(options={"reset_mask": mask, "split": "test"})
    after = [sub_env.problem for sub_env in env.envs]
    assert after[2] is after[3] and after[2].split == "test"
    assert [a is b for a, b in zip(after, before, strict=True)] == (~mask).tolist()


def test_a_group_does_not_share_its_state():
    env = gym.make_vec("TextGuessNumber-v0", num_envs=4, group_size=2)
    env.reset(seed=0)
    answer = env.envs[0].problem.answer
    _, rewards, terminations, _, _ = env.step((answer, "x", "x", "x"))
    assert terminations.tolist() == [True, False, False, False] and rewards.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("name", ["TextMath-v0", "TextMathTokens-v0"])
def test_each_group_can_be_given_its_problem(name, text_env_of):
    env, single = gym.make_vec(name, num_envs=4, group_size=2), gym.make(name)
    for numbers in ([3, 1], (3, 1), np.array([3, 1])):
        env.reset(options={"problem": numbers})
        for group in range(2):
            single.reset(options={"problem": int(numbers[group])})
            assert [e.problem for e in env.envs[2 * group : 2 * group + 2]] == [text_env_of(single).problem] * 2
    env.reset(options={"problem": np.int64(3)})
    assert len({e.problem.key for e in env.envs}) == 1
    env.reset(seed=0)
    drawn = [e.problem for e in env.envs]
    env.reset(seed=0, options={"problem": [None, 3]})
    assert env.envs[0].problem == drawn[0] and env.envs[2].problem != drawn[2]


def test_each_group_can_be_given_its_seed():
    env = gym.make_vec("TextMath-v0", num_envs=4, group_size=2)
    prompts, _ = env.reset(seed=[8, 3])
    single = gym.make("TextMath-v0")
    assert prompts == tuple(single.reset(seed=seed)[0] for seed in (8, 8, 3, 3))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 4, "group_size": 2, "autoreset_mode": "SameStep"}, "group_size > 1 needs .*'Disabled'"),
        ({"num_envs": 4, "group_size": 3}, "num_envs must be a multiple of group_size, got 4 and 3"),
        ({"num_envs": 4, "group_size": 0}, "got 4 and 0"),
        ({"num_envs": 0}, "got 0 and 1"),
        ({"num_envs": 2, "autoreset_mode": "NextStep"}, "must be SAME_STEP or DISABLED, got NEXT_STEP"),
        ({"num_envs": 2, "autoreset_mode": "Never"}, "'Never' is not a valid AutoresetMode"),
    ],
    ids=str,
)
def test_bad_sizes_and_modes_are_named(kwargs, message):
    for name in ("TextMath-v0", "TextMathTokens-v0"):
        with pytest.raises(ValueError, match=message):
            gym.make_vec(name, **kwargs)


@pytest.mark.parametrize(
    ("reset", "message"),
    [
        ({"seed": [1]}, "expected 2 values for 'seed', one for each group, got 1"),
        ({"options": {"problem": [1, 2, 3]}}, "expected 2 values for 'problem', one for each group, got 3"),
        ({"options": {"reset_mask": [True] * 4}}, r"reset_mask must be a bool array of shape \(4,\)"),
        ({"options": {"reset_mask": np.ones(4)}}, r"reset_mask must be a bool array of shape \(4,\)"),
        ({"options": {"reset_mask": np.ones(3, bool)}}, r"reset_mask must be a bool array of shape \(4,\)"),
        ({"options": {"reset_mask": np.zeros(4, bool)}}, "at least one"),
        ({"options": {"reset_mask": np.arange(4) < 3}}, "whole groups only"),
        ({"options": {"mask": 1}}, "unknown reset options .'mask'."),
    ],
    ids=str,
)
def test_bad_resets_are_named(reset, message):
    for name in ("TextMath-v0", "TextMathTokens-v0"):
        with pytest.raises(ValueError, match=message):
            gym.make_vec(name, num_envs=4, group_size=2).reset(**reset)


def test_bad_actions_are_named():
    text = gym.make_vec("TextMath-v0", num_envs=2)
    text.reset(seed=0)
    for actions in ("ab", ("a",), ("a", "b", "c")):
        with pytest.raises(ValueError, match="expected 2 responses, one for each sub-env"):
            text.step(actions)
    with pytest.raises(TypeError, match="got int: 3"):
        text.step(("a", 3))
    tokens = gym.make_vec("TextMathTokens-v0", num_envs=2)
    tokens.reset(seed=0)
    size = tokens.single_action_space.n
    for actions in ([0], [[0, 0]], [0.0, 1.0], ["a", "b"]):
        with pytest.raises(InvalidAction, match=r"tokens must be integers of shape \(2,\), got"):
            tokens.step(actions)
    for bad in (-1, size):
        with pytest.raises(InvalidAction, match=f"a token must be in 0..{size - 1}, got {bad}"):
            tokens.step([0, bad])
    assert len(text.step(("a", "b"))[0]) == 2 and not tokens._length.any()


@pytest.mark.parametrize("name", ["TextMath-v0", "TextMathTokens-v0"])
def test_step_needs_a_reset(name):
    env = gym.make_vec(name, num_envs=2)
    with pytest.raises(ResetNeeded, match="call reset before step"):
        env.step(env.action_space.sample())
    if "Tokens" in name:
        with pytest.raises(ResetNeeded, match="call reset before step"):
            env.step_tokens([[0], [0]], [[True], [True]])


# around them


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("TextMath-v0", {"group_size": 2, "difficulty": 3}), ("TextCopyTokens-v0", {"layout": "slots", "dense": True})],
)
def test_it_makes_itself_again_from_its_spec(name, kwargs, assert_same):
    env = gym.make_vec(name, num_envs=4, **kwargs)
    again = gym.make_vec(EnvSpec.from_json(env.spec.to_json()))
    assert again.num_envs == 4 and again.spec == env.spec and again.group_size == env.group_size
    assert_same(again.reset(seed=0), env.reset(seed=0))


@pytest.mark.parametrize("name", ["TextCopy-v0", "TextCopyTokens-v0"])
def test_gymnasium_records_its_statistics(name):
    env = RecordEpisodeStatistics(gym.make_vec(name, num_envs=2))
    env.reset(seed=0)
    for _ in range(9):
        _, _, terminations, _, infos = env.step(env.action_space.sample())
        if terminations.any():
            assert infos["episode"]["l"][terminations].min() >= 1
            return
    raise AssertionError("no episode ended")


def test_it_keeps_no_array_that_it_gave_away():
    def observations(spoil):
        env = gym.make_vec("TextCopyTokens-v0", num_envs=2, layout="slots")
        returned = [*env.reset(seed=0)]
        rng = np.random.default_rng(0)
        seen = [returned[0].copy()]
        for _ in range(20):
            if spoil:
                infos = returned[-1]
                arrays = [*returned[:-1], *(value for value in infos.values() if isinstance(value, np.ndarray))]
                for array in arrays:
                    if array.flags.writeable and array.dtype != object:
                        array[:] = 1
            returned = [*env.step(rng.integers(0, 12, 2))]
            seen.append(returned[0].copy())
            assert returned[-1]["_action_mask"].all() and returned[-1]["action_mask"].all()
        return np.stack(seen)

    np.testing.assert_array_equal(observations(True), observations(False))


def test_render_shows_every_chat():
    env = gym.make_vec("TextMath-v0", num_envs=2, render_mode="ansi")
    prompts, _ = env.reset(seed=0)
    assert env.render() == tuple(f"[user] {prompt}" for prompt in prompts)


def test_action_masks_and_reward_range():
    env = gym.make_vec("TextMathTokens-v0", num_envs=2)
    assert env.action_masks().shape == (2, env.single_action_space.n) and env.action_masks().all()
    assert env.reward_range == (0.0, 1.0)


@pytest.mark.parametrize(("name", "action"), [("TextMath-v0", "7"), ("TextMathTokens-v0", 0)])
@pytest.mark.parametrize("mode", MODES)
def test_a_failed_reset_leaves_no_episode(name, action, mode):
    env = gym.make_vec(name, num_envs=2, autoreset_mode=mode)
    env.reset(seed=0)
    before = [sub_env.problem for sub_env in env.envs]
    with pytest.raises(IndexError):
        env.reset(options={"problem": [0, -1]})
    assert [sub_env.problem for sub_env in env.envs] == before
    if mode == "SameStep":
        with pytest.raises(ResetNeeded):
            env.step([action] * 2)
    else:
        _, rewards, terminations, _, _ = env.step([action] * 2)
        assert terminations.all() and not rewards.any()
    env.reset(seed=0)
    env.step([action] * 2)


def test_a_context_that_does_not_fit_is_an_error_and_leaves_no_episode():
    env = gym.make_vec("TextMathTokens-v0", num_envs=2, window=9, max_tokens=5, layout="slots")
    with pytest.raises(ValueError, match=r"tokens, but window=9 leaves room for 4 \(layout 'slots', max_tokens=5\)"):
        env.reset(seed=0)
    with pytest.raises(ResetNeeded):
        env.step([0, 0])
    game = gym.make_vec("TextGuessNumberTokens-v0", num_envs=2, window=12)
    game.reset(seed=0)
    with pytest.raises(ValueError, match="give a window that is larger"):
        game.step([0, 0])


def test_tokens_of_ended_sub_envs_are_not_looked_at():
    env = gym.make_vec("TextCopyTokens-v0", num_envs=2, autoreset_mode="Disabled")
    env.reset(seed=0)
    env.step([0, 1])
    assert env.step([-1, 1])[2].tolist() == [True, False]
    with pytest.raises(InvalidAction, match="got 99"):
        env.step([-1, 99])
    env.reset(seed=0)
    env.step_tokens(np.array([[0], [0]]), np.ones((2, 1), bool))
    env.reset(options={"reset_mask": np.array([False, True])})
    assert env.step_tokens(np.array([[99], [0]]), np.ones((2, 1), bool))[2].all()
