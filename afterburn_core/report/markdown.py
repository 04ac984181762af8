"""A summary for a pull request, a model card or a chat: short tables, nothing in them active."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from afterburn_core.report import judgement, numbers, presentation
from afterburn_core.report.behaviour_questions import answers
from afterburn_core.report.cards import cards
from afterburn_core.report.evidence import Evidence, collect
from afterburn_core.report.hack_rules import hack_rules
from afterburn_core.report.inert import code, markdown
from afterburn_core.report.sae_features import SaeLimits
from afterburn_core.report.sae_markdown import channel_blocks, sae_blocks
from afterburn_core.report.sae_views import sae_views
from afterburn_core.report.series import Series, labelled_tables, series_cards, series_of
from afterburn_core.report.weight_views import summary_lines
from afterburn_core.result.model import Example, Finding, Result

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView


@attrs.frozen(kw_only=True)
class MarkdownOptions:
    """How much to show. Whatever is left out is counted in the text."""

    findings: int = 30
    examples: int = 3
    top: int = 10
    excerpt: int = 300
    """Characters of an example's text."""


def render(view: ResultView, options: MarkdownOptions | None = None) -> bytes:
    """The report as GitHub-flavoured Markdown."""
    chosen = options or MarkdownOptions()
    result = view.result
    evidence = collect(view, top=chosen.top)
    series = series_of(view, evidence)
    features = sae_views(view, evidence, SaeLimits(contexts=0))
    blocks = [
        *_answer(result),
        *_figures(result, evidence, series),
        *_policy(result),
        *_hacks(result, evidence),
        *_behaviour(result, evidence),
        *_findings(result, evidence, chosen),
        *channel_blocks(features.channels, _table),
        *sae_blocks(features, _table, top=chosen.top),
        *_most_changed(evidence, chosen),
        *_weights(view, evidence),
        *_executions(result),
        *_provenance(result),
    ]
    return ("\n\n".join(blocks) + "\n").encode()


def _answer(result: Result) -> list[str]:
    verdict = result.verdict
    pair = sum(s.role in ("trained", "checkpoint") for s in result.subjects) < 2
    models = " → ".join(code(s.label) for s in result.subjects if s.role in ("base", "trained", "checkpoint"))
    names = models if pair else code(presentation.title(result))
    blocks = [
        f"## Afterburn: {presentation.VERDICT_WORDS[verdict.status]}",
        names,
        f"**{markdown(verdict.summary)}**",
        markdown(presentation.concerns(result)),
    ]
    if verdict.reasons:
        blocks.append("\n".join(f"- {reason.effect}: {markdown(reason.message)}" for reason in verdict.reasons))
    return [block for block in blocks if block]


def _policy(result: Result) -> list[str]:
    """Thresholds and waivers, and what the policy requires and the run does not have."""
    read = judgement.judgement(result)
    blocks = []
    if read.thresholds:
        rows = [
            (
                judgement.STATUS_WORDS[outcome.status],
                markdown(outcome.id),
                markdown(judgement.asked(outcome)),
                markdown(judgement.measured(outcome)),
                code(judgement.where(outcome)),
            )
            for outcome in read.thresholds
        ]
        blocks += ["### Thresholds", _table(("Outcome", "Threshold", "Asked", "Measured", "Where"), rows)]
    missing = judgement.unmet(read)
    if missing:
        blocks += ["### Required and missing", "\n".join(f"- {markdown(one.message)}" for one in missing)]
    if read.waivers:
        waivers = [
            (
                judgement.STATE_WORDS[waiver.state],
                code(waiver.about),
                markdown(f"{judgement.lasting(waiver)}; {judgement.covering(waiver)}"),
                markdown(waiver.reason),
                markdown(waiver.owner),
            )
            for waiver in read.waivers
        ]
        blocks += [
            "### Waivers",
            f"Held against {markdown(read.date)}.",
            _table(("State", "For", "How long", "Why", "Who"), waivers),
        ]
    return blocks


def _figures(result: Result, evidence: Evidence, series: Series | None) -> list[str]:
    own = series_cards(series) if series else None
    rows = [(markdown(c.label), f"**{markdown(c.value)}**", markdown(c.note)) for c in cards(result, evidence, own)]
    return [_table(("Figure", "Value", "Meaning"), rows), *(_series(series) if series else ())]


def _series(series: Series) -> list[str]:
    """Every model of a series, and every pair of candidates."""
    blocks = []
    for heads, rows, label in labelled_tables(series):
        blocks += [f"### {label}", _table(heads, [tuple(map(markdown, row)) for row in rows])]
    return blocks


def _behaviour(result: Result, evidence: Evidence) -> list[str]:
    """One row per contrast that stands for a question; questions without an answer say why."""
    asked = answers(result, evidence)
    if not asked:
        return []
    rows = []
    for answer in asked.answers:
        for place, row in enumerate(answer.rows):
            title = f"**{answer.title}**" if place == 0 else ""
            what = markdown(row.label if place or not answer.tally else f"{row.label} ({answer.tally})")
            change = markdown(f"{row.change} {row.bounds}".strip() if row.decision else row.note)
            n = f"{row.n:,}" if row.n is not None else "–"
            cells = (
                title,
                what,
                markdown(row.base or "–"),
                markdown(row.trained or "–"),
                change,
                row.margin,
                n,
                row.word,
            )
            rows.append(cells)
            if row.decision is None:
                break
    heads = ("Question", "What", "Base", "Trained", "Change, 95 %", "Margin", "n", "Decision")
    return ["### Behaviour", _table(heads, rows)]


