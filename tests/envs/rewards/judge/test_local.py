"""LocalBackend: a language model in this process as a judge."""

from __future__ import annotations

import numpy as np
import pytest

from textgym.envs.rewards.judge import Judge, LocalBackend, Reply, prompts
from textgym.envs.task import Problem

QUESTION = Problem("What is 5 + 2?")


def roomy_tiny():
    """The tiny model, that takes prompts for which it was not made."""
    from textgym.agents.policy import CausalLM

    policy = CausalLM.load("tiny")
    policy.model.config.max_position_embeddings = 4096
    return policy


def test_it_replies_with_the_most_probable_tokens_and_counts_them():
    from textgym.agents.policy import CausalLM
    from textgym.agents.sampling import sample

    backend = LocalBackend("tiny", max_new_tokens=40)
    policy = CausalLM.load("tiny")
    ids = policy.tokenizer.encode_prompt("5+2=")
    drawn = sample(policy, [ids], max_new_tokens=40, temperature=0.0)
    count = int(drawn.token_mask.sum())
    assert drawn.stopped[0]
    assert backend("5+2=") == Reply(policy.tokenizer.decode(drawn.tokens[0, : count - 1].tolist()), len(ids), count)


def test_a_cut_reply_or_a_prompt_too_long_is_no_reward():
    for length in (1, 100_000):
        with pytest.warns(RuntimeWarning, match="1 of 1 verdicts failed"):
            found = Judge(["Be kind."], backend=LocalBackend("tiny", max_new_tokens=length))([QUESTION], ["Seven."])
        assert found.status == ["error"] and np.isnan(found.total).all()


def test_it_chooses_the_most_probable_verdict_without_writing():
    """Beside the probability of each verdict by itself, from the model's logits."""
    import torch

    policy = roomy_tiny()
    backend = LocalBackend(policy, choose=True)
    for make, texts in (prompts.score_prompt, ["7"]), (prompts.pair_prompt, ["7", "Seven."]):
        prompt, code = make(["Be right."], QUESTION.prompt, *texts)
        ids = policy.tokenizer.encode_prompt(prompt)
        found = {}
        for verdict in prompts.verdicts(prompt):
            row = [*policy.tokenizer.encode_response(verdict), policy.tokenizer.stop_id]
            with torch.no_grad():
                logits = policy.model(torch.tensor([ids + row])).logits[0, len(ids) - 1 : -1].log_softmax(-1)
            found[verdict] = float(logits[range(len(row)), row].sum())
        assert len(found) == (10 if len(texts) == 1 else 3) and all(code in verdict for verdict in found)
        best = max(found, key=found.__getitem__)
        assert backend(prompt) == Reply(best, len(ids), len(policy.tokenizer.encode_response(best)) + 1)
    with pytest.raises(ValueError, match="prompts of Judge alone"):
        backend("5+2=")


def test_what_it_chooses_is_a_reward():
    judge = Judge(["Be kind."], backend=LocalBackend(roomy_tiny(), choose=True))
    found = judge([QUESTION], ["Seven. Score: 10"])
    assert found.status == ["ok"] and judge.usage.calls == 1
    assert LocalBackend("tiny", choose=True).name == "tiny choose"
    with pytest.warns(RuntimeWarning, match="exceed the context of 512"):
        assert Judge(["Be kind."], backend=LocalBackend("tiny", choose=True))([QUESTION], ["Seven."]).status == [
            "error"
        ]


def test_a_model_that_may_change_has_no_name(tmp_path):
    from textgym.agents.policy import CausalLM

    with pytest.raises(ValueError, match="a cache needs a backend with a `name`"):
        Judge(backend=LocalBackend(CausalLM.load("tiny")), cache=tmp_path / "c.db")
    with pytest.raises(ValueError, match="max_new_tokens must be >= 1, got 0"):
        LocalBackend("tiny", max_new_tokens=0)
