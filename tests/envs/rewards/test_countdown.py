"""CountdownVerifier: every known attack earns nothing, and honest solutions earn 1."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgym.envs.rewards.countdown import CountdownVerifier, evaluate
from textgym.envs.task import Problem

Tree = int | tuple["Tree", str, "Tree"]


def pays(response: str, numbers: list[int], target: int) -> bool:
    score = CountdownVerifier()([Problem("?", metadata={"numbers": numbers, "target": target})], [response])
    assert score.total[0] == float(score.success[0])
    return bool(score.success[0])


@pytest.mark.parametrize(
    ("response", "numbers", "target"),
    [
        ("(3+4)*2", [2, 3, 4], 14),
        (" 3 + 4 * 2\n", [2, 3, 4], 11),
        ("8/(3-8/3)", [8, 3, 8, 3], 24),
        ("((((7))))", [7], 7),
        ("0*5", [0, 5], 0),
        ("I think <answer>1+1</answer>, no: <answer> 3*4 </answer>.", [3, 4], 12),
        ("<think>3+4 is 7, so</think> 3*4", [3, 4], 12),
    ],
)
def test_an_honest_solution_pays(response: str, numbers: list[int], target: int) -> None:
    assert pays(response, numbers, target)


ATTACKS = {
    "power": ("2**3", [2, 3], 8),
    "floor division": ("7//2", [7, 2], 3),
    "modulo": ("7%4", [7, 4], 3),
    "decimal glue": ("3.4", [3, 4], 3),
    "decimal that is whole": ("3.0+4", [3, 0, 4], 7),
    "underscore glue": ("3_4", [34], 34),
    "exponent glue": ("3e4", [3, 4], 30000),
    "hexadecimal": ("0x10", [16], 16),
    "octal and binary": ("0o7+0b1", [7, 1], 8),
    "comment eats numbers": ("12#3 4", [12, 3, 4], 12),
    "shift": ("1<<5", [1, 5], 32),
    "complement": ("~5", [5], -6),
    "bit operations": ("5|2^1&3", [5, 2, 1, 3], 7),
    "call that counts letters": ("len('ab')*0+8", [0, 8], 8),
    "called lambda": ("(lambda:8)()", [8], 8),
    "import": ("__import__('os').getpid()*0+8", [0, 8], 8),
    "arabic digits": ("٣+٤", [3, 4], 7),
    "full-width digits": ("\uff13+\uff14", [3, 4], 7),
    "superscript": ("3²", [3, 2], 9),
    "unicode operators": ("3\u00d74", [3, 4], 12),
    "int of a string": ("int('8')", [8], 8),
    "call of a number": ("3(4)", [3, 4], 12),
    "subscript": ("[8][0]", [8, 0], 8),
    "number unused": ("8", [8, 1], 8),
    "number used twice": ("4+4", [4], 8),
    "number used too often": ("2+2+4", [2, 4, 4], 8),
    "foreign number": ("5+3", [4, 4], 8),
    "digits joined": ("34", [3, 4], 34),
    "result after it": ("4+4=8", [4, 4], 8),
    "result after it, spaced": ("4 + 4 = 8", [4, 4], 8),
    "comparison": ("4+4==8", [4, 4, 8], 1),
    "two expressions by comma": ("4+4,4+4", [4, 4], 8),
    "two expressions by semicolon": ("4+4;8", [4, 4], 8),
    "two expressions by line": ("4+4\n8", [4, 4], 8),
    "two expressions by space": ("4+4 8", [4, 4, 8], 8),
    "only thought of": ("<think><answer>4+4</answer></think>4-4", [4, 4], 8),
    "two answers in one": ("<answer>4+4</answer>8</answer>", [4, 4], 8),
    "words around it": ("the answer is 4+4", [4, 4], 8),
    "division by zero": ("8/(4-4)", [8, 4, 4], 8),
    "zero over zero": ("0/0", [0, 0], 0),
    "10^5 parentheses": ("(" * 10**5 + "8" + ")" * 10**5, [8], 8),
    "31 parentheses": ("(" * 31 + "8" + ")" * 31, [8], 8),
    "31 operations deep": ("+".join("1" * 32), [1] * 32, 32),
    "301 characters": ("8" + "+0" * 150, [8] + [0] * 150, 8),
    "10^6 digits": ("1" * 10**6, [1], 1),
    "walrus": ("(x:=8)", [8], 8),
    "f-string": ("f'{8}'", [8], 8),
    "string": ("'8'", [8], 8),
    "leading zero": ("08", [8], 8),
    "zero twice": ("00+8", [0, 8], 8),
    "boolean": ("True+7", [1, 7], 8),
    "boolean operation": ("8 or 4", [8, 4], 8),
    "complex": ("8+0j", [8, 0], 8),
    "line continuation": ("4+\\\n4", [4, 4], 8),
    "line break": ("(4+\n4)", [4, 4], 8),
    "tab": ("4+\t4", [4, 4], 8),
    "tab around it": ("\t4+4", [4, 4], 8),
    "form feed": ("\f4+4", [4, 4], 8),
    "no-break space": ("4+\u00a04", [4, 4], 8),
    "null": ("4+4\0", [4, 4], 8),
    "surrogate": ("4+4\ud800", [4, 4], 8),
    "byte order mark": ("\ufeff4+4", [4, 4], 8),
    "unary minus": ("-4+12", [4, 12], 8),
    "unary minus inside": ("12--4", [12, 4], 16),
    "unary plus": ("4++4", [4, 4], 8),
    "star": ("(*4,4)", [4, 4], 8),
    "empty": ("", [4, 4], 8),
    "empty tuple": ("()", [], 0),
    "unbalanced": ("(4+4", [4, 4], 8),
    "unbalanced the other way": ("4+4)", [4, 4], 8),
    "wrong value": ("4+5", [4, 5], 8),
    "nearly": ("1/3*3*8+0/7", [1, 3, 3, 8, 0, 7, 1], 8),
    "python value": ("10/4", [10, 4], 2),
}


@pytest.mark.parametrize(("response", "numbers", "target"), ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("form", ["{}", "<answer>{}</answer>"], ids=["bare", "in answer tags"])
def test_an_attack_pays_nothing_and_ends_at_once(form: str, response: str, numbers: list[int], target: int) -> None:
    start = time.process_time()
    assert not pays(form.replace("{}", response), numbers, target)
    assert time.process_time() - start < 0.2


def test_an_answer_tag_that_is_not_closed_pays_nothing() -> None:
    assert not pays("<answer>4+4", [4, 4], 8)


def trees() -> st.SearchStrategy[Tree]:
    return st.recursive(st.integers(0, 99), lambda t: st.tuples(t, st.sampled_from("+-*/"), t), max_leaves=8)


def written(tree: Tree) -> str:
    return str(tree) if isinstance(tree, int) else f"({written(tree[0])} {tree[1]} {written(tree[2])})"


def leaves(tree: Tree) -> list[int]:
    return [tree] if isinstance(tree, int) else leaves(tree[0]) + leaves(tree[2])


def value(tree: Tree) -> Fraction | None:
    """Work on pairs (numerator, denominator), so as to share nothing with the code under test."""
    if isinstance(tree, int):
        return Fraction(tree)
    left, right = value(tree[0]), value(tree[2])
    if left is None or right is None:
        return None
    (a, b), (c, d) = left.as_integer_ratio(), right.as_integer_ratio()
    top, bottom = {"+": (a * d + c * b, b * d), "-": (a * d - c * b, b * d), "*": (a * c, b * d), "/": (a * d, b * c)}[
        tree[1]
    ]
    return Fraction(top, bottom) if bottom else None


@given(trees())
def test_evaluate_agrees_with_a_naive_evaluator_of_the_tree(tree: Tree) -> None:
    assert evaluate(written(tree), leaves(tree)) == value(tree)
    assert evaluate(written(tree), [*leaves(tree), 1]) is None


@given(st.text() | st.text("0123456789+-*/() ", max_size=40))
def test_evaluate_never_raises(expression: str) -> None:
    evaluate(expression, [1, 2])


def test_a_problem_without_numbers_is_an_error() -> None:
    with pytest.raises(KeyError):
        CountdownVerifier()([Problem("?")], ["1+1"])
