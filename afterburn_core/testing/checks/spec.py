"""Rules for every spec a plugin brings, whatever its role."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import build_options, load_factory
from afterburn_core.result.model import LEVELS, Direction
from afterburn_core.run.needs import Capability
from afterburn_core.testing.kit import CheckFunction, Target, expect, refuses


def check_summaries_are_present(target: Target) -> None:
    """The component, each of its metrics and each of its rules say in one line what they are.

    The reference pages and the reports are made from these lines; a reader has nothing else.
    """
    lines = [("summary", target.spec.summary)]
    for item in _parts(target.spec):
        lines.append((f"summary of {item.id}", item.summary))
        if hasattr(item, "help"):
            lines.append((f"help of {item.id}", item.help))
    for what, text in lines:
        expect(isinstance(text, str) and text.strip(), f"{target.name}: the {what} is empty")
        expect("\n" not in text, f"{target.name}: the {what} has more than one line")


def check_factory_resolves(target: Target) -> None:
    """The factory `"module:attr"` names something that can be imported and called.

    It is a string so that nothing heavy is imported early; a misspelt one would only show when a run needs it.
    """
    expect(
        ":" in target.spec.factory, f"{target.name}: factory {target.spec.factory!r} is not of the form 'module:attr'"
    )
    expect(callable(load_factory(target.spec.factory)), f"{target.name}: {target.spec.factory!r} is not callable")
    available = getattr(target.spec, "available", None)
    if available is not None:
        answer = load_factory(available)()
        expect(
            answer is None or (isinstance(answer, str) and answer),
            f"{target.name}: {available!r} returned {answer!r}; return None, or the reason why it cannot run",
        )


def check_options_have_defaults_and_refuse_unknown_keys(target: Target) -> None:
    """Options are a frozen attrs class that can be built without arguments and refuses keys it does not know.

    Everybody's first run is without options. A misspelt key that is silently ignored is a threshold that is silently
    not applied.
    """
    kind = target.spec.options
    expect(attrs.has(kind), f"{target.name}: options {kind.__name__} is not an attrs class")
    options = build_options(kind, {}, target.name)
    fields = attrs.fields(kind)
    if fields:
        try:
            setattr(options, fields[0].name, getattr(options, fields[0].name))
        except attrs.exceptions.FrozenInstanceError:
            pass
        else:
            expect(False, f"{target.name}: options {kind.__name__} can be changed; make it attrs.frozen")
    refuses(
        ConfigError,
        lambda: build_options(kind, {"no_such_option": 1}, target.name),
        f"{target.name}: options {kind.__name__} accepts the unknown key 'no_such_option'",
    )


def check_metrics_are_described(target: Target) -> None:
    """Each metric has a unit, a known direction, a version from 1, and bounds in the right order.

    A reader who sees only the document must know what a larger number means and how large it can be.
    """
    metrics = target.spec.metrics
    if hasattr(target.spec, "needs"):
        expect(metrics, f"{target.name}: declares no metrics; an analyzer measures something")
        expect(target.spec.needs, f"{target.name}: declares no needs; it would never be given an observation")
    for metric in metrics:
        expect(metric.unit.strip(), f"{metric.id}: the unit is empty; write '1' for a pure number")
        expect(metric.direction in get_args(Direction), f"{metric.id}: unknown direction {metric.direction!r}")
        expect(metric.version >= 1, f"{metric.id}: version {metric.version} is below 1")
        for bound in (metric.low, metric.high):
            expect(bound is None or math.isfinite(bound), f"{metric.id}: the bound {bound} is not finite; leave it out")
        if metric.low is not None and metric.high is not None:
            expect(metric.low < metric.high, f"{metric.id}: low {metric.low} is not below high {metric.high}")


def check_rules_are_described(target: Target) -> None:
    """Each rule has a known level and names metrics that exist, as far as their plugins are installed.

    A rule over a misspelt metric is open for ever and looks like missing evidence.
    """
    rules = target.spec.rules
    expect(rules, f"{target.name}: declares no rules; a detector judges under at least one")
    components = (*target.registry.specs("analyzer"), *target.registry.specs("detector"))
    measured = {metric.id for registered in components for metric in registered.spec.metrics}
    for rule in rules:
        expect(
            rule.level in LEVELS and rule.level != "none", f"{rule.id}: level {rule.level!r} is none of {LEVELS[1:]}"
        )
        for metric in rule.metrics:
            installed = metric.split(".")[0] in target.registry.plugins
            expect(not installed or metric in measured, f"{rule.id}: nothing installed declares {metric!r}")


def check_what_it_serves_is_declared(target: Target) -> None:
    """Reporters and readers declare file name endings, backends their capabilities, probe sets their licence.

    The core picks components by these; an empty one can never be picked.
    """
    spec = target.spec
    if hasattr(spec, "suffixes"):
        expect(spec.suffixes, f"{target.name}: declares no suffixes; nothing would ever pick it")
        for suffix in spec.suffixes:
            expect(suffix.startswith("."), f"{target.name}: suffix {suffix!r} must start with a dot")
            expect(suffix == suffix.lower(), f"{target.name}: suffix {suffix!r} must be lower case")
    elif hasattr(spec, "capabilities"):
        expect(spec.capabilities, f"{target.name}: declares no capabilities")
        unknown = set(spec.capabilities) - set(get_args(Capability))
        expect(not unknown, f"{target.name}: unknown capabilities {sorted(unknown)}")
    else:
        expect(spec.licence.strip(), f"{target.name}: the licence is empty")


def _parts(spec: Any) -> Iterable[Any]:
    return (*getattr(spec, "metrics", ()), *getattr(spec, "rules", ()))


def applies(rule: CheckFunction, spec: Any) -> bool:
    """Whether a spec has anything that the rule speaks of."""
    fields = _ABOUT.get(rule)
    return fields is None or any(getattr(spec, field, None) is not None for field in fields)


CHECKS = (
    check_summaries_are_present,
    check_factory_resolves,
    check_options_have_defaults_and_refuse_unknown_keys,
    check_metrics_are_described,
    check_rules_are_described,
    check_what_it_serves_is_declared,
)

_ABOUT: Mapping[CheckFunction, tuple[str, ...]] = {
    check_options_have_defaults_and_refuse_unknown_keys: ("options",),
    check_metrics_are_described: ("metrics",),
    check_rules_are_described: ("rules",),
    check_what_it_serves_is_declared: ("suffixes", "capabilities", "licence"),
}
