"""What models read on MLX, beside the same models on transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from afterburn_core.forward.encoded import Encoded, Packed
from afterburn_core.forward.model import Passage
from afterburn_core.forward.packing import pack
from afterburn_core.forward.reading import Wanted
from afterburn_core.generation.model import Serving
from afterburn_core.run.progress import Silent
from afterburn_mlx.sites import read_by

FAMILIES = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")
VOCABULARY = 259
SITES = (
    "embed", "blocks.*.in", "blocks.*.attn.heads", "blocks.*.attn.out", "blocks.*.mid", "blocks.*.mlp.normed",
    "blocks.*.mlp.in",
    "blocks.*.mlp.out", "blocks.*.out", "final_norm",
)  # fmt: skip
LOGITS = Wanted(logits=True, sites=SITES)


def batches() -> tuple[Packed, ...]:
    """Texts of random ids; several of unequal length share a batch."""
    stream = torch.Generator().manual_seed(5)
    found = []
    for number, length in enumerate((23, 17, 17, 9, 5, 2)):
        ids = (1, *torch.randint(3, VOCABULARY, (length,), generator=stream).tolist())
        passage = Passage(id=f"t/{number}", source="text", domain="t", unit=str(number), text="…")
        found.append(Encoded(passage=passage, ids=ids, classes=bytes(len(ids)), text_start=1, leading=1))
    return pack(found, budget=80)


Read = list[dict[str, tuple[dict[str, torch.Tensor], torch.Tensor]]]


def read(pair: tuple[Any, Any], wanted: Wanted = LOGITS, **forced: Any) -> tuple[Read, Any]:
    """Sites and log-probabilities of every batch by subject, and the reader, closed."""
    base, trained = pair
    reader = trained.pair_reader(base, serving=Serving(), template="plain", wanted=wanted, seed=1, **forced)
    packed = batches()
    found: Read = []
    try:
        reader.prepare(packed, wanted, Silent())
        for batch in packed:
            index = torch.arange(batch.counted)
            readings = reader.read(batch)
            found.append({name: (dict(one.sites), one.log_probs(index)) for name, one in readings.items()})
        properties = reader.properties
    finally:
        reader.close()
    return found, properties


def difference(found: Read, expected: Read) -> float:
    """The largest difference of any number."""
    most = 0.0
    for own, other in zip(found, expected, strict=True):
        assert own.keys() == other.keys()
        for name in own:
            assert own[name][0].keys() == other[name][0].keys() and own[name][0]
            for site, states in own[name][0].items():
                most = max(most, float((states - other[name][0][site]).abs().max()))
            most = max(most, float((own[name][1] - other[name][1]).abs().max()))
    return most


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_activations_are_those_of_transformers(family: str, models: Any, opened: Any) -> None:
    pair = models(family)
    found, properties = read(opened(pair.base, pair.trained, "mlx.lm"))
    expected, _ = read(opened(pair.base, pair.trained, "core.checkpoint"))
    assert difference(found, expected) < 2e-4
    base, trained = (found[0][name][1] for name in ("base", "trained"))
    assert float((base - trained).abs().max()) > 0.1
    assert properties["arrangement"] == "side_by_side" and properties["engine"].startswith("mlx 0.")


def test_what_a_projection_reads_is_as_wide_whether_it_is_quantised_or_adapted() -> None:
    import mlx.nn as nn
    from mlx_lm.tuner.lora import LoRALinear

    for bits in (2, 4, 8):
        plain = nn.Linear(96, 32)
        quantised = nn.QuantizedLinear.from_linear(plain, group_size=32, bits=bits)
        adapted = (LoRALinear.from_base(one, r=2) for one in (plain, quantised))
        assert {read_by(one) for one in (plain, quantised, *adapted)} == {96}
