"""``CausalLM``: a transformers language model as a policy, from a hub id, a folder, a GGUF file or ``"tiny"``."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.modeling_layers import GradientCheckpointingLayer

from textgym.agents import sharding
from textgym.agents.distributed import processes
from textgym.agents.loading import (
    dequantized,
    explained,
    load_tokenizer,
    locate,
    no_progress_bar,
    pick_device,
    pick_dtype,
    without_dropout,
)
from textgym.agents.lora import add_adapter, load_adapter, plain_weights, save_adapter
from textgym.agents.packing import attention_reach, forward_cost, pack, packed_states, takes_packing
from textgym.agents.readout import logprobs_and_entropies
from textgym.envs.tokenizers import ChatTokenizer


class CausalLM:
    """A causal language model, its tokenizer, and the log-probabilities that training needs.

    The model stays in eval mode with every dropout at 0, in sampling and in training alike, so that both see the same
    distribution (a dropout in one of them is a ratio that is not 1).
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Wrap a ``PreTrainedModel`` and its ``PreTrainedTokenizerBase``."""
        self.model = without_dropout(model)
        self.tokenizer = ChatTokenizer(tokenizer)
        self.bf16 = False
        """Whether forward passes run under bfloat16 autocast; weights and what losses are made of stay as they are."""
        self.gradient_checkpointing = False
        """Whether the layers compute their activations again for the gradient instead of keeping them."""
        self.lora: Any = None
        """peft's handle after ``add_lora``."""
        self.adapter_is_off = False
        self.is_gathered = False
        """Whether a sharded model is whole in this process, for a time."""
        self._unfrozen: list[nn.Parameter] = []
        self._trunk_is_known = False
        self._takes_packing = False

    @classmethod
    def load(cls, name: str | Path, *, device: str = "auto", dtype: str = "auto") -> CausalLM:
        """Load a policy.

        Args:
            name: ``"tiny"`` (comes with textgym), a folder that ``save_pretrained`` wrote, a ``.gguf`` file (extra
                ``textgym[gguf]``), or a Hugging Face hub id.
            device: ``"auto"`` takes CUDA, then Apple's MPS, then the CPU; or a torch device.
            dtype: ``"auto"`` takes float32, whose precision the small steps of RL need; or a torch dtype's name.

        Raises:
            FileNotFoundError: if there is no such model here and the hub can't be reached or doesn't have it.
            ValueError: for an unknown dtype.
        """
        where = pick_device(device)
        number_type = pick_dtype(dtype)
        folder, options = locate(name)
        with explained(name), no_progress_bar():
            model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=number_type, **dequantized(options))
        for parameter in model.parameters():
            # Weights mapped from a file lie at odd addresses, where matrix products round differently: a resumed run
            # would drift from the one it continues.
            parameter.data = parameter.data.clone()
        return cls(model.to(where), load_tokenizer(name))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    @property
    def context_length(self) -> int | None:
        """How many positions the model has for tokens; None if it states no limit."""
        return getattr(self.model.config, "max_position_embeddings", None)

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the trainable parameters."""
        return (parameter for parameter in self.model.parameters() if parameter.requires_grad)

    def add_lora(self, rank: int, alpha: float = 32.0, *, seed: int = 0) -> None:
        """Freeze the weights, and train low-rank additions to all linear layers but the output; they begin at 0.

        Args:
            rank: of the additions.
            alpha: they are scaled by ``alpha / rank``.
            seed: of the random half of their factors.

        Raises:
            ImportError: without the extra ``textgym[lora]``.
            ValueError: if there is an adapter already.
        """
        if self.lora is not None:
            raise ValueError("the policy has an adapter: merge_lora makes it part of the weights")
        unfrozen = list(self.parameters())
        self.lora, self._unfrozen = add_adapter(self.model, rank, alpha, seed), unfrozen

    def merge_lora(self) -> None:
        """Make the adapter, if there is one, part of the weights, which are trainable again."""
        if self.lora is not None:
            self.model, self.lora = self.lora.merge_and_unload(), None
            for parameter in self._unfrozen:
                parameter.requires_grad_()

    def reference(self) -> CausalLM:
        """Return the policy to compare with later: with LoRA the same weights with the adapter off, else a copy."""
        if self.lora is None:
            return copy.deepcopy(self)
        shared = copy.copy(self)
        shared.adapter_is_off = True
        return shared

    def shard(self) -> None:
        """Keep one piece of the model in each process; see ``agents.sharding``.

        Raises:
            ValueError: if it was sharded before, for another agent.
        """
        if self.is_sharded:
            raise ValueError("the policy was sharded for another agent: load it again")
        sharding.shard(self.model, torch.tensor([[0, 1]], device=self.device))

    @property
    def is_sharded(self) -> bool:
        """Whether each process has only a piece of the model."""
        return sharding.is_sharded(self.model)

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """Surround sampling, in every process: a sharded model is whole here for a time."""
        if not self.is_sharded or self.is_gathered:
            yield
            return
        self.is_gathered = True
        try:
            with sharding.gathered(self.model):
                yield
        finally:
            self.is_gathered = False

    def save(self, folder: str | Path) -> None:
        """Write model and tokenizer so that ``transformers`` itself can load them; an adapter is merged in there.

        Under ``accelerate launch`` every process calls it, and the main one writes.
        """
        self._save(folder, merged=True)

    def save_apart(self, folder: str | Path) -> None:
        """Write ``folder/model`` as ``save`` does, but leave an adapter to ``folder/adapter``, in peft's format."""
        self._save(Path(folder, "model"), merged=False)
        if self.lora is not None:
            weights = sharding.full_state(self.lora)
            if processes().is_main_process:
                save_adapter(self.lora, weights, Path(folder, "adapter"))

    def load_adapter(self, folder: str | Path) -> None:
        """Read the adapter that ``save_apart`` wrote, after ``add_lora`` with the same rank."""
        load_adapter(self.lora, Path(folder, "adapter"))

    def _save(self, folder: str | Path, merged: bool) -> None:
        weights = sharding.full_state(self.model)
        if self.lora is not None:
            with self.gathered():
                weights = plain_weights(self.lora, weights, merged=merged)
        if not processes().is_main_process:
            return
        with no_progress_bar():
            self.model.save_pretrained(folder, state_dict=weights)
            self.tokenizer.hf.save_pretrained(folder)

    @contextlib.contextmanager
    def forward_pass(self) -> Iterator[None]:
        """Surround a forward pass of ``model``: bfloat16 if ``bf16``, and the adapter off in a ``reference``."""
        with contextlib.ExitStack() as stack:
            if self.bf16:
                stack.enter_context(torch.autocast(self.device.type, torch.bfloat16))
            if self.adapter_is_off:
                stack.enter_context(self.lora.disable_adapter())
            if self.is_sharded:
                stack.enter_context(sharding.rest_gathered(self.model))
            yield

    def logprobs(
        self,
        prompt_ids: Tensor,
        prompt_mask: Tensor,
        tokens: Tensor,
        *,
        wanted: Tensor | None = None,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Return log pi(token | what precedes it), differentiable, and the entropy of that distribution, which is not.

        See ``evaluate_tokens``.
        """
        evaluated = self.evaluate_tokens(prompt_ids, prompt_mask, tokens, wanted=wanted, temperature=temperature)
        return evaluated.logprobs, evaluated.entropies

    def evaluate_tokens(
        self,
        prompt_ids: Tensor,
        prompt_mask: Tensor,
        tokens: Tensor,
        *,
        wanted: Tensor | None = None,
        temperature: float = 1.0,
        entropy_gradient: bool = False,
    ) -> Evaluated:
        """Compute what training needs to know of given tokens.

        A prompt that several rows share is computed once, and so are its gradients; rows are packed where that is less
        work (see ``agents.packing``). Logits are made of the wanted tokens' states alone, in pieces, and again for the
        gradient, so that those of a large vocabulary never exist as a whole.

        Args:
            prompt_ids: int64 (B, P), left padded.
            prompt_mask: (B, P), 1 where there is a token.
            tokens: int64 (B, T), right padded.
            wanted: bool (B, T), the tokens whose results are wanted; None for all. The others' log-probabilities and
                entropies are 0, and what follows the last of a row is padding: its states mean nothing.
            temperature: logits are divided by it, as in sampling.
            entropy_gradient: whether the entropies are differentiable, too.

        Raises:
            NotImplementedError: for a model whose logits are not what its output layer makes of its last states.
        """
        states = self.states(prompt_ids, prompt_mask, tokens, wanted)
        where = torch.nonzero((torch.ones_like(tokens) if wanted is None else wanted).flatten()).squeeze(1)
        flat, targets = states.flatten(0, 1).index_select(0, where), tokens.flatten()[where]
        pieces = []
        size = max(1, _MAX_LOGITS // len(self.model.get_output_embeddings().weight))
        with self.forward_pass():
            for some, theirs in zip(flat.split(size), targets.split(size), strict=True):
                if len(flat) > size and torch.is_grad_enabled():
                    pieces.append(checkpoint(self._read_out, some, theirs, temperature, use_reentrant=False))
                else:
                    pieces.append(self._read_out(some, theirs, temperature))
        nothing = torch.zeros(tokens.numel(), device=tokens.device)
        logprobs, entropies = (
            nothing.index_copy(0, where, torch.cat(part)).view(tokens.shape) for part in zip(*pieces, strict=True)
        )
        return Evaluated(logprobs, entropies if entropy_gradient else entropies.detach(), states)

    def _read_out(self, states: Tensor, tokens: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies, float32 (N,), from states (N, size) and tokens (N,)."""
        return logprobs_and_entropies(self.logits(states), tokens, temperature)

    def logits(self, states: Tensor) -> Tensor:
        """Return what the output layer makes of last hidden states, (..., size) to (..., vocabulary)."""
        logits: Tensor = self.model.get_output_embeddings()(states)
        softcap = getattr(self.model.config, "final_logit_softcapping", None)  # Gemma 2
        return logits if softcap is None else torch.tanh(logits / softcap) * softcap

    def states(self, prompt_ids: Tensor, prompt_mask: Tensor, tokens: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Return the last hidden states (B, T, size) that predict ``tokens``; see ``evaluate_tokens`` for the rest."""
        trunk = self.trunk()
        if self.gradient_checkpointing and torch.is_grad_enabled():
            with self.forward_pass(), _recomputing(trunk):
                return self._states(trunk, prompt_ids, prompt_mask, tokens, wanted, share=False)
        with self.forward_pass():
            return self._states(trunk, prompt_ids, prompt_mask, tokens, wanted, share=not self.is_sharded)

    def _states(
        self,
        trunk: Any,
        prompt_ids: Tensor,
        prompt_mask: Tensor,
        tokens: Tensor,
        wanted: Tensor | None,
        share: bool,
    ) -> Tensor:
        """Compute ``states`` row by row, or with equal prompts in a cache if they may ``share`` it, or packed.

        Packing takes no cache and one pass, so it is open to layers that are recomputed and to sharded weights, too.
        """
        rows, width = tokens.shape
        if tokens.numel() == 0:  # one row that nobody sees all the same: gathering sharded weights takes all processes
            nothing: Tensor = trunk(input_ids=tokens.new_zeros(1, 1), use_cache=False).last_hidden_state
            return nothing.expand(rows, width, -1)
        marked = torch.where(prompt_mask.bool(), prompt_ids, -1)
        unique, inverse = torch.unique(marked, dim=0, return_inverse=True)
        share = share and len(unique) < rows
        columns, size = prompt_ids.shape[1] + width - 1, self._hidden_size
        work = forward_cost(rows * (width - 1 if share else columns), columns, size)
        if share:
            work += forward_cost(unique.numel(), prompt_ids.shape[1], size)
        if self._takes_packing and columns <= attention_reach(self.model.config):
            packing = pack(unique >= 0, inverse, torch.ones_like(tokens) if wanted is None else wanted, size, work)
            if packing is not None:
                return packed_states(trunk, packing, prompt_ids, tokens)
        position_ids = _positions_up_to(prompt_mask, tokens, wanted)
        if not share:
            inputs = torch.cat([prompt_ids, tokens[:, :-1]], 1)
            mask = torch.cat([prompt_mask, torch.ones_like(tokens[:, :-1])], 1)
            out = trunk(input_ids=inputs, attention_mask=mask, position_ids=position_ids, use_cache=False)
            states: Tensor = out.last_hidden_state[:, -width:]
            return states
        shared_mask = (unique >= 0).long()
        cache = DynamicCache(config=self.model.config)
        out = trunk(
            input_ids=unique.clamp(0),
            attention_mask=shared_mask,
            position_ids=positions(shared_mask),
            past_key_values=cache,
            use_cache=True,
        )
        first: Tensor = out.last_hidden_state[:, -1:][inverse]
        if width == 1:
            return first
        cache.batch_select_indices(inverse)
        mask = torch.cat([shared_mask[inverse], torch.ones_like(tokens[:, :-1])], 1)
        rest = trunk(
            input_ids=tokens[:, :-1],
            attention_mask=mask,
            position_ids=position_ids[:, prompt_ids.shape[1] :],
            past_key_values=cache,
            use_cache=True,
        )
        return torch.cat([first, rest.last_hidden_state], 1)

    @property
    def state_size(self) -> int:
        """How many numbers the hidden states of one token are, of all layers."""
        layers: int = self.model.config.get_text_config().num_hidden_layers
        return layers * self._hidden_size

    @property
    def _hidden_size(self) -> int:
        size: int = self.model.get_output_embeddings().weight.shape[1]
        return size

    def trunk(self) -> Any:
        """Return the model without its output layer, having seen once that the two make the whole."""
        trunk = self.model.base_model
        if not self._trunk_is_known:
            probe = torch.tensor([[0, 1]], device=self.device)
            with torch.no_grad(), self.gathered():
                whole = self.model(input_ids=probe).logits
                if not torch.allclose(whole, self.logits(trunk(input_ids=probe).last_hidden_state), atol=1e-3):
                    raise NotImplementedError(
                        f"{type(self.model).__name__} does something to its logits that textgym does not know"
                    )
                self._takes_packing = takes_packing(trunk)
            self._trunk_is_known = True
        return trunk


@contextlib.contextmanager
def _recomputing(trunk: nn.Module) -> Iterator[None]:
    """Checkpoint every layer that transformers can; it does so in training mode, which here those layers alone enter.

    They have no cache then, so prompts can't be shared.
    """
    layers: list[Any] = [module for module in trunk.modules() if isinstance(module, GradientCheckpointingLayer)]
    for layer in layers:
        layer.gradient_checkpointing = layer.training = True
        layer._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = layer.training = False


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What a policy makes of given tokens."""

    logprobs: Tensor
    """float32 (B, T): log pi(token | what precedes it), at the temperature."""
    entropies: Tensor
    """float32 (B, T): entropy of that distribution, in nats."""
    states: Tensor
    """(B, T, size): the last hidden state from which the token was predicted, of the model's dtype."""


_MAX_LOGITS = 2**24
"""Logits in one piece: 64 MB in float32."""


def _positions_up_to(prompt_mask: Tensor, tokens: Tensor, wanted: Tensor | None) -> Tensor:
    """Return position ids for prompts and all but the last of the tokens, (B, P + T - 1).

    They stand still behind a row's last wanted token: a long prompt and another row's long answer may together exceed
    the positions that the model has.
    """
    if wanted is None:
        wanted = torch.ones_like(tokens, dtype=torch.bool)
    leads_to_one = wanted.flip(1).cumsum(1).flip(1)[:, 1:] > 0
    return positions(torch.cat([prompt_mask, leads_to_one], 1))


def positions(mask: Tensor) -> Tensor:
    """Return position ids that start at 0 with the first real token of each row, int64 like ``mask``.

    Left padding shifts the default ``arange`` positions; a model with absolute positions (GPT-2) then computes
    something else for the same text.
    """
    return (mask.long().cumsum(1) - 1).clamp(min=0)
