"""A pytest plugin: tests touch no network, no cache and no home directory of the person who runs them.

`pytest -p afterburn_core.testing.isolation` switches it on; it imports nothing heavy.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_LOOPBACK = ("127.", "::1", "localhost")
_HOME = Path(tempfile.mkdtemp(prefix="afterburn-tests-"))

# Read once, when huggingface_hub and torch are imported: too early for a fixture.
os.environ["HF_HOME"] = str(_HOME / "huggingface")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers already use every core


class NetworkBlocked(RuntimeError):
    """A test tried to leave the machine."""


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def isolated_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory with its own caches, for this test and the processes it starts."""
    home = tmp_path_factory.mktemp("home")
    for variable, folder in (
        ("HOME", "."),
        ("AFTERBURN_CACHE_DIR", "afterburn"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_DATA_HOME", "data"),
    ):
        monkeypatch.setenv(variable, str(home / folder))
    for variable in ("AFTERBURN_DISABLE_PLUGINS", "PYTHONPATH"):
        monkeypatch.delenv(variable, raising=False)
    return home


@pytest.fixture(autouse=True)
def blocked_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses every connection but those to this machine, and every name look-up."""

    def guarded(name: str) -> Callable[..., Any]:
        original = getattr(socket.socket, name)

        def call(self: socket.socket, address: Any, /) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(_LOOPBACK):
                raise NetworkBlocked(f"a test tried to connect to {address[0]}:{address[1]}")
            return original(self, address)

        return call

    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **keywords: Any) -> Any:
        if host is not None and not str(host).startswith(_LOOPBACK):
            raise NetworkBlocked(f"a test tried to look up {host}")
        return resolve(host, *arguments, **keywords)

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(name))
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
