"""How well both sides predict plain text.

Per passage: the mean −ln p of its tokens under each side, per token and per byte of UTF-8. The contrast over units,

    log_ratio = mean_u mean_{p∈u} (NLL_trained,p − NLL_base,p)          ln of the ratio of perplexities

is above 0 where trained predicts worse what base predicted: forgetting, where it exceeds a margin. A token that holds
only a part of a character counts one byte. The first token of a text is predicted by nothing that counts, and is left
out of both sides and of the bytes.
"""

from __future__ import annotations

import numpy as np

from afterburn_behaviour.distribution.estimates import Asked, contrasted, estimated
from afterburn_behaviour.distribution.names import AUTHORS, PERPLEXITY
from afterburn_behaviour.distribution.scored import Floats, Scored, scored
from afterburn_behaviour.distribution.table import Ledger, Part, Table, of_classes
from afterburn_core.forward.model import CONTENT, FIRST, ForwardBatch
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement
from afterburn_core.run.seeds import child_seed

QUANTITIES = ("base_nll", "trained_nll")
METRICS = ("nll", "nll_per_byte", "log_ratio")
TEXT = of_classes(CONTENT, FIRST)
NO_TEXT = "no plain text was read: leave the default texts in, or name files with --corpus"


class Perplexity:
    """Analyzer `behaviour.perplexity`."""

    def __init__(self, options: None = None) -> None:
        self._ledger = Ledger((*QUANTITIES, "bytes"))
        self._approximate = False
        self._bytes: dict[int, int] = {}  # by token; at most the vocabulary

    def begin(self, context: AnalyzerContext) -> None:
        self._seed = context.seed

    def observe(self, item: ForwardBatch) -> None:
        """Keeps sums by passage."""
        tokens, scores = scored(item, ("text",)), item.scores
        if tokens is None or scores is None:
            return
        values = tokens.values(scores, QUANTITIES)
        self._ledger.add(tokens, np.column_stack([values, self._sizes(tokens)]))
        self._approximate |= scores.bound is not None

    def merge(self, other: Perplexity) -> None:
        """Takes in passages that another instance observed."""
        self._ledger.merge(other._ledger)
        self._approximate |= other._approximate

    def finish(self) -> AnalyzerOutput:
        """Both sides' NLL, and the paired contrast, of the whole and by domain."""
        table = self._ledger.table()
        if not table.facts:
            return AnalyzerOutput(measurements=tuple(undefined(PERPLEXITY + name, NO_TEXT, n=0) for name in METRICS))
        sides, contrasts = [], []
        for place in (table.everything, *table.domains("base_nll")):
            of = Part(scope=place.scope, passages=place.passages, cells=TEXT)
            means = {side: table.unit_means(f"{side}_nll", of) for side in AUTHORS}
            for side in AUTHORS:
                approximate = self._approximate and side == "base"
                for name, values in (("nll", means[side]), ("nll_per_byte", _per_byte(table, of, side))):
                    sides.append(
                        Asked(
                            metric=PERPLEXITY + name,
                            values=values,
                            of=of,
                            subjects=(side,),
                            low=0.0,
                            approximate=approximate,
                        )
                    )
            difference = means["trained"] - means["base"]
            contrasts.append(
                Asked(
                    metric=PERPLEXITY + "log_ratio",
                    values=difference,
                    of=of,
                    identical=not difference[~np.isnan(difference)].any(),
                    approximate=self._approximate,
                )
            )
        found: list[Measurement] = estimated(sides, seed=child_seed(self._seed, "sides"))
        found += contrasted(contrasts, seed=child_seed(self._seed, "contrasts"), family="behaviour.perplexity")
        return AnalyzerOutput(measurements=tuple(found))

    def _sizes(self, tokens: Scored) -> Floats:
        """Bytes of UTF-8 of every token, (m); NaN where there is none. Each token is decoded once in a run."""
        distinct, inverse = np.unique(tokens.target, return_inverse=True)
        sizes = np.empty(len(distinct))
        for i, token in enumerate(distinct.tolist()):
            if token not in self._bytes:
                text = tokens.decode(token) if token >= 0 else ""
                self._bytes[token] = len(text.replace("\ufffd", "?").encode("utf-8", "replace"))
            sizes[i] = self._bytes[token] if token >= 0 else np.nan
        return sizes[inverse.reshape(-1)]


def _per_byte(table: Table, of: Part, side: str) -> Floats:
    """Σ −ln p over the bytes of a passage, averaged over the passages of each unit, (U)."""
    sums, sizes = table.totals(f"{side}_nll", of)[0], table.totals("bytes", of)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return table.over_units(np.where(sizes > 0, sums / sizes, np.nan))
