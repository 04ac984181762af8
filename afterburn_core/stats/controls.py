"""Where a value lies among K controls: a rank first, a t only under a stated assumption.

    p = (1 + #{k : T_k ≥ T})/(K + 1)                       exact if value and controls are exchangeable
    t = (T − x̄)/(s √(1 + 1/K)), K − 1 degrees of freedom    if the controls are normal; s with K − 1

Below 19 controls the rank cannot reach .05; the t value is given then, and its assumption has to be printed with it. A
z value is never given. Controls without spread are degenerate: no rank and no t.

`among` is the rank alone, for contrasts of a trained model with its base beside the same contrasts of controls. A
control that lacks the number counts as extreme, which can only make p larger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import attrs
from scipy import special

from afterburn_core.result.model import Null

ENOUGH = 19
Alternative = Literal["greater", "less", "two_sided"]


Sense = Literal["greater", "distance"]
"""What makes a contrast extreme: its size as it is, or its distance from the value that says "no change"."""
_TIES = 1e-12
"""Relative: what lies this near counts as a tie, so that rounding never makes a value extreme."""


@attrs.frozen(kw_only=True)
class Standing:
    """A value among controls."""

    null: Null | None
    """Rank evidence as the document stores it; `None` where the controls say nothing."""
    t: float | None = None
    """Distance in prediction standard errors; only below 19 controls, and under normality alone."""
    t_p_value: float | None = None
    """p value of `t`, under normality."""
    reason: str | None = None
    """Why there is no rank, or what limits it."""


def standing(
    value: float, controls: Sequence[float], *, control: str = "control", alternative: Alternative = "greater"
) -> Standing:
    """The value's rank among `controls`, named `control` in the document.

    Two-sided p values are twice the smaller tail, so that they need 39 controls for .05.
    """
    value, controls = float(value), [float(x) for x in controls]
    k = len(controls)
    if not k:
        return Standing(null=None, reason="no control")
    if not all(math.isfinite(x) for x in (value, *controls)):
        return Standing(null=None, reason="a control's value is not finite")
    centre = math.fsum(controls) / k
    if max(controls) - min(controls) <= 1e-12 * max(abs(x) for x in controls):
        return Standing(null=None, reason=f"degenerate control: {k} controls without spread")
    upper = (1 + sum(x >= value for x in controls)) / (k + 1)
    lower = (1 + sum(x <= value for x in controls)) / (k + 1)
    p = {"greater": upper, "less": lower, "two_sided": min(1.0, 2 * min(upper, lower))}[alternative]
    null = Null(control=control, n=k, quantile=sum(x <= value for x in controls) / k, p_value=p)
    if k >= ENOUGH:
        return Standing(null=null)
    spread = math.sqrt(math.fsum((x - centre) ** 2 for x in controls) / (k - 1))
    t = (value - centre) / (spread * math.sqrt(1 + 1 / k))
    tails = {"greater": -t, "less": t, "two_sided": -abs(t)}
    p_t = float(special.stdtr(k - 1, tails[alternative])) * (2 if alternative == "two_sided" else 1)
    reason = f"{k} controls: no rank p value below {1 / (k + 1):.3g} is possible; t assumes normal controls"
    return Standing(null=null, t=t, t_p_value=p_t, reason=reason)


def least_p_value(controls: int) -> float:
    """The smallest p value that so many controls can give, 1/(K + 1)."""
    return 1 / (controls + 1)


def among(
    value: float, controls: Sequence[float | None], *, control: str, sense: Sense = "distance", neutral: float = 0.0
) -> Null | None:
    """The rank of a contrast among the same contrasts of controls; `None` where they say nothing.

        p = (1 + #{k : T_k ≥ T} + #{k : T_k is missing})/(K + 1),     T = value or |value − neutral|

    Exact if value and controls are exchangeable, and never below 1/(K + 1). The quantile is the share of the controls'
    values, as they are, that do not exceed the value.

    Args:
        value: Of the trained model.
        controls: Of K controls of one kind; `None` where a control has no such number.
        control: Their name in the document.
        sense: `greater` for quantities that are larger for more change; `distance` for those that go either way.
        neutral: The value that says "no change".

    Returns:
        `None` where fewer than half of the controls have the number, or where several have all the same.
    """
    known = [float(x) for x in controls if x is not None and math.isfinite(x)]
    k = len(controls)
    if not known or 2 * len(known) < k or not math.isfinite(value) or degenerate(controls):
        return None

    def size(x: float) -> float:
        return x if sense == "greater" else abs(x - neutral)

    slack = _TIES * max(abs(size(value)), *(abs(size(x)) for x in known))
    beyond = sum(size(x) >= size(value) - slack for x in known)
    below = sum(x <= value + slack for x in known)
    return Null(control=control, n=k, quantile=below / k, p_value=(1 + beyond + k - len(known)) / (k + 1))


def degenerate(controls: Sequence[float | None]) -> bool:
    """Whether several controls have one and the same value, so that they show no spread."""
    known = [float(x) for x in controls if x is not None and math.isfinite(x)]
    return len(known) > 1 and max(known) - min(known) <= _TIES * max(abs(x) for x in known)
