"""The summary a terminal shows: verdict, figures, what changed most, findings. Reads at 60 columns."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from afterburn_core.report import numbers, presentation
from afterburn_core.report.behaviour_questions import answers
from afterburn_core.report.behaviour_terminal import behaviour_block
from afterburn_core.report.cards import cards
from afterburn_core.report.evidence import Evidence, collect
from afterburn_core.report.hack_rules import RISK, hack_rules
from afterburn_core.report.hack_terminal import hack_block
from afterburn_core.report.inert import one_line
from afterburn_core.report.judgement_terminal import judgement_block
from afterburn_core.report.sae_features import SaeLimits
from afterburn_core.report.sae_terminal import channel_block, sae_block
from afterburn_core.report.sae_views import sae_views
from afterburn_core.report.series import series_of
from afterburn_core.report.series_terminal import series_block
from afterburn_core.result.model import Finding, FindingKind, Result

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

_VERDICT_STYLES = {
    "pass": "bold black on cyan",
    "fail": "bold white on red",
    "incomplete": "bold black on yellow",
}
_KIND_STYLES: dict[FindingKind, str] = {
    "fail": "bold red",
    "review": "bold yellow",
    "open": "magenta",
    "informational": "blue",
    "pass": "cyan",
    "not_applicable": "dim",
}
_WIDE = 90
_REASONS = 5
"""How many reasons are spelt out; an interrupted run has one for every component that it stopped."""


def summary(view: ResultView, console: Console, *, findings: int = 12, top: int = 5) -> None:
    """Prints the answer and what it rests on; whatever is left out is counted.

    Passed and inapplicable rules are counted rather than listed.
    """
    result = view.result
    evidence = collect(view, top=top)
    wide = console.width >= _WIDE
    series = series_of(view, evidence)
    asked = answers(result, evidence)
    hacks = hack_rules(result, evidence)
    features = sae_views(view, evidence, SaeLimits(contexts=0))
    told = {answer.rule for answer in asked.answers} | {row.finding.rule for row in hacks.rows} | {RISK}
    figures = [_figures(result, evidence, wide), _most_changed(evidence)] if series is None else [series_block(series)]
    parts = [
        _verdict(result),
        judgement_block(result, console.width, limit=findings),
        *figures,
        behaviour_block(asked, console.width),
        _findings(result, findings, wide, told),
        channel_block(features.channels, console.width),
        sae_block(features, console.width),
        _unfinished(result),
        hack_block(hacks),
    ]
    for part in parts:
        if part is not None:
            console.print(part, highlight=False)


def _verdict(result: Result) -> Group:
    status = result.verdict.status
    headline = one_line(presentation.verdict_text(result))
    badge = Text(f" {presentation.VERDICT_WORDS[status].upper()} ", style=_VERDICT_STYLES[status])
    lines = [badge.append_text(Text(f" {headline}", style="bold not reverse default on default"))]
    if any(subject.role != "control" for subject in result.subjects):
        lines.append(Text(one_line(presentation.title(result)), style="dim"))
    lines.append(Text(presentation.concerns(result)))
    reasons = [reason for reason in result.verdict.reasons if one_line(reason.message) != headline]
    lines.extend(Text(f"• {reason.effect}: {one_line(reason.message)}") for reason in reasons[:_REASONS])
    if len(reasons) > _REASONS:
        lines.append(Text(f"• and {len(reasons) - _REASONS} more reasons, all in the document and its reports"))
    return Group(*lines)


def _figures(result: Result, evidence: Evidence, wide: bool) -> Padding:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold", no_wrap=wide)
    if wide:
        table.add_column(style="dim", overflow="fold")
    for card in cards(result, evidence):
        value = Text(one_line(card.value), style="bold" if card.known else "italic")
        note = Text(one_line(card.note), style="dim")
        if wide:
            table.add_row(card.label, value, note)
        else:
            table.add_row(card.label, Text.assemble(value, " ", note))
    return Padding(table, (1, 0, 0, 0))


def _most_changed(evidence: Evidence) -> Group | None:
    if not evidence.most_changed:
        return None
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for item in evidence.most_changed:
        table.add_row(presentation.shown(item, evidence), Text(one_line(presentation.place(item.scope))))
    return Group(Text("\nWhat changed most", style="bold"), table)


def _findings(result: Result, limit: int, wide: bool, told: Collection[str]) -> Group:
    heading = Text("\nFindings", style="bold")
    if not result.findings:
        return Group(heading, Text("No rule was judged. This is not a pass."))
    ordered = presentation.order_findings(result.findings)
    loud = [finding for finding in ordered if finding.kind not in ("pass", "not_applicable")]
    # Shifts and open questions stand above, in a line each; everything that asks for a person stays.
    pressing = [f for f in loud if f.rule not in told or f.kind in ("fail", "review") or f.suppression is not None]
    parts: list[Text | Table] = [heading, Text(presentation.counted(ordered))]
    if pressing:
        parts.append(_table(pressing[:limit]) if wide else _stacked(pressing[:limit]))
    if len(pressing) > limit:
        parts.append(Text(f"{len(pressing) - limit} more findings are in the report.", style="dim"))
    if len(pressing) < len(loud):
        text = f"{numbers.count(len(loud) - len(pressing), 'rule')} more: in the other tables here and in the report."
        parts.append(Text(text, style="dim"))
    return Group(*parts)


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    table.add_column("Outcome", no_wrap=True)
    table.add_column("Rule", overflow="fold", max_width=34)
    table.add_column("Message", overflow="fold")
    for finding in findings:
        table.add_row(_kind(finding), Text(one_line(finding.rule)), _message(finding))
    return table


def _stacked(findings: list[Finding]) -> Text:
    lines = []
    for finding in findings:
        lines.append(Text.assemble(_kind(finding), "  ", Text(one_line(finding.rule), style="bold")))
        lines.append(Text("  ").append_text(_message(finding)))
    return Text("\n").join(lines)


def _kind(finding: Finding) -> Text:
    return Text(presentation.KIND_WORDS[finding.kind], style=_KIND_STYLES[finding.kind])


def _message(finding: Finding) -> Text:
    message = Text(one_line(finding.message))
    if finding.scope.key() != "model":
        message.append(f" ({one_line(presentation.place(finding.scope))})", style="dim")
    if finding.suppression is not None:
        message.append(f" Waived: {one_line(presentation.waiver(finding.suppression))}", style="italic")
    return message


def _unfinished(result: Result) -> Group | None:
    missing = presentation.unfinished(result)
    if not missing:
        return None
    executions = {execution.component: execution for execution in result.executions}
    lines = [Text(f"\n{numbers.count(len(missing), 'component')} did not finish", style="bold")]
    for name in missing:
        execution = executions.get(name)
        reason = f"{execution.status}: {execution.reason}" if execution else "planned, but left no trace"
        lines.append(Text(f"• {one_line(name)}: {one_line(reason)}"))
    return Group(*lines)
