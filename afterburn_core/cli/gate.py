"""`afterburn gate`: finished runs held against a policy, for CI. One exit code, every reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afterburn_core.cli.options import debug_option
from afterburn_core.run.configuration import FAIL_ON

if TYPE_CHECKING:
    from datetime import date

    from afterburn_core.result.view import ResultView


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--policy",
    "policy_path",
    metavar="FILE|NAME",
    type=click.Path(path_type=Path),
    help="Policy file (YAML), or a shipped one: adapter, rl, sft [default: that of .afterburn.yaml].",
)
@click.option("--fail-on", type=click.Choice(FAIL_ON), help="Lowest level of a failed rule that fails the run.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML of all runs.")
@click.option("--sarif", type=click.Path(path_type=Path), metavar="FILE", help="Write SARIF of all runs.")
@click.option("--json", "as_json", is_flag=True, help="Print verdicts, thresholds and waivers as JSON.")
@click.option("--annotate", is_flag=True, help="Print GitHub workflow commands too, one for each reason.")
@click.option("--today", metavar="YYYY-MM-DD", help="Day that waivers are held against [default: today's date in UTC].")
@click.option("--init", "initial", metavar="NAME", help="Write the shipped policy NAME to NAME.yaml here, and stop.")
@debug_option
@click.pass_context
def gate(
    ctx: click.Context,
    runs: tuple[Path, ...],
    policy_path: Path | None,
    fail_on: str | None,
    junit: Path | None,
    sarif: Path | None,
    as_json: bool,
    annotate: bool,
    today: str | None,
    initial: str | None,
) -> None:
    """Judge every RUN (a run directory or a result.json) again under a policy, and exit by the worst verdict.

    Exit codes: 0 all pass; 1 one fails; 3 none fails and one is incomplete; 2 nothing could be judged. The stored
    documents stay as they are. Needs no model and no torch.
    """
    from afterburn_core.errors import ConfigError

    if initial is not None:
        _write_policy(initial, runs)
        return
    if not runs:
        raise click.UsageError("name at least one run directory or result.json", ctx)

    import json

    from rich.console import Console

    from afterburn_core.judge.policy import load_policy, overridden, shipped
    from afterburn_core.judge.rejudge import rejudge
    from afterburn_core.judge.verdict import EXIT_CODES
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.report.gate_terminal import gate_report, workflow_commands
    from afterburn_core.result import codec
    from afterburn_core.result.view import ResultView
    from afterburn_core.run.configuration import load_settings
    from afterburn_core.run.directory import directory_of, result_path

    chosen = policy_path or load_settings(None, {}).policy
    if chosen is None:
        known = ", ".join(shipped())
        raise ConfigError(
            f"--policy is missing; name a file or one of {known} (`afterburn gate --init sft` writes one)"
        )
    for flag, target in (("--junit", junit), ("--sarif", sarif)):
        if target is not None and not target.absolute().parent.is_dir():
            raise ConfigError(f"{flag} {target}: the directory {target.parent} does not exist; create it first")
    policy, day, registry = overridden(load_policy(Path(chosen)), fail_on), _day(today), Registry.discover()
    paths = [result_path(run) for run in runs]
    views = []
    for path in paths:
        directory = directory_of(path)
        views.append(ResultView(rejudge(codec.read(path), directory, registry, policy, day), directory))
    names = [str(run) for run in runs]
    status = _worst([view.result.verdict.status for view in views])
    if as_json:
        click.echo(json.dumps(_report(status, day, names, views), indent=1, sort_keys=True))
    else:
        console = Console()
        for place, (name, view) in enumerate(zip(names, views)):
            if place and console.is_terminal:
                console.print()
            gate_report(name, view.result, console)
    if annotate:
        for name, view in zip(names, views):
            for line in workflow_commands(name, view.result):
                click.echo(line, err=as_json)
    _write_reports(views, junit, sarif)
    ctx.exit(EXIT_CODES[status])


def _worst(statuses: list[str]) -> str:
    return next(status for status in ("fail", "incomplete", "pass") if status in statuses)


def _day(text: str | None) -> date:
    """The day given, or today's in UTC."""
    from datetime import UTC, date, datetime

    from afterburn_core.errors import ConfigError

    if text is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--today {text!r}: no day of the calendar; write such as 2027-01-31") from error


def _report(status: str, day: date, names: list[str], views: list[ResultView]) -> dict[str, Any]:
    from afterburn_core.judge.settle import JUDGEMENT
    from afterburn_core.result import codec

    runs = []
    for name, view in zip(names, views):
        document = codec.to_dict(view.result)
        kept = document.get("properties", {}).get(JUDGEMENT, {})
        runs.append({"name": name, "run": view.result.run.id, "verdict": document["verdict"], **kept})
    return {"date": day.isoformat(), "status": status, "runs": runs}


def _write_reports(views: list[ResultView], junit: Path | None, sarif: Path | None) -> None:
    from afterburn_core.report import junit as junit_format
    from afterburn_core.report import sarif as sarif_format
    from afterburn_core.result.files import replace_file

    if junit is not None:
        replace_file(junit, junit_format.render_all(views))
    if sarif is not None:
        replace_file(sarif, sarif_format.render_all(views))


def _write_policy(name: str, runs: tuple[Path, ...]) -> None:
    from afterburn_core.errors import ConfigError
    from afterburn_core.judge.policy import shipped_path
    from afterburn_core.result.files import replace_file

    if runs:
        raise click.UsageError("--init writes a policy and judges nothing; leave the runs out")
    target = Path(f"{name}.yaml")
    content = shipped_path(name).read_bytes()
    if target.exists():
        raise ConfigError(f"{target}: exists already; move it away or edit it")
    replace_file(target, content)
    click.echo(f"written: {target}")
