"""What an analyzer asks for. Needs are declared in specs and merged by the planner into the fewest passes.

This module is imported by every plugin's entry point, so it stays free of torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import attrs

Capability = Literal["weights", "lora", "documents", "forward", "logits", "encode", "generate", "steer"]
PassKind = Literal["documents", "factors", "weights", "series", "generation", "forward", "encode", "live"]
WeightQuantity = Literal["sums", "rows", "tensors", "spectra", "vectors"]
SeriesQuantity = Literal["steps", "tasks", "signs", "subspaces"]
Logits = Literal["none", "scores", "vocabulary"]
Source = Literal["text", "prompt", "answer", "continuation", "given"]
ControlKind = Literal["matched", "scrambled", "rounding"]
"""Nulls that are made of the pair itself: other weights in the place of the trained model's, or of the base's."""
Preset = Literal["quick", "standard", "full"]
PRESETS: tuple[Preset, ...] = ("quick", "standard", "full")
"""How much a run measures, least first. An analyzer takes part from the preset its spec names."""

LOGITS: tuple[Logits, ...] = ("none", "scores", "vocabulary")
"""What of the output distribution is wanted, least first."""

DOCUMENTS = ("config", "generation_config", "tokenizer", "chat_template", "vocabulary")


@attrs.frozen(kw_only=True)
class Drawn:
    """A null of the pair that the user asked for, to be evaluated in the trained model's place."""

    id: str
    """Of the subject: `control:matched:3`."""
    kind: ControlKind
    seed: int


@attrs.frozen(kw_only=True)
class DocumentsNeed:
    """Parsed configuration, tokenizer and template files of both subjects: one `DocumentPair` each."""

    kind: ClassVar[PassKind] = "documents"
    capability: ClassVar[Capability] = "documents"
    documents: tuple[str, ...] = DOCUMENTS


@attrs.frozen(kw_only=True)
class WeightsNeed:
    """The streamed comparison of all tensors: one `WeightPair` each.

    - `sums`: the float64 sums every norm is made of, computed once and shared by all analyzers.
    - `rows`: the same sums by row for tensors whose rows are tokens (`WeightPair.rows`).
    - `spectra`: singular values of W, W' and Δ of every matrix (`WeightPair.spectra`).
    - `vectors`: their top singular vectors as well.
    - `tensors`: the analyzer also reads the values (`WeightPair.values()`), which rules out serving the pair from the
      cache without opening the files.
    """

    kind: ClassVar[PassKind] = "weights"
    capability: ClassVar[Capability] = "weights"
    quantities: tuple[WeightQuantity, ...] = ("sums",)


@attrs.frozen(kw_only=True)
class FactorsNeed:
    """What an adapter holds for each module, without its base: one `FactorItem` each.

    Asked of the trained model alone. Where that is no adapter, analyzers with this need are skipped as not applicable.
    """

    kind: ClassVar[PassKind] = "factors"
    capability: ClassVar[Capability] = "lora"


@attrs.frozen(kw_only=True)
class SeriesNeed:
    """The streamed comparison of one base with several trained models: one `WeightSeries` per tensor.

    A comparison of one pair does not offer it; there, analyzers with this need are skipped as not applicable.

    - `tasks`: Gram matrix of the differences to the base.
    - `steps`: Gram matrix of the differences from each model to the next.
    - `signs`: counts of equal signs of the differences.
    - `subspaces`: overlaps of the leading singular subspaces of the differences.
    """

    kind: ClassVar[PassKind] = "series"
    capability: ClassVar[Capability] = "weights"
    of: Literal["checkpoint", "trained"]
    """Role of the models: steps of one training run in their order, or candidates side by side."""
    quantities: tuple[SeriesQuantity, ...] = ("tasks",)
    top: int = 8
    """Leading singular directions of each matrix."""


@attrs.frozen(kw_only=True)
class GenerationNeed:
    """What both models write to the run's probes: one `Responses` per probe.

    - `probe_sets`: sets that this analyzer needs asked besides those that the user chose, by name.
    - `asked_from`: least preset in which they are asked; under a lesser one it measures what the user's sets offer.
    - `choices`: for multiple-choice probes, the log-probability of every option's label as the first token.
    - `judge`: a third model that compares answers; without one, the analyzer is skipped as not applicable.
    """

    kind: ClassVar[PassKind] = "generation"
    capability: ClassVar[Capability] = "generate"
    probe_sets: tuple[str, ...] = ()
    asked_from: Preset = "quick"
    choices: bool = False
    judge: bool = False

    def asks(self, preset: Preset) -> tuple[str, ...]:
        """The sets to ask in a run of this preset."""
        return self.probe_sets if PRESETS.index(preset) >= PRESETS.index(self.asked_from) else ()


