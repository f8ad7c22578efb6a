"""Preferences: which of two answers to a prompt is the better one, as data, and where such data come from.

- ``Preference``: a prompt, the chosen and the rejected answer.
- ``read_preferences``, ``write_preferences``: files in TRL's format, and conversations as HH-RLHF writes them.
- ``split_preferences``: some for training, the others held out, with no prompt in both.
- ``sample_answers``, ``sample_pairs``: what a policy answers in an env, to be compared.
- ``Annotator``, ``OracleAnnotator``: who compares; the second goes by a reward, with or without noise.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium as gym
import numpy as np

from textgym.envs.sources._files import read_rows
from textgym.envs.task import Problem, Reward, score_batch

if TYPE_CHECKING:
    from textgym.agents.policy import CausalLM

Message = dict[str, str]
"""A message of a chat: its ``role`` and its ``content``."""

_KEYS = ("prompt", "chosen", "rejected")
_MAX_BATCHES = 20
"""Batches without a new pair, one after the other, after which a policy counts as one that always says the same."""


@dataclass(frozen=True)
class Preference:
    """The better and the worse of two answers to a prompt."""

    prompt: str | tuple[Message, ...]
    """What an env would show; or a chat of other messages than one of the user, of which the answer is the next."""
    chosen: str
    rejected: str

    def __post_init__(self) -> None:
        """Check the types, and make a chat of one message of the user the string that it is.

        Raises:
            ValueError: naming the field that is none of this.
        """
        messages = _messages("prompt", self.prompt, "user")
        is_plain = [message["role"] for message in messages] == ["user"]
        object.__setattr__(self, "prompt", messages[0]["content"] if is_plain else tuple(messages))
        for name in ("chosen", "rejected"):
            object.__setattr__(self, name, _answer(name, getattr(self, name)))

    @property
    def messages(self) -> list[Message]:
        """The prompt as a chat."""
        return [dict(message) for message in _messages("prompt", self.prompt, "user")]

    @property
    def text(self) -> str:
        """The prompt as a text: the contents of its messages, one a line."""
        return "\n".join(message["content"] for message in self.messages)

    @classmethod
    def of(cls, row: Any) -> Preference:
        r"""Return the preference in a row of a file.

        Each of ``prompt``, ``chosen`` and ``rejected`` is a string, or a list of chat messages (``role`` and
        ``content``): an answer is one message of the assistant. Without ``prompt``, the other two are whole chats, as
        lists of messages or as transcripts of HH-RLHF ("\n\nHuman: ...\n\nAssistant: ..."), and the prompt is what
        both begin with. Transcripts that part before their last message have the rest of each as their answers, as it
        is written.

        Raises:
            ValueError: for anything else.
        """
        if not isinstance(row, dict):
            raise ValueError(f"expected an object with prompt, chosen and rejected, got {row!r:.80}")
        missing = [name for name in _KEYS if name not in row]
        chats = [row.get("chosen"), row.get("rejected")]
        if missing == ["prompt"] and all(isinstance(chat, str) and _TURN.match(chat) for chat in chats):
            return _from_transcripts(*map(str, chats))
        if missing == ["prompt"] and all(isinstance(chat, list) for chat in chats):
            chosen, rejected = (_messages(name, row[name], "") for name in _KEYS[1:])
            shared = _common(chosen, rejected)
            return cls(tuple(chosen[:shared]), chosen[shared:], rejected[shared:])  # type: ignore[arg-type]
        if missing:
            raise ValueError(f"{' and '.join(missing)} missing")
        return cls(*(row[name] for name in _KEYS))


def read_preferences(path: str | Path, *, split: str = "train") -> list[Preference]:
    """Read preferences in TRL's format, or HH-RLHF's.

    Args:
        path: a file with a JSON object a line, gzipped if its name ends in ".gz"; or the name of a Hugging Face data
            set such as "Anthropic/hh-rlhf" (extra ``textgym[datasets]``). See ``Preference.of`` for what a row is;
            other keys are not read.
        split: which rows of a Hugging Face data set.

    Raises:
        FileNotFoundError: if there is no such file, and the name is none of a data set.
        ImportError: if a Hugging Face data set is named and ``datasets`` is not installed.
        OSError: if the data set cannot be had.
        ValueError: naming file and line, for what is no preference; and for a file without any.
    """
    preferences = [preference for _, preference in numbered_preferences(path, split=split)]
    if not preferences:
        raise ValueError(f"there are no pairs in {path}")
    return preferences


def numbered_preferences(path: str | Path, *, split: str = "train") -> Iterator[tuple[str, Preference]]:
    """Yield where each preference stands, "pairs.jsonl, line 3", and the preference; see ``read_preferences``."""
    for where, row in _rows(path, split):
        try:
            yield where, Preference.of(row)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error


def write_preferences(path: str | Path, preferences: Iterable[Preference]) -> None:
    """Write a JSON object a line, which TRL and ``read_preferences`` read; gzipped if ``path`` ends in ".gz"."""
    rows = ({"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in preferences)
    content = "".join(json.dumps(_with_answers_like_the_prompt(row)) + "\n" for row in rows).encode()
    path = Path(path)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def split_preferences(
    preferences: Sequence[Preference], share: float = 0.1, *, seed: int = 0
) -> tuple[list[Preference], list[Preference]]:
    """Return the preferences to train on, and the held-out ones: those of a random ``share`` of the prompts.

    Raises:
        ValueError: if one of the two would be empty.
    """
    prompts = list(dict.fromkeys(preference.text for preference in preferences))
    count = math.ceil(share * len(prompts))
    if not 0 < count < len(prompts):
        raise ValueError(f"a share of {share} of {len(prompts)} prompts leaves nothing to train on, or to hold out")
    held_out = {prompts[i] for i in np.random.default_rng(seed).permutation(len(prompts))[:count]}
    return (
        [preference for preference in preferences if preference.text not in held_out],
        [preference for preference in preferences if preference.text in held_out],
    )


def training_pairs(
    pairs: Sequence[Preference], held_out: Sequence[Preference] | None, seed: int
) -> tuple[Sequence[Preference], Sequence[Preference]]:
    """Return what a reward model is to learn from, and what it is measured on: split from the former if not given.

    Raises:
        ValueError: if one of the two is empty.
    """
    if held_out is None:
        pairs, held_out = split_preferences(pairs, seed=seed)
    if not pairs or not held_out:
        raise ValueError(f"fit needs pairs to learn from and held-out ones, got {len(pairs)} and {len(held_out)}")
    return pairs, held_out


@dataclass(frozen=True)
class AnswerPair:
    """Two answers to a problem, in the order in which they were drawn, to be compared."""

    problem: Problem
    first: str
    second: str

    def preference(self, first_is_better: bool) -> Preference:
        """Return the preference that a comparison makes of it."""
        answers = (self.first, self.second) if first_is_better else (self.second, self.first)
        return Preference(self.problem.prompt, *answers)


def sample_answers(
    policy: CausalLM,
    env_id: str,
    n: int,
    seed: int = 0,
    *,
    max_new_tokens: int = 64,
    temperature: float = 1.0,
    split: str = "train",
    group_size: int = 1,
    **env_kwargs: Any,
) -> tuple[list[Problem], list[str]]:
    """Let a policy answer ``n`` problems of an env, each ``group_size`` times.

    Args:
        policy: who answers.
        env_id: a sequence-level id with one turn.
        n: how many problems are drawn; some may be the same.
        seed: of the problems and of the answers.
        max_new_tokens: longest answer.
        temperature: of sampling.
        split: ``"train"`` or ``"test"``.
        group_size: answers to each problem, which stand together in what is returned.
        **env_kwargs: settings of the env, such as ``difficulty``.

    Returns:
        ``n * group_size`` problems, and as many answers: what a ``Reward`` takes.

    Raises:
        ValueError: if the env takes several turns.
    """
    import torch

    from textgym.agents.rollout import collect

    rows = n * group_size
    env = gym.make_vec(env_id, num_envs=rows, group_size=group_size, autoreset_mode="Disabled", **env_kwargs)
    generator = torch.Generator(policy.device).manual_seed(seed)
    rollout = collect(
        policy, env, max_new_tokens=max_new_tokens, temperature=temperature, generator=generator, seed=seed,
        options={"split": split},
    )  # fmt: skip
    if not bool((rollout.token_mask == rollout.action_mask).all()):
        raise ValueError(f"{env_id} takes several turns: there is no one answer to compare")
    return [each.problem for each in env.unwrapped.envs], rollout.responses  # type: ignore[attr-defined]


def sample_pairs(
    policy: CausalLM,
    env_id: str,
    n: int,
    seed: int = 0,
    *,
    batch_size: int = 64,
    **options: Any,
) -> list[AnswerPair]:
    """Draw ``n`` pairs of different answers to one problem each; ``options`` as in ``sample_answers``.

    A pair of equal answers is dropped, for there is nothing to compare, and another problem is drawn.

    Raises:
        ValueError: if 20 batches of ``batch_size`` pairs, one after the other, hold equal answers alone; and as
            ``sample_answers``.
    """
    pairs: list[AnswerPair] = []
    batch = misses = 0
    while len(pairs) < n:
        batch_seed = int(np.random.SeedSequence([seed, batch]).generate_state(1)[0])
        problems, answers = sample_answers(policy, env_id, batch_size, batch_seed, group_size=2, **options)
        drawn = zip(problems[::2], answers[::2], answers[1::2], strict=True)
        fresh = [AnswerPair(problem, first, second) for problem, first, second in drawn if first != second]
        batch, misses = batch + 1, 0 if fresh else misses + 1
        if misses == _MAX_BATCHES:
            raise ValueError(f"the policy's answers to a problem of {env_id} are all the same: nothing to compare")
        pairs += fresh
    return pairs[:n]


class Annotator(Protocol):
    """Compares answers."""

    def __call__(self, pairs: Sequence[AnswerPair]) -> list[Preference | None]:
        """Return what is preferred in each pair; None for a tie, or where that could not be found out."""
        ...


@dataclass(frozen=True)
class OracleAnnotator:
    """Goes by a reward, and errs as people do in the model of Bradley and Terry.

        P(first is preferred) = σ((r(first) - r(second)) / temperature)

    With temperature 0 the better reward is always preferred, and equal ones are a tie. The noise is a function of the
    seed, the prompt and the two answers: whenever, in whatever order and company a pair is shown, the verdict is the
    same. Another seed is another annotator. A pair with a reward that could not be computed has no verdict.
    """

    reward: Reward
    temperature: float = 0.0
    """In units of the reward."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the temperature."""
        if not 0.0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be >= 0 and finite, got {self.temperature}")

    def __call__(self, pairs: Sequence[AnswerPair]) -> list[Preference | None]:
        """Return what is preferred; one call of the reward."""
        if not pairs:
            return []
        problems = [pair.problem for pair in pairs for _ in range(2)]
        totals = score_batch(
            self.reward, problems, [text for pair in pairs for text in (pair.first, pair.second)]
        ).total
        differences = totals[::2] - totals[1::2]
        return [self._verdict(pair, float(difference)) for pair, difference in zip(pairs, differences, strict=True)]

    def _verdict(self, pair: AnswerPair, difference: float) -> Preference | None:
        if math.isnan(difference) or (difference == 0.0 and self.temperature == 0.0):
            return None
        if self.temperature == 0.0:
            return pair.preference(difference > 0)
        in_order = pair.first <= pair.second
        margin = (difference if in_order else -difference) / self.temperature
        words = [str(self.seed), pair.problem.prompt, *sorted((pair.first, pair.second))]
        digest = hashlib.blake2b(json.dumps(words).encode(), digest_size=8).digest()
        uniform = (int.from_bytes(digest, "big") >> 11) * 2.0**-53
        return pair.preference((uniform < 0.5 * (1.0 + math.tanh(margin / 2.0))) == in_order)


