"""Did anything change? Two tests on whole texts that need no idea of what to look for.

- Maximum mean discrepancy of the samples of each prompt, with the Hamming kernel on their first words and labels
  permuted inside prompts (Model Equality Testing, arXiv 2410.20247). Needs two samples of a prompt on both sides.
- A classifier that tells which answer is trained's, cross-validated over prompts, with sides swapped inside prompts as
  null (Revisiting Classifier Two-Sample Tests, arXiv 1610.06545); with all features, and with length taken out. Its
  heaviest features say in words what changed.

The two p values that decide, MMD and the classifier with all features, form one family (Holm).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from afterburn_behaviour.examples import Pair, artifact
from afterburn_behaviour.features import shown_name
from afterburn_behaviour.units import clusters
from afterburn_behaviour.variety_options import OmnibusOptions
from afterburn_core.generation.model import Responses
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.classifier_test import FeatureWeight, Separation, classifier_test
from afterburn_core.stats.contrast import Contrast, as_measurement, undefined
from afterburn_core.stats.mmd import hamming_kernel, mmd
from afterburn_core.stats.multiplicity import adjust

MMD = "behaviour.omnibus.mmd"
AUROC = "behaviour.omnibus.auroc"
WITHOUT_LENGTH = "behaviour.omnibus.auroc_without_length"
FEATURES = "behaviour.omnibus_features"
FAMILY = "behaviour.omnibus"
_NONE = "no prompt was answered by both sides"


class Omnibus:
    """Analyzer `behaviour.omnibus`."""

    def __init__(self, options: OmnibusOptions) -> None:
        self._options = options
        self._prompts: dict[str, Responses] = {}
        self._lost = 0
        self._seed = 0
        self._excerpts = True

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed, and whether texts may be kept."""
        self._seed, self._excerpts = context.seed, context.excerpts

    def observe(self, item: Responses) -> None:
        """Keeps the texts of the prompt."""
        if item.paired:
            self._prompts[item.probe.id] = item
        elif item.base or item.trained:
            self._lost += 1

    def merge(self, other: Omnibus) -> None:
        """Takes in prompts that another instance observed."""
        self._prompts.update(other._prompts)
        self._lost += other._lost

    def finish(self) -> AnalyzerOutput:
        """Both tests, the features that tell the sides apart, and the prompts on which they do so most surely."""
        items = [self._prompts[name] for name in sorted(self._prompts)]
        if not items:
            nothing = undefined(_NONE)
            return AnalyzerOutput(
                measurements=tuple(as_measurement(nothing, metric) for metric in (MMD, AUROC, WITHOUT_LENGTH))
            )
        base, trained = (
            [[s.text for s in side] for side in sides] for sides in zip(*((i.base, i.trained) for i in items))
        )
        options = self._options
        tested = classifier_test(
            base,
            trained,
            seed=child_seed(self._seed, "classifier"),
            permutations=options.permutations,
            folds=options.folds,
            clusters=clusters([item.probe for item in items]),
            top=options.features,
        )
        contrasts = adjust(
            {MMD: self._discrepancy(items), AUROC: tested.everything.contrast}, family=FAMILY, method="holm"
        ) | adjust({WITHOUT_LENGTH: tested.without_length.contrast}, family=f"{FAMILY}.without_length")
        note = f"left out: {self._lost} prompts that one side alone answered" if self._lost else None
        measurements = tuple(as_measurement(_noted(contrast, note), metric) for metric, contrast in contrasts.items())
        return AnalyzerOutput(
            measurements=measurements, artifacts=self._artifacts(items, tested.everything, tested.without_length)
        )

    def _discrepancy(self, items: Sequence[Responses]) -> Contrast:
        """MMD over units: the kernels of prompts of one source are averaged, so that their labels move together."""
        groups: dict[str, list[Responses]] = {}
        for item in items:
            groups.setdefault(item.probe.unit, []).append(item)
        kernels, sizes = [], []
        for name in sorted(groups):
            m, k = (min(len(side) for side in of) for of in zip(*((i.base, i.trained) for i in groups[name])))
            of_group = [
                hamming_kernel([s.text.split() for s in (*i.base[:m], *i.trained[:k])], self._options.words)
                for i in groups[name]
            ]
            kernels.append(np.mean(of_group, axis=0))
            sizes.append((m, k))
        found = mmd(
            kernels,
            sizes,
            seed=child_seed(self._seed, "mmd"),
            permutations=self._options.permutations,
            shared_seeds=_seeds_shared(items),
        )
        return found.contrast

    def _artifacts(
        self, items: Sequence[Responses], everything: Separation, without_length: Separation
    ) -> tuple[ArtifactPayload, ...]:
        if not everything.features and not without_length.features:
            return ()
        content = {
            "accuracy": everything.accuracy,
            "accuracy_without_length": without_length.accuracy,
            "features": [self._row(feature) for feature in everything.features],
            "features_without_length": [self._row(feature) for feature in without_length.features],
        }
        listed = ArtifactPayload(
            id=FEATURES,
            suffix=".json",
            media_type="application/json",
            summary="Words, characters and marks of style that tell the two sides' answers apart, heaviest first",
            content=json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1).encode(),
        )
        return (listed, *artifact("omnibus", self._surest(items, everything), excerpts=self._excerpts))

    def _row(self, feature: FeatureWeight) -> dict[str, Any]:
        return attrs.asdict(feature) | {"name": shown_name(feature.name, self._excerpts)}

    def _surest(self, items: Sequence[Responses], found: Separation) -> list[Pair]:
        """The prompts on which the classifier is surest that it sees trained's answer, and right."""
        margins = found.margins
        if margins is None:
            return []
        order = sorted(range(len(items)), key=lambda i: (-float(margins[i]), items[i].probe.id))
        return [
            Pair(
                probe=items[i].probe.id,
                suite=items[i].probe.suite,
                prompt=items[i].probe.text,
                base=items[i].base[0].text,
                trained=items[i].trained[0].text,
                note=f"told apart with margin {float(margins[i]):.2f}",
                about="anything",
            )
            for i in order[: self._options.examples]
            if margins[i] > 0
        ]


def _seeds_shared(items: Sequence[Responses]) -> bool:
    """Whether samples of equal index were drawn with equal seeds on both sides."""
    pairs = [(b.seed, t.seed) for item in items for b, t in zip(item.base, item.trained)]
    return bool(pairs) and all(b is not None and b == t for b, t in pairs)


def _noted(contrast: Contrast, note: str | None) -> Contrast:
    notes = [text for text in (contrast.reason, note) if text]
    return attrs.evolve(contrast, reason="; ".join(notes) or None)
