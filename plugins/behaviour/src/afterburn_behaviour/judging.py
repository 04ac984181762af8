"""The analyzer around `judge`: collects both sides' answers, asks once, and derives gold preferences where it can.

A prompt has a gold preference where answers can be checked: trained's where it alone is right, base's where it alone
is right, neither's where both are or none is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afterburn_behaviour.gold import mark
from afterburn_behaviour.judge import judge, measurements, replies
from afterburn_core.errors import PluginError
from afterburn_core.generation.model import Responses
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput


class JudgedPairs:
    """Analyzer `behaviour.judge`."""

    def __init__(self, options: Any = None) -> None:
        self._items: dict[str, Responses] = {}

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def observe(self, item: Responses) -> None:
        if item.paired:
            self._items[item.probe.id] = item

    def merge(self, other: JudgedPairs) -> None:
        self._items.update(other._items)

    def finish(self) -> AnalyzerOutput:
        """Raises `PluginError` where no judge was named; the plan leaves the analyzer out then."""
        ask = self._context.ask
        if ask is None:
            raise PluginError("no judge was named; give one with --judge")
        items = [self._items[name] for name in sorted(self._items)]
        judging = judge(items, ask)
        return AnalyzerOutput(
            measurements=measurements(judging, seed=self._context.seed, gold=self._gold()),
            artifacts=(replies(judging, excerpts=self._context.excerpts),),
        )

    def _gold(self) -> Mapping[str, float]:
        gold = {}
        for name, item in self._items.items():
            right = [mark(item.probe, samples[0]).right for _, samples in item.sides()]
            if None not in right:
                gold[name] = 0.5 + (int(bool(right[1])) - int(bool(right[0]))) / 2
        return gold
