"""`afterburn sae`: a group whose subcommands are imported when they are used."""

from __future__ import annotations

import importlib

import click

SUBCOMMANDS = {
    "inspect": ("afterburn_sae.command_inspect:inspect", "Say what a dictionary file is."),
    "diff": ("afterburn_sae.command_diff:diff", "Which features training switched on and off."),
    "train": ("afterburn_sae.command_train:train", "Train a dictionary on base, trained or difference activations."),
    "crosscoder": ("afterburn_sae.command_crosscoder:crosscoder", "Train one dictionary on both models at once."),
    "align": ("afterburn_sae.command_align:align", "Match the latents of two dictionaries."),
    "pack": ("afterburn_sae.pack_command:pack", "Check a risk pack."),
}
"""Where each is, and its line of the group's help."""


class Subcommands(click.Group):
    """Imports a subcommand when it is asked for, and for its own help none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, or `None`."""
        if cmd_name not in SUBCOMMANDS:
            return None
        module, _, attribute = SUBCOMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing what it names."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in SUBCOMMANDS.items()])


@click.command(cls=Subcommands)
def sae() -> None:
    """Sparse dictionaries: which of their features did training switch on and off?"""
