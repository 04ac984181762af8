"""The weight plugin's hooks. Specs lie in `specs`, the mathematics in sibling modules."""

from __future__ import annotations

from collections.abc import Iterable

from afterburn_core.plugin import AnalyzerSpec, CommandSpec, DetectorSpec, hookimpl
from afterburn_weight.specs import adapter, places, quantisation, randomness, series, size, spectrum, update

_MODULES = (size, spectrum, randomness, series, adapter, places, update, quantisation)


@hookimpl
def afterburn_analyzers() -> Iterable[AnalyzerSpec]:
    for module in _MODULES:
        yield from module.ANALYZERS


@hookimpl
def afterburn_detectors() -> Iterable[DetectorSpec]:
    for module in _MODULES:
        yield from module.DETECTORS


@hookimpl
def afterburn_commands() -> Iterable[CommandSpec]:
    yield CommandSpec(
        name="weight.trajectory",
        summary="Follow the weights over the checkpoints of a run.",
        factory="afterburn_weight.series_commands:trajectory",
    )
    yield CommandSpec(
        name="weight.candidates",
        summary="Compare several trained models of one base.",
        factory="afterburn_weight.series_commands:candidates",
    )
    yield from adapter.COMMANDS
