"""The weight plugin keeps every rule of the plugin system."""

from __future__ import annotations

from afterburn_core.testing import Check, parametrize_with_checks


@parametrize_with_checks("weight")
def test_weight_plugin_conforms(check: Check) -> None:
    check()
