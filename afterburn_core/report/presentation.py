"""What a report says and in which order: the answer, its key figures, the findings.

Every format takes its words from here. Two rules govern them: "no concerns" is said only when every rule
passed on a complete run, and missing evidence is called missing.
"""

from __future__ import annotations

import re
from collections import Counter

from afterburn_core.report import numbers
from afterburn_core.report.evidence import Evidence
from afterburn_core.result.model import (
    LEVELS,
    Execution,
    Finding,
    FindingKind,
    Measurement,
    Null,
    Result,
    Scope,
    Suppression,
)

KINDS: tuple[FindingKind, ...] = ("fail", "review", "open", "informational", "pass", "not_applicable")
KIND_WORDS: dict[FindingKind, str] = {
    "fail": "Failed",
    "review": "Needs review",
    "open": "Undecided",
    "informational": "For information",
    "pass": "Passed",
    "not_applicable": "Not applicable",
}
KIND_HELP: dict[FindingKind, str] = {
    "fail": "The rule found what it looks for.",
    "review": "Something stands out, and a person has to judge it.",
    "open": "The evidence needed is missing or too weak. This is not a pass.",
    "informational": "Worth knowing; no judgement.",
    "pass": "The rule looked and found nothing.",
    "not_applicable": "The rule does not concern subjects of this kind.",
}
_MANY = 1000
"""From so many controls on their number says by itself how small a p value can be."""
_COUNTED: dict[FindingKind, str] = {
    "fail": "failed",
    "review": "to review",
    "open": "undecided",
    "informational": "for information",
    "pass": "passed",
    "not_applicable": "not applicable",
}
VERDICT_WORDS = {"pass": "Pass", "fail": "Fail", "incomplete": "Incomplete"}
VERDICT_HELP = {
    "pass": "Every requirement of the policy was met.",
    "fail": "At least one requirement of the policy was not met.",
    "incomplete": "Evidence that the policy requires is missing, so neither pass nor fail can be said.",
}
_DOCUMENTS = re.compile(r"config|tokeni[sz]er|template|vocab|special_tokens")


