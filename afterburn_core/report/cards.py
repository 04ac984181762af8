"""The key figures at the head of every report."""

from __future__ import annotations

import attrs

from afterburn_core.report import numbers
from afterburn_core.report.behaviour_questions import answers
from afterburn_core.report.evidence import COVERAGE, FLOOR, FLOOR_RATIO, RELATIVE, Evidence
from afterburn_core.report.hack_rules import SHORT, hack_rules
from afterburn_core.report.presentation import kind_counts, place, shown
from afterburn_core.report.sae_channels import channels
from afterburn_core.result.model import Result

NOT_MEASURED = "Not measured"


@attrs.frozen(kw_only=True)
class Card:
    """One key figure."""

    label: str
    value: str
    note: str
    known: bool = True
    """False when the figure could not be had; then `value` says so in words."""


def cards(result: Result, evidence: Evidence, own: tuple[Card, ...] | None = None) -> tuple[Card, ...]:
    """The key figures, the size of the change first; `own` stands in place of those that speak of one pair."""
    if own is not None:
        return (*own, _exactness(evidence), _rules(result))
    weights = "weight" in evidence.families or evidence.tallies or any(e.plugin == "weight" for e in result.executions)
    builders = (_relative, _tensors, _coverage, _largest, _floor) if weights else ()
    behaviour = _behaviour(result, evidence, alone=not weights)
    risk = _risk(result, evidence)
    score = _misalignment(evidence)
    return (*(build(evidence) for build in builders), *behaviour, *risk, *score, _exactness(evidence), _rules(result))


def _behaviour(result: Result, evidence: Evidence, *, alone: bool) -> tuple[Card, ...]:
    """How many questions about behaviour shifted; without weights beside them also the length of answers."""
    asked = answers(result, evidence)
    known = [answer for answer in asked.answers if answer.decision is not None]
    if not known:
        return ()
    shifted = [answer.title.lower() for answer in known if answer.decision == "shifted"]
    rest = ", ".join(f"{n} {word.lower()}" for word, n in asked.counts.items() if word != "Shifted")
    note = "; ".join(part for part in (", ".join(shifted) or "no question", rest) if part)
    label = "Behaviour shifted"
    found = [Card(label=label, value=f"{len(shifted)} of {len(known)}", note=note)]
    row = next((a.rows[0] for a in known if a.rule == "behaviour.length_shift"), None)
    if alone and row is not None:
        unit = row.label.rpartition(" ")[2]
        found.append(
            Card(label="Length of answers", value=row.change, note=f"{row.bounds} in {unit}, {row.n:,} prompts")
        )
    return tuple(found)


def _risk(result: Result, evidence: Evidence) -> tuple[Card, ...]:
    """The risk of reward hacking with its bounds, where rules on it were in force and at least one could look."""
    found = hack_rules(result, evidence)
    if found.risk is None or all(row.kind == "not_applicable" for row in found.rows):
        return ()
    note = ", ".join(f"{row.title.lower()}: {SHORT[row.kind]}" for row in found.pressing) or found.counted
    text = found.risk.text.replace(" of 100", "", 1)
    return (Card(label="Risk of reward hacking", value=text, note=f"of 100; {note}"),)


def _misalignment(evidence: Evidence) -> tuple[Card, ...]:
    """The score with how many of its channels lie beyond their null; a score alone would say nothing."""
    found = channels(evidence.families.get("sae", ()))
    if not found:
        return ()
    _, _, note = found.summary.partition("; ")
    known = found.score not in ("–", "undefined")
    return (Card(label="Misalignment", value=found.score if known else NOT_MEASURED, note=note, known=known),)


def _relative(evidence: Evidence) -> Card:
    item = evidence.whole.get(RELATIVE)
    label = "Relative change"
    if item is None:
        return Card(label=label, value=NOT_MEASURED, note="no figure for the whole model", known=False)
    note = "norm of the change over norm of the base weights"
    return Card(
        label=label,
        value=shown(item, evidence),
        note=note if item.value is not None else item.reason or "no reason given",
        known=item.value is not None,
    )


