"""What tells the sides' answers apart, and how the answers came about: two small lists from artifacts of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import numbers
from afterburn_core.report.behaviour_curves import read

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView


@attrs.frozen(kw_only=True)
class Feature:
    """One mark that tells the sides' answers apart."""

    text: str
    more: bool
    """Whether trained has more of it."""
    prompts: str
    chance: str
    share: float
    """Weight over the largest weight, for a bar."""


@attrs.frozen(kw_only=True)
class Fact:
    """One fact of how the texts came about."""

    name: str
    base: str
    trained: str
    state: str


def features(view: ResultView) -> tuple[tuple[Feature, ...], str | None]:
    """What tells the sides' answers apart, heaviest first, or why it cannot be shown."""
    content, problem = read(view, "behaviour.omnibus_features")
    rows = content.get("features") if isinstance(content, Mapping) else None
    good = [row for row in rows or () if isinstance(row, Mapping) and _number(row.get("difference"))]
    heaviest = max((abs(_number(row.get("weight")) or 0.0) for row in good), default=0.0) or 1.0
    found = []
    for row in good:
        kind, _, what = str(row.get("name", "")).partition(": ")
        p, n = _number(row.get("p_adjusted")), _number(row.get("prompts"))
        found.append(
            Feature(
                text=_PHRASES.get(kind, "{kind}: {what}").format(kind=kind, what=what[:80]),
                more=(_number(row.get("difference")) or 0.0) > 0,
                prompts="–" if n is None else f"{n:,.0f}",
                chance="–" if p is None else numbers.number(p),
                share=round(100 * abs(_number(row.get("weight")) or 0.0) / heaviest, 1),
            )
        )
    return tuple(found), problem


def facts(view: ResultView) -> tuple[tuple[Fact, ...], str | None]:
    """How both sides' texts came about, differing facts first, or why it cannot be shown."""
    content, problem = read(view, "behaviour.decoding_facts")
    rows = content.get("facts") if isinstance(content, Mapping) else None
    found = [
        Fact(
            name=str(row.get("name", "–")).replace("_", " "),
            base=_value(row.get("base")),
            trained=_value(row.get("trained")),
            state=str(row.get("state", "")),
        )
        for row in rows or ()
        if isinstance(row, Mapping)
    ]
    order = ("differs", "noted", "unknown", "equal")
    found.sort(key=lambda fact: order.index(fact.state) if fact.state in order else len(order))
    return tuple(found), problem


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if good else None


def _value(value: Any) -> str:
    if value is None:
        return "not recorded"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if _DIGEST.fullmatch(text):
        return f"{text[:16]}…"
    return text if len(text) <= 200 else f"{text[:200]}…"


_DIGEST = re.compile(r"[0-9a-f]{64}")
_PHRASES = {
    "word": "“{what}”",
    "words": "“{what}”",
    "characters": "the characters “{what}”",
    "opens with": "“{what}” as first word",
    "closes with": "“{what}” as last word",
    "style": "{what}",
    "length": "length in {what}",
}
