"""Thresholds of the adapter's rules and of `afterburn merge-check`; light, so that specs can name them.

Each has its reason here, and in `docs/merge-check.md` for readers.
"""

from __future__ import annotations

import attrs

NO_RANK = "the adapter has no low-rank factors"
"""Why ranks are undefined for an adapter that only scales, such as IA3."""

MERGE_WARN = 0.1
"""Merge loss from which a merge is worth a second look. At .1 a hundredth of the merged change's energy is rounding
noise; for Gaussian weights in bf16 that is a relative update of 2e-2, in fp16 of 2e-3."""
MERGE_FAIL = 0.5
"""Merge loss from which the merged model is no longer the adapted one: a quarter of the change's energy is replaced by
noise, and about half of the entries do not move at all (bf16, relative update 3e-3)."""
COLLAPSE = 0.1
"""Share (effective rank − 1)/(r − 1) of the rank beyond the first direction below which a module has collapsed: a
rank-16 adapter then uses fewer than 2.5 directions, and a much smaller rank would do."""
COLLAPSED_ENERGY = 0.5
"""Share of the change's energy in collapsed modules from which the adapter as a whole counts as collapsed."""
PRESENT = 0.01
"""Share of the change's energy from which one module's merge loss counts for the verdict by itself."""


@attrs.frozen(kw_only=True)
class FactorOptions:
    """Options of `weight.adapter`."""

    collapse: float = attrs.field(default=COLLAPSE, validator=[attrs.validators.ge(0), attrs.validators.le(1)])
    """Modules below this share of their rank beyond the first direction have collapsed."""


@attrs.frozen(kw_only=True)
class AdapterRules:
    """Options of `weight.adapter_judge`."""

    merge_warn: float = attrs.field(default=MERGE_WARN, validator=attrs.validators.ge(0))
    """Merge loss from which a merge is for review."""
    merge_fail: float = attrs.field(default=MERGE_FAIL, validator=attrs.validators.ge(0))
    """Merge loss from which the message advises against it."""
    collapsed_energy: float = attrs.field(
        default=COLLAPSED_ENERGY, validator=[attrs.validators.ge(0), attrs.validators.le(1)]
    )
    """Share of the change's energy in collapsed modules from which the adapter is for review."""
    examples: int = attrs.field(default=10, validator=attrs.validators.ge(0))
    """How many modules a finding names."""
