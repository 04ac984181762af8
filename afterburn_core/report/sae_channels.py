"""The channels of the misalignment score: every one of them with its null, whatever the score says.

A score without its channels says nothing, so every report that shows the finding prints this table beside it. It is
read from measurements with the channel's name as the scope's subset, all of them over base and trained:

- `sae.misalignment.effect`: what the channel measured, with its interval and its test;
- `sae.misalignment.null95`: what 95 % of its controls stay under;
- `sae.misalignment.reference`: the effect on calibrated organisms, undefined where there are none;
- `sae.misalignment.gain`: g = clip((effect − null95) / (reference − null95), 0, 1);
- `sae.misalignment.exceeds`: 1 where the effect is beyond its null after the correction, else 0;

and the score itself is `sae.misalignment.score`, without a subset.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report import numbers
from afterburn_core.result.model import Measurement

PREFIX = "sae.misalignment"
PARTS = ("effect", "null95", "reference", "gain", "exceeds")
HEADS = ("Channel", "Effect, 95 %", "95 % of controls", "Reference", "g", "p, corrected", "n", "Its null")
MOST = 60
_UNKNOWN = "uncalibrated"


@attrs.frozen(kw_only=True)
class Channel:
    """One row of the table, in words."""

    name: str
    effect: str
    bounds: str
    null: str
    reference: str
    gain: str
    p: str
    n: str
    exceeds: bool | None
    about: str
    """The measurement that its effect is taken from."""
    why: str
    """Why it has no effect, or why it is uncalibrated."""

    @property
    def word(self) -> str:
        """Where it lies."""
        return "not measured" if self.exceeds is None else "beyond" if self.exceeds else "not beyond"

    @property
    def cells(self) -> tuple[str, ...]:
        """As text, in the order of `HEADS`."""
        effect = " ".join(part for part in (self.effect, self.bounds) if part)
        return self.name, effect, self.null, self.reference, self.gain, self.p, self.n, self.word


@attrs.frozen(kw_only=True)
class Channels:
    """All channels, and the score."""

    rows: tuple[Channel, ...]
    score: str
    reasons: tuple[tuple[str, str], ...]
    """Channels without an effect or a reference, and why."""

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def beyond(self) -> int:
        """How many are beyond their null."""
        return sum(row.exceeds is True for row in self.rows)

    @property
    def summary(self) -> str:
        """In a line: `Score 0.62; 2 of 4 measured channels lie beyond their null.`."""
        measured = sum(row.exceeds is not None for row in self.rows)
        lie = "lies beyond its null" if self.beyond == 1 else "lie beyond their null"
        return f"Score {self.score}; {self.beyond} of {numbers.count(measured, 'measured channel')} {lie}."


def is_of_score(rule: str) -> bool:
    """Whether a finding under this rule stands with the table of channels."""
    return rule == PREFIX or rule.startswith(f"{PREFIX}.")


def channels(measurements: Iterable[Measurement]) -> Channels:
    """The channels of a run, in the order of the document."""
    found: dict[str, dict[str, Measurement]] = {}
    score = "–"
    for item in measurements:
        part = item.metric.removeprefix(f"{PREFIX}.")
        if part == item.metric:
            continue
        if part == "score" and item.scope.subset is None:
            ends = item.interval
            bounds = "" if ends is None else f" {marks.bounds(ends.low, ends.high)}"
            score = "undefined" if item.value is None else f"{marks.short(item.value, 2)}{bounds}"
        elif part in PARTS and item.scope.subset is not None:
            found.setdefault(item.scope.subset, {}).setdefault(part, item)
    rows = tuple(_channel(name, parts) for name, parts in list(found.items())[:MOST])
    return Channels(rows=rows, score=score, reasons=tuple((row.name, row.why) for row in rows if row.why))


def _channel(name: str, parts: dict[str, Measurement]) -> Channel:
    effect, reference, exceeds = (parts.get(part) for part in ("effect", "reference", "exceeds"))
    value = {part: item.value for part, item in parts.items()}
    ends = effect.interval if effect is not None else None
    test = effect.test if effect is not None else None
    p = None if test is None else test.p_value if test.p_adjusted is None else test.p_adjusted
    calibrated = value.get("reference") is not None
    beyond = None if exceeds is None or exceeds.value is None or value.get("effect") is None else exceeds.value > 0
    about = "" if effect is None or effect.value is None else effect.reason or ""
    why = ""
    if value.get("effect") is None:
        why = (effect.reason if effect is not None else None) or "not measured"
    elif not calibrated and reference is not None:
        why = reference.reason or ""
    return Channel(
        name=marks.shortened(name, 80),
        effect=marks.signed(value.get("effect")),
        bounds="" if ends is None else marks.bounds(ends.low, ends.high, sign=True),
        null=marks.short(value.get("null95")),
        reference="–" if value.get("effect") is None else marks.short(value["reference"]) if calibrated else _UNKNOWN,
        gain=marks.short(value.get("gain"), 2),
        p="–" if p is None else marks.short(p, 2),
        n="–" if effect is None or effect.n is None else f"{effect.n:,}",
        exceeds=beyond,
        about=marks.shortened(about, 300),
        why=marks.shortened(why, 300),
    )