@attrs.frozen(kw_only=True)
class ForwardNeed:
    """Passages read by both models: `LogitChunk`s (for `vocabulary`) and one `ForwardBatch` per batch.

    - `sources`: which passages it can use. Passages of a source that nobody asks for are not read.
    - `logits`: `scores` are the numbers of `TokenScores`; `vocabulary` also hands out the log-probabilities.
    - `sites`: activations wanted, `*` for every block and `last` for the last one: `blocks.*.out`, `blocks.last.out`,
      `embed`, `final_norm`.
    - `readout`: the trained model's final norm and head are at hand (`ForwardBatch.readout`).
    - `controls`: nulls that are read beside the pair where the trained model allows it, one of each kind.
    - `passage_sets`: sets of given passages (`ProbeSetSpec.use`) that this analyzer needs read besides those that the
      user chose, by name; they come as passages of the source `given`.
    """

    kind: ClassVar[PassKind] = "forward"
    sources: tuple[Source, ...] = ("text",)
    logits: Logits = "none"
    sites: tuple[str, ...] = ()
    controls: tuple[ControlKind, ...] = ()
    passage_sets: tuple[str, ...] = ()
    readout: bool = False

    @property
    def capability(self) -> Capability:
        return "forward" if self.logits == "none" else "logits"


@attrs.frozen(kw_only=True)
class EncodeNeed:
    """Vectors of the same texts by both embedding models: one `Vectors`.

    - `layers`: mean-pooled block outputs as well.
    - `passage_sets`: sets of passages, perhaps with queries, that this analyzer needs embedded besides the run's texts.
    """

    kind: ClassVar[PassKind] = "encode"
    capability: ClassVar[Capability] = "encode"
    layers: bool = False
    passage_sets: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class LiveNeed:
    """Both models in memory to be asked, blended and steered: one `Live`, after every other pass."""

    kind: ClassVar[PassKind] = "live"
    capability: ClassVar[Capability] = "steer"


Need = DocumentsNeed | FactorsNeed | WeightsNeed | SeriesNeed | GenerationNeed | ForwardNeed | EncodeNeed | LiveNeed


def merge_needs(needs: Iterable[Need]) -> dict[PassKind, Need]:
    """The union of all needs of a kind, by kind, in the order passes run; independent of the order given."""
    needs = tuple(needs)
    merged: dict[PassKind, Need] = {}
    documents = {d for need in needs if isinstance(need, DocumentsNeed) for d in need.documents}
    if documents:
        merged["documents"] = DocumentsNeed(documents=tuple(sorted(documents)))
    if any(isinstance(need, FactorsNeed) for need in needs):
        merged["factors"] = FactorsNeed()
    quantities = {q for need in needs if isinstance(need, WeightsNeed) for q in need.quantities}
    if quantities:
        merged["weights"] = WeightsNeed(quantities=tuple(sorted(quantities)))
    generation = [need for need in needs if isinstance(need, GenerationNeed)]
    if generation:
        merged["generation"] = GenerationNeed(
            probe_sets=tuple(sorted({name for need in generation for name in need.probe_sets})),
            choices=any(need.choices for need in generation),
            judge=any(need.judge for need in generation),
        )
    forward = [need for need in needs if isinstance(need, ForwardNeed)]
    if forward:
        merged["forward"] = ForwardNeed(
            sources=tuple(sorted({source for need in forward for source in need.sources})),
            logits=max((need.logits for need in forward), key=LOGITS.index),
            sites=tuple(sorted({site for need in forward for site in need.sites})),
            controls=tuple(sorted({kind for need in forward for kind in need.controls})),
            passage_sets=tuple(sorted({name for need in forward for name in need.passage_sets})),
            readout=any(need.readout for need in forward),
        )
    encode = [need for need in needs if isinstance(need, EncodeNeed)]
    if encode:
        merged["encode"] = EncodeNeed(
            layers=any(need.layers for need in encode),
            passage_sets=tuple(sorted({name for need in encode for name in need.passage_sets})),
        )
    if any(isinstance(need, LiveNeed) for need in needs):
        merged["live"] = LiveNeed()
    series = [need for need in needs if isinstance(need, SeriesNeed)]
    if series:
        several = {q for need in series for q in need.quantities}
        merged["series"] = SeriesNeed(
            of=series[0].of, quantities=tuple(sorted(several)), top=max(need.top for need in series)
        )
    return merged
