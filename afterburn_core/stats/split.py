"""Search on one half of the prompts, test on the other.

A hypothesis found by looking (the most shifted feature, the worst category, a chosen layer) is tested on prompts that
had no part in finding it. Which half a prompt belongs to is a keyed hash of its content alone:

    half(x) = lowest bit of BLAKE2b(x; key)

so the halves are fixed before anything is generated, do not depend on the order or number of prompts, cannot be
chosen after the fact once the key is stored, and prompts of equal content stay together. The halves have about equal
sizes, not exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, Literal, TypeVar

import attrs

from afterburn_core.stats.contrast import Contrast, undefined

Half = Literal["discover", "confirm"]
H = TypeVar("H", bound=Hashable)


def half(content: str, *, key: str) -> Half:
    """The half that a unit with this content belongs to.

    Args:
        content: text of the prompt, or what stands for the group that must not be torn apart.
        key: secret or seed that fixes the split; stored with the result.
    """
    secret = hashlib.blake2b(key.encode("utf-8", "surrogatepass")).digest()
    digest = hashlib.blake2b(content.encode("utf-8", "surrogatepass"), key=secret, person=b"afterburn-split").digest()
    return "confirm" if digest[0] & 1 else "discover"


@attrs.frozen(kw_only=True)
class Halves:
    """A split of units, by id, in the order given."""

    discover: tuple[str, ...]
    """Where hypotheses come from."""
    confirm: tuple[str, ...]
    """Where they are tested."""
    digest: str
    """Identifies key and assignment: hex BLAKE2b over the key and the sorted ids of either half."""


def split(contents: Mapping[str, str], *, key: str) -> Halves:
    """Both halves of the units `id → content`."""
    sides: dict[Half, list[str]] = {"discover": [], "confirm": []}
    for unit, content in contents.items():
        sides[half(content, key=key)].append(unit)
    seal = hashlib.blake2b(digest_size=32)
    for part in (key, *sorted(sides["discover"]), "", *sorted(sides["confirm"])):
        raw = part.encode("utf-8", "surrogatepass")
        seal.update(len(raw).to_bytes(8, "big") + raw)
    return Halves(discover=tuple(sides["discover"]), confirm=tuple(sides["confirm"]), digest=seal.hexdigest())


@attrs.frozen(kw_only=True)
class Confirmation(Generic[H]):
    """One hypothesis with both of its numbers."""

    hypothesis: H
    discovered: Contrast
    """On the half it was found on: biased by the search, reported and never judged."""
    confirmed: Contrast
    """On the other half: the number that counts."""


def discover_then_confirm(
    halves: Halves,
    *,
    search: Callable[[tuple[str, ...]], Iterable[H]],
    test: Callable[[H, tuple[str, ...]], Contrast],
    smallest: int = 6,
) -> tuple[Confirmation[H], ...]:
    """Searches on one half and tests what it found on the other.

    `search` sees the ids of the first half only, and everything it proposes is tested: correct the confirmed
    contrasts for their number (`afterburn_core.stats.multiplicity.adjust`).

    Args:
        halves: the split.
        search: proposes hypotheses from units of the first half.
        test: contrast of one hypothesis on the given units.
        smallest: fewest units of the second half on which a test is made; 6 pairs are needed for p ≤ .05.
    """
    found = tuple(dict.fromkeys(search(halves.discover)))
    few = len(halves.confirm) < smallest
    reason = f"{len(halves.confirm)} units to confirm on, of at least {smallest}"
    return tuple(
        Confirmation(
            hypothesis=hypothesis,
            discovered=test(hypothesis, halves.discover),
            confirmed=undefined(reason, len(halves.confirm)) if few else test(hypothesis, halves.confirm),
        )
        for hypothesis in found
    )
