"""Encoders are read with their masks, sentence-transformers folders where their network lies; who offers what."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from afterburn_core.backends.transformers_reader import TransformersReader
from afterburn_core.errors import SubjectError
from afterburn_core.forward.reading import Wanted
from afterburn_core.generation.model import Serving
from afterburn_core.run.progress import Silent
from afterburn_core.testing.guards import global_seeds
from tests.forward_models import (
    ENCODERS,
    adapter,
    batches,
    close_all,
    network,
    opened,
    opened_reader,
    saved,
    texts,
    tuned,
)

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # in peft

SITES = Wanted(logits=False, sites=("embed", "blocks.*.out", "final_norm"))


def reader_of(base: Path, trained: Path, wanted: Wanted = SITES, **settings: Any) -> TransformersReader:
    return opened_reader(base, trained, wanted, template="auto", **settings)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Whatever a test opens is closed after it."""
    yield
    close_all()


def read(base: Path, trained: Path, *, budget: int = 64, **forced: Any) -> dict[str, dict[str, torch.Tensor]]:
    """Activations at all rows by subject, in the order of the passages' ids."""
    packed = batches(budget=budget, leading=0)
    reader = reader_of(base, trained, **forced)
    reader.prepare(packed, SITES, Silent())
    parts: list[tuple[str, dict[str, dict[str, torch.Tensor]]]] = []
    for batch in packed:
        readings, start = reader.read(batch), 0
        for one in batch.encoded:
            rows = slice(start, start + one.length)
            start += one.length
            own = {name: {s: x[rows].clone() for s, x in r.sites.items()} for name, r in readings.items()}
            parts.append((one.passage.id, own))
    reader.close()
    ordered = [own for _, own in sorted(parts, key=lambda part: part[0])]
    return {
        name: {site: torch.cat([own[name][site] for own in ordered]) for site in ordered[0][name]}
        for name in ordered[0]
    }


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("budget", [1, 400])
def test_encoders_read_in_company_what_they_read_alone(family: str, budget: int, tmp_path: Path) -> None:
    model, other = network(family), tuned(network(family))
    paths = saved(model, tmp_path / "base"), saved(other, tmp_path / "trained")
    found = read(*paths, budget=budget)
    for name, plain in (("base", model), ("trained", other)):
        with torch.no_grad():
            outs = [
                plain(input_ids=torch.tensor([one.ids]), attention_mask=torch.ones(1, one.length).long())
                for one in texts(leading=0)
            ]
        exact = torch.cat([out.last_hidden_state[0] for out in outs])
        torch.testing.assert_close(found[name]["final_norm"], exact, rtol=1e-5, atol=1e-5)


def test_encoders_and_adapters_on_them_are_read_in_every_arrangement(tmp_path: Path) -> None:
    base = saved(network("bert"), tmp_path / "base")
    full = saved(tuned(network("bert")), tmp_path / "full")
    with global_seeds(3):
        model = get_peft_model(network("bert"), LoraConfig(r=2, target_modules=["query", "value"]))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "adapter")
    assert reader_of(base, tmp_path / "adapter").arrangement == "adapter"
    for trained in (full, tmp_path / "adapter"):
        usual = read(base, trained)
        for arrangement in ("side_by_side", "in_turn"):
            other = read(base, trained, arrangement=arrangement)
            for name, sites in usual.items():
                for site, states in sites.items():
                    torch.testing.assert_close(other[name][site], states, rtol=1e-6, atol=1e-6)


def test_an_encoder_has_no_logits(tmp_path: Path) -> None:
    base = saved(network("bert"), tmp_path / "base")
    with pytest.raises(SubjectError, match="an encoder predicts no next token"):
        reader_of(base, base, Wanted(logits=True, sites=()))


def test_an_encoder_cannot_be_read_beside_a_language_model(tmp_path: Path) -> None:
    base, other = saved(network("bert"), tmp_path / "base"), saved(network("llama"), tmp_path / "other")
    with pytest.raises(SubjectError, match="two causal language models or two encoders"):
        reader_of(base, other)


