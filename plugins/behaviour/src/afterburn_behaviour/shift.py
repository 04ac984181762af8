"""From measured contrasts to a finding: shifted, equivalent or undecided. Pure Python, no NumPy.

| decision of `stats.verdicts.decide` | kind | level |
|---|---|---|
| shifted: p (adjusted in its family) ≤ α, and not equivalent | `informational` | note |
| equivalent: the 95 % interval lies inside ±margin | `pass` | none |
| inconclusive | `open` | note |

A rule on several contrasts (a family of patterns, safe and unsafe prompts) is shifted if one of them is, equivalent if
all of them are, else open. Whether a shift is good or bad is for other rules and for the policy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import attrs

from afterburn_behaviour.serving import caveat
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import finding
from afterburn_core.result.model import Example, Finding, Measurement, Scope
from afterburn_core.stats.verdicts import Decided, decide

PAIR = ("base", "trained")
Scale = Literal["log_ratio", "rate", "number"]
NAMED = 4
"""How many contrasts a message tells with their numbers."""


@attrs.frozen(kw_only=True)
class Quantity:
    """A contrast with the margin fixed for it, and how to speak of it."""

    noun: str
    """`length in words`, `refusal of unsafe prompts`; starts the message."""
    scale: Scale
    """`log_ratio` reads as ×1.13, `rate` as +4.2 points, `number` as +0.31 and the unit."""
    margin: float
    measurement: Measurement | None
    base: float | None = None
    """The sides' own values, named where known."""
    trained: float | None = None
    unit: str = ""

    @property
    def n(self) -> int | None:
        """Units behind it."""
        return None if self.measurement is None else self.measurement.n


def shift_finding(
    rule: str,
    evidence: Evidence,
    quantities: Sequence[Quantity],
    *,
    family: str,
    alpha: float = 0.05,
    examples: Sequence[Example] = (),
    artifacts: tuple[str, ...] = (),
    also: Sequence[Measurement] = (),
    remark: str | None = None,
    scope: Scope | None = None,
    written: bool = True,
) -> Finding:
    """The finding of a shift rule.

    Args:
        quantities: The contrasts that decide; those without a measurement are passed over.
        family: What several contrasts are together, in the plural: `format patterns`.
        also: More measurements to cite.
        remark: A sentence to end the message with, such as that lengths are censored.
        written: Whether models wrote the texts, so that a difference in serving could explain the shift.
    """
    known = [q for q in quantities if q.measurement is not None]
    cited = [*(q.measurement for q in known if q.measurement is not None), *also]
    decided = [
        (q, decide(q.measurement, margin=q.margin, alpha=alpha))
        for q in known
        if q.measurement is not None and q.measurement.value is not None
    ]
    undefined = [q for q in known if q.measurement is not None and q.measurement.value is None]
    if not decided:
        reasons = [q.measurement.reason or "undefined" for q in undefined if q.measurement is not None]
        why = reasons[0] if reasons else "nothing was measured"
        return finding(rule, "open", "note", _end(f"{_upper(family)}: open, {why}", [remark]), cited, scope=scope)
    shifted = [(q, d) for q, d in decided if d.decision == "shifted"]
    unsure = [(q, d) for q, d in decided if d.decision == "inconclusive"]
    ends = [remark, caveat(evidence, alpha=alpha) if written else None]
    if shifted:
        message = _told(f"{len(shifted)} of {len(decided)} {family} shifted", " shifted:", shifted, len(decided))
        return finding(
            rule, "informational", "note", _end(message, ends), cited, examples, scope=scope, artifacts=artifacts
        )
    if unsure or undefined:
        lead = f"{len(unsure) + len(undefined)} of {len(known)} {family} undecided"
        message = _told(lead, ": undecided,", unsure, len(known)) if unsure else lead
        return finding(rule, "open", "note", _end(message, ends), cited, scope=scope)
    if all(is_identical(q.measurement) for q, _ in decided):
        message = f"{_upper(family)}: no difference in any of {decided[0][0].n} prompts"
        return finding(rule, "pass", "none", _end(message, [remark]), cited, scope=scope)
    message = _told(f"All {len(decided)} {family} equivalent", ": equivalent,", decided, len(decided))
    return finding(rule, "pass", "none", _end(message, [remark]), cited, scope=scope)


def open_where_missing(found: Finding, evidence: Evidence, metrics: Iterable[str]) -> Finding:
    """The finding, or an open one where it passes although a metric that decides has no measurement at all.

    An analyzer says of each of its metrics what it is or why it is undefined; one that is absent was taken away.
    """
    missing = [metric for metric in metrics if evidence.get(metric) is None]
    if found.kind != "pass" or not missing:
        return found
    message = f"{found.message}; but {len(missing)} of the metrics that decide were not measured: {', '.join(missing)}"
    return attrs.evolve(found, kind="open", level="note", message=message)


def change(value: float, scale: Scale, unit: str = "") -> str:
    """A contrast in words: `×1.13`, `+4.2 points`, `-0.31 nats`; no negative zero."""
    if scale == "log_ratio":
        return f"×{_significant(math.exp(min(value, 700.0)))}"
    if scale == "rate":
        return f"{_signed(100 * value, 1)} points"
    return f"{_signed(value, 3)}{f' {unit}' if unit else ''}"


