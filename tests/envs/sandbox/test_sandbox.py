"""The sandbox as its callers see it: results in order, from any thread and process, nothing left, failures named."""

from __future__ import annotations

import copy
import os
import pickle
import platform
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from textgym.envs.sandbox import (
    Execution,
    Job,
    Limits,
    Sandbox,
    SandboxUnavailable,
    SandboxUnavailableWarning,
    encode,
    pool,
    unsafe,
    worker,
)

isolated = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="no isolation here"
)
pytestmark = isolated
DOUBLE = "def f(x):\n    return 2 * x\n"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(2, Limits(cpu_seconds=1.0, wall_seconds=2.0)) as sandbox:
        yield sandbox


def outputs(*values: object) -> tuple[object, ...]:
    return tuple(map(encode, values))


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def is_gone(pid: int) -> bool:
    """Whether a process has ended, if perhaps nobody has asked for its exit code yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_results_are_in_order(sandbox: Sandbox) -> None:
    jobs = [Job(f"import time\ndef f(x):\n time.sleep({i % 3} / 100)\n return {i} + x", "f", [(i,)]) for i in range(20)]
    assert [execution.outputs for execution in sandbox.run(jobs)] == [outputs(2 * i) for i in range(20)]
    assert sandbox.run([]) == []


def test_values_of_every_type_go_in_and_come_out(sandbox: Sandbox) -> None:
    values = (None, True, -5, 2**70, 1.5, float("nan"), "é\ud800\0", b"\xff", [1, [2]], (1,), {"b": 1, "a": {2}}, 1j)
    execution = sandbox.run([Job("def f(*a): return a", "f", [values, ()])])[0]
    assert execution == Execution("finished", outputs(values, ()))


def test_a_dict_goes_in_in_its_order(sandbox: Sandbox) -> None:
    assert sandbox.run([Job("def f(d): return list(d)", "f", [({"b": 1, "a": 2},)])])[0].outputs == outputs(["b", "a"])


def test_calls_share_a_process_and_jobs_do_not(sandbox: Sandbox) -> None:
    job = Job("seen = []\ndef f(x):\n seen.append(x)\n return len(seen)", "f", [(0,), (0,)])
    assert {execution.outputs for execution in map(freeze, sandbox.run([job] * 8))} == {str(outputs(1, 2))}


def freeze(execution: Execution) -> Execution:
    return Execution(execution.status, str(execution.outputs))


def test_one_call_fails_and_the_others_count(sandbox: Sandbox) -> None:
    execution = sandbox.run([Job("def f(x): return 1 // x", "f", [(1,), (0,), (-1,)])])[0]
    assert execution == Execution("exception", (encode(1), None, encode(-1)))
    assert execution.reward_status == "ok"


def test_what_came_before_the_limit_is_kept(sandbox: Sandbox) -> None:
    execution = sandbox.run([Job("def f(x):\n while x: pass\n return x", "f", [(0,), (1,), (0,)])])[0]
    assert execution == Execution("time_limit", (encode(0), None, None))


def test_no_inputs(sandbox: Sandbox) -> None:
    assert [e.status for e in sandbox.run([Job(DOUBLE, "f", []), Job("1 / 0", "f", [])])] == ["finished", "exception"]


def test_large_inputs_and_outputs(sandbox: Sandbox) -> None:
    text = "x" * 900_000
    assert sandbox.run([Job("def f(x): return x", "f", [(text,)])])[0].outputs == outputs(text)
    assert sandbox.run([Job("def f(x): return len(x)", "f", [("x" * 5_000_000,)])])[0].outputs == outputs(5_000_000)


def test_the_library(sandbox: Sandbox) -> None:
    names = (
        "math re collections itertools functools heapq bisect string random copy typing dataclasses operator datetime"
    )
    names += " statistics fractions decimal hashlib json enum abc queue threading struct textwrap unicodedata calendar"
    code = "".join(f"import {name}\n" for name in names.split())
    code += textwrap.dedent("""
        from __future__ import annotations
        @dataclasses.dataclass
        class Point:
            x: int
            y: typing.ClassVar[int] = 1
        def f(text):
            assert datetime.datetime.strptime("2024-02-29", "%Y-%m-%d").weekday() == 3
            thread = threading.Thread(target=lambda: results.append(Point(1).x))
            results = []
            thread.start(); thread.join()
            return hashlib.md5(text.encode()).hexdigest(), results, random.random(), hash(text), [*{"a", "b", "c"}]
        """)
    code = "from __future__ import annotations\n" + code.replace("from __future__ import annotations\n", "")
    first, second = sandbox.run([Job(code, "f", [("abc",)])] * 2)
    assert first.status == "finished" and first.outputs[0][1][0] == ["s", "900150983cd24fb0d6963f7d28e17f72"]
    assert first == second, "random numbers and hashes must be the same in every process"


def test_print_goes_nowhere(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys\ndef f(x):\n print(x, flush=True)\n print(x, file=sys.stderr)\n return x"
    assert sandbox.run([Job(code, "f", [("hello",)])])[0].outputs == outputs("hello")
    assert capfd.readouterr() == ("", "")


def test_the_code_cannot_count_the_inputs(sandbox: Sandbox) -> None:
    """Nothing of the next input has been sent when the code could look."""
    code = "import select\ndef f(x):\n return select.select([3], [], [], 0.05)[0]"
    assert sandbox.run([Job(code, "f", [(1,), (2,)])])[0].outputs == outputs([], [])


def test_from_many_threads(sandbox: Sandbox) -> None:
    results: dict[int, tuple[object, ...]] = {}

    def run(i: int) -> None:
        results[i] = sandbox.run([Job(DOUBLE, "f", [(i,)])] * 3)[2].outputs

    threads = [threading.Thread(target=run, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: outputs(2 * i) for i in range(12)}
    assert len(sandbox._all) <= 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_from_a_forked_process(sandbox: Sandbox) -> None:
    """It has workers of its own, which end with it, while the parent's go on."""
    sandbox.run([Job(DOUBLE, "f", [(1,)])] * 2)
    before = {process.pid for process in descendants()}
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            executions = sandbox.run([Job(DOUBLE, "f", [(i,)]) for i in range(4)])
            if [execution.outputs for execution in executions] == [outputs(2 * i) for i in range(4)]:
                os.write(writer, " ".join(str(process.pid) for process in descendants()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    assert sandbox.run([Job(DOUBLE, "f", [(3,)])])[0].outputs == outputs(6)
    os.waitpid(pid, 0)
    theirs = set(map(int, os.read(reader, 1000).split()))
    os.close(reader)
    assert theirs and not theirs & before and {process.pid for process in descendants()} == before
    assert eventually(lambda: all(map(is_gone, theirs)))
    assert sandbox.run([Job(DOUBLE, "f", [(3,)])])[0].outputs == outputs(6)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_forked_meanwhile_does_not_matter(sandbox: Sandbox) -> None:
    """It may inherit a channel, which then is not closed when the code ends."""
    pids = []

    def fork() -> None:
        time.sleep(0.1)
        if (pid := os.fork()) == 0:
            time.sleep(5)
            os._exit(0)
        pids.append(pid)

    thread = threading.Thread(target=fork)
    thread.start()
    begin = time.monotonic()
    jobs = [Job("import time, os\ndef f(x):\n time.sleep(0.4)\n os._exit(0)", "f", [(1,)])] * 2
    assert [execution.status for execution in sandbox.run(jobs)] == ["crash"] * 2
    assert time.monotonic() - begin < 1.9, "it did not wait for the limit"
    thread.join()
    os.kill(pids[0], signal.SIGKILL)
    os.waitpid(pids[0], 0)


def test_close_leaves_nothing() -> None:
    descriptors, children = set(os.listdir("/proc/self/fd")), descendants()
    with Sandbox(2) as sandbox:
        sandbox.run([Job(DOUBLE, "f", [(i,)]) for i in range(4)])
        assert len(descendants()) > len(children)
    sandbox.close()
    assert descendants() == children and set(os.listdir("/proc/self/fd")) == descriptors
    with pytest.raises(RuntimeError, match="closed"):
        sandbox.run([Job(DOUBLE, "f", [(1,)])])


def test_it_closes_with_the_last_reference() -> None:
    children = descendants()
    sandbox = Sandbox(1)
    sandbox.run([Job(DOUBLE, "f", [(1,)])])
    del sandbox
    assert eventually(lambda: descendants() == children)


@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "os._exit(0)", "os.kill(os.getpid(), 9)", "1 / 0"])
def test_nothing_outlives_its_process(end: str) -> None:
    """However the process ends, in the middle of a job of another thread."""
    code = f"""
        import os, sys, threading, time
        sys.path.insert(0, {str(Path(worker.__file__).parents[3])!r})
        from textgym.envs.sandbox import Job, Sandbox
        sandbox = Sandbox(2)
        sandbox.run([Job("def f(x): return x", "f", [(1,)])] * 4)
        job = Job("while True: pass", "f", [(1,)])
        threading.Thread(target=sandbox.run, args=([job],), daemon=True).start()
        time.sleep(0.1)
        import psutil
        print(*[process.pid for process in psutil.Process().children(recursive=True)], flush=True)
        {end}
        """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    pids = list(map(int, result.stdout.split()))
    assert len(pids) >= 2, result.stderr
    assert eventually(lambda: all(map(is_gone, pids)))


