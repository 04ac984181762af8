"""How often each latent of some dictionaries is active on texts that a model reads."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from afterburn_core.errors import ConfigError
from afterburn_core.forward.model import CONTENT, FIRST, ForwardBatch
from afterburn_core.forward.streaming import Stretch, named_device, open_models, texts
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.encoded import encode


class _Counter:
    """Adds up tokens at which latents are active."""

    def __init__(self, dictionaries: Sequence[Dictionary]) -> None:
        self._dictionaries = dictionaries
        self.counts = [torch.zeros(one.latents, dtype=torch.int64) for one in dictionaries]

    def begin(self, blocks: Sequence[int], once: int) -> None:
        """Nothing to prepare."""

    def take(self, batch: ForwardBatch, rows: torch.Tensor) -> None:
        """One batch: the tokens of texts themselves, without the first."""
        kinds = batch.rows.token_class[rows]
        rows = rows[(kinds == CONTENT) | (kinds == FIRST)]
        for dictionary, count in zip(self._dictionaries, self.counts, strict=True):
            found = encode(batch.base.sites[str(dictionary.site)][rows], dictionary)
            count += torch.bincount(found.features, minlength=dictionary.latents).cpu()

    def end_block(self, number: int) -> None:
        """Nothing to end."""


def count_active(
    dictionaries: Sequence[Dictionary],
    base: str,
    *,
    corpus: Sequence[str] = (),
    tokens: int = 16384,
    device: str = "auto",
    seed: int = 0,
) -> list[torch.Tensor]:
    """(n) int64 for each dictionary: tokens of all at which each of its latents is active.

    Args:
        dictionaries: each is used at its own site.
        base: the model that reads.
        corpus: what it reads, as `--corpus`.
        tokens: how many, rounded up to a batch.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        seed: of which texts.

    Raises:
        ConfigError: a dictionary reads no site that is offered here, or there are no texts.
        SubjectError: the model cannot be read, or a dictionary is of another width.
    """
    for one in dictionaries:
        if one.site is None:
            raise ConfigError(f"{one.name}: reads {one.hook or 'no named site'}, which no model offers here")
    where = named_device(device)
    counter = _Counter([one.to(where) if where != "cpu" else one for one in dictionaries])
    found = texts(corpus, seed=seed, most=max(8, tokens // 16))
    stretch = Stretch(passages=found.passages, seed=seed, block=tokens, tokens=tokens)
    with open_models(base) as models:
        models.read(stretch, counter, sites=tuple({str(one.site) for one in dictionaries}), device=where)
    return counter.counts
