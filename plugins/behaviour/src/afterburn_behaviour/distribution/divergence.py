"""How far the two sides' next-token distributions lie apart on the same text.

With p_b and p_t the distributions after the same tokens: KL(t‖b) = Σ p_t ln(p_t/p_b), KL(b‖t), JSD, total variation,
the share of tokens whose most probable successor changed, ranks, entropies and margins, all per token by the core
(`afterburn_core.forward.scores`) and averaged as `distribution.table` says: token, passage, unit. Parts: by source, by
class and position of the predicted token, by domain.

Artifacts: `distribution.positions` (the curve by position), `distribution.contexts` (the most diverging stretches).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np

from afterburn_behaviour.distribution.contexts import Contexts
from afterburn_behaviour.distribution.estimates import Asked, among, contrasted, estimated
from afterburn_behaviour.distribution.names import AUTHORS, DIVERGENCE, SOURCES, part
from afterburn_behaviour.distribution.options import DivergenceOptions
from afterburn_behaviour.distribution.positions import Positions
from afterburn_behaviour.distribution.scored import scored
from afterburn_behaviour.distribution.table import Ledger, Part, Table
from afterburn_core.forward.model import ForwardBatch
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement
from afterburn_core.run.seeds import child_seed

DISTANCES: Mapping[str, float | None] = {
    "kl": None,
    "kl_reverse": None,
    "jsd": float(np.log(2.0)),
    "total_variation": 1.0,
    "flip_rate": 1.0,
    "top_rank": None,
}
"""What is never below 0, with its largest value."""
SIDED = ("entropy", "margin")
QUANTITIES = (*DISTANCES, "rank_shift", *(f"{side}_{name}" for name in SIDED for side in AUTHORS), "bound")
FLOORS = {"bfloat16": "2e-4", "float16": "5e-6"}
"""What rounding the logits to a dtype makes of the KL of equal models, in nats per token; the coarsest first."""
NOTHING = "no text, prompt or answer was read"
_BROAD = ("source=", "domain=")


class Divergence:
    """Analyzer `behaviour.divergence`."""

    def __init__(self, options: DivergenceOptions) -> None:
        self._pair = Ledger(QUANTITIES)
        self._controls: dict[str, Ledger] = {}
        self._positions = Positions(options.positions)
        self._contexts = Contexts(options.contexts, options.window)
        self._dtypes: set[str] = set()
        self._approximate = False

    def begin(self, context: AnalyzerContext) -> None:
        self._seed = context.seed
        self._contexts.excerpts = context.excerpts

    def observe(self, item: ForwardBatch) -> None:
        """Keeps sums by passage, the curve from its start, and what of it diverges most."""
        tokens, scores = scored(item, SOURCES), item.scores
        if tokens is None or scores is None:
            return
        values = tokens.values(scores, QUANTITIES)
        kl, flips = (values[:, QUANTITIES.index(name)] for name in ("kl", "flip_rate"))
        self._pair.add(tokens, values)
        self._positions.observe(tokens, kl, flips)
        self._contexts.observe(tokens, scores, kl)
        for name, control in item.control_scores.items():
            self._controls.setdefault(name, Ledger(tuple(DISTANCES))).observe(tokens, control)
        self._dtypes.add(item.dtype)
        self._approximate |= scores.bound is not None

    def merge(self, other: Divergence) -> None:
        """Takes in passages that another instance observed."""
        self._pair.merge(other._pair)
        for name, ledger in other._controls.items():
            self._controls.setdefault(name, Ledger(tuple(DISTANCES))).merge(ledger)
        self._positions.merge(other._positions)
        self._contexts.merge(other._contexts)
        self._dtypes |= other._dtypes
        self._approximate |= other._approximate

    def finish(self) -> AnalyzerOutput:
        """Distances and contrasts of the whole and of its parts, the curve by position, the contexts."""
        table = self._pair.table()
        if not table.facts:
            names = (*DISTANCES, "rank_shift", *SIDED)
            return AnalyzerOutput(measurements=tuple(undefined(DIVERGENCE + name, NOTHING, n=0) for name in names))
        parts = [(of, _identical(table, of)) for of in table.parts("kl")]
        measured = [*self._distances(table, parts), *self._controls_alone(), *self._changes(table, parts)]
        artifacts = (*self._positions.artifact(table, seed=self._seed), *self._contexts.artifact())
        return AnalyzerOutput(measurements=tuple(measured), artifacts=artifacts)

    def _distances(self, table: Table, parts: Sequence[tuple[Part, bool]]) -> Iterator[Measurement]:
        """What is never below 0, with its place among the controls."""
        floor = self._floor()
        asked, of_controls = [], []
        controls = self._aligned(table)
        for of, same in parts:
            kinds = {
                name: _by_kind({control: other.unit_means(name, of) for control, other in controls.items()})
                for name in DISTANCES
                if _wanted(name, of)
            }
            for name in kinds:
                kl = name == "kl"
                asked.append(
                    Asked(
                        metric=DIVERGENCE + name,
                        values=table.unit_means(name, of),
                        of=of,
                        low=0.0,
                        high=DISTANCES[name],
                        share=name == "flip_rate",
                        identical=same,
                        approximate=self._approximate,
                        bound=self._bound(table, of) if kl else None,
                        notes=(floor,) if floor and kl and not same else (),
                    )
                )
                of_controls.append(kinds[name])
        found = estimated(asked, seed=child_seed(self._seed, "distances"))
        for measured, kinds_of in zip(found, of_controls, strict=True):
            null = None if measured.value is None else among(measured.value, kinds_of)
            yield attrs.evolve(measured, null=null)

    def _changes(self, table: Table, parts: Sequence[tuple[Part, bool]]) -> Iterator[Measurement]:
        """What can go either way, tested over units."""
        seed = child_seed(self._seed, "changes")
        for name in ("rank_shift", *SIDED):
            metric, asked, sides = DIVERGENCE + name, [], []
            for of, same in parts:
                if not _wanted(name, of):
                    continue
                if name == "rank_shift":
                    values = table.unit_means(name, of)
                else:
                    own = [table.unit_means(f"{side}_{name}", of) for side in AUTHORS]
                    values = own[1] - own[0]
                    sides += [
                        Asked(metric=metric, values=v, of=of, subjects=(side,), low=0.0, approximate=self._approximate)
                        for side, v in zip(AUTHORS, own, strict=True)
                    ]
                asked.append(Asked(metric=metric, values=values, of=of, identical=same, approximate=self._approximate))
            yield from estimated(sides, seed=seed)
            yield from contrasted(asked, seed=seed, family=metric)

    def _controls_alone(self) -> list[Measurement]:
        asked = []
        for name in sorted(self._controls):
            table = self._controls[name].table()
            values = table.unit_means("kl", table.everything)
            scope = part(control=name.removeprefix("control:"))
            asked.append(Asked(metric=DIVERGENCE + "control_kl", values=values, scope=scope, low=0.0))
        return estimated(asked, seed=child_seed(self._seed, "controls"))

    def _aligned(self, table: Table) -> dict[str, Table]:
        """The controls that were read beside every passage, by id."""
        tables = {name: self._controls[name].table() for name in sorted(self._controls)}
        return {name: other for name, other in tables.items() if other.facts == table.facts}

    def _floor(self) -> str | None:
        """What rounding alone can look like, where the models computed in less than float32."""
        coarse = next((dtype for dtype in FLOORS if dtype in self._dtypes), None)
        if coarse is None:
            return None
        return f"computed in {coarse}: below about {FLOORS[coarse]} nats a token cannot be told from rounding"

    def _bound(self, table: Table, of: Part) -> float | None:
        """The mean over units of the largest error of KL; `None` where base was read in full."""
        if not self._approximate:
            return None
        values = table.unit_means("bound", of)
        return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _identical(table: Table, of: Part) -> bool:
    """Whether both distributions were equal at every token of a part."""
    return not any(table.totals(name, of)[0].any() for name in ("kl", "kl_reverse"))


def _wanted(name: str, of: Part) -> bool:
    """Everything of the whole, of sources and of domains; of finer parts only what their tables show."""
    subset = of.scope.subset
    broad = subset is None or ("," not in subset and subset.startswith(_BROAD))
    return broad or name in ("kl", "kl_reverse", "jsd", "flip_rate")


def _by_kind(controls: Mapping[str, np.ndarray[tuple[int], np.dtype[np.float64]]]) -> dict[str, list[float]]:
    """Means over units by kind: `scrambled` of `control:scrambled` and of `control:scrambled:3`."""
    kinds: dict[str, list[float]] = {}
    for name, values in controls.items():
        known = values[~np.isnan(values)]
        if known.size:
            kinds.setdefault(name.removeprefix("control:").split(":")[0], []).append(float(known.mean()))
    return kinds