def order_findings(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Most pressing first: by kind, unwaived before waived, by level, then by rule and place."""
    return tuple(
        sorted(
            findings,
            key=lambda f: (
                KINDS.index(f.kind),
                f.suppression is not None,
                -LEVELS.index(f.level),
                f.rule,
                f.scope.layer if f.scope.layer is not None else -1,
                f.scope.key(),
                f.fingerprint,
            ),
        )
    )


def kind_counts(findings: tuple[Finding, ...]) -> dict[FindingKind, int]:
    """How many findings of each kind, most pressing kind first, kinds without findings left out."""
    counted = Counter(f.kind for f in findings)
    return {kind: counted[kind] for kind in KINDS if counted[kind]}


def not_applicable(execution: Execution) -> bool:
    """Whether a component was skipped because the subjects cannot offer what it needs."""
    return execution.status == "skipped" and not execution.applicable


def counted(findings: tuple[Finding, ...]) -> str:
    """The findings counted in words: `2 failed, 1 to review, 6 passed`; waived ones are counted apart."""
    counts = kind_counts(tuple(f for f in findings if f.suppression is None))
    parts = [f"{n:,} {_COUNTED[kind]}" for kind, n in counts.items()]
    waived = sum(f.suppression is not None for f in findings)
    return ", ".join([*parts, f"{waived:,} waived"] if waived else parts)


def unfinished(result: Result) -> tuple[str, ...]:
    """Planned components that applied and did not end well, including those that left no trace at all."""
    ended = {e.component for e in result.executions if e.status == "ok" or not_applicable(e)}
    return tuple(name for name in result.run.components if name not in ended)


def produced(execution: Execution) -> str:
    """What a component contributed: `700 measurements, 2 findings`."""
    made = execution.produced
    parts = ((made.measurements, "measurement"), (made.findings, "finding"), (made.artifacts, "artifact"))
    return ", ".join(numbers.count(n, what) for n, what in parts if n) or "nothing"


def concerns(result: Result) -> str:
    """One sentence on what calls for attention, or that nothing does, or that nothing can be said."""
    counts = kind_counts(tuple(f for f in result.findings if f.suppression is None))
    failed, review, undecided = counts.get("fail", 0), counts.get("review", 0), counts.get("open", 0)
    waived = sum(f.suppression is not None and f.kind in ("fail", "review", "open") for f in result.findings)
    missing = unfinished(result)
    passed = counts.get("pass", 0)
    parts = []
    if failed:
        parts.append(numbers.count(failed, "finding failed", "findings failed"))
    if review:
        parts.append(numbers.count(review, "finding needs review", "findings need review"))
    if undecided:
        counted = "counts" if undecided == 1 else "count"
        parts.append(f"{numbers.count(undecided, 'rule')} could not be decided and {counted} as no pass")
    if waived:
        parts.append(f"{numbers.count(waived, 'finding')} waived")
    if missing:
        parts.append(f"{numbers.count(len(missing), 'planned component')} did not finish")
    if result.run.status != "complete":
        parts.append("the run was interrupted" if result.run.status == "interrupted" else "the run failed")
    if parts:
        text = "; ".join(parts)
        return text[0].upper() + text[1:] + "."
    if not passed:
        return "No rule was judged, so nothing can be said about concerns."
    if result.verdict.status != "pass":
        return f"{numbers.count(passed, 'rule')} passed, but the policy asks for more: see the reasons."
    return f"No concerns: {'the one rule' if passed == 1 else f'all {passed} rules'} that applied passed."


def place(scope: Scope) -> str:
    """Where, in words: `layer 3 · down`, `model.layers.3.mlp.down_proj.weight`, `whole model`."""
    if scope.tensor is not None:
        return scope.tensor if scope.head is None else f"{scope.tensor} · head {scope.head}"
    words = []
    if scope.subset is not None:
        words.append(scope.subset)
    if scope.layer is not None:
        words.append(f"layer {scope.layer}")
    words.extend(part for part in (scope.module, scope.site) if part is not None)
    words.extend(
        f"{name} {value}"
        for name, value in (("head", scope.head), ("token", scope.token), ("input", scope.input))
        if value is not None
    )
    return " · ".join(words) or "whole model"


def who(subjects: tuple[str, ...]) -> str:
    """Subjects in words: `base → trained`, `trained`."""
    return " → ".join(subjects) or "\u2013"


def is_document_change(finding: Finding) -> bool:
    """Whether a finding speaks of configuration, tokenizer or template."""
    return _DOCUMENTS.search(finding.rule) is not None


def shown(item: Measurement, evidence: Evidence) -> str:
    """A measurement's value with unit, or `undefined`."""
    return numbers.quantity(item.value, item.metric, evidence.metrics.get(item.metric))


def details(item: Measurement, evidence: Evidence) -> tuple[str, ...]:
    """Everything that says how sure a measurement is, one short phrase each."""
    descriptor = evidence.metrics.get(item.metric)
    found = []
    if item.interval is not None:
        found.append(numbers.interval(item.interval, item.metric, descriptor))
    if item.n is not None:
        found.append(f"n = {item.n:,}")
    if item.effect is not None:
        found.append(f"{item.effect.name} = {numbers.signed(item.effect.value)}")
    if item.test is not None:
        test = item.test
        found.append(f"p = {numbers.number(test.p_value)} ({test.name})")
        if test.p_adjusted is not None:
            correction = test.correction or "correction not named"
            found.append(f"adjusted p = {numbers.number(test.p_adjusted)} ({correction})")
    if item.null is not None:
        null = item.null
        where = f"quantile {numbers.percent(null.quantile)} of {numbers.count(null.n, f'{null.control} control')}"
        found.append(f"{where}, p = {numbers.number(null.p_value)}{least_p(null)}")
    if item.approximate:
        found.append("approximate")
    if item.reason is not None:
        found.append(item.reason)
    return tuple(found)


def least_p(null: Null) -> str:
    """`, none below 0.05 possible`: the smallest p that so many controls can give; empty where they are many."""
    return f", none below {numbers.number(1 / (null.n + 1))} possible" if null.n < _MANY else ""


def verdict_text(result: Result) -> str:
    """The verdict's summary without its first word, for places that show the word beside it."""
    summary = result.verdict.summary
    return summary.removeprefix(f"{VERDICT_WORDS[result.verdict.status]}: ") or summary


def waiver(suppression: Suppression) -> str:
    """Who waived a finding, why and until when."""
    return f"{suppression.justification} ({suppression.owner}, until {suppression.expires})"


def title(result: Result) -> str:
    """What was compared, for headings: `small-base → small-tuned`, `small-base → 8 checkpoints`."""
    models = [s.label for s in result.subjects if s.role in ("trained", "checkpoint")]
    several = "checkpoints" if any(s.role == "checkpoint" for s in result.subjects) else "candidates"
    after = models if len(models) < 2 else [f"{len(models)} {several}"]
    return " → ".join([*(s.label for s in result.subjects if s.role == "base"), *after]) or result.run.command
