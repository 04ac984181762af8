"""Hands observations of a tiny pair to an analyzer in any order and division, and compares what it found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.plugin.registry import build_options, load_factory
from afterburn_core.plugin.roles import Analyzer, AnalyzerContext, AnalyzerOutput
from afterburn_core.plugin.specs import AnalyzerSpec
from afterburn_core.result.model import Measurement, Subject
from afterburn_core.run.needs import DocumentsNeed, FactorsNeed, WeightsNeed
from afterburn_core.run.observations import DocumentPair, FactorItem, WeightPair
from afterburn_core.testing.checkpoints import llama_config, word_tokenizer
from afterburn_core.testing.observing import document_pairs, factor_items, weight_pairs
from afterburn_core.testing.pairs import Pair

SEED = 20_240_229
"""Seed of the context that analyzers are given, unless a check varies it."""


def observations(
    spec: AnalyzerSpec,
    weights: Iterable[WeightPair],
    documents: Iterable[DocumentPair],
    factors: Iterable[FactorItem] = (),
) -> tuple[Any, ...]:
    """What the passes would hand to this analyzer: documents, factors, then tensors, and no more than it asked for."""
    found: list[Any] = []
    for need in spec.needs:
        if isinstance(need, DocumentsNeed):
            found += [document for document in documents if document.name in need.documents]
        if isinstance(need, FactorsNeed):
            found += factors
        if isinstance(need, WeightsNeed):
            found += [_restricted(item, need) for item in weights]
    return tuple(found)


def _restricted(item: WeightPair, need: WeightsNeed) -> WeightPair:
    """The observation without the quantities that the need does not list."""
    if "tensors" not in need.quantities:
        item = attrs.evolve(item, read_values=None, read_side=None)
    if "sums" not in need.quantities:
        item = attrs.evolve(item, sums=None)
    if "rows" not in need.quantities:
        item = attrs.evolve(item, rows=None)
    if "spectra" not in need.quantities:
        item = attrs.evolve(item, spectra=None)
    return item


def analyze_pair(spec: AnalyzerSpec, pair: Pair) -> AnalyzerOutput:
    """What an analyzer with default options makes of a pair of model directories."""
    return analyze(spec, observations(spec, weight_pairs(pair), document_pairs(pair), factor_items(pair)))


def make_analyzer(
    spec: AnalyzerSpec,
    *,
    seed: int = SEED,
    subjects: tuple[Subject, ...] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Analyzer:
    """A fresh analyzer, begun; with default options where none are given."""
    analyzer: Analyzer = load_factory(spec.factory)(build_options(spec.options, options or {}, spec.name))
    analyzer.begin(AnalyzerContext(subjects=subjects or SUBJECTS, seed=seed, documents=tiny_document))
    return analyzer


def tiny_document(role: str, name: str) -> Mapping[str, Any] | None:
    """The configuration and vocabulary of the tiny checkpoints, whichever side is asked for; no other document."""
    return {
        "config": llama_config(layers=2, hidden=16, vocab=48, dtype="bfloat16"),
        "vocabulary": word_tokenizer(48)["model"]["vocab"],
    }.get(name)


def analyze(spec: AnalyzerSpec, items: Iterable[Any], *, seed: int = SEED) -> AnalyzerOutput:
    """What one analyzer finds that sees every item, in this order."""
    return analyze_in_parts(spec, (tuple(items),), seed=seed)


def analyze_in_parts(spec: AnalyzerSpec, parts: Sequence[Sequence[Any]], *, seed: int = SEED) -> AnalyzerOutput:
    """What is found by one analyzer per part, the later ones merged into the first in order."""
    analyzers = [make_analyzer(spec, seed=seed) for _ in parts]
    for analyzer, part in zip(analyzers, parts, strict=True):
        for item in part:
            analyzer.observe(item)
    first, *others = analyzers
    for other in others:
        first.merge(other)
    return first.finish()


def first_difference(left: AnalyzerOutput, right: AnalyzerOutput) -> str | None:
    """The first thing two outputs disagree on, in words, or `None`. The order of measurements does not count."""
    ours, theirs = by_id(left.measurements), by_id(right.measurements)
    for identifier in sorted(ours.keys() | theirs.keys()):
        if identifier not in ours or identifier not in theirs:
            return f"{identifier} is only in the {'first' if identifier in ours else 'second'}"
        if ours[identifier] != theirs[identifier]:
            one, other = _shown(ours[identifier]), _shown(theirs[identifier])
            return f"{identifier} is {one} in the first and {other} in the second"
    if len(left.measurements) != len(right.measurements):
        return f"{len(left.measurements)} measurements in the first and {len(right.measurements)} in the second"
    files = {artifact.id: artifact for artifact in left.artifacts}
    others = {artifact.id: artifact for artifact in right.artifacts}
    for identifier in sorted(files.keys() | others.keys()):
        if files.get(identifier) != others.get(identifier):
            return f"artifact {identifier} differs"
    if sorted(map(repr, left.notifications)) != sorted(map(repr, right.notifications)):
        return "notifications differ"
    return None


def by_id(measurements: Iterable[Measurement]) -> dict[str, Measurement]:
    """Measurements by their ids."""
    return {measurement.id: measurement for measurement in measurements}


def _shown(measurement: Measurement) -> str:
    if measurement.value is None:
        return f"undefined ({measurement.reason})"
    if math.isfinite(measurement.value):
        return repr(measurement.value)
    return "not finite"


def _subject(role: Any) -> Subject:
    return Subject(id=role, role=role, kind="checkpoint", label=role, digest="0" * 64, backend="core.checkpoint")


SUBJECTS = (_subject("base"), _subject("trained"))
"""The subjects of a tiny pair, as analyzers and detectors see them."""
