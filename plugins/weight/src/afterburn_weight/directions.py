"""Directions of change in the residual stream: top singular vectors of what writes into it and of what reads from it.

A matrix of shape (outputs, inputs) writes into the stream when its outputs are the stream's (attention output, MLP
down): the direction is the top **left** singular vector of Δ. It reads from it when its inputs are (query, key, value,
gate, up, output head): the top **right** one. Rows of the input embedding are written into the stream: the right one.
Vectors are compared within one stack, and within writers or readers; how the two lie to one another is a number of its
own. `coherence` holds the formulas, `readout` the nearest tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.seeds import child_seed
from afterburn_weight.attention import attention_prefix, is_cross
from afterburn_weight.coherence import (
    coherence,
    common_direction,
    cross_cosine,
    expected_coherence,
    expected_cosine,
    oriented,
)
from afterburn_weight.gains import Config, configurations, stack_config
from afterburn_weight.options import DirectionOptions
from afterburn_weight.readout import Readout
from afterburn_weight.tokens import read_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ARTIFACT = "weight.directions"
TOKENS_ARTIFACT = "weight.directions.tokens"
FORMAT = 1
"""Version of the artifact's layout."""
MANY, FEWER = 128, 199
"""Directions beyond which fewer random sets are drawn, and how many: each costs the eigenvalues of that order."""
LIMIT = 512
"""Most directions of a group that are compared with one another."""
Space = Literal["writers", "readers"]
_WRITERS = frozenset({"o", "down", "embed"})
_READERS = frozenset({"q", "k", "v", "qkv", "gate", "up", "gate_up", "router", "head"})
# projections whose input is not the residual stream: the inner side of low-rank attention
_INNER = ("q_b_proj", "kv_b_proj")


@attrs.frozen(kw_only=True, eq=False)
class Direction:
    """The leading direction of one matrix's change, in its residual stream."""

    scope: Scope
    space: Space
    side: Literal["left", "right"]
    vector: Array  # (d,)
    sigma: float
    second: float
    square: float
    approximate: bool

    @property
    def share(self) -> float:
        return min(self.sigma**2 / self.square, 1.0)

    @property
    def key(self) -> str:
        return f"{self.scope.tensor}.{self.side}"


