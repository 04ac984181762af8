"""Dictionaries of the heads' outputs, and transcoders: which activations they read, and what their fit is judged by."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from afterburn_core.forward.forward_pass import Rider
from afterburn_core.testing.feeding import make_analyzer
from afterburn_core.testing.forward import passages_of, read_pair
from afterburn_core.testing.pairs import identity_pair
from afterburn_sae.encoded import encode, reconstruct
from afterburn_sae.features_options import FeaturesOptions, needs_of_features
from afterburn_sae.places import rebuilt_at
from afterburn_sae.readers import open_dictionary
from afterburn_sae.specs.features import ANALYZERS

WIDTH = 16
TEXTS = [" ".join(f"word{(7 * n + k * k + n * k) % 44}" for k in range(6 + n % 5)) for n in range(24)]
HEADS, MLP = "blocks.0.attn.hook_z", "blocks.0.mlp.hook_in"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return identity_pair(tmp_path_factory.mktemp("pair"), dtype="float32").base


def changed(base: Path, folder: Path, tensor: str) -> Path:
    """A copy of the model with one tensor of its first block changed."""
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    name = f"model.layers.0.{tensor}.weight"
    weights[name] += 0.1 * torch.randn(weights[name].shape, generator=torch.Generator().manual_seed(2))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def axes(folder: Path, matrix: torch.Tensor | None = None, **metadata: Any) -> Path:
    """Rebuilds any activation x exactly; with a matrix, x times that matrix, as a transcoder."""
    rows = torch.cat([torch.eye(WIDTH), -torch.eye(WIDTH)])
    out = rows if matrix is None else rows @ matrix
    folder.mkdir(parents=True)
    tensors = {"W_enc": rows.T, "b_enc": torch.zeros(2 * WIDTH), "W_dec": out, "b_dec": torch.zeros(out.shape[1])}
    save_file({name: one.contiguous() for name, one in tensors.items()}, folder / "sae_weights.safetensors")
    configuration = {
        "architecture": "standard" if matrix is None else "transcoder",
        "d_in": WIDTH, "d_sae": 2 * WIDTH, "apply_b_dec_to_input": False, "metadata": metadata,
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(configuration))
    return folder


def analyze(base: Path, trained: Path, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one dictionary and its features, as the artifact has them."""
    (spec,) = ANALYZERS
    asked = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    (need,) = needs_of_features(FeaturesOptions(**options))
    analyzer = make_analyzer(spec, options=asked)
    read_pair(base, trained, passages_of(TEXTS), [Rider(need=need, instances=[analyzer])])
    found = json.loads(analyzer.finish().artifacts[0].content)
    (about,) = found["dictionaries"]
    return about, found["features"]