def _tensors(evidence: Evidence) -> Card:
    tally = evidence.tensors
    label = "Tensors changed"
    if tally is None:
        return _no_tensors(label, evidence)
    note = f"{tally.undefined:,} could not be measured" if tally.undefined else "in at least one stored value"
    return Card(label=label, value=f"{tally.changed:,} of {tally.total:,}", note=note)


def _coverage(evidence: Evidence) -> Card:
    item = evidence.whole.get(COVERAGE)
    if item is None or item.value is None:
        reason = item.reason if item is not None and item.reason else "how much was compared is unknown"
        return Card(label="Coverage", value=NOT_MEASURED, note=reason, known=False)
    note = "of all parameters were compared"
    return Card(label="Coverage", value=numbers.percent(item.value), note=note)


def _largest(evidence: Evidence) -> Card:
    if not evidence.most_changed:
        tally = evidence.tensors
        if tally is not None and not tally.changed and not tally.undefined:
            return Card(label="Largest change", value="None", note="every tensor measured is unchanged")
        return _no_tensors("Largest change", evidence)
    item = evidence.most_changed[0]
    # Layer and module say more in less room; the list of largest changes names the tensor.
    scope = item.scope if item.scope.layer is None else attrs.evolve(item.scope, tensor=None)
    return Card(label="Largest change", value=shown(item, evidence), note=f"in {place(scope)}")


def _no_tensors(label: str, evidence: Evidence) -> Card:
    if evidence.unread:
        return Card(label=label, value="Not at hand", note="the figures lie in a table that is not here", known=False)
    return Card(label=label, value=NOT_MEASURED, note="no figures per tensor", known=False)


def _floor(evidence: Evidence) -> Card:
    label = "Above rounding"
    given, relative, floor = (evidence.whole.get(metric) for metric in (FLOOR_RATIO, RELATIVE, FLOOR))
    ratio = given.value if given is not None else None
    change = relative.value if relative is not None else None
    if ratio is None and change is not None and floor is not None and floor.value:
        ratio = change / floor.value
    if ratio is None:
        return Card(label=label, value=NOT_MEASURED, note="the stored type's rounding floor is unknown", known=False)
    if ratio == 0:
        return Card(label=label, value="No change", note="nothing to set against the rounding floor")
    note = "the rounding floor of the stored type"
    if ratio < 1:
        note += ": not separable from rounding"
    return Card(label=label, value=numbers.times(ratio), note=note)


def _exactness(evidence: Evidence) -> Card:
    if not evidence.total and not evidence.unread:
        return Card(label="Evidence", value="None", note="the run holds no measurements", known=False)
    value, note = f"{evidence.total:,}", "measurements, nothing approximated"
    if evidence.approximate:
        note = f"measurements, {evidence.approximate:,} of them approximate"
    if evidence.undefined:
        note += f"; {evidence.undefined:,} undefined, with reasons"
    if evidence.unread:
        note += f"; {evidence.unread:,} more lie in tables that were not at hand"
    return Card(label="Evidence", value=value, note=note)


def _rules(result: Result) -> Card:
    counts = kind_counts(tuple(f for f in result.findings if f.suppression is None))
    waived = sum(f.suppression is not None for f in result.findings)
    judged = sum(counts.get(kind, 0) for kind in ("fail", "review", "open", "pass")) + waived
    label = "Rules passed"
    if not judged:
        return Card(label=label, value="None judged", note="no findings does not mean a pass", known=False)
    others = ", ".join(
        f"{counts[kind]} {word}"
        for kind, word in (("fail", "failed"), ("review", "to review"), ("open", "undecided"))
        if kind in counts
    )
    passed = counts.get("pass", 0)
    others = ", ".join(filter(None, (others, f"{waived} waived" if waived else "")))
    return Card(label=label, value=f"{passed:,} of {judged:,}", note=others or "nothing left open")
