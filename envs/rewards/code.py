"""Judges code by what it returns, run where it can harm nobody.

- ``CodeVerifier``: 1 for code that passes every case of the problem, 0 for any other.
- ``Case``: one call of the function, and what it must give.
- ``extract_code``: the code of a longer response.

The sandbox is told the code and the inputs, never what is expected; it gives back values, and those are compared here.
Whatever the code prints, raises, patches or exits with, only the right values pass.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from textgym.envs.rewards._extraction import read_answer
from textgym.envs.sandbox import Execution, Job, Limits, Sandbox, Tree, encode, equal
from textgym.envs.task import Problem, Score

TOLERANCE = 1e-9
VIEWS = ("value", "bool", "set", "sorted", "tuple", "list", "len")

_MAX_CODE = 50_000


@dataclass(frozen=True)
class Case:
    """The function called with ``arguments`` and ``keywords`` must return ``expected``.

    Types are strict (True is not 1, a tuple is not a list), but an int may stand for a float of the same value.
    """

    arguments: tuple[Any, ...]
    expected: Any
    keywords: Mapping[str, Any] = field(default_factory=dict)
    view: str = "value"
    """One of ``VIEWS``: what is compared, the value itself or a built-in function of it, such as ``sorted(value)``."""
    tolerance: float = TOLERANCE
    """Floats may differ by this times ``max(1, |expected|)``."""
    equal_numbers: bool = False
    """A float may stand for an int of the same value, as it does for ``==``."""

    def __post_init__(self) -> None:
        """Check the view, and that a sandbox can take the arguments and give the value; TypeError or ValueError."""
        if self.view not in VIEWS:
            raise ValueError(f"view must be one of {VIEWS}, got {self.view!r}")
        encode((self.arguments, dict(self.keywords), self.expected))


class CodeVerifier:
    """1.0 iff the response's code defines the problem's function and this passes every case, else 0.0.

    The problem's ``metadata`` hold ``entry_point`` (the name of the function), ``cases`` (``Case`` objects) and perhaps
    ``preamble`` (code that runs before the response's), ``cpu_seconds`` (for all cases together, 2 by default) and
    ``unsafe_local`` (code may run without isolation where there is none). The part ``cases`` is the share of the cases
    that passed. The code of a batch runs in parallel, each response in a process of its own; code that loops, crashes
    or takes too much memory is wrong. A sandbox that fails gives NaN with the status ``"error"``, and a machine too
    busy to tell ``"timeout"``.
    """

    range = (0.0, 1.0)

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> Score:
        """Return the scores; SandboxUnavailable where code must be run and this machine cannot isolate it."""
        jobs = [_job(problem, response) for problem, response in zip(problems, responses, strict=True)]
        executions = _run(problems, jobs)
        status = ["ok" if execution is None else execution.reward_status for execution in executions]
        shares = [_share(p.metadata["cases"], e) for p, e in zip(problems, executions, strict=True)]
        finished = [execution is not None and execution.status == "finished" for execution in executions]
        success = np.array([s == 1.0 and ended for s, ended in zip(shares, finished, strict=True)], dtype=np.bool_)
        failed = np.array([name != "ok" for name in status], dtype=np.bool_)
        total = np.where(failed, np.nan, success.astype(np.float64))
        return Score(total, success, {"cases": np.where(failed, np.nan, shares)}, status)


def extract_code(response: str) -> str | None:
    r"""Return the code that ``response`` gives as its answer, or None where it gives none.

    Only what follows the last ``</think>`` is read. The last block between a line ```` ```python ```` and a line
    ```` ``` ```` counts; without one, the last ``<answer>...</answer>``; without that, the whole text. A block that is
    not closed is no answer, and neither is more than 50,000 characters of code.

    Example:
        >>> extract_code("It is:\n```python\nx = 1\n```\nDone.")
        'x = 1'
    """
    text = response.rpartition("</think>")[2]
    code = _last_block(text)
    if code is None:
        code = read_answer(text)
    return code if code.strip() and len(code) <= _MAX_CODE else None


_PYTHON = ("python", "python3", "py")
_FENCE = re.compile(r"^ {0,3}```([^`\n]*)$", re.MULTILINE)


def _last_block(text: str) -> str | None:
    """Return what the last block of Python holds: "" if it has no end, None if there is no such block."""
    code: str | None = None
    start: int | None = None
    is_python = False
    for fence in _FENCE.finditer(text):
        words = fence[1].split(maxsplit=1)
        if start is None:
            start, is_python = fence.end() + 1, bool(words) and words[0].lower() in _PYTHON
            code = "" if is_python else code
        elif not words:
            code = text[start : fence.start() - 1] if is_python else code
            start = None
    return code


_CALL = """

def textgym_call(view, arguments, keywords):
    import builtins
    value = ENTRY_POINT(*arguments, **keywords)
    if view != "value":
        return getattr(builtins, view)(value)
    return dict(value) if isinstance(value, dict) else value
"""
"""Added to the code where a case wants more than a plain call: a view, keywords, or a dict, for which a Counter does.
It runs among hostile code, which may change it and gains nothing by that: it returns a value, as the function does."""


def _job(problem: Problem, response: str) -> Job | None:
    """Return what is to be run, or None where the response has no code or never names the function."""
    name, cases = problem.metadata["entry_point"], problem.metadata["cases"]
    if not cases:
        raise ValueError(f"a programming problem needs cases, but {name!r} has none")
    code = extract_code(response)
    if code is None or name not in code:
        return None
    code = problem.metadata.get("preamble", "") + code
    if all(case.view == "value" and not case.keywords and not isinstance(case.expected, dict) for case in cases):
        return Job(code, name, [case.arguments for case in cases])
    inputs = [(case.view, case.arguments, dict(case.keywords)) for case in cases]
    return Job(code + _CALL.replace("ENTRY_POINT", name), "textgym_call", inputs)


def _run(problems: Sequence[Problem], jobs: Sequence[Job | None]) -> list[Execution | None]:
    """Run the jobs that there are, and leave None where there is none."""
    executions: list[Execution | None] = [None] * len(jobs)
    batches: dict[Sandbox, list[int]] = {}
    for i, (problem, job) in enumerate(zip(problems, jobs, strict=True)):
        if job is not None:
            settings = problem.metadata
            sandbox = _sandbox(settings.get("cpu_seconds", 2), settings.get("unsafe_local", False))
            batches.setdefault(sandbox, []).append(i)
    for sandbox, batch in batches.items():
        for i, execution in zip(batch, sandbox.run([job for i in batch if (job := jobs[i])]), strict=True):
            executions[i] = execution
    return executions


@functools.cache
def _sandbox(cpu_seconds: int, unsafe_local: bool) -> Sandbox:
    """Return the sandbox that all verifiers of this process share; a forked process gets workers of its own."""
    return Sandbox(limits=Limits(cpu_seconds=cpu_seconds, wall_seconds=3 * cpu_seconds), unsafe_local=unsafe_local)


def _share(cases: Sequence[Case], execution: Execution | None) -> float:
    """Return the share of the cases that passed."""
    if execution is None or execution.status == "forged":
        return 0.0
    return sum(map(_passes, cases, execution.outputs)) / len(cases)


def _passes(case: Case, tree: Tree | None) -> bool:
    expected = encode(case.expected)
    return tree is not None and equal(_promoted(tree, expected, case.equal_numbers), expected, tolerance=case.tolerance)


def _promoted(tree: Any, expected: Tree, both_ways: bool) -> Any:
    """Return ``tree`` with an int as a float where ``expected`` has one, and with ``both_ways`` the other way round."""
    if type(tree) is not list or len(tree) != len(expected) or type(tree[-1]) is not type(expected[-1]):
        return tree
    try:
        match tree[0], expected[0]:
            case "i", "f":
                return ["f", float(int(tree[1], 16)).hex()]
            case "f", "i" if both_ways and float.fromhex(tree[1]).is_integer():
                return ["i", hex(int(float.fromhex(tree[1])))]
            case ("l", "l") | ("t", "t") if len(tree[1]) == len(expected[1]):
                return [tree[0], [_promoted(*pair, both_ways) for pair in zip(tree[1], expected[1], strict=True)]]
            case "d", "d" if len(tree[1]) == len(expected[1]):
                pairs = zip(tree[1], expected[1], strict=True)
                return ["d", [[item[0], _promoted(item[1], other[1], both_ways)] for item, other in pairs]]
    except (ValueError, OverflowError, IndexError):
        pass
    return tree
