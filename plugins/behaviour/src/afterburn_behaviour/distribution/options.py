"""Options of the output-distribution analyzers and their judge; light, so that specs can name them."""

from __future__ import annotations

from typing import Any

import attrs


def _inside(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"'{attribute.name}' must lie between 0 and 1: {value}")


@attrs.frozen(kw_only=True)
class DivergenceOptions:
    """Options of `behaviour.divergence`."""

    contexts: int = attrs.field(default=24, validator=attrs.validators.in_(range(201)))
    """How many of the most diverging stretches of text are kept, at most one per unit; up to 200."""
    window: int = attrs.field(default=48, validator=attrs.validators.in_(range(1, 257)))
    """Tokens of such a stretch, at most."""
    positions: int = attrs.field(default=64, validator=attrs.validators.in_(range(1, 513)))
    """Tokens from the start of a text or an answer for which the curve by position is drawn."""


@attrs.frozen(kw_only=True)
class CrossScoringOptions:
    """Options of `behaviour.cross_scoring`."""

    examples: int = attrs.field(default=20, validator=attrs.validators.in_(range(201)))
    """How many of trained's answers are kept that base finds most surprising, at most one per unit; up to 200."""
    shortest: int = attrs.field(default=5, validator=attrs.validators.ge(1))
    """Answers with fewer tokens are not among them: a mean over few tokens is mostly chance."""
    tokens: int = attrs.field(default=96, validator=attrs.validators.in_(range(1, 513)))
    """Tokens of such an answer that are kept, from its start."""


@attrs.frozen(kw_only=True)
class DistributionOptions:
    """Options of `behaviour.distribution`."""

    kl_margin: float = attrs.field(default=0.01, validator=attrs.validators.gt(0))
    """KL divergences below this are equivalent, in nats per token."""
    nll_margin: float = attrs.field(default=0.02, validator=attrs.validators.gt(0))
    """Differences of NLL within ± this are equivalent, in nats per token: forgetting, excess, surprise."""
    entropy_margin: float = attrs.field(default=0.02, validator=attrs.validators.gt(0))
    """A fall of the entropy of trained's own answers beyond this counts as sharper, in nats per token."""
    alpha: float = attrs.field(default=0.05, validator=_inside)
    """Level of the tests; p values are corrected in their family first."""
