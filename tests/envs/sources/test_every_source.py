"""What holds for every source, whatever it asks. Run: pytest tests/envs/sources/test_every_source.py"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from textgym.envs import sources
from textgym.envs.sources import (
    ArithmeticSource,
    BBHSource,
    CodeSource,
    CopySource,
    CountdownSource,
    DyckSource,
    FormatSource,
    GSM8KSource,
    GuessNumberSource,
    IFEvalSource,
    IncreasingSource,
    LogicSource,
    ReverseSource,
    RLAIFSource,
    SentimentSource,
    SortSource,
    SudokuSource,
    SummarySource,
)
from textgym.envs.task import PRINTABLE, FiniteSource, draw_problem, problem_at

SOURCES = [
    CopySource(),
    ReverseSource(),
    CopySource(min_length=1, max_length=2, alphabet="01"),
    ReverseSource(min_length=2, max_length=2, alphabet="0123456789", template="{text}|"),
    IncreasingSource(),
    IncreasingSource(count=2, max_number=6, template="{low}<{high}:"),
    *(ArithmeticSource(difficulty=difficulty) for difficulty in (1, 2, 3, 4, 5)),
    ArithmeticSource(difficulty=3, operators="/-", digits=1, template="{compact}="),
    CountdownSource(),
    CountdownSource(count=2, max_number=3, max_target=6),
    CountdownSource(count=6, max_number=9, max_target=9),
    GSM8KSource(),
    BBHSource(),
    CodeSource(),
    RLAIFSource(),
    FormatSource(),
    FormatSource(form="json", records=4),
    IFEvalSource(),
    IFEvalSource(instructions=6, loose=True),
    GuessNumberSource(),
    GuessNumberSource(high=100, turns=3),
    GuessNumberSource(high=7, template="1-{high}?"),
    SortSource(),
    SortSource(kind="words", order="descending", template="{items}|"),
    SortSource(min_count=2, max_count=2, max_number=5, repeats=True),
    DyckSource(),
    DyckSource(brackets="<>", max_length=6, max_depth=3, template="{sequence}="),
    LogicSource(),
    LogicSource(kind="knights", difficulty=3, letters=True),
    LogicSource(kind="zebra", difficulty=1),
    LogicSource(kind="syllogism", difficulty=1),
    SentimentSource(),
    SummarySource(),
    SudokuSource(),
    SudokuSource(clues=12, template="{compact}="),
]
every_source = pytest.mark.parametrize("source", SOURCES, ids=repr)


@every_source
def test_draw_is_a_function_of_the_generator_alone(source):
    first, second = np.random.default_rng(5), np.random.default_rng(5)
    drawn = [source.draw(first) for _ in range(30)]
    np.random.random()
    assert drawn == [source.draw(second) for _ in range(30)]
    assert len({problem.key for problem in drawn}) > 1
    assert all(problem.key for problem in drawn)


@every_source
def test_charset_is_sorted_and_covers_prompts_and_solutions(source):
    rng = np.random.default_rng(0)
    charset = getattr(source, "charset", PRINTABLE)
    assert charset == "".join(sorted(set(charset)))
    for _ in range(500):
        problem = source.draw(rng)
        assert set(problem.prompt + source.solution(problem)) <= set(charset)


@pytest.mark.parametrize("source", [source for source in SOURCES if hasattr(source, "charset")], ids=repr)
def test_charset_is_tight(source):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(2_000):
        problem = source.draw(rng)
        seen |= set(problem.prompt + source.solution(problem))
    spare = set(source.charset) - seen
    assert spare <= ({"0", "(", ")"} if isinstance(source, CountdownSource | GuessNumberSource) else set())


@every_source
def test_train_and_test_are_disjoint_and_not_empty(source):
    rng = np.random.default_rng(1)
    keys = {split: {draw_problem(source, rng, split).key for _ in range(50)} for split in ("train", "test")}
    assert keys["train"] and keys["test"]
    assert not keys["train"] & keys["test"]
    assert problem_at(source, 0, "train").split == "train"
    assert problem_at(source, 0, "test").split == "test"


@every_source
def test_settings_are_frozen_hashable_and_json(source):
    settings = dataclasses.asdict(source)
    copy = type(source)(**json.loads(json.dumps(settings)))
    assert copy == source and hash(copy) == hash(source)
    with pytest.raises(dataclasses.FrozenInstanceError):
        source.template = "{x}"
    with pytest.raises(TypeError):
        type(source)(*settings.values())


@every_source
def test_the_answer_if_there_is_one_is_in_the_solution(source):
    rng = np.random.default_rng(2)
    for _ in range(20):
        problem = source.draw(rng)
        assert problem.answer is None or source.solution(problem).endswith(problem.answer)


def test_only_the_data_sets_are_finite():
    assert [source for source in SOURCES if isinstance(source, FiniteSource)] == [
        GSM8KSource(),
        BBHSource(),
        CodeSource(),
        RLAIFSource(),
    ]


@pytest.mark.parametrize(
    "cls",
    [CopySource, IncreasingSource, CountdownSource, GuessNumberSource, GSM8KSource, SortSource, DyckSource, BBHSource],
)
def test_template_errors_name_the_template_and_the_placeholder(cls):
    default = cls().template
    with pytest.raises(ValueError, match=r"template .* unknown placeholder \{nope\}; allowed: \{"):
        cls(template=default + "{nope}")
    with pytest.raises(ValueError, match=r"unknown placeholder \{\}"):
        cls(template=default + "{}")
    with pytest.raises(ValueError, match=r"template 'Go!' lacks the placeholder \{"):
        cls(template="Go!")
    with pytest.raises(ValueError, match="malformed"):
        cls(template=default + "{")
    with pytest.raises(ValueError, match="must be text"):
        cls(template=3)


@pytest.mark.parametrize("text", ["{text!r}", "{text:>9}", "{text.upper}", "{text[0]}"])
def test_placeholders_are_bare_names(text):
    with pytest.raises(ValueError, match="unknown placeholder"):
        CopySource(template=text)


def test_braces_can_be_written_twice():
    source = CopySource(template="{{{text}}}", min_length=1, max_length=1, alphabet="a")
    assert source.draw(np.random.default_rng(0)).prompt == "{a}"
    assert source.charset == "a{}"


def test_all_is_the_public_names():
    assert list(sources.__all__) == sorted(name for name in dir(sources) if name.endswith("Source"))
    assert all(isinstance(getattr(sources, name), type) for name in sources.__all__)
    assert {type(source).__name__ for source in SOURCES} <= set(sources.__all__)
