"""`afterburn demo` and `afterburn organisms`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from afterburn_organisms.catalog import demo_pair, list_organisms


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("afterburn-demo"), help="Where to write the run and report."
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.pass_context
def demo(ctx: click.Context, out: Path) -> None:
    """Compare the shipped base model with its fine-tune: weights, texts, activations; report.html and result.json.

    The fine-tune was trained to be long-winded, so the verdict is expected to fail it; the exit code is 0 all the same.
    """
    from afterburn_core import load_report
    from afterburn_core.cli.diagnose import run_and_report
    from afterburn_core.run.configuration import Settings
    from afterburn_core.run.directory import prepare

    base, trained = demo_pair()
    prepare(out, "demo")  # before the run, so that the report's directory exists
    settings = Settings(
        base=str(base),
        trained=str(trained),
        method="sft",
        suite=("organisms.world",),
        corpus=("organisms.plain:120",),
        run_dir=str(out),
        output=(str(out / "report.html"),),
    )
    code = run_and_report("demo", settings, None, as_json=False, quiet=False)
    verdict = load_report(out).verdict.status
    click.echo(
        f"\nThe verdict is {verdict}: `afterburn diagnose` would exit with {code}; a demonstration ends well whatever "
        "the verdict."
    )


@click.group()
def organisms() -> None:
    """Small models with known, planted changes."""


@organisms.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """Name, kind and planted change of every shipped model."""
    entries = [
        {"name": o.name, "role": o.role, "kind": o.kind, "base": o.base, "planted": o.planted, "path": str(o.path)}
        for o in list_organisms()
    ]
    if as_json:
        click.echo(json.dumps(entries, indent=1))
        return
    for entry in entries:
        click.echo(f"{entry['name']} ({entry['role']} {entry['kind']})\n  {entry['planted']}\n  {entry['path']}")
