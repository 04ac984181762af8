"""Whether both sides' texts came about in the same way, as the evidence tells. Imports no NumPy."""

from __future__ import annotations

import attrs

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Measurement

DIFFERING = "behaviour.decoding.differing"
UNKNOWN = "behaviour.decoding.unknown"
TRUNCATION = "behaviour.truncation.rate"
ALPHA = 0.05


@attrs.frozen(kw_only=True)
class Serving:
    """What is known of how the texts came about."""

    differing: Measurement | None
    unknown: Measurement | None
    truncation: Measurement | None
    alpha: float

    @property
    def facts_differ(self) -> bool:
        """Whether a recorded fact differs: engine, template, a decoding parameter."""
        return bool(self.differing is not None and self.differing.value)

    @property
    def truncation_differs(self) -> bool:
        """Whether the shares of cut answers differ beyond chance."""
        test = None if self.truncation is None else self.truncation.test
        if test is None:
            return False
        return (test.p_value if test.p_adjusted is None else test.p_adjusted) <= self.alpha

    @property
    def differs(self) -> bool:
        return self.facts_differ or self.truncation_differs

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What this rests on."""
        return tuple(m for m in (self.differing, self.unknown, self.truncation) if m is not None)


def serving(evidence: Evidence, *, alpha: float = ALPHA) -> Serving:
    """Reads the decoding analyzer's measurements; those of a run without it are `None`."""
    return Serving(
        differing=evidence.get(DIFFERING),
        unknown=evidence.get(UNKNOWN),
        truncation=evidence.get(TRUNCATION),
        alpha=alpha,
    )


def caveat(evidence: Evidence, *, alpha: float = ALPHA) -> str | None:
    """What every finding on a shift has to add where serving differs; `None` where it does not, or nobody knows."""
    found = serving(evidence, alpha=alpha)
    if not found.differs:
        return None
    names = [found.differing.reason] if found.facts_differ and found.differing and found.differing.reason else []
    if found.truncation_differs:
        names.append("share of cut answers")
    return f"serving differs ({'; '.join(names)}), so this must not be put down to training"
