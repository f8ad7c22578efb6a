"""``Rollout``: the one batch contract between environments and algorithms.

``collect`` fills it with what a policy does, ``demonstrate`` with perfect responses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor

from textgym.agents.policy import CausalLM
from textgym.agents.sampling import PromptCache, pad_left, sample
from textgym.envs.vector import TokenVectorEnv


@dataclass
class Rollout:
    """B finished episodes, one a row; whatever the env's level and the number of turns.

    The masks come from counts and stop tokens, never from pad ids. Token ids are those that were sampled; no text is
    ever tokenized a second time.
    """

    prompt_ids: Tensor
    """int64 (B, P), left padded: the first prompt."""
    prompt_mask: Tensor
    """int64 (B, P), 1 where there is a token."""
    tokens: Tensor
    """int64 (B, T), right padded: responses, and in games the env's messages between them."""
    token_mask: Tensor
    """bool (B, T), True up to the end of the row."""
    action_mask: Tensor
    """bool (B, T), True where the policy sampled the token, stop tokens included."""
    logprobs: Tensor
    """float32 (B, T), as reported by the sampler at its temperature; 0 where ``action_mask`` is False."""
    rewards: Tensor
    """float32 (B, T), each on the action it was paid for; NaN where a reward could not be computed."""
    group_ids: Tensor
    """int64 (B,): rows of a group answer the same problem."""
    terminated: Tensor
    """bool (B,): the task ended the episode."""
    truncated: Tensor
    """bool (B,): a limit that is no part of the task ended it: one of a wrapper, or ``max_new_tokens`` (``cut``)."""
    cut: Tensor
    """bool (B,): ``max_new_tokens`` cut the last response of a sequence-level env, which judged it as it stood."""
    successes: Tensor
    """bool (B,): ``info["is_success"]``."""
    prompts: list[str]
    """First observation of each row as text."""
    responses: list[str]
    """Last response of each row."""
    statuses: list[str]
    """``info["reward_status"]``: ``ok``, ``timeout`` or ``error``."""
    tasks: list[str]
    """``info["task"]``, which names the task of each row where there are several; else empty texts."""
    messages: list[list[dict[str, str]]]
    """``info["messages"]``: who said what in each row, as role/content dicts, from the prompt to the end."""
    monitors: dict[str, Tensor] = field(default_factory=dict)
    """float32 (B,) under the names of ``info``: the parts of the reward (``reward/...``) and what ``MonitorReward``
    watches (``monitor/...``); NaN where a row has none."""

    @property
    def returns(self) -> Tensor:
        """Sum of rewards, float32 (B,); NaN where a reward is missing."""
        return self.rewards.sum(1)

    @property
    def width(self) -> int:
        """Columns of prompt and tokens together."""
        return self.prompt_ids.shape[1] + self.tokens.shape[1]

    @property
    def lengths(self) -> Tensor:
        """Number of sampled tokens, int64 (B,)."""
        return self.action_mask.sum(1)

    @property
    def last_response_lengths(self) -> Tensor:
        """Number of tokens of each row's last response, int64 (B,)."""
        columns = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        last_message = torch.where(self.token_mask & ~self.action_mask, columns, -1).amax(1)
        return self.token_mask.sum(1) - 1 - last_message

    def select(self, rows: Tensor) -> Rollout:
        """Return some rows (int64 indices), without the columns of padding that none of them needs."""
        width = int(self.token_mask[rows].sum(1).max()) if len(rows) else 0
        picked = rows.tolist()

        def cut(values: Tensor) -> Tensor:
            return values[rows, :width]

        prompts = int(self.prompt_mask[rows].sum(1).max()) if len(rows) else 0
        start = self.prompt_ids.shape[1] - prompts
        return Rollout(
            self.prompt_ids[rows, start:], self.prompt_mask[rows, start:], cut(self.tokens), cut(self.token_mask),
            cut(self.action_mask), cut(self.logprobs), cut(self.rewards), self.group_ids[rows], self.terminated[rows],
            self.truncated[rows], self.cut[rows], self.successes[rows], [self.prompts[i] for i in picked],
            [self.responses[i] for i in picked], [self.statuses[i] for i in picked], [self.tasks[i] for i in picked],
            [self.messages[i] for i in picked], {name: values[rows] for name, values in self.monitors.items()},
        )  # fmt: skip


