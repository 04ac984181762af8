"""The model pairs and guards that tests rely on: what was planted is there, and nothing else is."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from afterburn_core.testing.checkpoints import INDEX, load_weights, read_json, tiny_checkpoint
from afterburn_core.testing.guards import digests, global_seeds, network_blocked, watched_globals
from afterburn_core.testing.hostile import hostile_document
from afterburn_core.testing.observing import document_pairs, weight_pairs
from afterburn_core.testing.pairs import (
    PLANTED_TENSOR,
    Pair,
    adapter_pair,
    added_pair,
    cast_pair,
    dropped_pair,
    edited_pair,
    identity_pair,
    nonfinite_pair,
    planted_pair,
    prefixed_pair,
    reshaped_pair,
    resharded_pair,
)
from afterburn_core.testing.workbench import RECIPES

torch = pytest.importorskip("torch", reason="the model stack is not installed")


def differing(pair: Pair) -> list[str]:
    """Tensors that both sides have, in one shape, with other values."""
    base, trained = load_weights(pair.base), load_weights(pair.trained)
    return [
        name
        for name in sorted(base.keys() & trained.keys())
        if base[name].shape == trained[name].shape and not torch.equal(base[name], trained[name])
    ]


def delta(pair: Pair) -> torch.Tensor:
    name = pair.planted or ""
    return load_weights(pair.trained)[name].double() - load_weights(pair.base)[name].double()


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_a_pair_is_the_same_on_every_call(recipe: Callable[[Path], Pair], tmp_path: Path) -> None:
    first, second = recipe(tmp_path / "first"), recipe(tmp_path / "second")
    assert digests(first.base) == digests(second.base)
    assert digests(first.trained) == digests(second.trained)


def test_making_a_pair_leaves_global_state_alone(tmp_path: Path) -> None:
    with watched_globals() as changed:
        planted_pair(tmp_path, rank=1)
    assert changed == []


def test_an_identity_pair_is_one_model_byte_for_byte(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    assert digests(pair.base) == digests(pair.trained)


def test_a_resharded_pair_holds_the_same_tensors_in_other_files(tmp_path: Path) -> None:
    pair = resharded_pair(tmp_path, shards=3)
    assert len(list(pair.trained.glob("*.safetensors"))) == 3
    assert set(read_json(pair.trained / INDEX)["weight_map"]) == set(load_weights(pair.base))
    assert differing(pair) == []


@pytest.mark.parametrize("change", [{"scale": 2.0}, {"rank": 1}, {"rows": (0,)}, {"noise": 0.5}], ids=str)
def test_a_planted_change_is_in_the_named_tensor_only(change: dict[str, object], tmp_path: Path) -> None:
    tensor = "model.layers.0.mlp.up_proj.weight"
    pair = planted_pair(tmp_path, tensor=tensor, **change)  # type: ignore[arg-type]
    assert pair.planted == tensor
    assert differing(pair) == [tensor]


def test_a_scaled_tensor_is_scaled_exactly(tmp_path: Path) -> None:
    pair = planted_pair(tmp_path, scale=2.0)
    base, trained = load_weights(pair.base)[PLANTED_TENSOR], load_weights(pair.trained)[PLANTED_TENSOR]
    assert torch.equal(trained, base * 2)


@pytest.mark.parametrize("rank", [1, 3])
def test_a_low_rank_change_has_its_rank_and_size(rank: int, tmp_path: Path) -> None:
    pair = planted_pair(tmp_path, rank=rank, strength=0.25, dtype="float32")
    values = torch.linalg.svdvals(delta(pair))
    assert values[rank - 1] > 1e-3 * values[0]
    assert values[rank] < 1e-5 * values[0]
    assert delta(pair).norm() / load_weights(pair.base)[PLANTED_TENSOR].double().norm() == pytest.approx(0.25, rel=1e-6)


def test_named_rows_become_zero_and_no_others(tmp_path: Path) -> None:
    trained = load_weights(planted_pair(tmp_path, rows=(0, 3)).trained)[PLANTED_TENSOR]
    assert trained.eq(0).all(dim=1).nonzero().flatten().tolist() == [0, 3]


@pytest.mark.parametrize("change", [{}, {"scale": 2.0, "rank": 1}])
def test_one_kind_of_change_has_to_be_chosen(change: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        planted_pair(tmp_path, **change)  # type: ignore[arg-type]


def test_pairs_with_other_tensors_differ_in_nothing_else(tmp_path: Path) -> None:
    dropped, added = dropped_pair(tmp_path / "dropped"), added_pair(tmp_path / "added")
    reshaped = reshaped_pair(tmp_path / "reshaped")
    assert load_weights(dropped.base).keys() - load_weights(dropped.trained).keys() == {dropped.planted}
    assert load_weights(added.trained).keys() - load_weights(added.base).keys() == {added.planted}
    assert load_weights(reshaped.trained)[PLANTED_TENSOR].shape == (16, 15)
    assert [differing(pair) for pair in (dropped, added, reshaped)] == [[], [], []]


def test_a_nonfinite_pair_holds_one_nan_and_one_infinity(tmp_path: Path) -> None:
    trained = load_weights(nonfinite_pair(tmp_path).trained)[PLANTED_TENSOR]
    assert (int(trained.isnan().sum()), int(trained.isinf().sum())) == (1, 1)


def test_a_cast_pair_holds_the_same_values_in_another_dtype(tmp_path: Path) -> None:
    pair = cast_pair(tmp_path, dtype="float32")
    trained = load_weights(pair.trained)
    for name, value in load_weights(pair.base).items():
        assert trained[name].dtype == torch.float32
        assert torch.equal(trained[name], value.float())


def test_an_edited_pair_differs_in_every_document_and_in_no_tensor(tmp_path: Path) -> None:
    pair = edited_pair(tmp_path)
    assert differing(pair) == []
    assert [document.name for document in document_pairs(pair) if document.base == document.trained] == []


def test_a_prefixed_pair_is_matched_tensor_by_tensor(tmp_path: Path) -> None:
    assert {item.state for item in weight_pairs(prefixed_pair(tmp_path))} == {"matched"}


def test_an_adapter_pair_is_seen_as_the_weights_it_stands_for(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, rank=2, alpha=4.0)
    seen = {item.name: item for item in weight_pairs(pair)}
    changed = [name for name, item in seen.items() if item.sums and item.sums.delta_sq > 0]
    assert changed == [f"model.layers.{i}.self_attn.{m}_proj.weight" for i in (0, 1) for m in ("q", "v")]
    factors = load_weights(pair.trained)
    stem = "base_model.model.model.layers.1.self_attn.q_proj"
    expected = 2.0 * factors[f"{stem}.lora_B.weight"].double() @ factors[f"{stem}.lora_A.weight"].double()
    base, trained = seen[PLANTED_TENSOR].values()
    assert torch.allclose(trained - base, expected, rtol=0, atol=1e-12)


def test_observed_values_are_copies_that_outlive_the_files(tmp_path: Path) -> None:
    (first, *_) = weight_pairs(identity_pair(tmp_path))
    base, _ = first.values()
    base.zero_()
    assert first.values()[0].abs().sum() > 0


def test_a_tiny_checkpoint_is_opened_by_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tiny_checkpoint(tmp_path, shards=2)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == {
        name: tuple(value.shape) for name, value in load_weights(tmp_path).items()
    }
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("word1 word2 unheard").input_ids == [4, 5, 0]


def test_the_hostile_document_is_valid() -> None:
    from afterburn_core.result import codec

    assert codec.loads(codec.dumps(hostile_document())) == hostile_document()


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: socket.create_connection(("192.0.2.1", 9), 0.01),
        lambda: socket.getaddrinfo("example.invalid", 80),
        lambda: socket.gethostbyname("example.invalid"),
    ],
    ids=["connect", "look up", "look up by name"],
)
def test_a_blocked_connection_is_refused_and_listed_even_if_the_error_is_swallowed(
    attempt: Callable[[], object],
) -> None:
    with network_blocked() as attempts:
        try:
            attempt()
        except OSError as error:
            refused = str(error)
    assert len(attempts) == 1
    assert "blocks the network" in refused


def test_the_network_is_open_again_afterwards() -> None:
    original = socket.socket.connect
    with network_blocked():
        assert socket.socket.connect is not original
    assert socket.socket.connect is original
    with network_blocked() as attempts:
        left, right = socket.socketpair()  # what event loops do; it reaches nobody
    left.close()
    right.close()
    assert attempts == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda: random.random(), "random"),
        (lambda: random.seed(0x5EED), "random"),  # noqa: TID251
        (lambda: torch.rand(1), "torch random state"),
        (lambda: torch.set_default_dtype(torch.float64), "torch default dtype"),
        (lambda: torch.set_num_threads(torch.get_num_threads() + 1), "torch threads"),
        (lambda: os.environ.update(AFTERBURN_TEST="1"), "os.environ"),
    ],
    ids=["draw", "seed", "torch draw", "torch dtype", "torch threads", "environment"],
)
def test_a_change_of_global_state_is_named(
    change: Callable[[], object], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERBURN_TEST", "0")
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        with watched_globals() as changed:
            change()
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
    assert changed == [name]


def test_random_states_are_put_back() -> None:
    before = random.getstate(), torch.get_rng_state()
    with global_seeds(5):
        first = random.random(), float(torch.rand(1))
    with global_seeds(5):
        assert (random.random(), float(torch.rand(1))) == first
    with watched_globals():
        random.random()
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
