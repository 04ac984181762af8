"""Tables of everything that speaks of the whole model or a named part, one per family of metrics.

The family is the metric's first word, so that a plugin unknown to this release still gets its table.
"""

from __future__ import annotations

import attrs

from afterburn_core.report.evidence import Evidence
from afterburn_core.report.presentation import details, place, shown, who
from afterburn_core.result.model import Measurement

OPEN = 40
"""Lines of a table that stands open."""
WHOLE = "whole model"
_TITLES = {"sae": "sparse dictionaries"}


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

    @property
    def whole(self) -> bool:
        """Whether it speaks of the whole model."""
        return self.place == WHOLE


@attrs.frozen(kw_only=True)
class Group:
    """The lines of metrics that share two words, those on the whole model apart."""

    name: str
    whole: tuple[Line, ...]
    parts: tuple[Line, ...]


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
    def groups(self) -> tuple[Group, ...]:
        """The lines by the metric's second word, for a table too long to stand open; empty for a short one."""
        if len(self.lines) <= OPEN:
            return ()
        found: dict[str, list[Line]] = {}
        for line in self.lines:
            found.setdefault(".".join(line.metric.split(".")[:2]), []).append(line)
        return tuple(
            Group(
                name=name,
                whole=tuple(line for line in lines if line.whole),
                parts=tuple(line for line in lines if not line.whole),
            )
            for name, lines in found.items()
        )

    @property
    def title(self) -> str:
        """The name for a heading: `reward_hack` becomes `Reward hack`."""
        words = _TITLES.get(self.name, self.name).replace("_", " ")
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
    first = sorted(groups.items(), key=lambda group: group[0][1] != WHOLE)  # stable: else the document's order
    lines = (
        Line(metric=metric, place=where, entries=tuple(_entry(found.get(ids), evidence) for ids in columns))
        for (metric, where), found in first[:limit]
    )
    return Family(name=name, columns=tuple(who(ids) for ids in columns), lines=tuple(lines), total=len(groups))


def _entry(item: Measurement | None, evidence: Evidence) -> Entry | None:
    if item is None:
        return None
    return Entry(value=shown(item, evidence), details=details(item, evidence), defined=item.value is not None)


def _rank(subject: str, evidence: Evidence) -> tuple[int, str]:
    known = evidence.contrast
    return (known.index(subject) if subject in known else len(known), subject)