def concatenate(rollouts: Sequence[Rollout]) -> Rollout:
    """Put batches together, one after the other; the group ids stay as they are."""
    if len(rollouts) == 1:
        return rollouts[0]
    values: dict[str, Any] = {}
    for name in (each.name for each in fields(Rollout)):
        parts = [getattr(rollout, name) for rollout in rollouts]
        if name == "monitors":
            values[name] = _concatenate_monitors(rollouts)
            continue
        if isinstance(parts[0], list):
            values[name] = [item for part in parts for item in part]
            continue
        if parts[0].ndim == 2:
            width = max(part.shape[1] for part in parts)
            missing = [width - part.shape[1] for part in parts]
            sides = [(more, 0) if name.startswith("prompt") else (0, more) for more in missing]
            parts = [torch.nn.functional.pad(part, side) for part, side in zip(parts, sides, strict=True)]
        values[name] = torch.cat(parts)
    return Rollout(**values)


def _concatenate_monitors(rollouts: Sequence[Rollout]) -> dict[str, Tensor]:
    missing = [torch.full_like(rollout.returns, torch.nan) for rollout in rollouts]
    names = dict.fromkeys(name for rollout in rollouts for name in rollout.monitors)
    return {
        name: torch.cat([rollout.monitors.get(name, nan) for rollout, nan in zip(rollouts, missing, strict=True)])
        for name in names
    }


def success_by_task(rollouts: Sequence[Rollout]) -> dict[str, tuple[int, int]]:
    """Return for each task that a row names how many of its scored rows are successes, and how many there are."""
    counts: dict[str, tuple[int, int]] = {}
    for rollout in rollouts:
        scored, successes = torch.isfinite(rollout.returns).tolist(), rollout.successes.tolist()
        for task, is_scored, success in zip(rollout.tasks, scored, successes, strict=True):
            if task and is_scored:
                right, count = counts.get(task, (0, 0))
                counts[task] = (right + success, count + 1)
    return counts


@dataclass
class Row:
    """One episode, maybe under way: the ids so far, and what is known of each id after the prompt."""

    context: list[int]
    prompt: str
    prompt_length: int
    actions: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    response: str = ""
    status: str = "ok"
    task: str = ""
    messages: list[dict[str, str]] = field(default_factory=list)
    monitors: dict[str, float] = field(default_factory=dict)
    success: bool = False
    terminated: bool = False
    truncated: bool = False
    cut: bool = False

    def add(self, ids: Sequence[int], action: bool, logprobs: Sequence[float], rewards: Sequence[float]) -> None:
        """Append tokens: of the policy if ``action``, else of the env."""
        self.context += ids
        self.actions += [action] * len(ids)
        self.logprobs += logprobs
        self.rewards += rewards


