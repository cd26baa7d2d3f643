"""Many submissions at once: in processes of this machine, or on a Dask cluster.  No submission can stop the others.

A process that dies takes one submission with it, which is tried once more; a second death is the submission's verdict.
"""

import contextlib
import queue
import threading
import time

from enm5310.grading import job
from enm5310.grading.scratch import sweep
from enm5310.grading.worker import Lost, Worker
from enm5310.practice import Problem


class Keeper:
    """A worker with its Setup, replaced when it is lost; for one thread."""

    def __init__(self, setup):
        self.setup, self.worker, self.begun, self.stopped = setup, None, False, False

    def ready(self):
        """The worker, started if there is none; Problem when it cannot work at all."""
        if self.stopped:
            raise Problem("stopped")
        if self.worker is None:
            for again in (True, True, False) if self.begun else (False,):
                try:
                    self.worker = self._started()
                    break
                except Problem:  # perhaps what the one before has left behind, which passes
                    if not again:
                        raise
                    time.sleep(1)
            self.begun = True
        return self.worker

    def _started(self):
        worker = Worker()
        try:
            worker(job.begin, self.setup, seconds=60 + self.setup.limits.start)
        except (Lost, RuntimeError) as why:
            worker.close()
            raise Problem(f"a grading process cannot start: {why} (`enm5310 doctor` looks for the cause)") from None
        except Problem:
            worker.close()
            raise
        return worker

    def close(self):
        if self.worker is not None:
            self.worker.close()
            self.worker = None


def prepared(setup):
    """A Keeper whose Setup has the masters that the engine made of its notebooks' bytes, ready to grade."""
    keeper = Keeper(setup)
    seconds = setup.limits.start + 3 * setup.limits.total * max(1, len(setup.masters))
    try:
        keeper.setup = setup._replace(masters=keeper.ready()(job.prepare, seconds=seconds))
    except (Lost, RuntimeError) as why:
        raise Problem(f"the source notebook cannot be run: {why}") from None
    finally:
        if keeper.setup is setup:
            keeper.close()
    return keeper


def attempt(keeper, task):
    """The result of one submission, whatever happens."""
    limits, lost = keeper.setup.limits, "?"
    seconds = limits.start + limits.total * max(1, len(task.files))
    for _ in range(2):
        worker = keeper.ready()
        try:
            return worker(job.grade, task, seconds=seconds)
        except Lost as why:
            keeper.worker = None  # it is closed
            lost = str(why)
            if lost.startswith("took longer"):
                break
        except Problem as why:  # once it has begun, a sandbox that fails is the work of what ran in it
            keeper.close()
            lost = f"made the sandbox fail: {why}"
        except RuntimeError as why:
            lost = f"made the grader fail: {why}"
            break
    return _lost(f"the submission {lost}")


def _lost(why):
    return {"notebooks": {}, "notes": [], "lost": why, "final": False, "seconds": 0.0}


# -------------------- on this machine --------------------


def local(keeper, tasks, jobs, began=lambda student: None):
    """Yields (student, result) as they are done, from an iterator of Tasks that is read as workers become free.

    keeper: the first of the workers; the others are like it.
    """
    done, stop, lock = queue.Queue(maxsize=2 * jobs), threading.Event(), threading.Lock()
    keepers = [keeper, *(Keeper(keeper.setup) for _ in range(jobs - 1))]

    def put(item):
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                return done.put(item, timeout=0.2)

    def work(keeper):
        try:
            while not stop.is_set():
                with lock:
                    task = next(tasks, None)
                if task is None:
                    break
                began(task.student)
                put((task.student, attempt(keeper, task)))
        except BaseException as why:  # a Problem of all: told by the main thread
            put((None, why))
        finally:
            keeper.close()
            put(None)

    threads = [threading.Thread(target=work, args=(keeper,), daemon=True) for keeper in keepers]
    try:
        for thread in threads:
            thread.start()
        running = jobs
        while running:
            item = done.get()
            if item is None:
                running -= 1
            elif item[0] is None:
                raise item[1]
            else:
                yield item
    finally:
        stop.set()
        for keeper in keepers:  # a thread that waits for its worker is told by its end
            keeper.stopped = True
            with contextlib.suppress(AttributeError):
                keeper.worker.end()
        for thread in threads:
            thread.join(timeout=10)
        sweep()


# -------------------- on a cluster --------------------

_mine = threading.local()


def on_cluster(setup, task):
    """One submission, in a process beside the Dask worker: there it has a main thread, and may die."""
    keeper = getattr(_mine, "keeper", None)
    if keeper is None or keeper.setup.id != setup.id:
        if keeper is not None:
            keeper.close()
        keeper = _mine.keeper = Keeper(setup)
    return attempt(keeper, task)


def cluster(setup, tasks, address, began=lambda student: None):
    """The same as `local` with a Dask scheduler's workers, which need enm5310[grade] and the same sandbox."""
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise Problem("--scheduler needs Dask: pip install 'enm5310[cluster]'") from None
    try:
        client = Client(address, timeout=5, set_as_default=False)
    except (OSError, ValueError, TypeError) as why:
        raise Problem(f"there is no Dask scheduler at {address}: {' '.join(str(why).split())[:200]}") from None
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise Problem(f"the Dask scheduler at {address} has no workers: start some with `dask worker {address}`")
        shared, running = client.scatter(setup, broadcast=True, hash=False), as_completed(loop=client.loop)
        students = {}

        def feed():
            while len(students) < 2 * sum(client.nthreads().values()) or not students:
                task = next(tasks, None)
                if task is None:
                    return
                began(task.student)
                future = client.submit(on_cluster, shared, task, pure=False)
                students[future.key] = task.student
                running.add(future)

        feed()
        for future in running:
            why = future.exception()
            if isinstance(why, Problem):
                raise why
            if isinstance(why, KilledWorker):
                lost = "the submission ended several workers of the cluster"
            else:
                lost = why and f"the cluster failed: {type(why).__name__}: {' '.join(str(why).split())[:200]}"
            yield students.pop(future.key), _lost(lost) if why else future.result()
            feed()
