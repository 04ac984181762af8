"""What became of an embedding model: analyzer `activation.embedding`, over the one `Vectors` of the encode pass.

Geometry is measured over texts that are no queries (over all where they are fewer than 20), each text once. Halves of
texts, for maps that are fitted on one and judged on the other, are by a keyed hash of their ids. Formulas:
`embedding_geometry`, `embedding_neighbours`, `embedding_retrieval`, `cka`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_activation.embedding_artifacts import artifacts
from afterburn_activation.embedding_geometry import cosine_distance, log_norm_ratio, procrustes
from afterburn_activation.embedding_numbers import described, geometry, neighbours, spread
from afterburn_activation.embedding_options import EmbeddingOptions
from afterburn_activation.embedding_queries import Retrieved, retrieval
from afterburn_activation.places import lowest
from afterburn_activation.sites import in_order, scope_of
from afterburn_core.forward.model import Vectors
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement
from afterburn_core.stats.one_side import means
from afterburn_core.stats.split import half

Floats = NDArray[np.float64]
FEWEST = 20
"""Texts below which geometry is not spoken of."""
KEY = "activation.embedding"
_NOTHING = "no text was embedded"
_MAIN = (
    "activation.embedding.settings_changed",
    "activation.embedding.distance",
    "activation.embedding.distance_aligned",
    "activation.embedding.cka",
    "activation.embedding.unrelated_similarity",
    "activation.embedding.near_duplicates",
    "activation.retrieval.ndcg",
    "activation.index.self_found",
    "activation.index.recall_change",
)


@attrs.frozen(kw_only=True, eq=False)
class Sides:
    """Vectors of the texts that geometry is measured over, each text once."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    base: Floats
    trained: Floats
    identical: bool
    """Whether both sides are equal, bit for bit, of all that was embedded."""

    @property
    def comparable(self) -> bool:
        """Whether both sides have as many dimensions."""
        return bool(self.base.shape[1] == self.trained.shape[1])

    @property
    def discover(self) -> NDArray[np.bool_]:
        """(n) bool: the texts of one half."""
        return np.array([half(name, key=KEY) == "discover" for name in self.ids])

    def few(self, most: int) -> Sides:
        """At most so many of the texts, chosen by a keyed hash."""
        if len(self.ids) <= most:
            return self
        chosen = set(lowest(self.ids, KEY, most))
        rows = [i for i, name in enumerate(self.ids) if name in chosen]
        return attrs.evolve(
            self,
            ids=tuple(self.ids[i] for i in rows),
            texts=tuple(self.texts[i] for i in rows),
            base=self.base[rows],
            trained=self.trained[rows],
        )

    @classmethod
    def of(cls, vectors: Vectors) -> Sides:
        """The texts, sorted by id, so that nothing depends on the order in which they were embedded."""
        plain = [i for i, kind in enumerate(vectors.kinds) if kind != "query"]
        chosen = plain if len(plain) >= FEWEST else range(len(vectors.ids))
        first = {vectors.texts[i]: i for i in sorted(chosen, key=lambda i: vectors.ids[i], reverse=True)}
        rows = sorted(first.values(), key=lambda i: vectors.ids[i])
        base, trained = vectors.base.double().cpu().numpy(), vectors.trained.double().cpu().numpy()
        return cls(
            ids=tuple(vectors.ids[i] for i in rows),
            texts=tuple(vectors.texts[i] for i in rows),
            base=base[rows],
            trained=trained[rows],
            identical=base.shape == trained.shape and bool(np.array_equal(base, trained)),
        )


class Embedding:
    """Analyzer `activation.embedding`."""

    def __init__(self, options: EmbeddingOptions) -> None:
        self._options = options
        self._vectors: Vectors | None = None

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def observe(self, item: Vectors) -> None:
        """Keeps the vectors: the pass hands them out once."""
        self._vectors = item

    def merge(self, other: Embedding) -> None:
        """Takes the vectors where another instance was handed them."""
        self._vectors = self._vectors or other._vectors

    def finish(self) -> AnalyzerOutput:
        """Vectors, geometry, neighbours, retrieval, index."""
        vectors = self._vectors
        if vectors is None or not vectors.ids:
            return AnalyzerOutput(measurements=tuple(undefined(metric, _NOTHING, n=0) for metric in _MAIN))
        seed, options = self._context.seed, self._options
        sides = Sides.of(vectors)
        found = [settings_changed(vectors.properties)]
        mapped = mapped_across(sides)
        distances, aligned = moved(sides, mapped, seed=seed)
        found += [*distances, *layer_distances(vectors, seed=seed)]
        small = sides.few(options.geometry_texts)
        enough = len(sides.ids) >= FEWEST
        if enough:
            found += geometry(small.ids, small.base, small.trained, identical=sides.identical)
            wide = sides.few(options.neighbour_texts)
            found += neighbours(wide.base, wide.trained, identical=sides.identical, seed=seed)
            found += spread(small, wide, bar=options.duplicate, seed=seed)
        else:
            reason = f"{len(sides.ids)} texts: geometry needs {FEWEST}"
            found += [undefined(m, reason, n=len(sides.ids)) for m in _MAIN[3:6]]
        retrieved: Retrieved = retrieval(vectors, sides, mapped, seed=seed)
        found += retrieved.measurements
        return AnalyzerOutput(
            measurements=tuple(found),
            artifacts=artifacts(
                sides,
                aligned,
                procrustes(sides.trained, sides.base),
                retrieved.rows,
                excerpts=self._context.excerpts,
                shown=options.shown,
            ),
        )


