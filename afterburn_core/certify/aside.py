"""Runs checks in a process of their own while others go on: a PDF library takes longer to import than all the rest.

The child is a fork, so it starts at once and shares what is loaded. Where a system cannot fork, or threads are running,
which a fork would lose, the work is done in place when its outcome is asked for.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType

import attrs

from afterburn_core.certify.checks import Check

_MOST_SECONDS = 180
"""Of processor time."""

Work = Callable[[], tuple[Check, ...]]


def start(work: Work, *, aside: bool) -> Work:
    """Begins the work beside this process; the function returned waits for its checks."""
    if not aside or not hasattr(os, "fork") or threading.active_count() > 1:
        return work
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        _answer(work, writable)
    os.close(writable)
    return lambda: _collected(child, readable)


def _answer(work: Work, writable: int) -> None:
    """In the child: writes the checks and ends the process, without the parent's way out."""
    try:
        _limit_time()
        _without_network()
        with os.fdopen(writable, "w", encoding="utf-8") as stream:
            json.dump([attrs.asdict(check) for check in work()], stream)
    finally:
        os._exit(0)


def _limit_time() -> None:
    """Ends the child after minutes of work, which no genuine PDF takes: a hostile one may send a reader in circles."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))


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
    except Exception:  # noqa: BLE001 - whatever it is, the checks will meet it again and say so
        for name in sys.modules.keys() - before:
            del sys.modules[name]


def _collected(child: int, readable: int) -> tuple[Check, ...]:
    with os.fdopen(readable, "r", encoding="utf-8") as stream:
        text = stream.read()
    os.waitpid(child, 0)
    try:
        return tuple(Check(**{**entry, "details": tuple(entry["details"])}) for entry in json.loads(text))
    except ValueError:  # it died before it had written all
        message = "could not be checked: the process that checks PDFs ended early"
        return (Check(id="pdf", status="failed", message=message, code="internal"),)
