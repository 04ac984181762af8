"""The reward-hack plugin's hooks. Specs lie in `specs`, the mathematics in sibling modules."""

from __future__ import annotations

from collections.abc import Iterable

from afterburn_core.plugin import AnalyzerSpec, CommandSpec, DetectorSpec, ProbeSetSpec, hookimpl
from afterburn_reward_hack.specs import (
    awareness,
    boilerplate,
    collapse,
    decoding,
    format,
    length,
    proxy,
    quality,
    refusal,
    risk,
    sycophancy,
    verifier,
)

_MODULES = (
    quality,
    length,
    format,
    collapse,
    sycophancy,
    proxy,
    verifier,
    refusal,
    boilerplate,
    awareness,
    decoding,
    risk,
)


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


@hookimpl
def afterburn_commands() -> Iterable[CommandSpec]:
    yield from proxy.COMMANDS
    yield from risk.COMMANDS
