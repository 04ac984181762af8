"""Drift of input and output embeddings, token by token; rows are aligned by token string.

Per token, with e its row in the base and e' in the trained model:

    relative          ‖e' − e‖ / ‖e‖
    cosine_distance   1 − cos(e, e') = (‖δ‖² − (‖e'‖ − ‖e‖)²) / (2 ‖e‖ ‖e'‖),  ‖e'‖ − ‖e‖ = (2⟨e,δ⟩ + ‖δ‖²)/(‖e'‖ + ‖e‖)
    concentration     least share of the tokens that holds half of Σ‖δ‖²

Padding rows (no token has their id) are named as such and count in no quantile. The artifact `weight.tokens` lists the
tokens that moved most, were added or were removed; an added token with its nearest old ones by cosine, in the trained
model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.spectra import RowSums
from afterburn_weight.embedding_rows import Neighbour, RowNumbers, nearest, row_numbers, tied
from afterburn_weight.gains import Config, configurations
from afterburn_weight.options import EmbeddingOptions
from afterburn_weight.tokens import Tokens, read_tokens

ARTIFACT = "weight.tokens"
QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
_SUMMARY = tuple(f"weight.embeddings.{kind}_{q}" for kind in ("relative", "cosine_distance") for q in QUANTILES)
_COUNTS = ("untouched", "padding", "added", "removed", "concentration")


@attrs.frozen(kw_only=True)
class Table:
    """What is kept of one embedding or output head."""

    scope: Scope
    rows: RowSums | None
    width: int
    reason: str | None
    """Why there are no rows, where there are none."""
    neighbours: Mapping[int, tuple[Neighbour, ...]] = attrs.field(factory=dict)
    """Nearest old rows of added ones, by row in the trained model."""


class Embeddings:
    """Analyzer `weight.embeddings`."""

    def __init__(self, options: EmbeddingOptions | None = None) -> None:
        self._options = options or EmbeddingOptions()
        self._tables: dict[str, Table] = {}
        self._heads: dict[str, tuple[bool | None, bool | None]] = {}
        self._seen = False

    def begin(self, context: AnalyzerContext) -> None:
        """Reads both vocabularies, and whether texts may be shown."""
        self._configs: Mapping[str, Config | None] = configurations(context.documents)
        base = context.documents("base", "vocabulary")
        trained = context.documents("trained", "vocabulary") or base
        self._base = read_tokens(base, excerpts=context.excerpts)
        self._trained = read_tokens(trained, excerpts=context.excerpts)

    def observe(self, item: WeightPair) -> None:
        """Keeps the sums of each row; looks up the neighbours of added rows while the tensor can be read."""
        self._seen = True
        if item.scope.module == "head" and item.name.endswith("weight"):
            self._heads[item.name] = tied(item)
        if item.scope.module not in {"embed", "head"} or item.name.endswith("bias"):
            return
        info = item.trained or item.base
        width = info.shape[1] if info is not None and len(info.shape) == 2 else 0
        if item.sums is None or item.rows is None:
            if item.union:
                reason = item.reason or ("its rows are not tokens" if item.sums is not None else item.state)
                self._tables[item.name] = Table(scope=item.scope, rows=None, width=width, reason=reason)
            return
        broken = None if item.sums.finite else "the tensor holds NaN or infinite values"
        added = self._added(item.rows)[: self._options.added] if broken is None else []
        self._tables[item.name] = Table(
            scope=item.scope,
            rows=item.rows,
            width=width,
            reason=broken,
            neighbours=nearest(item, added, self._options.nearest) if added else {},
        )

    def merge(self, other: Embeddings) -> None:
        """Takes in tensors that another instance observed."""
        self._tables.update(other._tables)
        self._heads.update(other._heads)
        self._seen = self._seen or other._seen

    def finish(self) -> AnalyzerOutput:
        """Numbers per table and for the tokens that moved most, and their list."""
        found: list[Measurement] = []
        listed: dict[str, Any] = {}
        places: set[tuple[str | None, str | None]] = set()
        sizes = {t.rows.base_rows for t in self._tables.values() if t.rows and t.scope.module == "embed"}
        for name in sorted(self._tables):
            table = self._tables[name]
            if table.rows is not None and sizes and table.rows.base_rows not in sizes:
                table = attrs.evolve(table, rows=None, reason="its rows are not tokens")
            if table.rows is None or table.reason is not None:
                metrics = (*_SUMMARY, *(f"weight.embeddings.{count}" for count in _COUNTS))
                reason = table.reason or "its rows are not compared"
                found += [undefined(metric, reason, scope=table.scope) for metric in metrics]
                continue
            numbers = row_numbers(table.rows, self._base, self._trained)
            found += self._summary(table, numbers, table.rows)
            movers = numbers.largest(self._options.top)
            place = (table.scope.module, table.scope.subset)
            if place not in places:  # a token's place names no tensor; the first table of a kind has it
                found += _moved(table, numbers, movers)
            places.add(place)
            listed[name] = self._listed(table, table.rows, numbers, movers)
        ties = self._ties()
        found += ties
        if self._seen and not self._tables:
            reason = "there are no embeddings"
            found += [undefined(f"weight.embeddings.{name}", reason, n=0) for name in ("concentration", "relative_max")]
            found.append(undefined("weight.embeddings.tied", reason, n=0))
        artifact = ArtifactPayload(
            id=ARTIFACT,
            suffix=".json",
            media_type="application/json",
            summary=f"Tokens that moved most (first {self._options.top}), were added or were removed, by embedding",
            content=json.dumps(
                {"tables": listed, "tied": {m.subjects[0]: None if m.value is None else bool(m.value) for m in ties}},
                sort_keys=True,
                indent=1,
                ensure_ascii=False,
                allow_nan=False,
            ).encode(),
        )
        return AnalyzerOutput(measurements=tuple(found), artifacts=(artifact,) if listed else ())

    def _summary(self, table: Table, numbers: RowNumbers, rows: RowSums) -> Iterator[Measurement]:
        scope, n = table.scope, int(numbers.token.sum())
        for kind, values in (("relative", numbers.relative), ("cosine_distance", numbers.cosine)):
            defined = values[numbers.token & ~np.isnan(values)]
            for label, quantile in QUANTILES.items():
                metric = f"weight.embeddings.{kind}_{label}"
                if len(defined):
                    yield measure(metric, float(np.quantile(defined, quantile)), scope=scope, n=len(defined))
                else:
                    yield undefined(metric, "no token has a row that is not zero", scope=scope, n=0)
        untouched = int((numbers.token & (rows.delta_sq == 0)).sum())
        yield measure("weight.embeddings.untouched", untouched, scope=scope, n=n)
        if self._trained.spelling is None:
            yield undefined("weight.embeddings.padding", "there is no vocabulary", scope=scope, n=rows.trained_rows)
        else:
            padding = sum(self._trained.is_padding(i) for i in range(rows.trained_rows))
            yield measure("weight.embeddings.padding", padding, scope=scope, n=rows.trained_rows)
        yield measure("weight.embeddings.added", len(self._added(rows)), scope=scope, n=rows.trained_rows)
        yield measure("weight.embeddings.removed", len(self._removed(rows)), scope=scope, n=rows.base_rows)
        share = numbers.concentration()
        if share is None:
            yield undefined("weight.embeddings.concentration", "no token's row changed", scope=scope, n=n)
        else:
            yield measure("weight.embeddings.concentration", share, scope=scope, n=n)

    def _added(self, rows: RowSums) -> list[int]:
        """Rows of the trained model that hold a token the base has no row for."""
        old = set(rows.trained_row.tolist())
        return [row for row in range(rows.trained_rows) if row not in old and not self._trained.is_padding(row)]

    def _removed(self, rows: RowSums) -> list[int]:
        kept = set(rows.base_row.tolist())
        return [row for row in range(rows.base_rows) if row not in kept and not self._base.is_padding(row)]

    def _listed(self, table: Table, rows: RowSums, numbers: RowNumbers, movers: list[int]) -> dict[str, Any]:
        limit = self._options.added
        padding = ~numbers.token
        return {
            "module": table.scope.module,
            "width": table.width,
            "moved": [_entry(self._trained, rows, numbers, index) for index in movers],
            "added": [
                _addition(self._trained, row, table.neighbours.get(row, ())) for row in self._added(rows)[:limit]
            ],
            "removed": [{"token": self._base.text(row), "id": row} for row in self._removed(rows)[:limit]],
            "padding": {
                "compared": int(padding.sum()),
                "changed": int((padding & (rows.delta_sq > 0)).sum()),
            },
        }

    def _ties(self) -> list[Measurement]:
        if not self._tables:
            return []
        found = []
        for position, side in enumerate(("base", "trained")):
            states = {state[position] for state in self._heads.values()} - {None}
            flag = (self._configs.get(side) or {}).get("tie_word_embeddings")
            state = states.pop() if len(states) == 1 else flag if isinstance(flag, bool) and not self._heads else None
            if state is None or (state is False and not self._heads):
                reason = "no output head is stored, and the configuration ties none"
                found.append(undefined("weight.embeddings.tied", reason, subjects=(side,)))
            else:
                found.append(measure("weight.embeddings.tied", float(bool(state)), subjects=(side,), n=1))
        return found


def _moved(table: Table, numbers: RowNumbers, movers: list[int]) -> Iterator[Measurement]:
    for index in movers:
        scope = Scope(module=table.scope.module, subset=table.scope.subset, token=int(numbers.token_id[index]))
        yield measure("weight.embeddings.relative", float(numbers.relative[index]), scope=scope, n=table.width)
        if np.isnan(numbers.cosine[index]):
            reason = "the row is zero on one side"
            yield undefined("weight.embeddings.cosine_distance", reason, scope=scope, n=table.width)
        else:
            distance = float(numbers.cosine[index])
            yield measure("weight.embeddings.cosine_distance", distance, scope=scope, n=table.width)


def _entry(tokens: Tokens, rows: RowSums, numbers: RowNumbers, index: int) -> dict[str, Any]:
    cosine = float(numbers.cosine[index])
    return {
        "token": tokens.text(int(numbers.token_id[index])),
        "id": int(rows.trained_row[index]),
        "base_id": int(rows.base_row[index]),
        "relative": float(numbers.relative[index]),
        "cosine_distance": None if np.isnan(cosine) else cosine,
    }


def _addition(tokens: Tokens, row: int, neighbours: tuple[Neighbour, ...]) -> dict[str, Any]:
    near = [{"token": tokens.text(n.row), "id": n.row, "cosine": n.cosine} for n in neighbours]
    return {"token": tokens.text(row), "id": row, "nearest": near}
