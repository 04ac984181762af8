"""Options of `behaviour.preference` and its judge; light, so that specs can name them."""

from __future__ import annotations

from typing import Any

import attrs


def _inside(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"'{attribute.name}' must lie between 0 and 1: {value}")


@attrs.frozen(kw_only=True)
class PreferenceOptions:
    """Options of `behaviour.preference`."""

    kept: int = attrs.field(default=100, validator=attrs.validators.in_(range(1001)))
    """How many prompts the artifact holds, those whose preference moved most; up to 1000."""


@attrs.frozen(kw_only=True)
class PreferenceJudgeOptions:
    """Options of `behaviour.preferences`."""

    odds_margin: float = attrs.field(default=0.1, validator=attrs.validators.gt(0))
    """Changes of log-odds within ± this are equivalent, in nats per token: odds that change by a tenth."""
    accuracy_margin: float = attrs.field(default=0.05, validator=_inside)
    """Changes within ± this of the share of prompts at which the preferred continuation wins are equivalent."""
    alpha: float = attrs.field(default=0.05, validator=_inside)
    """Level of the tests; p values are corrected in their family first."""
    examples: int = attrs.field(default=3, validator=attrs.validators.in_(range(11)))
    """How many prompts a finding shows, up to 10."""
