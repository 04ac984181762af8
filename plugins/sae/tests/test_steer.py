"""Steering along a planted direction does what was planted, and random directions of the same length do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from afterburn_core.errors import ConfigError
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.testing.checkpoints import load_weights, tiny_checkpoint
from afterburn_core.testing.live import live_pair
from afterburn_sae.steer import SteerAnalyzer, incoherent
from afterburn_sae.steer_options import SteerOptions, needs_of_steer
from afterburn_sae.steer_reading import Sequences, median_norm, read_steered

WIDTH, TOKEN, SITE = 32, 20, "blocks.1.out"
TEXTS = [" ".join(f"word{(7 * n + i * i) % 40}" for i in range(9 + n % 3)) for n in range(6)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("steer") / "model", hidden=WIDTH, dtype="float32")


@pytest.fixture(scope="module")
def dictionary(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two latents: what the head reads as one token, and nothing in particular."""
    folder = tmp_path_factory.mktemp("dictionary")
    head = load_weights(model)["lm_head.weight"].float()
    rows = torch.stack((3 * head[TOKEN], torch.randn(WIDTH, generator=torch.Generator().manual_seed(1))))
    tensors = {"W_enc": rows.T.contiguous(), "b_enc": torch.zeros(2), "W_dec": rows, "b_dec": torch.zeros(WIDTH)}
    save_file(tensors, folder / "sae_weights.safetensors")
    metadata = {"hook_name": "blocks.1.hook_resid_post", "model_name": "tiny"}
    (folder / "cfg.json").write_text(json.dumps({"d_in": WIDTH, "d_sae": 2, "metadata": metadata}))
    return folder


def test_a_planted_direction_raises_its_token_and_moves_more_than_random_ones(model: Path, dictionary: Path) -> None:
    options = SteerOptions(
        dictionaries=(str(dictionary),), features=(0, 1), strengths=(0.4, -0.4), random=19, written=4
    )
    analyzer = SteerAnalyzer(options)
    analyzer.begin(AnalyzerContext(seed=3, subjects=("base", "trained"), excerpts=False))
    with live_pair(model, model, texts=TEXTS) as live:
        analyzer.observe(live)
    output = analyzer.finish()
    content: dict[str, Any] = json.loads(output.artifacts[0].content)
    entries = {(one["feature"], one["strength"]): one for one in content["features"]}
    assert content["site"] == SITE
    assert not content["own_texts"]
    assert entries[0, 0.4]["raised"][0]["token"] == TOKEN
    assert TOKEN not in [one["token"] for one in entries[0, -0.4]["raised"]]
    assert entries[0, 0.4]["kl"]["value"] > 0
    assert entries[0, 0.4]["kl"]["p"] < 0.05
    kl = {one.scope.subset: one for one in output.measurements if one.metric == "sae.steer.kl"}
    planted = next(one for subset, one in kl.items() if subset is not None and subset.endswith("/0 at 0.4"))
    assert planted.null is not None
    assert planted.null.n == 19
    assert planted.null.p_value == 0.05
    assert all("word" not in json.dumps(one["texts"]) for one in entries.values())


def test_divergence_and_loss_are_those_of_the_network_with_the_vector_added(model: Path) -> None:
    network = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float64)
    sequences = Sequences(ids=((1, 5, 9, 12, 7), (1, 8, 8, 30)), starts=(1, 2), units=("a", "b"), own=False)
    vector = torch.randn(WIDTH, generator=torch.Generator().manual_seed(2)) * 0.3
    with live_pair(model, model) as live:
        found = read_steered(live, SITE, sequences, vector[None])
        norm = median_norm(live, SITE, sequences)
    norms, gains = [], []
    for place, (ids, start) in enumerate(zip(sequences.ids, sequences.starts, strict=True)):
        with torch.no_grad():
            plain = network(torch.tensor([ids]), output_hidden_states=True)
            handle = network.model.layers[1].register_forward_hook(
                lambda module, inputs, out: (
                    (out[0] + vector.double(), *out[1:]) if isinstance(out, tuple) else out + vector.double()
                )
            )
            steered = network(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()
            handle.remove()
            hidden: list[torch.Tensor] = []
            handle = network.model.layers[1].register_forward_hook(
                lambda module, inputs, out, into=hidden: into.append(out[0] if isinstance(out, tuple) else out)
            )
            network(torch.tensor([ids]))
            handle.remove()
        before = plain.logits[0].log_softmax(-1).numpy()
        rows = slice(start - 1, len(ids) - 1)
        divergence = (np.exp(steered[rows]) * (steered[rows] - before[rows])).sum(-1).mean()
        targets = list(ids[start:])
        loss = (before[rows] - steered[rows])[np.arange(len(targets)), targets].mean()
        np.testing.assert_allclose(found.kl[0, place], divergence, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.loss[0, place], loss, rtol=1e-4, atol=1e-6)
        norms += hidden[0].reshape(-1, WIDTH)[start:].norm(dim=1).tolist()
        gains.append((steered - before)[rows])
    np.testing.assert_allclose(norm, float(torch.tensor(norms).median()), rtol=1e-5)
    np.testing.assert_allclose(found.gain[0].numpy(), np.concatenate(gains).mean(axis=0), atol=1e-5)


def test_it_runs_only_along_named_features(dictionary: Path, model: Path) -> None:
    assert "only along features that are named" in str(needs_of_steer(SteerOptions(dictionaries=("demo",))))
    assert "needs a sparse dictionary" in str(needs_of_steer(SteerOptions(features=(1,))))
    assert not isinstance(needs_of_steer(SteerOptions(dictionaries=("demo",), features=(1,))), str)
    for wrong in ({"strengths": (0.0,)}, {"features": (3, 3)}, {"random": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SteerOptions(**wrong)
    analyzer = SteerAnalyzer(SteerOptions(dictionaries=(str(dictionary),), features=(2,)))
    analyzer.begin(AnalyzerContext(seed=0, subjects=("base", "trained"), excerpts=True))
    with live_pair(model, model) as live, pytest.raises(ConfigError, match="has features 0 to 1 and no 2"):
        analyzer.observe(live)


def test_a_text_is_broken_that_the_base_finds_dear_or_that_repeats_itself() -> None:
    from afterburn_core.forward.live import Written

    def text(ids: tuple[int, ...], cost: float) -> Written:
        return Written(token_ids=ids, text="", ended=False, trained_logprob=0.0, base_logprob=-cost * len(ids))

    plain = text((1, 2, 3, 4, 5), 2.0)
    assert not incoherent(text((1, 2, 3, 5, 4), 3.4), plain)
    assert incoherent(text((1, 2, 3, 5, 4), 3.6), plain)
    assert incoherent(text((1, 2, 1, 2, 1, 2), 1.0), plain)
