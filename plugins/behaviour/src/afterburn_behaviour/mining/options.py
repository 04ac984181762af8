"""Options of diff mining and its judge; light, so that specs can name them."""

from __future__ import annotations

import attrs

_POSITIVE = attrs.validators.ge(1)


@attrs.frozen(kw_only=True)
class MiningOptions:
    """Options of `behaviour.diff_mining`."""

    top: int = attrs.field(default=100, validator=_POSITIVE)
    """K: how many of the largest gains and losses count at a position; never more than one token in 64 of the
    vocabulary."""
    candidates: int = attrs.field(default=100, validator=_POSITIVE)
    """Tokens of each sign that the discovery half proposes, and that the other half tests."""
    listed: int = attrs.field(default=40, validator=_POSITIVE)
    """Tokens of each sign in the artifact."""
    measured: int = attrs.field(
        default=20, validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(20))
    )
    """Tokens found, of each sign, that get measurements of their own."""
    alpha: float = attrs.field(
        default=0.05, validator=attrs.validators.and_(attrs.validators.gt(0), attrs.validators.lt(1))
    )
    """Family-wise level at which a token is found."""
    topics: int = attrs.field(default=3, validator=_POSITIVE)
    """Groups of tokens that rise in the same passages."""
    window: int = attrs.field(default=16, validator=_POSITIVE)
    """Tokens of a passage over which log-likelihood ratios are summed."""
    examples: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """Contexts per listed token."""


@attrs.frozen(kw_only=True)
class MiningRules:
    """Options of `behaviour.mining_judge`."""

    tokens: int = attrs.field(default=8, validator=_POSITIVE)
    """Tokens of each sign that the finding names."""
    examples: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """Tokens that it shows in context."""
