"""Options of the live analyzers and their judge; light, so that specs can name them."""

from __future__ import annotations

from typing import Any

import attrs


def _positive(minimum: int) -> Any:
    return attrs.validators.ge(minimum)


def _inside(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{attribute.name} must lie between 0 and 1, not {value!r}")


def _share(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{attribute.name} must lie between 0 and 1, 1 excluded, not {value!r}")


def _amplifying(instance: object, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
    if not value or len(set(value)) != len(value) or not all(0 < one <= 100 for one in value):
        raise ValueError(f"{attribute.name} must be different numbers above 0 and up to 100, not {value!r}")


def _scales(instance: object, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
    if len(set(value)) != len(value) or not all(abs(one) <= 10 for one in value):
        raise ValueError(f"{attribute.name} must be different numbers between -10 and 10, not {value!r}")


def _ranks(instance: object, attribute: attrs.Attribute[Any], value: tuple[int, ...]) -> None:
    if len(set(value)) != len(value) or not all(one >= 1 for one in value):
        raise ValueError(f"{attribute.name} must be different whole numbers from 1 on, not {value!r}")


@attrs.frozen(kw_only=True)
class AmplificationOptions:
    """Options of `behaviour.amplification`."""

    alphas: tuple[float, ...] = attrs.field(default=(1.0, 3.0, 9.0), converter=tuple, validator=_amplifying)
    """How far the change of log-probabilities is amplified; 0, the trained model as it is, is always written too."""
    control: float = attrs.field(default=3.0, validator=attrs.validators.ge(0))
    """Amplification of the control, whose change of weights is scrambled."""
    prefixes: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    """Openings to write on from, in the place of the ones that come with it: as plain text and as a user's turn."""
    samples: int = attrs.field(default=2, validator=_positive(1))
    """Texts per opening."""
    max_new_tokens: int = attrs.field(default=48, validator=_positive(1))
    temperature: float = attrs.field(default=1.0, validator=attrs.validators.ge(0))
    plausible: float = attrs.field(default=0.1, validator=_share)
    """Only tokens are written that have at least this share of the most probable token's probability."""
    fewest: int = attrs.field(default=3, validator=_positive(2))
    """Openings that a phrase has to follow to be looked at."""
    shown: int = attrs.field(default=40, validator=_positive(1))
    """Phrases that are kept."""
    level: float = attrs.field(default=0.05, validator=_inside)
    """Family-wise error of the phrases that count as brought out."""


@attrs.frozen(kw_only=True)
class ScalingOptions:
    """Options of `behaviour.scaling`."""

    scales: tuple[float, ...] = attrs.field(
        default=(-1.0, -0.5, 0.25, 0.5, 0.75, 1.5, 2.0, 3.0), converter=tuple, validator=_scales
    )
    """λ besides 0 and 1, which are always there."""
    ranks: tuple[int, ...] = attrs.field(default=(1, 2, 4, 8), converter=tuple, validator=_ranks)
    """Leading singular directions of every matrix that are kept, at λ = 1."""
    bands: int = attrs.field(default=3, validator=_positive(1))
    """Bands of layers that are scaled alone."""
    band_scales: tuple[float, ...] = attrs.field(default=(0.5, 1.0, 2.0), converter=tuple, validator=_scales)
    """λ of one band's attention or MLP while all else is the base; empty leaves bands out."""
    passages: int = attrs.field(default=16, validator=_positive(2))
    """Most passages that are read."""
    tokens: int = attrs.field(default=64, validator=_positive(2))
    """Tokens from the start of each passage."""
    positions: int = attrs.field(default=16, validator=_positive(1))
    """Positions of each passage at which distributions are compared."""
    prompts: int = attrs.field(default=16, validator=attrs.validators.ge(0))
    """Most questions that are asked at every λ and rank."""
    max_new_tokens: int = attrs.field(default=64, validator=_positive(1))


@attrs.frozen(kw_only=True)
class LiveRules:
    """Options of `behaviour.live`."""

    alpha: float = attrs.field(default=0.05, validator=_inside)
    """Level of the tests."""
    phrases: int = attrs.field(default=5, validator=_positive(1))
    """How many phrases a finding names."""
    examples: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """How many texts a finding shows."""
