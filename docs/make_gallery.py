"""Write docs/envs.md, the gallery of every task, from the code itself.

    python docs/make_gallery.py

tests/test_docs.py fails when the file and the code disagree.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
from pathlib import Path
from typing import Any

import gymnasium as gym

import textgym  # noqa: F401 - registers the ids
from textgym.envs.registration import TASKS, Task
from textgym.envs.text_env import TextEnv

PAGE = Path(__file__).with_name("envs.md")
INTRODUCTION = """\
# Environments

<!-- Written by docs/make_gallery.py; do not edit. -->

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
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(gallery(), encoding="utf-8")


def gallery() -> str:
    """Return the page."""
    contents = "\n".join(f"- [{name}](#{name.lower()}): {task.description}" for name, task in TASKS.items())
    return "\n".join([INTRODUCTION, contents, *(section(name, task) for name, task in TASKS.items())])


def section(name: str, task: Task) -> str:
    """Return what there is to know about one task."""
    env: Any = gym.make(f"{name}-v0").unwrapped
    tokens: Any = gym.make(f"{name}Tokens-v0").unwrapped
    low, high = env.reward_range
    reward = f"{docstring(task.reward)}\n\nFrom {low:g} to {high:g}."
    if task.dense_reward is task.reward:
        reward += " With `dense=True` the token level pays it token by token."
    elif task.dense_reward is not None:
        reward += f" With `dense=True` there is partial credit:\n\n{docstring(task.dense_reward)}"
    preset = ", ".join(f"{key}={value!r}" for key, value in task.token_settings.items())
    return f"""
## {name}

{task.description[0].upper()}{task.description[1:]}.

{docstring(task.source)}

| id | observation | action |
|---|---|---|
| `{name}-v0` | `{env.observation_space}` | `{env.action_space}` |
| `{name}Tokens-v0` | `{short(tokens.observation_space)}` | `{tokens.action_space}` |

A perfect episode of `{name}-v0`:

```text
{perfect_episode(env)}
```

**Reward.** {reward}

**End.** {end(task)}

**Settings.**{f" The `Tokens` id sets `{preset}`." if preset else ""}

{settings_table(task)}
"""


def short(space: gym.Space[Any]) -> str:
    """Return the space with its repeated numbers counted."""
    if isinstance(space, gym.spaces.MultiDiscrete):
        return f"MultiDiscrete([{space.nvec[0]}] * {len(space.nvec)})"
    return str(space)


def perfect_episode(env: Any) -> str:
    """Return the chat of the oracle's episode on seed 0."""
    env.reset(seed=0)
    ended = False
    while not ended:
        *_, ended, _, info = env.step(env.solution())
    names = {"user": "env  ", "assistant": "agent"}
    margin = " " * 7
    return "\n".join(
        f"{names[message['role']]}: " + message["content"].replace("\n", f"\n{margin}") for message in info["messages"]
    )


def end(task: Task) -> str:
    """Return the paragraph on termination in the env's docstring."""
    if task.env is TextEnv:
        return "After the response."
    return docstring(task.env).partition("**Termination.** ")[2].partition("\n\n")[0]


def docstring(thing: Any) -> str:
    """Return a class's docstring as Markdown."""
    return markdown(inspect.getdoc(thing) or "")


def settings_table(task: Task) -> str:
    """Return the fields of the source: name, default of the id, and docstring where there is one."""
    meanings = field_docstrings(task.source)
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(task.source):  # type: ignore[arg-type]
        default = task.settings.get(field.name, field.default)
        shown = repr(default).replace("|", "\\|")
        rows.append(f"| `{field.name}` | `{shown}` | {meanings.get(field.name, '')} |")
    return "\n".join(rows)


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
    return text.replace("``", "`")


if __name__ == "__main__":
    main()
