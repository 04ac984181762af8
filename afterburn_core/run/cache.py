"""Results of passes by content: the same inputs are measured once, and a killed run loses nothing it finished.

An entry is a directory named by a digest of everything its numbers depend on. Rows are appended as they are computed,
one JSON object per line; a torn last line, as a kill leaves it, is dropped on reading.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afterburn_core.errors import ConfigError, SubjectError


def default_cache_dir() -> Path:
    """`$AFTERBURN_CACHE_DIR`, else `afterburn` under `$XDG_CACHE_HOME` or `~/.cache`."""
    own = os.environ.get("AFTERBURN_CACHE_DIR")
    if own:
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "afterburn"


def cache_key(parts: Mapping[str, Any]) -> str:
    """sha256 over the canonical JSON of everything an entry depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


class RowCache:
    """Rows of one entry by name. Safe for several threads of one process.

    Two processes that fill one entry append the same rows twice; reading keeps the last, and both are equal.
    """

    def __init__(self, root: Path, key: str, description: Mapping[str, Any]) -> None:
        self._directory = root / key[:2] / key
        self._path = self._directory / "rows.jsonl"
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._description = description

    def load(self) -> dict[str, Any]:
        """All complete rows by name; empty for a new entry."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(f"cache {self._directory}: cannot be read ({error.strerror}); use --no-cache") from error
        rows: dict[str, Any] = {}
        for line in lines[:-1]:  # what follows the last newline is torn or empty
            try:
                row = json.loads(line)
                rows[row["name"]] = row["value"]
            except (ValueError, KeyError, TypeError):
                continue  # damaged by a crash of the machine: it is computed again
        return rows

    def append(self, name: str, value: Any) -> None:
        """Adds a row; it survives a kill of the process once this returns.

        Raises:
            SubjectError: no space is left, or the directory cannot be written.
        """
        line = json.dumps({"name": name, "value": value}, sort_keys=True).encode() + b"\n"
        try:
            with self._lock:
                os.write(self._open(), line)
        except OSError as error:
            raise SubjectError(
                f"cache {self._directory}: cannot be written ({error.strerror}); free some space, choose another "
                "place with --cache-dir, or use --no-cache"
            ) from error

    def _open(self) -> int:
        if self._descriptor is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            description = json.dumps(self._description, sort_keys=True, indent=1)
            (self._directory / "entry.json").write_text(description, encoding="utf-8")
            # a torn last line must not swallow the next row
            torn = self._path.exists() and self._path.stat().st_size and not self._path.read_bytes().endswith(b"\n")
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            if torn:
                os.write(self._descriptor, b"\n")
        return self._descriptor

    def discard(self) -> None:
        """Removes the entry: its inputs changed while it was filled."""
        self.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def close(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
