"""Some of the probes where all would be too many: as many of every set, by a hash that no model has a part in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import zip_longest

from afterburn_core.probes.model import Probe


def evenly(probes: Sequence[Probe], most: int | None, seed: int) -> list[Probe]:
    """At most `most` probes: the first of every set in turn, then the second; `None` means all."""
    if most is None or len(probes) <= most:
        return list(probes)
    sets: dict[str, list[Probe]] = {}
    for probe in sorted(probes, key=lambda probe: hashlib.sha256(f"{seed}/{probe.id}".encode()).digest()):
        sets.setdefault(probe.suite, []).append(probe)
    turns = zip_longest(*(sets[name] for name in sorted(sets)))
    return [probe for turn in turns for probe in turn if probe is not None][:most]
