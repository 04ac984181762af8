"""Batches of passages of like length: little padding, and an order that depends on the passages alone.

Passages are sorted by length, longest first, so that a batch that does not fit the memory is met at once; equal lengths
by id. Batches are stretches of that order, divided so that the tokens computed, padding included, and a fixed cost for
every batch are least:

    cost = Σ_batches (width · passages + OVERHEAD)    with width · passages ≤ budget

found exactly by dynamic programming over the ends of batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from afterburn_core.forward.encoded import Encoded, Packed

OVERHEAD = 64
"""What starting a batch costs, in tokens: a small model on a CPU reads about so many in the time of its fixed costs."""


def pack(encoded: Iterable[Encoded], *, budget: int) -> tuple[Packed, ...]:
    """The passages in batches of at most `budget` padded tokens; one that is longer makes a batch of its own."""
    ordered = sorted(encoded, key=lambda one: (-one.length, one.passage.id))
    if not ordered:
        return ()
    ends = _ends([one.length for one in ordered], budget)
    starts = [0, *ends[:-1]]
    return tuple(
        Packed(number=number, encoded=tuple(ordered[start:end]))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    )


def padding_share(batches: Sequence[Packed]) -> float:
    """Padding over all tokens that the models compute; 0 where there are none."""
    computed = sum(batch.width * len(batch.encoded) for batch in batches)
    return sum(batch.padding for batch in batches) / computed if computed else 0.0


def _ends(lengths: Sequence[int], budget: int) -> list[int]:
    """Where the cheapest batches end, for lengths that do not increase."""
    count = len(lengths)
    widths = np.asarray(lengths, dtype=np.int64)
    cost = np.zeros(count + 1, dtype=np.int64)  # of the first i passages
    start = np.zeros(count + 1, dtype=np.int64)  # where the last of their batches starts
    places = np.arange(count)
    first = 0  # earliest start whose batch up to `end` fits; it never moves back as `end` grows
    for end in range(1, count + 1):
        while first < end - 1 and widths[first] * (end - first) > budget:
            first += 1
        computed = widths[first:end] * (end - places[first:end])
        total = cost[first:end] + computed + OVERHEAD
        best = int(total.argmin())
        cost[end], start[end] = total[best], first + best
    ends: list[int] = []
    end = count
    while end:
        ends.append(end)
        end = int(start[end])
    return ends[::-1]