def test_a_copy_has_its_own_workers(sandbox: Sandbox) -> None:
    for other in (copy.deepcopy(sandbox), pickle.loads(pickle.dumps(sandbox))):
        assert (other.workers, other.limits) == (sandbox.workers, sandbox.limits)
        assert other.run([Job(DOUBLE, "f", [(1,)])])[0].outputs == outputs(2)
        assert not other._all & sandbox._all
        other.close()


@pytest.mark.parametrize("count", [1, 4])
def test_killed_servers_are_replaced(sandbox: Sandbox, count: int) -> None:
    """One job must not go from one dead server to the next."""
    while len(sandbox._idle) < 2:
        sandbox._idle.append(sandbox._start())
    for one in sandbox._all:
        os.kill(one._process.pid, signal.SIGKILL)
    executions = sandbox.run([Job(DOUBLE, "f", [(i,)]) for i in range(count)])
    assert executions == [Execution("finished", outputs(2 * i)) for i in range(count)]


def test_a_server_that_cannot_stay_alive_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the code's fault: its reward is NaN, not 0."""
    with Sandbox(1) as sandbox:
        execute = worker.Worker._execute

        def kill_and_execute(self: worker.Worker, *arguments: object) -> object:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return execute(self, *arguments)

        sandbox.run([Job(DOUBLE, "f", [(1,)])])
        monkeypatch.setattr(worker.selftest, "failure", lambda run: None)
        monkeypatch.setattr(worker.Worker, "_execute", kill_and_execute)
        execution = sandbox.run([Job(DOUBLE, "f", [(1,)])])[0]
        assert execution == Execution("error", (None,)) and execution.reward_status == "error"
        monkeypatch.undo()
        assert sandbox.run([Job(DOUBLE, "f", [(1,)])])[0].status == "finished"


