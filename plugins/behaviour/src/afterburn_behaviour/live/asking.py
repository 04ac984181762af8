"""What a blend answers to the run's questions: how long, and how often right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.gold import mark
from afterburn_behaviour.live.options import ScalingOptions
from afterburn_core.forward.live import Blend, Live
from afterburn_core.generation.model import Decoding, Request
from afterburn_core.probes.model import Probe
from afterburn_core.run.seeds import child_seed

Floats = NDArray[np.float64]
QUANTITIES = ("tokens", "right", "cut")


class Questions:
    """Some of the run's questions, asked of any blend with greedy decoding."""

    def __init__(self, live: Live, options: ScalingOptions, seed: int) -> None:
        self._probes = _chosen(live.prompts, options.prompts)
        self._decoding = Decoding(max_new_tokens=options.max_new_tokens)
        self._requests = tuple(
            Request(probe=probe.id, index=0, messages=probe.messages, seed=child_seed(seed, probe.id))
            for probe in self._probes
        )
        self.units = tuple(sorted({probe.unit for probe in self._probes}))

    def values(self, live: Live, blend: Blend) -> dict[str, Floats]:
        """(units,) each quantity of `QUANTITIES`: tokens, the share of right answers (NaN where nothing can say) and of
        answers that were cut at the limit."""
        generator = live.generator(self._decoding, blend)
        try:
            samples = {done.request.probe: done.sample for done in generator.generate(self._requests)}
        finally:
            generator.close()
        rows: dict[str, list[tuple[float, ...]]] = {unit: [] for unit in self.units}
        for probe in self._probes:
            sample = samples[probe.id]
            right = mark(probe, sample).right
            told = np.nan if right is None else float(right)
            rows[probe.unit].append((float(sample.tokens or 0), told, float(sample.finish == "length")))
        means = np.array([_means(np.array(own)) for own in rows.values()]).reshape(-1, len(QUANTITIES))
        return {name: means[:, column] for column, name in enumerate(QUANTITIES)}


def _means(rows: Floats) -> list[float]:
    """Means of the columns over the rows that have them."""
    return [float(own[~np.isnan(own)].mean()) if (~np.isnan(own)).any() else np.nan for own in rows.T]


def _chosen(probes: Sequence[Probe], most: int) -> tuple[Probe, ...]:
    """At most `most`: those with something to check first, evenly spread over their names."""
    checked = [probe for probe in probes if probe.checker is not None]
    others = [probe for probe in probes if probe.checker is None]
    chosen = _spread(checked, most)
    return (*chosen, *_spread(others, most - len(chosen)))


def _spread(items: Sequence[Probe], most: int) -> list[Probe]:
    if len(items) <= most:
        return list(items)
    return [items[int((2 * number + 1) * len(items) / (2 * most))] for number in range(most)]
