"""The names in a policy, held against the installed plugins and the document: a slip is refused, not overlooked.

A waiver for a rule that does not exist waives nothing, and a threshold on a metric that nobody measures leaves every
verdict incomplete; both look like a decision and are a typing error. A name under a plugin that is neither installed
nor in the document is left alone: it may exist elsewhere, and requiring it leaves the verdict incomplete here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points

from afterburn_core.errors import ConfigError
from afterburn_core.judge.policy_model import Policy, Threshold
from afterburn_core.plugin.registry import GROUP, Registry, suggestion
from afterburn_core.plugin.specs import MetricSpec
from afterburn_core.result.model import MetricDescriptor, Result
from afterburn_core.run.controls import GENERATED

__all__ = ["refuse_unknown_names"]


def refuse_unknown_names(policy: Policy, registry: Registry, result: Result | None = None) -> None:
    """Refuses names of analyzers, rules, metrics and kinds of controls that neither plugins nor document know, and
    thresholds that no value could fail or none could meet.

    Args:
        policy: whose names they are.
        registry: the plugins that take part.
        result: a document that may know more.

    Raises:
        ConfigError: one line with the name, where it stands, and the nearest known one.
    """
    where = f"policy {policy.name}"
    metrics = _metrics(registry, result)
    analyzers = {registered.spec.name for registered in registry.specs("analyzer")}
    rules = {rule.id for registered in registry.specs("detector") for rule in registered.spec.rules}
    if result is not None:
        analyzers |= {*result.run.components}
        rules |= {rule.id for rule in result.descriptors.rules}
    waived = ((f"suppressions[{place}]", entry.rule) for place, entry in enumerate(policy.suppressions))
    asked: tuple[tuple[str, Iterable[tuple[str, str | None]], Iterable[str]], ...] = (
        ("analyzer", (("require.analyzers", name) for name in policy.require.analyzers), analyzers),
        ("rule", (("require.rules", name) for name in policy.require.rules), rules),
        ("rule", waived, rules),
        ("metric", ((f"thresholds[{place}]", one.metric) for place, one in enumerate(policy.thresholds)), metrics),
    )
    # a plugin that is installed and takes no part here has names that nobody can look up
    at_hand = {name.partition(".")[0] for name in (*analyzers, *rules, *metrics)}
    absent = {entry.name for entry in entry_points(group=GROUP)} - registry.plugins.keys()
    for what, named, known in asked:
        for place, name in named:
            if name is None or name in known:
                continue
            plugin = name.partition(".")[0]
            if plugin in at_hand - absent or "." not in name:
                raise ConfigError(
                    f"{where}: {place} names the {what} {name!r}, which does not exist{_near(name, known)}"
                )
    for control in policy.require.controls:
        if control.kind not in (*GENERATED, "given"):
            kinds = (*GENERATED, "given")
            raise ConfigError(
                f"{where}: require.controls names the kind {control.kind!r}{_near(control.kind, kinds)}; "
                f"there are {', '.join(kinds)}"
            )
    for number, threshold in enumerate(policy.thresholds):
        for fault in _unreachable(threshold, metrics.get(threshold.metric)):
            raise ConfigError(f"{where}: thresholds[{number}]: {fault}")


def _near(name: str, known: Iterable[str]) -> str:
    return suggestion(name, sorted(known))


def _metrics(registry: Registry, result: Result | None) -> dict[str, MetricSpec | MetricDescriptor]:
    found: dict[str, MetricSpec | MetricDescriptor] = {
        metric.id: metric
        for role in ("analyzer", "detector")
        for registered in registry.specs(role)
        for metric in registered.spec.metrics
    }
    if result is not None:
        found |= {metric.id: metric for metric in result.descriptors.metrics}
    return found


def _unreachable(threshold: Threshold, metric: MetricSpec | MetricDescriptor | None) -> Iterator[str]:
    """Why no value could fail the threshold, or none meet it, by the range of its metric."""
    if metric is None:
        return
    low, high, bound = metric.low, metric.high, threshold.bound
    asked = f"{threshold.op} {bound:g} of {threshold.metric}"
    if threshold.op == "at_most":
        always, never = high is not None and bound >= high, low is not None and bound < low
    else:
        always, never = low is not None and bound <= low, high is not None and bound > high
    if always or never:
        reach = [*([f"from {low:g}"] if low is not None else []), *([f"up to {high:g}"] if high is not None else [])]
        yield f"{asked} can never be {'failed' if always else 'met'}; its values go {' '.join(reach)}"
