"""The reward-hack plugin keeps every rule of the plugin system."""

from __future__ import annotations

from afterburn_core.testing import Check, parametrize_with_checks


@parametrize_with_checks("reward_hack")
def test_reward_hack_plugin_conforms(check: Check) -> None:
    check()
