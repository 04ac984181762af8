"""`afterburn plugin new` and `afterburn plugin check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from afterburn_core.plugin.scaffold import KINDS, render_plugin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from afterburn_core.testing.kit import Check, CheckResult


@click.group()
def plugin() -> None:
    """Start a plugin of your own, or check one that is installed."""


@plugin.command()
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(KINDS), required=True, help="What the plugin's example is; it can offer more later."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Directory to create.  [default: afterburn-NAME]",
)
def new(name: str, kind: str, out: Path | None) -> None:
    """Write a working package for the plugin NAME (lower snake case)."""
    folder = render_plugin(name, kind, out)
    click.echo(f"{folder}: a plugin with one {kind}. Install it, then check it:")
    click.echo(f"  pip install {folder if folder.is_absolute() else f'./{folder}'}")
    click.echo(f"  afterburn plugin check {name}")


@plugin.command()
@click.argument("name")
@click.option("--list", "listing", is_flag=True, help="Say which checks apply, with their rules; run none.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(context: click.Context, name: str, listing: bool, as_json: bool) -> None:
    """Run the conformance kit on the installed plugin NAME. Exits with 1 if a check fails."""
    from afterburn_core.testing.kit import checks_for, run_check

    checks = list(checks_for(name))
    if listing:
        click.echo(_json_list(checks) if as_json else _text_list(checks))
        return
    results: list[CheckResult] = []
    width = max(len(one.id) for one in checks)
    for one in checks:
        result = run_check(one)
        results.append(result)
        if not as_json:
            click.echo(_line(result, width))
    failed = [result for result in results if result.status == "failed"]
    if as_json:
        click.echo(_json_results(name, results))
    else:
        click.echo(_summary(name, results))
    context.exit(1 if failed else 0)


def _line(result: CheckResult, width: int) -> str:
    seconds = f"{result.seconds:6.2f} s"
    line = f"{result.status:<7}  {seconds}  {result.id:<{width}}  {result.component}"
    if result.status == "failed":
        return f"{line}\n         rule: {result.summary}\n         found: {result.message}"
    return f"{line}  ({result.message})" if result.message else line


def _summary(name: str, results: Sequence[CheckResult]) -> str:
    counts = {status: sum(result.status == status for result in results) for status in ("passed", "failed", "skipped")}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    seconds = sum(result.seconds for result in results)
    return f"{name}: {told} in {seconds:.1f} s"


def _text_list(checks: Iterable[Check]) -> str:
    return "\n".join(f"{one.key}\n    {one.summary}" for one in checks)


def _json_list(checks: Iterable[Check]) -> str:
    return _json([{"id": one.id, "component": one.component, "rule": one.rule} for one in checks])


def _json_results(name: str, results: Iterable[CheckResult]) -> str:
    rows = [
        {
            "id": result.id,
            "component": result.component,
            "status": result.status,
            "seconds": round(result.seconds, 3),
            "summary": result.summary,
            "message": result.message,
        }
        for result in results
    ]
    return _json({"plugin": name, "checks": rows})


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
