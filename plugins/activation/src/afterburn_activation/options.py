"""Options of the analyzers and their judges; light, so that specs can name them."""

from __future__ import annotations

from typing import Any

import attrs


def _inside(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"'{attribute.name}' must lie between 0 and 1: {value}")


@attrs.frozen(kw_only=True)
class DriftOptions:
    """Options of `activation.drift`."""

    sample: int = attrs.field(default=256, validator=attrs.validators.ge(10))
    """Passages whose vectors are kept for CKA, centred cosine and mean shift; fewer where they would take 256 MB."""


@attrs.frozen(kw_only=True)
class DriftJudgeOptions:
    """Options of `activation.drift_judge`."""

    margin: float = attrs.field(default=0.05, validator=attrs.validators.gt(0))
    """Relative differences ‖δ‖/½(‖b‖ + ‖f‖) whose interval lies below are equivalent."""
