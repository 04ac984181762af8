"""Runs the real forward pass over two model directories and keeps or feeds what it hands out, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from afterburn_core.forward.forward_pass import ForwardPass, ForwardRead, Rider
from afterburn_core.forward.model import Passage
from afterburn_core.generation.model import Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.plugin.specs import AnalyzerSpec
from afterburn_core.run.needs import ForwardNeed
from afterburn_core.run.progress import Silent
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import open_subject
from afterburn_core.testing.feeding import make_analyzer
from afterburn_core.testing.observing import Collector


def passages_of(texts: Sequence[str], domain: str = "test") -> tuple[Passage, ...]:
    """Plain texts as passages, each a unit of its own."""
    return tuple(
        Passage(id=f"{domain}/{number:04d}", source="text", domain=domain, unit=f"{domain}/{number:04d}", text=text)
        for number, text in enumerate(texts)
    )


def read_pair(
    base: Path | str,
    trained: Path | str,
    passages: Sequence[Passage],
    riders: Sequence[Rider],
    *,
    devices: tuple[str, ...] = ("cpu",),
    batch_tokens: int | None = None,
    seed: int = 0,
    reader: Mapping[str, Any] | None = None,
) -> ForwardRead:
    """Reads passages with a base and a trained model, named as on the command line.

    Args:
        base: the base's directory.
        trained: the trained model's, or an adapter's on this base.
        passages: what is read.
        riders: needs with instances of analyzers, as many as devices.
        devices: a reader for each.
        batch_tokens: padded tokens of a batch.
        seed: of the controls.
        reader: keywords of the backend's reader, such as a forced arrangement.
    """
    registry = Registry.discover(only=())
    left = open_subject(parse_reference(str(base)), "base", registry)
    try:
        right = open_subject(parse_reference(str(trained)), "trained", registry, base=left)
        try:
            forward = ForwardPass(
                serving=Serving(),
                template="auto",
                seed=seed,
                progress=Silent(),
                devices=devices,
                batch_tokens=batch_tokens,
                reader=reader or {},
            )
            return forward.run(left, right, passages, riders)
        finally:
            right.close()
    finally:
        left.close()


def forward_items(
    base: Path | str, trained: Path | str, texts: Sequence[str] | Sequence[Passage], need: ForwardNeed, **how: Any
) -> list[Any]:
    """Every observation of a need, kept: of small models and few texts, whose tensors outlive the pass.

    Keywords as of `read_pair`.
    """
    collector = Collector()
    read_pair(base, trained, _passages(texts), [Rider(need=need, instances=[collector])], **how)
    return collector.items


def analyze_forward(
    spec: AnalyzerSpec, base: Path | str, trained: Path | str, texts: Sequence[str] | Sequence[Passage], **how: Any
) -> AnalyzerOutput:
    """What an analyzer with default options finds in a pass over these texts. Keywords as of `read_pair`."""
    need = next(need for need in spec.needs if isinstance(need, ForwardNeed))
    instances = [make_analyzer(spec) for _ in how.get("devices", ("cpu",))]
    read_pair(base, trained, _passages(texts), [Rider(need=need, instances=instances)], **how)
    first, *others = instances
    for other in others:
        first.merge(other)
    return first.finish()


def _passages(texts: Sequence[str] | Sequence[Passage]) -> tuple[Passage, ...]:
    if texts and isinstance(texts[0], Passage):
        return tuple(text for text in texts if isinstance(text, Passage))
    return passages_of([str(text) for text in texts])
