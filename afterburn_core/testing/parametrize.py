"""The conformance kit as parameters of a pytest function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pytest

from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import Registry, suggestion
from afterburn_core.testing.kit import CheckFailed, checks_for

F = TypeVar("F", bound=Callable[..., Any])


def parametrize_with_checks(
    plugin_name: str, expected_failures: Mapping[str, str] | None = None, *, registry: Registry | None = None
) -> Callable[[F], F]:
    """Runs a test once for each check that applies to an installed plugin.

    Example::

        @parametrize_with_checks("mine", {"analyzer.order_does_not_matter": "sums of float32, see issue 12"})
        def test_conformance(check):
            check()

    Args:
        plugin_name: the entry-point name.
        expected_failures: why a check fails for now, by `id` or `id[component]`. It must fail: as soon as it passes,
            the test fails and the entry has to go.
        registry: where to look the plugin up; by default all installed plugins are discovered.

    Raises:
        PluginError: no such plugin is installed, or it could not be loaded at all.
        ConfigError: `expected_failures` names a check that does not apply to the plugin.
    """
    reasons = dict(expected_failures or {})
    checks = list(checks_for(plugin_name, registry))
    known = {name for check in checks for name in (check.id, check.key)}
    for name in reasons:
        if name not in known:
            raise ConfigError(f"no check of {plugin_name!r} is named {name!r}{suggestion(name, known)}")
    parameters = []
    for check in checks:
        reason = reasons.get(check.key, reasons.get(check.id))
        marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True, raises=CheckFailed)]
        parameters.append(pytest.param(check, id=check.key, marks=marks))
    return pytest.mark.parametrize("check", parameters)