_TURN = re.compile(r"\n\n(Human|Assistant):")


def _rows(path: str | Path, split: str) -> Iterator[tuple[str, Any]]:
    if Path(path).is_file():
        return read_rows(Path(path))
    name = str(path)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.endswith((".jsonl", ".json", ".gz")):
        raise FileNotFoundError(f"no such file: {name!r}, and it is no name of a Hugging Face data set")
    return _read_hugging_face(name, split)


def _read_hugging_face(name: str, split: str) -> Iterator[tuple[str, Any]]:
    try:
        import datasets
    except ImportError as error:
        raise ImportError(f"{name!r} is no file, and as a data set it needs 'pip install datasets'") from error
    try:
        rows = datasets.load_dataset(name, split=split)
    except Exception as error:
        raise OSError(
            f"{name!r} is no file, and as a Hugging Face data set it cannot be loaded: go online once, or give the "
            f"path of a JSONL file that you have ({type(error).__name__}: {error})"
        ) from error
    yield from ((f"{name}, row {number}", row) for number, row in enumerate(rows))


def _from_transcripts(chosen: str, rejected: str) -> Preference:
    turns = [_TURN.split(text)[1:] for text in (chosen, rejected)]
    first, second = (list(zip(parts[::2], parts[1::2], strict=True)) for parts in turns)
    shared = _common(first, second)
    while shared and any(rest[shared:] and rest[shared][0] != "Assistant" for rest in (first, second)):
        shared -= 1
    if not shared or not all(rest[shared:] for rest in (first, second)):
        raise ValueError("the two transcripts have no prompt in common that the assistant answers")
    roles = {"Human": "user", "Assistant": "assistant"}
    prompt = tuple({"role": roles[role], "content": content.strip()} for role, content in first[:shared])
    answers = ("".join(f"\n\n{role}:{content}" for role, content in rest[shared:]) for rest in (first, second))
    return Preference(prompt, *(answer.removeprefix("\n\nAssistant:").strip() for answer in answers))


def _common(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Return how many elements two chats have in common at the front, and leave at least one of each."""
    most = min(len(first), len(second)) - 1
    return next((i for i in range(most) if first[i] != second[i]), most)


def _answer(name: str, value: Any) -> str:
    messages = _messages(name, value, "assistant")
    if [message["role"] for message in messages] != ["assistant"]:
        raise ValueError(f"{name} must be one message of the assistant, got {value!r:.80}")
    return messages[0]["content"]


def _messages(name: str, value: Any, role: str) -> list[Message]:
    """Return chat messages; a string is one by ``role``."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not (isinstance(value, (list, tuple)) and value and all(map(_is_message, value))):
        raise ValueError(f"{name} must be a string or a list of messages with role and content, got {value!r:.80}")
    return list(value)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("role", "content"))


def _with_answers_like_the_prompt(row: dict[str, Any]) -> dict[str, Any]:
    """Make the answers messages where the prompt is, for TRL takes no mixture."""
    if isinstance(row["prompt"], str):
        return row
    answers = {name: [{"role": "assistant", "content": row[name]}] for name in ("chosen", "rejected")}
    return {"prompt": list(row["prompt"]), **answers}
