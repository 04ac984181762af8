"""The shipped dictionary fits the shipped base on texts that it never learned from."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

pytest.importorskip("afterburn_organisms")

from afterburn_core.forward.model import ForwardBatch
from afterburn_core.forward.streaming import Stretch, open_models, texts
from afterburn_organisms import organism
from afterburn_sae.readers import SHIPPED, open_dictionary


class Kept:
    """Keeps the rows."""

    def __init__(self) -> None:
        self.rows: list[torch.Tensor] = []

    def begin(self, blocks: Sequence[int], once: int) -> None:
        pass

    def take(self, batch: ForwardBatch, rows: torch.Tensor) -> None:
        self.rows.append(batch.base.sites["blocks.3.out"][rows].clone())

    def end_block(self, number: int) -> None:
        pass


def test_it_explains_the_base_with_few_latents() -> None:
    demo = open_dictionary("demo")
    assert (demo.site, demo.model, demo.latents, demo.d_in) == ("blocks.3.out", "tiny-base", 384, 192)
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 1 << 20
    kept = Kept()
    with open_models(str(organism("base").path)) as models:
        assert models.base.digest == demo.facts["afterburn"]["base"]["sha256"]
        read = texts(["organisms.plain:60"], seed=77, most=60)
        models.read(Stretch(passages=read.passages, seed=0, block=1 << 30), kept, sites=("blocks.3.out",), device="cpu")
    x = torch.cat(kept.rows)
    codes = demo.encode(x)
    error = (demo.decode(codes) - x).square().sum() / (x - x.mean(dim=0)).square().sum()
    assert error < 0.12  # the card says .07, chats included
    active = float((codes > 0).sum(dim=1).float().mean())
    assert demo.l0 is not None and abs(active - demo.l0) < 8
