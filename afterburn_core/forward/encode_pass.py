"""The encode pass: both embedding models make vectors of the same texts, one model in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import attrs

from afterburn_core.forward.model import Vectors
from afterburn_core.forward.reading import Encodes
from afterburn_core.generation.model import Serving
from afterburn_core.probes.model import Probe
from afterburn_core.run.heap import kept_heap
from afterburn_core.run.progress import Progress
from afterburn_core.run.subjects import OpenSubject

Kind = Literal["query", "document", "text"]


@attrs.frozen(kw_only=True)
class Encoded:
    """What the pass hands on."""

    vectors: Vectors | None
    """`None` after an interruption."""
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    stopped: str | None = None


def encode_pass(
    base: OpenSubject,
    trained: OpenSubject,
    probes: Sequence[Probe],
    *,
    serving: Serving,
    layers: bool,
    progress: Progress,
) -> Encoded:
    """Vectors of every text by both models.

    A probe's `kind` property says what a text is: `query`, `document`, or any other text; `relevant` of a query names
    the documents that answer it with their grades.

    Raises:
        SubjectError: a model cannot be loaded.
    """
    texts = [probe.text for probe in probes]
    kinds = tuple(_kind(probe) for probe in probes)
    sides: dict[str, Any] = {}
    try:
        with kept_heap():
            for role, subject in (("base", base), ("trained", trained)):
                sides[role] = cast("Encodes", subject).vectors(
                    texts, kinds, serving=serving, layers=layers, progress=progress
                )
    except KeyboardInterrupt:
        return Encoded(vectors=None, stopped="stopped by the user while texts were embedded; run again to go on")
    properties = {role: dict(side[2]) for role, side in sides.items()}
    vectors = Vectors(
        texts=tuple(texts),
        ids=tuple(probe.id for probe in probes),
        kinds=kinds,
        relevant={
            probe.id: {str(name): float(grade) for name, grade in dict(probe.properties["relevant"]).items()}
            for probe in probes
            if probe.properties.get("relevant")
        },
        base=sides["base"][0],
        trained=sides["trained"][0],
        layers={role: side[1] for role, side in sides.items()},
        properties=properties,
    )
    return Encoded(vectors=vectors, properties=properties)


def _kind(probe: Probe) -> Kind:
    kind = probe.properties.get("kind")
    return kind if kind in {"query", "document"} else "text"
