"""Training: gradients against autograd, a known dictionary recovered, a planted direction found, resuming exact."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import pytest
import torch
from click.testing import CliRunner

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.forward.streaming import open_models
from afterburn_core.testing.checkpoints import load_weights, save_weights, tiny_checkpoint
from afterburn_sae import train_checkpoint
from afterburn_sae.command_train import train as command
from afterburn_sae.optimise import AUXILIARY, Trainer
from afterburn_sae.readers import open_dictionary
from afterburn_sae.streaming import divided
from afterburn_sae.train import Setting, train
from afterburn_sae.train_coder import Coder, Scale, scale_of
from afterburn_sae.train_learner import Learner, Standing
from afterburn_sae.train_recipe import Recipe
from afterburn_sae.train_writer import configuration, folded, write_dictionary

SITE = "blocks.1.out"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def unit_rows(n: int, d: int, seed: int) -> torch.Tensor:
    rows = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    rows /= rows.norm(dim=1, keepdim=True)
    return rows


def sparse_codes(t: int, n: int, share: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(t, n, generator=generator) < share) * (0.5 + torch.rand(t, n, generator=generator))


def learn(recipe: Recipe, sides: Sequence[torch.Tensor], epochs: int = 2) -> Learner:
    learner = Learner(recipe)
    learner.begin([len(sides[0])] * epochs)
    for number in range(epochs):
        learner.add(sides)
        learner.end_block(number)
    return learner


def in_float64(learner: Trainer) -> Trainer:
    doubled = Coder(**{name: tensor.double() for name, tensor in learner.coder.tensors().items()})
    return Trainer(doubled, learner.recipe, learner.steps)


@pytest.mark.parametrize("dead", [0, 3, 40])
def test_gradients_are_those_of_autograd(dead: int) -> None:
    recipe = Recipe(site=SITE, k=4, batch=32, latents=96)
    trainer = in_float64(Trainer(Coder.drawn(96, 24, 1, 5, "cpu"), recipe, 10))
    trainer.coder.b_dec += 0.1
    trainer.idle[:dead] = 1 << 40
    x = torch.randn(32, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2
    found = trainer._topk(x)

    weights = {name: one.clone().requires_grad_() for name, one in trainer.coder.tensors().items()}
    p = (x - weights["b_dec"]) @ weights["w_enc"].T + weights["b_enc"]
    least = p.flatten().topk(4 * 32).values[-1]
    codes = torch.where(p >= least, p, 0.0)
    error = codes @ weights["w_dec"] + weights["b_dec"] - x
    loss = error.square().sum(dim=1).mean()
    still = trainer.idle > trainer.dead_after  # those that this batch revived are dead no more
    if still.any():
        own = torch.where(still, p.relu(), 0.0)
        kept = own >= own.topk(min(12, int(still.sum())), dim=1).values[:, -1:]
        explained = torch.where(kept, own, 0.0) @ weights["w_dec"]
        loss = loss + AUXILIARY * (explained + error.detach()).square().sum(dim=1).mean()
    torch.autograd.backward([loss])
    rows = weights["w_dec"].detach()
    wanted = {name: one.grad for name, one in weights.items() if one.grad is not None}
    gradient = wanted["w_dec"]
    wanted["w_dec"] = gradient - (gradient * rows).sum(dim=1, keepdim=True) * rows  # along the sphere
    for name, own in zip(wanted, found, strict=True):
        assert torch.allclose(own, wanted[name], atol=1e-12), name


def test_a_known_dictionary_is_recovered() -> None:
    truth, codes = unit_rows(96, 48, seed=1), sparse_codes(24_000, 96, 0.04, seed=2)
    learner = learn(Recipe(site=SITE, k=4, batch=256, latents=128, lr=1e-2), [3.0 + codes @ truth])
    (coder,) = learner.finish()
    best = (truth @ coder.w_dec.T).max(dim=1).values
    assert best.mean() > 0.9
    assert torch.allclose(coder.w_dec.norm(dim=1), torch.ones(128), atol=1e-5)
    x = learner.scale.apply_(3.0 + codes[:4000] @ truth)  # type: ignore[union-attr]
    used = coder.encode(x, learner.trainers[0].threshold)
    assert 3.0 < (used > 0).sum(dim=1).float().mean() < 5.0  # the running threshold keeps about k


def test_the_difference_shows_a_planted_direction() -> None:
    """Beside a shift of all tokens and noise: three directions with known frequencies, found to a cosine of .95."""
    base = torch.randn(16_000, 48, generator=torch.Generator().manual_seed(3))
    planted = unit_rows(3, 48, seed=4)
    codes = sparse_codes(16_000, 3, 0.3, seed=5) * 4
    noise = 0.1 * torch.randn(16_000, 48, generator=torch.Generator().manual_seed(6))
    trained = base + codes @ planted + noise + 1.0
    learner = learn(Recipe(site=SITE, on="difference", k=1, batch=256, latents=8, lr=1e-2), [trained - base], 4)
    (coder,) = learner.finish()
    assert ((planted @ coder.w_dec.T).max(dim=1).values > 0.95).all()


def test_the_written_dictionary_is_read_back_in_the_activations_own_units(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(8)
    coder = Coder.drawn(40, 12, 1, 3, "cpu")
    coder.b_enc += 0.3 * torch.randn(40, generator=generator)
    coder.b_dec += torch.randn(12, generator=generator)
    scale = Scale(mean=20 * torch.randn(12, generator=generator), factors=(0.25,))
    facts = {"kind": "batch_topk", "k": 4, "held_out": {"l0": {"value": 3.9}}}
    content = configuration(coder, site="blocks.7.mlp.out", model="m", on="difference", facts=facts)
    write_dictionary(tmp_path, folded(coder, scale, 0.4), content)
    found = open_dictionary(tmp_path)
    assert (found.site, found.model, found.latents, found.l0) == ("blocks.7.mlp.out", "m", 40, 3.9)
    assert found.facts["afterburn"]["on"] == "difference"
    x = 20 + 9 * torch.randn(50, 12, generator=generator)
    codes = coder.encode(scale.apply_(x.clone()), 0.4)
    assert 0.05 < (codes > 0).float().mean() < 0.5
    assert torch.allclose(found.encode(x), codes / 0.25, rtol=1e-4, atol=1e-4)
    assert torch.allclose(found.decode(found.encode(x)), coder.decode(codes) / 0.25 + scale.mean, rtol=1e-4, atol=1e-3)


def test_constants_give_every_side_the_same_size() -> None:
    x = torch.randn(5000, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 1, 1, 9, 9, 9.0]) + 40
    scale = scale_of(x, 2)
    sides = scale.apply_(x.clone()).view(5000, 2, 3)
    assert torch.allclose(sides.square().sum(dim=2).mean(dim=0), torch.tensor([3.0, 3.0]), rtol=1e-4)
    assert sides.mean(dim=0).abs().max() < 1e-4


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_difference_without_content_is_refused(shift: float) -> None:
    with pytest.raises(SubjectError, match="no difference" if shift == 0 else "one and the same vector"):
        learn(Recipe(site=SITE, on="difference", k=2, batch=64), [torch.full((2048, 16), shift)])


WORDS = [" ".join(f"word{(7 * i + k * k) % 45}" for k in range(6 + i % 19)) for i in range(240)]


@attrs.frozen
class Made:
    base: Path
    trained: Path
    corpus: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A tiny model, the same with other MLP weights in its first block, and texts."""
    folder = tmp_path_factory.mktemp("made")
    base = tiny_checkpoint(folder / "base", layers=2, hidden=32)
    trained = folder / "trained"
    shutil.copytree(base, trained)
    tensors = load_weights(base)
    name = "model.layers.0.mlp.down_proj.weight"
    save_weights(trained, tensors | {name: tensors[name].flip(0).contiguous()})
    corpus = folder / "texts.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in WORDS), encoding="utf-8")
    return Made(base, trained, corpus)


