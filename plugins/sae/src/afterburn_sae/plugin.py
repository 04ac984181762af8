"""The SAE plugin's hooks. Specs lie in `specs`, the mathematics in sibling modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from afterburn_core.plugin import (
    AnalyzerSpec,
    CommandSpec,
    DetectorSpec,
    ProbeSetSpec,
    ReaderSpec,
    hookimpl,
)
from afterburn_sae.specs import drift, features, misalignment, readers, risk, steer

_MODULES: tuple[ModuleType, ...] = (readers, features, drift, risk, misalignment, steer)


@hookimpl
def afterburn_analyzers() -> Iterable[AnalyzerSpec]:
    yield from _all("ANALYZERS")


@hookimpl
def afterburn_detectors() -> Iterable[DetectorSpec]:
    yield from _all("DETECTORS")


@hookimpl
def afterburn_probe_sets() -> Iterable[ProbeSetSpec]:
    yield from _all("PROBE_SETS")


@hookimpl
def afterburn_readers() -> Iterable[ReaderSpec]:
    yield from _all("READERS")


@hookimpl
def afterburn_commands() -> Iterable[CommandSpec]:
    yield CommandSpec(
        name="sae.sae",
        summary="Inspect, compare, train and align sparse dictionaries.",
        factory="afterburn_sae.commands:sae",
    )


def _all(name: str) -> Iterator[Any]:
    """What every module of `specs` declares under a name."""
    for module in _MODULES:
        yield from getattr(module, name, ())
