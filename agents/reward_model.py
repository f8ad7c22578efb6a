"""``RewardModel``: a score for answers, learnt from preferences on any transformers model; and a ``Reward``.

- ``RewardModel``: one model.
- ``RewardEnsemble`` (in ``reward_ensemble``): several, which also say how sure they are.
- ``reward_training``: the loss, the loop and the metrics of ``fit``.

Left out: rewards for single steps, heads with more than one output, models with code of their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.utils import logging

from textgym.agents.loading import TINY, explained, load_tokenizer, no_progress_bar, pick_device, pick_dtype
from textgym.agents.preferences import Message, Preference, training_pairs
from textgym.agents.reward_training import FitConfig, PairMetrics, answer_lengths, pair_metrics, train
from textgym.envs.task import Problem, Score

FloatArray = NDArray[np.float64]

_LIMIT = 10.0
_SMALLEST_STD = 1e-6
"""What is less may be rounding."""
_TOKENS_AT_ONCE = 2**14
_CHARS_PER_TOKEN = 16
"""A text with more characters than this for each token of the context is too long, without a look at its tokens."""


class RewardModel:
    """Scores answers; a transformers sequence classifier with one output.

    **What it reads.** Prompt and answer as a chat, through the chat template of the tokenizer; without a template, as
    the tokenizer's pair of texts, which is text after text for GPT-2 and ``[CLS] prompt [SEP] answer [SEP]`` for BERT.
    The score is what transformers itself gives for these ids (``encode``): of decoders, the head on the last token
    that is no padding. An answer that spells a special token is read as a text that has a space in it there.

    **As a reward.** The score of ``normalise``'s answers, those of the warm start, has mean 0 and standard deviation 1;
    others are cut to ``range``, 10 standard deviations to either side. A success is a score above 0: better than the
    mean of the warm start. An answer that does not fit the context earns the least, and a score that is not finite is
    NaN with the status ``"error"``. Neither order nor company of the answers changes a score, rounding aside: nothing
    is random, there is no dropout, in ``fit`` either, and scores are computed in the model's own dtype.
    """

    range = (-_LIMIT, _LIMIT)
    partial = open = True

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Wrap a sequence classifier with one output, and its ``PreTrainedTokenizerBase``.

        Raises:
            ValueError: if it has more outputs, or the tokenizer has nothing to pad with.
        """
        if model.config.num_labels != 1:
            raise ValueError(f"a reward model has one output, this one has {model.config.num_labels}")
        text_config = model.config.get_text_config()
        if text_config.pad_token_id is None:
            pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
            if pad_id is None:
                raise ValueError(f"{type(tokenizer).__name__} has neither a pad nor an eos token")
            text_config.pad_token_id = pad_id
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.pad_id = int(text_config.pad_token_id)
        self.room = int(min(tokenizer.model_max_length, getattr(text_config, "max_position_embeddings", math.inf)))
        """Tokens of the context."""
        self._snapshot: str | None = None
        special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._special = sorted(token for token in special | set(tokenizer.all_special_tokens) if len(token) > 1)

    @classmethod
    def load(cls, name: str | Path, *, device: str = "auto", dtype: str = "auto", seed: int = 0) -> RewardModel:
        """Load a reward model, or make one of a language model with a new head.

        Args:
            name: ``"tiny"`` (comes with textgym), a folder that ``save`` or ``save_pretrained`` wrote, or a Hugging
                Face hub id: of a sequence classifier, which is taken as it is, or of any other model, which gets a
                head with weights from N(0, 1 / (size + 1)) (Huang et al., arXiv 2403.17031).
            device: ``"auto"`` takes CUDA, then Apple's MPS, then the CPU; or a torch device.
            dtype: ``"auto"`` takes float32; or a torch dtype's name. With another, how answers are batched shows in
                the last digits of their scores.
            seed: of a new head.

        Raises:
            FileNotFoundError: if there is no such model here and the hub can't be reached or doesn't have it.
            ValueError: for a classifier with several outputs, the folder of an ensemble, or an unknown dtype.
        """
        if Path(name, "ensemble.json").is_file():
            raise ValueError(f"{name} holds an ensemble: load it with RewardEnsemble.load")
        where, number_type = pick_device(device), pick_dtype(dtype)
        tokenizer = load_tokenizer(name)
        folder = str(TINY) if str(name) == "tiny" else str(name)
        with explained(name), _quiet(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            config = AutoConfig.from_pretrained(folder)
            is_classifier = any("SequenceClassification" in each for each in config.architectures or ())
            if not is_classifier:
                config.num_labels = 1
            elif config.num_labels != 1:
                raise ValueError(f"a reward model has one output, {name} has {config.num_labels}")
            model = AutoModelForSequenceClassification.from_pretrained(folder, config=config, dtype=number_type)
            if not is_classifier:
                _start_head(model)
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()  # see CausalLM.load
        return cls(model.to(where), tokenizer)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    @property
    def snapshot(self) -> str:
        """The first 16 digits of a SHA-256 of the weights and the normalisation: equal for what scores alike."""
        if self._snapshot is None:
            digest = hashlib.sha256(repr(self.normalisation).encode())
            for name, weight in sorted(self.model.state_dict().items()):
                digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
                digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
            self._snapshot = digest.hexdigest()[:16]
        return self._snapshot

    @property
    def normalisation(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the warm start's scores; None before ``normalise``."""
        mean, std = (getattr(self.model.config, name, None) for name in ("reward_mean", "reward_std"))
        return None if mean is None or std is None else (float(mean), float(std))

    def fit(
        self, pairs: Sequence[Preference], held_out: Sequence[Preference] | None = None, **settings: Any
    ) -> PairMetrics:
        """Learn from preferences; the normalisation is void then.

        Args:
            pairs: the preferences.
            held_out: what the metrics are measured on; None: on the pairs of one prompt in ten, not learnt from.
            **settings: fields of ``FitConfig``.

        Returns:
            The metrics on the held-out pairs, after training.

        Raises:
            FloatingPointError: if a gradient is not finite.
            ValueError: for pairs that don't fit the context, with their number; or for none.
        """
        config = FitConfig(**settings)
        pairs, held_out = training_pairs(pairs, held_out, config.seed)
        self._encode_pairs(held_out)  # raises before the training what it would raise after it
        chosen, rejected = self._encode_pairs(pairs)
        self._set_normalisation(None, None)
        train(self, chosen, rejected, config)
        return self.evaluate(held_out)

    def evaluate(self, pairs: Sequence[Preference]) -> PairMetrics:
        """Measure how the scores agree with preferences.

        Raises:
            ValueError: for pairs that don't fit the context, with their number; or for none.
        """
        return pair_metrics(self.pair_scores(pairs), answer_lengths(pairs))

    def pair_scores(self, pairs: Sequence[Preference]) -> FloatArray:
        """Return the scores of the chosen and of the rejected answers, float64 (2, pairs); ValueError as above."""
        chosen, rejected = self._encode_pairs(pairs)
        return self._score([*chosen, *rejected]).reshape(2, len(pairs))

    def normalise(self, problems: Sequence[Problem], responses: Sequence[str]) -> None:
        """Let the scores of these answers, those of the warm start, have mean 0 and standard deviation 1 as rewards.

        Raises:
            ValueError: if their scores are all the same, or not finite.
        """
        scores = self.scores([problem.prompt for problem in problems], responses)
        scores = scores[~np.isneginf(scores)]  # too long an answer is the worst whatever the others
        std = float(scores.std()) if len(scores) else 0.0
        if not std > _SMALLEST_STD:
            raise ValueError(f"{len(scores)} answers with scores of a standard deviation of {std} normalise nothing")
        self._set_normalisation(float(scores.mean()), std)

    def save(self, folder: str | Path) -> None:
        """Write what ``load`` reads, and what transformers loads as a sequence classifier with the same scores.

        The normalisation stands in the ``config.json``, as ``reward_mean`` and ``reward_std``.
        """
        with _quiet():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    def check_ready(self) -> None:
        """Raise ``ValueError`` before ``normalise``."""
        self._scale()

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the normalised scores.

        Raises:
            ValueError: before ``normalise``, and for a prompt that does not fit the context.
        """
        mean, std = self._scale()
        scores = self.scores([problem.prompt for problem in problems], responses)
        total = np.clip((scores - mean) / std, *self.range)
        return Score(total, total > 0, status=["error" if math.isnan(each) else "ok" for each in total])

    def scores(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        """Return the model's own scores, float64 (n,): -inf for answers that don't fit the context, NaN if not finite.

        Raises:
            ValueError: if a prompt does not fit the context.
        """
        scores = np.full(len(prompts), -math.inf)
        rows = {}
        for i, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            if len(response) <= _CHARS_PER_TOKEN * self.room:
                ids = self.encode(prompt, response)
                if len(ids) <= self.room:
                    rows[i] = ids
            if i not in rows and len(self.encode(prompt, "")) > self.room:
                raise ValueError(f"the prompt {prompt[:80]!r} alone exceeds the context of {self.room} tokens")
        scores[list(rows)] = self._score(list(rows.values()))
        return scores

    def encode(self, prompt: str | Sequence[Message], response: str) -> list[int]:
        """Return the ids that are scored, however many."""
        response = _without(self._special, response.encode("utf-8", "replace").decode("utf-8"))
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if self.tokenizer.chat_template:
            chat = [*messages, {"role": "assistant", "content": response}]
            text = self.tokenizer.apply_chat_template(chat, tokenize=False)
            return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        if len(messages) > 1:  # as HH-RLHF writes chats
            names = {"user": "Human", "assistant": "Assistant"}
            turns = [f"\n\n{names.get(m['role'], m['role'].title())}: {m['content']}" for m in messages]
            prompt, response = "".join([*turns, "\n\nAssistant:"]), f" {response}"
        else:
            prompt = messages[0]["content"]
        return list(self.tokenizer(prompt, response, verbose=False)["input_ids"])

    def logits(self, rows: Sequence[list[int]]) -> Tensor:
        """Return the score of each row of ids, (B,), differentiable."""
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[self.pad_id] * (width - len(row))] for row in rows], device=self.device)
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        mask = (torch.arange(width, device=self.device) < lengths[:, None]).long()
        logits: Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        return logits[:, 0]

    def __repr__(self) -> str:
        """Name the model and its size."""
        size = sum(parameter.numel() for parameter in self.model.parameters())
        scale = "normalised" if self.normalisation else "without a scale"
        return f"RewardModel({type(self.model).__name__}, {size:,} parameters, {scale})"

    def __deepcopy__(self, memo: dict[int, Any]) -> RewardModel:
        """Return itself: ``env.spec`` deep-copies its kwargs once for each wrapper."""
        return self

    @torch.no_grad()
    def _score(self, rows: Sequence[list[int]]) -> FloatArray:
        """Return the scores, float64 (n,), NaN if not finite; equal rows are scored once, among their like."""
        first = {tuple(row): i for i, row in reversed(list(enumerate(rows)))}
        order = sorted(first.values(), key=lambda i: (-len(rows[i]), rows[i]))
        scores = np.empty(len(rows))
        start = 0
        while start < len(order):
            piece = order[start : start + max(1, _TOKENS_AT_ONCE // len(rows[order[start]]))]
            scores[piece] = self.logits([rows[i] for i in piece]).double().cpu().numpy()
            start += len(piece)
        scores = scores[[first[tuple(row)] for row in rows]]
        return np.where(np.isfinite(scores), scores, np.nan)

    def _encode_pairs(self, pairs: Sequence[Preference]) -> tuple[list[list[int]], list[list[int]]]:
        rows: tuple[list[list[int]], list[list[int]]] = [], []
        for number, pair in enumerate(pairs):
            for answers, answer in zip(rows, (pair.chosen, pair.rejected), strict=True):
                ids = self.encode(pair.messages, answer)
                if len(ids) > self.room:
                    raise ValueError(f"pair {number}: {len(ids)} tokens exceed the context of {self.room}")
                answers.append(ids)
        return rows

    def _scale(self) -> tuple[float, float]:
        if self.normalisation is None:
            raise ValueError("the reward model has no scale yet: call normalise with answers of the warm start")
        return self.normalisation

    def _set_normalisation(self, mean: float | None, std: float | None) -> None:
        self.model.config.reward_mean, self.model.config.reward_std = mean, std
        self._snapshot = None


def _start_head(model: Any) -> None:
    """Draw the weights of the output layer anew; torch's default generator is the caller's."""
    head = [module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == 1][-1]
    nn.init.normal_(head.weight, std=1.0 / math.sqrt(head.in_features + 1))
    if head.bias is not None:
        nn.init.zeros_(head.bias)


def _without(tokens: Sequence[str], text: str) -> str:
    """Return ``text`` with a space in whatever would be read as one of these tokens."""
    for token in tokens:
        while token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence progress bars, and the report that a new head is new."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with no_progress_bar():
            yield
    finally:
        logging.set_verbosity(level)
