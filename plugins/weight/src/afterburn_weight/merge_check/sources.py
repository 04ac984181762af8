"""What the merge check opens: adapters without their base, the base when it is asked for, a merged checkpoint.

The only part of it that reaches into the core beyond what plugins are promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.backends.adapter import AdapterSource, read_adapter
from afterburn_core.backends.adapter_factors import Adapter, Factors, open_adapter
from afterburn_core.backends.locate import adapter_base, locate
from afterburn_core.backends.tensors import WeightSource
from afterburn_core.errors import SubjectError
from afterburn_core.plugin.registry import Registry
from afterburn_core.run.arrays import read_array, to_float64
from afterburn_core.run.naming import parse_name, scope_of
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import OpenSubject, open_subject
from afterburn_weight.merging import Array

__all__ = [
    "Adapter",
    "AdapterSource",
    "Factors",
    "Opened",
    "adapters",
    "base_of",
    "bind",
    "opened",
    "rows_of",
    "scope_of",
]

AUTO = "auto"


@attrs.frozen(kw_only=True, eq=False)
class Opened:
    """A checkpoint beside the adapters: the base, or what somebody merged."""

    label: str
    revision: str | None
    source: WeightSource
    names: Mapping[str, str]
    """Stored name by canonical name."""


@contextmanager
def adapters(names: Sequence[str]) -> Iterator[tuple[Adapter, ...]]:
    """Opens adapter directories or hub ids, and closes them.

    Raises:
        SubjectError: one of them is no adapter, or of a kind that is not read.
    """
    with ExitStack() as stack:
        found = []
        for name in names:
            path, _ = locate(parse_reference(name))
            adapter = open_adapter(path)
            stack.callback(adapter.close)
            found.append(adapter)
        yield tuple(found)


def base_of(name: str) -> str | None:
    """The base that an adapter names, or `None`."""
    return adapter_base(parse_reference(name))


@contextmanager
def opened(name: str, *, cached_only: bool = False) -> Iterator[Opened]:
    """Opens a checkpoint: headers only.

    Args:
        name: directory, weight file or hub id.
        cached_only: take a hub id from the client's cache only, because the user did not type it.

    Raises:
        SubjectError: it is not there or cannot be read, or is itself an adapter.
    """
    reference = attrs.evolve(parse_reference(name), cached_only=cached_only)
    subject: OpenSubject = open_subject(reference, "base", Registry.discover(only=()))
    try:
        source = subject.weights()
        yield Opened(
            label=subject.facts.label,
            revision=subject.facts.revision,
            source=source,
            names={parse_name(stored).canonical: stored for stored in source.tensors},
        )
    finally:
        subject.close()


def bind(adapter: Adapter, base: Opened) -> AdapterSource:
    """The adapter on its base.

    Raises:
        SubjectError: it does not fit.
    """
    return read_adapter(adapter.path, adapter.config, adapter.file, base.source)


def rows_of(source: WeightSource, name: str, first: int, last: int) -> Array:
    """Rows of a tensor in float64, kernels flattened: (last − first, columns)."""
    info = source.tensors[name]
    width = info.numel // info.shape[0] if info.shape and info.shape[0] else 1
    values = to_float64(read_array(source, name, first * width, last * width))
    return values.reshape(last - first, width)


def base_rows(source: AdapterSource, name: str, first: int, last: int) -> Array:
    """Rows of the base under an adapter; a head that the base ties is read from the embedding."""
    return rows_of(source.base, source.tied_to.get(name, name), first, last)


def canonical(name: str) -> str:
    """A stored name without wrappers."""
    return parse_name(name).canonical


def settings_of(adapter: Adapter) -> Mapping[str, Any]:
    """What the adapter's configuration says of its base."""
    named = adapter.config.get("base_model_name_or_path")
    revision = adapter.config.get("revision")
    return {
        "base": named if isinstance(named, str) and named else None,
        "revision": revision if isinstance(revision, str) else None,
    }


def same_base(named: str, given: str) -> bool:
    """Whether two names can mean the same base: they end alike, whatever directory or owner comes before."""
    left, right = (Path(text.partition("@")[0].rstrip("/")).name.lower() for text in (named, given))
    return left == right or not left or not right


def not_here(error: SubjectError) -> bool:
    """Whether a base could not be opened because it is not on this machine, rather than because it is broken."""
    text = str(error)
    return "not on this machine" in text or "no such file" in text
