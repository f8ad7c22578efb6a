"""Reports: from the folder of a run, or of a benchmark, one HTML page that needs nothing else.

- ``reading``: what files hold, of killed runs too; ``cells``: what the folder of a benchmark holds.
- ``run``, ``matrix``: what there is to say, as records of ``model``; parts of it are ``comparison``, ``trajectories``,
  ``effort``, and ``answers``: what was answered.
- ``charts``: curves; ``page``: the files.
"""

from __future__ import annotations

from pathlib import Path


def write_report(folder: str | Path, out: str | Path | None = None) -> list[Path]:
    """Write the report of a run or of a benchmark, and return its files, the page first.

    Args:
        folder: of ``textgym train`` or of a cell, or of many cells.
        out: where to write; None: ``report`` in that folder.

    Raises:
        FileNotFoundError: if the folder is of neither.
        ImportError: without jinja2.
    """
    from textgym.report.page import write_page
    from textgym.report.run import is_run, run_page

    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if is_run(folder):
        page = run_page(folder)
    elif any(folder.glob("*/cell.json")):
        from textgym.report.matrix import matrix_page

        page = matrix_page(folder)
    else:
        raise FileNotFoundError(_neither(folder))
    return write_page(page, folder / "report" if out is None else Path(out))


def _neither(folder: Path) -> str:
    from textgym.report.run import is_run

    inside = sorted(str(path) for path in folder.iterdir() if path.is_dir() and is_run(path))
    hint = f"; in it there are {', '.join(inside[:5])}{' and more' if len(inside) > 5 else ''}" if inside else ""
    return f"{folder} is neither a run nor a benchmark: it lacks metrics.jsonl, and folders with cell.json{hint}"
