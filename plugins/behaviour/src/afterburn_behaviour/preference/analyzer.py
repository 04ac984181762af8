"""Analyzer `behaviour.preference`: given continuations under both sides, prompt by prompt.

What is measured of a prompt: `preference.scores`. Sides are paired by prompt; prompts of one unit are one cluster.
Artifact `behaviour.preference` (JSON), the prompts whose preference moved most first:

    {"unit": "nats", "prompts": [{
        "id", "suite", "category",
        "prompt": "…",
        "preferred": 0,                            index of the better continuation; null where nobody said
        "orders": 2,                               listings of the options that were read
        "continuations": [{"text": "…", "tokens": 7, "base": {"sum": -9.1, "mean": -1.3}, "trained": {…}}, …],
        "base": {"log_odds", "sum_log_odds", "accuracy", "order_effect", "winner"},   of each side; null where undefined
        "trained": {…}
    }, …]}

Sums and means are over both listings. Without excerpts digests stand in the place of texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from afterburn_behaviour.contrasts import Asked, Family, measure_families
from afterburn_behaviour.distribution.scored import scored
from afterburn_behaviour.preference.options import PreferenceOptions
from afterburn_behaviour.preference.scores import SIDES, Choice, Read
from afterburn_behaviour.units import Answered, Row, UnitTable, clusters
from afterburn_core.forward.model import ForwardBatch, Passage
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.probes.continuations import continuations_of
from afterburn_core.probes.model import Probe
from afterburn_core.result.excerpts import withhold
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Interval, Measurement
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import Contrast, as_measurement
from afterburn_core.stats.paired import rate

PREFIX = "behaviour.preference."
ARTIFACT = "behaviour.preference"
DECISIVE = ("log_odds", "accuracy", "order_effect")
DETAIL = ("sum_log_odds", "preferred_logprob", "other_logprob")
NOTHING = "no continuation was read: ask multiple-choice probes, or probes with continuations (--suite, --prompts)"
_UNKNOWN = {
    "order_effect": "no prompt lists its options, so they were read in one order",
}
_NOBODY = "no prompt says which continuation is preferred"
_APPROXIMATE = "base's probabilities are approximate: it was kept as a sketch"
_PROMPT = 1500
"""Characters of a prompt in the artifact."""


class Preference:
    """Analyzer `behaviour.preference`."""

    def __init__(self, options: PreferenceOptions) -> None:
        self._options = options
        self._probes: dict[str, Probe] = {}
        self._read: dict[tuple[str, bool, int], Read] = {}
        self._approximate = False

    def begin(self, context: AnalyzerContext) -> None:
        self._seed, self._excerpts = context.seed, context.excerpts

    def observe(self, item: ForwardBatch) -> None:
        """Keeps two sums per continuation."""
        tokens = scored(item, ("continuation",))
        if tokens is None or item.scores is None:
            return
        self._approximate |= item.scores.bound is not None
        nll = tokens.values(item.scores, ("base_nll", "trained_nll"))
        own = (tokens.place >= 0) & (tokens.target >= 0)
        for passage, of in tokens.slices():
            chosen = nll[of][own[of]]
            if passage.probe is not None and passage.continuation is not None and len(chosen):
                base, trained = (-math.fsum(column) + 0.0 for column in chosen.T)
                self._keep(passage, passage.probe, passage.continuation, len(chosen), (base, trained))

    def merge(self, other: Preference) -> None:
        """Takes in continuations that another instance observed."""
        self._probes.update(other._probes)
        self._read.update(other._read)
        self._approximate |= other._approximate

    def finish(self) -> AnalyzerOutput:
        """Both sides' preferences and their contrasts, in all, by suite and by category."""
        choices = self._choices()
        names = (*DECISIVE, *DETAIL)
        if not choices:
            reason = NOTHING if not self._read else "no prompt had all its continuations read"
            return AnalyzerOutput(measurements=tuple(undefined(PREFIX + n, reason, n=0) for n in (*names, "flip_rate")))
        table = UnitTable(map(_row, choices))
        parts = tuple(table.subsets())
        note = "; ".join(filter(None, [self._lost(len(choices)), _APPROXIMATE if self._approximate else None])) or None
        families = [
            Family(name=name, asked=tuple(self._asked(key, note) for key in keys), parts=parts)
            for name, keys in (("behaviour.preference", DECISIVE), ("behaviour.preference.detail", DETAIL))
        ]
        measured = [_explained(m) for m in measure_families(families, seed=child_seed(self._seed, "sides"))]
        measured.append(self._flips(choices, note))
        return AnalyzerOutput(measurements=tuple(measured), artifacts=self._artifact(choices))

    def _keep(self, passage: Passage, probe: Probe, index: int, tokens: int, sums: tuple[float, float]) -> None:
        self._probes[probe.id] = probe
        self._read[probe.id, passage.swapped, index] = Read(tokens=tokens, sums=sums)

    def _choices(self) -> list[Choice]:
        """The prompts of which every continuation was read, sorted by id; an order with gaps does not count."""
        found = []
        for name in sorted(self._probes):
            probe = self._probes[name]
            wanted = range(len(continuations_of(probe)))
            orders = [[self._read.get((name, swapped, index)) for index in wanted] for swapped in (False, True)]
            whole = [tuple(read for read in order if read is not None) for order in orders]
            if len(whole[0]) == len(wanted) >= 2:
                kept = tuple(order for order in whole if len(order) == len(wanted))
                found.append(Choice(probe=probe, orders=kept))
        return found

    def _lost(self, kept: int) -> str | None:
        lost = len(self._probes) - kept
        prompts = "1 prompt" if lost == 1 else f"{lost} prompts"
        return f"left out: {prompts} of which a continuation was not read" if lost else None

    def _asked(self, key: str, note: str | None) -> Asked:
        return Asked(key=key, metric=PREFIX + key, scale="rate" if key == "accuracy" else "mean", note=note)

    def _flips(self, choices: Sequence[Choice], note: str | None) -> Measurement:
        flips = np.array([float(choice.winner(0) != choice.winner(1)) for choice in choices])
        found = rate(flips, seed=child_seed(self._seed, "flips"), clusters=clusters([c.probe for c in choices]))
        if all(choice.same for choice in choices):
            units = len({choice.probe.unit for choice in choices})
            found = Contrast(
                n=units, estimate=0.0, interval=Interval(low=0.0, high=0.0, level=0.95, method="identical")
            )
        if note is not None:
            found = attrs.evolve(found, reason=f"{found.reason}; {note}" if found.reason else note)
        return as_measurement(found, f"{PREFIX}flip_rate")

    def _artifact(self, choices: Sequence[Choice]) -> tuple[ArtifactPayload, ...]:
        ranked = sorted(choices, key=lambda choice: (-choice.movement, choice.probe.id))[: self._options.kept]
        if not ranked:
            return ()
        content = {"unit": "nats", "prompts": [_told(choice, self._excerpts) for choice in ranked]}
        return (
            ArtifactPayload(
                id=ARTIFACT,
                suffix=".json",
                media_type="application/json",
                summary="Log-probabilities of given continuations under both sides, at the prompts that moved most",
                content=json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False).encode(),
            ),
        )