def settings_changed(properties: Mapping[str, Any]) -> Measurement:
    """How many of the facts of pooling differ between the sides, and which."""
    metric = "activation.embedding.settings_changed"
    base, trained = dict(properties.get("base") or {}), dict(properties.get("trained") or {})
    if not base or not trained:
        return undefined(metric, "how the sides pool is not known")
    skipped = {"cut_texts"}  # what came of the settings is none of them
    names = sorted(set(base) | set(trained))
    differing = [name for name in names if name not in skipped and base.get(name) != trained.get(name)]
    told = "; ".join(f"{name}: {_told(base.get(name))} against {_told(trained.get(name))}" for name in differing)
    return measure(metric, len(differing), n=len(names) - len(skipped & set(names)), reason=told or None)


def _told(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return repr(text[:60]) if isinstance(value, str) else text[:60]


def moved(sides: Sides, mapped: Floats | None, *, seed: int) -> tuple[list[Measurement], Floats | None]:
    """How far texts moved, as they are and after a map; the held-out distances after it."""
    n = len(sides.ids)
    plain, norms = "activation.embedding.distance", "activation.embedding.log_norm_ratio"
    found: list[Measurement] = []
    if sides.comparable:
        values = means(
            {"d": cosine_distance(sides.base, sides.trained), "r": log_norm_ratio(sides.base, sides.trained)}, seed=seed
        )
        found += [
            described(values["d"], plain, identical=sides.identical, low=0.0, high=2.0),
            described(values["r"], norms, identical=sides.identical),
        ]
    else:
        reason = f"{sides.base.shape[1]} against {sides.trained.shape[1]} dimensions: no text can be compared as it is"
        found += [undefined(plain, reason, n=n), undefined(norms, reason, n=n)]
    metric = "activation.embedding.distance_aligned"
    if mapped is None:
        return [*found, undefined(metric, f"{n} texts: two halves need {FEWEST}", n=n)], None
    aligned = cosine_distance(sides.base, mapped)
    fitted = n // 2
    width = min(sides.base.shape[1], sides.trained.shape[1])
    note = f"map fitted on about {fitted} texts in {width} dimensions"
    short = "; what they do not span stays unmapped" if fitted < width else ""
    contrast = attrs.evolve(means({"": aligned}, seed=seed)[""], reason=note + short)
    return [*found, described(contrast, metric, identical=sides.identical, low=0.0, high=2.0)], aligned


def mapped_across(sides: Sides) -> Floats | None:
    """Every trained vector by the map fitted on the other half of the texts, (n, d_base); `None` for too few texts."""
    discover = sides.discover
    if len(discover) < FEWEST or discover.all() or not discover.any():
        return None
    if sides.identical:
        return sides.base
    result = np.empty_like(sides.base)
    for fit in (discover, ~discover):
        result[~fit] = sides.trained[~fit] @ procrustes(sides.trained[fit], sides.base[fit])
    return result


def layer_distances(vectors: Vectors, *, seed: int) -> list[Measurement]:
    """1 − cos of mean-pooled block outputs, by block."""
    base, trained = vectors.layers.get("base", {}), vectors.layers.get("trained", {})
    first = sorted({text: i for i, text in reversed(list(enumerate(vectors.texts)))}.values())
    columns: dict[str, Floats] = {}
    same: dict[str, bool] = {}
    for site in in_order(set(base) & set(trained)):
        b, f = (side[site].double().cpu().numpy()[first] for side in (base, trained))
        if b.shape == f.shape:
            columns[site], same[site] = cosine_distance(b, f), bool(np.array_equal(b, f))
    values = means(columns, seed=seed) if columns else {}
    metric = "activation.embedding.layer_distance"
    return [
        described(values[site], metric, identical=same[site], scope=scope_of(site), low=0.0, high=2.0)
        for site in values
    ]
