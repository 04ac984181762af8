"""Standard errors of statistics that are no means: by leaving out units, or groups of units.

    SE² = (G − 1)/G Σ_g (θ_(−g) − θ_(·))²       interval θ̂ ± t_{G−1} SE

With G units left out one by one, or G groups of whole units left out one group at a time (Quenouille 1949; Shao and Wu
1989 for why groups also serve quantiles). A unit's group is a keyed hash of its name, so that it depends on nothing
else and sums by group can be merged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afterburn_activation.places import rank_of
from afterburn_core.result.model import Interval
from afterburn_core.stats.intervals import t_interval

Floats = NDArray[np.float64]
GROUPS = 16
FEWEST = 5
"""So many values left out are needed for an interval."""


def group_of(unit: str, *, key: str = "groups", groups: int = GROUPS) -> int:
    """The group of a unit."""
    return rank_of(unit, key) % groups


def interval(
    estimate: float,
    left_out: Floats,
    *,
    low: float | None = None,
    high: float | None = None,
    level: float = 0.95,
) -> Interval | None:
    """The interval of a statistic, cut at its possible values; `None` below `FEWEST` defined values left out.

    Args:
        left_out: (G,), the statistic without each unit or group; NaN where undefined.
    """
    known = left_out[np.isfinite(left_out)]
    count = known.size
    if count < FEWEST or count < left_out.size:
        return None
    error = float(np.sqrt((count - 1) / count * np.sum((known - known.mean()) ** 2)))
    ends = t_interval(estimate, error, count - 1, level=level)
    lower, upper = (float(end) for end in ends)
    return Interval(
        low=lower if low is None else max(lower, low),
        high=upper if high is None else min(upper, high),
        level=level,
        method="jackknife_t",
    )
