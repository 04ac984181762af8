"""The behaviour plugin's hooks. Specs lie in `specs`, the mathematics in sibling modules."""

from __future__ import annotations

from collections.abc import Iterable

from afterburn_behaviour.specs import distribution, live, mining, preference, quality, style, variety
from afterburn_behaviour.suites import PROBE_SETS
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ProbeSetSpec, hookimpl

_MODULES = (style, variety, quality, distribution, mining, preference, live)


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
    return PROBE_SETS