def _hacks(result: Result, evidence: Evidence) -> list[str]:
    """One row per rule on reward hacking, the risk, and what to do about those that found something."""
    found = hack_rules(result, evidence)
    if not found:
        return []
    rows = [
        (
            code(row.finding.rule),
            presentation.KIND_WORDS[row.kind],
            markdown(" ".join(part for part in (row.moved_text, f"({row.sure})" if row.sure else "") if part) or "–"),
            markdown(row.quality_text or "–"),
            row.strength_text or "–",
            markdown(row.why if row.kind in ("open", "not_applicable") else row.help if row in found.pressing else ""),
        )
        for row in found.rows
    ]
    heads = ("Rule", "Outcome", "What moved, 95 %", "Quality, 95 %", "Strength", "Why, or what to do next")
    risk = [f"**Risk {markdown(found.risk.text)}**"] if found.risk is not None else []
    return ["### Reward hacking", *risk, _table(heads, rows)]


def _findings(result: Result, evidence: Evidence, options: MarkdownOptions) -> list[str]:
    if not result.findings:
        return ["### Findings", "No rule was judged. This is not a pass."]
    ordered = presentation.order_findings(result.findings)
    blocks = ["### Findings"]
    blocks.append(f"{numbers.count(len(ordered), 'finding')}: {presentation.counted(ordered)}.")
    rows = [_finding_row(finding) for finding in ordered[: options.findings]]
    blocks.append(_table(("Outcome", "Level", "Rule", "Place", "Message"), rows))
    if len(ordered) > options.findings:
        blocks.append(f"{len(ordered) - options.findings} more findings are in the result document.")
    for finding in ordered[: options.findings]:
        if finding.kind in ("fail", "review") and (finding.measurements or finding.examples):
            blocks.append(_details(finding, evidence, options))
    return blocks


def _finding_row(finding: Finding) -> tuple[str, ...]:
    kind = presentation.KIND_WORDS[finding.kind]
    message = markdown(finding.message)
    if finding.suppression is not None:
        message += f" *Waived: {markdown(presentation.waiver(finding.suppression))}*"
    return kind, finding.level, code(finding.rule), code(presentation.place(finding.scope)), message


def _details(finding: Finding, evidence: Evidence, options: MarkdownOptions) -> str:
    title = f"Evidence for {code(finding.rule)} at {code(presentation.place(finding.scope))}"
    blocks = [f"<details><summary>{title}</summary>"]
    cited = [evidence.cited[identifier] for identifier in finding.measurements if identifier in evidence.cited]
    if cited:
        rows = [
            (
                code(m.metric),
                markdown(presentation.who(m.subjects)),
                code(presentation.place(m.scope)),
                markdown(presentation.shown(m, evidence)),
                markdown("; ".join(presentation.details(m, evidence))),
            )
            for m in cited[: options.top]
        ]
        blocks.append(_table(("Metric", "Subjects", "Place", "Value", "How sure"), rows))
        if len(cited) > options.top:
            blocks.append(f"{len(cited) - options.top} more measurements are in the result document.")
    if finding.examples:
        examples = [_example_row(example, options.excerpt) for example in finding.examples[: options.examples]]
        blocks.append(_table(("Example", "Base", "Trained", "Note"), examples))
        if len(finding.examples) > options.examples:
            blocks.append(f"{len(finding.examples) - options.examples} more examples are in the result document.")
    return "\n\n".join([*blocks, "</details>"])


def _example_row(example: Example, limit: int) -> tuple[str, ...]:
    texts = (example.label, example.base, example.trained, example.note)
    return tuple(markdown(_excerpt(text or "", limit)) for text in texts)


def _excerpt(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def _most_changed(evidence: Evidence, options: MarkdownOptions) -> list[str]:
    if not evidence.most_changed:
        return []
    rows = [(code(presentation.place(m.scope)), presentation.shown(m, evidence)) for m in evidence.most_changed]
    tally = evidence.tensors
    of = f" of {numbers.count(tally.total, 'tensor')}" if tally is not None else ""
    return [
        "### What changed most",
        f"The {len(rows)}{of} with the largest relative change.",
        _table(("Tensor", "Change"), rows),
    ]


def _weights(view: ResultView, evidence: Evidence) -> list[str]:
    lines = summary_lines(view, evidence)
    if not lines:
        return []
    return ["### In the weights", "\n".join(f"- {markdown(name)}: {markdown(text)}" for name, text in lines)]


def _executions(result: Result) -> list[str]:
    missing = presentation.unfinished(result)
    if not missing:
        return []
    reasons = {e.component: f"{e.status}: {e.reason or 'no reason given'}" for e in result.executions}
    rows = [(code(name), markdown(reasons.get(name, "planned, but left no trace"))) for name in missing]
    return ["### Did not finish", _table(("Component", "What happened"), rows)]


def _provenance(result: Result) -> list[str]:
    rows = [
        (
            code(s.id),
            code(s.label),
            s.kind,
            f"{s.parameters:,}" if s.parameters is not None else "unknown",
            code(s.digest),
        )
        for s in result.subjects
    ]
    run = result.run
    tail = f"{markdown(run.tool.name)} {markdown(run.tool.version)}, run {code(run.id)}, seed {run.seed}, policy "
    tail += f"{code(result.verdict.policy.name)}, schema {markdown(result.schema_version)}"
    table = _table(("Subject", "Name", "Kind", "Parameters", "Digest"), rows)
    return [f"<details><summary>Provenance</summary>\n\n{table}\n\n{tail}.\n\n</details>"]


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