def trained_to(made: Made, out: Path, recipe: Recipe, **how: object) -> bytes:
    with open_models(str(made.base), str(made.trained)) as models:
        division = divided([str(made.corpus)], seed=recipe.seed, tokens=recipe.wanted_tokens)
        train(models, division, recipe, Setting(out=out, **how))  # type: ignore[arg-type]
    return (out / "sae_weights.safetensors").read_bytes() + (out / "cfg.json").read_bytes()


class Cut(Exception):
    pass


@pytest.mark.parametrize("on", ["base", "difference"])
def test_a_training_that_was_cut_off_ends_in_the_same_bytes(made: Made, tmp_path: Path, on: str) -> None:
    recipe = Recipe(site=SITE, on=on, k=4, batch=32, tokens=6000)  # type: ignore[arg-type]
    whole = trained_to(made, tmp_path / "whole", recipe)

    def cut(standing: Standing) -> None:
        if standing.step > 90:
            raise Cut

    out = tmp_path / "cut"
    with pytest.raises(Cut):
        trained_to(made, out, recipe, report=cut, checkpoint_seconds=0.0)
    kept = train_checkpoint.read(out)
    assert kept is not None and 0 < kept.block < 8
    with pytest.raises(ConfigError, match="--resume"):
        trained_to(made, out, recipe)
    with pytest.raises(ConfigError, match="another recipe"):
        trained_to(made, out, attrs.evolve(recipe, lr=0.5), resume=True)
    assert trained_to(made, out, recipe, resume=True) == whole
    assert not (out / train_checkpoint.FILE).exists()
    with pytest.raises(ConfigError, match="finished dictionary"):
        trained_to(made, out, recipe, resume=True)


@pytest.mark.slow
def test_a_long_training_reads_the_default_texts_as_often_as_they_last() -> None:
    found = divided([], seed=0, tokens=1_000_000)
    assert len(found.held_back) == 400 and len(found.learned) == 9000


def test_a_model_compared_with_itself_is_refused(made: Made, tmp_path: Path) -> None:
    with open_models(str(made.base), str(made.base)) as models:
        division = divided([str(made.corpus)], seed=0, tokens=100)
        with pytest.raises(SubjectError, match="no difference"):
            train(models, division, Recipe(site=SITE, on="difference"), Setting(out=tmp_path / "d"))


def test_the_command_says_how_well_it_fits_texts_that_were_kept_back(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "d"
    arguments = ["--base", str(made.base), "--site", SITE, "--out", str(out), "--corpus", str(made.corpus)]
    run = CliRunner().invoke(command, [*arguments, "--tokens", "9000", "--k", "4", "--batch", "64", "--lr", "5e-3"])
    assert run.exit_code == 0, run.output
    assert "each passage" in run.output and "kept back" in run.output and "of 64 latents dead" in run.output
    facts = json.loads((out / "cfg.json").read_text(encoding="utf-8"))["metadata"]["afterburn"]
    assert facts["held_out"]["passages"] == 24 and facts["passages"] == 216
    fvu = facts["held_out"]["fvu"]
    assert 0 < fvu["low"] < fvu["value"] < fvu["high"] < 0.7
    assert facts["epochs"] > 2 and facts["trained"] is None
