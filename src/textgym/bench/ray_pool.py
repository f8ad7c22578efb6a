"""``RayPool``: the cells of a matrix as tasks of a Ray cluster, each in a process of its own with one core.

The folders of the cells must lie on a file system that all machines of the cluster share, at the same path: a task gets
the path of its folder and nothing else, and all that comes out of it is files. A cell runs as on this machine.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textgym.bench.matrix import Cell
from textgym.bench.runner import Display, Pool, State


class RayPool(Pool):
    """Runs cells on the cluster at an address."""

    def __init__(
        self, cells: Sequence[Cell], out: Path, workers: int | None, display: Display | None, address: str
    ) -> None:
        """Connect; ``"auto"`` is the cluster that this machine belongs to, ``"local"`` a new one of this machine alone.

        Raises:
            ConnectionError: if there is no such cluster.
            ImportError: if Ray is not installed.
        """
        self.address = address
        super().__init__(cells, out, workers, display)
        self.workers = workers or int(self.ray.cluster_resources().get("CPU", 1))

    def _set_up(self) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError("--ray needs Ray: pip install 'textgym[ray]'") from error
        self.ray: Any = ray
        new: dict[str, Any] = {"num_cpus": self.workers, "include_dashboard": False} if self.address == "local" else {}
        ray.init(self.address, log_to_driver=False, logging_level=logging.ERROR, **new)
        # a process for each cell, as without Ray: what one has drawn or cached is no matter to the next
        self.task = ray.remote(num_cpus=1, max_calls=1, max_retries=0)(_run_in_worker)

    def run(self) -> dict[str, State]:
        """Run all that have not finished, and leave the cluster."""
        try:
            return super().run()
        finally:
            self.ray.shutdown()

    def _launch(self, cell_id: str) -> Any:
        return self.task.remote(str(self.out / cell_id))

    def _wait(self) -> None:
        if self.running:
            self.ray.wait(list(self.running.values()), timeout=0.25)

    def _ended(self) -> dict[str, str]:
        ended = {}
        for cell_id, reference in self.running.items():
            if self.ray.wait([reference], timeout=0)[0]:
                try:
                    self.ray.get(reference)
                    ended[cell_id] = "without a result"
                except self.ray.exceptions.RayError as error:  # the process died, or its machine
                    ended[cell_id] = f"by {type(error).__name__}: {error}"
        return ended

    def _stop(self) -> None:
        """Interrupt the running cells, and give them ten seconds to write a checkpoint."""
        references = list(self.running.values())
        for reference in references:
            self.ray.cancel(reference)
        _, left = self.ray.wait(references, num_returns=len(references), timeout=10) if references else ([], [])
        for reference in left:
            self.ray.cancel(reference, force=True)


def _run_in_worker(folder: str) -> None:
    """Run a cell in this process; what it prints goes to ``log.txt``."""
    import torch

    from textgym.bench.cell import run_cell

    torch.set_num_threads(1)
    with (
        Path(folder, "log.txt").open("a", encoding="utf-8", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        try:
            run_cell(folder)
        except Exception:
            Path(folder, "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
