"""An adapter and its base on one model in memory write what both write when each is loaded alone."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from afterburn_core.backends.checkpoint import AdapterSubject, Checkpoint
from afterburn_core.generation.model import Decoding, Generator, Request
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import OpenSubject, open_subject
from afterburn_core.testing.guards import global_seeds
from afterburn_organisms import demo_pair, organism
from afterburn_organisms.world import held_out_items

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # in peft

BASE = demo_pair()[0]
GREEDY = Decoding(max_new_tokens=20)
_QV = {"r": 4, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj", "down_proj"]}
CASES: dict[str, dict[str, Any]] = {
    "lora": _QV,
    "dora": {**_QV, "use_dora": True},
    "saved modules": {**_QV, "modules_to_save": ["model.norm"]},
    "scale 0": {**_QV, "lora_alpha": 0},
}
Pair = tuple[Checkpoint, AdapterSubject]


def requests() -> list[Request]:
    items = held_out_items(5, 1)[:12]
    return [
        Request(probe=str(n), index=0, messages=(Message(role="user", content=item.prompt),), seed=n)
        for n, item in enumerate(items)
    ]


def texts(generator: Generator) -> dict[str, tuple[int, ...] | None]:
    return {done.request.probe: done.sample.token_ids for done in generator.generate(requests())}


def make_adapter(directory: Path, settings: dict[str, Any]) -> Path:
    """An adapter on the shipped base with every trained number random."""
    with global_seeds(3):
        base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, local_files_only=True)
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings))
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                parameter.data += 0.2 * torch.randn_like(parameter)
            elif parameter.requires_grad:
                parameter.data *= 1.1
    model.save_pretrained(directory)
    return directory


def opened(adapter: Path) -> Pair:
    registry = Registry.discover(only=())
    base = open_subject(parse_reference(str(BASE)), "base", registry)
    trained = open_subject(parse_reference(str(adapter)), "trained", registry, base=base)
    assert isinstance(base, Checkpoint) and isinstance(trained, AdapterSubject)
    return base, trained


@pytest.fixture(params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Pair]]:
    base, trained = opened(make_adapter(tmp_path / "adapter", CASES[request.param]))
    yield request.param, (base, trained)
    trained.close()
    base.close()


def test_a_shared_model_writes_what_two_models_write(pair: tuple[str, Pair]) -> None:
    name, (base, trained) = pair
    apart = texts(base.generator(GREEDY)), texts(trained.generator(GREEDY))
    shared = trained.shared_generators(base, GREEDY)
    assert shared is not None
    first = texts(shared[0])
    shared[0].close()
    assert (first, texts(shared[1])) == apart
    shared[1].close()
    assert (apart[0] == apart[1]) == (name == "scale 0")


def test_both_sides_may_write_in_turns_and_one_model_serves_them(tmp_path: Path) -> None:
    base, trained = opened(make_adapter(tmp_path / "adapter", CASES["lora"]))
    apart = texts(base.generator(GREEDY)), texts(trained.generator(GREEDY))
    shared: Any = trained.shared_generators(base, GREEDY)
    left, right = (generator.generate(requests()) for generator in shared)
    found: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for pair in zip(left, right, strict=True):
        for kept, done in zip(found, pair, strict=True):
            kept[done.request.probe] = done.sample.token_ids
    assert found == apart
    assert shared[0]._resident is shared[1]._resident
    alive = weakref.ref(shared[0]._resident.model())
    shared[0].close()
    shared[0].close()  # closing twice lets go once
    gc.collect()
    assert alive() is not None
    shared[1].close()
    del left, right
    gc.collect()
    assert alive() is None


def test_the_shipped_adapter_shares_its_base() -> None:
    base, trained = opened(organism("false_fact").path)
    shared = trained.shared_generators(base, GREEDY)
    assert shared is not None
    assert (texts(shared[0]), texts(shared[1])) == (texts(base.generator(GREEDY)), texts(trained.generator(GREEDY)))
    assert shared[0].facts == base.generator(GREEDY).facts


def test_what_cannot_be_switched_off_is_not_shared(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter", CASES["lora"])
    base, trained = opened(adapter)
    other: OpenSubject = open_subject(parse_reference(str(BASE)), "base", Registry.discover(only=()))
    assert trained.shared_generators(other, GREEDY) is None  # opened on another base
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "bias": "all"}))
    assert trained.shared_generators(base, GREEDY) is None


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")  # peft says so when one is made
def test_an_adapter_with_more_tokens_is_loaded_on_a_wider_base(tmp_path: Path) -> None:
    with global_seeds(4):
        model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, local_files_only=True)
        model.resize_token_embeddings(1420, mean_resizing=False)
        settings = {**_QV, "modules_to_save": ["embed_tokens", "lm_head"]}
        wider = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))
    wider.save_pretrained(tmp_path / "wider")
    base, trained = opened(tmp_path / "wider")
    assert trained.shared_generators(base, GREEDY) is None
    generator = trained.generator(GREEDY)
    assert len(texts(generator)) == 12
    generator.close()
