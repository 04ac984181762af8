"""Options of the style analyzers and their judge; light, so that specs can name them."""

from __future__ import annotations

from typing import Any

import attrs


def _inside(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"'{attribute.name}' must lie between 0 and 1: {value}")


@attrs.frozen(kw_only=True)
class LengthOptions:
    """Options of `behaviour.length`."""

    censored: float = attrs.field(
        default=0.05, validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1))
    )
    """Share of cut answers on a side above which lengths count as censored."""
    pairs: int = attrs.field(default=2000, validator=attrs.validators.ge(0))
    """How many pairs of prompt means the distribution keeps for plots."""


@attrs.frozen(kw_only=True)
class StyleOptions:
    """Options of `behaviour.style`."""

    length_margin: float = attrs.field(default=0.10, validator=attrs.validators.gt(0))
    """Log ratios of lengths within ± this are equivalent; .10 is a factor of 1.105."""
    rate_margin: float = attrs.field(default=0.05, validator=_inside)
    """Differences of rates within ± this are equivalent: formats, strategies, refusals."""
    alpha: float = attrs.field(default=0.05, validator=_inside)
    """Level of the tests; p values are corrected in their family first."""
    collapse_share: float = attrs.field(default=0.6, validator=_inside)
    """A strategy with at least this share on the trained side is dominant."""
    collapse_drop: float = attrs.field(default=0.3, validator=attrs.validators.gt(0))
    """A loss of entropy of strategies of at least this, in nats, is called a collapse where a strategy is dominant."""
    examples: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """Pairs of answers that a finding shows."""
