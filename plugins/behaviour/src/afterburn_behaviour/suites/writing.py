"""The suite `writing`: open-ended texts to write. There is no gold answer: only how models write is compared."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from afterburn_behaviour.suites.drawing import Family, Open, draw, refuse_more
from afterburn_behaviour.suites.writing_themes import THEMES, Theme
from afterburn_core.probes.model import Probe

WISHES = ("", " Use plain language.", " Write as you would speak.", " Avoid clichés.", " Pay attention to detail.")
"""What may follow any task."""


def wordings(theme: Theme) -> list[str]:
    """Every task of a theme."""
    return [theme.text.format(a=a, b=b) for a in theme.a for b in theme.b]


def _draws(name: str, theme: Theme) -> Callable[[random.Random], Open]:
    tasks = wordings(theme)

    def ask(rng: random.Random) -> Open:
        task = rng.choice(tasks)
        return Open(prompt=task + rng.choice(WISHES), properties={"kind": name}, key=task)

    return ask


def _families() -> tuple[Family, ...]:
    """The first theme of every category, then the second of every category, and so on."""
    most = max(len(themes) for themes in THEMES.values())
    return tuple(
        Family(category=category, draw=_draws(f"{category}-{turn % len(themes)}", themes[turn % len(themes)]))
        for turn in range(most)
        for category, themes in THEMES.items()
    )


FAMILIES = _families()
DEFAULT = 120
MOST = 800
"""A theme has sixty prompts at least, and some themes come up twice in a cycle."""


def items(seed: int, n: int | None) -> Iterable[Probe]:
    """`n` items (120 by default), as many of each category.

    Raises:
        ConfigError: `n` is more than `MOST`.
    """
    n = DEFAULT if n is None else n
    refuse_more("writing", n, MOST)
    return draw("writing", FAMILIES, seed, n)
