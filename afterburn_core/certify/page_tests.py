"""The tests of a certificate as they are printed: decided ones with their leading number, the rest with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.certify.page_fields import exact, rounded
from afterburn_core.certify.page_figures import Figure, figure

_SIGNS = {"at_most": "≤", "at_least": "≥"}
_ENDS = {"interval_bound": "end of the interval", "exact_value": "exact value"}
_ORDER = ("FAIL", "ERROR", "INCONCLUSIVE", "PASS", "NOT_RUN")
_KINDS = {
    "fail": "found",
    "review": "for review",
    "open": "open",
    "pass": "found nothing",
    "informational": "for information",
    "not_applicable": "not applicable",
}


@attrs.frozen(kw_only=True)
class Tested:
    """One test."""

    id: str
    name: str
    verdict: str
    note: str
    """What qualifies the verdict: below the bar, not required."""
    reason: str
    bar: str
    """What it was held against."""
    estimate: str
    """The leading number, rounded."""
    interval: str
    n: str
    metric: str
    drawing: Figure | None
    waiver: Mapping[str, Any] | None
    full: str
    """The leading number and all that belongs to it, exact."""


@attrs.frozen(kw_only=True)
class Group:
    """Tests of one category."""

    name: str
    rows: tuple[Tested, ...]


def rows(tests: Sequence[Mapping[str, Any]], bar: str) -> tuple[Tested, ...]:
    """Tests, failed ones first, then in the order of the document; `bar` is the level from which findings fail."""
    return tuple(_row(test, bar) for test in sorted(tests, key=lambda test: _ORDER.index(test["verdict"])))


def groups(tests: Sequence[Mapping[str, Any]], bar: str) -> tuple[Group, ...]:
    """Tests that were run, by category, thresholds first; within it, failed ones first."""
    run = [test for test in tests if test["verdict"] != "NOT_RUN"]
    names = list(dict.fromkeys(_category(test) for test in sorted(run, key=lambda one: one["kind"] != "threshold")))
    return tuple(Group(name=name, rows=rows([test for test in run if _category(test) == name], bar)) for name in names)


_CATEGORIES = {"sae": "Sparse dictionaries"}
"""Headings of categories whose name is no word."""


def _category(test: Mapping[str, Any]) -> str:
    if test["kind"] == "threshold":
        return "Thresholds of the policy"
    category = str(test.get("category") or "Other")
    return _CATEGORIES.get(category) or category.replace("_", " ").capitalize()


def _row(test: Mapping[str, Any], bar: str) -> Tested:
    numbers = test["numbers"]
    threshold = test.get("threshold")
    leading = next((one for one in numbers if one["value"] is not None), None)
    return Tested(
        id=test["id"],
        name=test["name"],
        verdict=test["verdict"].replace("_", " "),
        note=_note(test),
        reason=test["reason"] or "",
        bar=_held_against(test, bar),
        estimate="" if leading is None else _with_unit(rounded(leading["value"]), leading),
        interval="" if leading is None else _interval(leading),
        n="" if leading is None or leading["n"] is None else exact(leading["n"]),
        metric="" if leading is None else leading["metric"],
        drawing=None if leading is None else figure(leading, threshold, _words(leading, threshold)),
        waiver=test["waiver"],
        full="" if leading is None else _full(leading, len(numbers) - 1 + test.get("numbersOmitted", 0)),
    )


def _note(test: Mapping[str, Any]) -> str:
    notes = []
    if test.get("belowBar"):
        notes.append("below the policy's bar")
    finding = test.get("finding")
    if finding and finding["kind"] != "pass":
        notes.append(_KINDS.get(finding["kind"], finding["kind"]))
    if test["verdict"] in {"INCONCLUSIVE", "ERROR", "NOT_RUN"} and not test["required"]:
        notes.append("not required")
    return ", ".join(notes)


def _held_against(test: Mapping[str, Any], bar: str) -> str:
    threshold = test.get("threshold")
    if threshold:
        end = _ENDS.get(threshold["on"], threshold["on"])
        asked = f"coverage of at least {exact(threshold['coverage'])}"
        return f"{_SIGNS.get(threshold['op'], threshold['op'])} {exact(threshold['value'])}, {end}, {asked}"
    finding = test.get("finding")
    if not finding or finding["level"] == "none":
        return f"bar: {bar}"
    return f"bar: {bar}; found: {finding['level']}"


def _with_unit(text: str, number: Mapping[str, Any]) -> str:
    unit = number.get("unit") or "1"
    return text if unit == "1" else f"{text} {unit}"


def _interval(number: Mapping[str, Any]) -> str:
    interval = number["interval"]
    if interval is None:
        return "approximate, no interval" if number.get("approximate") else "exact"
    return f"[{rounded(interval['low'])}, {rounded(interval['high'])}]"


def _words(number: Mapping[str, Any], threshold: Mapping[str, Any] | None) -> str:
    held = f"the bound {_SIGNS.get(threshold['op'], '')} {exact(threshold['value'])}" if threshold else "zero"
    return f"{rounded(number['value'])} {_interval(number)} against {held}"


def _full(number: Mapping[str, Any], more: int) -> str:
    scope = "" if number["scope"] in ("", "model") else f", {number['scope']}"
    sides = " against ".join(reversed(number["subjects"]))
    named = f"{number['metric']} (version {exact(number['version'])}, {sides}{scope})"
    parts = [f"{name} {value}" for name, value in _figures(number)]
    if more:
        parts.append(f"{more} more")
    return f"{named} {'; '.join(parts)}"


def _figures(number: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    unit = number.get("unit") or "1"
    yield "value:" if unit == "1" else f"value in {unit}:", _value(number)
    for side in ("base", "trained"):
        if number.get(side):
            yield f"{side}:", _value(number[side])
    if test := number.get("test"):
        yield "test:", test["name"]
        for name, key in (("p", "pValue"), ("p adjusted", "pAdjusted")):
            if test.get(key) is not None:
                yield name, exact(test[key])
        for name in ("correction", "family"):
            if test.get(name):
                yield name, test[name]
    if null := number.get("null"):
        yield "null:", f"{null['control']}, n {_or_dash(null['n'])}"
        for name, key in (("quantile", "quantile"), ("p of the null", "pValue")):
            if null.get(key) is not None:
                yield name, exact(null[key])
    if number.get("reason"):
        yield "remark:", number["reason"]


def _value(number: Mapping[str, Any]) -> str:
    if number["value"] is None:
        return f"none ({number.get('reason') or 'undefined'})"
    text = exact(number["value"])
    if interval := number["interval"]:
        text += f" [{exact(interval['low'])}, {exact(interval['high'])}]"
        text += f" at {exact(interval['level'])} by {interval['method']}"
    elif number.get("approximate"):
        text += " (approximate)"
    return text if number["n"] is None else f"{text}, n = {exact(number['n'])}"


def _or_dash(value: Any) -> str:
    return "–" if value is None else exact(value)