def _row(choice: Choice) -> Row:
    """A prompt as a row of the table; what stands for its texts says whether both sides are the same."""
    sides = []
    for side in range(len(SIDES)):
        print_of = repr([[read.sums[side] for read in order] for order in choice.orders])
        values = {name: (_finite(value),) for name, value in choice.values(side).items()}
        sides.append(Answered(texts=(print_of,), values=values))
    return Row(probe=choice.probe, base=sides[0], trained=sides[1])


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _explained(m: Measurement) -> Measurement:
    """The measurement, with why there is no such number where no prompt has it."""
    if m.status == "ok" or m.n:
        return m
    return attrs.evolve(m, reason=_UNKNOWN.get(m.metric.removeprefix(PREFIX), _NOBODY))


def _told(choice: Choice, excerpts: bool) -> dict[str, Any]:
    probe = choice.probe
    texts = continuations_of(probe)
    means, sums = [choice.means(side) for side in (0, 1)], [choice.sums(side) for side in (0, 1)]
    shown = []
    for index, text in enumerate(texts):
        tokens = [order[index].tokens for order in choice.orders]
        shown.append(
            {
                "text": text if excerpts else withhold(text),
                "tokens": tokens[0],
                **{
                    name: {"sum": _short(sums[side][index]), "mean": _short(means[side][index])}
                    for side, name in enumerate(SIDES)
                },
            }
        )
    told: dict[str, Any] = {}
    for side, name in enumerate(SIDES):
        values = {key: _short(value) for key, value in choice.values(side).items() if not key.endswith("logprob")}
        told[name] = {**values, "winner": choice.winner(side)}
    return {
        "id": probe.id,
        "suite": probe.suite,
        "category": probe.category,
        "prompt": probe.text[:_PROMPT] if excerpts else withhold(probe.text),
        "preferred": choice.preferred,
        "orders": len(choice.orders),
        "continuations": shown,
        **told,
    }


def _short(value: float | None) -> float | None:
    """Six significant digits; nothing where there is no finite number."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
