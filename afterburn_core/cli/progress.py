"""Progress for people: a bar on a terminal, plain lines elsewhere. Both go to standard error."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from afterburn_core.run.progress import Silent

_EVERY = 10.0  # seconds between plain lines


class Bar:
    """A rich progress bar per stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def begin(self, stage: str, total: int, unit: str) -> None:
        amount = DownloadColumn() if unit == "bytes" else TextColumn("{task.percentage:>3.0f} %")
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), amount, TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._task = self._progress.add_task(stage, total=total or None)
        self._progress.start()

    def advance(self, count: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, count)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Lines:
    """A line when a stage begins and, while it lasts, one every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._stage, self._total, self._done, self._last = "", 0, 0, 0.0

    def begin(self, stage: str, total: int, unit: str) -> None:
        self._stage, self._total, self._done, self._last = stage, total, 0, time.monotonic()
        self._console.print(f"{stage}: {total:,} {unit}", highlight=False)

    def advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._last < _EVERY or not self._total:
                return
            self._last = now
        self._console.print(f"{self._stage}: {100 * self._done / self._total:.0f} %", highlight=False)

    def end(self) -> None:
        pass


def make_progress(quiet: bool) -> Bar | Lines | Silent:
    """The progress that fits where standard error goes."""
    if quiet:
        return Silent()
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines(console)
