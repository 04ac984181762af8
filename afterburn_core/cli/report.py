"""`afterburn report`: a finished run in another format."""

from __future__ import annotations

from pathlib import Path

import click

from afterburn_core.cli.options import debug_option, output_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@output_option
@debug_option
def report(run: Path, output: tuple[Path, ...]) -> None:
    """Render RUN (a run directory or a result.json). Without -o, print the summary. Needs no model and no torch."""
    from rich.console import Console

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
    view = ResultView(codec.read(path), directory_of(path))
    if not output:
        summary(view, Console())
    for target in output:
        render_report(view, target, registry)
        click.echo(f"written: {target}")
