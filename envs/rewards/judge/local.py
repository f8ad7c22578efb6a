"""``LocalBackend``: a language model in this process. It judges one prompt after the other, not in batches."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from textgym.envs.rewards.judge.backend import Reply
from textgym.envs.rewards.judge.prompts import verdicts

if TYPE_CHECKING:
    from textgym.agents.policy import CausalLM


class LocalBackend:
    """A ``CausalLM`` that replies with its most probable tokens; loaded at the first call.

    Small models keep to no form, and what they write is no verdict. With ``choose`` they write nothing: the reply is
    the most probable of all verdicts, without a thought before it, and a ``Judge`` can always read it.
    """

    def __init__(self, model: str | CausalLM, *, max_new_tokens: int = 256, choose: bool = False) -> None:
        """Take what ``CausalLM.load`` takes, or a model. A model has no ``name``: its weights may change."""
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be >= 1, got {max_new_tokens}")
        self.max_new_tokens = max_new_tokens
        self.choose = choose
        self._model = model
        self._lock = threading.Lock()
        if isinstance(model, str):
            how = "choose" if choose else f"max_new_tokens={max_new_tokens}"
            self.name = f"{os.path.abspath(model) if os.path.exists(model) else model} {how}"

    def __call__(self, prompt: str, /) -> Reply:
        """Return the reply.

        Raises:
            RuntimeError: if it was cut after ``max_new_tokens``.
            ValueError: if the prompt is too long for the model, or, with ``choose``, none of ``Judge``.
        """
        from textgym.agents.policy import CausalLM

        with self._lock:
            if isinstance(self._model, str):
                self._model = CausalLM.load(self._model)
            ids = self._model.tokenizer.encode_prompt(prompt)
            if self.choose:
                return _most_probable(self._model, ids, verdicts(prompt))
            return self._written(self._model, ids)

    def _written(self, policy: CausalLM, ids: list[int]) -> Reply:
        from textgym.agents.sampling import sample

        drawn = sample(policy, [ids], max_new_tokens=self.max_new_tokens, temperature=0.0)
        if not drawn.stopped[0]:
            raise RuntimeError(f"the reply was cut after {self.max_new_tokens} tokens")
        tokens = drawn.tokens[0][drawn.token_mask[0]].tolist()
        return Reply(policy.tokenizer.decode(tokens[:-1]), len(ids), len(tokens))


def _most_probable(policy: CausalLM, ids: list[int], texts: list[str]) -> Reply:
    """Return the text with the highest probability, its end included, after a prompt."""
    import torch

    rows = [[*policy.tokenizer.encode_response(text), policy.tokenizer.stop_id] for text in texts]
    width = max(map(len, rows))
    room = policy.context_length
    if room is not None and len(ids) + width > room:
        raise ValueError(f"a prompt of {len(ids)} tokens and a verdict of {width} exceed the context of {room}")
    tokens = torch.tensor([row + [policy.tokenizer.pad_id] * (width - len(row)) for row in rows], device=policy.device)
    mask = torch.arange(width) < torch.tensor([[len(row)] for row in rows])
    prompt_ids = torch.tensor([ids] * len(rows), device=policy.device)
    with torch.inference_mode():
        logprobs, _ = policy.logprobs(prompt_ids, torch.ones_like(prompt_ids), tokens)
    best = int(torch.where(mask.to(policy.device), logprobs, 0.0).sum(1).argmax())
    return Reply(texts[best], len(ids), len(rows[best]))
