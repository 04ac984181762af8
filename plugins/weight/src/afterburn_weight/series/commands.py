"""`afterburn trajectory` and `afterburn candidates`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afterburn_core.cli.options import debug_option, run_options, settings_from

if TYPE_CHECKING:
    from afterburn_core.run.configuration import Settings
    from afterburn_core.run.series_execute import Member
    from afterburn_core.run.subjects import OpenSubject

Command = Callable[..., Any]
Opener = Callable[["OpenSubject", Any, str | None], tuple[Sequence["Member"], Sequence[str]]]


def _series_options(command: Command) -> Command:
    """How to read and run, besides the models."""
    decorators = (
        click.option("--base", metavar="MODEL", help="Base model: directory, weight file or hub id[@revision]."),
        click.option(
            "--config", type=click.Path(path_type=Path), help="Configuration file [default: .afterburn.yaml]."
        ),
        click.option("--backend", metavar="NAME", help="Open models with this backend."),
        click.option("--threads", type=int, metavar="N", help="Worker threads [default: all cores]."),
        click.option("--strict", is_flag=True, default=None, help="Stop if any plugin has a problem."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output."),
        debug_option,
    )
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


@click.command()
@click.option(
    "--checkpoints",
    multiple=True,
    metavar="GLOB",
    help="Checkpoints of the run: directories or files, as a pattern in quotes. Repeats.",
)
@click.argument("more", nargs=-1, metavar="[CHECKPOINT]...")
@_series_options
@run_options
@click.pass_context
def trajectory(ctx: click.Context, /, checkpoints: tuple[str, ...], more: tuple[str, ...], **flags: Any) -> None:
    """How the weights moved from checkpoint to checkpoint of one training run.

    \b
    afterburn trajectory --base llama --checkpoints 'runs/checkpoint-*' -o report.html
    afterburn trajectory --base base.pt --checkpoints 'ckpt/step_*.pt' --json

    Checkpoints are Trainer directories (whole models or adapters) or .pt files with step and state_dict. Their order is
    that of trainer_state.json, else of checkpoint-N in their names, else of the step in the file.
    """
    from afterburn_weight.series.members import checkpoint_paths, open_checkpoints

    patterns = (*checkpoints, *more)
    if not patterns:
        raise click.UsageError("no checkpoints; give them with --checkpoints 'runs/checkpoint-*'", ctx)
    paths = checkpoint_paths(patterns)

    def opener(base: OpenSubject, registry: Any, backend: str | None) -> tuple[Sequence[Member], Sequence[str]]:
        return open_checkpoints(paths, base, registry, backend)

    ctx.exit(_run("trajectory", paths, opener, settings_from(flags), flags["as_json"], flags["quiet"]))


@click.command()
@click.option(
    "--trained",
    multiple=True,
    metavar="MODEL",
    help="A trained model: directory, weight file, hub id or PEFT adapter. Repeats.",
)
@click.argument("more", nargs=-1, metavar="[MODEL]...")
@_series_options
@run_options
@click.pass_context
def candidates(ctx: click.Context, /, trained: tuple[str, ...], more: tuple[str, ...], **flags: Any) -> None:
    """How the changes of several trained models of one base relate: cosines, signs, shared subspaces.

    \b
    afterburn candidates --base llama --trained sft-a --trained sft-b --trained my-lora -o report.html
    """
    from afterburn_weight.series.members import open_candidates

    texts = (*trained, *more)
    if len(texts) < 2:
        raise click.UsageError("candidates are compared with one another; give --trained at least twice", ctx)

    def opener(base: OpenSubject, registry: Any, backend: str | None) -> tuple[Sequence[Member], Sequence[str]]:
        return open_candidates(texts, base, registry, backend), ()

    ctx.exit(_run("candidates", texts, opener, settings_from(flags), flags["as_json"], flags["quiet"]))


for _command in (trajectory, candidates):  # the pass runs on processors alone
    _command.params = [parameter for parameter in _command.params if parameter.name != "device"]


def _run(command: str, models: Sequence[str], opener: Opener, settings: Settings, as_json: bool, quiet: bool) -> int:
    """Runs, writes the reports asked for, prints the summary; returns the exit code of the verdict."""
    from rich.console import Console

    from afterburn_core.cli.progress import make_progress
    from afterburn_core.judge.verdict import EXIT_CODES
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.report.terminal import summary
    from afterburn_core.report.writing import check_output, render_report
    from afterburn_core.result import codec
    from afterburn_core.result.view import ResultView
    from afterburn_core.run.series_run import run_series
    from afterburn_weight.series.members import open_base

    registry = Registry.discover(only=settings.plugins or ("weight",), strict=settings.strict)
    outputs = [Path(text) for text in settings.output]
    for path in outputs:
        check_output(path, registry)
    base = open_base(settings.base, models[0], registry, settings.backend)
    try:
        members, remarks = opener(base, registry, settings.backend)
        try:
            done = run_series(
                settings, registry, base, members, command=command, progress=make_progress(quiet or as_json)
            )
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
