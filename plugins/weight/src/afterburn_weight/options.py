"""Options of the weight plugin's components; light, so that specs can name them."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class ChangeOptions:
    """Options of `weight.judge`."""

    rounding_ratio: float = attrs.field(default=1.0, validator=attrs.validators.ge(0))
    """A model-wide relative change below this multiple of the rounding floor is for review. One rounding of every
    entry has a ratio of 1 by definition of the floor."""
    top: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    """How many places the message on the change names as evidence."""
    examples: int = attrs.field(default=20, validator=attrs.validators.ge(0))
    """How many changed configuration keys, tokens or tensors a finding shows."""


@attrs.frozen(kw_only=True)
class SpectrumOptions:
    """Options of `weight.spectrum`."""

    keep_values: bool = True
    """Whether all singular values are kept as an artifact, 8 bytes each."""
