"""`afterburn judge`: another policy, the same measurements."""

from __future__ import annotations

from pathlib import Path

import click

from afterburn_core.cli.options import debug_option, output_option
from afterburn_core.run.configuration import FAIL_ON


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--policy", "policy_path", type=click.Path(path_type=Path), help="Policy file (YAML).")
@click.option("--fail-on", type=click.Choice(FAIL_ON), help="Lowest level of a failed rule that fails the run.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@output_option
@debug_option
@click.pass_context
def judge(
    ctx: click.Context,
    run: Path,
    policy_path: Path | None,
    fail_on: str | None,
    as_json: bool,
    output: tuple[Path, ...],
) -> None:
    """Judge RUN again. The stored document stays as it is; -o writes the newly judged one. Needs no torch."""
    import json

    from rich.console import Console

    from afterburn_core.judge.policy import load_policy, overridden
    from afterburn_core.judge.rejudge import rejudge
    from afterburn_core.judge.verdict import EXIT_CODES
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.report.terminal import summary
    from afterburn_core.report.writing import check_output, render_report
    from afterburn_core.result import codec
    from afterburn_core.result.view import ResultView
    from afterburn_core.run.directory import directory_of, result_path

    path = result_path(run)
    registry = Registry.discover()
    for target in output:
        check_output(target, registry)
    policy = overridden(load_policy(policy_path), fail_on)
    directory = directory_of(path)
    judged = rejudge(codec.read(path), directory, registry, policy)
    view = ResultView(judged, directory)
    if as_json:
        click.echo(json.dumps(codec.to_dict(judged)["verdict"], indent=1, sort_keys=True))
    else:
        summary(view, Console())
    for target in output:
        render_report(view, target, registry)
        if not as_json:
            click.echo(f"written: {target}")
    ctx.exit(EXIT_CODES[judged.verdict.status])
