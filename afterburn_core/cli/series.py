"""What commands over several models share: open, run, report, print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.run.configuration import Settings
    from afterburn_core.run.series_execute import Member
    from afterburn_core.run.subjects import OpenSubject

Opener = Callable[["OpenSubject", "Registry", str | None], tuple[Sequence["Member"], Sequence[str]]]
"""Opens the models on an opened base, with the registry and the backend's name; gives them with remarks to print."""


def run_and_report(command: str, first: str, opener: Opener, settings: Settings, *, as_json: bool, quiet: bool) -> int:
    """Runs, writes the reports asked for, prints the summary; returns the exit code of the verdict.

    Args:
        command: its name, for the record.
        first: the first model, which names the base where it is an adapter and no base was given.
        opener: opens the models.
        settings: as for a comparison of two; without `plugins`, the weight plugin alone takes part.
        as_json: print the document in place of the summary.
        quiet: print neither.

    Raises:
        AfterburnError: the input or the environment does not allow it.
    """
    from rich.console import Console

    from afterburn_core.cli.progress import make_progress
    from afterburn_core.judge.verdict import EXIT_CODES
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.report.terminal import summary
    from afterburn_core.report.writing import check_output, render_report
    from afterburn_core.result import codec
    from afterburn_core.result.view import ResultView
    from afterburn_core.run.backend_choice import with_backend
    from afterburn_core.run.series_members import open_base
    from afterburn_core.run.series_run import run_series

    plugins = with_backend(settings.plugins or ("weight",), settings.backend)
    registry = Registry.discover(only=plugins, strict=settings.strict)
    outputs = [Path(text) for text in settings.output]
    for path in outputs:
        check_output(path, registry)
    base = open_base(settings.base, first, registry, settings.backend)
    try:
        members, remarks = opener(base, registry, settings.backend)
        try:
            progress = make_progress(quiet or as_json)
            done = run_series(settings, registry, base, members, command=command, progress=progress)
        finally:
            for member in members:
                member.subject.close()
    finally:
        base.close()
    view = ResultView(done.result, done.directory)
    for path in outputs:
        render_report(view, path, registry)
    for remark in (*remarks, *(f"plugin {p.plugin}: {p.stage}: {p.error}" for p in registry.problems)):
        click.echo(f"afterburn: {remark}", err=True)
    if as_json:
        click.echo(codec.dumps(done.result), nl=False)
    elif not quiet:
        console = Console()
        summary(view, console)
        written = [done.directory / "result.json", *outputs]
        console.print("\n" + "\n".join(f"written: {path}" for path in written), highlight=False, soft_wrap=True)
    return EXIT_CODES[done.result.verdict.status]
