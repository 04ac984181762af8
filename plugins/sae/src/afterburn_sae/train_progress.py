"""How a training tells how far it is: one line that renews itself on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from afterburn_sae.train_learner import Standing

EVERY_SECONDS = 10.0


class ProgressLine:
    """Call it with every `Standing`; `end` closes the line."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._last = 0.0
        self._open = False

    def __call__(self, standing: Standing) -> None:
        now = time.monotonic()
        last_step = standing.step >= standing.steps
        if self._quiet or (not self._terminal and now - self._last < EVERY_SECONDS and not last_step):
            return
        self._last = now
        text = line_of(standing)
        if self._terminal:
            click.echo(f"\r\x1b[2K{text}", err=True, nl=False)
            self._open = True
        else:
            click.echo(text, err=True)

    def end(self) -> None:
        """Leaves the cursor on a new line."""
        if self._open:
            click.echo(err=True)


def line_of(standing: Standing) -> str:
    """`step 96 of 977, unexplained .213, 3 % of 384 latents dead, 15,200 tokens/s`."""
    fvu = "" if standing.fvu is None else f", unexplained {standing.fvu:.3f}"
    speed = f", {standing.tokens / standing.seconds:,.0f} tokens/s" if standing.seconds else ""
    dead = 100 * standing.dead / standing.latents
    return (
        f"step {standing.step:,} of {standing.steps:,}{fvu}, {dead:.0f} % of {standing.latents:,} latents dead{speed}"
    )
