"""Pairs of texts that show a shift: chosen by analyzers, kept as JSON, attached to findings by detectors.

Typical before extreme: of the prompts that moved the way the mean moved, the largest changes are shown, without the
twentieth of them that moved most, which tend to be accidents. Imports no NumPy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.result.excerpts import withhold
from afterburn_core.result.model import Example

if TYPE_CHECKING:
    from afterburn_behaviour.units import Answered, Row, UnitTable

KEPT = 3
"""Pairs per quantity in the artifact."""
LONGEST = 4000
"""Characters of a text in the artifact."""
SHOWN = 1200
"""Characters of a text in a finding."""


@attrs.frozen(kw_only=True)
class Pair:
    """Both sides' answers to one prompt, and why they are shown."""

    probe: str
    suite: str
    prompt: str
    base: str
    trained: str
    note: str
    about: str = ""
    """What of the analyzer's quantities it shows, such as the name of a pattern; detectors pick by it."""


def best(
    table: UnitTable,
    key: str,
    *,
    note: str,
    about: str | None = None,
    count: int = KEPT,
    direction: float | None = None,
    told: str | None = None,
) -> list[Pair]:
    """The most telling pairs for `key`, best first; empty where no prompt changed.

    Args:
        note: Why a pair is shown; `{base}` and `{trained}` stand for the two prompt means.
        direction: Sign of the change to show; by default that of the mean difference.
        told: the quantity that the note tells, where it is another than the one they are ranked by.
    """
    moved: list[tuple[float, Row]] = []
    for row in table.rows():
        difference = row.trained.mean(key) - row.base.mean(key)
        if math.isfinite(difference):
            moved.append((difference, row))
    total = math.fsum(difference for difference, _ in moved) if direction is None else direction
    sign = -1.0 if total < 0 else 1.0
    ranked = sorted(
        ((difference, row) for difference, row in moved if difference * sign > 0),
        key=lambda entry: (-entry[0] * sign, _length(entry[1]), entry[1].probe.id),
    )
    extreme = len(ranked) // 20 if ranked and ranked[0][0] != ranked[-1][0] else 0
    return [_pair(row, told or key, note, about) for _, row in ranked[extreme : extreme + count]]


def artifact(
    thing: str, pairs: Sequence[Pair], *, excerpts: bool, plugin: str = "behaviour"
) -> tuple[ArtifactPayload, ...]:
    """The pairs as the artifact `<plugin>.<thing>_examples`; no artifact where there are none."""
    if not pairs:
        return ()
    rows = [
        attrs.asdict(pair) | {name: _kept(getattr(pair, name), excerpts) for name in ("prompt", "base", "trained")}
        for pair in pairs
    ]
    return (
        ArtifactPayload(
            id=f"{plugin}.{thing}_examples",
            suffix=".json",
            media_type="application/json",
            summary="Answers of both sides side by side, where they differ in a typical way",
            content=json.dumps({"examples": rows}, ensure_ascii=False, sort_keys=True, indent=1).encode(),
        ),
    )


def attached(
    evidence: Evidence,
    thing: str,
    *,
    about: Iterable[str] | None = None,
    limit: int = KEPT,
    plugin: str = "behaviour",
) -> tuple[Example, ...]:
    """The first pairs of `<plugin>.<thing>_examples`, for a finding.

    Args:
        about: Quantities to show, first its best pair of each, then the second; by default all in their order.
    """
    found = evidence.read_artifact(f"{plugin}.{thing}_examples") or {}
    rows = [row for row in found.get("examples", ()) if isinstance(row, dict)]
    if about is not None:
        by_name = [[row for row in rows if row.get("about") == name] for name in about]
        deepest = max((len(group) for group in by_name), default=0)
        rows = [group[depth] for depth in range(deepest) for group in by_name if depth < len(group)]
    shown = []
    for row in rows[:limit]:
        prompt, base, trained = (_shown(str(row.get(name, "")), evidence.excerpts) for name in _TEXTS)
        shown.append(
            Example(label=f"{row.get('probe')}: {prompt}", base=base, trained=trained, note=str(row.get("note", "")))
        )
    return tuple(shown)


_TEXTS = ("prompt", "base", "trained")


def _kept(text: str, excerpts: bool) -> str:
    return _cut(text, LONGEST) if excerpts else withhold(text)


def _shown(text: str, excerpts: bool) -> str:
    if excerpts or text.startswith("sha256:"):
        return _cut(text, SHOWN)
    return withhold(text)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"


def _length(row: Row) -> int:
    return len(row.base.texts[0]) + len(row.trained.texts[0])


def _pair(row: Row, key: str, note: str, about: str | None) -> Pair:
    base, trained = row.base.mean(key), row.trained.mean(key)
    return Pair(
        probe=row.probe.id,
        suite=row.probe.suite,
        prompt=row.probe.text,
        base=_typical(row.base, key),
        trained=_typical(row.trained, key),
        note=note.format(base=_number(base), trained=_number(trained)),
        about=key if about is None else about,
    )


def _typical(side: Answered, key: str) -> str:
    """The sample nearest to the mean of its side."""
    mean = side.mean(key)
    values = side.values[key]
    nearest = min(range(len(values)), key=lambda k: (math.inf if values[k] is None else abs(values[k] - mean), k))  # type: ignore[operator]
    return side.texts[nearest]


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"
