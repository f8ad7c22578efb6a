"""Write from the code itself docs/envs.md and a page in docs/envs/ for each task, and the tables of other pages.

    python docs/make_gallery.py

Such a table stands between two comments, of which the first says what of: ``<!-- settings of
textgym.agents.grpo:GRPOConfig -->``, ``<!-- presets of textgym.agents.grpo:GRPO -->``, or
``<!-- commands of textgym.cli:COMMANDS -->``.

tests/test_docs.py fails when the pages and the code disagree.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import importlib
import inspect
import io
import itertools
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import gymnasium as gym

from textgym import cli
from textgym.envs.registration import TASKS, Task
from textgym.envs.text_env import TextEnv

DOCS = Path(__file__).parent
HEADINGS = ("Description", "Observation", "Action", "Reward", "Start", "End", "Version history")
"""What the docstring of every task has, in this order; a task may have more in between."""
SAMPLES = 3
MAX_LINES = 24
WRITTEN_BY = "<!-- Written by docs/make_gallery.py; do not edit. -->"
INTRODUCTION = f"""\
# Environments

{WRITTEN_BY}

Each task is registered twice: `<name>-v0`, where one action is a whole response, and `<name>Tokens-v0`, where one
action is a character and the vocabulary is small enough for classic agents. Their settings are keyword arguments of
`gym.make` and, on the command line, of `--env-kwargs`:

```python
import gymnasium as gym

env = gym.make("textgym:TextMath-v0", difficulty=3)
observation, info = env.reset(seed=0)
```

Every task also takes `split` (`"train"` or `"test"`), `dense` (partial credit, where the task has it), and
`level="token"` with `tokenizer`, `window`, `max_tokens` and `layout`, which play it with the tokens of a language
model. An episode ends with `terminated`, and `info["stop_reason"]` says why.

In the tables, *perfect* is the mean return of the task's own solutions and *random* that of uniformly random actions:
of a response of 1 to as many characters as the token level allows, the number and each character uniform over those of
the task, in a game one in every turn; at the token level of a uniform token in each step. Both over the first 20 seeds,
with the default settings, as in `textgym list`.
`textgym check ID` tries on any of them what a policy would find.
"""


def main() -> None:
    """Write the pages, and remove those of tasks that are no more."""
    written = pages() | filled_pages()
    for path in DOCS.glob("envs/*.md"):
        if path not in written:
            path.unlink()
    for path, text in written.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def pages() -> dict[Path, str]:
    """Return all pages by their paths."""
    written = {page_of(name): page(name, task) for name, task in TASKS.items()}
    return {DOCS / "envs.md": contents(), **written}


def page_of(name: str) -> Path:
    """Return the path of a task's page; two names that differ in case only get two, on any file system."""
    alike = [other for other in TASKS if other.lower() == name.lower()]
    number = alike.index(name)
    return DOCS / "envs" / (name.lower() + (f"-{number}" if number else "") + ".md")


def contents() -> str:
    """Return the page that links to the others."""
    rows = ["| id | task | turns | `dense=True` | random | perfect |", "|---|---|---|---|---|---|"]
    for name, task in TASKS.items():
        random, perfect = (scores()[f"{name}-v0"][player] for player in ("random", "oracle"))
        turns = "one" if task.env_class is TextEnv else "several"
        dense = "yes" if task.dense_reward else ""
        link = f"[`{name}-v0`](envs/{page_of(name).name})"
        rows.append(f"| {link} | {task.description} | {turns} | {dense} | {random:.2f} | {perfect:.2f} |")
    return f"{INTRODUCTION}\n" + "\n".join(rows) + "\n"


def page(name: str, task: Task) -> str:
    """Return what there is to know about one task."""
    summary, sections = specification(specified_by(task))
    env = gym.make(f"{name}-v0").unwrapped
    tokens = gym.make(f"{name}Tokens-v0").unwrapped
    rows = ["| id | observation | action | random | perfect |", "|---|---|---|---|---|"]
    for env_id, one in (f"{name}-v0", env), (f"{name}Tokens-v0", tokens):
        earned = " | ".join(f"{scores()[env_id][player]:.2f}" for player in ("random", "oracle"))
        rows.append(f"| `{env_id}` | `{short(one.observation_space)}` | `{short(one.action_space)}` | {earned} |")
    history = sections.pop("Version history")
    sections["Reward"] += "\n\n" + reward_rules(task, env)
    parts = [
        f"# {name}",
        WRITTEN_BY,
        f"{task.description[0].upper()}{task.description[1:]}. {summary}",
        "\n".join(rows),
        *(f"## {heading}\n\n{text}" for heading, text in sections.items()),
        f"## Arguments\n\n{arguments(task)}",
        f"## Samples\n\n{samples(env)}",
        f"## Version history\n\n{history}",
    ]
    return "\n\n".join(parts) + "\n"


def specified_by(task: Task) -> Any:
    """Return the class whose docstring specifies the task: its game, or else its source."""
    return task.source_class if task.env_class is TextEnv else task.env_class


def specification(cls: Any) -> tuple[str, dict[str, str]]:
    """Return what a docstring says before its first heading, and what under each.

    Raises:
        ValueError: if a heading is missing, empty or out of order.
    """
    first, *rest = re.split(r"^## +(.+?) *$", markdown(inspect.getdoc(cls) or ""), flags=re.MULTILINE)
    sections = {heading: text.strip() for heading, text in zip(rest[::2], rest[1::2], strict=True)}
    found = [heading for heading in sections if heading in HEADINGS]
    if found != list(HEADINGS) or not all(sections.values()):
        raise ValueError(f"the docstring of {cls.__name__} needs the headings {HEADINGS}, each with text, got {found}")
    return first.strip(), sections


