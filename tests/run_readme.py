"""Runs the code blocks of a Markdown file, in their order, as a reader would.

    python tests/run_readme.py README.md --python VENV/bin/python --tree COPY --already-run "make test"

- `python` blocks run each in a fresh interpreter of that environment, in one temporary folder outside the repository: a
  block may load what an earlier one has saved, and finds no file of the repository by chance.
- `bash`, `sh` and `console` blocks (of the last, the lines after `$ `) run with bash in TREE, a copy of the repository,
  with that environment's programs first in PATH. Every line must succeed.
- A line that is exactly an `--already-run` command is reported and left out.
- Blocks of other languages are shown, not run.

The first failure ends the run with its exit status.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

SHELLS = ("bash", "sh", "console")


def blocks(text: str) -> list[tuple[int, str, str]]:
    """Every fenced block as (line of the fence, language, code)."""
    fences = [token for token in MarkdownIt().parse(text) if token.type == "fence"]
    return [(token.map[0] + 1, token.info.split(" ")[0], token.content) for token in fences if token.map]


def shell_script(language: str, code: str, already_run: list[str]) -> str:
    """The commands of a block, less those that were run before."""
    lines = code.splitlines()
    if language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
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
        for line, language, code in blocks(args.file.read_text(encoding="utf-8")):
            print(f"--- {args.file.name}:{line} {language or 'plain'}", flush=True)
            script = Path(folder) / f"block_{line}"
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
