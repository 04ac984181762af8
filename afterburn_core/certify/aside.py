"""A second process that checks PDFs while the first one checks the rest: reading a PDF costs more than all of it.

The process is a fork that loads its library at once, before anybody knows whether there is a PDF to check, and then
waits for jobs. Where a system cannot fork, or threads are running, which a fork would lose, there is none, and whoever
asked does the work itself.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, TracebackType
from typing import IO, Self

import attrs

from afterburn_core.certify.checks import Check

_MOST_SECONDS = 180
"""Of processor time for one job. No genuine PDF takes it; a hostile one may send a reader in circles."""


@attrs.frozen(kw_only=True)
class Job:
    """A pack whose PDF is to be checked."""

    pack: Path
    bundle: bytes = attrs.field(repr=False)
    """The certificate, whose signature was found to hold."""
    key: bytes
    """The public key in PEM, as the caller gave it."""
    page: bool
    """Whether the certificate says that it has a page."""
    rerender: bool


Work = Callable[[Job], tuple[Check, ...]]


class Aside:
    """The process, ended when the context is left. Jobs are done one after the other."""

    def __init__(self, work: Work) -> None:
        self._child: int | None = None
        if not hasattr(os, "fork") or threading.active_count() > 1:
            return
        to_child, to_parent = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.close(to_child[1])
            os.close(to_parent[0])
            _serve(work, to_child[0], to_parent[1])
        os.close(to_child[0])
        os.close(to_parent[1])
        self._child = child
        self._jobs: IO[str] = os.fdopen(to_child[1], "w", encoding="utf-8")
        self._answers: IO[str] = os.fdopen(to_parent[0], "r", encoding="utf-8")

    @property
    def alive(self) -> bool:
        """Whether there is a process to ask."""
        return self._child is not None

    def ask(self, job: Job) -> Callable[[], tuple[Check, ...]]:
        """Hands a job over; the function returned waits for its checks, and must be called before the next one."""
        fields = {
            **attrs.asdict(job),
            "pack": str(job.pack),
            "bundle": base64.b64encode(job.bundle).decode(),
            "key": job.key.decode(),
        }
        try:
            self._jobs.write(json.dumps(fields) + "\n")
            self._jobs.flush()
        except OSError:
            return _died
        return self._answer

    def _answer(self) -> tuple[Check, ...]:
        try:
            entries = json.loads(self._answers.readline())
        except (OSError, ValueError):  # it ended before it had written all
            return _died()
        return tuple(Check(**{**entry, "details": tuple(entry["details"])}) for entry in entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)  # it may still be loading what nobody asked for
            os.waitpid(self._child, 0)
            self._child = None
            self._answers.close()
            with suppress(OSError):  # something may be left to be written to a process that has died
                self._jobs.close()


def _died() -> tuple[Check, ...]:
    message = "could not be checked: the process that checks PDFs ended early"
    return (Check(id="pdf", status="failed", message=message, code="internal"),)


def _serve(work: Work, readable: int, writable: int) -> None:
    """In the child: does one job after the other, and ends the process without the parent's way out."""
    try:
        gc.disable()  # what is loaded stays until the end
        _without_network()
        gc.freeze()
        gc.enable()
        with os.fdopen(readable, "r", encoding="utf-8") as jobs, os.fdopen(writable, "w", encoding="utf-8") as answers:
            for line in jobs:
                fields = json.loads(line)
                decoded = {
                    "pack": Path(fields["pack"]),
                    "bundle": base64.b64decode(fields["bundle"]),
                    "key": fields["key"].encode(),
                }
                _limit_time()
                checks = work(Job(**{**fields, **decoded}))
                answers.write(json.dumps([attrs.asdict(check) for check in checks]) + "\n")
                answers.flush()
    finally:
        os._exit(0)


def _limit_time() -> None:
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + _MOST_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


class _StandIn(ModuleType):
    """A module in which every name is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def _without_network() -> None:
    """Puts a stand-in for the HTTP client that pyHanko imports and that checking a PDF never uses.

    The client takes a third of the time that all of pyHanko takes, and nothing can be fetched without it. Only a child
    that ends with its checks may do this. Should a release of pyHanko not bear it, everything is imported as it is.
    """
    if "aiohttp" in sys.modules or find_spec("pyhanko") is None:
        return
    before = set(sys.modules)
    sys.modules["aiohttp"] = _StandIn("aiohttp")
    try:
        import pyhanko.sign.validation  # noqa: F401

        import afterburn_core.certify.pdf_check  # noqa: F401
    except Exception:  # noqa: BLE001 - whatever it is, the checks will meet it again and say so
        for name in sys.modules.keys() - before:
            del sys.modules[name]
