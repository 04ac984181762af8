"""`afterburn diagnose` and its short forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from afterburn_core.cli.options import (
    control_option,
    run_options,
    settings_from,
    subject_options,
    without_plugins,
    writing_options,
)
from afterburn_core.run.configuration import Settings, with_suites


@click.command()
@subject_options
@writing_options
@run_options
@click.pass_context
def diagnose(ctx: click.Context, /, **flags: Any) -> None:
    """Compare a base model with a trained one: everything the installed plugins can say.

    \b
    afterburn diagnose --base llama --trained llama-sft -o report.html
    afterburn diagnose --trained my-lora            (base named by the adapter)
    """
    settings = settings_from(flags)
    ctx.exit(run_and_report("diagnose", settings, settings.plugins, flags["as_json"], flags["quiet"]))


@without_plugins
@click.command(name="weight-diff")
@subject_options
@control_option
@run_options
@click.pass_context
def weight_diff(ctx: click.Context, /, **flags: Any) -> None:
    """Compare the weights alone."""
    settings = settings_from(flags)
    ctx.exit(run_and_report("weight-diff", settings, ("weight",), flags["as_json"], flags["quiet"]))


@without_plugins
@click.command()
@subject_options
@writing_options
@run_options
@click.pass_context
def behaviour(ctx: click.Context, /, **flags: Any) -> None:
    """Compare what the models write.

    \b
    afterburn behaviour --base llama --trained llama-sft --suite math --samples 4
    afterburn behaviour --base recorded:old.jsonl --trained recorded:new.jsonl
    """
    settings = settings_from(flags)
    plugins = with_suites(("behaviour",), settings)
    ctx.exit(run_and_report("behaviour", settings, plugins, flags["as_json"], flags["quiet"]))


@without_plugins
@click.command()
@subject_options
@writing_options
@run_options
@click.pass_context
def activations(ctx: click.Context, /, **flags: Any) -> None:
    """Compare what happens inside the models, on texts that both read.

    \b
    afterburn activations --base llama --trained llama-sft -o report.html
    """
    settings = settings_from(flags)
    plugins = with_suites(("activation",), settings)
    ctx.exit(run_and_report("activations", settings, plugins, flags["as_json"], flags["quiet"]))


def run_and_report(
    command: str, settings: Settings, plugins: tuple[str, ...] | None, as_json: bool, quiet: bool
) -> int:
    """Runs, writes the reports asked for, prints the summary; returns the exit code of the verdict."""
    from rich.console import Console

    from afterburn_core.cli.progress import make_progress
    from afterburn_core.judge.verdict import EXIT_CODES
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.report.terminal import summary
    from afterburn_core.report.writing import check_output, render_report
    from afterburn_core.result import codec
    from afterburn_core.result.view import ResultView
    from afterburn_core.run.backend_choice import with_backend

    registry = Registry.discover(only=with_backend(plugins, settings.backend), strict=settings.strict)
    outputs = [Path(text) for text in settings.output]
    for path in outputs:
        check_output(path, registry)
    from afterburn_core.run.diagnose import diagnose as run_diagnose

    done = run_diagnose(settings, registry, command=command, progress=make_progress(quiet or as_json))
    view = ResultView(done.result, done.directory)
    for path in outputs:
        render_report(view, path, registry)
    for remark in done.remarks:
        click.echo(f"afterburn: {remark}", err=True)
    for problem in registry.problems:
        click.echo(f"afterburn: plugin {problem.plugin}: {problem.stage}: {problem.error}", err=True)
    if as_json:
        click.echo(codec.dumps(done.result), nl=False)
    elif not quiet:
        console = Console()
        summary(view, console)
        written = [done.directory / "result.json", *outputs]
        console.print("\n" + "\n".join(f"written: {path}" for path in written), highlight=False, soft_wrap=True)
    return EXIT_CODES[done.result.verdict.status]
