"""Findings on what amplifying the change brings out. Imports no NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from afterburn_behaviour.live.options import LiveRules
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import finding
from afterburn_core.result.model import Example, Finding, Measurement, Scope

ARTIFACT = "behaviour.amplification"
PHRASES = "behaviour.amplification.phrases"
BROUGHT_OUT = "behaviour.amplification.brought_out"
_LONGEST = 600


class LiveJudge:
    """Detector `behaviour.live`."""

    def __init__(self, options: LiveRules) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        rule = "behaviour.taught_content"
        counted = evidence.get(PHRASES)
        if counted is None:
            yield finding(rule, "open", "note", "What training taught is open: nothing was written under amplification")
            return
        if counted.value is None or counted.test is None:
            yield finding(rule, "open", "note", f"What training taught is open: {counted.reason}", [counted])
            return
        cited = [counted, *(m for m in evidence.all(BROUGHT_OUT) if m.subjects == ("base", "trained"))]
        if counted.test.p_value >= 1.0 and counted.reason == "no weight differs":
            yield finding(rule, "pass", "none", "Nothing is brought out: no weight differs", cited)
            return
        content = evidence.read_artifact(ARTIFACT) or {}
        shares = self._shares(evidence)
        if not counted.value:
            lead = f"No phrase stands out under amplification after {counted.n} openings"
            told = "; ".join(one for one in (lead, shares, counted.reason) if one)
            yield finding(rule, "informational", "none", told, cited, artifacts=_present(content))
            return
        rows = [row for row in content.get("phrases", ()) if isinstance(row, dict) and row.get("found")]
        rows = [row for row in rows if not row.get("part")]
        named = "; ".join(_told(row) for row in rows[: self._options.phrases]) or str(counted.reason)
        lead = f"Amplifying the change brings out {_counted(counted.value)} after {counted.n} openings: {named}"
        yield finding(
            rule,
            "informational",
            "note",
            "; ".join(one for one in (lead, shares) if one),
            cited,
            self._examples(content, rows, evidence.excerpts),
            artifacts=_present(content),
        )

    def _shares(self, evidence: Evidence) -> str | None:
        """The share of texts with such phrases, chosen and counted on different openings, where it is above base's."""
        found: list[Measurement] = []
        for one in evidence.all(BROUGHT_OUT):
            if one.subjects != ("base", "trained") or one.value is None or one.test is None:
                continue
            adjusted = one.test.p_adjusted if one.test.p_adjusted is not None else one.test.p_value
            if one.value > 0 and adjusted <= self._options.alpha and str(one.scope.subset).startswith("alpha="):
                found.append(one)
        if not found:
            return None
        most = max(found, key=lambda one: one.value or 0.0)
        own = evidence.value(BROUGHT_OUT, subjects=("trained",), scope=most.scope)
        base = evidence.value(BROUGHT_OUT, subjects=("base",), scope=Scope())
        if own is None or base is None:
            return None
        where = str(most.scope.subset).replace("alpha=", "α = ")
        return (
            f"chosen on half of the openings, such phrases stand in {100 * own:.0f} % of the other half's texts at "
            f"{where} and in {100 * base:.0f} % of the base's"
        )

    def _examples(self, content: Mapping[str, Any], rows: list[dict[str, Any]], excerpts: bool) -> tuple[Example, ...]:
        """Amplified texts that hold the phrases found, beside the base's from the same opening and seed."""
        if not excerpts or not rows:
            return ()
        phrases = [str(row.get("phrase", "")).casefold() for row in rows]
        texts = [row for row in content.get("texts", ()) if isinstance(row, dict)]
        base = {(row.get("prefix"), row.get("sample")): row for row in texts if row.get("arm") == "base"}
        openings = {row.get("id"): row for row in content.get("prefixes", ()) if isinstance(row, dict)}
        scored = sorted(
            (
                (-sum(phrase in str(row.get("text", "")).casefold() for phrase in phrases), number, row)
                for number, row in enumerate(texts)
                if str(row.get("arm")).startswith("alpha=") and row.get("arm") != "alpha=0"
            ),
            key=lambda one: one[:2],
        )
        shown: list[Example] = []
        seen: set[Any] = set()
        for score, _, row in scored:
            prefix = row.get("prefix")
            if score == 0 or len(shown) == self._options.examples:
                break
            if prefix in seen:
                continue
            seen.add(prefix)
            opening = openings.get(prefix, {})
            beside = base.get((prefix, row.get("sample")), {})
            shown.append(
                Example(
                    label=f"{opening.get('kind', 'opening')}: {opening.get('text') or '(empty)'}",
                    base=str(beside.get("text", ""))[:_LONGEST],
                    trained=str(row.get("text", ""))[:_LONGEST],
                    note=f"trained at {str(row.get('arm')).replace('alpha=', 'α = ')}",
                )
            )
        return tuple(shown)


def _told(row: Mapping[str, Any]) -> str:
    shares = row.get("shares", {})
    amplified = {name: share for name, share in shares.items() if name.startswith("alpha=") and name != "alpha=0"}
    best = max(amplified, key=lambda name: amplified[name], default="")
    phrase = str(row.get("phrase", ""))
    shown = phrase if phrase.startswith("sha256:") else f"“{phrase}”"
    return (
        f"{shown} in {100 * amplified.get(best, 0.0):.0f} % of texts at {best.replace('alpha=', 'α = ')}, "
        f"{100 * shares.get('alpha=0', 0.0):.0f} % unamplified, {100 * shares.get('base', 0.0):.0f} % of the base's"
    )


def _counted(number: float) -> str:
    return "one phrase" if number == 1 else f"{number:.0f} phrases"


def _present(content: Mapping[str, Any]) -> tuple[str, ...]:
    return (ARTIFACT,) if content else ()
