"""The factors pass: hands out what an adapter holds for each module. Nothing of the base is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from afterburn_core.errors import PluginError
from afterburn_core.run.subjects import OpenSubject


def hand_out(trained: OpenSubject, analyzers: Iterable[Any]) -> int:
    """Lets every analyzer observe one `FactorItem` per tensor that the adapter changes, by name.

    Returns:
        How many there were.

    Raises:
        PluginError: the backend offers `lora`, but its weights have no `factor_items()`.
    """
    offered = getattr(trained.weights(), "factor_items", None)
    if offered is None:
        raise PluginError(f"backend {trained.facts.backend!r} offers lora, but its weights have no factor_items()")
    items = sorted(offered(), key=lambda item: item.name)
    riders = tuple(analyzers)
    for item in items:
        for rider in riders:
            rider.observe(item)
    return len(items)
