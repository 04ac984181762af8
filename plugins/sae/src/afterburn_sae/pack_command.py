"""`afterburn sae pack check`: whether a risk pack can be used, and with which dictionary."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def pack() -> None:
    """Lists of features and directions that somebody asks to be watched."""


@pack.command(short_help="Say what a risk pack holds, or what is wrong with it.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sae", "dictionary", metavar="PATH", help="The dictionary that the pack is to be used with.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def check(file: Path, dictionary: str | None) -> None:
    """Say what the risk pack FILE holds, or what is wrong with it; with --sae, whether it is that dictionary's."""
    from afterburn_core.errors import ConfigError
    from afterburn_core.plugin.registry import Registry
    from afterburn_sae.pack import read_directions, read_pack

    found = read_pack(file)
    sets = sorted(r.spec.name for r in Registry.discover().specs("probe_set") if r.spec.use == "passages")
    short = {name.partition(".")[2] for name in sets}
    unknown = [name for name in found.probe_sets if name not in sets and name not in short]
    if unknown:
        raise ConfigError(f"risk pack {found.name}: {unknown[0]!r} is no set of passages; there are: {', '.join(sets)}")
    directions = read_directions(found) if found.directions is not None else {}
    click.echo(f"{found.name} {found.version}, {found.licence}, from {found.source}")
    if not found.verified:
        click.echo("not verified: nobody has shown yet that its features do what their labels say")
    click.echo(f"for {', '.join(found.probe_sets)}; sha256 {found.sha256}")
    if found.dictionary is not None:
        bound = f"{len(found.features)} features of the dictionary sha256 {found.dictionary.sha256}"
        click.echo(f"{bound} at {found.dictionary.site}")
    for name, vector in directions.items():
        click.echo(f"{name}: {len(vector)} numbers")
    if dictionary is not None:
        from afterburn_sae.readers import open_dictionary
        from afterburn_sae.risk_watched import watched

        opened = open_dictionary(dictionary)
        watched((found,), [opened], 19)
        click.echo(f"bound to {opened.name or dictionary}, which is given")
