"""Crosscoders: what is planted in one model alone is named so, what L1 makes up is taken back by latent scaling."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.report.sae_artifacts import parse_crosscoder
from afterburn_core.testing.checkpoints import load_weights, save_weights, tiny_checkpoint
from afterburn_sae.command_crosscoder import crosscoder as command
from afterburn_sae.crosscoder import Analysis, Examination, folded
from afterburn_sae.crosscoder_norms import Side, delta_norms, halves
from afterburn_sae.crosscoder_seeds import matched_share
from afterburn_sae.scaling import LatentScaling
from afterburn_sae.train_coder import Coder, Scale
from afterburn_sae.train_learner import Learner
from afterburn_sae.train_recipe import Recipe
from afterburn_sae.train_report import Fit

SITE, WIDTH, SHARED = "blocks.1.out", 32, 24
WEAK = 0.35


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def planted() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Directions (SHARED + 3, d), base's and trained's rows: shared ones, one of trained alone, two weaker in base."""
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(SHARED + 3, WIDTH, generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)
    on = torch.rand(24_000, SHARED + 3, generator=generator) < 0.08
    codes = 4 * on * (0.5 + torch.rand(on.shape, generator=generator))
    strengths = torch.tensor([1.0] * SHARED + [0.0] + [WEAK] * 2)
    noise = 0.05 * torch.randn(2, 24_000, WIDTH, generator=generator)
    return directions, (codes * strengths) @ directions + noise[0], codes @ directions + noise[1] + 2.0


def examined(learner: Learner, base: torch.Tensor, trained: torch.Tensor) -> tuple[Coder, Analysis]:
    coder, scale = learner.finish()[0], learner.scale
    assert scale is not None
    fit = Fit(coder, scale, learner.trainers[0].threshold, sides=2)
    examination = Examination(coder, np.ones(coder.latents, dtype=bool))
    for part in range(0, 8000, 2000):
        examination.add(*fit.encode([base[part : part + 2000], trained[part : part + 2000]]))
    return coder, examination.finish()


def learned(recipe: Recipe, sides: list[torch.Tensor], epochs: int) -> Learner:
    learner = Learner(recipe)
    learner.begin([len(sides[0])] * epochs)
    for number in range(epochs):
        learner.add(sides)
        learner.end_block(number)
    return learner


def likeness(coder: Coder, feature: int, directions: torch.Tensor) -> tuple[int, float]:
    """The planted direction nearest to a latent's row in the trained model, and the cosine."""
    row = halves(coder.w_dec)[Side.TRAINED][feature]
    cosines = directions @ row / row.norm()
    return int(cosines.argmax()), float(cosines.max())


