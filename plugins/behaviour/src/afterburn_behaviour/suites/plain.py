"""The texts `plain`: short English passages about ordinary things, to be read by both models and never asked.

What training changed shows on texts that have nothing to do with it. A seed gives fresh passages from our own grammar:
no model can have seen them. Each has about 30 to 60 tokens; domains take turns, so that the first passages of any
number have as many of each.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable

from afterburn_behaviour.suites import plain_forms, plain_home, plain_world
from afterburn_behaviour.suites.drawing import Family, Open, draw, refuse_more
from afterburn_behaviour.suites.plain_grammar import Domain, passage
from afterburn_behaviour.suites.plain_words import WORDS
from afterburn_core.probes.model import Probe

DOMAINS: dict[str, Domain] = {
    name.lower(): getattr(module, name)
    for module in (plain_home, plain_world, plain_forms)
    for name in vars(module)
    if isinstance(getattr(module, name), Domain)
}
DEFAULT = 1000
MOST = 10_000
SHORTEST, LONGEST = 30, 60
"""Tokens, as `size` estimates them."""


def size(text: str) -> int:
    """About how many tokens a usual byte-pair vocabulary makes of it: words, marks, and pieces of long words."""
    return sum(1 + (len(word) > 7) for word in re.findall(r"[A-Za-zÀ-ÿ]+|\d{1,3}|[^\sA-Za-zÀ-ÿ\d]", text))


def items(seed: int, n: int | None) -> Iterable[Probe]:
    """`n` passages (1000 by default).

    Raises:
        ConfigError: `n` is more than `MOST`.
    """
    n = DEFAULT if n is None else n
    refuse_more("plain", n, MOST)
    return draw("plain", FAMILIES, seed, n)


def _draws(domain: Domain) -> Callable[[random.Random], Open]:
    def write(rng: random.Random) -> Open:
        while True:
            text = passage(rng, domain, WORDS)
            if SHORTEST <= size(text) <= LONGEST:
                return Open(prompt=text)

    return write


FAMILIES = tuple(Family(category=name, draw=_draws(domain)) for name, domain in sorted(DOMAINS.items()))