def collect(
    policy: CausalLM,
    env: VectorEnv[Any, Any, Any],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
) -> Rollout:
    """Reset ``env`` and play one episode in each sub-env.

    Args:
        policy: who answers.
        env: a ``TextVectorEnv`` or ``TokenVectorEnv`` with autoreset disabled. A token env must use the policy's
            vocabulary; its own ``max_tokens`` then limits a response.
        max_new_tokens: longest response in a sequence-level env.
        temperature: of sampling; 0 is greedy.
        generator: random stream of the sampling.
        seed: for ``env.reset``.
        options: for ``env.reset``.

    Raises:
        ValueError: if the env resets itself, or speaks another vocabulary, or the policy's context is too short.
        FloatingPointError: if the policy's log-probabilities are not finite.
    """
    prompt_cache = PromptCache()

    def draw(level: _SequenceLevel | _TokenLevel, rows: list[Row], running: list[int]) -> list[_Drawn]:
        samples = sample(
            policy,
            [rows[i].context for i in running],
            max_new_tokens=level.limit(max_new_tokens),
            temperature=temperature,
            generator=generator,
            prompt_cache=prompt_cache,
        )
        if not torch.isfinite(samples.logprobs).all():
            raise FloatingPointError("the policy's log-probabilities are not finite: look at its weights and dtype")
        lengths = samples.token_mask.sum(1).tolist()
        drawn = zip(samples.tokens.tolist(), samples.logprobs.tolist(), lengths, samples.stopped.tolist(), strict=True)
        return [(ids[:length], logprobs[:length], stopped) for ids, logprobs, length, stopped in drawn]

    with policy.gathered():
        return _play(policy, env, draw, seed, options)


def demonstrate(
    policy: CausalLM,
    env: VectorEnv[Any, Any, Any],
    *,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
) -> Rollout:
    """Reset ``env`` and let its own ``solution()`` play one episode in each sub-env; ``logprobs`` are 0.

    Raises:
        ValueError: as ``collect``, and where the env knows no solution.
    """

    def solve(level: _SequenceLevel | _TokenLevel, rows: list[Row], running: list[int]) -> list[_Drawn]:
        drawn: list[_Drawn] = []
        for i in running:
            text = env.unwrapped.envs[i].solution()  # type: ignore[attr-defined]
            if text is None:
                raise ValueError(f"{env} knows no solution to {rows[i].prompt!r:.80}")
            ids = [*policy.tokenizer.encode_response(text), policy.tokenizer.stop_id]
            drawn.append((ids, [0.0] * len(ids), True))
        return drawn

    return _play(policy, env, solve, seed, options)


_Drawn = tuple[list[int], list[float], bool]
"""A response: its token ids, their log-probabilities, and whether it ended with the stop token."""


def _play(
    policy: CausalLM,
    env: VectorEnv[Any, Any, Any],
    answer: Callable[[Any, list[Row], list[int]], list[_Drawn]],
    seed: int | None,
    options: dict[str, Any] | None,
) -> Rollout:
    """Play one episode in each sub-env with the responses that ``answer`` gives to the rows still running."""
    if env.metadata.get("autoreset_mode") != AutoresetMode.DISABLED:
        raise ValueError("a rollout needs an env with autoreset_mode='Disabled': one episode in each sub-env")
    level: _SequenceLevel | _TokenLevel
    if not isinstance(env.unwrapped, TokenVectorEnv):
        level = _SequenceLevel(policy, env)
    else:
        level = _TokenLevel(policy, env) if env is env.unwrapped else _WrappedTokenLevel(policy, env)
    rows = level.reset(seed, options)
    running = list(range(len(rows)))
    while running:
        running = level.play(rows, running, answer(level, rows, running))
    return stack(policy, rows, getattr(env.unwrapped, "group_ids", np.arange(len(rows))))


