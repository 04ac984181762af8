"""`afterburn probes`: which sets of prompts there are, what is in them, and whether a file of one's own is in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afterburn_core.cli.options import debug_option

if TYPE_CHECKING:
    from afterburn_core.probes.model import Probe
    from afterburn_core.probes.suites import AskedSet

_DIGITS = 12  # of a digest in a list


@click.group()
def probes() -> None:
    """List, show, write and check sets of prompts."""


@probes.command("list")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of generated items.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def list_sets(seed: int, as_json: bool) -> None:
    """List the installed sets with their size, licence and digest."""
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.probes.suites import draw

    registry = Registry.discover()
    rows: list[dict[str, Any]] = []
    for registered in registry.specs("probe_set"):
        used = draw(registered.spec.name, seed=seed, n=None, registry=registry)
        rows.append(
            {
                "name": used.name,
                "n": used.n,
                "licence": used.licence,
                "sha256": used.sha256,
                "seed": seed,
                "categories": sorted({probe.category for probe in used.probes if probe.category}),
                "summary": registered.spec.summary,
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        click.echo("no probe sets; they come with plugins such as behaviour: pip install ./plugins/behaviour", err=True)
    for row in rows:
        click.echo(f"{row['name']:22} {row['n']:5}  {row['licence']:11} {row['sha256'][:_DIGITS]}  {row['summary']}")


@probes.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("--n", "n", type=click.IntRange(min=1), default=3, show_default=True, help="Items shown.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of generated items.")
@debug_option
def show(name: str, n: int, seed: int) -> None:
    """Show items of a set, written NAME[:N][@SEED], or of a file."""
    used = _used(name, seed, None)
    click.echo(f"{used.name}: {used.n} items, licence {used.licence or 'not stated'}, sha256 {used.sha256}")
    for probe in used.probes[:n]:
        click.echo(f"\n{_shown(probe)}")


@probes.command()
@click.argument("name", metavar="NAME")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of generated items.")
@click.option("--n", "n", type=click.IntRange(min=1), help="Items written [default: the set's own number].")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write: .jsonl or .jsonl.gz.",
)
@debug_option
def write(name: str, seed: int, n: int | None, output: Path) -> None:
    """Write a set to a file that --prompts reads."""
    from afterburn_core.errors import ConfigError
    from afterburn_core.probes.files import Header, write_probes

    if not output.name.lower().endswith((".jsonl", ".jsonl.gz")):
        raise ConfigError(f"{output}: probe files are written as JSONL; name it .jsonl or .jsonl.gz")
    if not output.absolute().parent.is_dir():
        raise ConfigError(f"{output}: the directory {output.parent} does not exist; create it first")
    used = _used(name, seed, n)
    write_probes(output, used.probes, Header(name=used.name, licence=used.licence, seed=used.seed))
    click.echo(f"{output}: {used.n} items of {used.name}, sha256 {used.sha256}")


@probes.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@debug_option
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Check files of prompts. Every fault is a line `file:line: what; what to do`; exit 2 if there is any."""
    from afterburn_core.errors import ConfigError, ProbeError
    from afterburn_core.probes.files import read_probes
    from afterburn_core.probes.suites import select

    faulty = False
    for file in files:
        try:
            found = read_probes(file)
        except ProbeError as error:
            faulty = True
            for problem in error.problems:
                click.echo(problem, err=True)
            continue
        checked = sum(probe.checker is not None for probe in found.probes)
        licence = found.header.licence or "no licence stated"
        click.echo(f"{file}: {len(found.probes)} probes, {checked} with a checker, {licence}, sha256 {found.sha256}")
    if not faulty and len(files) > 1:
        try:
            select((), files, seed=0, n=None)
        except ConfigError as error:
            faulty = True
            click.echo(str(error), err=True)
    ctx.exit(2 if faulty else 0)


def _used(name: str, seed: int, n: int | None) -> AskedSet:
    from afterburn_core.probes.suites import select

    as_file = Path(name).exists()
    return select(() if as_file else (name,), (name,) if as_file else (), seed=seed, n=n)[0]


def _shown(probe: Probe) -> str:
    facts = {
        "category": probe.category,
        "gold": probe.gold,
        "checker": probe.checker,
        "unsafe": probe.unsafe,
        "twin": probe.twin,
        "requests": ", ".join(probe.requests) or None,
    }
    told = "\n".join(f"  {name}: {_indented(value)}" for name, value in facts.items() if value is not None)
    return f"[{probe.id}]\n  {_indented(probe.text)}" + (f"\n{told}" if told else "")


def _indented(value: object) -> str:
    return str(value).replace("\n", "\n    ")
