"""MathVerifier: what counts as a number, which number is the answer, and that nothing hostile hurts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgym.envs.rewards.math import MathVerifier, extract_answer, parse_number
from textgym.envs.task import Problem, score_batch

Labelled = Callable[[str], list[dict[str, Any]]]
MEBI = 10**6


def pays(response: str, gold: str) -> bool:
    score = MathVerifier()([Problem("?", gold)], [response])
    assert score.total[0] == float(score.success[0])
    return bool(score.success[0])


# --- parse_number -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72", "72"),
        ("1,000", "1000"),
        ("1,234,567", "1234567"),
        ("007", "7"),
        ("-7", "-7"),
        ("+7", "7"),
        ("\u22127", "-7"),
        ("1.50", "3/2"),
        (".5", "1/2"),
        ("1,234.50", "2469/2"),
        ("2/4", "1/2"),
        ("2 / 4", "1/2"),
        ("-3/4", "-3/4"),
        ("3 1/2", "7/2"),
        ("-3 1/2", "-7/2"),
        ("5%", "1/20"),
        ("5 %", "1/20"),
        ("5\\%", "1/20"),
        ("12.5 percent", "1/8"),
        ("$18", "18"),
        ("\\$18", "18"),
        ("-$18", "-18"),
        ("$-18", "-18"),
        ("$42$", "42"),
        ("18 dollars", "18"),
        ("5 cm", "5"),
        ("5 cm^2", "5"),
        ("60 km/h", "60"),
        ("90°", "90"),
        (" 42.\n", "42"),
        ("9" * 60, "9" * 60),
        ("5.6088\\times 10^4", "56088"),
        ("5.6088 \u00d7 10^4", "56088"),
        ("3\\cdot 10^{-4}", "3/10000"),
        ("2*10^400", "2" + "0" * 400),
        ("\\frac{112176}{2}", "56088"),
        ("\\frac{-1}{2}", "-1/2"),
        ("2\\frac{1}{2}", "5/2"),
        ("\\tfrac12", "1/2"),
        ("1{,}234", "1234"),
        ("1\\,234", "1234"),
        ("11,\\! 111", "11111"),
        ("\\(42\\)", "42"),
        ("5\\text{ cm}", "5"),
        ("5~\\mathrm{cm}^{2}".replace("~", "\\ "), "5"),
        ("90^\\circ", "90"),
    ],
)
def test_a_written_down_number_has_its_exact_value(text: str, value: str) -> None:
    assert parse_number(text) == Fraction(value)


NOT_ONE_NUMBER = [
    *("", ".", "-", "x", "nan", "inf", "None", "True", "12,34", "1,23,456", "1234,567", "0,123", "3/4/2020", "1.2.3"),
    *("1e5", "0x10", "12abc", "3_4", "5cm", "1 000", "5 6", "5, 6", "5 or 6", "5 or any number", "any", "not 5"),
    *("x=5", "x = 5", "5=5", "<5", "> 5", "\u2265 5", "3+4", "123*456", "2**3", "2^3", "5!", "7-2", "10 - 5", "(5)"),
    *("[5]", "{5}", "(1,2)", "[0,100]", "|-5|", "\u00b15", "+-5", "--5", "- 5", "-$-5", "5/0", "0/0", "5/-1", "1.5/2"),
    *("3 5/2", "3.5 1/2", "1/2 1/2", "1/2%%", "5 million", "5 hundred", "5 thirds", "5 and a half", "5 squared"),
    *("5 x", "5 k", "5x", "sqrt(25)", "\u221a25", "\u0665", "\uff15", "5\u00b2", "\u00bd", "5\u0338", "5\0", "5\ud800"),
    *(
        "\\frac{1}{0}",
        "\\frac{1}{2}{3}",
        "-\\frac{-1}{2}",
        "2\\frac{5}{3}",
        "\\frac123",
        "10^4",
        "3*10^401",
        "3*10^4*2",
    ),
    *("\\sqrt{25}", "\\input{5}", "5\\text{ or 6}", "5\\text{ or any}", "5\\pm 0", "1\\,00", "5\\cdot 10^{"),
    *("5\n6", "5 maybe", "1" * 61, "1/" + "1" * 61, "1" * 5000, "five", "__import__('os').getpid()", "9**9**9**9"),
]


@pytest.mark.parametrize("text", NOT_ONE_NUMBER)
def test_what_is_not_one_written_down_number_is_none(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize("text", NOT_ONE_NUMBER)
@pytest.mark.parametrize("form", ["<answer>{}</answer>", "so \\boxed{{}}"], ids=["answer", "box"])
def test_the_answer_tag_and_the_box_hold_one_number_or_nothing(form: str, text: str) -> None:
    if text not in ("{5}", "x=5", "x = 5"):
        assert extract_answer("It is 8. " + form.replace("{}", text)) is None


INTEGERS = st.integers(-(10**20), 10**20)


@given(INTEGERS, st.integers(0, 20))
def test_decimals_are_exact(digits: int, places: int) -> None:
    text = f"{abs(digits):0{places + 1}d}"
    text = f"{text[: len(text) - places]}.{text[len(text) - places :]}".rstrip(".")
    assert parse_number(("-" if digits < 0 else "") + text) == Fraction(digits, 10**places)


@given(INTEGERS)
def test_thousands_separators_are_read_where_they_belong_and_nowhere_else(number: int) -> None:
    assert parse_number(f"{number:,}") == number
    assert parse_number(f"{number:_}") == (number if abs(number) < 1000 else None)
    assert parse_number(f"{number},0") is None


@given(INTEGERS, st.integers(1, 10**9), st.sampled_from(["", "<answer>", "\\boxed{", "Thus x = ", "so it is "]))
def test_fractions_and_percentages_are_exact_wherever_they_stand(top: int, bottom: int, before: str) -> None:
    after = {"<answer>": "</answer>", "\\boxed{": "}"}.get(before, ".")
    assert extract_answer(f"{before}{top}/{bottom}{after}") == Fraction(top, bottom)
    assert extract_answer(f"{before}{top}%{after}") == Fraction(top, 100)


@given(st.integers(0, 10**9), st.integers(1, 999), st.integers(1, 999), st.sampled_from(["", "-"]))
def test_mixed_numbers_are_exact(whole: int, over: int, more: int, sign: str) -> None:
    value = whole + Fraction(over, over + more)
    assert extract_answer(f"= {sign}{whole} {over}/{over + more}") == (-value if sign else value)


# --- extract_answer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("12-7", "7"),
        ("5 -7", "7"),
        ("x-7", "7"),
        ("x = -7", "-7"),
        ("5, -7", "-7"),
        ("The answer is -7.", "-7"),
        ("The answer is\n-7", "-7"),
        ("is 42, ok", "42"),
        ("**-42**", "-42"),
        ("The answer is **42**.", "42"),
        ("- **42**", "42"),
        ("Answer:\n\n---\n\n42", "42"),
        ("42 per cent", "21/50"),
        ("42 pct", "21/50"),
        ("42 percents", "21/50"),
        ("42\uff05", "21/50"),
        ("**42**", "42"),
        ("**Answer:** 42 apples", "42"),
        ("#### 1,000", "1000"),
        ("2+3=5", "5"),
        ("<<48+24=72>>72 clips", "72"),
        ("\\(42\\)", "42"),
        ("$x=42$", "42"),
        ("It costs $18.", "18"),
        ("It costs \\$18 in all", "18"),
        ("2 1/2 cups", "5/2"),
        ("57 is wrong, the answer is 58", "58"),
        ("42<|im_end|>", "42"),
        ("First \\boxed{3}. Wait, it is \\boxed{4}. Not 7.", "4"),
        ("\\boxed{42.}", "42"),
        ("\\boxed{\\boxed{5}} 6", None),
        ("\\boxed{5 or \\boxed{6}}", None),
        ("\\boxed{} 5", None),
        ("\\boxed{5} and then \\boxed{6", "5"),
        ("<answer>5</answer> or <answer>6</answer>", "6"),
        ("<answer>5</answer> \\boxed{6}", "5"),
        ("<answer>\\boxed{5}</answer>", "5"),
        ("<answer>$\\boxed{5}$</answer>", "5"),
        ("<answer>\n\\[ \\boxed{5} \\]\n</answer>", "5"),
        ("<answer>-\\boxed{5}</answer>", None),
        ("<answer>[\\boxed{5}]</answer>", None),
        ("<answer>\\boxed{5}$\\boxed{6}$</answer>", None),
        ("<answer>**5**</answer>", "5"),
        ("<answer>x = 5</answer>", "5"),
        ("\\boxed{x = -\\frac{1}{2}}", "-1/2"),
        ("\\boxed{x = y = 5}", None),
        ("\\boxed{4 = 5}", None),
        ("$x_1 = -\\frac{1}{2}$", "-1/2"),
        ("\\boxed{36~\\mathrm{cm}^2}", "36"),
        ("\\boxed{36 \\mathrm{~cm}}", "36"),
        ("<answer>5 or <answer>6</answer></answer>", None),
        ("<answer>5</answer>6</answer>", None),
        ("<answer></answer>5", None),
        ("\\boxed{4}</think>6", "6"),
        ("<think>4</think>", None),
        ("", None),
        ("no number", None),
        ("\\frac{3}{4}", "3/4"),
        ("\\frac12", "1/2"),
        ("$-\\dfrac{3}{4}$.", "-3/4"),
        ("\\boxed 7", "7"),
        ("So \\boxed 7.", "7"),
        ("\\fbox{7}", "7"),
        ("\\boxed{3} or \\boxed{4}", None),
        ("\\boxed{4} and \\boxed{4}", "4"),
        ("It is not \\boxed{4}", None),
        ("It isn't $\\boxed{4}$", None),
        ("\\boxed{4} is wrong", None),
        ("\\boxed{4} or 5", None),
        ("That is not right. So \\boxed{4}", "4"),
    ],
)
def test_the_answer_is_the_tag_else_the_box_else_the_last_number(response: str, value: str | None) -> None:
    assert extract_answer(response) == (None if value is None else Fraction(value))


@pytest.mark.parametrize(
    "response",
    [
        *(
            "12,34",
            "on 3/4/2020",
            "1.2.3",
            "1e5",
            "1e-5",
            "0x10",
            "12abc",
            "3_4",
            "A4",
            "5x",
            "5 x",
            "at 3:45",
            "1 000",
        ),
        *(
            "The answer is not 57.",
            "It isn't 57",
            "57 is wrong",
            "5 or any number",
            "5 or 6",
            "\\pm 2",
            "5 \\pm 3",
            "\u00b12",
        ),
        *(
            "5=5",
            "5 = 5",
            "[5]",
            "{5}",
            "x > 5",
            "x \u2264 5",
            "x != 5",
            "f(5)",
            "-(5)",
            "--5",
            "+-5",
            "= - 5",
            "minus 5",
        ),
        *(
            "negative 5",
            "5 million",
            "3 and a half",
            "3+4",
            "3 + 4",
            "3*4",
            "3 * 4",
            "2**3",
            "3 x 4",
            "3\u00d74",
            "2^10",
        ),
        *(
            "2^{10}",
            "7%4",
            "5!=120x",
            "5 + x",
            "5 * x",
            "10/0",
            "5\u00b2",
            "\u0665",
            "5\u0665",
            "5\u0338",
        ),
        *("3\\cdot\\frac14", "1-\\frac12", "\\frac{3}{2\\cdot 2}", "5\0", "\u20135"),
    ],
)
def test_a_last_number_that_is_unclear_or_taken_back_is_no_answer(response: str) -> None:
    assert extract_answer(response) is None


@pytest.mark.parametrize(
    "response",
    [
        *("x = -**57**", "-\n57", "x = -\n57", "- (57)", "-(**57**)", "x = - **57**", "= -\n**57**", "-_57_"),
        *("negative\n57", "minus\n\n57", "neg 57", "not" + " " * 200 + "57", "not\n57", "not" + "\n" * 600 + "57"),
        *("\ufe6357", "\u207b57", "\u279657", "x = \u2796 57", "-\u200b57", "\u202e57", "57\u200b", "\u200b is 57"),
        *("57 millions", "57 hundreds", "57 dozens", "57 tenths", "57 hundredths", "57 Thousandths", "57 bn"),
        *("57!", "57 !", "**57**!", "(57)!", "57 pi", "57 \u03c0", "57\u03c0", "57 percentage points", "57 \u2030"),
        *("57 out of 100", "57 out\nof a hundred", "57 out of **100**"),
    ],
)
def test_a_sign_a_scale_or_a_negation_is_seen_through_its_disguise(response: str) -> None:
    assert extract_answer(response) is None
    assert not pays(response, "57") and not pays(response, "100")


@pytest.mark.parametrize(
    "response",
    [
        *("57. No, that is wrong", "57. That is wrong.", "57\nI was wrong.", "57! Wait, 3 less", "57. Nein, falsch."),
        *(
            "57 as I said before is wrong",
            "no es 57",
            "nicht 57",
            "Es ist nicht die 57.",
            "ce n'est pas 57",
            "n\u00e3o 57",
        ),
        *(
            "57 ist falsch",
            "57 est faux",
            "5 oder 57",
            "\u043d\u0435 57",
            "\u4e0d\u662f 57",
            "57 \u0448\u0442\u0443\u043a. \u041d\u0435\u0442",
        ),
    ],
)
def test_what_goes_on_or_takes_back_in_another_language_is_doubt(response: str) -> None:
    assert not pays(response, "57")


@pytest.mark.parametrize(
    "response",
    [
        *(
            "No, it is 57.",
            "Jos\u00e9 has 57.",
            "57 \u00b5m",
            "57.<|im_end|>\n",
            "57</s>",
            "Das ist 57.",
            "57.\n\n$$",
            "It is 57\n",
        ),
        *("That is not 56. It is 57.", "57 is the total, as asked"),
    ],
)
def test_what_cannot_take_a_number_back_is_no_doubt(response: str) -> None:
    assert pays(response, "57")


@pytest.mark.parametrize("number", ["57 millions", "57 dozens", "57 tenths", "57 pi", "57!", "57\u200b"])
def test_the_box_is_no_disguise_either(number: str) -> None:
    assert parse_number(number) is None


@pytest.mark.parametrize("response", ["84/7", "84 / 7", "What is 84 / 7?", "\\boxed{84/7}", "12/1", "24/2 cm"])
def test_a_whole_answer_is_not_written_as_a_fraction(response: str) -> None:
    assert not pays(response, "12") and pays("12", "12") and pays("12.0", "12") and pays("24/2 = 12", "12")


def test_a_fraction_bar_is_a_number_unless_lowest_terms_are_asked_for() -> None:
    problems = [Problem("?", "12"), Problem("?", "12", {"lowest_terms": True})]
    assert MathVerifier()(problems, ["\\frac{84}{7}"] * 2).success.tolist() == [True, False]
    assert MathVerifier()(problems, ["\\boxed{\\frac{12}{1}}"] * 2).success.tolist() == [True, False]


def test_a_rounded_decimal_pays_only_where_the_task_asks_for_decimals() -> None:
    asked = {"decimals": 2}
    for response, gold, metadata, paid in [
        ("0.33", "1/3", asked, True),
        ("0.333", "1/3", asked, False),
        ("0.34", "1/3", asked, False),
        ("0.33", "1/3", {}, False),
        ("1/3", "1/3", asked, True),
        ("0.12", "1/8", asked, True),
        ("0.13", "1/8", asked, True),
        ("\\boxed{1.41}", "\\sqrt{2}", {**asked, "answer_type": "real"}, True),
        ("It is 1.41.", "\\sqrt{2}", {**asked, "answer_type": "real"}, True),
        ("\\boxed{1.41}", "\\sqrt{2}", {"answer_type": "real"}, False),
        ("\\boxed{1.42}", "\\sqrt{2}", {**asked, "answer_type": "real"}, False),
    ]:
        assert MathVerifier()([Problem("?", gold, metadata)], [response]).success[0] == paid, response


def test_lowest_terms_are_asked_for_by_the_problem() -> None:
    for metadata, paid in ({}, [True, True, True]), ({"lowest_terms": True}, [False, True, True]):
        problems = [Problem("?", "1/2", metadata)] * 3
        assert MathVerifier()(problems, ["2/4", "1/2", "0.5"]).success.tolist() == paid


def test_only_the_last_20_000_characters_are_read() -> None:
    assert extract_answer("42" + " " * 19_998) == 42
    assert extract_answer("42" + " " * 20_000) is None


# --- the reward -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "gold", "paid"),
    [
        ("0.5", "1/2", True),
        ("50%", "0.5", True),
        ("0.3333", "1/3", False),
        ("0.333333", "1/3", False),
        ("5", "5%", False),
        ("1,000", "1000", True),
        ("5 cm", "5", True),
        ("5", "5 cm", True),
        ("5 cm", "5 cm", True),
        ("5 m", "5 cm", False),
        ("\\boxed{5 m}", "5 cm", False),
        ("It is 5 m long", "5 cm", False),
        ("It is 5 cm long", "5 cm", True),
        ("5 is the answer", "5 cm", True),
        ("$18", "18 dollars", True),
        ("18 dollars", "$18", True),
        ("18 Dollars", "$18", True),
        ("\u20ac18", "$18", False),
        ("1 dollar", "1 dollars", True),
        ("\\boxed{123*456}", "56088", False),
        ("\\boxed{56087+1}", "56088", False),
        ("7", "-7", False),
        ("4", "3", False),
    ],
)
def test_a_response_pays_iff_value_and_unit_agree(response: str, gold: str, paid: bool) -> None:
    assert pays(response, gold) is paid


@pytest.mark.parametrize("gold", ["x+y", "", "12,34", None])
def test_a_gold_that_is_no_number_is_an_error_and_never_a_wrong_answer(gold: str | None) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        MathVerifier()([Problem("?", gold)], ["5"])
    with pytest.warns(RuntimeWarning, match="must be a number"):
        score = score_batch(MathVerifier(), [Problem("?", gold), Problem("?", "5")], ["5", "5"])
    assert list(score.status) == ["error", "ok"]


@given(st.text() | st.text("0123456789 .,/-+$%\\{}()<>*=boxednt'\n\u2212\ud800\0", max_size=60))
def test_no_text_raises(text: str) -> None:
    assert pays(text, "4") in (True, False)
    assert pays(f"\\boxed{{{text}}}", "4") in (True, False)
    parse_number(text)


HOSTILE = {
    "parentheses": "(" * 10**5 + "5" + ")" * 10**5,
    "braces": "{" * 10**5 + "5" + "}" * 10**5,
    "nested boxes": "\\boxed{" * 10**4 + "4" + "}" * 10**4,
    "nested boxes that fit": "\\boxed{" * 2_000 + "4" + "}" * 2_000,
    "nested fractions": "\\frac{" * 10**4 + "4" + "}{4}" * 10**4,
    "digits": "4" * MEBI,
    "digits in a box": "\\boxed{" + "4" * 5_000 + "}",
    "letters": "a" * MEBI,
    "open boxes": "\\boxed{" * (MEBI // 7),
    "boxes without braces": "\\boxed " * (MEBI // 7),
    "open braces": "{" * MEBI,
    "closed braces": "}" * MEBI,
    "open tags": "<answer>" * (MEBI // 8),
    "closed tags": "</answer>" * (MEBI // 9),
    "ends of thought": "</think>" * (MEBI // 8),
    "spaces": " " * MEBI,
    "spaces in a box": "\\boxed{4" + " " * 10_000 + "5}",
    "commas": "1," * (MEBI // 2),
    "thousands": "1" + ",000" * (MEBI // 4),
    "slashes": "1/" * (MEBI // 2),
    "dots": "1." * (MEBI // 2),
    "exponents": "1e-" * (MEBI // 3),
    "juxtaposed": "1 " * (MEBI // 2),
    "nots": "not " * (MEBI // 4) + "4",
    "underscores": "_" * MEBI + "4",
    "minuses": "-" * MEBI + "4",
    "trailing words": "5" + " a" * (MEBI // 2),
    "surrogates": "\ud800" * MEBI,
    "nulls": "\0" * MEBI,
    "combining marks": "4" + "\u0301" * MEBI,
    "a null in the box": "\\boxed{4\0}",
    "a huge power": "9**9**9**9",
    "an import": "\\boxed{__import__('os').getpid()}",
    "an attribute": "(1).__class__.__bases__[0].__subclasses__()",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_is_refused_in_linear_time(text: str) -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert not pays(text, "4")
        assert parse_number(text) is None
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05


def test_it_works_in_a_thread() -> None:
    paid: list[bool] = []
    thread = threading.Thread(target=lambda: paid.append(pays("\\boxed{42}", "42")))
    thread.start()
    thread.join()
    assert paid == [True]


# --- labelled data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["math_literal_pairs.json", "math_pairs.json", "math_hostile.json"])
def test_no_labelled_pair_is_a_false_positive(labelled: Labelled, name: str) -> None:
    for pair in labelled(name):
        if parse_number(pair["gold"]) is not None and not pair.get("expected", False):
            assert not pays(pair["answer"], pair["gold"]), pair


def test_every_gsm8k_gold_is_a_number_and_every_gsm8k_answer_is_extracted(shared_file: Callable[[str], str]) -> None:
    for line in shared_file("gsm8k/train.jsonl").splitlines()[:1_000]:
        answer = json.loads(line)["answer"]
        gold = answer.partition("####")[2].strip()
        assert pays(answer, gold), answer
