"""Fields that follow from others by arithmetic or hashing, computed alike when a certificate is made and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from afterburn_core.certify.encoding import canonical
from afterburn_core.report.inert import one_line

LONGEST = 1200
"""Characters of one text that is repeated from a run."""
MOST_TENSORS = 4096
"""Tensors listed one by one; beyond it the digest of the whole list stands for the rest."""


def plan_digest(plan: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a plan or of a configuration."""
    return hashlib.sha256(canonical(plan)).hexdigest()


def compute_ratio(compute: Mapping[str, Any] | None) -> dict[str, Any]:
    """The quotient of the declared compute of this training and of the base's, with the arithmetic; no conclusion."""
    found: dict[str, Any] = {"origin": "measured", "ratio": None, "arithmetic": None}
    if compute and compute["postTrainingFlop"] and compute["baseFlop"]:
        after, before = float(compute["postTrainingFlop"]), float(compute["baseFlop"])
        if before > 0:
            found["ratio"] = float(f"{after / before:.6g}")
            found["arithmetic"] = f"{after:.6g} FLOP / {before:.6g} FLOP = {after / before:.6g}"
    return found


def clip_or_none(text: str | None) -> str | None:
    """`clip`, of a text that may be absent."""
    return None if text is None else clip(text)


def clip(text: str) -> str:
    """One line without control characters and of bounded length, of whatever somebody called something."""
    line = one_line(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