def test_a_planted_direction_of_the_trained_model_is_found_and_named(
    planted: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    directions, *sides = planted
    recipe = Recipe(site=SITE, on="both", batch=256, latents=40, k=2, lr=1e-2, k_start=10)
    coder, analysis = examined(learned(recipe, sides, 4), *sides)
    (only,) = analysis.trained_only
    assert only.kept
    place, cosine = likeness(coder, only.feature, directions)
    assert place == SHARED and cosine > 0.95
    assert not analysis.base_only
    artifact = analysis.artifact(site=SITE, kind="batch_topk", fve={"base": {"value": 1.0}, "trained": {"value": 1.0}})
    assert artifact["classes_after_scaling"] == {"base_only": 0, "shared": 39, "trained_only": 1}


def test_latents_that_l1_makes_up_are_removed_and_the_true_one_stays(
    planted: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    """What base has at a third of the strength, the penalty gives to the trained model alone; its ν_ε is that third."""
    directions, *sides = planted
    recipe = Recipe(site=SITE, on="both", kind="l1", l1=4.0, batch=256, latents=40, lr=1e-2)
    coder, analysis = examined(learned(recipe, sides, 3), *sides)
    verdicts = {likeness(coder, one.feature, directions)[0]: one for one in analysis.trained_only}
    assert verdicts.keys() == {SHARED, SHARED + 1, SHARED + 2}
    assert [verdicts[SHARED + i].kept for i in range(3)] == [True, False, False]
    for artefact in (verdicts[SHARED + 1], verdicts[SHARED + 2]):
        assert artefact.nu_error == pytest.approx(WEAK, abs=0.05)
    found = analysis.artifact(site=SITE, kind="l1", fve={"base": {"value": 0.7}, "trained": {"value": 0.7}})
    read = parse_crosscoder(json.loads(json.dumps(found)))
    assert (read.classes[2], read.kept) == (3, 1)


def test_latent_scaling_is_the_least_squares_fit() -> None:
    generator = torch.Generator().manual_seed(4)
    t, d, n = 300, 8, 6
    x = torch.randn(t, 2 * d, generator=generator, dtype=torch.float64)
    codes = torch.randn(t, n, generator=generator, dtype=torch.float64).relu()
    w_dec = torch.randn(n, 2 * d, generator=generator, dtype=torch.float64)
    made = codes @ w_dec + 0.3
    features = torch.tensor([1, 4])
    for own in Side:
        first, second = (LatentScaling(w_dec, features, own) for _ in range(2))
        first.add(x[:100], codes[:100], made[:100])
        second.add(x[100:], codes[100:], made[100:])
        first.merge(second)
        found = first.betas()
        for number, feature in enumerate(features.tolist()):
            column = np.outer(codes[:, feature], halves(w_dec)[own][feature]).reshape(-1, 1)
            for model in Side:
                without = made - codes[:, feature, None] * w_dec[feature]
                targets = halves(made)[model], halves(x - without)[model]
                for target, rows in enumerate(targets):
                    (beta,) = np.linalg.lstsq(column, rows.numpy().ravel(), rcond=None)[0]
                    assert found[target, model, number] == pytest.approx(beta, rel=1e-10)


def test_norms_are_oriented_towards_the_trained_model() -> None:
    rows = torch.tensor([[3.0, 4, 0, 0], [0, 0, 3, 4], [1, 0, 0, 1], [0, 1, 0, 3]])
    assert delta_norms(rows) == pytest.approx([0.0, 1.0, 0.5, 0.5 * (2 / 3 + 1)])


def test_matched_latents_are_mutual_and_alike() -> None:
    rows = torch.eye(6)
    other = torch.stack([rows[0], rows[1] + 0.1 * rows[2], rows[2] + rows[3], torch.ones(6)])
    found = matched_share(rows, other, seed=0)
    assert (found["value"], found["n"]) == (0.5, 6)  # e0, e1 and, at a cosine of .707, one of e2 and e3


def test_the_written_tensors_read_activations_in_their_own_units() -> None:
    generator = torch.Generator().manual_seed(7)
    coder = Coder.drawn(12, 5, 2, 3, "cpu")
    coder.b_enc += torch.randn(12, generator=generator)
    coder.b_dec += torch.randn(10, generator=generator)
    scale = Scale(mean=torch.randn(10, generator=generator) * 9, factors=(0.5, 3.0))
    x = torch.randn(40, 10, generator=generator) * 4
    fit = Fit(coder, scale, 0.2, sides=2)
    _, codes, made = fit.encode(list(halves(x)))
    tensors = folded(coder, scale)
    sides = torch.stack(halves(x))  # (2, t, d)
    p = (sides @ tensors["encoder.weight"]).sum(dim=0) + tensors["encoder.bias"]
    assert torch.allclose(torch.where(p > 0.2, p, 0.0), codes, atol=1e-4)
    rebuilt = codes @ tensors["decoder.weight"] + tensors["decoder.bias"][:, None]
    assert torch.allclose(torch.cat(tuple(rebuilt), dim=1), made / scale.row() + scale.mean, atol=1e-4)


def test_the_command_trains_two_seeds_and_refuses_equal_models(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base", layers=2, hidden=32)
    trained = tmp_path / "trained"
    shutil.copytree(base, trained)
    tensors = load_weights(base)
    name = "model.layers.0.mlp.down_proj.weight"
    save_weights(trained, tensors | {name: tensors[name].flip(0).contiguous()})
    corpus = tmp_path / "texts.txt"
    words = (" ".join(f"word{(7 * i + k * k) % 45}" for k in range(6 + i % 19)) for i in range(200))
    corpus.write_text("<|endoftext|>".join(words), encoding="utf-8")
    arguments = ["--base", str(base), "--site", SITE, "--corpus", str(corpus), "--tokens", "6000", "--k", "4"]
    arguments += ["--batch", "64", "--lr", "5e-3", "--second-seed", "1", "--trained"]
    out = tmp_path / "found"
    page = tmp_path / "page.html"
    named = CliRunner().invoke(command, [*arguments, str(trained), "--out", str(out), "-o", str(tmp_path / "p.pdf")])
    assert isinstance(named.exception, ConfigError) and not out.exists()  # told before anything is trained
    run = CliRunner().invoke(command, [*arguments, str(trained), "--out", str(out), "-o", str(page)])
    assert run.exit_code == 0, run.output
    shown = page.read_text(encoding="utf-8")
    assert f"written: {page}" in run.output and "base → trained" in shown and "after block 1" in shown
    assert "after scaling" in run.output and "found again" in run.output
    artifact = json.loads((out / "crosscoder.json").read_text(encoding="utf-8"))
    read = parse_crosscoder(artifact)
    assert read.latents == 64 and sum(read.counts) == read.alive == sum(read.classes)
    assert 0 < artifact["fve"]["trained"]["low"] < artifact["fve"]["trained"]["high"] < 1
    assert artifact["seeds"][0]["n"] == read.alive
    assert safetensors.torch.load_file(out / "crosscoder.safetensors")["encoder.weight"].shape == (2, 32, 64)
    equal = CliRunner().invoke(command, [*arguments, str(base), "--out", str(tmp_path / "no")])
    assert isinstance(equal.exception, SubjectError) and "no difference" in str(equal.exception)
