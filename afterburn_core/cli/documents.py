"""`afterburn schema` and `afterburn validate`."""

from __future__ import annotations

from pathlib import Path

import click

from afterburn_core.cli.options import debug_option


@click.command()
@click.option("--version", default=None, help="Version of the schema [default: the newest].")
@debug_option
def schema(version: str | None) -> None:
    """Print the JSON Schema of the result document."""
    from afterburn_core.errors import ConfigError
    from afterburn_core.resources import schema_path, schema_versions

    known = schema_versions()
    chosen = version or known[-1]
    if chosen not in known:
        raise ConfigError(f"no schema version {chosen!r}; there are: {', '.join(known)}")
    click.echo(schema_path(chosen).read_text(encoding="utf-8"), nl=False)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@debug_option
@click.pass_context
def validate(ctx: click.Context, file: Path) -> None:
    """Check a result document: schema, ids, references. Every fault is a line with its path; exit 2 if any."""
    from afterburn_core.errors import SchemaError
    from afterburn_core.result import codec, table
    from afterburn_core.run.directory import directory_of, result_path

    path = result_path(file)
    try:
        result = codec.read(path)
        tabled = table.read_tables(result, directory_of(path))
    except SchemaError as error:
        for problem in error.problems or (str(error),):
            click.echo(f"{file}: {problem}", err=True)
        ctx.exit(2)
    count = len(result.measurements) + len(tabled)
    click.echo(f"{file}: valid, schema {result.schema_version}, {count} measurements, {len(result.findings)} findings")