@pytest.mark.slow
def test_a_starved_process_is_not_to_blame() -> None:
    """Eight others want its CPU: it cannot do 0.2 seconds' work in 0.4, and must not be told that it is too slow."""
    spin = "import os; os.sched_setaffinity(0, [0])\nwhile True: pass"
    cpus = os.sched_getaffinity(0)
    with Sandbox(1, Limits(cpu_seconds=0.4, wall_seconds=0.4)) as sandbox:
        os.sched_setaffinity(0, [0])  # what starts from here stays there
        try:
            sandbox.run([Job(DOUBLE, "f", [(1,)])])
        finally:
            os.sched_setaffinity(0, cpus)
        # sessions of their own: the scheduler may share out by session
        command = [sys.executable, "-S", "-c", spin]
        others = [subprocess.Popen(command, start_new_session=True) for _ in range(8)]
        try:
            time.sleep(0.3)
            work = "import time\ndef f(x):\n end = time.process_time() + 0.2\n while time.process_time() < end: pass"
            begin = time.monotonic()
            execution = sandbox.run([Job(work, "f", [(1,)])])[0]
            assert time.monotonic() - begin > 0.5, "it was not starved, and this test shows nothing"
            assert execution.status in ("finished", "timeout")
            loop, sleep = Job("while True: pass", "f", [(1,)]), Job("import time; time.sleep(99)", "f", [(1,)])
            assert sandbox.run([loop])[0].status in ("time_limit", "timeout")
            assert sandbox.run([sleep])[0].status == "time_limit"
        finally:
            for other in others:
                other.kill()
                other.wait()


