"""Dictionaries that are the same up to a permutation are matched whole, and unrelated ones no better than by chance."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment

from afterburn_core.errors import SubjectError
from afterburn_sae import align as module
from afterburn_sae.align import align
from afterburn_sae.command_align import align as command
from afterburn_sae.dictionary import Dictionary


def dictionary(w_dec: torch.Tensor, name: str = "one") -> Dictionary:
    n, d = w_dec.shape
    return Dictionary(format="test", kind="relu", name=name, site="blocks.1.out", model="m",
                      w_enc=w_dec.T.contiguous(), b_enc=torch.zeros(n), w_dec=w_dec, b_dec=torch.zeros(d))  # fmt: skip


def drawn(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_a_permuted_rescaled_copy_is_matched_latent_by_latent() -> None:
    first = drawn(300, 24, seed=1)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    second = (first * torch.linspace(0.1, 9, 300)[:, None])[order]
    second[order == 7] *= -1  # the same line, the other way
    found = align(dictionary(first), dictionary(second))
    assert found.b[found.a].tolist() == order.argsort().tolist()
    assert found.mutual.all()
    np.testing.assert_allclose(np.abs(found.cosine), 1.0, atol=1e-6)
    document = found.document
    assert document["mutual"]["pairs"] == 300
    assert document["mutual"]["opposed"] == 1
    assert document["unmatched"]["a"]["value"] == document["unmatched"]["b"]["value"] == 0.0
    assert document["assignment"]["mean_cosine"] == pytest.approx(1.0)
    assert document["null"]["value"] < 0.75


def test_numbers_are_those_of_the_whole_matrix_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = drawn(70, 16, seed=3), drawn(53, 16, seed=4)
    second[:20] = first[10:30] + 0.4 * drawn(20, 16, seed=5)
    first[5] = 0.0  # dead: left out
    monkeypatch.setattr(module, "_ROWS", 16)
    monkeypatch.setattr(module, "_COLUMNS", 9)
    found = align(dictionary(first), dictionary(second))
    living = [i for i in range(70) if i != 5]
    a, b = first[living].double().numpy(), second.double().numpy()
    signed = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
    cosines = np.abs(signed)
    assert found.a.tolist() == living
    assert found.b.tolist() == cosines.argmax(axis=1).tolist()
    np.testing.assert_allclose(found.cosine, signed[np.arange(69), found.b], atol=1e-6)
    mutual = cosines.argmax(axis=0)[found.b] == np.arange(69)
    assert found.mutual.tolist() == mutual.tolist()
    document = found.document
    assert document["a"]["alive"] == 69
    assert document["mean_best_cosine"]["a"]["value"] == pytest.approx(cosines.max(axis=1).mean(), abs=1e-6)
    assert document["mean_best_cosine"]["b"]["value"] == pytest.approx(cosines.max(axis=0).mean(), abs=1e-6)
    assert document["unmatched"]["a"]["value"] == pytest.approx((cosines.max(axis=1) < 0.7).mean())
    rows, columns = linear_sum_assignment(-cosines)
    assert document["assignment"]["mean_cosine"] == pytest.approx(cosines[rows, columns].mean(), abs=1e-6)
    best = sorted(np.abs(found.cosine[found.mutual]))
    assert [abs(pair["cosine"]) for pair in document["strongest"]] == pytest.approx(best[::-1][:10])
    assert [abs(pair["cosine"]) for pair in document["weakest"]] == pytest.approx(best[:10])


def test_unrelated_dictionaries_look_like_the_rotated_one() -> None:
    n, d = 1000, 64
    document = align(dictionary(drawn(n, d, seed=6)), dictionary(drawn(n, d, seed=7))).document
    best, null = document["mean_best_cosine"]["a"], document["null"]
    assert abs(best["value"] - null["value"]) < 0.01
    assert abs(null["value"] - math.sqrt(2 * math.log(n) / d)) < 0.1
    assert document["unmatched"]["a"]["value"] == 1.0


def test_the_most_active_latents_are_matched_one_to_one() -> None:
    first = drawn(40, 12, seed=8)
    counts = torch.zeros(40, dtype=torch.int64)
    counts[10:15] = torch.tensor([9, 8, 7, 6, 5])
    both = dictionary(first), dictionary(first.flip(0))
    assert align(*both, assigned=4).document["assignment"]["reason"] is not None
    assigned = align(*both, active=(counts, counts.flip(0)), assigned=4).document["assignment"]
    assert assigned == {"latents": [4, 4], "mean_cosine": pytest.approx(1.0), "matched": 1.0, "reason": None}
    assert align(*both, active=(counts, counts), assigned=4).document["assignment"]["matched"] < 1.0
    with pytest.raises(SubjectError, match="cannot be compared"):
        align(dictionary(first), dictionary(first[:, :5]))


def test_the_command_writes_the_map(tmp_path: Path) -> None:
    first = drawn(30, 8, seed=9)
    for name, rows in (("a", first), ("b", first.flip(0))):
        (tmp_path / name).mkdir()
        tensors = {"W_enc": rows.T, "b_enc": torch.zeros(30), "W_dec": rows, "b_dec": torch.zeros(8)}
        plain = {key: value.contiguous() for key, value in tensors.items()}
        save_file(plain, tmp_path / name / "sae_weights.safetensors")
        (tmp_path / name / "cfg.json").write_text(json.dumps({"d_in": 8, "d_sae": 30, "metadata": {}}))
    pair = [str(tmp_path / "a"), str(tmp_path / "b")]
    shown = CliRunner().invoke(command, [*pair, "-o", str(tmp_path / "map.csv")], catch_exceptions=False).output
    assert "30 pairs (100% of the smaller)" in shown
    with (tmp_path / "map.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["a"]), int(row["b"]), row["mutual"]) for row in rows] == [(i, 29 - i, "1") for i in range(30)]
    said = CliRunner().invoke(command, [*pair, "--json", "-o", str(tmp_path / "map.json")], catch_exceptions=False)
    assert json.loads(said.output)["mutual"]["pairs"] == 30
    assert len(json.loads((tmp_path / "map.json").read_text())["map"]) == 30
