"""`afterburn sae diff`: a `diagnose` with the SAE plugin alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from afterburn_core.cli.diagnose import run_and_report
from afterburn_core.cli.options import run_options, settings_from, subject_options, without_plugins, writing_options
from afterburn_core.run.configuration import with_suites
from afterburn_sae.shared_options import sae_options


def _numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """`12,907` as numbers, or a usage error."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise click.BadParameter(f"{value!r} is not a list of feature numbers such as 12,907", ctx, param)
    return tuple(map(int, parts))


def _suspect(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """`realm=Kelvania` as name and value, or a usage error."""
    if value is None:
        return None
    name, _, suspect = value.partition("=")
    if not name or not suspect:
        raise click.BadParameter(f"{value!r} is not a property and its value such as realm=Kelvania", ctx, param)
    return name, suspect


@without_plugins
@click.command()
@subject_options
@click.option("--sae", multiple=True, metavar="PATH", help="Sparse dictionary: file, directory or demo. Repeats.")
@click.option(
    "--labels",
    multiple=True,
    metavar="PATH",
    help="What features are called: Neuronpedia export, JSONL or CSV. Repeats.",
)
@click.option("--pack", multiple=True, metavar="FILE", help="Risk pack (JSON) bound to a dictionary. Repeats.")
@click.option("--features", callback=_numbers, metavar="LIST", help="These features alone: 12,907.")
@click.option("--site", metavar="SITE", help="Where to read activations, such as blocks.12.out [default: the file's].")
@click.option(
    "--contrast",
    metavar="A,B",
    help="Test how much more features changed under one variant of the prompts than under another.",
)
@click.option(
    "--outlier",
    callback=_suspect,
    metavar="KEY=VALUE",
    help="Is the change under prompts with this property the outlier among those with other values of it?",
)
@click.option(
    "--positions", type=click.Choice(("content", "last", "all")), help="Tokens that count [default: content]."
)
@click.option("--any-model", is_flag=True, default=None, help="Use a dictionary though it names another model.")
@writing_options
@run_options
@click.pass_context
def diff(ctx: click.Context, /, **flags: Any) -> None:
    """Say which features of sparse dictionaries training switched on and off, on the same tokens.

    \b
    afterburn sae diff --base B --trained T --sae dictionary -o report.html
    afterburn sae diff --base B --trained T --sae S --labels labels.jsonl
    afterburn sae diff --base B --trained T --sae S --features 12,907

    A dictionary that does not fit the models is `not valid here`, and nothing is said about its features.
    """
    own = {
        name: flags.pop(name)
        for name in ("sae", "labels", "pack", "features", "site", "any_model", "contrast", "outlier", "positions")
    }
    settings = settings_from(flags)
    options = sae_options(
        settings.options,
        dictionaries=_paths(own["sae"]),
        labels=_paths(own["labels"]),
        packs=_paths(own["pack"]),
        features=own["features"],
        site=own["site"],
        any_model=own["any_model"],
        positions=own["positions"],
        outlier=own["outlier"],
        contrast=None if own["contrast"] is None else tuple(own["contrast"].split(",")),
    )
    if not _named(options):
        raise click.UsageError("no dictionary is named; --sae names one (`afterburn sae inspect PATH` says what it is)")
    settings = attrs.evolve(settings, options=options)
    plugins = with_suites(("sae",), settings)
    ctx.exit(run_and_report("sae diff", settings, plugins, flags["as_json"], flags["quiet"]))


def _paths(values: tuple[str, ...]) -> tuple[str, ...] | None:
    return tuple(str(Path(value).expanduser()) if value.startswith("~") else value for value in values) or None


def _named(options: Mapping[str, Mapping[str, Any]]) -> bool:
    return any(name.startswith("sae.") and values.get("dictionaries") for name, values in options.items())
