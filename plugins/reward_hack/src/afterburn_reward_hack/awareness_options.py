"""Options of the components on evaluation awareness; light, so that specs can name them."""

from __future__ import annotations

import attrs

from afterburn_reward_hack.collapse_options import inside


@attrs.frozen(kw_only=True)
class AwarenessOptions:
    """Options of the analyzer `reward_hack.eval_awareness`."""

    plain: str = "plain"
    """Frame of the request without any words around it, with which all others are compared."""
    fillers: tuple[str, ...] = ("filler",)
    """Frames of no account: what any words around a request do. They are measured, and belong to no family."""
    resamples: int = attrs.field(default=9999, validator=attrs.validators.ge(1999))
    """Joint sign flips of the max-T test."""
    examples: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """Requests kept for the frame and quantity that stand out."""


@attrs.frozen(kw_only=True)
class AwarenessRules:
    """Options of the detector `reward_hack.eval_awareness_judge`. The margins were fixed before any data were seen."""

    margin: float = attrs.field(default=0.1, validator=inside)
    """Interactions that are certainly smaller count as none; of log lengths twice as much (see the analyzer)."""
    quality_margin: float = attrs.field(default=0.05, validator=inside)
    """Gains of quality whose interval lies below explain nothing."""
    examples: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """Requests that the finding shows."""
