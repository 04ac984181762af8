"""Nulls are as large as the trained change, know nothing of it, and cost the base nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from afterburn_core.backends.transformers_controls import (
    FactorChange,
    WholeChange,
    adapter_changes,
    as_large,
    control_of,
    paired_changes,
    rounded,
)
from afterburn_core.backends.transformers_reader import TransformersReader
from afterburn_core.forward.reading import Wanted
from afterburn_core.generation.model import Serving
from afterburn_core.run.progress import Silent
from afterburn_core.testing.guards import watched_globals
from tests.forward_models import adapter, batches, close_all, network, opened_reader, saved, tuned

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # in peft

ALL = Wanted(logits=True, sites=("blocks.*.out",), controls=("matched", "rounding", "scrambled"))
NAMES = ("control:matched", "control:rounding", "control:scrambled")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    return saved(network("llama"), folder / "base")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    return saved(tuned(network("llama")), folder / "trained")


@pytest.fixture(scope="module")
def lora(base: Path, folder: Path) -> Path:
    return adapter(base, folder / "lora", modules_to_save=["norm"])


def reader_of(base: Path, trained: Path, wanted: Wanted = ALL, **settings: Any) -> TransformersReader:
    return opened_reader(base, trained, wanted, **settings)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Whatever a test opens is closed after it."""
    yield
    close_all()


def prepared(base: Path, trained: Path, wanted: Wanted = ALL, **settings: Any) -> TransformersReader:
    reader = reader_of(base, trained, wanted, **settings)
    reader.prepare(batches(), wanted, Silent())
    return reader


