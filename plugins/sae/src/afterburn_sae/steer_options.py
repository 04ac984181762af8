"""Options of `sae.steer`, and what they make it need; light, so that specs can name them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.plugin import LiveNeed


def _tuple(value: Any) -> tuple[float, ...]:
    return tuple(float(one) for one in (value if isinstance(value, list | tuple) else (value,)))


def _strengths(instance: Any, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
    if not value or 0 in value or len(set(value)) != len(value):
        raise ValueError(f"'{attribute.name}' must be different numbers other than 0: {value}")


def _features(instance: Any, attribute: attrs.Attribute[Any], value: tuple[int, ...]) -> None:
    if len(set(value)) != len(value) or any(one < 0 for one in value) or len(value) > MOST:
        raise ValueError(f"'{attribute.name}' must be at most {MOST} different latents: {value}")


MOST = 32
"""Features of one run: each is a reading of all passages and a writing of all prompts per strength."""
_count = attrs.validators.ge(1)


@attrs.frozen(kw_only=True)
class SteerOptions:
    """Options of `sae.steer`."""

    dictionaries: tuple[str, ...] = ()
    """Sparse dictionaries: files, directories, or names shipped with the plugin; the features are the first's."""
    features: tuple[int, ...] = attrs.field(default=(), validator=_features)
    """Latents to steer along. Without any, nothing is steered."""
    strengths: tuple[float, ...] = attrs.field(default=(0.4,), converter=_tuple, validator=_strengths)
    """Lengths of what is added, as shares of the median norm of the activations at the site; below 0 takes away."""
    random: int = attrs.field(default=16, validator=attrs.validators.ge(2))
    """Random directions of the same length that are added in place of a feature."""
    passages: int = attrs.field(default=16, validator=attrs.validators.ge(2))
    """Texts that are read with each."""
    tokens: int = attrs.field(default=64, validator=attrs.validators.ge(4))
    """Tokens of each text that are read."""
    written: int = attrs.field(default=32, validator=_count)
    """Tokens that are written from each prompt."""


def needs_of_steer(options: SteerOptions) -> tuple[LiveNeed, ...] | str:
    """Both models in memory, where there is something to steer along."""
    if not options.features:
        return "steers only along features that are named; set options: {sae.steer: {features: [...]}}"
    if not options.dictionaries:
        return "needs a sparse dictionary, and none is named; --sae names one"
    return (LiveNeed(),)


def example(directory: Path, base: Path) -> Mapping[str, Any]:
    """What the conformance kit runs it with."""
    from afterburn_sae.risk_example import write_dictionary

    folder = write_dictionary(directory, base)
    return {"dictionaries": [str(folder)], "features": [3, 11], "random": 2, "passages": 2, "tokens": 8, "written": 4}
