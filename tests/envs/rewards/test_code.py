"""CodeVerifier: honest code passes, and nothing else does. Run: pytest tests/envs/rewards/test_code.py"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgym.envs.rewards import code as module
from textgym.envs.rewards.code import Case, CodeVerifier, extract_code
from textgym.envs.sandbox import Execution, Sandbox, SandboxUnavailable, encode
from textgym.envs.sources.code import CodeSource
from textgym.envs.task import Problem, score_batch

MBPP = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "mbpp" / "sanitized-mbpp.json"
DOUBLE = Problem("?", metadata={"entry_point": "double", "cases": [Case((x,), 2 * x) for x in range(3, 27)]})
DOUBLE_BY_NAME = Problem(
    "?", metadata={"entry_point": "double", "cases": [Case((), 2 * x, {"x": x}) for x in range(3, 27)]}
)
RIGHT = "def double(x):\n    return 2 * x"


def can_isolate() -> bool:
    try:
        CodeVerifier()([DOUBLE], [RIGHT])
    except SandboxUnavailable:
        return False
    return True


needs_sandbox = pytest.mark.skipif(not can_isolate(), reason="this machine cannot isolate code")


def block(code: str) -> str:
    return f"```python\n{code}\n```"


def pays(code: str, problem: Problem = DOUBLE) -> bool:
    score = CodeVerifier()([problem], [block(code)])
    assert score.status[0] == "ok" and score.total[0] == float(score.success[0])
    assert 0 <= score.parts["cases"][0] <= 1 and (score.parts["cases"][0] == 1 or not score.success[0])
    return bool(score.success[0])


def one(*cases: Case) -> Problem:
    return Problem("?", metadata={"entry_point": "f", "cases": cases})


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("x = 1", "x = 1"),
        ("```python\nx = 1\n```", "x = 1"),
        ("Say:\n```python\nx = 1\n\ny = 2\n```\nThere.", "x = 1\n\ny = 2"),
        ("```python\na\n```\nor rather\n```py\nb\n```", "b"),
        ("  ```Python3 \r\nx = 1\r\n  ```\r", "x = 1\r"),
        ("```python\nx = 1\n```\n```text\noutput\n```", "x = 1"),
        ("```\nx = 1\n```", "```\nx = 1\n```"),
        ("```text\n```python\n```\n<answer>x</answer>", "x"),
        ("<answer>x = 1</answer>", "x = 1"),
        ("<answer>a</answer> no, <answer>b</answer>", "b"),
        ("<answer>a</answer>\n```python\nb\n```", "b"),
        ("<answer>\n```python\nb\n```\n</answer>", "b"),
        ("<think>\n```python\na\n```\n</think>\n```python\nb\n```", "b"),
        ("```python\na\n```\n</think>\nb", "\nb"),
        ("```python\ns = '```'\n```", "s = '```'"),
        ("```python title=a.py\nx\n```", "x"),
        ("    ```python\n    x\n    ```", "    ```python\n    x\n    ```"),
        ("```python\na\n```\n```python\nb", None),
        ("```python\na", None),
        ("```python\n\n```", None),
        ("<answer> </answer>", None),
        ("</answer>a<answer>", "</answer>a<answer>"),
        ("", None),
        (" \n", None),
        ("x" * 50_001, None),
        ("```python\n" + "x" * 50_000 + "\n```", "x" * 50_000),
    ],
)
def test_extraction(response, code):
    assert extract_code(response) == code


@given(
    st.lists(st.sampled_from(["```", "```python", "```c", "\n", " ", "x", "<answer>", "</answer>", "</think>", "`"]))
)
def test_extraction_never_raises_and_makes_nothing_up(parts):
    response = "".join(parts)
    code = extract_code(response)
    assert code is None or (code in response and code.strip())
    assert extract_code(response + "\n```python\ny\n```") == "y" or response.rpartition("</think>")[2].count("```")


@pytest.mark.parametrize(
    "piece", ["```python\n", "```\n", "```", "<answer>", "</think>", "`", " ", "\n", "```python x", "\ud800"]
)
def test_a_megabyte_is_read_in_no_time(piece):
    response = piece * (2**20 // len(piece))
    began = time.process_time()
    extract_code(response)
    extract_code("```python\n" + response)
    extract_code("```" + response + "`")
    assert time.process_time() - began < 2


@needs_sandbox
@pytest.mark.parametrize(
    "code",
    [
        RIGHT,
        "double = lambda x: x + x",
        "import math\nfrom functools import lru_cache\n@lru_cache\ndef double(x):\n    return math.floor(2.0 * x)",
        "class A:\n    def double(self, x):\n        return x * 2\ndouble = A().double",
        "def double(x):\n    print('working')\n    return x << 1",
        RIGHT + "\nif __name__ == '__main__':\n    raise SystemExit",
        "from __future__ import annotations\n" + RIGHT,
        RIGHT + "  # done",
    ],
)
def test_honest_code_pays(code):
    assert pays(code)


ATTACKS = {
    "the shown answer": "def double(x):\n    return 6",
    "right for all but one": "def double(x):\n    return 2 * x if x < 26 else 0",
    "a table of some inputs": "def double(x):\n    return {3: 6, 4: 8}[x]",
    "another type": "def double(x):\n    return 2.0 * x",
    "text": "def double(x):\n    return str(2 * x)",
    "nothing": "def double(x):\n    print(2 * x)",
    "exit at import": "double = 0\nimport sys\nsys.exit(0)",
    "exit in the call": "import os\ndef double(x):\n    os._exit(0)",
    "lying equality": "class A:\n    __eq__ = lambda self, other: True\n    __hash__ = None\ndouble = lambda x: A()",
    "lying int": "class A(int):\n    __eq__ = lambda self, other: True\n    __hash__ = None\ndouble = lambda x: A(5)",
    "lying dict": "class A(dict):\n    __eq__ = lambda self, other: True\n    __hash__ = None\ndouble = lambda x: A()",
    "its own caller": "double = 0\ndef textgym_call(*a):\n    return 6\nwhile False:\n    pass",
    "a caller that cannot be replaced": "double = 0\n'''",
    "an open branch": "double = 0\nif 1:",
    "a line that goes on": "double = 0 + \\",
    "its own globals": "def double(x):\n    globals()['textgym_call'] = lambda *a: 6\n    return 0",
    "patched built-ins": "import builtins\nbuiltins.isinstance = lambda *a: 1/0\ndef double(x):\n    return 6",
    "frames": "import sys\ndef double(x):\n    f = sys._getframe()\n    while f:\n"
    "        for v in list(f.f_locals.values()):\n            if isinstance(v, tuple) and 2 * x in v:\n"
    "                return 2 * x\n        f = f.f_back\n    return 0",
    "garbage collector": "import gc\ndef double(x):\n    for o in gc.get_objects():\n"
    "        if type(o).__name__ == 'Case':\n            return o.expected\n    return 0",
    "endless loop": "def double(x):\n    while True:\n        pass",
    "endless import": "double = 0\nwhile True:\n    pass",
    "recursion": "def double(x):\n    return double(x)",
    "memory": "def double(x):\n    return len('a' * 2**40) * 0 + 2 * x",
    "no function": "double",
    "not a function": "double = 2",
    "wrong number of arguments": "def double(x, y):\n    return 2 * x",
    "not Python": "def double(x) { return 2 * x }",
    "null byte": "def double(x):\n    return 2 * x\x00",
    "surrogate": "def double(x):\n    return 2 * x #\ud800",
    "async": "async def double(x):\n    return 2 * x",
    "generator": "def double(x):\n    yield 2 * x",
    "a list": "def double(x):\n    return [2 * x]",
    "deep list": "def double(x):\n    y = []\n    for _ in range(10**5):\n        y = [y]\n    return y",
    "cycle": "def double(x):\n    y = []\n    y.append(y)\n    return y",
}  # fmt: skip


@needs_sandbox
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_pays_nothing_and_changes_nothing(attack):
    codes = [RIGHT, ATTACKS[attack], ATTACKS[attack], RIGHT]
    score = CodeVerifier()([DOUBLE, DOUBLE, DOUBLE_BY_NAME, DOUBLE_BY_NAME], [block(code) for code in codes])
    assert score.success.tolist() == [True, False, False, True]
    assert list(score.status) == ["ok"] * 4 and score.total.tolist() == [1.0, 0.0, 0.0, 1.0]


def test_what_has_no_code_is_wrong_without_a_sandbox(monkeypatch):
    monkeypatch.setattr(module, "_sandbox", None)
    other = "def triple(x):\n    return 3 * x"
    responses = ["", " ", "I do not know.", "\x00\ud800", block(other), other, "```python\n" + RIGHT, "x" * 2**20]
    score = CodeVerifier()([DOUBLE] * len(responses), responses)
    assert not score.success.any() and set(score.status) == {"ok"} and not score.parts["cases"].any()


@needs_sandbox
def test_an_echo_of_the_prompt_is_wrong():
    source = CodeSource()
    problems = [source[i] for i in range(len(source))]
    prompts = [problem.prompt for problem in problems]
    questions = [block(prompt.rpartition("\n\n")[0]) for prompt in prompts]
    for responses in (prompts, questions):
        score = CodeVerifier()(problems, responses)
        assert not score.success.any() and set(score.status) == {"ok"}


@needs_sandbox
def test_each_solution_solves_its_own_problem_alone():
    source = CodeSource()
    problems = [source[i] for i in range(len(source))]
    solutions = [source.solution(problem) for problem in problems]
    score = CodeVerifier()(problems, solutions)
    assert score.success.all() and (score.parts["cases"] == 1).all()
    assert not CodeVerifier()(problems, solutions[1:] + solutions[:1]).success.any()
    renamed = [
        block(f"{other.metadata['solution']}\n{problem.metadata['entry_point']} = {other.metadata['entry_point']}")
        for problem, other in zip(problems, problems[1:] + problems[:1], strict=True)
    ]
    assert not CodeVerifier()(problems, renamed).success.any()


@needs_sandbox
def test_results_come_in_order_with_the_share_of_the_cases():
    codes = [f"def double(x):\n    return 2 * x if x < {3 + passed} else 0" for passed in range(25)]
    score = CodeVerifier()([DOUBLE] * 25, [block(code) for code in codes])
    np.testing.assert_allclose(score.parts["cases"], np.arange(25) / 24)
    assert score.success.tolist() == [False] * 24 + [True]


@needs_sandbox
@pytest.mark.parametrize(
    ("case", "right", "wrong"),
    [
        (Case((1,), 1), ["1"], ["True", "1.0", "'1'", "[1]", "None", "2"]),
        (Case((1,), True), ["True"], ["1", "1.0", "'True'", "False"]),
        (Case((1,), 1.0), ["1.0", "1", "1 + 1e-12"], ["True", "1.1", "'1.0'", "float('nan')", "10**400", "1j"]),
        (Case((1,), 1, equal_numbers=True), ["1", "1.0"], ["True", "1.0000000001", "float('inf')", "float('nan')"]),
        (Case((1,), 0.5, tolerance=0.1), ["0.5", "0.55", "0.41"], ["0.7", "0", "float('nan')", "'0.5'"]),
        (Case((1,), 0.0, tolerance=0.0), ["0.0", "0", "-0.0"], ["1e-300", "False"]),
        (Case((1,), [1.0, [2]]), ["[1.0, [2]]", "[1, [2]]"], ["[1.0, [2.0]]", "(1.0, [2])", "[1.0, 2]", "[1.0]"]),
        (Case((1,), (1, 2), equal_numbers=True), ["(1, 2)", "(1.0, 2)"], ["[1, 2]", "(2, 1)", "(1, 2, 3)", "()"]),
        (Case((1,), {"a": 1.0}), ["{'a': 1}", "__import__('collections').Counter(a=1)"], ["{'a': True}", "{}", "'a'"]),
        (Case((1,), {2, 1}), ["{1, 2}"], ["[1, 2]", "frozenset((1, 2))", "{1}", "{1: 2}"]),
        (Case((1,), {2, 1}, view="set"), ["{1, 2}", "[1, 2, 2]", "(2, 1)"], ["[1]", "1", "'12'"]),
        (Case((1,), [1, 2], view="sorted"), ["[2, 1]", "{1, 2}"], ["[1, 1, 2]", "[1, '2']", "3"]),
        (Case((1,), True, view="bool"), ["True", "1", "'no'", "[0]", "object()"], ["False", "0", "None", "[]"]),
        (Case((1,), False, view="bool"), ["None", "''", "0.0"], ["True", "object()"]),
        (Case((1,), 2, view="len"), ["'ab'", "[1, 2]"], ["2", "[]"]),
        (Case((1,), "\ud800\x00"), ["'\\ud800\\x00'"], ["'\\ud800'"]),
        (Case((1,), None), ["None"], ["0", "False", "''"]),
        (Case((1,), 3, {"more": 2}), ["x + more"], ["x"]),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_case_accepts(case, right, wrong):
    codes = [block(f"def f(x, more=0):\n    return {value}") for value in [*right, *wrong]]
    score = CodeVerifier()([one(case)] * len(codes), codes)
    assert score.success.tolist() == [True] * len(right) + [False] * len(wrong)


HOSTILE_TREES = st.recursive(
    st.sampled_from(["i", "f", "l", "t", "d", "0x1", "0x1p0", "nan", "zz", ""]), st.lists, max_leaves=12
)


@given(HOSTILE_TREES, st.sampled_from([1, 1.0, [1.0, (2,)], {"a": 1.0}, {1}, 1j, "x", None]), st.booleans())
def test_a_hostile_tree_is_only_ever_wrong(tree, expected, both_ways):
    case = Case((), expected, equal_numbers=both_ways)
    if module._passes(case, tree):
        assert tree[0] in ("i", "f") and expected == 1 and isinstance(expected, int | float)
    assert module._passes(case, encode(expected))
    assert not module._passes(case, None)


def test_a_case_is_checked():
    with pytest.raises(ValueError, match=r"view must be one of \('value', .* got 'eval'"):
        Case((1,), 1, view="eval")
    for arguments, expected in (((object(),), 1), ((1,), object()), ((range(3),), 1)):
        with pytest.raises(TypeError, match="has no tree"):
            Case(arguments, expected)
    with pytest.raises(ValueError, match="needs cases, but 'f' has none"):
        CodeVerifier()([one()], ["def f(): pass"])


@needs_sandbox
def test_the_preamble_runs_first():
    problem = dataclasses.replace(DOUBLE, metadata={**DOUBLE.metadata, "preamble": "def twice(x):\n    return 2 * x\n"})
    assert pays("def double(x):\n    return twice(x)", problem)
    assert not pays("def double(x):\n    return twice(x)")


class Broken:
    """A sandbox in which the machine fails."""

    def __init__(self, statuses):
        self.statuses = statuses

    def run(self, jobs):
        outputs = tuple(encode(2 * x) for x in range(3, 27))
        return [Execution(status, outputs) for status in self.statuses[: len(jobs)]]


def test_failures_of_the_machine_are_no_wrong_answers(monkeypatch):
    statuses = [
        "finished",
        "error",
        "timeout",
        "time_limit",
        "memory_limit",
        "output_limit",
        "crash",
        "exception",
        "forged",
    ]
    broken = Broken(statuses)
    monkeypatch.setattr(module, "_sandbox", lambda *settings: broken)
    score = CodeVerifier()([DOUBLE] * 9, [block(RIGHT)] * 9)
    assert score.status == ["ok", "error", "timeout", *["ok"] * 6]
    np.testing.assert_array_equal(score.total, [1, np.nan, np.nan, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(score.parts["cases"], [1, np.nan, np.nan, 1, 1, 1, 1, 1, 0])
    assert score.success.tolist() == [True] + [False] * 8


def test_without_isolation_it_refuses(monkeypatch):
    asked = []

    class Unavailable:
        def __init__(self, *settings):
            asked.append(settings)

        def run(self, jobs):
            raise SandboxUnavailable("no seccomp; unsafe_local=True does without")

    monkeypatch.setattr(module, "_sandbox", Unavailable)
    with pytest.raises(SandboxUnavailable):
        CodeVerifier()([DOUBLE], [block(RIGHT)])
    with pytest.warns(RuntimeWarning, match="SandboxUnavailable.*unsafe_local=True"):
        score = score_batch(CodeVerifier(), [DOUBLE], [block(RIGHT)])
    assert np.isnan(score.total[0]) and score.status == ("error",)
    assert asked == [(2, False), (2, False)]


def test_a_problem_decides_on_the_limit_and_on_running_without_isolation(monkeypatch):
    sandboxes = {(2, False): Broken(["finished"]), (2, True): Broken(["error"]), (9, False): Broken(["timeout"])}
    monkeypatch.setattr(module, "_sandbox", lambda *settings: sandboxes[settings])
    unsafe, slow = (
        dataclasses.replace(DOUBLE, metadata={**DOUBLE.metadata, **settings})
        for settings in ({"unsafe_local": True}, {"cpu_seconds": 9})
    )
    score = CodeVerifier()([unsafe, DOUBLE, slow, slow], [block(RIGHT), block(RIGHT), block(RIGHT), ""])
    assert score.status == ["error", "ok", "timeout", "ok"] and score.success.tolist() == [False, True, False, False]


def test_one_sandbox_is_shared_for_the_same_settings():
    sandbox = module._sandbox(2, False)
    assert isinstance(sandbox, Sandbox) and module._sandbox(2, False) is sandbox
    assert (sandbox.limits.cpu_seconds, sandbox.unsafe_local) == (2, False)
    assert module._sandbox(2, True).unsafe_local and module._sandbox(9, False).limits.cpu_seconds == 9


@needs_sandbox
def test_threads_and_a_forked_process_judge_too():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: pays(RIGHT), range(12)))
    if (child := os.fork()) == 0:
        os._exit(0 if pays(RIGHT) and not pays(ATTACKS["lying equality"]) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert pays(RIGHT)


def spoilt(value):
    """A value that differs, of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float | complex):
        return value + abs(value) + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, dict):
        return {**value, "spoilt": 1}
    if isinstance(value, set):
        return value | {"spoilt"}
    return (*value, None) if isinstance(value, tuple) else [*value, None] if isinstance(value, list) else 0


@needs_sandbox
@pytest.mark.slow
@pytest.mark.skipif(not MBPP.is_file(), reason=f"needs {MBPP}")
@pytest.mark.filterwarnings("ignore:.*cannot be judged")
def test_all_references_of_mbpp_pass_and_none_with_one_expected_value_changed():
    source = CodeSource(path=str(MBPP))
    problems = [source[i] for i in range(len(source))]
    solutions = [source.solution(problem) for problem in problems]
    right = CodeVerifier()(problems, solutions)
    assert right.success.all(), [p.prompt for p, ok in zip(problems, right.success, strict=True) if not ok]
    changed = []
    for number, problem in enumerate(problems):
        cases = list(problem.metadata["cases"])
        chosen = number % len(cases)
        cases[chosen] = dataclasses.replace(cases[chosen], expected=spoilt(cases[chosen].expected))
        changed.append(dataclasses.replace(problem, metadata={**problem.metadata, "cases": cases}))
    wrong = CodeVerifier()(changed, solutions)
    assert not wrong.success.any() and set(wrong.status) == {"ok"}
    counts = np.array([len(problem.metadata["cases"]) for problem in problems])
    np.testing.assert_allclose(wrong.parts["cases"], (counts - 1) / counts)
