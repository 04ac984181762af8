"""File formats of dictionaries, in the order in which they are asked: the more particular first."""

from __future__ import annotations

from afterburn_core.plugin import ReaderSpec

READERS: tuple[ReaderSpec, ...] = ()
