"""The only source of randomness: named child seeds of one run seed. Global random state is never touched."""

from __future__ import annotations

import hashlib


def child_seed(seed: int, name: str) -> int:
    """A seed in [0, 2**53) for `name`, a function of the run's seed and the name alone."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 11
