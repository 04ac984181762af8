"""How often answers are right.

For prompt i with samples k, s_i = mean_k [sample k is right], and d_i = s_trained,i − s_base,i. Rates are means of s_i,
the contrast is the mean of d_i. Which label or checker says what is right: `afterburn_behaviour.gold`.

A prompt is newly right where at most half of base's samples are right and more than half of trained's, newly wrong the
other way round; both are reported, because chance alone flips some in either direction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from afterburn_behaviour.examples import Pair, artifact, best
from afterburn_behaviour.gold import NO_GOLD, final_answer, has_answers, mark
from afterburn_behaviour.quality_options import CorrectOptions
from afterburn_behaviour.units import SIDES, UnitTable
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure
from afterburn_core.result.identity import undefined as unmeasured
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import Contrast, as_measurement, undefined
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import paired_rates, rate

RATE = "behaviour.correct.rate"
NO_ANSWER = "behaviour.correct.no_answer"
NEWLY_RIGHT = "behaviour.correct.newly_right"
NEWLY_WRONG = "behaviour.correct.newly_wrong"
_KEYS = {"right": RATE, "none": NO_ANSWER}


class Correct:
    """Analyzer `behaviour.correct`."""

    def __init__(self, options: CorrectOptions) -> None:
        self._options = options
        self._table = UnitTable()
        self._reasons: Counter[str] = Counter()
        self._sources: dict[str, Counter[str]] = {side: Counter() for side in SIDES}
        self._seed = 0
        self._excerpts = True

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed, and whether texts may be kept."""
        self._seed, self._excerpts = context.seed, context.excerpts

    def observe(self, item: Responses) -> None:
        """Marks each sample of the prompt."""
        probe = item.probe
        side_of = {id(sample): side for side, samples in item.sides() for sample in samples}

        def values(sample: Sample) -> Mapping[str, float | None]:
            marked = mark(probe, sample)
            if marked.right is None:
                self._reasons[marked.reason or "nothing says what is right"] += 1
                return {"right": None, "none": None}
            if marked.source is not None:
                self._sources[side_of[id(sample)]][marked.source] += 1
            looked_for = has_answers(probe, (sample,))
            none = float(final_answer(probe, sample) is None) if looked_for else None
            return {"right": float(marked.right), "none": none}

        self._table.observe(item, values)

    def merge(self, other: Correct) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)
        self._reasons.update(other._reasons)
        for side, counts in other._sources.items():
            self._sources[side].update(counts)

    def finish(self) -> AnalyzerOutput:
        """Rates, their contrasts, flips, and the prompts that flipped."""
        found: list[Measurement] = []
        contrasts: dict[tuple[str, str], tuple[Scope, Contrast]] = {}
        for scope, table in self._table.subsets():
            for key, metric in _KEYS.items():
                for side in SIDES:
                    one = table.one_side(key, side)
                    if one.values.size or scope == Scope():
                        found.append(self._side(metric, key, side, scope, table))
                pairs = table.paired(key)
                if pairs.probes or scope == Scope():
                    contrasts[key, scope.key()] = (scope, self._contrast(key, scope, table))
            found += self._flips(scope, table)
        # the whole is the one question asked beforehand; its parts are looked at afterwards, together
        wholes = {name: c for name, (scope, c) in contrasts.items() if scope == Scope()}
        parts = {name: c for name, (scope, c) in contrasts.items() if scope != Scope()}
        done: dict[tuple[str, str], Contrast] = {}
        for key in _KEYS:
            done |= adjust({name: c for name, c in wholes.items() if name[0] == key}, family=_KEYS[key])
            done |= adjust({name: c for name, c in parts.items() if name[0] == key}, family=f"{_KEYS[key]} by part")
        for name, (scope, _) in contrasts.items():
            found.append(as_measurement(done[name], _KEYS[name[0]], scope=scope))
        return AnalyzerOutput(measurements=tuple(found), artifacts=self._examples())

    def _side(self, metric: str, key: str, side: str, scope: Scope, table: UnitTable) -> Measurement:
        one = table.one_side(key, "base" if side == "base" else "trained")
        if not one.values.size:
            return unmeasured(metric, self._why(), subjects=(side,), scope=scope, n=0)
        contrast = rate(one.values, clusters=one.clusters, seed=child_seed(self._seed, f"{key}/{side}/{scope.key()}"))
        return as_measurement(contrast, metric, subjects=(side,), scope=scope)

    def _contrast(self, key: str, scope: Scope, table: UnitTable) -> Contrast:
        pairs = table.paired(key)
        if not pairs.probes:
            return undefined(self._why())
        contrast = paired_rates(
            pairs.base,
            pairs.trained,
            clusters=pairs.clusters,
            seed=child_seed(self._seed, f"{key}/{scope.key()}"),
            identical=all(table.row(name).base.texts == table.row(name).trained.texts for name in pairs.probes),
        )
        notes = [n for n in (contrast.reason, self._mixed(), table.answers().note, self._unchecked(key, scope)) if n]
        return _noted(contrast, "; ".join(notes) or None)

    def _flips(self, scope: Scope, table: UnitTable) -> list[Measurement]:
        pairs = table.paired("right")
        if not pairs.probes:
            return []
        base, trained = pairs.base > 0.5, pairs.trained > 0.5
        n = len(pairs.probes)
        return [
            measure(NEWLY_RIGHT, int((trained & ~base).sum()), scope=scope, n=n, reason="a count"),
            measure(NEWLY_WRONG, int((base & ~trained).sum()), scope=scope, n=n, reason="a count"),
        ]

    def _why(self) -> str:
        if not len(self._table):
            return "no prompt was answered"
        common = self._reasons.most_common(1)
        return common[0][0] if common else "no prompt was answered by both sides"

    def _unchecked(self, key: str, scope: Scope) -> str | None:
        """How many answers nobody could mark, those without any gold answer apart."""
        left = [f"{n} answers: {why}" for why, n in sorted(self._reasons.items()) if why != NO_GOLD]
        return f"not marked: {'; '.join(left)}" if left and key == "right" and scope == Scope() else None

    def _mixed(self) -> str | None:
        """A caveat where the sides were marked by different means."""
        kinds = [frozenset(counts) for counts in self._sources.values() if counts]
        if len(kinds) == 2 and kinds[0] != kinds[1]:
            told = ", ".join(f"{side} by {' and '.join(sorted(self._sources[side]))}" for side in SIDES)
            return f"the sides were marked by different means: {told}"
        return None

    def _examples(self) -> tuple[ArtifactPayload, ...]:
        half = self._options.examples // 2
        pairs: list[Pair] = []
        for name, direction in (("newly_wrong", -1.0), ("newly_right", 1.0)):
            note = "share right: base {base}, trained {trained}"
            pairs += best(self._table, "right", note=note, about=name, count=half, direction=direction)
        return artifact("correct", pairs, excerpts=self._excerpts)


def _noted(contrast: Contrast, reason: str | None) -> Contrast:
    return attrs.evolve(contrast, reason=reason)
