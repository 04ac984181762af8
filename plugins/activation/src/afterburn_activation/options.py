"""Options of the analyzers and their judges; light, so that specs can name them."""

from __future__ import annotations

from typing import Any

import attrs


def _inside(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"'{attribute.name}' must lie between 0 and 1: {value}")


def _depths(instance: Any, attribute: attrs.Attribute[tuple[float, ...]], value: tuple[float, ...]) -> None:
    if not value or any(not 0 <= depth <= 1 for depth in value):
        raise ValueError(f"'{attribute.name}' must name depths between 0 and 1: {value}")


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


@attrs.frozen(kw_only=True)
class ComponentsOptions:
    """Options of `activation.components`."""

    depths: tuple[float, ...] = attrs.field(default=(0.25, 0.5, 0.75, 1.0), validator=_depths)
    """Relative depths of the blocks whose outputs are decomposed; 0 is the first block, 1 the last."""
    components: int = attrs.field(default=16, validator=attrs.validators.ge(1))
    """Components that are kept."""
    compared: int = attrs.field(default=4, validator=attrs.validators.ge(1))
    """Leading components that are compared between two halves of the units."""


@attrs.frozen(kw_only=True)
class ExamplesOptions:
    """Options of `activation.examples`."""

    depths: tuple[float, ...] = attrs.field(default=(0.25, 0.5, 0.75, 1.0), validator=_depths)
    """Relative depths of the blocks whose outputs are looked at; 0 is the first block, 1 the last."""
    passages: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    """Passages kept for each site and each order."""
    typical: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """Passages kept whatever they show."""


@attrs.frozen(kw_only=True)
class TraitsOptions:
    """Options of `activation.traits`."""

    directions: str = ""
    """A safetensors file of directions of your own: tensors `trait.<name>.blocks.<number>.out` of the model's width."""
    prompts: int = attrs.field(default=256, validator=attrs.validators.ge(1))
    """Prompts of the run that count, a sample by a hash of their ids; fewer where they would take 256 MB."""
    randoms: int = attrs.field(default=999, validator=attrs.validators.ge(19))
    """Random directions that a shift is compared with."""


@attrs.frozen(kw_only=True)
class TraitJudgeOptions:
    """Options of `activation.trait_judge`."""

    alpha: float = attrs.field(default=0.05, validator=_inside)
    """Level of the tests; p values are corrected over traits first."""
    auroc: float = attrs.field(default=0.9, validator=_inside)
    """A direction that tells held-out answers apart less well than this is not used."""
    margin: float = attrs.field(default=0.05, validator=attrs.validators.gt(0))
    """Shifts within ± this share of the way from negative to positive answers are equivalent."""
    alike: float = attrs.field(default=0.5, validator=_inside)
    """Directions whose cosine reaches this are spoken of together."""
