"""The SAE plugin as the conformance kit sees it."""

from __future__ import annotations

from collections.abc import Callable

from afterburn_core.testing import parametrize_with_checks


@parametrize_with_checks("sae")
def test_conformance(check: Callable[[], None]) -> None:
    check()
