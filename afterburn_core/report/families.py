"""Tables of everything that speaks of the whole model or a named part, one per family of metrics.

The family is the metric's first word, so that a plugin unknown to this release still gets its table.
"""

from __future__ import annotations

import attrs

from afterburn_core.report.evidence import Evidence
from afterburn_core.report.presentation import details, place, shown, who
from afterburn_core.result.model import Measurement


@attrs.frozen(kw_only=True)
class Entry:
    """One cell: a value and what says how sure it is."""

    value: str
    details: tuple[str, ...]
    defined: bool


@attrs.frozen(kw_only=True)
class Line:
    """One metric at one place, with an entry for each combination of subjects."""

    metric: str
    place: str
    entries: tuple[Entry | None, ...]


@attrs.frozen(kw_only=True)
class Family:
    """The table of one family."""

    name: str
    columns: tuple[str, ...]
    """Subjects of each column, in words: `base`, `trained`, `base → trained`."""
    lines: tuple[Line, ...]
    total: int
    """Lines there would be without the limit."""

    @property
    def title(self) -> str:
        """The name for a heading: `reward_hack` becomes `Reward hack`."""
        words = self.name.replace("_", " ")
        return words[:1].upper() + words[1:]


def tables(evidence: Evidence, *, limit: int) -> tuple[Family, ...]:
    """One table per family, the weights first; at most `limit` lines each."""
    names = sorted(evidence.families, key=lambda name: (name != "weight", name))
    return tuple(_family(name, evidence, limit) for name in names)


def _family(name: str, evidence: Evidence, limit: int) -> Family:
    groups: dict[tuple[str, str], dict[tuple[str, ...], Measurement]] = {}
    subjects: dict[tuple[str, ...], None] = {}
    for item in evidence.families[name]:
        groups.setdefault((item.metric, place(item.scope)), {})[item.subjects] = item
        subjects[item.subjects] = None
    # Single subjects before contrasts; base comes before trained because documents list it first.
    columns = sorted(subjects, key=lambda ids: (len(ids), [_rank(i, evidence) for i in ids]))
    lines = (
        Line(metric=metric, place=where, entries=tuple(_entry(found.get(ids), evidence) for ids in columns))
        for (metric, where), found in list(groups.items())[:limit]
    )
    return Family(name=name, columns=tuple(who(ids) for ids in columns), lines=tuple(lines), total=len(groups))


def _entry(item: Measurement | None, evidence: Evidence) -> Entry | None:
    if item is None:
        return None
    return Entry(value=shown(item, evidence), details=details(item, evidence), defined=item.value is not None)


def _rank(subject: str, evidence: Evidence) -> tuple[int, str]:
    known = evidence.contrast
    return (known.index(subject) if subject in known else len(known), subject)
