"""Runs the code blocks of a Markdown file, in their order, as a reader would.

    python tests/run_readme.py README.md --python VENV/bin/python --tree COPY --already-run "make test"

- `python` blocks run each in a fresh interpreter of that environment, in one temporary folder outside the repository: a
  block may load what an earlier one has saved, and finds no file of the repository by chance.
- `bash`, `sh` and `console` blocks (of the last, the lines after `$ ` and `> `) run with bash in TREE, a copy of the
  repository, with that environment's programs first in PATH. Every line must succeed.
- A line that is exactly an `--already-run` command is reported and left out.
- A block after a line `<!-- not run: WHY -->` needs a GPU, say, or the hub. It is looked at instead: its syntax must be
  right, and every option of `textgym` must be one that the command has.
- Blocks of other languages are shown, not run.

The first failure ends the run with its exit status. tests/test_docs.py runs the pages of docs/ with these functions.
"""

import argparse
import contextlib
import functools
import io
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from textgym import cli

SHELLS = ("bash", "sh", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block: the line of its fence, its language, its code, and what stands besides."""

    line: int
    language: str
    code: str
    title: str = ""
    """The `title="..."` of the fence: the name of the file that the block is."""
    excuse: str = ""
    """Why it is not run."""


def blocks(text: str) -> list[Block]:
    """Return every fenced block."""
    found, excuse = [], ""
    for token in MarkdownIt().parse(text):
        if token.type == "fence" and token.map:
            language, _, rest = token.info.partition(" ")
            title = re.search(r'title="(.+?)"', rest)
            found.append(Block(token.map[0] + 1, language, token.content, title[1] if title else "", excuse))
        match = re.fullmatch(r"<!-- not run: (.+) -->\s*", token.content) if token.type == "html_block" else None
        excuse = match[1] if match else ""
    return found


def look_at(block: Block) -> str:
    """Return what is wrong with a block that is not run; nothing if its syntax and its options are right."""
    if block.language == "python":
        try:
            compile(block.code, f"line {block.line}", "exec")
        except SyntaxError as error:
            return str(error)
    if block.language not in SHELLS:
        return ""
    script = shell_script(block.language, block.code, [])
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    if checked.returncode:
        return checked.stderr
    for command in re.findall(r"\btextgym (\w+.*)", script.replace("\\\n", " ")):
        name, *words = command.split()
        known = options_of(name, *(["--agent", words[words.index("--agent") + 1]] if "--agent" in words else []))
        if unknown := [word for word in words if word.startswith("--") and word.split("=")[0] not in known]:
            return f"textgym {name} has no {', '.join(unknown)}"
    return ""


@functools.cache
def options_of(*command: str) -> frozenset[str]:
    """Return the options that the help of a command of `textgym` shows; none if there is no such command."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        status = cli.main([*command, "--help"])
    return frozenset() if status else frozenset(re.findall(r"--[\w-]+", shown.getvalue()))


def shell_script(language: str, code: str, already_run: list[str]) -> str:
    """Return the commands of a block, less those that were run before."""
    lines = code.splitlines()
    if language == "console":
        lines = [line[2:] for line in lines if line.startswith(("$ ", "> "))]
    return "\n".join(f"echo 'already run: {line}'" if line.strip() in already_run else line for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--python", type=Path, required=True, help="the interpreter of an environment with textgym")
    parser.add_argument("--tree", type=Path, required=True, help="a copy of the repository, for the shell blocks")
    parser.add_argument("--already-run", action="append", default=[], metavar="COMMAND")
    parser.add_argument("--timeout", type=int, default=240, help="seconds for one block")
    args = parser.parse_args()

    python = args.python.absolute()  # not resolved: the link is what makes it the environment's
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(python.parents[1])}
    ran = 0
    with tempfile.TemporaryDirectory() as folder:
        for block in blocks(args.file.read_text(encoding="utf-8")):
            line, language, code = block.line, block.language, block.code
            print(f"--- {args.file.name}:{line} {language or 'plain'}", flush=True)
            script = Path(folder) / f"block_{line}"
            if block.excuse:
                print(f"not run: {block.excuse}")
                if wrong := look_at(block):
                    print(f"{args.file.name}:{line} is wrong: {wrong}", flush=True)
                    return 1
                continue
            if language == "python":
                command, cwd = [str(python), str(script)], folder
            elif language in SHELLS:
                command, cwd = ["bash", "-euxo", "pipefail", str(script)], args.tree
                code = shell_script(language, code, args.already_run)
            else:
                continue
            script.write_text(code, encoding="utf-8")
            limit = ["timeout", "--kill-after=10", str(args.timeout)]
            status = subprocess.run([*limit, *command], cwd=cwd, env=env, stdin=subprocess.DEVNULL).returncode
            if status:
                print(f"{args.file.name}:{line} failed with status {status} (124: out of time)", flush=True)
                return status
            ran += 1
    print(f"{args.file.name}: {ran} blocks ran")
    return 0 if ran else 1


if __name__ == "__main__":
    sys.exit(main())
