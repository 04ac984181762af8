"""`afterburn hack-check`: whether what training moved looks like reward hacking."""

from __future__ import annotations

from typing import Any

import click

from afterburn_core.cli.diagnose import run_and_report
from afterburn_core.cli.options import run_options, settings_from, subject_options, without_plugins, writing_options
from afterburn_core.run.configuration import with_suites


@without_plugins
@click.command(name="hack-check")
@subject_options
@writing_options
@run_options
@click.pass_context
def hack_check(ctx: click.Context, /, **flags: Any) -> None:
    """Say whether what training moved looks like reward hacking: what the models write, and the ten rules on it.

    \b
    afterburn hack-check --base llama --trained llama-grpo -o report.html
    afterburn hack-check --base recorded:old.jsonl --trained recorded:new.jsonl
    afterburn hack-check --base llama --trained llama-grpo --reward mine:score

    The preset is full unless one is set. The table at the end names the rules that could not run, and what they need.
    """
    settings = settings_from(flags, preset="full")
    plugins = with_suites(("behaviour", "reward_hack"), settings)
    ctx.exit(run_and_report("hack-check", settings, plugins, flags["as_json"], flags["quiet"]))
