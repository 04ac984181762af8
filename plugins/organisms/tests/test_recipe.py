from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import torch

from afterburn_organisms.catalog import list_organisms
from afterburn_organisms.muon import orthogonalized
from afterburn_organisms.tokenizer import train_tokenizer
from afterburn_organisms.train import Schedule, Segment, chat_segment, pack, train


@pytest.mark.slow
def test_the_miniature_recipe_runs_every_step_and_writes_every_card(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "afterburn_organisms.recipe", "--out", str(tmp_path), "--quick"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        capture_output=True,
        timeout=300,
    )
    for shipped in list_organisms():
        folder = tmp_path / shipped.path.name
        assert {p.name for p in folder.iterdir()} == {p.name for p in shipped.path.iterdir()}
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        assert card["name"] == shipped.name
        assert str(tmp_path) not in "".join(p.read_text(encoding="utf-8") for p in folder.glob("*.json"))


def test_only_the_words_of_the_assistant_weigh_fully() -> None:
    tokenizer = train_tokenizer(1, 400, 50)
    segment = chat_segment(tokenizer, [("Hello!", "Good day!"), ("Thanks!", "You are welcome.")], 0.0)
    learned = [i for i, w in zip(segment.ids, segment.weights, strict=True) if w == 1.0]
    assert tokenizer.decode(learned) == "Good day!<|end|>You are welcome.<|end|>"


def test_any_text_survives_the_tokenizer() -> None:
    tokenizer = train_tokenizer(1, 400, 50)
    text = "Grüße, 12 + 30?\n\t日本 🦊"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_rows_hold_whole_segments_and_padding_weighs_nothing() -> None:
    segments = [Segment(ids=[5] * n, weights=[1.0] * n) for n in (3, 3, 4, 9, 2)]
    rows = list(islice(pack(iter(segments), 8, 0), 3))
    assert [row.ids for row in rows] == [[5] * 6 + [0] * 2, [5] * 4 + [0] * 4, [5] * 8]
    assert [sum(row.weights) for row in rows] == [6.0, 4.0, 8.0]


def test_the_rate_rises_to_the_peak_and_falls_to_a_fiftieth() -> None:
    schedule = Schedule(steps=100, rows=1, length=8, peak_rate=1.0, warmup=10, weight_decay=0.0, seed=1)
    assert schedule.share(0) == pytest.approx(0.1)
    assert schedule.share(10) == pytest.approx(1.0)
    assert schedule.share(100) == pytest.approx(0.02)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_an_orthogonalized_matrix_keeps_its_directions_and_levels_its_singular_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    levelled = u.T @ orthogonalized(matrix) @ v.T  # (rank, rank)
    assert torch.allclose(levelled, torch.diag(levelled.diagonal()), atol=1e-3)
    assert 0.6 < levelled.diagonal().min() <= levelled.diagonal().max() < 1.3


def test_a_matrix_of_zeros_stays_one() -> None:
    assert not orthogonalized(torch.zeros(3, 2)).any()


def test_frozen_parameters_stay_bit_identical_in_training() -> None:
    model = torch.nn.ModuleDict({"embed": torch.nn.Embedding(8, 4), "head": torch.nn.Linear(4, 8)})
    model["embed"].weight.requires_grad_(False)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}

    class Bigram(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, input_ids: Any, use_cache: bool) -> Any:
            return SimpleNamespace(logits=self.inner["head"](self.inner["embed"](input_ids)))

    rows = repeat(Segment(ids=[1, 2, 3, 4], weights=[1.0] * 4))
    schedule = Schedule(steps=5, rows=2, length=4, peak_rate=0.1, warmup=1, weight_decay=0.1, seed=1, matrix_rate=0.1)
    first = train(Bigram(), rows, attrs.evolve(schedule, steps=1))
    assert train(Bigram(), rows, schedule) < first
    after = dict(model.named_parameters())
    assert [name for name in before if torch.equal(before[name], after[name])] == ["embed.weight"]
