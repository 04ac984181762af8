"""The local executor: every task once, the first fault stops the rest, Ctrl-C keeps what is under way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from afterburn_core.run.executor import LocalExecutor, available_cores


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_every_task_runs_once_and_each_worker_runs_one_at_a_time(workers: int) -> None:
    lock, busy = threading.Lock(), Counter[int]()
    done: list[int] = []
    clashes: list[int] = []

    def work(worker: int, task: int) -> None:
        with lock:
            busy[worker] += 1
            if busy[worker] > 1:
                clashes.append(worker)
        with lock:
            done.append(task)
            busy[worker] -= 1

    assert LocalExecutor(workers).run(range(200), work) == "done"
    assert sorted(done) == list(range(200))
    assert clashes == []
    assert set(busy) <= set(range(workers))


def test_one_worker_keeps_the_order_of_the_tasks() -> None:
    seen: list[int] = []
    LocalExecutor(1).run([3, 1, 2], lambda worker, task: seen.append(task))
    assert seen == [3, 1, 2]


def test_tasks_are_started_in_order_on_several_workers() -> None:
    lock = threading.Lock()
    started: list[int] = []
    both = threading.Barrier(2, timeout=100)

    def work(worker: int, task: int) -> None:
        with lock:
            started.append(task)
        both.wait()  # neither worker goes on before the other has started

    LocalExecutor(2).run(range(20), work)
    assert [set(started[i : i + 2]) for i in range(0, 20, 2)] == [{i, i + 1} for i in range(0, 20, 2)]


def test_no_tasks_are_done_at_once() -> None:
    assert LocalExecutor(3).run((), lambda worker, task: None) == "done"


def test_the_first_exception_stops_the_rest_and_is_raised() -> None:
    seen: list[int] = []

    def work(worker: int, task: int) -> None:
        seen.append(task)
        if task == 3:
            raise ValueError("broken tensor")

    with pytest.raises(ValueError, match="broken tensor"):
        LocalExecutor(1).run(range(1000), work)
    assert seen == [0, 1, 2, 3]


def test_an_exception_in_one_worker_stops_the_others() -> None:
    finished: list[int] = []
    broken = threading.Event()

    def work(worker: int, task: int) -> None:
        if task == 0:
            broken.set()
            raise OSError("disk")
        broken.wait(10)
        time.sleep(0.01)
        finished.append(task)

    with pytest.raises(OSError, match="disk"):
        LocalExecutor(4).run(range(10_000), work)
    assert len(finished) < 5000


def test_by_default_there_are_as_many_workers_as_usable_cores() -> None:
    assert LocalExecutor().workers == available_cores() == len(os.sched_getaffinity(0))


_INTERRUPTED = """
import os, signal, threading, time
from afterburn_core.run.executor import LocalExecutor
begun, finished = [], []
def work(worker, task):
    begun.append(task)
    if task == 4:
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.7 if task >= 4 else 0.01)  # longer than any wait of the caller
    finished.append(task)
outcome = LocalExecutor(2).run(range(100000), work)
print(outcome, sorted(begun) == sorted(finished), len(finished) < 1000, 4 in finished)
"""


def test_ctrl_c_lets_tasks_under_way_finish_and_starts_no_others() -> None:
    finished = subprocess.run([sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, timeout=300)
    assert finished.stdout.split() == ["interrupted", "True", "True", "True"], finished.stderr
    assert finished.returncode == 0 != -signal.SIGINT
