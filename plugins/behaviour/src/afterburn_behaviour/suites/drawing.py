"""How generated suites are drawn: item `i` comes from family `i mod F` and a random stream of its own.

So a suite is balanced between its families, the first items of a larger set are those of a smaller one, and nothing
depends on what else was drawn. An item that was drawn before is drawn again from the next stream.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.probes.model import Probe

ATTEMPTS = 200
"""Draws until a new prompt must have come; a family has far more prompts than any run asks for."""


@attrs.frozen(kw_only=True)
class Item:
    """What a family draws: a probe without its place in the suite."""

    prompt: str
    gold: str
    checker: str
    choices: tuple[str, ...] = ()
    properties: dict[str, Any] = attrs.field(factory=dict)
    key: str | None = None
    """What makes it the same item under other words; the prompt where that is `None`."""


@attrs.frozen(kw_only=True)
class Open:
    """What a family without gold answers draws."""

    prompt: str
    checker: str | None = None
    requests: tuple[str, ...] = ()
    properties: dict[str, Any] = attrs.field(factory=dict)
    key: str | None = None
    """As of `Item`."""


@attrs.frozen(kw_only=True)
class Family:
    """One kind of item. `draw` uses no randomness besides the generator it is given."""

    category: str
    draw: Callable[[random.Random], Item | Open]


def refuse_more(suite: str, n: int, most: int) -> None:
    """Stops before anything is drawn where nobody can be sure of `n` different items.

    Raises:
        ConfigError: `n` is more than `most`.
    """
    if n > most:
        raise ConfigError(f"suite {suite!r} has no more than {most} different items; ask for fewer")


def draw(suite: str, families: Sequence[Family], seed: int, n: int) -> Iterator[Probe]:
    """`n` probes without a repeated prompt; `suite` is the name without the plugin's."""
    seen: set[str] = set()
    for index in range(n):
        family = families[index % len(families)]
        item = _fresh(suite, family, seed, index, seen)
        seen |= {item.prompt, item.key or item.prompt}
        yield Probe(
            id=f"{suite}-s{seed}-{index:05d}",
            prompt=item.prompt,
            suite=f"behaviour.{suite}",
            category=family.category,
            gold=item.gold if isinstance(item, Item) else None,
            checker=item.checker,
            choices=item.choices if isinstance(item, Item) else (),
            requests=item.requests if isinstance(item, Open) else (),
            properties=item.properties,
        )


def _fresh(suite: str, family: Family, seed: int, index: int, seen: set[str]) -> Item | Open:
    reworded: Item | Open | None = None
    for attempt in range(ATTEMPTS):
        # a text as seed is hashed by `random` itself, the same in every process
        item = family.draw(random.Random(f"{suite}/{family.category}/{seed}/{index}/{attempt}"))
        if item.prompt not in seen:
            if item.key is None or item.key not in seen:
                return item
            reworded = reworded or item
    if reworded is not None:
        return reworded
    raise ConfigError(f"suite {suite!r} has no more than {index} different items; ask for fewer")
