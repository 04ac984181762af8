"""The local executor: threads of this process. Torch and NumPy release the interpreter's lock where the time goes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

T = TypeVar("T")


def available_cores() -> int:
    """Cores this process may use, which containers and `taskset` may make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalExecutor:
    """Runs tasks on a fixed number of threads, in the order given."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or available_cores()

    @property
    def workers(self) -> int:
        return self._workers

    def run(self, tasks: Sequence[T], work: Callable[[int, T], None]) -> Literal["done", "interrupted"]:
        """Calls `work(worker, task)` for every task.

        The first exception stops the rest and is raised here. Ctrl-C lets the tasks under way finish, which are
        short, and returns `interrupted`.
        """
        pending = iter(tasks)
        lock, stop = threading.Lock(), threading.Event()
        failures: list[BaseException] = []

        def loop(worker: int) -> None:
            try:
                while not stop.is_set():
                    with lock:
                        task = next(pending, _END)
                    if task is _END:
                        return
                    work(worker, task)  # type: ignore[arg-type]
            except BaseException as error:  # handed to the caller's thread
                failures.append(error)
                stop.set()
            finally:
                ended[worker].set()

        count = min(self._workers, max(1, len(tasks)))
        # Not `Thread.join`: interrupted by Ctrl-C, CPython 3.11 takes a running thread for a finished one.
        ended = [threading.Event() for _ in range(count)]
        threads = [threading.Thread(target=loop, args=(i,), name=f"afterburn-{i}", daemon=True) for i in range(count)]
        outcome: Literal["done", "interrupted"] = "done"
        waiting = True
        while waiting:
            # Ctrl-C may arrive at any point of this block, between two waits as well as within one
            try:
                for thread, end in zip(threads, ended, strict=True):
                    if thread.ident is None:
                        (end.set if stop.is_set() else thread.start)()
                for end in ended:
                    while not end.wait(timeout=0.2):  # one without time limit is not interruptible everywhere
                        pass
                waiting = False
            except KeyboardInterrupt:
                outcome = "interrupted"
                stop.set()
        if failures:
            raise failures[0]
        return outcome


_END = object()
