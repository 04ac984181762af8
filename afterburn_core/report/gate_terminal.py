"""What `afterburn gate` prints: for each run the verdict, then every reason. Wrapped on a terminal, elsewhere a line
each, so that `grep` finds whole sentences in a log."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from afterburn_core.report import judgement, presentation
from afterburn_core.report.inert import one_line
from afterburn_core.report.judgement_terminal import judgement_block
from afterburn_core.result.model import Result

_STYLES = {"pass": "bold black on cyan", "fail": "bold white on red", "incomplete": "bold black on yellow"}
_EFFECTS = {"fail": ("Fail", "bold red"), "incomplete": ("Open", "magenta")}


def gate_report(name: str, result: Result, console: Console) -> None:
    """Prints the verdict on one run with all its reasons.

    Args:
        name: of the run, as the user named it.
        result: judged.
        console: where to.
    """
    if not console.is_terminal:
        for line in _lines(name, result):
            console.print(Text(line), soft_wrap=True, highlight=False)
        return
    verdict = result.verdict
    badge = Text(f" {presentation.VERDICT_WORDS[verdict.status].upper()} ", style=_STYLES[verdict.status])
    console.print(badge.append_text(Text(f" {one_line(name)}", style="bold not reverse default on default")))
    console.print(Text(f"{one_line(presentation.title(result))}, policy {one_line(verdict.policy.name)}", style="dim"))
    if verdict.reasons:
        console.print(Text("\nReasons", style="bold"))
    else:
        console.print(Text(one_line(presentation.verdict_text(result))))
    for reason in verdict.reasons:
        words, style = _EFFECTS[reason.effect]
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        told = Text(one_line(reason.message))
        if reason.rule is not None and reason.rule not in reason.message:
            told.append(f" ({one_line(reason.rule)})", style="dim")
        table.add_row(Text(words, style=style), told)
        console.print(table, highlight=False)
    block = judgement_block(result, console.width, missing=False)  # the reasons name them
    if block is not None:
        console.print(block, highlight=False)


def workflow_commands(name: str, result: Result) -> Iterator[str]:
    """The reasons as commands that GitHub Actions shows beside a pull request, one a line."""
    for reason in result.verdict.reasons:
        level = "error" if reason.effect == "fail" else "warning"
        title = _escaped(one_line(f"Afterburn: {reason.rule or 'policy'}"), of_property=True)
        yield f"::{level} title={title}::{_escaped(one_line(f'{name}: {reason.message}'))}"


def _lines(name: str, result: Result) -> Iterator[str]:
    verdict = result.verdict
    head = one_line(name)
    words, several = presentation.VERDICT_WORDS[verdict.status], len(verdict.reasons)
    told = f"{words}, {several} reason{'' if several == 1 else 's'}" if several else one_line(verdict.summary)
    yield f"{head}: {told} (policy {one_line(verdict.policy.name)})"
    for reason in verdict.reasons:
        rule = f" ({one_line(reason.rule)})" if reason.rule is not None and reason.rule not in reason.message else ""
        yield f"{head}: {reason.effect}: {one_line(reason.message)}{rule}"
    read = judgement.judgement(result)
    for outcome in read.thresholds:
        told = f"{judgement.measured(outcome)}; {judgement.asked(outcome)} asked ({judgement.where(outcome)})"
        yield f"{head}: threshold {outcome.status}: {one_line(f'{outcome.id}: {told}')}"
    for waiver in read.waivers:
        told = f"{waiver.about}: {judgement.lasting(waiver)}; {judgement.covering(waiver)}; "
        yield f"{head}: waiver {waiver.state}: {one_line(f'{told}{waiver.reason} ({waiver.owner})')}"


def _escaped(text: str, of_property: bool = False) -> str:
    """Text that cannot end a workflow command or begin another.

    Source: https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
    """
    escapes = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *([(":", "%3A"), (",", "%2C")] if of_property else [])]
    for character, escape in escapes:
        text = text.replace(character, escape)
    return text
