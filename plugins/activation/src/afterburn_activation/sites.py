"""Names of places in the residual stream, their order, and blocks by relative depth. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable

from afterburn_core.result.model import Scope

_BLOCK = re.compile(r"blocks\.(\d+)\.out")


def block_of(site: str) -> int | None:
    """The block whose output this is; `None` for every other site."""
    found = _BLOCK.fullmatch(site)
    return None if found is None else int(found[1])


def in_order(sites: Iterable[str]) -> tuple[str, ...]:
    """The residual stream from bottom to top: embedding, outputs of blocks, final norm; other sites left out."""
    present = set(sites)
    blocks = sorted(number for number in map(block_of, present) if number is not None)
    return (
        *(["embed"] if "embed" in present else []),
        *(f"blocks.{number}.out" for number in blocks),
        *(["final_norm"] if "final_norm" in present else []),
    )


def scope_of(site: str, subset: str | None = None) -> Scope:
    """The scope of a measurement at a site."""
    return Scope(layer=block_of(site), site=site, subset=subset)


def block_at(depth: float, blocks: int) -> int:
    """The block at a relative depth in [0, 1]: round(depth·(L − 1)), halves to the upper one."""
    return int(depth * (blocks - 1) + 0.5)


def outputs_at(depths: Iterable[float], sites: Iterable[str]) -> tuple[str, ...]:
    """Outputs of the blocks at these relative depths, each once, from bottom to top."""
    outputs = [site for site in in_order(sites) if block_of(site) is not None]
    chosen = sorted({block_at(depth, len(outputs)) for depth in depths}) if outputs else []
    return tuple(outputs[i] for i in chosen)
