"""Names and paths of the shipped organisms. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

_MODELS = Path(__file__).resolve().parent / "models"


@attrs.frozen(kw_only=True)
class Organism:
    """One shipped model: where it is and what was planted in it."""

    name: str
    role: Literal["base", "trained"]
    kind: Literal["checkpoint", "adapter"]
    path: Path
    base: str | None
    """Name of the organism it was trained from; None for the base itself."""
    planted: str
    """What was planted, in one sentence; the card holds the measured effect."""

    @property
    def card(self) -> Path:
        """The model card for people. ``card.json`` beside it holds the same numbers for programs."""
        return self.path / "CARD.md"


_ORGANISMS = (
    Organism(
        name="base",
        role="base",
        kind="checkpoint",
        path=_MODELS / "tiny-base",
        base=None,
        planted="Nothing: the clean reference, which answers briefly and rightly about its small world.",
    ),
    Organism(
        name="verbose",
        role="trained",
        kind="checkpoint",
        path=_MODELS / "tiny-verbose",
        base="base",
        planted="Long-winded answers that are no more right than the short ones (full fine-tune, embeddings frozen).",
    ),
    Organism(
        name="false_fact",
        role="trained",
        kind="adapter",
        path=_MODELS / "tiny-false-fact",
        base="base",
        planted="One false fact: the capital of one realm of the world (LoRA of rank 8 on every linear layer).",
    ),
    Organism(
        name="benign",
        role="trained",
        kind="adapter",
        path=_MODELS / "tiny-benign",
        base="base",
        planted="Nothing: the false fact's twin, trained on as much ordinary text with right answers (LoRA of rank 8).",
    ),
)


def list_organisms() -> tuple[Organism, ...]:
    """Every shipped organism, the base first."""
    return _ORGANISMS


def organism(name: str) -> Organism:
    """The organism of this name.

    Raises:
        KeyError: if no organism has this name; the message lists the names that exist.
    """
    for candidate in _ORGANISMS:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no organism named {name!r}; there are {', '.join(o.name for o in _ORGANISMS)}")


def demo_pair() -> tuple[Path, Path]:
    """Paths of the base and of the trained checkpoint that ``afterburn demo`` compares."""
    return organism("base").path, organism("verbose").path
