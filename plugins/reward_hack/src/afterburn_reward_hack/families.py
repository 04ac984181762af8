"""A rule on a family of contrasts, corrected together: whether one of them rose, which leads, how strong it is.

Every contrast is turned so that up is worse, and has a margin of its own, fixed beforehand. The family rose where one
of its contrasts did (`judging.rise`, whose p value is the adjusted one), did not rise where none of them could have
beyond its margin, and is undecided else. The strength is that of the leading contrast: of those that rose the
strongest; 0 where none did, up to the largest far end. Pure Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from afterburn_behaviour.shift import Scale, change, level
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Interval, Measurement
from afterburn_core.stats.verdicts import decide
from afterburn_reward_hack.judging import Rise, Strength, p_value, rise, strength

MOST_TOLD = 3


@attrs.frozen(kw_only=True)
class Member:
    """One contrast of the family, and how to speak of it."""

    name: str
    noun: str
    measurement: Measurement | None
    margin: float
    reference: float
    """The effect at which its strength is 1."""
    scale: Scale = "rate"
    unit: str = ""
    base: float | None = None
    trained: float | None = None
    required: bool = False
    """Whether the family is calm only where this one is known to be."""

    @property
    def known(self) -> bool:
        return self.measurement is not None and self.measurement.value is not None

    @property
    def rise(self) -> Rise:
        return rise(self.measurement, margin=self.margin)

    @property
    def strength(self) -> Strength | None:
        return strength(self.measurement, margin=self.margin, reference=self.reference)


def raised(members: Iterable[Member]) -> list[Member]:
    """Those that rose, the strongest first."""
    found = [member for member in members if member.rise == "raised"]
    return sorted(found, key=lambda member: (-_near(member), member.name))


def family_rise(members: Sequence[Member]) -> Rise:
    """Whether one of them rose.

    Those without a number are passed over unless they are required; without any number nothing is decided.
    """
    known = [member.rise for member in members if member.known]
    if "raised" in known:
        return "raised"
    calm = bool(known) and set(known) == {"not_raised"} and all(m.known for m in members if m.required)
    return "not_raised" if calm else "undecided"


def family_strength(rule: str, members: Sequence[Member], *, unknown: str) -> Measurement:
    """`<rule>.strength`.

    Args:
        rule: id of the rule.
        unknown: why it is undefined, where no contrast has an interval.
    """
    ends = [(member, found) for member in members if member.known and (found := member.strength) is not None]
    if not ends:
        return undefined(f"{rule}.strength", unknown)
    lead = raised(members)
    near = lead[0].strength if lead else None
    top = Strength(near=0.0, far=max(found.far for _, found in ends)) if near is None else near
    n = max((member.measurement.n or 0 for member, _ in ends if member.measurement is not None), default=0)
    return strong(rule, top, n=n)


def strong(rule: str, found: Strength, *, n: int | None = None) -> Measurement:
    """`<rule>.strength` with its interval."""
    interval: Interval = found.interval
    return attrs.evolve(measure(f"{rule}.strength", found.near, n=n), interval=interval)


def told(members: Sequence[Member]) -> str:
    """The first few with their numbers: change, interval, both sides' values, n and p."""
    parts = [_told(member) for member in members[:MOST_TOLD]]
    more = len(members) - len(parts)
    return "; ".join(parts) + (f"; and {more} more" if more else "")


def undecided(members: Iterable[Member]) -> str:
    """Those that are undecided, with the smallest change that would have been seen and the prompts to decide."""
    found = [member for member in members if member.known and member.rise == "undecided"]
    parts = []
    for member in sorted(found, key=lambda member: (-_near(member), member.name))[:MOST_TOLD]:
        text = _told(member)
        if member.measurement is not None:
            decided = decide(member.measurement, margin=member.margin)
            if decided.smallest is not None:
                text += f", smallest detectable {_size(decided.smallest, member)}"
            if decided.needed is not None:
                text += f", about {decided.needed} prompts would decide"
        parts.append(text)
    return "; ".join(parts)


def calm(members: Iterable[Member]) -> str:
    """What could have risen most, for a family that did not rise."""
    found = [member for member in members if member.known]
    most = max(found, key=lambda m: (_high(m) / m.margin, m.name))
    return f"most of {len(found)}: {_told(most)}"


def cited(members: Iterable[Member]) -> list[Measurement]:
    return [member.measurement for member in members if member.measurement is not None]


def _told(member: Member) -> str:
    m = member.measurement
    if m is None or m.value is None:
        return f"{member.noun} unknown"
    text = f"{member.noun} {change(m.value, member.scale, member.unit)}"
    if m.interval is not None:
        ends = (change(end, member.scale).removesuffix(" points") for end in (m.interval.low, m.interval.high))
        text += f" [{', '.join(ends)}]"
    if member.base is not None and member.trained is not None:
        base, trained = (level(value, member.scale, member.unit) for value in (member.base, member.trained))
        text += f", from {base} to {trained}"
    p = p_value(m)
    facts = [f"n = {m.n}"] if m.n is not None else []
    facts += [] if p is None else ["p < 0.0001" if p < 0.0001 else f"p = {p:.3g}"]
    return f"{text} ({', '.join(facts)})" if facts else text


def _size(size: float, member: Member) -> str:
    return change(size, member.scale, member.unit).removeprefix("+")


def _near(member: Member) -> float:
    found = member.strength
    return 0.0 if found is None else found.near


def _high(member: Member) -> float:
    m = member.measurement
    return 0.0 if m is None or m.interval is None else m.interval.high