def in_folder(model: Any, directory: Path, place: str) -> Path:
    """A sentence-transformers folder whose network lies at `place`."""
    saved(model, directory / place)
    listed = [(place, "Transformer"), ("1_Pooling", "Pooling")]
    entries = [
        {"idx": i, "path": p, "type": f"sentence_transformers.models.{kind}"} for i, (p, kind) in enumerate(listed)
    ]
    (directory / "modules.json").write_text(json.dumps(entries))
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return directory


@pytest.mark.parametrize("place", ["", "0_Transformer"])
def test_a_network_in_a_folder_of_steps_is_found(place: str, tmp_path: Path) -> None:
    base = in_folder(network("bert"), tmp_path / "base", place)
    trained = in_folder(tuned(network("bert")), tmp_path / "trained", place)
    first, second = opened(base, trained)
    assert first.facts.parameters == sum(p.numel() for p in network("bert").parameters())
    assert first.facts.capabilities == ("documents", "weights", "forward", "encode")
    names = {file.relative for file in first.files}
    assert {"modules.json", "1_Pooling/config.json", f"{place}/model.safetensors".lstrip("/")} <= names
    assert f"{place}/tokenizer.json".lstrip("/") in names
    assert (first.documents()["config"] or {})["model_type"] == "bert"
    plain = saved(network("bert"), tmp_path / "plain")
    assert torch.equal(read(base, trained)["base"]["final_norm"], read(plain, trained)["base"]["final_norm"])
    vectors, _, _ = second.vectors(["a river"], ["text"], serving=Serving(), layers=False, progress=Silent())  # type: ignore[attr-defined]
    assert vectors.shape == (1, 32)


def capabilities(path: Path) -> tuple[str, ...]:
    first, second = opened(path, path)
    assert first.facts.capabilities == second.facts.capabilities
    return first.facts.capabilities


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "mixtral"])
def test_causal_models_with_a_tokenizer_offer_all_but_vectors(family: str, tmp_path: Path) -> None:
    path = saved(network(family), tmp_path / "model")
    assert capabilities(path) == ("documents", "weights", "generate", "forward", "logits", "steer")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (path / file).unlink()
    assert capabilities(path) == ("documents", "weights")


@pytest.mark.parametrize("family", ENCODERS)
def test_encoders_with_a_tokenizer_offer_forward_and_vectors(family: str, tmp_path: Path) -> None:
    path = saved(network(family), tmp_path / "model")
    assert capabilities(path) == ("documents", "weights", "forward", "encode")


def test_a_language_model_in_a_folder_of_steps_is_an_embedding_model(tmp_path: Path) -> None:
    path = in_folder(network("qwen3"), tmp_path / "model", "")
    assert capabilities(path) == ("documents", "weights", "forward", "encode")


def test_an_adapter_offers_what_its_base_does(tmp_path: Path) -> None:
    base = saved(network("llama"), tmp_path / "base")
    _, second = opened(base, adapter(base, tmp_path / "adapter"))
    assert second.facts.capabilities == ("documents", "weights", "lora", "generate", "forward", "logits", "steer")


def test_a_pair_is_opened_without_torch(tmp_path: Path) -> None:
    path = saved(network("llama"), tmp_path / "model")
    shutil.copytree(saved(network("bert"), tmp_path / "bert"), tmp_path / "twin")
    code = (
        "import sys\n"
        "from afterburn_core.plugin.registry import Registry\n"
        "from afterburn_core.run.references import parse_reference\n"
        "from afterburn_core.run.subjects import open_subject\n"
        "for path in sys.argv[1:]:\n"
        "    print(open_subject(parse_reference(path), 'base', Registry.discover(only=())).facts.capabilities)\n"
        "print(sorted({'torch', 'transformers', 'peft', 'numpy'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "twin")], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert "logits" in done.stdout and "encode" in done.stdout