class _SequenceLevel:
    """Hands whole responses to an env of texts."""

    def __init__(self, policy: CausalLM, env: VectorEnv[Any, Any, Any]) -> None:
        self.policy = policy
        self.env = env

    def limit(self, max_new_tokens: int) -> int:
        return max_new_tokens

    def reset(self, seed: int | None, options: dict[str, Any] | None) -> list[Row]:
        prompts, _ = self.env.reset(seed=seed, options=options)
        contexts = {prompt: self.policy.tokenizer.encode_prompt(prompt) for prompt in dict.fromkeys(prompts)}
        return [Row(list(contexts[prompt]), prompt, len(contexts[prompt])) for prompt in prompts]

    def play(self, rows: list[Row], running: list[int], drawn: list[_Drawn]) -> list[int]:
        """Step the env with these responses; return the rows that go on."""
        responses = [""] * len(rows)
        for i, (ids, _, _) in zip(running, drawn, strict=True):
            responses[i] = self.policy.tokenizer.decode(ids)
        messages, rewards, terminations, truncations, infos = self.env.step(responses)
        go_on = []
        for i, (ids, logprobs, stopped) in zip(running, drawn, strict=True):
            row = rows[i]
            row.add(ids, True, logprobs, [0.0] * (len(ids) - 1) + [float(rewards[i])])
            row.response = responses[i]
            if terminations[i] or truncations[i]:
                row.cut = bool(terminations[i]) and not stopped
                row.truncated = row.cut or not terminations[i]
                row.terminated = not row.truncated
                _note_end(row, infos, i)
            else:
                reply = self.policy.tokenizer.encode_reply(messages[i], stopped=stopped)
                row.add(reply, False, [0.0] * len(reply), [0.0] * len(reply))
                go_on.append(i)
        return go_on


class _TokenLevel:
    """Hands token ids to an env that shares the policy's vocabulary."""

    def __init__(self, policy: CausalLM, env: VectorEnv[Any, Any, Any]) -> None:
        self.env = env
        self.token_env: TokenVectorEnv = env.unwrapped  # type: ignore[assignment]
        theirs = self.token_env.tokenizer
        if (theirs.vocab_size, theirs.stop_id) != (policy.tokenizer.vocab_size, policy.tokenizer.stop_id):
            raise ValueError(
                f"the env's vocabulary ({theirs.vocab_size} tokens) is not the policy's "
                f"({policy.tokenizer.vocab_size}): make the env with tokenizer=policy.tokenizer"
            )

    def limit(self, max_new_tokens: int) -> int:
        return self.token_env.max_tokens

    def reset(self, seed: int | None, options: dict[str, Any] | None) -> list[Row]:
        self.env.reset(seed=seed, options=options)
        prompts = [str(env.messages[0]["content"]) for env in self.token_env.envs]
        contexts = self.token_env.contexts
        return [Row(list(ids), prompt, len(ids)) for ids, prompt in zip(contexts, prompts, strict=True)]

    def play(self, rows: list[Row], running: list[int], drawn: list[_Drawn]) -> list[int]:
        """Step the env with these tokens; return the rows that go on."""
        shape = (len(rows), max(len(ids) for ids, _, _ in drawn))
        tokens, mask = np.zeros(shape, np.int64), np.zeros(shape, bool)
        for i, (ids, _, _) in zip(running, drawn, strict=True):
            tokens[i, : len(ids)], mask[i, : len(ids)] = ids, True
        _, rewards, terminations, truncations, infos = self.token_env.step_tokens(tokens, mask)
        go_on = []
        for i, (ids, logprobs, _) in zip(running, drawn, strict=True):
            row = rows[i]
            row.add(ids, True, logprobs, rewards[i, : len(ids)].tolist())
            row.response = self.token_env.tokenizer.decode(ids)
            if terminations[i] or truncations[i]:
                row.terminated, row.truncated = bool(terminations[i]), not terminations[i]
                _note_end(row, infos, i)
            else:
                reply = self.token_env.contexts[i][len(row.context) :]
                row.add(reply, False, [0.0] * len(reply), [0.0] * len(reply))
                go_on.append(i)
        return go_on


