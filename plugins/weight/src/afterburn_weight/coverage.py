"""Which parameters could be compared.

    coverage = parameters compared / parameters in the union of both checkpoints

Buffers count on neither side and tied weights once. Rows of added or removed tokens are in the union, uncompared but
explained; a tensor that only one side has, or whose shapes or formats do not fit, is unexplained.
"""

from __future__ import annotations

from collections import Counter
from typing import get_args

import attrs

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Notification, Scope
from afterburn_core.run.align import State
from afterburn_core.run.observations import WeightPair


class Coverage:
    """Analyzer `weight.coverage`."""

    def __init__(self, options: None = None) -> None:
        self._pairs: dict[str, WeightPair] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Needs nothing to begin with."""

    def observe(self, item: WeightPair) -> None:
        """Keeps the tensor's fate, and nothing that would keep its values in memory."""
        self._pairs[item.name] = attrs.evolve(item, spectra=None, rows=None, read_values=None, read_side=None)

    def merge(self, other: Coverage) -> None:
        """Takes in tensors that another instance observed."""
        self._pairs.update(other._pairs)

    def finish(self) -> AnalyzerOutput:
        """Shares for the model, counts by state, and one entry per tensor that is not fully compared."""
        pairs = [self._pairs[name] for name in sorted(self._pairs)]
        union = sum(pair.union for pair in pairs)
        found: list[Measurement] = []
        if union:
            compared = sum(pair.compared for pair in pairs)
            unexplained = sum(pair.union - pair.compared for pair in pairs if not pair.explained)
            found.append(measure("weight.coverage", compared / union, n=union))
            found.append(measure("weight.coverage.unexplained", unexplained / union, n=union))
        else:
            reason = "there are no parameters"
            found += [undefined(m, reason, n=0) for m in ("weight.coverage", "weight.coverage.unexplained")]
        counts = Counter(pair.state for pair in pairs)
        for state in get_args(State):
            scope = Scope(subset=state)
            found.append(measure("weight.coverage.tensors", counts[state], scope=scope, n=len(pairs)))
        renamed = [pair for pair in pairs if pair.renamed and pair.state != "tied"]
        found.append(measure("weight.coverage.renamed", len(renamed), n=len(pairs)))
        for pair in pairs:
            if pair.union and pair.compared < pair.union:
                share = pair.compared / pair.union
                found.append(measure("weight.coverage", share, scope=pair.scope, n=pair.union, reason=pair.reason))
        return AnalyzerOutput(measurements=tuple(found), notifications=_remarks(pairs, renamed))


def _remarks(pairs: list[WeightPair], renamed: list[WeightPair]) -> tuple[Notification, ...]:
    remarks = []
    if renamed:
        first = renamed[0]
        spelt = f"{first.base.name if first.base else ''} / {first.trained.name if first.trained else ''}"
        message = f"{len(renamed)} tensors are named differently in the two checkpoints, such as {spelt}"
        remarks.append(Notification(level="note", message=message))
    for pair in pairs:
        if pair.state == "tied" and pair.reason:
            remarks.append(Notification(level="note", message=f"{pair.name}: {pair.reason}"))
    return tuple(remarks)
