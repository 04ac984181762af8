"""The rules of the conformance kit, one small function each, grouped by what they look at.

A function's name without `check_` is the check's name; its docstring is the rule, written for somebody who has never
seen the code of this project.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from afterburn_core.run.needs import ForwardNeed, SeriesNeed
from afterburn_core.testing.checks import (
    analyzer_conduct,
    analyzer_effects,
    analyzer_output,
    analyzer_streams,
    backend,
    detector,
    forward,
    plugin,
    reporter,
    spec,
)
from afterburn_core.testing.kit import CheckFunction

PLUGIN_CHECKS: tuple[CheckFunction, ...] = plugin.CHECKS
"""Put to the plugin as a whole."""

COMPONENT_CHECKS: Mapping[str, tuple[CheckFunction, ...]] = {
    "analyzer": (
        *analyzer_output.CHECKS,
        *analyzer_effects.CHECKS,
        *analyzer_streams.CHECKS,
        *analyzer_conduct.CHECKS,
    ),
    "detector": detector.CHECKS,
    "reporter": reporter.CHECKS,
    "backend": backend.CHECKS,
}
"""Put to every component, by role."""


def checks_of(role: str, component: Any) -> Iterator[tuple[str, CheckFunction]]:
    """(group, rule) for every rule that a spec of this role has to keep."""
    yield from (("spec", rule) for rule in spec.CHECKS if spec.applies(rule, component))
    if any(isinstance(need, SeriesNeed) for need in getattr(component, "needs", ())):
        return  # the rules below are put to comparisons of one pair, which such an analyzer takes no part in
    if any(isinstance(need, ForwardNeed) for need in getattr(component, "needs", ())):
        yield from (("forward", rule) for rule in forward.CHECKS)
        return
    yield from ((role, rule) for rule in COMPONENT_CHECKS.get(role, ()))