def activations(model: Path, modules: Mapping[str, str]) -> dict[str, list[np.ndarray[Any, Any]]]:
    """By name, (tokens, d) float64 of every text, without the token at position 0, by plain hooks on the modules."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    taken: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name in modules}
    for name, place in modules.items():
        path, side = place.rsplit(".", 1)
        module = network.get_submodule(path)

        def note(_: Any, given: Any, out: Any, name: str = name, side: str = side) -> None:
            taken[name].append((given[0] if side == "input" else out)[0, 1:].double().numpy())

        module.register_forward_hook(note)
    with torch.no_grad():
        for text in TEXTS:
            network(torch.tensor([tokenizer(text)["input_ids"]]))
    return taken


def test_features_of_the_heads_outputs_have_the_numbers_of_what_the_projection_reads(
    base: Path, tmp_path: Path
) -> None:
    sae, trained = axes(tmp_path / "sae", hook_name=HEADS), changed(base, tmp_path / "trained", "self_attn.v_proj")
    about, rows = analyze(base, trained, dictionaries=(str(sae),), attributed=1.0)
    assert about["site"] == "blocks.0.attn.heads" and about["valid"]
    assert about["fvu"]["base"]["value"] == pytest.approx(0.0, abs=1e-12)
    place = {"heads": "model.layers.0.self_attn.o_proj.input"}
    sides = [activations(model, place)["heads"] for model in (base, trained)]
    for row in rows:
        axis, sign = row["feature"] % WIDTH, 1 if row["feature"] < WIDTH else -1
        means = [np.mean([np.maximum(sign * text[:, axis], 0).mean() for text in side]) for side in sides]
        assert row["base"]["mean"] == pytest.approx(means[0], rel=1e-5)
        assert row["difference"] == pytest.approx(means[1] - means[0], rel=1e-4)
        # Directions between the heads are no directions of the stream, even where their widths are the same.
        assert row["tokens"] is None and row["attribution"] is None
    assert len(rows) == 2 * WIDTH and sum(about["changed"].values()) > 8
    projected = changed(base, tmp_path / "projected", "self_attn.o_proj")
    unmoved, none = analyze(base, projected, dictionaries=(str(sae),))
    assert unmoved["changed"] == {"up": 0, "down": 0} and none == []


def test_the_fit_of_a_transcoder_is_that_of_what_it_writes(base: Path, tmp_path: Path) -> None:
    """A linear map fitted to the MLP, whose unexplained share is known from plain activations in float64."""
    places = {"in": "model.layers.0.mlp.input", "out": "model.layers.0.mlp.output"}
    trained = changed(base, tmp_path / "trained", "self_attn.o_proj")
    sides = [{name: np.concatenate(of) for name, of in activations(m, places).items()} for m in (base, trained)]
    matrix = np.linalg.lstsq(sides[0]["in"], sides[0]["out"], rcond=None)[0].astype(np.float32)
    hooks = {"hook_name": MLP, "hook_name_out": "blocks.0.hook_mlp_out"}
    coder = axes(tmp_path / "coder", torch.from_numpy(matrix), **hooks)
    about, rows = analyze(base, trained, dictionaries=(str(coder),), most_unexplained=0.999, attributed=1.0)
    assert (about["site"], about["site_out"]) == ("blocks.0.mlp.in", "blocks.0.mlp.out") and about["valid"]
    for side, of in zip(("base", "trained"), sides, strict=True):
        left = ((of["out"] - of["in"] @ matrix) ** 2).sum() / ((of["out"] - of["out"].mean(0)) ** 2).sum()
        assert about["fvu"][side]["value"] == pytest.approx(left, rel=1e-4)
        assert left > 0.01
    assert about["changed"]["up"] > 0
    assert all(row["tokens"] is not None and row["attribution"] is not None for row in rows)  # it writes to the stream
    elsewhere = axes(
        tmp_path / "elsewhere", torch.from_numpy(matrix), **{**hooks, "hook_name_out": "blocks.1.hook_mlp_out"}
    )
    wrong, none = analyze(base, trained, dictionaries=(str(elsewhere),))
    assert not wrong["valid"] and none == [] and "unexplained" in wrong["why"]


def test_a_transcoder_that_does_not_say_what_it_writes_is_refused_unless_it_reads_an_mlp(
    base: Path, tmp_path: Path
) -> None:
    matrix = torch.eye(WIDTH)
    of_mlp = open_dictionary(axes(tmp_path / "mlp", matrix, hook_name=MLP))
    assert rebuilt_at(of_mlp) == "blocks.0.mlp.out"
    assert rebuilt_at(of_mlp, "blocks.3.mlp.in") == "blocks.3.mlp.out"  # the same of another block
    assert rebuilt_at(of_mlp, "blocks.3.out") is None
    # What a file does name, and is no site here, is not made up.
    heads = open_dictionary(axes(tmp_path / "heads", matrix, hook_name=MLP, hook_name_out="blocks.0.attn.hook_q"))
    assert rebuilt_at(heads) is None
    nameless = open_dictionary(axes(tmp_path / "nameless", matrix))
    assert rebuilt_at(nameless, "blocks.2.mlp.normed") == "blocks.2.mlp.out"
    unknown = axes(tmp_path / "unknown", matrix, hook_name="blocks.0.hook_resid_mid")
    about, _ = analyze(base, base, dictionaries=(str(unknown),))
    assert not about["valid"] and "names no site that it writes" in about["why"]


def test_a_transcoder_that_norms_what_it_reads_writes_activations_as_they_are(tmp_path: Path) -> None:
    """As SAELens has it: the norm is taken back from nothing, and the linear path reads what is not normed."""
    x = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0))
    folder = axes(tmp_path / "coder", 2 * torch.eye(WIDTH), hook_name=MLP)
    tensors, configuration = (
        load_file(folder / "sae_weights.safetensors"),
        json.loads((folder / "cfg.json").read_text()),
    )
    skip = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(1))
    save_file({**tensors, "W_skip": skip}, folder / "sae_weights.safetensors")
    configuration |= {"architecture": "skip_transcoder", "normalize_activations": "layer_norm"}
    (folder / "cfg.json").write_text(json.dumps(configuration))
    coder = open_dictionary(folder)
    normed = (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5)
    expected = 2 * normed + x @ skip.T
    torch.testing.assert_close(coder.decode(coder.encode(x), x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(reconstruct(x, encode(x, coder), coder), expected, rtol=1e-5, atol=1e-5)


def test_heads_of_a_model_whose_value_biases_were_folded_away_are_not_taken_for_its_own(tmp_path: Path) -> None:
    folder = axes(tmp_path / "sae")
    configuration = {"d_in": WIDTH, "d_sae": 2 * WIDTH, "hook_point": HEADS, "model_name": "gpt2-small"}
    (folder / "cfg.json").write_text(json.dumps(configuration))
    read = open_dictionary(folder)
    assert read.site is None and any("value biases were folded away" in note for note in read.facts["notes"])
