"""What `sae.features` measures of each dictionary: its fit, how many features changed, and the largest changes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Effect, Measurement, Scope, Test
from afterburn_core.stats.contrast import Contrast, as_measurement
from afterburn_sae.features_artifact import Reading
from afterburn_sae.features_options import NOBODY_SUSPECTED
from afterburn_sae.features_outlier import Outlier
from afterburn_sae.validity import SIDES

FVU, L0 = "sae.fvu", "sae.l0"
CHANGED, SHARE, DIFFERENCE = "sae.features.changed", "sae.features.changed_share", "sae.feature.difference"
METRICS = (FVU, L0, CHANGED, SHARE, DIFFERENCE)
OUTLIER = "sae.features.outlier"
NOT_VALID = "not valid here"
MEASURED = 10
"""Features of each dictionary whose differences are measurements; the artifact has more."""
NAMED = 4
"""Features that are named of what sets a suspected group apart."""
_BLOCK = re.compile(r"blocks\.(\d+)\.")


def measured(one: Reading) -> Iterator[Measurement]:
    """Everything of one dictionary."""
    scope = scope_of(one.site, one.name)
    for metric, sides in ((FVU, one.fvu), (L0, one.l0)):
        for side in SIDES:
            contrast = attrs.evolve(sides[side], reason=one.refused) if one.refused else sides[side]
            yield as_measurement(contrast, metric, subjects=(side,), scope=scope)
    if one.outlier is None:
        yield undefined(OUTLIER, NOBODY_SUSPECTED, scope=scope)
    else:
        yield _outlier(one.outlier if one.refused is None else f"{NOT_VALID}: {one.refused}", scope)
    tested = one.changes
    if tested is None:
        reason = f"{NOT_VALID}: {one.refused}"
        yield from (undefined(metric, reason, scope=scope, n=0) for metric in METRICS[2:])
        return
    count, n = int(tested.tested.sum()), tested.prompts
    if not count:
        reason = f"no feature differs in enough of the {n} prompts to be tested"
        equal = bool((tested.difference == 0).all()) and n > 0
        if not equal:
            yield from (undefined(metric, reason, scope=scope, n=n) for metric in METRICS[2:])
            return
    changed = int((tested.changed != 0).sum())
    up = int((tested.changed > 0).sum())
    told = f"{up} up, {changed - up} down of {count} tested; false discovery rate {tested.alpha:g}"
    told += f"; {one.contrast[0]} less {one.contrast[1]}" if one.contrast else ""
    yield measure(CHANGED, changed, scope=scope, n=n, reason=told)
    yield measure(SHARE, changed / count if count else 0.0, scope=scope, n=n, reason=told)
    for i in one.listed[:MEASURED]:
        contrast = Contrast(
            n=n,
            estimate=float(tested.difference[i]),
            interval=one.intervals.get(i),
            test=Test(
                name="sign_flip",
                p_value=float(tested.p[i]),
                p_adjusted=float(tested.p_adjusted[i]) if count > 1 else None,
                correction="bh" if count > 1 else None,
                family=f"{DIFFERENCE}.{one.name}",
            ),
            effect=None if tested.d_z[i] != tested.d_z[i] else Effect(name="cohens_dz", value=float(tested.d_z[i])),
        )
        yield as_measurement(contrast, DIFFERENCE, scope=scope_of(one.site, f"{one.name}/{tested.features[i]}"))


def _outlier(found: Outlier | str, scope: Scope) -> Measurement:
    if isinstance(found, str):
        return undefined(OUTLIER, found, scope=scope, n=0)
    count = len(found.groups)
    told = f"{found.name} {found.suspect} is number {found.rank} of {count} by its distance from the others' mean over "
    told += f"{found.wordings} wordings; p cannot be below 1/{count}"
    named = ", ".join(f"{found.features[i]} ({found.carried[i]:.0%})" for i in found.carrying[:NAMED])
    told += f"; carried by features {named}" if named else ""
    test = Test(name="rank_among_groups", p_value=found.p, statistic=found.distance)
    contrast = Contrast(n=count, estimate=found.share, test=test, reason=told)
    return as_measurement(contrast, OUTLIER, scope=scope)


def scope_of(site: str | None, subset: str) -> Scope:
    """The scope of a measurement at a site."""
    match = _BLOCK.match(site or "")
    return Scope(layer=None if match is None else int(match[1]), site=site, subset=subset)
