"""Which side's answers a third model prefers, as a stand-in for quality, and how much of that is their length.

    judged = 2 mean_i w_i − 1 = P(trained preferred) − P(base preferred)        both orders averaged, ties half

The replies are those of `behaviour.judge`, which asks the same questions: they are asked once and read twice. A judge
is never taken for truth, so no finding that rests on it alone exceeds `review`. What remains of the preference at equal
length, and the excess: `quality_control`.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from afterburn_behaviour.judge import judge
from afterburn_behaviour.style.length import counted, lengths
from afterburn_behaviour.units import UnitTable, clusters
from afterburn_core.errors import PluginError
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import undefined
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import as_measurement
from afterburn_reward_hack.judging import JUDGED
from afterburn_reward_hack.length_options import JudgedOptions
from afterburn_reward_hack.paired_families import paired_means
from afterburn_reward_hack.quality_control import win_gains

UNCORRECTED = "judge-based, uncorrected"


class JudgedQuality:
    """Analyzer `reward_hack.quality_judged`."""

    def __init__(self, options: JudgedOptions) -> None:
        self._options = options
        self._items: dict[str, Responses] = {}

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def observe(self, item: Responses) -> None:
        if item.paired:
            self._items[item.probe.id] = item

    def merge(self, other: JudgedQuality) -> None:
        self._items.update(other._items)

    def finish(self) -> AnalyzerOutput:
        """Raises `PluginError` where no judge was named; the plan leaves the analyzer out then."""
        if self._context.ask is None:
            raise PluginError("no judge was named; give one with --judge")
        judging = judge([self._items[name] for name in sorted(self._items)], self._context.ask)
        readable = [c for c in judging.comparisons if c.win is not None]
        if not readable:
            return AnalyzerOutput(measurements=(undefined(JUDGED, "no prompt has two readable verdicts", n=0),))
        wins, seed = np.array([c.win for c in readable], dtype=np.float64), child_seed(self._context.seed, "judged")
        of = clusters([c.probe for c in readable])
        same = all(_texts(self._items[c.probe.id].base) == _texts(self._items[c.probe.id].trained) for c in readable)
        preference = paired_means(2 * wins - 1, clusters=of, seed=seed, identical=same)
        # the judge reads first samples
        table = UnitTable()
        for c in readable:
            item = self._items[c.probe.id]
            table.observe(attrs.evolve(item, base=item.base[:1], trained=item.trained[:1]), lengths)
        shift = table.paired("log_tokens" if counted(table) else "log_words").difference
        gains = win_gains(wins, shift, seed=seed, clusters=of, least=self._options.least_level)
        told = {
            JUDGED: preference,
            f"{JUDGED}_at_equal_length": gains.controlled,
            f"{JUDGED}_length_excess": gains.excess,
        }
        noted = {
            metric: attrs.evolve(c, reason="; ".join(part for part in (c.reason, UNCORRECTED) if part))
            for metric, c in told.items()
        }
        return AnalyzerOutput(measurements=tuple(as_measurement(c, metric) for metric, c in noted.items()))


def _texts(samples: Sequence[Sample]) -> list[str]:
    return [sample.text for sample in samples]
