"""`afterburn trajectory` and `afterburn candidates`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from afterburn_core.cli.options import debug_option, run_options, settings_from

Command = Callable[..., Any]


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
    afterburn trajectory --base llama --checkpoints 'runs/step-*' -o report.html
    afterburn trajectory --base base.pt --checkpoints 'ckpt/step_*.pt' --json

    Checkpoints are Trainer directories (whole models or adapters) or .pt files with step and state_dict. Their order is
    that of trainer_state.json, else of checkpoint-N in their names, else of the step in the file.
    """
    from afterburn_core.cli.series import run_and_report
    from afterburn_core.run.series_members import checkpoint_paths, open_checkpoints

    patterns = (*checkpoints, *more)
    if not patterns:
        raise click.UsageError("no checkpoints; give them with --checkpoints 'runs/checkpoint-*'", ctx)
    paths = checkpoint_paths(patterns)
    opener = partial(open_checkpoints, paths)
    shown = {name: flags[name] for name in ("as_json", "quiet")}
    ctx.exit(run_and_report("trajectory", paths[0], opener, settings_from(flags), **shown))


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
    afterburn candidates --base llama --trained sft-a --trained my-lora -o r.html
    """
    from afterburn_core.cli.series import run_and_report
    from afterburn_core.run.series_members import open_candidates

    texts = (*trained, *more)
    if len(texts) < 2:
        raise click.UsageError("candidates are compared with one another; give --trained at least twice", ctx)
    opener = partial(open_candidates, texts)
    shown = {name: flags[name] for name in ("as_json", "quiet")}
    ctx.exit(run_and_report("candidates", texts[0], opener, settings_from(flags), **shown))


for _command in (trajectory, candidates):  # the pass runs on processors alone
    _command.params = [parameter for parameter in _command.params if parameter.name != "device"]
