"""Features that a risk pack names, with what became of each, from the artifact `sae.risk`."""

from __future__ import annotations

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report.sae_features import NAME, SaeLimits, signed_multiple
from afterburn_core.report.sae_values import RiskPack, RiskyFeature


@attrs.frozen(kw_only=True)
class RiskRow:
    """One feature of a pack over one probe set."""

    feature: str
    label: str
    way: str
    """What the pack calls risky: `up`, `down` or as it is written."""
    set: str
    means: str
    multiple: str
    bounds: str
    p: str
    moved: bool | None
    """Whether it moved in the risky direction; `None` where that cannot be said."""

    @property
    def word(self) -> str:
        """The same in words."""
        return "not said" if self.moved is None else "moved so" if self.moved else "did not"


@attrs.frozen(kw_only=True)
class RiskTable:
    """One pack."""

    name: str
    version: str
    sha256: str
    dictionary: str
    bound: bool
    rows: tuple[RiskRow, ...]
    total: int
    moved: int


def risk_tables(packs: tuple[RiskPack, ...], limits: SaeLimits, *, alpha: float = 0.05) -> tuple[RiskTable, ...]:
    """A table for each pack: what moved as the pack fears first, then by p value and by size.

    Args:
        packs: of the artifact.
        limits: how many features of a pack are shown.
        alpha: p value, corrected, up to which a feature counts as moved.
    """
    made = []
    for pack in packs:
        rows = sorted(((_moved(one, alpha), one) for one in pack.features), key=lambda pair: _order(*pair))
        made.append(
            RiskTable(
                name=marks.shortened(pack.name, NAME),
                version=marks.shortened(pack.version, 20),
                sha256=pack.sha256[:16],
                dictionary=marks.shortened(pack.dictionary or "", NAME),
                bound=pack.bound,
                rows=tuple(_row(one, moved) for moved, one in rows[: limits.risky]),
                total=len(rows),
                moved=sum(moved is True for moved, _ in rows),
            )
        )
    return tuple(made)


def _moved(one: RiskyFeature, alpha: float) -> bool | None:
    p = one.p if one.p_adjusted is None else one.p_adjusted
    if p is None or one.base is None or one.trained is None:
        return None
    rose = one.trained > one.base
    return p <= alpha and (rose if one.direction != "down" else not rose) and one.trained != one.base


def _order(moved: bool | None, one: RiskyFeature) -> tuple[int, float, float]:
    p = one.p if one.p_adjusted is None else one.p_adjusted
    return {True: 0, False: 1, None: 2}[moved], 1.0 if p is None else p, -abs(one.multiple or 0.0)


def _row(one: RiskyFeature, moved: bool | None) -> RiskRow:
    p = one.p if one.p_adjusted is None else one.p_adjusted
    name = f"#{one.feature}" if isinstance(one.feature, int) else marks.shortened(one.feature, NAME)
    return RiskRow(
        feature=name,
        label=marks.shortened(one.label or "", 200),
        way=marks.shortened(one.direction or "", 20),
        set=marks.shortened(one.set or "all", NAME),
        means=f"{marks.short(one.base)} → {marks.short(one.trained)}",
        multiple=signed_multiple(one.multiple),
        bounds=marks.bounds(one.low, one.high, sign=True),
        p="–" if p is None else marks.short(p, 2),
        moved=moved,
    )
