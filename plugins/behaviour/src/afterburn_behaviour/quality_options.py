"""Options of the components on correctness and calibration; light, so that specs can name them."""

from __future__ import annotations

from typing import Any

import attrs


def _inside(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{attribute.name} must lie between 0 and 1, not {value!r}")


@attrs.frozen(kw_only=True)
class CorrectOptions:
    """Options of `behaviour.correct`."""

    examples: int = attrs.field(default=12, validator=attrs.validators.ge(0))
    """How many prompts whose answer became right or wrong are kept with both answers."""


@attrs.frozen(kw_only=True)
class AnswerOptions:
    """Options of `behaviour.answers`."""

    resamples: int = attrs.field(default=1999, validator=attrs.validators.ge(199))
    """Bootstrap draws of the band around the curve of pass@k."""


@attrs.frozen(kw_only=True)
class CalibrationOptions:
    """Options of `behaviour.calibration`."""

    bins: int = attrs.field(default=15, validator=attrs.validators.ge(2))
    """Bins of equal mass of the calibration error and of the diagram; fewer where there are few prompts."""


@attrs.frozen(kw_only=True)
class QualityRules:
    """Options of `behaviour.quality_judge`. The margins were fixed before any data were seen."""

    correct_margin: float = attrs.field(default=0.02, validator=_inside)
    """Differences of accuracy inside ± this share count as none: two points."""
    brier_margin: float = attrs.field(default=0.02, validator=_inside)
    """Differences of the Brier score inside ± this count as none."""
    overconfidence_margin: float = attrs.field(default=0.05, validator=_inside)
    """Differences of mean confidence minus accuracy inside ± this count as none."""
    alpha: float = attrs.field(default=0.05, validator=_inside)
    """Level of the tests, after correction over their family."""
    examples: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """How many pairs of answers a finding shows."""