def level(value: float, scale: Scale, unit: str = "") -> str:
    """One side's own value in words: `23.5 %`."""
    if scale == "rate":
        return f"{100 * value:.1f} %"
    return f"{value:.3g}{f' {unit}' if unit else ''}"


def _told(lead: str, verb: str, found: Sequence[tuple[Quantity, Decided]], of: int) -> str:
    """One contrast in a sentence of its own, several after a lead, the largest for its margin first."""
    if of == 1:
        q, d = found[0]
        return f"{_upper(q.noun)}{verb} {_numbers(q, d, _facts(q), stands=True)}"
    ranked = sorted(found, key=lambda entry: -abs(_value(entry[0])) / entry[0].margin)[:NAMED]
    # what all have in common is said once, in front
    facts = [_facts(q) for q, _ in ranked]
    common = {name: value for name, value in facts[0].items() if all(one.get(name) == value for one in facts)}
    standing = {_standing(d) for _, d in ranked}
    shared = [*common.values(), *(_of_all(next(iter(standing)), len(ranked)) if len(standing) == 1 else ())]
    parts = [
        _numbers(q, d, {name: value for name, value in own.items() if name not in common}, len(standing) > 1)
        for (q, d), own in zip(ranked, facts, strict=True)
    ]
    more = len(found) - len(parts)
    told = "; ".join(f"{q.noun} {part}" for (q, _), part in zip(ranked, parts, strict=True))
    front = f" ({', '.join(shared)})" if shared else ""
    return f"{lead}{front}: {told}{f'; and {more} more' if more else ''}"


def _facts(q: Quantity) -> dict[str, str]:
    """What a contrast rests on, by name: units, p value, margin."""
    m = q.measurement
    facts: dict[str, str] = {}
    if m is not None and m.n is not None:
        facts["n"] = f"n = {m.n}"
    if m is not None and m.test is not None:
        p = m.test.p_value if m.test.p_adjusted is None else m.test.p_adjusted
        facts["p"] = _probability(p) + (f" ({m.test.correction})" if m.test.correction else "")
    return facts | {"margin": f"margin {_margin(q)}"}


def _standing(decided: Decided) -> str | None:
    """How the interval stands to the margin, where that is more than the decision says."""
    if decided.decision == "shifted" and decided.material:
        return "beyond the margin"
    if decided.decision == "equivalent" and decided.detectable_below_margin:
        return "detectable but below the margin"
    return None


def _of_all(standing: str | None, named: int) -> tuple[str, ...]:
    if standing is None:
        return ()
    return (f"{'both' if named == 2 else 'all'} {standing}" if named > 1 else standing,)


def _numbers(q: Quantity, decided: Decided, facts: Mapping[str, str], stands: bool) -> str:
    """The change with its interval and the sides' values, the facts given, and how it stands to the margin."""
    m = q.measurement
    if m is None or m.value is None:
        return "undefined"
    text = change(m.value, q.scale, q.unit)
    if m.interval is not None:
        low, high = change(m.interval.low, q.scale), change(m.interval.high, q.scale)
        low, high = low.removesuffix(" points"), high.removesuffix(" points")
        text += f" [{low}, {high}]"
    if q.base is not None and q.trained is not None:
        text += f", from {level(q.base, q.scale, q.unit)} to {level(q.trained, q.scale, q.unit)}"
    inside = [*facts.values(), *filter(None, [_standing(decided) if stands else None])]
    text += f" ({', '.join(inside)})" if inside else ""
    if decided.decision == "inconclusive":
        if decided.smallest is not None:
            text += f", smallest detectable effect {_effect(decided.smallest, q)}"
        if decided.needed is not None:
            text += f", about {decided.needed} prompts would decide"
    return text


def is_identical(measurement: Measurement | None) -> bool:
    """Whether both sides were seen to be the same."""
    interval = None if measurement is None else measurement.interval
    return interval is not None and interval.method == "identical"


def _margin(q: Quantity) -> str:
    if q.scale == "log_ratio":
        return f"×{_significant(math.exp(q.margin))}"
    return f"±{100 * q.margin:.3g} points" if q.scale == "rate" else f"±{q.margin:.3g}"


def _effect(size: float, q: Quantity) -> str:
    if q.scale == "log_ratio":
        return f"×{_significant(math.exp(min(size, 700.0)))}"
    return f"{100 * size:.1f} points" if q.scale == "rate" else f"{size:.3g}"


def _value(q: Quantity) -> float:
    return 0.0 if q.measurement is None or q.measurement.value is None else q.measurement.value


def _significant(ratio: float) -> str:
    """Two decimals near 1, three significant digits far from it."""
    return f"{ratio:.2f}" if 0.1 <= ratio < 100 else f"{ratio:.3g}"


def _signed(value: float, digits: int) -> str:
    rounded = round(value, digits) + 0.0  # no negative zero
    return f"{rounded:+.{digits}f}" if digits == 1 else f"{rounded:+.3g}"


def _probability(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.3g}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _end(message: str, ends: Sequence[str | None]) -> str:
    return "; ".join([message, *(end for end in ends if end)])
