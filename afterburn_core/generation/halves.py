"""Halves of the base's recorded samples: what chance alone makes of two sets of answers by one model.

Every prompt's samples are divided at random into two halves of equal size, less one sample of an odd number, and one
half is compared with the other. A half has fewer samples than a side, so the null is wider than that of a whole side
under other seeds: p values from it are too large, never too small.
"""

from __future__ import annotations

import random

import attrs

from afterburn_core.generation.model import Responses, Sample
from afterburn_core.run.seeds import child_seed


def halved(responses: Responses, seed: int) -> Responses:
    """The answers with one random half of the base's samples as base and the other as trained.

    A prompt with a single sample has neither. The division follows from the seed and the prompt's id alone.
    """
    order = list(range(len(responses.base)))
    random.Random(child_seed(seed, f"halves/{responses.probe.id}")).shuffle(order)
    size = len(order) // 2
    first, second = sorted(order[:size]), sorted(order[size : 2 * size])
    facts = responses.facts
    return attrs.evolve(
        responses,
        base=_numbered(responses.base, first),
        trained=_numbered(responses.base, second),
        controls={},
        facts={role: facts["base"] for role in ("base", "trained") if "base" in facts},
    )


def as_trained(responses: Responses, control: str) -> Responses:
    """The answers with a control's in the trained model's place."""
    facts = {"base": responses.facts.get("base"), "trained": responses.facts.get(control)}
    return attrs.evolve(
        responses,
        trained=responses.controls.get(control, ()),
        controls={},
        facts={role: own for role, own in facts.items() if own is not None},
    )


def _numbered(samples: tuple[Sample, ...], chosen: list[int]) -> tuple[Sample, ...]:
    return tuple(attrs.evolve(samples[index], index=number) for number, index in enumerate(chosen))
