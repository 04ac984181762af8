"""The activation plugin's hooks. Specs lie in `specs`, the mathematics in sibling modules."""

from __future__ import annotations

from collections.abc import Iterable

from afterburn_activation.specs import components, drift, embedding, examples, lens, traits
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ProbeSetSpec, hookimpl

_MODULES = (drift, components, examples, traits, lens, embedding)


@hookimpl
def afterburn_analyzers() -> Iterable[AnalyzerSpec]:
    for module in _MODULES:
        yield from module.ANALYZERS


@hookimpl
def afterburn_detectors() -> Iterable[DetectorSpec]:
    for module in _MODULES:
        yield from module.DETECTORS


@hookimpl
def afterburn_probe_sets() -> Iterable[ProbeSetSpec]:
    for module in _MODULES:
        yield from module.PROBE_SETS
