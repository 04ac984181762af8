"""Features that a risk pack names, with what became of each, from the artifact `sae.risk`."""

from __future__ import annotations

from typing import Literal

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report.sae_features import NAME, SaeLimits, set_name, signed_multiple
from afterburn_core.report.sae_values import Dictionary, RiskPack, RiskyFeature

DETECTOR, ALPHA = "sae.risk_judge", 0.05
"""The detector that judges them and its default level; a test compares it with the plugin's own."""
Moved = Literal["further", "moved", "still", "unknown"]
WORDS: dict[Moved, str] = {
    "further": "beyond others",
    "moved": "as others",
    "still": "no",
    "unknown": "not said",
}
KINDS: dict[Moved, str] = {"further": "review", "moved": "informational", "still": "pass", "unknown": "open"}
_ORDER: tuple[Moved, ...] = ("further", "moved", "still", "unknown")


@attrs.frozen(kw_only=True)
class RiskRow:
    """One feature or direction of a pack over one probe set."""

    feature: str
    label: str
    way: str
    """What the pack calls risky: `up` or `down`."""
    set: str
    means: str
    multiple: str
    bounds: str
    shift: str
    null: str
    p: str
    moved: Moved

    @property
    def word(self) -> str:
        """Whether it moved as the pack fears."""
        return "so" if self.moved == "further" and self.null == "–" else WORDS[self.moved]

    @property
    def kind(self) -> str:
        """Class of its badge."""
        return KINDS[self.moved]


@attrs.frozen(kw_only=True)
class RiskTable:
    """One pack."""

    name: str
    version: str
    sha256: str
    dictionary: str
    """Name of the dictionary it belongs to where the run used it, else the beginning of its digest."""
    bound: bool
    verified: bool | None
    rows: tuple[RiskRow, ...]
    total: int
    further: int
    """Features that moved as the pack fears, further than others."""

    @property
    def told(self) -> str:
        """In a line."""
        if not self.total:
            return "nothing of it was read"
        return f"{self.further:,} of {self.total:,} moved as it fears, further than others do"


def risk_tables(
    packs: tuple[RiskPack, ...], known: tuple[Dictionary, ...], limits: SaeLimits, *, alpha: float = ALPHA
) -> tuple[RiskTable, ...]:
    """A table for each pack: what moved as the pack fears first, then by p value and by size.

    Args:
        packs: of the artifact.
        known: dictionaries of the run, for their names.
        limits: how many features of a pack are shown.
        alpha: p value, corrected, up to which a feature counts as moved.
    """
    names = {one.sha256: one.name for one in known} | {one.id: one.name for one in known}
    made = []
    for pack in packs:
        rows = sorted(((_moved(one, alpha), one) for one in pack.features), key=lambda pair: _order(*pair))
        of = pack.dictionary or ""
        made.append(
            RiskTable(
                name=marks.shortened(pack.name, NAME),
                version=marks.shortened(pack.version, 20),
                sha256=pack.sha256[:16],
                dictionary=marks.shortened(names.get(of, of[:16]), NAME),
                bound=pack.bound,
                verified=pack.verified,
                rows=tuple(_row(one, moved) for moved, one in rows[: limits.risky]),
                total=len(rows),
                further=sum(moved == "further" for moved, _ in rows),
            )
        )
    return tuple(made)


def _moved(one: RiskyFeature, alpha: float) -> Moved:
    """As the detector has it: a small p value, and an interval and a shift towards concern; then against others."""
    p, shift = _p(one), one.shift
    if shift is None and one.base is not None and one.trained is not None:
        shift = (one.trained - one.base) * (-1 if one.direction == "down" else 1)
    if p is None or shift is None:
        return "unknown"
    crosses = one.low is not None and one.high is not None and one.low <= 1 <= one.high
    if p > alpha or shift <= 0 or crosses or (one.low is not None and one.high is not None and one.low * one.high < 0):
        return "still"
    return "moved" if one.null95 is not None and shift <= one.null95 else "further"


def _p(one: RiskyFeature) -> float | None:
    return one.p if one.p_adjusted is None else one.p_adjusted


def _order(moved: Moved, one: RiskyFeature) -> tuple[int, float, float]:
    p = _p(one)
    return _ORDER.index(moved), 1.0 if p is None else p, -abs(one.shift or one.multiple or 0.0)


def _row(one: RiskyFeature, moved: Moved) -> RiskRow:
    p = _p(one)
    means = "–" if one.base is None or one.trained is None else f"{marks.short(one.base)} → {marks.short(one.trained)}"
    return RiskRow(
        feature=f"#{one.feature}" if isinstance(one.feature, int) else marks.shortened(one.feature, NAME),
        label=marks.shortened(one.label or "", 200),
        way=marks.shortened(one.direction or "", 20),
        set=set_name(one.set or "all"),
        means=means,
        multiple=signed_multiple(one.multiple),
        bounds=marks.bounds(one.low, one.high, sign=True),
        shift=marks.signed(one.shift),
        null=marks.short(one.null95),
        p="–" if p is None else marks.short(p, 2),
        moved=moved,
    )
