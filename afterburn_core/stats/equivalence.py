"""Two one-sided tests against a margin fixed beforehand, and non-inferiority (Schuirmann 1987).

p = max(P(T ≥ t_low), P(T ≤ t_high)), t_low = (d̄ + m)/SE, t_high = (d̄ − m)/SE with n − 1 degrees of freedom; for
paired rates the score of Tango (1998) at ±m takes the place of t, so that p ≤ α exactly where his interval of level
1 − 2α lies inside ±m. Non-inferiority is the first of the two tests alone.

Detectors decide equivalence by the stored 95 % interval (`afterburn_core.stats.verdicts`), which is stricter than
p ≤ .05 here. These functions serve whoever needs the p value.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt
from scipy import special

from afterburn_core.stats.clusters import standard_error
from afterburn_core.stats.estimates import column
from afterburn_core.stats.intervals import tango_score


@attrs.frozen(kw_only=True)
class Equivalence:
    """Outcome of two one-sided tests."""

    name: str
    """`ttost` for means, `tango_tost` for paired rates."""
    n: int
    """Units, or clusters."""
    margin: float
    """The margin, in the unit of the difference."""
    p_above: float
    """p value of "the difference is −margin or less"; small shows non-inferiority of the trained side."""
    p_below: float
    """p value of "the difference is +margin or more"."""

    @property
    def p_value(self) -> float:
        """p value of "the difference lies outside ±margin"."""
        return max(self.p_above, self.p_below)


def ttost(differences: npt.ArrayLike, *, margin: float, clusters: Sequence[str] | None = None) -> Equivalence:
    """Two one-sided paired t tests of the mean difference.

    Without spread (all differences equal) the p values are 0 or 1; below two units they are 1.

    Raises:
        ValueError: The margin is not positive, or values that are infinite or not one-dimensional.
    """
    _positive(margin)
    one = column(differences, clusters)
    if one.groups < 2:
        return Equivalence(name="ttost", n=one.groups, margin=margin, p_above=1.0, p_below=1.0)
    if one.constant:
        above, below = float(one.mean <= -margin), float(one.mean >= margin)
        return Equivalence(name="ttost", n=one.groups, margin=margin, p_above=above, p_below=below)
    error = float(standard_error(one.sums[:, None], one.sizes[:, None])[0])
    degrees = one.groups - 1
    return Equivalence(
        name="ttost",
        n=one.groups,
        margin=margin,
        p_above=float(special.stdtr(degrees, -(one.mean + margin) / error)),
        p_below=float(special.stdtr(degrees, (one.mean - margin) / error)),
    )


def rate_tost(gained: int, lost: int, n: int, *, margin: float) -> Equivalence:
    """Two one-sided score tests of the paired difference of rates (gained − lost)/n.

    Raises:
        ValueError: The margin does not lie in (0, 1), or the counts do not fit n.
    """
    _positive(margin)
    if margin >= 1 or min(gained, lost) < 0 or n < max(gained + lost, 1):
        raise ValueError(
            f"({gained}, {lost}, {n}) and margin {margin}: counts of pairs and a margin below 1 are needed"
        )
    b, c, size, at = (np.array([float(x)] * 2) for x in (gained, lost, n, 0.0))
    at[:] = -margin, margin
    scores = tango_score(b, c, size, at)
    return Equivalence(
        name="tango_tost",
        n=n,
        margin=margin,
        p_above=float(special.ndtr(-scores[0])),
        p_below=float(special.ndtr(scores[1])),
    )


def _positive(margin: float) -> None:
    if not (margin > 0 and np.isfinite(margin)):
        raise ValueError(f"the margin must be a positive number, not {margin!r}")
