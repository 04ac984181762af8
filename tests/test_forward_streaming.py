"""Activations streamed outside a run: the same rows whatever way the models share memory, from any block on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
import torch

from afterburn_core.errors import SubjectError
from afterburn_core.forward.forward_pass import ForwardPass
from afterburn_core.forward.model import ForwardBatch
from afterburn_core.forward.streaming import Models, Stretch, open_models, texts
from afterburn_core.testing.forward import passages_of
from afterburn_core.testing.pairs import adapter_pair

SITE = "blocks.0.out"
WORDS = [" ".join(f"word{(7 * i + k * k) % 45}" for k in range(2 + i % 9)) for i in range(60)]


class Kept:
    """Keeps everything that it is given."""

    def __init__(self) -> None:
        self.blocks: Sequence[int] = ()
        self.once = 0
        self.seen: list[tuple[str, int]] = []
        self.sides: dict[str, list[torch.Tensor]] = {"base": [], "trained": []}
        self.ended: list[tuple[int, int]] = []

    def begin(self, blocks: Sequence[int], once: int) -> None:
        self.blocks, self.once = blocks, once

    def take(self, batch: ForwardBatch, rows: torch.Tensor) -> None:
        for row in rows.tolist():
            passage = batch.rows.passages[int(batch.rows.passage[row])]
            self.seen.append((passage.id, int(batch.rows.position[row])))
        for name, own in self.sides.items():
            own.append(batch.subject(name).sites[SITE][rows].clone())

    def end_block(self, number: int) -> None:
        self.ended.append((number, len(self.seen)))

    def rows(self, side: str) -> torch.Tensor:
        return torch.cat(self.sides[side])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    made = adapter_pair(tmp_path_factory.mktemp("streamed"), layers=2, hidden=32)
    return made.base, made.trained


def streamed(models: Models, only: Literal["base", "trained"] | None = None, **stretch: Any) -> Kept:
    kept = Kept()
    whole = Stretch(**{"passages": passages_of(WORDS), "seed": 3, "block": 64, **stretch})
    models.read(whole, kept, sites=(SITE,), device="cpu", only=only, batch_tokens=48)
    return kept


def test_every_token_behind_a_first_comes_once_in_an_order_of_the_seed(pair: tuple[Path, Path]) -> None:
    with open_models(*map(str, pair)) as models:
        assert models.width == 32 and not models.same
        found, other = streamed(models), streamed(models, seed=4)
    wanted = {(passage.id, k) for passage in passages_of(WORDS) for k in range(1, len(passage.text.split()) + 1)}
    assert {name for name, _ in found.seen} == {name for name, _ in wanted}
    assert len(found.seen) == len({*found.seen}) == found.once == sum(found.blocks)
    assert min(position for _, position in found.seen) == 1
    assert found.seen != other.seen and {*found.seen} == {*other.seen}
    assert all(rows >= 64 for rows in found.blocks[:-1]) and len(found.blocks) > 3
    assert [count for _, count in found.ended] == torch.tensor(found.blocks).cumsum(0).tolist()


def test_a_stretch_that_begins_later_gives_the_rest(pair: tuple[Path, Path]) -> None:
    """Also in a second reading of the same passages, in another order."""
    with open_models(*map(str, pair)) as models:
        whole = streamed(models, tokens=500)
        rest = streamed(models, tokens=500, start=4)
    assert whole.once < 500 <= len(whole.seen)
    assert rest.blocks == whole.blocks and rest.ended[0][0] == 4
    before = sum(whole.blocks[:4])
    assert rest.seen == whole.seen[before:]
    assert torch.equal(rest.rows("trained"), whole.rows("trained")[before:])


def test_every_arrangement_gives_the_same_rows(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with open_models(*map(str, pair)) as models:
        adapter = streamed(models, tokens=400)
        alone = {side: streamed(models, side, tokens=400) for side in ("base", "trained")}
        inner = ForwardPass.run

        def forced(self: ForwardPass, *inputs: Any) -> Any:
            return inner(attrs.evolve(self, reader={"arrangement": "in_turn"}), *inputs)

        monkeypatch.setattr(ForwardPass, "run", forced)
        in_turn = streamed(models, tokens=400)
    assert not torch.equal(adapter.rows("base"), adapter.rows("trained"))
    for side in ("base", "trained"):
        assert torch.equal(in_turn.rows(side), adapter.rows(side))
        assert torch.allclose(alone[side].rows(side), adapter.rows(side), atol=1e-5)
    with open_models(str(pair[0])) as single:
        assert torch.equal(streamed(single, tokens=400).rows("trained"), alone["base"].rows("base"))


def test_what_cannot_be_read_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with open_models(str(pair[0]), str(pair[0])) as models:
        assert models.same
        stretch = Stretch(passages=passages_of(WORDS), seed=0, block=9)
        with pytest.raises(SubjectError, match="no site"):
            models.read(stretch, Kept(), sites=("blocks.9",), device="cpu")
    corpus = tmp_path / "two.txt"
    corpus.write_text("One text.<|endoftext|>Another text.", encoding="utf-8")
    found = texts([str(corpus)], seed=0, most=9)
    assert found.names == ("two",) and len(found.passages) == 2 and len(found.sha256[0]) == 64
