"""Options of the judge of quantisation; light, so that specs can name them."""

from __future__ import annotations

import attrs

BEYOND = 1.15
"""A relative change beyond this multiple of the floor of quantisation is more than quantisation. The floor of quantised
Gaussian weights is within 5 % of their true error for every packing that is read."""


@attrs.frozen(kw_only=True)
class QuantisationOptions:
    """Options of `weight.quantisation_judge`."""

    ratio: float = attrs.field(default=BEYOND, validator=attrs.validators.ge(1))
    """A tensor whose relative change is beyond this multiple of its quantisation floor changed by more than that."""
    codes: float = attrs.field(default=1e-3, validator=attrs.validators.ge(0))
    """Share of differing codes up to which a tensor counts as a mere copy: ties that another implementation of the
    quantiser breaks the other way."""
    top: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    """How many tensors the finding names."""
