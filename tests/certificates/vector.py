"""One attack on a certificate, or one harmless case beside it: what a verifier is handed and how it must end.

A builder module has `vectors() -> tuple[Vector, ...]`; `vectors.py` collects them. Nothing is built before `build` is
called, and keys and packs that several vectors start from are made once per process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Presented:
    """What is handed to `afterburn verify`; paths lie inside the vector's own folder."""

    packs: tuple[Path, ...]
    key: Path
    model: Path | None = None
    base: Path | None = None
    tsa_root: Path | None = None
    require_timestamp: bool = False
    rejudge: bool = False
    rerender: bool = False
    progress: Any = None
    """Told of the hashing, where something is to happen meanwhile."""


@attrs.frozen(kw_only=True)
class Vector:
    """A case of the lists A to G."""

    id: str
    """Its line in the lists, such as `A01`."""
    name: str
    """Its folder: `a01_payload_edited_fail`; ends with `_fail` exactly where it must be refused."""
    code: str | None
    """With which it is refused; `None` where it must be accepted."""
    build: Callable[[Path], Presented]
    """Writes its files into an empty folder."""
