"""Contrasts of several quantities of one table of prompts, corrected together by Holm, with each side's own value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy.typing as npt

from afterburn_behaviour.contrasts import Asked
from afterburn_behaviour.units import SIDES, UnitTable
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.stats.contrast import Contrast, as_measurement, undefined
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import mean, paired_contrasts, paired_rates, rate


def contrast(table: UnitTable, asked: Asked, *, seed: int) -> Contrast:
    """trained − base of one quantity, paired by prompt."""
    paired = table.paired(asked.key)
    if not paired.probes:
        return undefined("no prompt has it on both sides")
    if asked.scale == "rate":
        return paired_rates(paired.base, paired.trained, clusters=paired.clusters, seed=seed, identical=table.identical)
    return paired_means(paired.difference, clusters=paired.clusters, seed=seed, identical=table.identical)


def paired_means(differences: npt.ArrayLike, *, clusters: Sequence[str] | None, seed: int, identical: bool) -> Contrast:
    """The contrast of means. Differences that are all 0 are equality only where the texts are `identical`."""
    groups = None if clusters is None else {"": clusters}
    return paired_contrasts({"": differences}, clusters=groups, seed=seed, identical=identical)[""]


def sides(table: UnitTable, asked: Asked, *, scope: Scope, seed: int) -> list[Measurement]:
    """Each side's own value of one quantity."""
    found = []
    for side in SIDES:
        one = table.one_side(asked.key, side)
        estimate = rate if asked.scale == "rate" else mean
        own = estimate(one.values, clusters=one.clusters, seed=seed)
        found.append(as_measurement(own, asked.metric, subjects=(side,), scope=scope))
    return found


def corrected(
    contrasts: Mapping[Asked, Contrast], *, family: str, scope: Scope, left_out: str | None = None
) -> list[Measurement]:
    """The contrasts as measurements, corrected together by Holm's method."""
    done = adjust(contrasts, family=family, method="holm")
    return [as_measurement(_noted(one, asked.note, left_out), asked.metric, scope=scope) for asked, one in done.items()]


def measured(table: UnitTable, asked: Sequence[Asked], *, family: str, scope: Scope, seed: int) -> list[Measurement]:
    """Sides and contrasts of a whole family."""
    own = [m for one in asked for m in sides(table, one, scope=scope, seed=seed)]
    contrasts = {one: contrast(table, one, seed=seed) for one in asked}
    return [*own, *corrected(contrasts, family=family, scope=scope, left_out=table.answers().note)]


def _noted(one: Contrast, *notes: str | None) -> Contrast:
    told = [note for note in (one.reason, *notes) if note]
    return attrs.evolve(one, reason="; ".join(told) or None)
