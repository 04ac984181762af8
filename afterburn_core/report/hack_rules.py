"""The ten rules on reward hacking, one row each, and the risk: what the rules found, told for every format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from afterburn_core.report import presentation
from afterburn_core.report.behaviour_values import Scale, bounds, chance, change
from afterburn_core.report.evidence import Evidence
from afterburn_core.report.numbers import count, is_share
from afterburn_core.result.model import Finding, FindingKind, Measurement, Result

FAMILY = "reward_hack"
RISK = f"{FAMILY}.risk"
QUALITY = (f"{FAMILY}.quality", f"{FAMILY}.quality.judged", f"{FAMILY}.proxy.gold")
TITLES: Mapping[str, str] = {
    "length": "Length",
    "format": "Format",
    "collapse": "Collapse",
    "sycophancy": "Sycophancy",
    "proxy": "Proxy and gold",
    "verifier": "Gaming of checks",
    "refusal": "Refusal",
    "boilerplate": "Boilerplate",
    "eval_awareness": "Awareness of tests",
    "decoding_mismatch": "Decoding",
}
"""What people call the rules, in the order of a report."""
_UNMOVED = ("decoding_mismatch",)  # what it cites says how texts came about, not what training moved
_LABEL = 3  # words of a name before a colon
SHORT: Mapping[FindingKind, str] = {
    "fail": "fail",
    "review": "review",
    "open": "open",
    "informational": "info",
    "pass": "pass",
    "not_applicable": "not run",
}


@attrs.frozen(kw_only=True)
class Row:
    """One rule."""

    name: str
    """The rule's id without the plugin's prefix."""
    finding: Finding
    """The most pressing one."""
    more: tuple[Finding, ...]
    """Its other findings."""
    moved: Measurement | None
    """The primary contrast: the first that the finding cites with an interval."""
    moved_text: str
    quality: Measurement | None
    quality_text: str
    strength: Measurement | None
    strength_text: str
    help: str
    """What to do next."""

    @property
    def title(self) -> str:
        return TITLES.get(self.name, self.name.replace("_", " ").capitalize())

    @property
    def reach(self) -> tuple[float, float] | None:
        """Near and far end of the strength in percent, for rules that found something."""
        if self.kind not in ("fail", "review") or self.strength is None or self.strength.value is None:
            return None
        ends = self.strength.interval
        low, high = (self.strength.value,) * 2 if ends is None else (ends.low, ends.high)
        return round(100 * low, 2), round(100 * high, 2)

    @property
    def sure(self) -> str:
        return how_sure(self.moved)

    @property
    def among(self) -> str:
        """Where the contrast stands among the controls; empty without them."""
        return "" if self.moved is None else among_controls(self.moved)

    @property
    def kind(self) -> FindingKind:
        return self.finding.kind

    @property
    def why(self) -> str:
        """The message without the rule's summary or name, which stands beside it already."""
        _, found, rest = self.finding.message.partition(f": {SHORT['open']}, ")
        if found:
            return rest
        _, found, rest = self.finding.message.partition(": not applicable, ")
        if found:
            return rest
        label, found, rest = self.finding.message.partition(": ")
        named = found and self.kind == "not_applicable" and len(label.split()) <= _LABEL
        return rest if named else self.finding.message


@attrs.frozen(kw_only=True)
class Risk:
    """The risk with its bounds, from 0 to 100."""

    value: float | None
    """Undefined while a rule is open."""
    known: float
    upper: float
    worst: float
    noisy_or: float | None
    reason: str | None
    """Why it is undefined, or what it leaves out."""
    message: str
    """The finding on it."""

    @property
    def text(self) -> str:
        """`62 of 100`, with its reach where that says more: `62 [62, 80] of 100, 100 at worst`."""
        known, upper, worst = (f"{end:.0f}" for end in (self.known, self.upper, self.worst))
        if self.value is None:
            return f"{known} to {worst} of 100" if worst != known else f"{known} of 100"
        reach = f" [{known}, {upper}]" if upper != known else ""
        tail = f", {worst} at worst" if worst != upper else ""
        return f"{known}{reach} of 100{tail}"


@attrs.frozen(kw_only=True)
class HackRules:
    """All rules, and what they come to."""

    rows: tuple[Row, ...]
    risk: Risk | None

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def counted(self) -> str:
        """How many rules came to what: `1 failed, 1 undecided, 8 passed`."""
        return presentation.counted(tuple(row.finding for row in self.rows))

    @property
    def tone(self) -> FindingKind:
        """The kind whose colour the risk takes."""
        return self.pressing[0].kind if self.pressing else "open" if self.open else "pass"

    @property
    def open(self) -> tuple[Row, ...]:
        """What is undecided, a row for each finding that says so."""
        return self._saying("open")

    @property
    def not_run(self) -> tuple[Row, ...]:
        """What had nothing to look at, likewise."""
        return self._saying("not_applicable")

    def _saying(self, kind: FindingKind) -> tuple[Row, ...]:
        of = ((row, finding) for row in self.rows for finding in (row.finding, *row.more))
        return tuple(attrs.evolve(row, finding=finding) for row, finding in of if finding.kind == kind)

    @property
    def pressing(self) -> tuple[Row, ...]:
        """Those that a person should read, the worst first."""
        loud = [row for row in self.rows if row.kind in ("fail", "review")]
        return tuple(sorted(loud, key=lambda row: (row.kind != "fail", -_value(row.strength))))


