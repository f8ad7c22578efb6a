"""Text to actions and back: characters, and a tiny Hugging Face tokenizer made here."""

from __future__ import annotations

import copy
import functools
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgym.envs import CharTokenizer, ChatTokenizer, TextEnv, TokenEnv
from textgym.envs.games import GuessNumber
from textgym.envs.rewards import ExactMatch
from textgym.envs.sources import CopySource, GuessNumberSource
from textgym.envs.tokenizers import make_tokenizer

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|end|>"]
CHARS = string.ascii_letters + string.digits + " \n.,:?-"


@functools.cache
def hf_tokenizer(chat_template=None, eos="<|im_end|>", pad=None):
    """A token for each character and each special token."""
    from tokenizers import Regex, Tokenizer, decoders
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *CHARS])}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="?"))
    backend.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(SPECIAL)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=eos,
        pad_token=pad,
        additional_special_tokens=[token for token in SPECIAL if token not in (eos, pad)],
    )
    tokenizer.chat_template = chat_template
    return tokenizer


@given(charset=st.text(min_size=1, max_size=30).map(lambda text: "".join(dict.fromkeys(text))), data=st.data())
def test_characters_there_and_back(charset, data):
    tokenizer = CharTokenizer(charset)
    text = data.draw(st.text(charset))
    ids = tokenizer.encode_response(text)
    assert tokenizer.decode(ids) == tokenizer.decode([*ids, tokenizer.stop_id, tokenizer.pad_id]) == text
    assert ids == tokenizer.encode_prompt(text) and len(ids) == len(text)
    assert all(0 < i < tokenizer.vocab_size for i in ids)


def test_the_ids_of_characters():
    tokenizer = CharTokenizer("xy\n")
    assert (tokenizer.stop_id, tokenizer.vocab_size, tokenizer.pad_id, tokenizer.num_ids) == (0, 4, 4, 5)
    assert tokenizer.encode_prompt("yx") == [2, 1]
    assert tokenizer.encode_reply("y", stopped=True) == tokenizer.encode_reply("y", stopped=False) == [3, 2, 3]
    assert tokenizer.action_mask.tolist() == [1] * 4 and tokenizer.action_mask.dtype == np.int8


def test_characters_that_are_missing():
    with pytest.raises(ValueError, match="character 'é' is not in the vocabulary 'ab'"):
        CharTokenizer("ab").encode_prompt("abé")
    tokenizer = CharTokenizer("ab?")
    assert tokenizer.decode(tokenizer.encode_prompt("aéb\ud800")) == "a?b?"


@pytest.mark.parametrize("charset", ["", "aa", "aba"])
def test_a_charset_holds_each_character_once(charset):
    with pytest.raises(ValueError, match=f"each character once, got '{charset}'"):
        CharTokenizer(charset)


def rendered_ids(tokenizer, messages, **kwargs):
    text = tokenizer.apply_chat_template(messages, tokenize=False, **kwargs)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@given(texts=st.lists(st.text(CHARS, max_size=8), min_size=3, max_size=3))
def test_a_chat_in_pieces_is_the_rendered_chat(texts):
    tokenizer = ChatTokenizer(hf_tokenizer(CHATML))
    prompt, response, reply = texts
    chat = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": response},
        {"role": "user", "content": reply},
    ]
    ids = tokenizer.encode_prompt(prompt)
    assert ids == rendered_ids(tokenizer.hf, chat[:1], add_generation_prompt=True)
    ids += tokenizer.encode_response(response)
    whole = rendered_ids(tokenizer.hf, chat, add_generation_prompt=True)
    assert [*ids, tokenizer.stop_id, *tokenizer.encode_reply(reply, stopped=True)] == whole
    assert ids + tokenizer.encode_reply(reply, stopped=False) == whole


def test_a_template_that_ends_turns_otherwise_than_with_eos():
    """Then the stop token is the policy's alone, and the template's own end follows it."""
    tokenizer = ChatTokenizer(hf_tokenizer(CHATML, eos="<|end|>"))
    end = tokenizer.encode_response("<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.encode_reply("hi", stopped=True) == tokenizer.encode_reply("hi", stopped=False) == end


def test_without_a_template_turns_are_lines():
    tokenizer = ChatTokenizer(hf_tokenizer())
    assert tokenizer.decode(tokenizer.encode_prompt("ab?")) == "ab?"
    line = tokenizer.encode_response("\nhi\n")
    assert tokenizer.encode_reply("hi", stopped=True) == line
    assert tokenizer.encode_reply("hi", stopped=False) == [tokenizer.stop_id, *line]


def test_the_special_tokens_of_a_model():
    tokenizer = ChatTokenizer(hf_tokenizer(CHATML))
    assert tokenizer.vocab_size == tokenizer.num_ids == len(SPECIAL) + len(CHARS)
    assert tokenizer.stop_id == tokenizer.pad_id == 1
    assert np.flatnonzero(tokenizer.action_mask == 0).tolist() == [0, 2]
    assert tokenizer.decode([*tokenizer.encode_response("a b"), 0, 1, 2]) == "a b"
    assert ChatTokenizer(hf_tokenizer(CHATML, pad="<|end|>")).pad_id == 2


def test_a_model_without_an_end_is_refused():
    with pytest.raises(ValueError, match="no eos token"):
        ChatTokenizer(hf_tokenizer(eos=None))


def test_copies_are_the_same_tokenizer():
    tokenizer = ChatTokenizer(hf_tokenizer())
    assert copy.deepcopy(tokenizer) is tokenizer


def test_make_tokenizer():
    assert make_tokenizer("char", "ab").charset == "ab"
    ours = CharTokenizer("ab")
    assert make_tokenizer(ours, "") is ours
    theirs = hf_tokenizer()
    chat = make_tokenizer(theirs, "")
    assert isinstance(chat, ChatTokenizer) and chat.hf is theirs and make_tokenizer(chat, "") is chat


def test_a_name_that_is_no_model_is_named():
    with pytest.raises(FileNotFoundError, match="no/such-model"):
        make_tokenizer("no/such-model", "")


@pytest.mark.parametrize("layout", ["sliding", "slots"])
def test_an_env_with_a_chat_template(layout):
    text_env = GuessNumber(GuessNumberSource(high=7, template="{high}?"), ExactMatch())
    env = TokenEnv(text_env, ChatTokenizer(hf_tokenizer(CHATML)), window=200, max_tokens=4, layout=layout)
    _, info = env.reset(seed=1)
    np.testing.assert_array_equal(info["action_mask"], env.tokenizer.action_mask)
    over = False
    while not over:
        for action in env.solution():
            observation, reward, over, _, info = env.step(action)
            assert observation in env.observation_space
        if not over:
            whole = rendered_ids(env.tokenizer.hf, info["messages"], add_generation_prompt=True)
            shown = observation[-len(whole) :] if layout == "sliding" else observation[: len(whole)]
            assert shown.tolist() == whole
    assert reward == 1.0


def test_a_response_has_no_special_tokens():
    env = TokenEnv(TextEnv(CopySource(), ExactMatch()), ChatTokenizer(hf_tokenizer(CHATML)), window=99, max_tokens=9)
    env.reset(seed=0)
    for action in [0, *env.solution()]:
        _, reward, _, _, info = env.step(action)
    assert reward == 1.0 and info["response"] == env.text_env.problem.answer
