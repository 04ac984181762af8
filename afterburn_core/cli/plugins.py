"""`afterburn plugins`: what is installed, where it came from, what it brings and what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import click

from afterburn_core.cli.options import debug_option


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--strict", is_flag=True, help="Stop if any plugin has a problem.")
@debug_option
@click.pass_context
def plugins(ctx: click.Context, as_json: bool, strict: bool) -> None:
    """List installed plugins and what they bring. Exit 1 if a plugin has a problem."""
    from afterburn_core.plugin.registry import ROLES, Registry

    registry = Registry.discover(strict=strict)
    listing: list[dict[str, Any]] = []
    for name in sorted(registry.plugins):
        plugin = registry.plugins[name]
        brought = {
            role: [{"name": r.spec.name, "summary": r.spec.summary} for r in registry.specs(role) if r.plugin == plugin]
            for role in ROLES
        }
        listing.append(
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "brings": {role: specs for role, specs in brought.items() if specs},
            }
        )
    problems = [{"plugin": p.plugin, "stage": p.stage, "error": p.error} for p in registry.problems]
    if as_json:
        click.echo(json.dumps({"plugins": listing, "problems": problems}, indent=1))
    else:
        for entry in listing:
            click.echo(f"{entry['name']}  {entry['distribution']} {entry['version']}")
            for role, specs in entry["brings"].items():
                for spec in specs:
                    click.echo(f"  {role:9} {spec['name']:18} {spec['summary']}")
        for problem in problems:
            click.echo(f"problem: {problem['plugin']}: {problem['stage']}: {problem['error']}", err=True)
    ctx.exit(1 if problems else 0)
