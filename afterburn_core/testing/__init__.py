"""For authors of plugins: the conformance kit, tiny model pairs with planted changes, and hostile documents.

Importing this package imports neither pytest nor torch; both come when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afterburn_core.testing.feeding import analyze_pair
    from afterburn_core.testing.hostile import hostile_document
    from afterburn_core.testing.kit import Check, CheckFailed, CheckResult, CheckSkipped, checks_for, run_checks
    from afterburn_core.testing.pairs import (
        Pair,
        adapter_pair,
        changed_pair,
        identity_pair,
        planted_pair,
        resharded_pair,
    )
    from afterburn_core.testing.parametrize import parametrize_with_checks

_HOME = {
    "Check": "kit",
    "CheckFailed": "kit",
    "CheckResult": "kit",
    "CheckSkipped": "kit",
    "Pair": "pairs",
    "adapter_pair": "pairs",
    "analyze_pair": "feeding",
    "changed_pair": "pairs",
    "checks_for": "kit",
    "hostile_document": "hostile",
    "identity_pair": "pairs",
    "parametrize_with_checks": "parametrize",
    "planted_pair": "pairs",
    "resharded_pair": "pairs",
    "run_checks": "kit",
}

__all__ = [
    "Check",
    "CheckFailed",
    "CheckResult",
    "CheckSkipped",
    "Pair",
    "adapter_pair",
    "analyze_pair",
    "changed_pair",
    "checks_for",
    "hostile_document",
    "identity_pair",
    "parametrize_with_checks",
    "planted_pair",
    "resharded_pair",
    "run_checks",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