def test_a_process_starved_for_good_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_scheduling", lambda pid: (1e9, True))
    with Sandbox(1, Limits(cpu_seconds=0.1, wall_seconds=0.1)) as sandbox:
        execution = sandbox.run([Job("import time; time.sleep(99)", "f", [(1,)])])[0]
    assert execution == Execution("timeout", (None,)) and execution.reward_status == "timeout"


def test_where_code_cannot_be_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is missing and how to do without; it does not run the code."""
    for platform_, machine, reason in [("darwin", "arm64", "darwin on arm64"), ("linux", "riscv64", "on riscv64")]:
        with monkeypatch.context() as patch, Sandbox(1) as sandbox:
            patch.setattr(worker.sys, "platform", platform_)
            patch.setattr(worker.platform, "machine", lambda machine=machine: machine)
            with pytest.raises(SandboxUnavailable, match=rf"{reason}.*unsafe_local=True"):
                sandbox.run([Job(DOUBLE, "f", [(1,)])] * 2)


def test_an_interpreter_that_cannot_be_started_is_no_error_of_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.sys, "executable", "/nonexistent/python")
    with Sandbox(1) as sandbox, pytest.raises(SandboxUnavailable, match=r"cannot be started: .*/nonexistent/python"):
        sandbox.run([Job(DOUBLE, "f", [(1,)])])


def test_a_worker_that_fails_its_test_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-test must be able to fail: here an attack is something that is allowed."""
    code = worker.selftest._CODE.replace('"fork": lambda: os.fork() or os._exit(0)', '"count to three": lambda: 3')
    monkeypatch.setattr(worker.selftest, "_CODE", code)
    children = descendants()
    with Sandbox(1) as sandbox, pytest.raises(SandboxUnavailable, match="count to three"):
        sandbox.run([Job(DOUBLE, "f", [(1,)])])
    assert descendants() == children


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("seccomp.py", '"getpid": (39, 172),', '"getpid": (39, 172), "pipe2": (293, 59),', "make a pipe"),
        ("confine.py", "_SECCOMP_MODE_FILTER = 2", "_SECCOMP_MODE_FILTER = 77", "no confined process"),
        ("confine.py", "_limit(resource.RLIMIT_AS, memory_bytes)", "pass", "allocate more"),
        ("server.py", "os.pidfd_open(os.getpid())", "os.pidfd_open(-1)", "Invalid argument"),
        ("server.py", "serve(3, 3, output_bytes)", "serve(4, 3, output_bytes)", "honest code did not run: crash"),
    ],
)
def test_an_isolation_with_a_hole_is_noticed(
    file: str, old: str, new: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server runs from a copy of the package, in which one line is other."""
    real, folder = worker.launch.command, str(Path(worker.__file__).parent.resolve())
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    text = (tmp_path / "copy" / file).read_text()
    assert old in text
    (tmp_path / "copy" / file).write_text(text.replace(old, new))

    def command(module: str, *arguments: int) -> list[str]:
        return [str(tmp_path / "copy") if part == folder else part for part in real(module, *arguments)]

    monkeypatch.setattr(worker.launch, "command", command)
    with Sandbox(1) as sandbox, pytest.raises(SandboxUnavailable, match=reason):
        sandbox.run([Job(DOUBLE, "f", [(1,)])])


def test_unsafe_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.platform, "machine", lambda: "riscv64")
    jobs = {
        "finished": DOUBLE,
        "exception": "1 / 0",
        "crash": "import os; os._exit(0)",
        "time_limit": "while True: pass",
        "forged": "import os\nfor fd in range(9):\n try: os.write(fd, b'\\0\\0\\0\\3abc')\n except OSError: pass",
    }
    limits = Limits(cpu_seconds=1.0, wall_seconds=1.5)
    children = descendants()
    with Sandbox(2, limits, unsafe_local=True) as sandbox:
        with pytest.warns(SandboxUnavailableWarning, match="unisolated"):
            assert sandbox.run([Job(DOUBLE, "f", [(2,)])])[0].outputs == outputs(4)
        executions = sandbox.run([Job(code, "f", [(4,)]) for code in jobs.values()])
    assert [execution.status for execution in executions] == list(jobs)
    assert executions[0].outputs == outputs(8) and descendants() == children


def test_unsafe_local_is_not_used_where_there_is_isolation() -> None:
    with Sandbox(1, unsafe_local=True) as sandbox:
        execution = sandbox.run([Job("import os\ndef f(): return os.getpid(), os.listdir('/')", "f", [()])])[0]
    assert execution.status == "exception"


def test_unsafe_sleep_is_killed() -> None:
    limits = Limits(cpu_seconds=0.2, wall_seconds=0.3)
    assert unsafe.execute(Job("import time; time.sleep(99)", "f", [()]), limits).status == "time_limit"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("", "f()", []), ValueError, "identifier"),
        (("", "f", [[1]]), TypeError, "tuple"),
        (("", "f", [(object(),)]), TypeError, "no tree"),
    ],
)
def test_a_wrong_job_is_refused(arguments: tuple[str, str, list[object]], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Job(*arguments)


def test_wrong_settings_are_refused() -> None:
    for settings in ({"cpu_seconds": 0}, {"memory_bytes": 0}, {"cpu_seconds": 3, "wall_seconds": 2}):
        with pytest.raises(ValueError, match="Limits"):
            Limits(**settings)
    with pytest.raises(ValueError, match="at least 1"):
        Sandbox(0)


@pytest.mark.parametrize(
    ("kilobytes", "status"), [(20_000, "error"), (400_000, "memory_limit")], ids=["a small one", "a big one"]
)
def test_a_process_killed_from_outside(
    kilobytes: int, status: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the kernel when memory is over, that is: the fault of code that took much of it, and of no other."""

    class Report:
        size = worker.REPORT.size
        unpack = staticmethod(lambda report: (signal.SIGKILL, False, kilobytes * 1024))

    sandbox.run([Job(DOUBLE, "f", [(1,)])])
    monkeypatch.setattr(worker, "REPORT", Report)
    (one,) = list(sandbox._idle)[-1:]
    assert one.execute(Job(DOUBLE, "f", [(1,)]), Limits()).status == status
    one.is_healthy = True


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_left_of_2000_hostile_runs() -> None:
    """No process, file or descriptor more than before; and the last honest job passes like the first."""
    codes = [
        "import os; os._exit(0)",
        "import os\ndef f(x): os.abort()",
        "import threading, time\nfor _ in range(50): threading.Thread(target=time.sleep, args=(99,)).start()\n"
        "def f(x): return x",
        "def f(x): return bytearray(1 << 40)",
        "import os\nwhile True: os.write(3, b'x')",
        "import os, time\ndef f(x):\n os.close(3)\n time.sleep(0.05)",
        "import os\ndef f(x): os.fork(); os.system('sleep 99'); open('/tmp/left', 'w')",
        "import time; time.sleep(99)",
        "def f(x): return f(x)",
        "import ctypes\ndef f(x): ctypes.string_at(0)",
    ]
    temporary, shared = set(os.listdir("/tmp")), set(os.listdir("/dev/shm"))
    descriptors, children = set(os.listdir("/proc/self/fd")), descendants()
    with Sandbox(2, Limits(cpu_seconds=0.1, wall_seconds=0.1)) as sandbox:
        sandbox.run([Job(code, "f", [(1,)]) for code in codes])
        servers = [process for process in descendants() if process not in children]  # other tests have theirs
        workers = {process.pid: process.num_fds() for process in descendants()}
        for _ in range(200):
            statuses = {execution.status for execution in sandbox.run([Job(code, "f", [(1,)]) for code in codes])}
            assert not statuses & {"error", "timeout"}
        assert {process.pid: process.num_fds() for process in descendants()} == workers
        assert sandbox.run([Job(DOUBLE, "f", [(1,)])])[0].outputs == outputs(2)
    assert descendants() == children and set(os.listdir("/proc/self/fd")) == descriptors
    # another process may have got the number of one that has ended: is_running asks when it began
    assert eventually(lambda: all(not server.is_running() or is_gone(server.pid) for server in servers))
    assert "left" not in set(os.listdir("/tmp")) - temporary and set(os.listdir("/dev/shm")) == shared


def test_pool_counts_cpus() -> None:
    assert Sandbox().workers == pool._count_cpus() >= 1