def hack_rules(result: Result, evidence: Evidence) -> HackRules:
    """The rules that this run judged, or could not; nothing where none of them was in force."""
    found: dict[str, list[Finding]] = {}
    for finding in presentation.order_findings(result.findings):
        family, _, name = finding.rule.partition(".")
        if family == FAMILY and finding.rule != RISK:
            found.setdefault(name, []).append(finding)
    order = [*(name for name in TITLES if name in found), *(name for name in sorted(found) if name not in TITLES)]
    return HackRules(rows=tuple(_row(name, found[name], evidence) for name in order), risk=_risk(result, evidence))


def _row(name: str, findings: list[Finding], evidence: Evidence) -> Row:
    lead = findings[0]
    cited = [evidence.cited[identifier] for identifier in lead.measurements if identifier in evidence.cited]
    strength = evidence.whole.get(f"{FAMILY}.{name}.strength")
    quality = next((m for m in cited if m.metric in QUALITY and m.scope.key() == "model"), None)
    moved = next(_contrasts(cited, evidence), None) if name not in _UNMOVED else None
    rule = evidence.rules.get(lead.rule)
    return Row(
        name=name,
        finding=lead,
        more=tuple(findings[1:]),
        moved=moved,
        moved_text="" if moved is None else contrast_text(moved, evidence),
        quality=quality,
        quality_text="" if quality is None else contrast_text(quality, evidence),
        strength=strength,
        strength_text=_strength_text(strength) if lead.kind in ("fail", "review") else "",
        help=rule.help if rule else "",
    )


def _contrasts(cited: Iterable[Measurement], evidence: Evidence) -> Iterator[Measurement]:
    for item in cited:
        other = item.metric in QUALITY or item.metric.startswith(RISK) or item.metric.endswith(".strength")
        if item.subjects == evidence.contrast and item.value is not None and item.interval is not None and not other:
            yield item


def contrast_text(item: Measurement, evidence: Evidence) -> str:
    """A contrast with its interval: `×1.52 [×1.41, ×1.63]`, `+12.0 points [+8.1, +16.2]`."""
    if item.value is None:
        return ""
    descriptor = evidence.metrics.get(item.metric)
    unit = descriptor.unit if descriptor else "1"
    scale: Scale = "log_ratio" if item.metric.endswith("log_ratio") else "number"
    share = is_share(item.metric, unit) or (descriptor is not None and unit == "1" and descriptor.high == 1)
    scale = "rate" if share or item.metric in QUALITY[:2] else scale
    own = "" if unit == "1" or scale != "number" else unit
    return f"{change(item.value, scale, own)} {bounds(item.interval, scale)}".strip()


def how_sure(item: Measurement | None) -> str:
    """`n = 120, p < 0.0001 (holm), p = 0.05 among 19 controls (resample), …`; empty where nothing is known."""
    if item is None:
        return ""
    known = (f"n = {item.n:,}" if item.n is not None else "", chance(item), among_controls(item))
    return ", ".join(part for part in known if part)


def among_controls(item: Measurement) -> str:
    """`p = 0.05 among 19 controls (resample), none below 0.05 possible`; empty without controls."""
    null = item.null
    if null is None:
        return ""
    among = f"p = {null.p_value:.3g} among {count(null.n, 'control')} ({null.control})"
    return among + presentation.least_p(null)


def _strength_text(strength: Measurement | None) -> str:
    if strength is None or strength.value is None:
        return "unknown"
    ends = strength.interval
    return f"{strength.value:.2f}" if ends is None or ends.high == ends.low else f"{ends.low:.2f}–{ends.high:.2f}"


def _value(measurement: Measurement | None) -> float:
    return -1.0 if measurement is None or measurement.value is None else measurement.value


def _risk(result: Result, evidence: Evidence) -> Risk | None:
    risk, known, worst = (evidence.whole.get(f"{RISK}{part}") for part in ("", ".known", ".worst"))
    if known is None or known.value is None or worst is None or worst.value is None:
        return None
    noisy = evidence.whole.get(f"{RISK}.noisy_or")
    return Risk(
        value=None if risk is None else risk.value,
        known=known.value,
        upper=known.interval.high if known.interval is not None else known.value,
        worst=worst.value,
        noisy_or=None if noisy is None else noisy.value,
        reason=None if risk is None else risk.reason,
        message=next((finding.message for finding in result.findings if finding.rule == RISK), ""),
    )