def reward_rules(task: Task, env: Any) -> str:
    """Return the range, and the docstrings of the reward and of the one with partial credit."""
    low, high = env.reward_range
    rules = f"A return lies between {low:g} and {high:g}. The exact rules, those of `{named(task.reward_class)}`:\n\n"
    rules += quoted(inspect.getdoc(task.reward_class) or "")
    if task.dense_reward is task.reward:
        rules += "\n\nWith `dense=True` the token level pays it token by token."
    elif task.dense_reward is not None:
        rules += f"\n\nWith `dense=True`, those of `{named(task.dense_reward_class)}`:\n\n"
        rules += quoted(inspect.getdoc(task.dense_reward_class) or "")
    return rules


def named(reward: Any) -> str:
    """Return the name of a reward's class."""
    return str(getattr(reward, "__name__", reward))


def quoted(text: str) -> str:
    """Return Markdown as a quotation."""
    return textwrap.indent(markdown(text), "> ", lambda line: True).replace("> \n", ">\n")


def short(space: gym.Space[Any]) -> str:
    """Return the space with its repeated numbers counted."""
    if isinstance(space, gym.spaces.MultiDiscrete):
        return f"MultiDiscrete([{space.nvec[0]}] * {len(space.nvec)})"
    return str(space)


@functools.cache
def scores() -> dict[str, dict[str, Any]]:
    """Return what `textgym list` shows of each id."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        if cli.main(["list", "--json"]) != 0:
            raise RuntimeError("some environments are broken: see textgym list")
    return {env["id"]: env for env in json.loads(shown.getvalue())}


def samples(env: Any) -> str:
    """Return the chats of three different perfect episodes."""
    chats: dict[str, None] = {}
    for seed in itertools.count():
        env.reset(seed=seed)
        ended = False
        while not ended:
            *_, ended, _, info = env.step(env.solution())
        chats[chat(info["messages"])] = None
        if len(chats) == SAMPLES:
            break
    return "\n\n".join(chats)


def chat(messages: list[dict[str, str]]) -> str:
    """Return a chat as a block of text; a long one is cut in the middle."""
    names = {"user": "env  ", "assistant": "agent"}
    lines = []
    for message in messages:
        first, *others = message["content"].split("\n")
        lines += [f"{names[message['role']]}: {first}".rstrip(), *((" " * 7 + other).rstrip() for other in others)]
    if len(lines) > MAX_LINES:
        cut = len(lines) - MAX_LINES
        lines[MAX_LINES // 2 : -MAX_LINES // 2] = [f"       [... {cut} lines ...]"]
    text = "\n".join(lines)
    fence = "```" if "```" not in text else "````"
    return f"{fence}text\n{text}\n{fence}"


def arguments(task: Task) -> str:
    """Return the fields of the source: name, default of the id, and docstring where there is one."""
    meanings = field_docstrings(task.source_class)
    rows = ["| argument | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(task.source_class):  # type: ignore[arg-type]
        default = task.settings.get(field.name, field.default)
        shown = repr(default).replace("|", "\\|")
        rows.append(f"| `{field.name}` | `{shown}` | {meanings.get(field.name, '')} |")
    preset = ", ".join(f"{key}={value!r}" for key, value in task.token_settings.items())
    return "\n".join(rows) + (f"\n\nThe `Tokens` id sets `{preset}`." if preset else "")


def filled_pages() -> dict[Path, str]:
    """Return the other pages that have tables of the code, with these as the code has them now."""
    texts = {path: path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md") if path.parent != DOCS / "envs"}
    return {path: _TABLE.sub(_filled, text) for path, text in texts.items() if _TABLE.search(text)}


_TABLE = re.compile(r"<!-- (settings|presets|commands) of ([\w.]+):(\w+) -->\n.*?<!-- end -->", re.DOTALL)


def _filled(match: re.Match[str]) -> str:
    kind, module, name = match.groups()
    make = {"settings": settings, "presets": presets, "commands": commands}[kind]
    table = make(getattr(importlib.import_module(module), name))
    return f"<!-- {kind} of {module}:{name} -->\n\n{table}\n\n<!-- end -->"


def settings(cls: Any) -> str:
    """Return the fields that a config declares itself, those it inherits aside."""
    meanings = field_docstrings(cls)
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    own = inspect.get_annotations(cls)
    for field in (field for field in dataclasses.fields(cls) if field.name in own):
        rows.append(f"| `{field.name}` | `{field.default!r}` | {meanings.get(field.name, '')} |")
    return "\n".join(rows)


def presets(cls: Any) -> str:
    """Return what each preset of an agent sets."""
    rows = ["| preset | sets |", "|---|---|"]
    for name, values in cls.presets.items():
        rows.append(f"| `{name}` | {', '.join(f'`{key}={value!r}`' for key, value in values.items())} |")
    return "\n".join(rows)


def commands(meanings: dict[str, str]) -> str:
    """Return what each command of ``textgym`` is for."""
    rows = ["| command | what for |", "|---|---|"]
    return "\n".join([*rows, *(f"| `textgym {name}` | {meaning} |" for name, meaning in meanings.items())])


def field_docstrings(cls: Any) -> dict[str, str]:
    """Return the string under each field, of the class and those it inherits from."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
        for statement, following in itertools.pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
                text = " ".join(str(ast.literal_eval(following.value)).split())
                found[statement.target.id] = markdown(text).replace("|", "\\|")  # type: ignore[union-attr]
    return found


def markdown(text: str) -> str:
    """Return text with the double backticks of docstrings made single."""
    return re.sub(r"(?<!`)``(?!`)", "`", text)


if __name__ == "__main__":
    main()
