"""``run_cells``: runs a matrix's cells in parallel processes, and picks up what an earlier call has left.

Each cell is a process with one thread of torch, so that a crash takes no other along. Finished cells are not run again,
begun ones go on, and failed ones are tried again. A cell that fails leaves a traceback in its ``error.txt``, and the
rest goes on without it and without those that need its model. Processes whose parent is gone end themselves. With
``ray`` the processes are those of a Ray cluster; see ``ray_pool``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import fcntl
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from textgym.agents.files import read_json, write_json
from textgym.bench.matrix import Cell

State = Literal["waiting", "running", "done", "failed"]


class Display(Protocol):
    """Shows how far the cells are; see ``progress``."""

    def update(self, states: dict[str, State], out: Path) -> None:
        """Show the state of each cell, by id; called several times a second."""
        ...


def run_cells(
    cells: Sequence[Cell],
    out: str | Path,
    *,
    workers: int | None = None,
    display: Display | None = None,
    ray: str | None = None,
) -> dict[str, State]:
    """Run cells, each in ``out/<id>``, and return what became of each: ``"done"`` or ``"failed"``.

    Args:
        cells: those of a matrix.
        out: the folder of the benchmark.
        workers: processes at once; None: as many as there are cores.
        display: told of progress.
        ray: address of a Ray cluster whose processes run the cells; None: this machine's do.

    Raises:
        ConnectionError: if there is no such cluster.
        FileExistsError: if ``out`` has results of a cell with the same id and other settings.
        KeyboardInterrupt: after Ctrl-C, when the running cells have ended; call again to go on.
        RuntimeError: if another process runs cells there.
    """
    out = Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        for cell in cells:
            _prepare(cell, out / cell.id)
        if ray is None:
            return Pool(cells, out, workers, display).run()
        from textgym.bench.ray_pool import RayPool

        return RayPool(cells, out, workers, display, ray).run()


class Pool:
    """Runs cells in processes of this machine."""

    def __init__(self, cells: Sequence[Cell], out: Path, workers: int | None, display: Display | None) -> None:
        """Begin with nothing running; arguments as in ``run_cells``."""
        self.cells, self.out, self.display = {cell.id: cell for cell in cells}, out, display
        self.workers = workers or _cores()
        self.states: dict[str, State] = {
            cell.id: "done" if (out / cell.id / "result.json").is_file() else "waiting" for cell in cells
        }
        self.running: dict[str, Any] = {}
        self._set_up()

    def _set_up(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["textgym.bench.preload"])  # torch is imported once

    def run(self) -> dict[str, State]:
        """Run all that have not finished, and return what became of each."""
        try:
            while self.running or "waiting" in self.states.values():
                self._collect()
                self._start()
                if self.display is not None:
                    self.display.update(self.states, self.out)
                self._wait()
        finally:
            self._stop()
        if self.display is not None:
            self.display.update(self.states, self.out)
        return self.states

    def _start(self) -> None:
        for cell_id, cell in self.cells.items():
            if len(self.running) >= self.workers:
                return
            before = {needed: self.states.get(needed, "done") for needed in cell.needs}
            if self.states[cell_id] != "waiting" or {"waiting", "running"} & set(before.values()):
                continue
            if failed := [needed for needed, state in before.items() if state == "failed"]:
                self._fail(cell_id, f"{failed[0]}, whose model it needs, has failed\n")
                continue
            self.running[cell_id], self.states[cell_id] = self._launch(cell_id), "running"

    def _launch(self, cell_id: str) -> Any:
        process = self.context.Process(target=_run_in_child, args=(str(self.out / cell_id),), name=cell_id)
        process.start()
        return process

    def _wait(self) -> None:
        """Wait for an end, for a quarter of a second at most."""
        multiprocessing.connection.wait([process.sentinel for process in self.running.values()], timeout=0.25)

    def _ended(self) -> dict[str, str]:
        """Return how the processes that are no longer running have ended, by cell."""
        exits = {cell_id: process.exitcode for cell_id, process in self.running.items()}
        return {cell_id: f"with the status {code}" for cell_id, code in exits.items() if code is not None}

    def _collect(self) -> None:
        for cell_id, how in self._ended().items():
            del self.running[cell_id]
            if (self.out / cell_id / "result.json").is_file():
                self.states[cell_id] = "done"
            elif (self.out / cell_id / "error.txt").is_file():
                self.states[cell_id] = "failed"
            else:
                self._fail(cell_id, f"the process ended {how}, see log.txt\n")

    def _fail(self, cell_id: str, why: str) -> None:
        (self.out / cell_id / "error.txt").write_text(why, encoding="utf-8")
        self.states[cell_id] = "failed"

    def _stop(self) -> None:
        """Give running cells, which Ctrl-C has reached too, ten seconds to write a checkpoint."""
        deadline = time.monotonic() + 10
        for process in self.running.values():
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.join()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepare(cell: Cell, folder: Path) -> None:
    """Make the folder of a cell, or see that it is the folder of this one."""
    folder.mkdir(exist_ok=True)
    path = folder / "cell.json"
    if not path.is_file():
        write_json(path, dataclasses.asdict(cell))
        found = cell
    else:
        found = Cell.from_json(read_json(path))
    if changed := [f.name for f in dataclasses.fields(cell) if getattr(found, f.name) != getattr(cell, f.name)]:
        raise FileExistsError(
            f"{folder} holds the same cell with another {', '.join(changed)}: take another folder, or remove this one"
        )
    (folder / "error.txt").unlink(missing_ok=True)


def _run_in_child(folder: str) -> None:
    """Run a cell in this process, whose output goes to ``log.txt``."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    log = Path(folder, "log.txt").open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - as long as the process lives
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    faulthandler.enable(log)
    import torch

    from textgym.bench.cell import run_cell

    torch.set_num_threads(1)
    try:
        run_cell(folder)
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseException:
        Path(folder, "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the lock of a folder, which the system takes back from a process that is killed."""
    with (out / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RuntimeError(f"another process runs cells in {out}") from None
        yield
