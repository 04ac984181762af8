"""Watches what a plugin does besides computing: connections, global state, files."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_EVENTS = frozenset(
    {
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
    }
)


class NetworkBlocked(OSError):
    """What a connection attempt meets while `network_blocked` holds."""


class _Gate:
    """The process's one audit hook: hooks cannot be removed, so it is installed once and opened or shut."""

    def __init__(self) -> None:
        self.attempts: list[str] | None = None
        self.installed = False

    def install(self) -> None:
        if not self.installed:
            sys.addaudithook(self)
            self.installed = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.attempts is not None and event in _EVENTS:
            self.refuse(event, arguments)

    def refuse(self, event: str, arguments: tuple[Any, ...]) -> None:
        place = next((argument for argument in arguments if isinstance(argument, (str, bytes, tuple))), "")
        if self.attempts is not None:
            self.attempts.append(f"{event} {place!r}")
        raise NetworkBlocked(f"the conformance kit blocks the network ({event} {place!r})")


_GATE = _Gate()


@contextmanager
def network_blocked() -> Iterator[list[str]]:
    """Refuses every connection and name lookup of this process, from any thread, and lists the attempts.

    Attempts are listed even where the code under test swallows the error. The audit hook sees every call, also those
    through references that were taken earlier; the functions that other test plugins like to replace are replaced
    once more, because a replacement that refuses by itself never reaches the hook.
    """

    def refusal(event: str) -> Callable[..., Any]:
        return lambda *arguments, **keywords: _GATE.refuse(event, arguments)

    _GATE.install()
    before, _GATE.attempts = _GATE.attempts, []
    originals = [(owner, name, getattr(owner, name)) for owner, name in _REPLACEABLE]
    for owner, name, _ in originals:
        setattr(owner, name, refusal(f"socket.{name}"))
    try:
        yield _GATE.attempts
    finally:
        _GATE.attempts = before
        for owner, name, original in originals:
            setattr(owner, name, original)


_REPLACEABLE: tuple[tuple[Any, str], ...] = (
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket, "create_connection"),
    (socket, "getaddrinfo"),
)


@contextmanager
def watched_globals() -> Iterator[list[str]]:
    """Lists, when it ends, which global state the body changed; random states are put back either way.

    Random generators are given an unusual state first, so that a body that seeds them with a usual constant is seen.
    """
    kept = _random_states()
    _seed_all(0x5EED_AF7E)
    before = _global_state()
    changed: list[str] = []
    try:
        yield changed
    finally:
        after = _global_state()
        changed.extend(name for name in before if before[name] != after[name])
        _restore(kept)


@contextmanager
def global_seeds(seed: int) -> Iterator[None]:
    """Seeds every global generator for the body, and puts their states back after it."""
    kept = _random_states()
    _seed_all(seed)
    try:
        yield
    finally:
        _restore(kept)


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {"random": random.getstate()}
    if "numpy" in sys.modules:
        import numpy

        states["numpy"] = numpy.random.get_state()
    if "torch" in sys.modules:
        import torch

        states["torch"] = torch.get_rng_state()
        if torch.cuda.is_available():
            states["torch.cuda"] = torch.cuda.get_rng_state_all()
    return states


def _seed_all(seed: int) -> None:
    random.seed(seed)
    if "numpy" in sys.modules:
        import numpy

        numpy.random.seed(seed)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(seed)


def _restore(states: Mapping[str, Any]) -> None:
    random.setstate(states["random"])
    if "numpy" in states:
        import numpy

        numpy.random.set_state(states["numpy"])
    if "torch" in states:
        import torch

        torch.set_rng_state(states["torch"])
        if "torch.cuda" in states:
            torch.cuda.set_rng_state_all(states["torch.cuda"])


def _global_state() -> dict[str, object]:
    """Comparable pictures of the state that a run must leave alone, by the name a person would use."""
    state: dict[str, object] = {
        "random": random.getstate(),
        "os.environ": dict(os.environ),
        "working directory": os.getcwd(),
        "sys.path": tuple(sys.path),
    }
    if "numpy" in sys.modules:
        import numpy

        # the legacy form is a tuple whose second entry is the array of the generator's words
        legacy: Any = numpy.random.get_state()
        state["numpy.random"] = (legacy[0], legacy[1].tobytes(), *legacy[2:])
        state["numpy error handling"] = tuple(sorted(numpy.geterr().items()))
    if "torch" in sys.modules:
        import torch

        state["torch random state"] = torch.get_rng_state().numpy().tobytes()
        state["torch default dtype"] = torch.get_default_dtype()
        state["torch gradient mode"] = torch.is_grad_enabled()
        state["torch threads"] = torch.get_num_threads()
        state["torch deterministic algorithms"] = torch.are_deterministic_algorithms_enabled()
        if torch.cuda.is_available():
            state["torch.cuda random state"] = tuple(bytes(s.numpy()) for s in torch.cuda.get_rng_state_all())
    return state


def digests(directory: Path) -> dict[str, str]:
    """sha256 of every file below `directory`, by relative path."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
