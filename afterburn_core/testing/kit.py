"""The conformance kit's frame: what a check is, which checks apply to a plugin, and what became of them.

A check is a function with one rule in its docstring. It takes a `Target` and returns nothing, raises `CheckFailed`
with what was wrong, where and what to do, or raises `CheckSkipped` where the rule does not apply.
"""

from __future__ import annotations

import inspect
import time
import unittest
from collections.abc import Callable, Iterator
from typing import Any, Literal, NoReturn

import attrs

from afterburn_core.errors import AfterburnError, PluginError
from afterburn_core.plugin.registry import ROLES, Plugin, Registry, suggestion
from afterburn_core.testing.workbench import Workbench

__all__ = ["Check", "CheckFailed", "CheckResult", "CheckSkipped", "Target", "checks_for", "fail", "run_checks"]


class CheckFailed(AssertionError):
    """A plugin breaks the rule of a check."""


class CheckSkipped(unittest.SkipTest):
    """The rule of a check does not apply to this component; pytest shows it as skipped."""


@attrs.frozen(kw_only=True)
class Target:
    """What a check looks at."""

    registry: Registry
    plugin: Plugin
    workbench: Workbench
    role: str | None = None
    """Key of `ROLES`, or `None` where the check looks at the plugin as a whole."""
    spec: Any = None
    """The component's spec, or `None` where the check looks at the plugin as a whole."""

    @property
    def name(self) -> str:
        """The component's name, or the plugin's."""
        return self.plugin.name if self.spec is None else str(self.spec.name)


CheckFunction = Callable[[Target], None]


@attrs.frozen(kw_only=True)
class Check:
    """One rule, ready to be put to one component. Calling it returns nothing or raises."""

    id: str
    """`<group>.<rule>`, such as `analyzer.merge_equals_single_pass`."""
    summary: str
    """First line of the rule's docstring."""
    rule: str
    """The whole docstring."""
    target: Target = attrs.field(repr=False)
    function: CheckFunction = attrs.field(repr=False)

    @property
    def component(self) -> str:
        return self.target.name

    @property
    def key(self) -> str:
        """`id[component]`, unique among a plugin's checks."""
        return f"{self.id}[{self.component}]"

    def __call__(self) -> None:
        """Runs the check.

        Raises:
            CheckFailed: the component breaks the rule, or raised where the rule expects it to work.
            CheckSkipped: the rule does not apply.
        """
        try:
            self.function(self.target)
        except (CheckFailed, CheckSkipped):
            raise
        except Exception as error:  # a plugin may raise anything; the traceback stays attached
            raise CheckFailed(f"{self.component} raised {type(error).__name__}: {error}") from error


@attrs.frozen(kw_only=True)
class CheckResult:
    """What became of one check."""

    id: str
    component: str
    status: Literal["passed", "failed", "skipped"]
    seconds: float
    summary: str
    """The rule in one line."""
    message: str | None = None
    """Why it failed or was skipped."""


def fail(message: str) -> NoReturn:
    """Raises `CheckFailed`."""
    raise CheckFailed(message)


def skip(reason: str) -> NoReturn:
    """Raises `CheckSkipped`."""
    raise CheckSkipped(reason)


def checks_for(plugin: str, registry: Registry | None = None, workbench: Workbench | None = None) -> Iterator[Check]:
    """Every check that applies to a plugin, component by component.

    Args:
        plugin: the entry-point name.
        registry: where to look it up; by default all installed plugins are discovered.
        workbench: where tiny models are made; by default a temporary directory of this process.

    Raises:
        PluginError: no such plugin is installed, or it could not be loaded at all.
    """
    from afterburn_core.testing.checks import PLUGIN_CHECKS, checks_of

    registry = Registry.discover() if registry is None else registry
    owner = _find(plugin, registry)
    bench = Workbench() if workbench is None else workbench
    whole = Target(registry=registry, plugin=owner, workbench=bench)
    yield from (_check("plugin", function, whole) for function in PLUGIN_CHECKS)
    for role in ROLES:
        for registered in registry.specs(role):
            if registered.plugin.name != plugin:
                continue
            part = attrs.evolve(whole, role=role, spec=registered.spec)
            yield from (_check(group, rule, part) for group, rule in checks_of(role, part.spec))


def run_checks(plugin: str, registry: Registry | None = None) -> list[CheckResult]:
    """Runs every check of a plugin and collects the outcomes; nothing that a check raises escapes.

    Raises:
        PluginError: no such plugin is installed, or it could not be loaded at all.
    """
    return [run_check(check) for check in checks_for(plugin, registry)]


def run_check(check: Check) -> CheckResult:
    """Runs one check and says what became of it."""
    started = time.perf_counter()
    status: Literal["passed", "failed", "skipped"] = "passed"
    message = None
    try:
        check()
    except CheckFailed as failure:
        status, message = "failed", str(failure)
    except CheckSkipped as reason:
        status, message = "skipped", str(reason)
    return CheckResult(
        id=check.id,
        component=check.component,
        status=status,
        seconds=time.perf_counter() - started,
        summary=check.summary,
        message=message,
    )


def _check(group: str, function: CheckFunction, target: Target) -> Check:
    rule = inspect.getdoc(function) or ""
    identifier = f"{group}.{function.__name__.removeprefix('check_')}"
    return Check(id=identifier, summary=rule.partition("\n")[0], rule=rule, target=target, function=function)


def _find(name: str, registry: Registry) -> Plugin:
    try:
        return registry.plugins[name]
    except KeyError:
        pass
    for problem in registry.problems:
        if problem.plugin == name:
            raise PluginError(f"plugin {name!r} failed at {problem.stage}: {problem.error}")
    known = registry.plugins
    listed = ", ".join(sorted(known))
    raise PluginError(f"no plugin is named {name!r}{suggestion(name, known)}; installed: {listed}")


def expect(condition: object, message: str) -> None:
    """Fails with `message` unless `condition` holds."""
    if not condition:
        fail(message)


def refuses(error: type[AfterburnError], action: Callable[[], object], message: str) -> None:
    """Fails with `message` unless `action` raises `error`."""
    try:
        action()
    except error:
        return
    fail(message)