def logs_of(reader: TransformersReader) -> dict[str, torch.Tensor]:
    """Log-probabilities of all rows by subject; all are read before any is asked for, as the pass does."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in reader.subjects}
    for batch in batches():
        for name, reading in reader.read(batch).items():
            found[name].append(reading.log_probs(torch.arange(batch.counted)).clone())
    return {name: torch.cat(parts) for name, parts in found.items()}


def kl(logs: torch.Tensor, base: torch.Tensor) -> float:
    return float((logs.exp() * (logs - base)).sum(-1).mean())


@pytest.mark.parametrize("arrangement", ["adapter", "side_by_side"])
def test_controls_of_an_adapter_are_read_in_every_arrangement(arrangement: Any, base: Path, lora: Path) -> None:
    first, second = (logs_of(prepared(base, lora, arrangement=name)) for name in ("adapter", arrangement))
    assert tuple(first) == ("base", "trained", *NAMES)
    for name, logs in first.items():
        torch.testing.assert_close(second[name], logs, rtol=1e-6, atol=1e-6)
    for name in ("control:matched", "control:scrambled"):
        assert kl(first[name], first["base"]) > 1e-3
        assert kl(first[name], first["trained"]) > 1e-3
    assert 0 < kl(first["control:rounding"], first["base"]) < 0.1 * kl(first["trained"], first["base"])


def test_controls_of_an_adapter_are_read_where_the_models_are_read_in_turn(base: Path, lora: Path) -> None:
    reader = prepared(base, lora, arrangement="in_turn")
    assert reader.notes == ("no rounding control: the two models do not fit into memory together",)
    found, toggled = logs_of(reader), logs_of(prepared(base, lora))
    assert tuple(found) == ("base", "trained", "control:matched", "control:scrambled")
    for name, logs in found.items():
        torch.testing.assert_close(logs, toggled[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["scrambled", "matched"])
@pytest.mark.parametrize(("size", "dtype"), [(1e-3, torch.bfloat16), (3e-4, torch.bfloat16), (1e-2, torch.float32)])
def test_a_control_is_as_large_as_the_change_where_weights_have_few_bits(
    kind: Any, size: float, dtype: torch.dtype
) -> None:
    """Training in bfloat16 moves few weights by a step; the same change elsewhere would be rounded away."""
    generator = torch.Generator().manual_seed(3)
    before = (torch.randn(96, 128, generator=generator) * 0.02).to(dtype)
    after = (before.float() + size * 0.02 * torch.randn(96, 128, generator=generator)).to(dtype)
    change = WholeChange(name="w", parameter=torch.nn.Parameter(after, requires_grad=False), base=before)
    wanted = (after.float() - before.float()).norm()
    (made,) = control_of(kind, [change], seed=1).values()
    assert made.dtype == dtype
    assert float((made.float() - before.float()).norm() / wanted) == pytest.approx(1.0, abs=0.03)
    nothing = as_large(before.float(), torch.zeros_like(before.float()), dtype)
    assert torch.equal(nothing, before)


def test_controls_of_a_full_fine_tune_are_other_values_in_its_place(base: Path, trained: Path) -> None:
    reader = prepared(base, trained)
    found = logs_of(reader)
    assert tuple(found) == ("base", "trained", *NAMES)
    alone = logs_of(prepared(base, trained, Wanted(logits=True, sites=())))
    for name in ("base", "trained"):  # what was swapped is put back
        assert torch.equal(found[name], alone[name])
    assert torch.equal(logs_of(reader)["control:matched"], found["control:matched"])
    assert kl(found["control:scrambled"], found["base"]) > 1e-3
    before = {name: p.clone() for name, p in network("llama").named_parameters()}
    model = reader._stances["base"][0].model
    reader._stances["base"][0].take(reader._stances["base"][1])
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_the_base_is_read_once_whatever_the_number_of_controls(base: Path, trained: Path, lora: Path) -> None:
    for path in (lora, trained):
        for controls in ((), ("scrambled",), ("matched", "scrambled")):
            wanted = Wanted(logits=True, sites=("blocks.*.out",), controls=controls)
            reader = prepared(base, path, wanted)
            calls: list[str] = []
            residents = {id(resident): resident for resident, _ in reader._stances.values()}.values()
            for resident in residents:
                resident.sites.blocks[0].register_forward_hook(_counting(calls, resident, reader))
            for batch in batches():
                readings = reader.read(batch)
                for reading in readings.values():
                    reading.log_probs(torch.arange(batch.counted))
            expected = ["base", "trained", *(f"control:{kind}" for kind in controls)]
            assert calls == expected * len(batches())
            reader.close()


def _counting(calls: list[str], resident: Any, reader: TransformersReader) -> Callable[..., None]:
    def called(*_: Any) -> None:
        names = [
            name
            for name, (one, stance) in reader._stances.items()
            if one is resident and stance is resident._stance and stance.adapted == resident._held._adapted
        ]
        calls.extend(names)

    return called


def delta(change: Any, swaps: Any = None) -> torch.Tensor:
    """Δ of a module as a matrix, or what a control puts in its place."""
    if isinstance(change, FactorChange):
        a, b = (swaps[one] if swaps else one.data for one in (change.a, change.b))
        return b.reshape(-1, a.shape[0]).double() @ a.reshape(a.shape[0], -1).double()
    value = swaps[change.parameter] if swaps else change.parameter.data
    found = (value.double() - change.base.double()).reshape(value.shape[0], -1)
    return found


@pytest.mark.parametrize("kind", ["scrambled", "matched"])
@pytest.mark.parametrize("which", ["factors", "whole"])
def test_a_control_has_the_sizes_of_the_change_and_none_of_its_directions(
    kind: Any, which: str, base: Path, lora: Path
) -> None:
    if which == "factors":
        model = prepared(base, lora)._stances["trained"][0].model
        changes = adapter_changes(model)
        assert {type(change) for change in changes} == {FactorChange, WholeChange}
    else:
        changes = paired_changes(network("llama"), tuned(network("llama")))
        assert len(changes) == len(list(network("llama").parameters()))
    with watched_globals() as touched:
        swaps = control_of(kind, changes, 3)
    assert not touched
    for change in changes:
        own, other = delta(change), delta(change, swaps)
        values, others = torch.linalg.svdvals(own), torch.linalg.svdvals(other)
        torch.testing.assert_close(others, values, rtol=1e-4, atol=1e-5)
        assert float((own * other).sum()) < 0.5 * float(own.square().sum())
        if min(own.shape) > 1 and kind == "matched":
            assert sorted(own.flatten().tolist()) != pytest.approx(sorted(other.flatten().tolist()), abs=1e-6)
        if kind == "scrambled":
            assert sorted(own.flatten().tolist()) == pytest.approx(sorted(other.flatten().tolist()), abs=1e-5)
    matrices = [change for change in changes if delta(change).shape[1] > 1]
    inner = [float((delta(change) * delta(change, swaps)).sum() / delta(change).square().sum()) for change in matrices]
    assert abs(sum(inner) / len(inner)) < 0.05


def test_controls_are_a_function_of_the_seed_and_of_each_module_alone() -> None:
    first, second = network("llama"), tuned(network("llama"))
    changes = paired_changes(first, second)
    forward, backward = control_of("matched", changes, 3), control_of("matched", changes[::-1], 3)
    assert all(torch.equal(forward[parameter], backward[parameter]) for parameter in forward)
    other = control_of("matched", changes, 4)
    assert not any(torch.equal(forward[parameter], other[parameter]) for parameter in forward)


def test_experts_and_larger_vocabularies_have_controls_too() -> None:
    model = tuned(network("mixtral"))
    changes = paired_changes(network("mixtral"), model)
    swaps = control_of("scrambled", changes, 1)
    [fused, *_] = [change for change in changes if change.parameter.dim() == 3]
    for number in range(4):  # every expert keeps its own change, in another order
        own = fused.parameter.data[number] - fused.base[number]
        other = swaps[fused.parameter][number] - fused.base[number]
        torch.testing.assert_close(torch.linalg.svdvals(other), torch.linalg.svdvals(own), rtol=1e-4, atol=1e-5)
    larger = network("llama")
    with torch.random.fork_rng():
        larger.resize_token_embeddings(1420, mean_resizing=False)
    for change in paired_changes(network("llama"), tuned(larger)):
        value = control_of("matched", [change], 1)[change.parameter]
        rows = change.base.shape[0]
        own, other = (one[:rows].double() - change.base.double() for one in (change.parameter.data, value))
        assert float(other.norm()) == pytest.approx(float(own.norm()), rel=1e-4)
        assert torch.equal(value[rows:], change.parameter.data[rows:])


def test_rounding_casts_to_bfloat16_or_moves_within_half_a_step() -> None:
    model = network("llama")
    for parameter, value in rounded(model, 0).items():
        assert torch.equal(value, parameter.data.bfloat16().float())
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    swaps = rounded(model, 0)
    assert len(swaps) == len(list(model.parameters()))
    for parameter, value in swaps.items():
        step = torch.ldexp(torch.ones_like(parameter), torch.frexp(parameter.data).exponent - 8)
        moved = ((value - parameter.data) / step)[parameter.data != 0]
        assert moved.abs().max() <= 0.5 + 1e-6
        assert (value.bfloat16() == parameter.data).float().mean() > 0.99  # what it rounds to is what it was
    assert moved.std() == pytest.approx(12**-0.5, abs=0.1)
    assert rounded(model.bfloat16(), 0) == {}


def test_equal_models_have_controls_that_change_nothing(base: Path, folder: Path) -> None:
    empty = adapter(base, folder / "empty", lora_alpha=0)
    for path in (saved(network("llama"), folder / "twin"), empty):
        found = logs_of(prepared(base, path))
        for name in ("trained", "control:matched", "control:scrambled"):
            assert torch.equal(found[name], found["base"]), (path.name, name)
        assert not torch.equal(found["control:rounding"], found["base"])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"use_dora": True}, r"the adapter changes more than by factors \(DoRA\)"),
        ({"bias": "all"}, "the adapter puts trained biases in the place of the base's"),
        (
            {"grow": 8, "modules_to_save": ["embed_tokens", "lm_head"]},
            "the adapter has other rows of embeddings than its base",
        ),
    ],
)
def test_a_control_that_cannot_be_had_says_why(settings: dict[str, Any], reason: str, tmp_path: Path) -> None:
    base = saved(network("qwen2"), tmp_path / "base")
    reader = reader_of(base, adapter(base, tmp_path / "adapter", **settings))
    assert reader.subjects == ("base", "trained", "control:rounding")
    assert sum(re.search(reason, note) is not None for note in reader.notes) == 2


def test_controls_of_full_fine_tunes_need_memory(base: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(base, trained, arrangement="in_turn")
    assert reader.subjects == ("base", "trained") and len(reader.notes) == 3
    reader = reader_of(base, trained, serving=Serving(dtype="bfloat16"))
    assert reader.notes == ("no rounding control: the models run in bfloat16 already",)
    size = reader_of(base, trained)._pairing.base.bytes
    for models, offered in ((2, 0), (3, 1), (4, 2), (5, 3)):
        room = int((2 << 30) + (models + 0.5) * 1.1 * size)
        monkeypatch.setattr("afterburn_core.backends.transformers_cost.available_memory", lambda room=room: room)
        reader = reader_of(base, trained)
        assert reader.arrangement == "side_by_side"
        assert len(reader.subjects) == 2 + offered
        assert all("more memory" in note for note in reader.notes)
