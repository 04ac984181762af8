"""Runs the real passes over a tiny pair and keeps what they hand out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.tensors import TensorInfo
from afterburn_core.plugin.registry import Registry
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.run.needs import DOCUMENTS
from afterburn_core.run.observations import DocumentPair, FactorItem, WeightPair
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import OpenSubject, open_subject
from afterburn_core.testing.pairs import Pair

if TYPE_CHECKING:
    import torch


@attrs.define
class Collector:
    """An analyzer that keeps every observation."""

    items: list[Any] = attrs.field(factory=list)

    def begin(self, context: AnalyzerContext) -> None:
        pass

    def observe(self, item: Any) -> None:
        self.items.append(item)

    def merge(self, other: Collector) -> None:
        self.items.extend(other.items)

    def finish(self) -> AnalyzerOutput:
        return AnalyzerOutput()


def weight_pairs(pair: Pair) -> tuple[WeightPair, ...]:
    """Every tensor of the pair with all that a need can list, sorted by name; the files are closed again."""
    from afterburn_core.run.align import Side, align
    from afterburn_core.run.executor import LocalExecutor
    from afterburn_core.run.tensor_work import Spectral
    from afterburn_core.run.weights_pass import WeightsPass

    def side(subject: OpenSubject) -> Side:
        source = subject.weights()
        return Side(
            tensors=source.tensors,
            aliases=source.aliases,
            tied=bool(subject.facts.properties.get("tied", False)),
            vocabulary=lambda: subject.documents()["vocabulary"],
        )

    with _opened(pair) as (base, trained):
        collector = Collector()
        WeightsPass(
            base.weights(),
            trained.weights(),
            align(side(base), side(trained)),
            executor=LocalExecutor(1),
            analyzers=((collector,),),
            with_values=True,
            with_rows=True,
            spectral=Spectral(precision="float64", vectors=True, trained=trained.weights(), max_order=1 << 12),
        ).run()
        return tuple(sorted(map(_detached, collector.items), key=lambda item: item.name))


def factor_items(pair: Pair) -> tuple[FactorItem, ...]:
    """What the factors pass hands out, with everything read; nothing where the trained side is no adapter."""
    with _opened(pair) as (_, trained):
        offered = getattr(trained.weights(), "factor_items", None)
        return () if offered is None else tuple(_read(item) for item in offered())


def document_pairs(pair: Pair) -> tuple[DocumentPair, ...]:
    """Every kind of document of the pair."""
    with _opened(pair) as (base, trained):
        left, right = base.documents(), trained.documents()
        return tuple(DocumentPair(name=name, base=left.get(name), trained=right.get(name)) for name in DOCUMENTS)


@contextmanager
def _opened(pair: Pair) -> Iterator[tuple[OpenSubject, OpenSubject]]:
    registry = Registry.discover(only=())
    base = open_subject(parse_reference(str(pair.base)), "base", registry)
    try:
        trained = open_subject(parse_reference(str(pair.trained)), "trained", registry, base=base)
        try:
            yield base, trained
        finally:
            trained.close()
    finally:
        base.close()


def _detached(item: WeightPair) -> WeightPair:
    """The same observation with its values read already, so that it outlives the files."""
    if item.read_values is None:
        return item
    sides = {
        "base": item.side("base", 0, _rows(item.base)),
        "trained": item.side("trained", 0, _rows(item.trained)),
    }
    return attrs.evolve(
        item,
        read_values=_copies(*item.values()),
        read_side=lambda role, start, stop: sides[role][start:stop].copy(),
    )


def _read(item: FactorItem) -> FactorItem:
    """The same observation with its factors read already."""
    matrix = item.read_matrix() if item.read_matrix else None
    gain = item.read_gain() if item.read_gain else None
    return attrs.evolve(
        item,
        read_matrix=None if matrix is None else lambda: matrix,
        read_gain=None if gain is None else gain.copy,
    )


def _rows(info: TensorInfo | None) -> int:
    return info.shape[0] if info is not None and info.shape else 1


def _copies(base: torch.Tensor, trained: torch.Tensor) -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
    return lambda: (base.clone(), trained.clone())
