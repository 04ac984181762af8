"""Diversity of meaning: mean distance of sentence embeddings, within prompts and across them.

meaning         mean over a prompt's pairs of samples of 1 − e(x)·e(y)
across.meaning  the same over pairs of prompts, first samples
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.semantic import find_encoder, open_encoder
from afterburn_behaviour.units import clusters
from afterburn_behaviour.variety_options import DiversityOptions
from afterburn_core.generation.model import Responses
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import Contrast
from afterburn_core.stats.paired import mean, paired_contrast
from afterburn_core.stats.unit_swap import Corpus, Units, mean_over_pairs, swaps


@attrs.frozen(kw_only=True)
class Meanings:
    """What the encoder gives; all empty without one."""

    within: Mapping[str, Contrast] = attrs.field(factory=dict)
    across: Mapping[str, Corpus] = attrs.field(factory=dict)
    sides: Mapping[str, tuple[Contrast, Contrast]] = attrs.field(factory=dict)


def meanings(
    items: Sequence[Responses], options: DiversityOptions, *, seed: int, device: str
) -> tuple[Meanings, str | None]:
    """Distances between meanings, or the reason why there are none."""
    found = find_encoder(options.encoder)
    if found.directory is None or not items:
        return Meanings(), found.reason
    from afterburn_behaviour.diversity import subset

    chosen = [items[i] for i in subset([item.probe.id for item in items], options.encoded_prompts)]
    encoder = open_encoder(found.directory, device)
    texts: list[list[list[str]]] = [[], []]
    for item in chosen:
        m = min(len(item.base), len(item.trained), options.encoded_samples)
        for side, samples in zip(texts, (item.base, item.trained)):
            side.append([" ".join(sample.text.split()[: options.words]) for sample in samples[:m]])
    flat = [text for side in texts for samples in side for text in samples]
    vectors = iter(encoder.encode(flat))
    encoded = [[np.stack([next(vectors) for _ in samples]) for samples in side] for side in texts]
    same = texts[0] == texts[1]
    note = f"encoder {found.name}, {len(chosen)} prompts"
    result = Meanings()
    pairs = [[_within(block) for block in side] for side in encoded]
    if all(value is not None for side in pairs for value in side):
        values = np.array(pairs, dtype=np.float64)  # (2, prompts)
        of = clusters([item.probe for item in chosen])
        contrast = paired_contrast(values[1] - values[0], clusters=of, seed=child_seed(seed, "meaning"))
        own = [mean(values[s], clusters=of, seed=child_seed(seed, f"meaning/{s}")) for s in (0, 1)]
        result = attrs.evolve(
            result,
            within={"meaning": attrs.evolve(contrast, reason=note)},
            sides={"meaning": (own[0], own[1])},
        )
    units = Units.of([item.probe.unit for item in chosen])
    if units.count >= 2:
        first = np.stack([block[0] for side in encoded for block in side])
        epsilon = swaps(units.count, options.permutations, child_seed(seed, "meaning/across"))
        corpus = mean_over_pairs(1 - first @ first.T, units, epsilon, identical=same)
        turned = np.roll(first, len(chosen), axis=0)  # trained's first: its own value is that of the other order
        mirrored = mean_over_pairs(1 - turned @ turned.T, units, epsilon[:0], identical=same)
        corpus = attrs.evolve(corpus, contrast=attrs.evolve(corpus.contrast, reason=note))
        result = attrs.evolve(result, across={"across.meaning": corpus})
        result = attrs.evolve(
            result,
            sides={
                **result.sides,
                "across.meaning": (
                    attrs.evolve(corpus.own, reason=note),
                    attrs.evolve(mirrored.own, reason=note),
                ),
            },
        )
    return result, None


def _within(block: NDArray[np.float64]) -> float | None:
    m = len(block)
    if m < 2:
        return None
    return float(1 - (block @ block.T)[np.triu_indices(m, 1)].mean())