class Directions:
    """Analyzer `weight.directions`."""

    def __init__(self, options: DirectionOptions | None = None) -> None:
        self._options = options or DirectionOptions()
        self._found: dict[str, Direction] = {}
        self._seen = False

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the widths of the streams and reads the vocabulary."""
        self._configs: Mapping[str, Config | None] = configurations(context.documents)
        self._seed = context.seed
        vocabulary = context.documents("trained", "vocabulary") or context.documents("base", "vocabulary")
        tokens = read_tokens(vocabulary, excerpts=context.excerpts)
        self._readout = Readout(tokens=tokens, config=self._configs["trained"], wanted=self._options.tokens > 0)

    def observe(self, item: WeightPair) -> None:
        """Keeps one vector per matrix; the output head, or what is tied to it, is kept for the readout."""
        self._seen = True
        self._readout.observe(item)
        placed = self._place(item)
        if placed is None or item.spectra is None or item.sums is None or item.sums.delta_sq == 0:
            return
        space, side = placed
        delta = item.spectra.delta
        vectors = delta.left if side == "left" else delta.right
        if vectors is None or not vectors.shape[1] or len(delta.values) == 0 or delta.values[0] == 0:
            return
        vector = vectors[:, 0].astype(np.float64)
        if self._width(item.scope.subset) not in {None, len(vector)}:
            return
        self._found[item.name] = Direction(
            scope=item.scope,
            space=space,
            side=side,
            vector=oriented(vector / np.linalg.norm(vector)),
            sigma=float(delta.values[0]),
            second=float(delta.values[1]) if len(delta.values) > 1 else 0.0,
            square=max(delta.square, float(delta.values[0]) ** 2),
            approximate=delta.approximate,
        )

    def merge(self, other: Directions) -> None:
        """Takes in matrices that another instance observed."""
        self._found.update(other._found)
        self._readout.merge(other._readout)
        self._seen = self._seen or other._seen

    def finish(self) -> AnalyzerOutput:
        """Shares per matrix, coherence per stream, the vectors and their nearest tokens."""
        found = [self._found[name] for name in sorted(self._found)]
        measured: list[Measurement] = [
            attrs.evolve(
                measure("weight.directions.share", d.share, scope=d.scope, n=len(d.vector)), approximate=d.approximate
            )
            for d in found
        ]
        groups = _groups(found)
        if self._seen:
            for subset, space in sorted({*groups, (None, "writers"), (None, "readers")}, key=str):
                measured += self._coherence(_label(subset, space), groups.get((subset, space), []))
        for subset in sorted({subset for subset, _ in groups}, key=str):
            measured += self._cross(subset, groups.get((subset, "writers"), []), groups.get((subset, "readers"), []))
        if not found:
            return AnalyzerOutput(measurements=tuple(measured))
        artifacts = [_vectors(found, groups)]
        texts = self._texts(found, groups)
        if texts is not None:
            artifacts.append(texts)
        return AnalyzerOutput(measurements=tuple(measured), artifacts=tuple(artifacts))

    def _place(self, item: WeightPair) -> tuple[Space, Literal["left", "right"]] | None:
        """Whether a matrix writes or reads, and on which side of it the stream lies."""
        kind = item.scope.module
        name = item.name.removesuffix(".weight")
        if name.endswith(_INNER) or item.name.endswith("bias") or kind not in _WRITERS | _READERS:
            return None
        prefix = attention_prefix(item.name)
        if prefix is not None and is_cross(prefix) and kind in {"k", "v"}:
            return None  # they read another stack's output
        if kind in {"embed", "head"}:
            return ("writers" if kind == "embed" else "readers"), "right"
        return ("writers", "left") if kind in _WRITERS else ("readers", "right")

    def _width(self, subset: str | None) -> int | None:
        config = self._configs["base"]
        stack = stack_config(config, subset) if config is not None else {}
        width = next((stack[key] for key in ("hidden_size", "d_model", "n_embd", "dim") if key in stack), None)
        return width if type(width) is int else None

    def _coherence(self, label: str, members: Sequence[Direction]) -> Iterator[Measurement]:
        scope, n = Scope(subset=label), min(len(members), LIMIT)
        if n < 2:
            for metric in ("coherence", "mean_cosine"):
                reason = f"{n} of the matrices changed, and it takes two"
                yield undefined(f"weight.directions.{metric}", reason, scope=scope, n=n)
            return
        draws = self._options.draws if n <= MANY else min(self._options.draws, FEWER)
        result = coherence(_stacked(members), draws=draws, seed=child_seed(self._seed, label))
        d = result.dimensions
        yield attrs.evolve(
            measure("weight.directions.coherence", result.value, scope=scope, n=n), null=result.value_null
        )
        yield measure("weight.directions.coherence_expected", expected_coherence(n, d), scope=scope, n=n)
        yield attrs.evolve(
            measure("weight.directions.mean_cosine", result.cosine, scope=scope, n=n), null=result.cosine_null
        )
        yield measure("weight.directions.mean_cosine_expected", expected_cosine(d), scope=scope, n=n)

    def _cross(
        self, subset: str | None, writers: Sequence[Direction], readers: Sequence[Direction]
    ) -> Iterator[Measurement]:
        if not writers or not readers:
            return
        value, null = cross_cosine(
            _stacked(writers), _stacked(readers), draws=min(self._options.draws, FEWER), seed=self._seed
        )
        metric, n = "weight.directions.writer_reader_cosine", min(len(writers), LIMIT) * min(len(readers), LIMIT)
        yield attrs.evolve(measure(metric, min(value, 1.0), scope=Scope(subset=subset), n=n), null=null)

    def _texts(
        self, found: Sequence[Direction], groups: Mapping[tuple[str | None, Space], list[Direction]]
    ) -> ArtifactPayload | None:
        """The nearest tokens of the strongest writers of the stack that the output head reads."""
        writers = sorted((d for d in found if d.space == "writers"), key=lambda d: (-d.sigma, d.key))
        width = self._readout.width
        chosen = [d for d in writers if len(d.vector) == width and d.scope.subset in {None, "decoder"}]
        chosen = chosen[: self._options.read_out]
        rows: list[dict[str, Any]] = [
            {
                "tensor": d.scope.tensor,
                "layer": d.scope.layer,
                "kind": d.scope.module,
                "sigma": d.sigma,
                "share": d.share,
            }
            for d in chosen
        ]
        vectors = [d.vector for d in chosen]
        for (subset, space), members in groups.items():
            if (
                space == "writers"
                and subset in {None, "decoder"}
                and len(members) > 1
                and width == len(members[0].vector)
            ):
                label = f"common direction of {_label(subset, space)}"
                rows.append({"tensor": label, "layer": None, "kind": "common", "sigma": None, "share": None})
                vectors.append(common_direction(_stacked(members)))
        if not vectors:
            return None
        nearest = self._readout.nearest(np.stack(vectors), self._options.tokens)
        if nearest is None:
            return None
        for row, (plus, minus) in zip(rows, nearest, strict=True):
            row |= {"tokens_plus": plus, "tokens_minus": minus}
        content = {"note": "readout, not proof", "head": self._readout.source, "directions": rows}
        return ArtifactPayload(
            id=TOKENS_ARTIFACT,
            suffix=".json",
            media_type="application/json",
            summary="Nearest tokens of the directions written into the residual stream: a readout, not proof",
            content=json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False).encode(),
        )


def _groups(found: Sequence[Direction]) -> dict[tuple[str | None, Space], list[Direction]]:
    """Directions of one stack and space; where widths differ, those of the commonest width."""
    groups: dict[tuple[str | None, Space], list[Direction]] = {}
    for direction in found:
        groups.setdefault((direction.scope.subset, direction.space), []).append(direction)
    widths: dict[str | None, int] = {}
    for subset in {subset for subset, _ in groups}:
        lengths = [len(d.vector) for d in found if d.scope.subset == subset]
        widths[subset] = max(sorted(set(lengths)), key=lengths.count)
    kept = {key: [d for d in members if len(d.vector) == widths[key[0]]] for key, members in groups.items()}
    return {key: kept[key] for key in sorted(kept, key=str) if kept[key]}


def _label(subset: str | None, space: Space) -> str:
    return space if subset is None else f"{subset}.{space}"


def _stacked(members: Sequence[Direction]) -> Array:
    """The vectors as rows, (N, d); of very many, as experts are, those with the largest σ."""
    strongest = sorted(members, key=lambda member: (-member.sigma, member.key))[:LIMIT]
    return np.stack([member.vector for member in sorted(strongest, key=lambda member: member.key)])


def _vectors(found: Sequence[Direction], groups: Mapping[tuple[str | None, Space], list[Direction]]) -> ArtifactPayload:
    """All vectors as safetensors; docs/directions.md describes the layout."""
    from safetensors.numpy import save

    arrays = {d.key: d.vector.astype(np.float32) for d in found}
    entries: dict[str, Any] = {
        d.key: {
            "tensor": d.scope.tensor,
            "layer": d.scope.layer,
            "kind": d.scope.module,
            "stack": d.scope.subset,
            "space": d.space,
            "sigma": d.sigma,
            "second_sigma": d.second,
            "share": d.share,
            "approximate": d.approximate,
        }
        for d in found
    }
    for (subset, space), members in groups.items():
        if len(members) > 1:
            key = f"common.{_label(subset, space)}"
            arrays[key] = common_direction(_stacked(members)).astype(np.float32)
            entries[key] = {"stack": subset, "space": space, "kind": "common", "members": len(members)}
    # one entry: with several the format's library writes them in an order that changes from call to call
    metadata = {"afterburn.directions": json.dumps({"version": FORMAT, "directions": entries}, sort_keys=True)}
    return ArtifactPayload(
        id=ARTIFACT,
        suffix=".safetensors",
        media_type="application/vnd.safetensors",
        summary="Unit vectors in the residual stream along which matrices changed most, with what each stands for",
        content=save(arrays, metadata=metadata),
    )
