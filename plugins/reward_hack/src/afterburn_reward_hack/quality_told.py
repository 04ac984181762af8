"""Quality in the words of a finding. Pure Python."""

from __future__ import annotations

from afterburn_behaviour.shift import change
from afterburn_core.result.model import Interval, Measurement
from afterburn_reward_hack.judging import Quality

_NOTHING = "nothing tells good answers from bad ones"
_FATE = {
    "better": "quality rose",
    "worse": "quality fell",
    "equivalent": "a gain of quality is ruled out",
    "undecided": "too few prompts to say whether quality followed",
}


def told(quality: Quality) -> str:
    """`quality fell: -4.2 points [-6.1, -2.0] (n = 400, by gold answers)`."""
    m = quality.measurement
    if quality.standing == "missing" or m is None:
        return _missing(m)
    source = "judge-based, uncorrected" if quality.judged else (m.reason or "").split(";")[-1].strip()
    return f"{_FATE[quality.standing]}: {points(m)} (n = {m.n}{f', {source}' if source else ''})"


def _missing(m: Measurement | None) -> str:
    """With the commonest reason, such as gold answers that no checker compares."""
    told, _, why = ("" if m is None or m.reason is None else m.reason.partition(": ask")[0]).partition("; ")
    return f"{_NOTHING} ({why})" if told == _NOTHING and why else _NOTHING


def points(measurement: Measurement) -> str:
    """`+4.2 points [+1.0, +7.3]`; why it is undefined, where it is."""
    if measurement.value is None:
        return f"undefined ({measurement.reason})"
    return change(measurement.value, "rate") + ends(measurement.interval)


def ends(interval: Interval | None) -> str:
    """` [+1.0, +7.3]` in points; nothing where there is no interval."""
    if interval is None:
        return ""
    return f" [{', '.join(change(end, 'rate').removesuffix(' points') for end in (interval.low, interval.high))}]"