class _WrappedTokenLevel(_TokenLevel):
    """The same through wrappers, which see and may pay every token: one step for each."""

    def __init__(self, policy: CausalLM, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(policy, env)
        if env.single_action_space != self.token_env.single_action_space:
            raise ValueError(f"the actions of {env} are no longer the tokens: a language model can't play it")
        self.pending: dict[int, list[tuple[int, float]]] = {}  # what each running row has yet to play, last token first
        self.played: dict[int, list[int]] = {}

    def play(self, rows: list[Row], running: list[int], drawn: list[_Drawn]) -> list[int]:
        """Step the env until some row needs another response; return those that do."""
        for i, (ids, logprobs, _) in zip(running, drawn, strict=True):
            self.pending[i], self.played[i] = list(zip(ids, logprobs, strict=True))[::-1], []
        go_on: list[int] = []
        while self.pending and not go_on:
            tokens = np.full(len(rows), self.token_env.tokenizer.stop_id)
            for i, left in self.pending.items():
                tokens[i] = left[-1][0]
            _, rewards, terminations, truncations, infos = self.env.step(tokens)
            for i in list(self.pending):
                row, (token, logprob) = rows[i], self.pending[i].pop()
                row.add([token], True, [logprob], [float(rewards[i])])
                self.played[i].append(token)
                if terminations[i] or truncations[i]:
                    row.terminated, row.truncated = bool(terminations[i]), not terminations[i]
                    row.response = self.token_env.tokenizer.decode(self.played[i])
                    _note_end(row, infos, i)
                    del self.pending[i]
                elif not self.pending[i]:
                    reply = self.token_env.contexts[i][len(row.context) :]
                    row.add(reply, False, [0.0] * len(reply), [0.0] * len(reply))
                    go_on.append(i)
                    del self.pending[i]
        return go_on


def _note_end(row: Row, infos: dict[str, Any], i: int) -> None:
    if "is_success" in infos and infos["_is_success"][i]:
        row.success = bool(infos["is_success"][i])
    if "reward_status" in infos and infos["_reward_status"][i]:
        row.status = str(infos["reward_status"][i])
    if "task" in infos and infos["_task"][i]:
        row.task = str(infos["task"][i])
    if "messages" in infos and infos["_messages"][i]:
        row.messages = infos["messages"][i]
    for name in infos:
        if name.startswith(("reward/", "monitor/")) and infos[f"_{name}"][i]:
            row.monitors[name] = float(infos[name][i])


def stack(policy: CausalLM, rows: list[Row], group_ids: Any) -> Rollout:
    """Put episodes together as tensors on the policy's device; ``group_ids`` integers, one for each row."""
    device, pad_id = policy.device, policy.tokenizer.pad_id
    prompt_ids, prompt_mask = pad_left([row.context[: row.prompt_length] for row in rows], pad_id, device)
    lengths = torch.tensor([len(row.actions) for row in rows], device=device)
    width = int(lengths.max())

    def pad(values: Sequence[Any], fill: Any) -> list[Any]:
        return [*values, *[fill] * (width - len(values))]

    return Rollout(
        prompt_ids=prompt_ids,
        prompt_mask=prompt_mask,
        tokens=torch.tensor([pad(row.context[row.prompt_length :], pad_id) for row in rows], device=device),
        token_mask=torch.arange(width, device=device) < lengths[:, None],
        action_mask=torch.tensor([pad(row.actions, False) for row in rows], device=device),
        logprobs=torch.tensor([pad(row.logprobs, 0.0) for row in rows], device=device),
        rewards=torch.tensor([pad(row.rewards, 0.0) for row in rows], device=device),
        group_ids=torch.as_tensor(np.asarray(group_ids), device=device),
        terminated=torch.tensor([row.terminated for row in rows], device=device),
        truncated=torch.tensor([row.truncated for row in rows], device=device),
        cut=torch.tensor([row.cut for row in rows], device=device),
        successes=torch.tensor([row.success for row in rows], device=device),
        prompts=[row.prompt for row in rows],
        responses=[row.response for row in rows],
        statuses=[row.status for row in rows],
        tasks=[row.task for row in rows],
        messages=[row.messages or _one_turn(row) for row in rows],
        monitors={
            name: torch.tensor([row.monitors.get(name, torch.nan) for row in rows], device=device)
            for name in dict.fromkeys(name for row in rows for name in row.monitors)
        },
    )


def _one_turn(row: Row) -> list[dict[str, str]]:
    return [{"role": "user", "content": row.prompt}, {"role": "assistant", "content": row.response}]
