"""Options of the mean-difference analyzers and their judge; light, so that specs can name them."""

from __future__ import annotations

from typing import Any

import attrs


def _depths(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not value or any(not 0 <= one <= 1 for one in value):
        raise ValueError(f"'{attribute.name}' must be relative depths between 0 and 1: {value}")


def _tuple(value: Any) -> tuple[float, ...]:
    return tuple(float(one) for one in (value if isinstance(value, (list, tuple)) else (value,)))


_count = attrs.validators.ge(1)
DEPTHS = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0)


@attrs.frozen(kw_only=True)
class MeanOptions:
    """Options of `activation.mean_difference`."""

    depths: tuple[float, ...] = attrs.field(default=DEPTHS, converter=_tuple, validator=_depths)
    """Relative depths of the blocks whose outputs are averaged; depth r is block round(r (L − 1))."""
    positions: int = attrs.field(default=5, validator=_count)
    """First tokens of a text that are averaged each on their own."""


@attrs.frozen(kw_only=True)
class LensOptions:
    """Options of `activation.lens`."""

    depths: tuple[float, ...] = attrs.field(default=DEPTHS, converter=_tuple, validator=_depths)
    """Relative depths of the blocks whose mean differences are read out."""
    positions: int = attrs.field(default=5, validator=_count)
    """First tokens of a text that are averaged each on their own."""
    depth: float = attrs.field(
        default=0.5, validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1))
    )
    """Relative depth at which the difference is patched in, steered with and taken out."""
    tokens: int = attrs.field(default=20, validator=_count)
    """Tokens that are listed of every readout."""
    directions: int = attrs.field(default=399, validator=attrs.validators.ge(19))
    """Random directions whose readouts the largest z is ranked among."""
    patch_scales: tuple[float, ...] = attrs.field(default=(0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0), converter=_tuple)
    """Strengths λ, in mean norms of the trained activations, of a patched direction."""
    patch_directions: int = attrs.field(default=8, validator=_count)
    """Random directions that the patchscope is held against."""
    strengths: tuple[float, ...] = attrs.field(default=(0.25, 0.5, 1.0, 2.0, 4.0), converter=_tuple)
    """Strengths α, in mean norms, among which the largest coherent one is taken for steering."""
    steer_directions: int = attrs.field(default=4, validator=_count)
    """Random directions that also steer, at the same strength."""
    steer_tokens: int = attrs.field(default=32, validator=_count)
    """Tokens of a steered text."""
    causal_directions: int = attrs.field(default=32, validator=attrs.validators.ge(19))
    """Random directions that are also taken out."""
    causal_passages: int = attrs.field(default=12, validator=attrs.validators.ge(2))
    """Texts on which the loss is taken with and without the direction."""
    causal_tokens: int = attrs.field(default=48, validator=attrs.validators.ge(2))
    """Tokens read of each of them."""


@attrs.frozen(kw_only=True)
class LensJudgeOptions:
    """Options of `activation.lens_judge`."""

    consistent: float = attrs.field(default=0.9, validator=attrs.validators.le(1))
    """Cosine between the mean differences of two halves from which they are read."""
    alpha: float = attrs.field(
        default=0.05, validator=attrs.validators.and_(attrs.validators.gt(0), attrs.validators.lt(1))
    )
    """Level of the tests; p values are corrected in their family first."""
