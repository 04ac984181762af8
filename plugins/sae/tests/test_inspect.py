"""`afterburn sae inspect` says what a file is, and notices on a model's own activations where it was read wrongly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from afterburn_core.testing.checkpoints import tiny_checkpoint
from afterburn_sae.command_inspect import inspect

WIDTH = 32


def written(directory: Path, *, decoder: torch.Tensor, **config: Any) -> Path:
    """A dictionary that rebuilds everything from the two signs of every coordinate, if its decoder is [I; −I]."""
    eye = torch.eye(WIDTH)
    directory.mkdir()
    tensors = {"W_enc": torch.cat((eye, -eye), dim=1), "b_enc": torch.zeros(2 * WIDTH), "W_dec": decoder,
               "b_dec": torch.zeros(WIDTH)}  # fmt: skip
    save_file(tensors, directory / "sae_weights.safetensors")
    content = {"architecture": "standard", "d_in": WIDTH, "d_sae": 2 * WIDTH, "metadata": {
        "model_name": "tiny", "hook_name": "blocks.1.hook_resid_post", "neuronpedia_id": "tiny/1-mine", **config,
    }}  # fmt: skip
    (directory / "cfg.json").write_text(json.dumps(content))
    return directory


def run(*arguments: str) -> Result:
    return CliRunner().invoke(inspect, list(arguments), catch_exceptions=False)


def test_it_says_what_the_file_is(tmp_path: Path) -> None:
    decoder = torch.cat((torch.eye(WIDTH), -2 * torch.eye(WIDTH)))
    decoder[5] = 0.0
    path = written(tmp_path / "mine", decoder=decoder)
    found = json.loads(run(str(path), "--json").output)
    assert (found["format"], found["kind"], found["site"]) == ("saelens", "relu", "blocks.1.out")
    assert (found["latents"], found["d_in"], found["model"], found["lookup"]) == (64, 32, "tiny", "tiny/1-mine")
    assert found["dead"] == 1
    assert (found["decoder_norms"]["low"], found["decoder_norms"]["high"]) == (0.0, 2.0)
    assert found["decoder_norms"]["unit"] == 31 / 64
    assert found["sha256"] == hashlib.sha256((path / "sae_weights.safetensors").read_bytes()).hexdigest()
    shown = run(str(path)).output
    for text in ("relu dictionary of the format saelens", "64 latents", "blocks.1.hook_resid_post", found["sha256"]):
        assert text in shown


def test_a_model_shows_what_was_read_the_wrong_way_round(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "tiny", hidden=WIDTH)
    corpus = tmp_path / "texts.jsonl"
    said = (" ".join(f"word{(7 * n + i * i) % 45}" for i in range(16)) for n in range(12))
    corpus.write_text("\n".join(json.dumps({"text": text}) for text in said))
    signs = torch.cat((torch.eye(WIDTH), -torch.eye(WIDTH)))
    at_base = ("--base", str(base), "--corpus", str(corpus), "--tokens", "64", "--json")
    right = run(str(written(tmp_path / "right", decoder=signs, l0=WIDTH)), *at_base)
    fit = json.loads(right.output)["fit"]
    assert right.exit_code == 0
    assert fit["fvu"]["value"] < 1e-9
    assert fit["l0"]["value"] == WIDTH
    assert fit["warnings"] == []
    turned = run(str(written(tmp_path / "turned", decoder=signs.roll(1, dims=0), l0=4)), *at_base)
    fit = json.loads(turned.output)["fit"]
    assert turned.exit_code == 1
    assert fit["fvu"]["value"] > 0.5
    assert [warning.partition(":")[0] for warning in fit["warnings"]] == ["not valid here", "reader suspected"]
