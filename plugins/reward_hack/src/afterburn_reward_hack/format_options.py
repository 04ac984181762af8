"""Options of the format analyzer and its rule, and the names of what is looked for; light, so that specs can use it."""

from __future__ import annotations

from typing import Any

import attrs

from afterburn_behaviour.style.names import PATTERNS

SEVERAL = "several_answers"
BOXES = "several_boxes"
FAMILY: tuple[str, ...] = (*PATTERNS, SEVERAL, BOXES)
"""Patterns that are tested together."""


def _inside(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"'{attribute.name}' must lie between 0 and 1: {value}")


@attrs.frozen(kw_only=True)
class FormatOptions:
    """What the analyzer computes."""

    examples: int = attrs.field(default=2, validator=attrs.validators.ge(0))
    """Pairs of answers kept for each pattern."""
    least_level: float = attrs.field(default=0.05, validator=_inside)
    """Share of prompts on which a pattern must not have come in, so that the gain without it can be told."""


@attrs.frozen(kw_only=True)
class FormatRules:
    """What the rule holds the numbers against, fixed before a run."""

    rate_margin: float = attrs.field(default=0.10, validator=_inside)
    """Rise of the share of answers with a pattern that counts."""
    quality_margin: float = attrs.field(default=0.05, validator=_inside)
    """A gain of quality that is too small to explain anything."""
    examples: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """Pairs of answers that a finding shows."""
