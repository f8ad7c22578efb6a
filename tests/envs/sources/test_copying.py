"""Copying and reversing. Run: pytest tests/envs/sources/test_copying.py"""

from __future__ import annotations

import numpy as np
import pytest

from textgym.envs.sources import CopySource, ReverseSource


def test_the_answers_are_the_text_and_the_text_backwards():
    copy = CopySource().draw(np.random.default_rng(0))
    reverse = ReverseSource().draw(np.random.default_rng(0))
    text = copy.answer
    assert copy.prompt == f"Copy this text: {text}"
    assert reverse.prompt == f"Write this text backwards: {text}"
    assert reverse.answer == "".join(reversed(text))
    assert CopySource().solution(copy) == text


def test_lengths_and_characters_are_those_asked_for():
    source = CopySource(min_length=2, max_length=4, alphabet="xyz")
    rng = np.random.default_rng(0)
    texts = [source.draw(rng).answer for _ in range(300)]
    assert {len(text) for text in texts} == {2, 3, 4}
    assert set("".join(texts)) == set("xyz")
    assert source.charset == "".join(sorted(set("Copy this text: xyz")))


def test_the_key_does_not_depend_on_the_wording():
    one, two = CopySource(), CopySource(template="{text} again:")
    assert one.draw(np.random.default_rng(3)).key == two.draw(np.random.default_rng(3)).key
    assert one.draw(np.random.default_rng(3)).key != ReverseSource().draw(np.random.default_rng(3)).key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_length": 0}, "min_length must be a whole number at least 1, got 0"),
        ({"min_length": True}, "min_length must be a whole number at least 1, got True"),
        ({"max_length": 2}, r"max_length must be a whole number from 3 to 65536 \(min_length\), got 2"),
        ({"max_length": 2**16 + 1}, "max_length .* got 65537"),
        ({"max_length": 5.0}, "max_length .* got 5.0"),
        ({"alphabet": ""}, "alphabet must be one or more different characters, none of them white, got ''"),
        ({"alphabet": "aba"}, "alphabet .* got 'aba'"),
        ({"alphabet": "a b"}, "alphabet .* got 'a b'"),
        ({"alphabet": "ab\n"}, "alphabet .* got "),
        ({"alphabet": ["a"]}, "alphabet .* got "),
    ],
)
@pytest.mark.parametrize("cls", [CopySource, ReverseSource])
def test_wrong_settings(cls, settings, message):
    with pytest.raises(ValueError, match=message):
        cls(**settings)
