"""Each side's answers under both sides.

With M[g, s] the mean −ln p per token of answers by g under s, end marks apart:

    excess of trained   M[T, B] − M[T, T]      what base does not know of trained's text
    excess of base      M[B, T] − M[B, B]      what trained no longer expects of base's text
    base's surprise     M[T, B] − M[B, B]      whether trained writes what base would write

Trained that only became surer of what base would say anyway (sharpening) has an excess as well; what tells it from new
text is that base is not surprised by it, while the entropy along trained's answers fell. For whole answers
Σ_t (ln p_t − ln p_b) and Σ_t KL_t(trained‖base) along trained's own samples both estimate KL(trained‖base) of whole
sequences, the second with less variance (Better Estimation of the KL Divergence Between Language Models, arXiv
2504.10637). That holds for answers sampled at temperature 1 from the whole vocabulary; along greedy answers the sums
are descriptions. Samples are averaged inside their prompt, and contrasts are paired by prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from afterburn_behaviour.distribution.differencing import Surprising
from afterburn_behaviour.distribution.estimates import Asked, contrasted, estimated
from afterburn_behaviour.distribution.names import AUTHORS, CROSS, written_by
from afterburn_behaviour.distribution.options import CrossScoringOptions
from afterburn_behaviour.distribution.scored import Floats, scored
from afterburn_behaviour.distribution.table import ALL_CELLS, Ledger, Part, Table, of_classes
from afterburn_core.forward.model import CONTENT, END, FIRST, TEMPLATE, ForwardBatch
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.seeds import child_seed

QUANTITIES = ("base_nll", "trained_nll", "base_entropy", "trained_entropy", "kl")
CONTRASTS = ("excess_trained", "excess_base", "base_surprise")
WRITTEN = of_classes(CONTENT, FIRST, TEMPLATE)
ENDED = of_classes(END)
NO_ANSWERS = "no answer was read: ask both sides (behaviour, diagnose), or name recorded answers"
_BOTH = "no prompt has answers of both sides"
_SUMS = "estimates KL of whole answers where they were sampled at temperature 1; describes them otherwise"


class CrossScoring:
    """Analyzer `behaviour.cross_scoring`."""

    def __init__(self, options: CrossScoringOptions) -> None:
        self._ledger = Ledger(QUANTITIES)
        self._surprising = Surprising(options)
        self._approximate = False

    def begin(self, context: AnalyzerContext) -> None:
        self._seed = context.seed
        self._surprising.excerpts = context.excerpts

    def observe(self, item: ForwardBatch) -> None:
        """Keeps sums by answer, and the answers that surprise base most."""
        tokens, scores = scored(item, ("answer",)), item.scores
        if tokens is None or scores is None:
            return
        values = tokens.values(scores, QUANTITIES)
        self._ledger.add(tokens, values)
        self._surprising.observe(tokens, values[:, 0], values[:, 1])
        self._approximate |= scores.bound is not None

    def merge(self, other: CrossScoring) -> None:
        """Takes in answers that another instance observed."""
        self._ledger.merge(other._ledger)
        self._surprising.merge(other._surprising)
        self._approximate |= other._approximate

    def finish(self) -> AnalyzerOutput:
        """The 2 × 2 table, its contrasts, sums over whole answers, and the most surprising answers."""
        table = self._ledger.table()
        if not table.facts:
            names = ("nll", "entropy", *CONTRASTS, "sequence_log_ratio", "sequence_kl")
            return AnalyzerOutput(measurements=tuple(undefined(CROSS + name, NO_ANSWERS, n=0) for name in names))
        by = {author: table.where(lambda facts, author=author: facts.author == author) for author in AUTHORS}  # type: ignore[misc]
        cells = self._cells(table, by)
        found = estimated(cells, seed=child_seed(self._seed, "table"))
        found += self._contrasts(table, by)
        found += self._sequences(table, by["trained"])
        return AnalyzerOutput(measurements=tuple(found), artifacts=self._surprising.artifact())

    def _cells(self, table: Table, by: Mapping[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]) -> list[Asked]:
        """M[g, s], the same of end marks, and entropies along each side's own answers."""
        asked = []
        for author in AUTHORS:
            written = Part(scope=written_by(author), passages=by[author], cells=WRITTEN)
            ended = Part(scope=written_by(author), passages=by[author], cells=ENDED)
            for scorer in AUTHORS:
                for name, of in (("nll", written), ("end_nll", ended)):
                    asked.append(
                        Asked(
                            metric=CROSS + name,
                            values=table.unit_means(f"{scorer}_nll", of),
                            of=of,
                            subjects=(scorer,),
                            low=0.0,
                            approximate=self._approximate and scorer == "base",
                            missing=f"no answer of {author} was read"
                            if name == "nll"
                            else f"no answer of {author} ended by itself",
                        )
                    )
            asked.append(
                Asked(
                    metric=CROSS + "entropy",
                    values=table.unit_means(f"{author}_entropy", written),
                    of=written,
                    subjects=(author,),
                    low=0.0,
                    approximate=self._approximate and author == "base",
                    missing=f"no answer of {author} was read",
                )
            )
        return asked

    def _contrasts(
        self, table: Table, by: Mapping[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]
    ) -> list[Measurement]:
        """Excesses, surprise and the change of entropy, of the whole and by domain, corrected together."""
        places = [(Scope(), None), *((of.scope, of.passages) for of in table.domains("base_nll"))]
        asked = []
        for scope, inside in places:
            own = {
                author: Part(scope=scope, passages=mask if inside is None else mask & inside, cells=WRITTEN)
                for author, mask in by.items()
            }
            m = {(g, s): table.unit_means(f"{s}_nll", own[g]) for g in AUTHORS for s in AUTHORS}
            entropy = {side: table.unit_means(f"{side}_entropy", own[side]) for side in AUTHORS}
            differences = {
                "excess_trained": m["trained", "base"] - m["trained", "trained"],
                "excess_base": m["base", "trained"] - m["base", "base"],
                "base_surprise": m["trained", "base"] - m["base", "base"],
                "entropy": entropy["trained"] - entropy["base"],
            }
            asked += [self._asked(name, values, scope) for name, values in differences.items()]
        return contrasted(asked, seed=child_seed(self._seed, "contrasts"), family="behaviour.cross_scoring")

    def _asked(self, name: str, values: Floats, scope: Scope) -> Asked:
        paired = name in ("base_surprise", "entropy")
        author = name.removeprefix("excess_")
        return Asked(
            metric=CROSS + name,
            values=values,
            scope=scope,
            identical=not values[~np.isnan(values)].any(),
            approximate=self._approximate,
            missing=_BOTH if paired else f"no answer of {author} was read",
        )

    def _sequences(self, table: Table, trained: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Sequence[Measurement]:
        """Sums over whole answers of trained, end marks included."""
        whole = Part(scope=Scope(), passages=trained, cells=ALL_CELLS)
        sums = {name: table.totals(name, whole) for name in ("base_nll", "trained_nll", "kl")}

        def by_unit(values: Floats, counts: Floats) -> Floats:
            return table.over_units(np.where(counts > 0, values, np.nan))

        ratio = by_unit(sums["base_nll"][0] - sums["trained_nll"][0], sums["base_nll"][1])
        kl = by_unit(*sums["kl"])
        same = not kl[~np.isnan(kl)].any()
        missing = "no answer of trained was read"
        asked = [
            Asked(
                metric=CROSS + name,
                values=values,
                low=low,
                identical=same,
                approximate=self._approximate,
                notes=(_SUMS,),
                missing=missing,
            )
            for name, values, low in (("sequence_log_ratio", ratio, None), ("sequence_kl", kl, 0.0))
        ]
        return estimated(asked, seed=child_seed(self._seed, "sequences"))
