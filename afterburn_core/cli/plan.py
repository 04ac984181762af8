"""`afterburn plan`: what a diagnose would do and cost, before any weight is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from afterburn_core.cli.options import settings_from, subject_options, writing_options

if TYPE_CHECKING:
    from afterburn_core.run.control_plan import PlannedControls


@click.command()
@subject_options
@writing_options
def plan(**flags: Any) -> None:
    """Show what a diagnose would do and cost. Reads headers and configuration only."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from afterburn_core.plugin.registry import Registry
    from afterburn_core.run.backend_choice import with_backend
    from afterburn_core.run.opening import open_pair

    settings = settings_from(flags)
    registry = Registry.discover(only=with_backend(settings.plugins, settings.backend), strict=settings.strict)
    opened = open_pair(settings, registry)
    try:
        planned, remarks = opened.plan, opened.remarks
    finally:
        opened.close()
    if flags["as_json"]:
        click.echo(json.dumps(planned.to_dict(), indent=1, sort_keys=True))
        return
    console = Console()
    for facts in planned.subjects:
        kind = facts.architecture or facts.kind
        line = f"{facts.role}: {facts.label} ({kind}, {facts.parameters:,} parameters, {_size(facts.bytes)})"
        console.print(Text(line), highlight=False)
    table = Table(box=None, pad_edge=False)
    for head in ("pass", "serves", "reads", "about"):
        table.add_column(head, overflow="fold")  # a name cut short on a narrow terminal is no name
    table.add_row("hash files", "identity of both subjects", _size(planned.digest_bytes), _time(planned.digest_seconds))
    for item in planned.passes:
        reads = item.detail or _size(item.bytes)
        table.add_row(item.kind, ", ".join(item.analyzers), reads, _time(item.seconds))
    console.print(table)
    for controls in planned.controls:
        console.print(Text(_controls(controls)), highlight=False)
    console.print(Text(f"then judged by: {', '.join(planned.detectors) or 'nothing'}"), highlight=False)
    for skipped in planned.skipped:
        console.print(Text(f"skipped: {skipped.component}: {skipped.reason}"), highlight=False)
    for remark in remarks:
        console.print(Text(remark), highlight=False)
    if not planned.passes:
        console.print(Text("nothing would be measured; install a plugin, such as ./plugins/weight"), highlight=False)


def _controls(controls: PlannedControls) -> str:
    """What is set beside the trained model, in which passes, at what cost."""
    served = ", ".join(f"{kind} pass" for kind in controls.passes) or "no pass"
    numbers = f"numbers of {len(controls.analyzers)} analyzers, no p value below {controls.least_p_value:.2g}"
    cost = f"about {_time(controls.seconds)} more"
    told = "".join(f"; not in the {kind} pass: {why}" for kind, why in controls.unserved.items())
    return (
        f"controls: {controls.words} in the {served}: {numbers}, {cost}{told}"
        if controls.passes
        else (f"controls: {controls.words}: no pass serves them{told}")
    )


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000  # type: ignore[assignment]
    return ""


def _time(seconds: float) -> str:
    return "< 1 s" if seconds < 1 else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
