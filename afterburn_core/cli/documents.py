"""`afterburn schema` and `afterburn validate`."""

from __future__ import annotations

from pathlib import Path

import click

from afterburn_core.cli.options import debug_option


@click.command()
@click.argument("kind", required=False)
@click.option("--version", default=None, help="Version of the schema [default: the newest].")
@debug_option
def schema(kind: str | None, version: str | None) -> None:
    """Print the JSON Schema of the result document, or of another KIND of file: policy, probe-set."""
    from afterburn_core.errors import ConfigError
    from afterburn_core.plugin.registry import suggestion
    from afterburn_core.resources import schema_kinds, schema_path, schema_versions

    wanted, kinds = kind or "run-result", schema_kinds()
    if wanted not in kinds:
        raise ConfigError(f"no schema of {wanted!r}{suggestion(wanted, kinds)}; there are: {', '.join(kinds)}")
    known = schema_versions(wanted)
    chosen = version or known[-1]
    if chosen not in known:
        raise ConfigError(f"no schema version {chosen!r}; there are: {', '.join(known)}")
    click.echo(schema_path(chosen, wanted).read_text(encoding="utf-8"), nl=False)


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@debug_option
@click.pass_context
def validate(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Check result documents: schema, ids, references. Every fault is a line with its path; exit 2 if any."""
    from afterburn_core.errors import SchemaError
    from afterburn_core.result import codec, table
    from afterburn_core.run.directory import directory_of, result_path

    faulty = False
    for file in files:
        path = result_path(file)
        try:
            result = codec.read(path)
            tabled = table.read_tables(result, directory_of(path))
        except SchemaError as error:
            faulty = True
            for problem in error.problems or (str(error),):
                click.echo(f"{file}: {problem}", err=True)
            continue
        count, found = len(result.measurements) + len(tabled), len(result.findings)
        click.echo(f"{file}: valid, schema {result.schema_version}, {count} measurements, {found} findings")
    ctx.exit(2 if faulty else 0)
