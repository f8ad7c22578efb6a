r"""Answers with a type, judged by the verifier. Run: pytest tests/envs/rewards/math/test_answers.py"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgym.envs.rewards.math import MathVerifier, parse_number
from textgym.envs.rewards.math.answers import ANSWER_TYPES, guess_type
from textgym.envs.task import Problem, score_batch

Labelled = Callable[[str], list[dict[str, Any]]]


def pays(response: str, gold: str, answer_type: str | None = None, **metadata: Any) -> bool:
    problem = Problem("?", gold, {"answer_type": answer_type or guess_type(gold), **metadata})
    score = MathVerifier()([problem], [response])
    assert score.total[0] == float(score.success[0])
    return bool(score.success[0])


RIGHT = {
    "integer": {
        "12": [
            "12",
            "12.0",
            "\\boxed{12}",
            "x = 12",
            "12 = x",
            "f(3) = 12",
            "3\\cdot 4",
            "\\frac{24}{2}",
            "12\\text{ cm}",
        ],
        "x=12": ["12", "y = 12"],
        "90^\\circ": ["90", "90°", "90 degrees", "$90^{\\circ}$"],
        "1234": ["1,234", "$1,234", "\\$1{,}234"],
        "5\\text{ cm}^2": ["5 cm^2", "5\\text{ cm}^{2}", "5"],
    },
    "rational": {
        "\\frac{3}{4}": ["0.75", "3/4", "75\\%", "\\frac{-3}{-4}", "1-\\frac14"],
        "0.5": ["50%", "\\sin 30^\\circ"],
    },
    "real": {
        "2\\sqrt{3}": ["\\sqrt{12}", "\\frac{6}{\\sqrt 3}", "2 \\sqrt3\\text{ cm}", "2\\sqrt3 \\mathrm{~cm}"],
        "\\infty": ["+\\infty", "∞"],
        "\\pi/2": ["\\frac{\\pi}2", "π/2"],
    },
    "expression": {"x+1": ["1+x", "y = x+1", "f(x)=x+1", "\\frac{x^2-1}{x-1}"], "1+2i": ["2i+1", "z = 1+2i"]},
    "tuple": {
        "(1,\\frac12)": ["(1, 0.5)", "(x, y) = (1, 1/2)", "P = (1,\\tfrac12)"],
        "(1,2,3)": ["\\left(1,2,3\\right)"],
    },
    "set": {
        "\\{1,2\\}": ["1, 2", "2,1", "\\{2, 1\\}", "x = 1 \\text{ or } x = 2", "x=1, 2", "x \\in \\{1,2\\}", "1 and 2"],
        "\\pm 2": ["2, -2", "-2, 2", "x = \\pm 2", "\\{\\pm2\\}"],
        "1\\pm\\sqrt3": ["1-\\sqrt{3}, 1+\\sqrt{3}"],
        "\\emptyset": ["\\{\\}", "\\varnothing"],
        "(1,2), (3,4)": ["(3,4), (1,2)", "\\{(1,2),(3,4)\\}"],
    },
    "interval": {
        "(-\\infty,3]": ["x \\le 3", "3 \\ge x", "x\\in(-\\infty, 3]", "(-∞,3]", "(-\\infty, \\frac{6}{2}]"],
        "[1,2)": ["1 \\le x < 2", "2 > x >= 1", "\\left[1,2\\right)"],
        "(1,2)\\cup(3,\\infty)": ["(3,\\infty) \\cup (1,2)"],
    },
    "matrix": {
        "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}": [
            "\\begin{bmatrix} 1 & 2 \\\\ 3 & 4 \\\\ \\end{bmatrix}",
            "A^2 = \\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}".replace("^2", ""),
            "\\left(\\begin{matrix}1&2\\\\3&4\\end{matrix}\\right)",
            "\\left(\\begin{array}{cc}1&2\\\\3&4\\end{array}\\right)",
            "A^{-1} = \\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
        ]
    },
    "equation": {"y=2x+1": ["y = 1+2x", "2x - y + 1 = 0", "4x+2=2y", "2x+1"], "x^2+y^2=4": ["x^2 + y^2 - 4 = 0"]},
    "choice": {
        "C": [
            "C",
            "(C)",
            "c",
            "C.",
            "\\text{(C)}",
            "\\textbf{(C) }12",
            "(C) 12 apples",
            "Option C",
            "\\text{Option (C)}",
        ]
    },
    "text": {"Evelyn": ["evelyn", "\\text{Evelyn}", "Evelyn.", '"Evelyn"'], "2516_8": ["2516_{8}"], "3:4": ["3:4"]},
}
WRONG = {
    "integer": {
        "12": [
            "13",
            "(12)(2)",
            "[12]",
            "\\{12\\}",
            "12, 13",
            "12 \\text{ or } 13",
            "12 or any",
            "12\\pm 0",
            "0x+12",
            "12=12",
        ],
        "5\\text{ cm}": ["5\\text{ m}", "5 m", "5\\text{ or 6}", "-5 cm"],
        "1": ["True", "\\text{True}", "x", "x/x", "x^0", "e^0 x^0", "\\text{one}"],
    },
    "rational": {
        "\\frac{1}{3}": ["0.3333", "0.33333333333333333333333333333333333333", "3"],
        "0.5": ["1/2/1/1x"],
    },
    "real": {
        "\\sqrt2": ["1.41421356", "-\\sqrt2", "\\pm\\sqrt2"],
        "\\pi": ["3.14", "22/7", "180^\\circ"],
        "\\infty": ["-\\infty", "10^{400}", "\\infty - 1", "1/0"],
    },
    "expression": {"x": ["|x|", "y", "x+0y", "\\sqrt{x^2}", "x=x", "5"], "x+1": ["x", "x+1 \\text{ or } x", "x+1=0"]},
    "tuple": {"(1,2)": ["(2,1)", "[1,2]", "1,2", "\\{1,2\\}", "(1,2,3)", "(1,2),(2,1)", "(1,1+1)", "1<x<2", "(1)"]},
    "set": {
        "\\{1,2\\}": [
            "(1,2)",
            "1,2,3",
            "1",
            "1,1,2",
            "\\{1,3\\}",
            "x=1, y=2",
            "1,2 \\text{ or not}",
            "1, 1+1",
            "[1,2]",
        ],
        "\\pm 2": ["2", "\\pm 3", "2, \\pm 2"],
    },
    "interval": {
        "(1,2)": ["[1,2]", "(1,2]", "(2,1)", "1,2", "1<x<=2", "1<2<2", "(1,3)", "x>1"],
        "(3,\\infty)": ["x > -3", "[3,\\infty)", "(3,\\infty]", "x \\ne 3", "3"],
    },
    "matrix": {
        "\\begin{pmatrix}1&2\\end{pmatrix}": [
            "\\begin{pmatrix}1\\\\2\\end{pmatrix}",
            "\\begin{vmatrix}1&2\\end{vmatrix}",
            "(1,2)",
            "\\begin{pmatrix}1&2",
            "\\begin{pmatrix}1&1+1\\end{pmatrix}",
        ]
    },
    "equation": {
        "y=2x+1": ["y=2x", "0=0", "y=y", "x=1", "z=2x+1", "2y=2x+1", "(y-2x-1)^2=0", "y=2x+1=0", "0(y-2x-1)=0"]
    },
    "choice": {
        "C": ["D", "A, B, C", "(C) or (D)", "(C) (D)", "C D", "not C", "any", "(C) not", "CC", "The answer is C"]
    },
    "text": {"Evelyn": ["Evelynn", "Evelyn or Bob", "not Evelyn", ""]},
}


def cases(table: dict[str, dict[str, list[str]]]) -> list[tuple[str, str, str]]:
    return [
        (kind, gold, answer) for kind, golds in table.items() for gold, answers in golds.items() for answer in answers
    ]


@pytest.mark.parametrize(("answer_type", "gold", "answer"), cases(RIGHT))
def test_right_answers_pay(answer_type: str, gold: str, answer: str) -> None:
    assert pays(answer, gold, answer_type)
    assert pays(gold, gold, answer_type)
    assert answer.startswith("\\boxed") or pays(f"So it is $\\boxed{{{answer}}}$.", gold, answer_type)


@pytest.mark.parametrize(("answer_type", "gold", "answer"), cases(WRONG))
def test_wrong_answers_do_not(answer_type: str, gold: str, answer: str) -> None:
    assert not pays(answer, gold, answer_type)
    assert not pays(f"So it is $\\boxed{{{answer}}}$.", gold, answer_type)
    assert not pays(f"<answer>{answer}</answer>", gold, answer_type)


def test_a_mismatch_of_types_is_wrong_whatever_the_type() -> None:
    golds = {kind: next(iter(golds)) for kind, golds in RIGHT.items() if kind not in ("rational", "real", "expression")}
    for (kind, gold), (other, answer) in itertools.permutations(golds.items(), 2):
        if (kind, other) != ("set", "integer"):
            assert not pays(f"\\boxed{{{answer}}}", gold, kind), (kind, other)


def test_as_written_refuses_the_question_itself() -> None:
    for gold, right, wrong in [
        ("6\\sqrt{2}", ["\\sqrt2\\cdot 6", "6\\sqrt2"], ["\\sqrt{72}", "\\frac{12}{\\sqrt 2}"]),
        ("x^2+2x+1", ["1+2x+x^2"], ["(x+1)^2", "x^2+2x+1+0"]),
        ("(x-1)(x-2)", ["(x-2)(x-1)"], ["x^2-3x+2"]),
    ]:
        for answer in right + wrong:
            assert pays(answer, gold)
            assert pays(answer, gold, as_written=True) == (answer in right), answer


@pytest.mark.parametrize(
    ("gold", "answer_type"),
    [
        *(("1/2", "integer"), ("\\pi", "rational"), ("x", "real"), ("i", "real"), ("(1,2)", "set_"), ("2", "tuple")),
        ("y", "equation"),
        ("5", "equation"),
        ("", "text"),
        ("blue", "choice"),
        ("(2,1)", "interval"),
        ("1/0", "integer"),
    ],
)
def test_a_gold_that_is_not_of_its_type_is_an_error_and_never_a_wrong_answer(gold: str, answer_type: str) -> None:
    problem = Problem("?", gold, {"answer_type": answer_type})
    with pytest.raises(ValueError, match="answer"):
        MathVerifier()([problem], ["5"])
    with pytest.warns(RuntimeWarning, match="answer"):
        assert list(score_batch(MathVerifier(), [problem], ["5"]).status) == ["error"]


def test_numbers_are_read_from_free_text_too_and_nothing_else_is() -> None:
    assert pays("So the total is 12.", "12", "integer") and pays("#### 12", "12", "integer")
    assert pays("We get #### \\{1, 2\\}", "\\{1,2\\}", "set")
    assert not pays("The answer is not 12.", "12", "integer")
    assert not pays("The answer is C", "C", "choice") and not pays("It is (1,2)", "(1,2)", "tuple")


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        *((gold, kind) for kind, golds in RIGHT.items() for gold in golds),
        *(("(0,1)", "tuple"), ("(1,\\infty)", "interval"), ("1,-2", "set"), ("yes", "text"), ("x=5", "integer")),
        *(("f(x)=2x", "expression"), ("\\text{(A)}", "choice"), ("\\$32,\\!348", "integer"), ("x>3", "interval")),
    ],
)
def test_the_type_of_a_gold_is_guessed(gold: str, expected: str) -> None:
    assert guess_type(gold) == expected


# --- labelled data ----------------------------------------------------------------------------------------------------


def test_every_labelled_pair_is_judged_as_labelled(labelled: Labelled) -> None:
    for pair in labelled("math_pairs.json"):
        assert pays(pair["answer"], pair["gold"]) == pair["expected"], pair


def test_every_labelled_pair_with_a_literal_gold_is_judged_as_labelled(labelled: Labelled) -> None:
    for pair in labelled("math_literal_pairs.json"):
        answer_type = "literal" if parse_number(pair["gold"]) is not None else None
        assert pays(pair["answer"], pair["gold"], answer_type) == pair["expected"], pair


# --- hostile input ----------------------------------------------------------------------------------------------------

GOLDS = [
    ("4", "literal"),
    ("4", "integer"),
    ("x+y", "expression"),
    ("\\{1,2\\}", "set"),
    ("(1,2)", "tuple"),
    ("(1,2]", "interval"),
    ("\\sqrt2", "real"),
    ("y=2x+1", "equation"),
    ("C", "choice"),
    ("Evelyn", "text"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "matrix"),
    ("x^2\\sin x", "expression"),
]
HOSTILE = {
    "parentheses": "(" * 10**5 + "4" + ")" * 10**5,
    "braces": "{" * 10**5 + "4" + "}" * 10**5,
    "boxes": "\\boxed{" * 10**4 + "4" + "}" * 10**4,
    "fractions": "\\frac{" * 10**4 + "4" + "}{1}" * 10**4,
    "roots": "\\sqrt{" * 39 + "x" + "}" * 39,
    "digits": "4" * 10**6,
    "5000 digits": "4" * 5_000,
    "words": "four " * 200_000,
    "open boxes": "\\boxed{" * 140_000,
    "bare boxes": "\\boxed " * 140_000,
    "spaces": " " * 10**6,
    "spaces in a bare box": "\\boxed 4" + " " * 19_000 + "x",
    "commas": "1," * 500_000,
    "wide matrix": "\\begin{pmatrix}" + "&".join("1" * 200) + "\\end{pmatrix}",
    "many matrices": "\\begin{pmatrix}" * 60,
    "combining": "4" + "\u0301" * 10**5,
    "huge set": "\\{" + ",".join(map(str, range(10**5))) + "\\}",
    "set of 300": "\\{" + ",".join("4" * 300) + "\\}",
    "union": "[1,2)\\cup" * 100 + "(3,4)",
    "bars": "|" * 300 + "4",
    "minuses": "-" * 300 + "4",
    "carets": "^" * 300,
    "plus and minus": "\\pm " * 100 + "4",
    "many sines": "+".join(["\\sin x"] * 60),
    "large sines": "+".join(["\\sin(10^{11}x)"] * 39),
    "many factorials": "+".join(["x!"] * 60),
    "large factorials": "(99x)!" * 6,
    "large fractions": "+".join(f"1/({k}^{{3000}}+1)" for k in range(2, 30)),
    "a large power": "(x+y+1)^{200}",
    "a tower": "e^{x^{x^{x}}}",
    "exponents": "1e400*" * 30 + "1",
    "a null": "4\0",
    "a surrogate": "\ud8004",
}


@pytest.fixture(scope="module", autouse=True)
def numbers_are_warm() -> None:
    """mpmath is imported once, by the first irrational number."""
    assert not pays("\\sqrt3", "\\sqrt2", "real")


def seconds(response: str, gold: str, answer_type: str) -> float:
    """The processor time of one verdict, at most three times tried, for a machine may be busy; nothing hostile pays."""
    best = 1.0
    for _ in range(3):
        began = time.process_time()
        assert not pays(response, gold, answer_type), (response[:100], gold)
        best = min(best, time.process_time() - began)
        if best < 0.01:
            break
    return best


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_are_refused_in_little_time(name: str) -> None:
    for form in "{}", "\\boxed{{{}}}", "<answer>{}</answer>":
        for gold, answer_type in GOLDS:
            assert seconds(form.format(HOSTILE[name]), gold, answer_type) < 0.05


def test_labelled_hostile_answers_are_refused_in_little_time(
    labelled: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for row in labelled("math_hostile.json"):
        for form in "{}", "\\boxed{{{}}}", "${}$":
            for gold, answer_type in [(row["gold"], None), *GOLDS]:
                assert seconds(form.format(row["answer"]), gold, answer_type or guess_type(gold)) < 0.05
    assert list(tmp_path.iterdir()) == []


PIECES = (
    *(
        "\\frac",
        "\\sqrt",
        "\\boxed{",
        "}",
        "\\sin",
        "\\cup",
        "\\infty",
        "\\pm",
        "\\text{ or }",
        "\\begin{pmatrix}",
        "\\\\",
    ),
    *(
        "\\end{pmatrix}",
        "&",
        "^{",
        "_{",
        "x",
        "y",
        "e",
        "i",
        "10",
        "99",
        "!",
        "|",
        "\\log_",
        "\\binom",
        "\\left(",
        "\\right)",
    ),
    *(
        "\\{",
        "\\}",
        ",",
        "=",
        "<",
        "\\le",
        "#### ",
        "<answer>",
        "</answer>",
        "\\overline{",
        "0.",
        "\\pi",
        "\\tan",
        "(",
        ")",
    ),
    *(
        "[",
        "]",
        "-",
        "+",
        "/",
        "^",
        "\\arcsin ",
        "\\exp",
        "\\lfloor",
        "\\rfloor",
        "%",
        "^\\circ",
        " cm",
        "\\cdot",
        "²",
        "√",
    ),
)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60), st.sampled_from(GOLDS))
def test_no_text_raises(text: str, gold: tuple[str, str]) -> None:
    for form in "{}", "\\boxed{{{}}}":
        assert pays(form.replace("{{{}}}", f"{{{text}}}").replace("{}", text), *gold) in (True, False)
    guess_type(text)


def mutated(rng: random.Random, texts: list[str]) -> str:
    """A text with some edits, or pieces of mathematics in a row."""
    if rng.random() < 0.5:
        return "".join(rng.choices(PIECES, k=rng.randint(1, 40)))
    text = rng.choice(texts)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(text))
        text = (
            text[:at]
            + rng.choice(("", rng.choice(PIECES), chr(rng.randrange(0x3000))))
            + text[at + rng.randint(0, 1) :]
        )
    return text


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_mutated_answers_never_raise_and_are_never_slow(count: int) -> None:
    rng = random.Random(0)
    texts = [text for _, gold, answer in cases(RIGHT) + cases(WRONG) for text in (gold, answer)]
    verify = MathVerifier()
    for _ in range(count):
        text = mutated(rng, texts)
        gold, answer_type = rng.choice(GOLDS)
        problem = Problem("?", gold, {"answer_type": answer_type})
        response = f"\\boxed{{{text}}}" if rng.random() < 0.5 else text
        began = time.process_time()
        verify([problem], [response])
        if time.process_time() - began > 0.05:  # again, for it may have been the machine
            began = time.process_time()
            verify([problem], [response])
            assert time.process_time() - began < 0.05, response


def test_it_works_in_any_thread() -> None:
    paid: list[bool] = []
    threads = [threading.Thread(target=lambda: paid.append(pays("\\sqrt{12}", "2\\sqrt3", "real"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paid == [True] * 4


def test_every_type_is_tested() -> None:
    assert set(RIGHT) == set(WRONG) == set(ANSWER_TYPES)
