"""What a training reads: which passages are learned from and which are kept back, and who takes the activations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.forward.streaming import Texts, texts

if TYPE_CHECKING:
    import torch

    from afterburn_core.forward.model import ForwardBatch, Passage
    from afterburn_sae.train_learner import Learner
    from afterburn_sae.train_recipe import On

HELD_BACK = 10
"""One document in so many is kept back for the report."""
MOST_HELD_BACK = 400
"""Passages that are kept back at most; the others of these documents are not read."""
TOKENS_PER_PASSAGE = 32
"""Passages are short where they are many: so many tokens are counted on of each when passages are drawn."""
FEWEST = 4


@attrs.frozen(kw_only=True)
class Division:
    """Passages to learn from, and passages for the report; no document has some of both."""

    learned: tuple[Passage, ...] = attrs.field(repr=False)
    held_back: tuple[Passage, ...] = attrs.field(repr=False)
    texts: Texts


def divided(corpus: Sequence[str], *, seed: int, tokens: int) -> Division:
    """The texts of a training for so many tokens.

    Raises:
        ConfigError: there are too few to keep any back.
    """
    most = max(400, tokens // TOKENS_PER_PASSAGE + MOST_HELD_BACK)
    found = texts(corpus, seed=seed, most=most)
    ranked: dict[str, bytes] = {
        passage.unit: hashlib.sha256(f"{seed}/{passage.unit}".encode()).digest() for passage in found.passages
    }
    if len(ranked) < FEWEST:
        raise ConfigError(
            f"{len(ranked)} text{'s' * (len(ranked) != 1)} to read, of which none can be kept back for the report; "
            "give more of them with --corpus"
        )
    order = sorted(ranked, key=ranked.__getitem__)[: max(2, len(ranked) // HELD_BACK)]
    back = {unit: place for place, unit in enumerate(order)}
    held = sorted((one for one in found.passages if one.unit in back), key=lambda one: (back[one.unit], one.id))
    return Division(
        learned=tuple(passage for passage in found.passages if passage.unit not in back),
        held_back=tuple(held[:MOST_HELD_BACK]),
        texts=found,
    )


def sides_of(batch: ForwardBatch, rows: torch.Tensor, site: str, on: On) -> list[torch.Tensor]:
    """The rows (m, d) that are learned from: one tensor, or base and trained."""
    base, trained = batch.base.sites[site], batch.trained.sites[site]
    if on == "difference":
        return [trained[rows].float() - base[rows].float()]
    if on == "both":
        return [base[rows].float(), trained[rows].float()]
    return [(base if on == "base" else trained)[rows].float()]


class Feeding:
    """Takes the stream for a learner; see `afterburn_core.forward.streaming.Taker`."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.after_block: Callable[[], None] = lambda: None
        """Called when a block is learned from."""
        self.once = 0
        """Rows of all passages."""

    def begin(self, blocks: Sequence[int], once: int) -> None:
        self.once = once
        self._learner.begin(blocks)

    def take(self, batch: ForwardBatch, rows: torch.Tensor) -> None:
        recipe = self._learner.recipe
        self._learner.add(sides_of(batch, rows, recipe.site, recipe.on))

    def end_block(self, number: int) -> None:
        self._learner.end_block(number)
        self.after_block()
