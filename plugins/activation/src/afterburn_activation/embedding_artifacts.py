"""What a view of embeddings needs.

`activation.embedding_map` (safetensors): `rotation` (d_trained, d_base) float32, the orthogonal map that takes trained
vectors nearest to the base's, fitted on all texts that geometry was measured over.

`activation.embedding_texts` (JSON): `moved`, the texts whose vectors moved most after that kind of map (held out), each
with `id`, `text`, `distance`; `plane`, at most 300 texts as `id`, `base` [x, y], `trained` [x, y], coordinates on the
two leading principal directions of the base's vectors, the trained ones mapped; `explained`, their shares of variance.

`activation.embedding_retrieval` (JSON): `queries`, those that lost most first: `query`, `text`, `relevant` ids,
`rank_base`, `rank_trained`, `rank_old_index_mapped`, `ndcg_base`, `ndcg_trained`, `top_base`, `top_trained` with their
texts; `histogram`, how many queries have their best document at rank 1, 2–3, 4–10, 11–100, beyond, on each side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.result.excerpts import withhold

if TYPE_CHECKING:
    from afterburn_activation.embedding import Sides

Floats = NDArray[np.float64]
PLANE = 300
LONGEST = 400
_EDGES = (1, 3, 10, 100)
_TEXTS = ("text", "top_base_text", "top_trained_text")


def artifacts(
    sides: Sides,
    aligned: Floats | None,
    rotation: Floats,
    rows: Sequence[Mapping[str, Any]],
    *,
    excerpts: bool,
    shown: int,
) -> tuple[ArtifactPayload, ...]:
    """The artifacts; those without content are left out."""
    found = [_map(rotation), _texts(sides, aligned, rotation, excerpts=excerpts, shown=shown)]
    if rows:
        kept = [
            {name: _shown(value, excerpts) if name in _TEXTS else value for name, value in row.items()}
            for row in rows[:shown]
        ]
        ranks = {side: [int(row[f"rank_{side}"]) for row in rows] for side in ("base", "trained")}
        content = {
            "queries": kept,
            "total": len(rows),
            "histogram": {
                "edges": list(_EDGES),
                **{
                    side: np.bincount(np.searchsorted(_EDGES, values), minlength=5).tolist()
                    for side, values in ranks.items()
                },
            },
        }
        found.append(
            _json("retrieval", "Queries with the ranks of their documents on both sides, worst first", content)
        )
    return tuple(found)


def _map(rotation: Floats) -> ArtifactPayload:
    from safetensors.numpy import save

    return ArtifactPayload(
        id="activation.embedding_map",
        suffix=".safetensors",
        media_type="application/octet-stream",
        summary="The orthogonal map from trained vectors to the base's: rotation (d_trained, d_base)",
        content=save({"rotation": np.ascontiguousarray(rotation, dtype=np.float32)}),
    )


def _texts(sides: Sides, aligned: Floats | None, rotation: Floats, *, excerpts: bool, shown: int) -> ArtifactPayload:
    distance = np.zeros(len(sides.ids)) if aligned is None else np.nan_to_num(aligned)
    worst = [i for i in np.argsort(-distance, kind="stable")[:shown] if distance[i] > 0]
    few = sides.few(PLANE)
    centre = few.base.mean(axis=0)
    _, spread, axes = np.linalg.svd(few.base - centre, full_matrices=False)
    plane = axes[:2].T  # (d, 2), or fewer
    points = {"base": (few.base - centre) @ plane, "trained": (few.trained @ rotation - centre) @ plane}
    total = float((spread**2).sum())
    content = {
        "moved": [
            {"id": sides.ids[i], "text": _shown(sides.texts[i], excerpts), "distance": float(distance[i])}
            for i in worst
        ],
        "plane": [
            {"id": name, "base": _point(points["base"][i]), "trained": _point(points["trained"][i])}
            for i, name in enumerate(few.ids)
        ],
        "explained": [float(s**2) / total for s in spread[:2]] if total > 0 else [],
    }
    return _json("texts", "Texts whose vectors moved most, and all of them in the plane of the base", content)


def _json(thing: str, summary: str, content: Mapping[str, Any]) -> ArtifactPayload:
    return ArtifactPayload(
        id=f"activation.embedding_{thing}",
        suffix=".json",
        media_type="application/json",
        summary=summary,
        content=json.dumps(content, ensure_ascii=False, sort_keys=True).encode(),
    )


def _point(row: Floats) -> list[float]:
    return [round(float(value), 6) for value in row]


def _shown(text: str, excerpts: bool) -> str:
    if not excerpts:
        return withhold(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
