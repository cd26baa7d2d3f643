"""Many submissions at once: none is lost, none stops or delays the others, and nothing is left running."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from enm5310.grading import batch, job
from enm5310.grading.worker import Lost, Worker
from enm5310.practice import Problem
from tests.fake_engine import Master, setup, task

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="grading is for Linux")


def workers():
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if "enm5310.grading.worker" in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    _, alive = psutil.wait_procs(workers(), timeout=5)
    assert not alive


def graded(texts, jobs=2, **how):
    """{student: result} of `local` for {student: text}."""
    tasks = (task(student, text) for student, text in texts.items())
    results = list(batch.local(batch.Keeper(setup(**how)), tasks, jobs))
    assert sorted(student for student, _ in results) == sorted(texts)  # each exactly once
    return dict(results)


def score(result):
    return result["notebooks"]["ps"]["record"]["score"]


# -------------------- one worker --------------------


def test_a_worker_answers_raises_and_says_how_it_ended():
    worker = Worker()
    assert worker(divmod, 7, 2, seconds=60) == (3, 1)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: "):
        worker(divmod, 1, 0, seconds=60)
    assert worker(os.getpid, seconds=60) == worker.process.pid  # and it goes on
    with pytest.raises(Lost, match=r"ended the grading process \(exit code 3\)"):
        worker(os._exit, 3, seconds=60)
    for call, told in [((os.kill, 0), "SIGKILL"), ((time.sleep, 100), "took longer than 0.5 s")]:
        worker = Worker()
        worker(os.getpid, seconds=60)
        arguments = (worker.process.pid, signal.SIGKILL) if call[0] is os.kill else call[1:]
        with pytest.raises(Lost, match=told):
            worker(call[0], *arguments, seconds=0.5)
        assert not psutil.pid_exists(worker.process.pid)


def test_what_a_worker_prints_disturbs_nothing():
    worker = Worker()
    assert worker(os.write, 1, b"noise", seconds=60) == 5
    assert worker(print, "noise", seconds=60) is None
    with pytest.raises(RuntimeError, match="EOFError"):
        worker(input, seconds=60)
    assert worker(os.getpid, seconds=60) == worker.process.pid
    worker.close()


@needs_linux
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_worker_ends_with_its_parent_however_that_ends(busy):
    code = (
        "import sys, time; from enm5310.grading.worker import Worker; w = Worker(); "
        f"w(int, seconds=60); print(w.process.pid, flush=True); w(time.sleep, {100 if busy else 0}, seconds=100); "
        "time.sleep(100)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=10)


def test_a_worker_keeps_the_memory_of_the_machine():
    worker = Worker()
    with pytest.raises(RuntimeError, match="MemoryError"):
        worker(bytearray, 7 * 2**30, seconds=60)
    assert worker(divmod, 7, 2, seconds=60) == (3, 1)
    worker.close()


# -------------------- a class --------------------


def test_every_submission_is_graded_once_whatever_the_others_do(tmp_path):
    log = {kind: tmp_path / kind for kind in ("exit", "kill", "raise", "problem")}
    texts = {f"s{i}": f"score {i}" for i in range(12)}
    texts |= {kind: f"{kind} log {path}" for kind, path in log.items()}
    texts |= {"prints": "print score 1", "big": "big score 2"}
    results = graded(texts)
    for i in range(12):
        assert score(results[f"s{i}"]) == i and results[f"s{i}"]["lost"] is None and results[f"s{i}"]["final"]
    assert (score(results["prints"]), score(results["big"])) == (1, 2)
    for kind, told in [("exit", "exit code 3"), ("kill", "SIGKILL"), ("raise", "ValueError: a fault of the engine"),
                       ("problem", "made the sandbox fail: the sandbox is broken")]:  # fmt: skip
        assert told in results[kind]["lost"] and results[kind]["lost"].startswith("the submission ")
        assert not results[kind]["final"] and results[kind]["notebooks"] == {}
    counts = {kind: len(path.read_text().splitlines()) for kind, path in log.items()}
    assert counts == {"exit": 2, "kill": 2, "raise": 1, "problem": 2}  # a death is tried once more, a fault of ours not


def test_a_submission_that_never_ends_costs_its_own_limit_only(tmp_path):
    log = tmp_path / "log"
    begun = time.monotonic()
    results = graded({"hang": f"hang log {log}", **{f"s{i}": "score 1" for i in range(6)}}, start=1, total=2)
    assert "took longer than 3 s" in results.pop("hang")["lost"] and len(log.read_text().splitlines()) == 1
    assert all(score(result) == 1 for result in results.values()) and time.monotonic() - begun < 60


def test_a_class_takes_turns_on_few_workers_and_is_read_as_they_become_free():
    read = []

    def tasks():
        for i in range(20):
            read.append(i)
            yield task(f"s{i}", "score 1")

    pids, begun = set(), []
    for count, (_, result) in enumerate(batch.local(batch.Keeper(setup()), tasks(), 2, begun.append), 1):
        pids.add(result["notebooks"]["ps"]["record"]["notes"][0].split("pid ")[1])
        assert len(read) <= count + 2 * 2 + 2 + 2  # in the queue, in work, about to be put
    assert len(pids) == 2 and len(begun) == count == 20


def test_a_sandbox_that_cannot_start_is_one_problem_for_all():
    for level, told in [("broken", "no sandbox today"), ("dead", r"cannot start: .*exit code 7.*doctor")]:
        with pytest.raises(Problem, match=told):
            list(batch.local(batch.Keeper(setup(level)), iter([task("a", ""), task("b", "")]), 2))
        with pytest.raises(Problem, match=told):
            batch.prepared(setup(level))


def test_masters_are_prepared_where_students_are_graded():
    keeper = batch.prepared(setup(masters={"p1": b"one", "ps": b"two"}))
    assert keeper.setup.masters == {"p1": Master(notes=("one",)), "ps": Master(notes=("two",))}
    pid = str(keeper.worker.process.pid)
    ((_, result),) = batch.local(keeper, iter([task("ada", "score 3")]), 1)
    assert score(result) == 3 and result["notebooks"]["ps"]["record"]["notes"][0].endswith(pid)  # and it goes on
    with pytest.raises(Problem, match="the source is bad"):
        batch.prepared(setup(masters={"p1": b"bad"}))


def test_a_run_that_is_broken_off_leaves_nothing_running():
    tasks = (task(f"s{i}", "sleep 0.1" if i else "hang") for i in range(50))
    results = batch.local(batch.Keeper(setup()), tasks, 3)
    next(results)
    assert len(workers()) == 3
    begun = time.monotonic()
    results.close()
    assert time.monotonic() - begun < 8 and not psutil.wait_procs(workers(), timeout=5)[1]


def test_what_a_submission_without_a_notebook_is_told():
    job.begin(setup())
    for files, also, told in [
        ({}, (), "no notebook was handed in"),
        ({}, ("a.pdf", "b.zip"), "no notebook was handed in, only a.pdf, b.zip"),
        ({"x.ipynb": b'{"grade_id": "of another"}'}, (), "no file is a notebook of this assignment: x.ipynb"),
        ({f"{i}.ipynb": b"" for i in range(5)}, (), "0.ipynb, 1.ipynb, 2.ipynb and 2 more"),
    ]:
        result = job.grade(job.Task("ada", files, {}, {"ps": {"": 0, "1.1": 1}}, also))
        assert told in result["lost"] and result["final"] and result["notebooks"] == {}


# -------------------- a cluster --------------------


@contextlib.contextmanager
def dask(workers):
    """A scheduler and workers in processes of their own: (address, the workers' processes)."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    common = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1"]
    scheduler = subprocess.Popen([*common, "--no-dashboard", "--no-show"], env=env, **quiet)
    started = [scheduler]
    try:
        address = next(line.split()[-1] for line in scheduler.stderr if "Scheduler at:" in line)
        for number in range(workers):
            command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1",
                       "--no-dashboard", "--host", "127.0.0.1", *(["--no-nanny"] if number == 0 else [])]  # fmt: skip
            started.append(subprocess.Popen(command, env=env, **quiet))
        for process in started[1:]:
            next(line for line in process.stderr if "Registered to:" in line)
        yield address, started[1:]
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()
            process.stderr.close()


@needs_linux
@pytest.mark.slow
def test_a_cluster_gives_the_same_and_survives_the_death_of_a_worker():
    texts = {f"s{i}": f"score {i} sleep 0.3" for i in range(16)} | {"kill": "kill"}
    with dask(2) as (address, machines):
        results = {}
        for count, (student, result) in enumerate(
            batch.cluster(setup(), (task(s, text) for s, text in texts.items()), address)
        ):
            assert student not in results
            results[student] = result
            if count == 3:
                machines[0].kill()
    assert sorted(results) == sorted(texts) and "SIGKILL" in results.pop("kill")["lost"]
    assert {student: score(result) for student, result in results.items()} == {f"s{i}": i for i in range(16)}


@needs_linux
@pytest.mark.slow
def test_no_cluster_is_one_line():
    with pytest.raises(Problem, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9") as why:
        list(batch.cluster(setup(), iter(()), "tcp://127.0.0.1:9"))
    assert "\n" not in str(why.value)
