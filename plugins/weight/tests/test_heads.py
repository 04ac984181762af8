"""Attention heads: widths, products, ranks and outliers, from files of every family to measurements."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterburn_core.api import DiagnosticReport
from afterburn_core.result.model import Measurement
from afterburn_weight.attention import NoHeadsError, attention_prefix, cut, head_counts
from afterburn_weight.head_outliers import Changes, Outliers, outliers
from afterburn_weight.head_products import Grams, folded, grams, product_change
from afterburn_weight.head_ranks import gaussian_ranks, ranks, rounding_steps, singular_values, used_rank

Arrays = Mapping[str, np.ndarray]
HEADS, KEYS = 8, 4
WIDTHS = {"llama": 4, "qwen2": 4, "qwen3": 8, "gemma": 8, "gemma2": 8, "gemma3": 8, "mistral": 8, "phi3": 4, "gpt2": 4}
SPLIT = sorted(WIDTHS.keys() - {"phi3", "gpt2"})
ATTENTION = "model.layers.{}.self_attn.{}_proj.weight"


def head_values(report: DiagnosticReport, metric: str) -> dict[tuple[Any, ...], float | None]:
    """By layer, module and head."""
    return {
        (m.scope.layer, m.scope.module, m.scope.head): m.value
        for m in report.measurements(metric)
        if m.scope.head is not None
    }


def noisy(tensors: dict[str, Any], size: float = 0.01, seed: int = 5) -> None:
    """Independent noise of one relative size in every matrix."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name in sorted(tensors):
        if tensors[name].ndim == 2:
            tensors[name] += torch.randn(tensors[name].shape, generator=generator) * size * tensors[name].std()


def gain(base: Arrays, layer: int, part: str, family: str, width: int) -> np.ndarray:
    stored = base.get(f"model.layers.{layer}.self_attn.{part}_norm.weight")
    if stored is None:
        return np.ones(width)
    return stored + 1 if family == "gemma3" else stored


def rows(tensors: Arrays, layer: int, part: str, head: int, width: int) -> np.ndarray:
    """The rows of a head, (d_h, D); columns for the output."""
    weight = tensors[ATTENTION.format(layer, part)]
    matrix = weight.T if part == "o" else weight
    return matrix[head * width : (head + 1) * width]


@pytest.mark.parametrize("family", SPLIT)
def test_every_head_agrees_with_numpy_on_its_own_rows_and_on_its_products(
    family: str, tiny: Callable[[str], Any]
) -> None:
    """Products are formed here, D × D, as they are defined; the analyzer never forms them."""
    model, width = tiny(family), WIDTHS[family]
    trained = model.copy("trained", lambda tensors: noisy(tensors, 0.2))
    after = stored(trained)
    report = model.compare(trained)
    relative = head_values(report, "weight.heads.relative")
    assert len(relative) == 3 * (2 * HEADS + 2 * KEYS)
    for (layer, part, head), value in relative.items():
        before, later = (rows(side, layer, part, head, width) for side in (model.tensors, after))
        assert value == pytest.approx(np.linalg.norm(later - before) / np.linalg.norm(before), rel=1e-9)
    for metric, (left, right) in {"qk": ("q", "k"), "ov": ("o", "v")}.items():
        found = head_values(report, f"weight.heads.{metric}.relative")
        assert len(found) == 3 * HEADS
        for (layer, _, head), value in found.items():
            products = []
            for side in (model.tensors, after):
                one, other = rows(side, layer, left, head, width), rows(side, layer, right, head // 2, width)
                if metric == "qk":
                    one = one * gain(side, layer, "q", family, width)[:, None]
                    other = other * gain(side, layer, "k", family, width)[:, None]
                products.append(one.T @ other)
            expected = np.linalg.norm(products[1] - products[0]) / np.linalg.norm(products[0])
            assert value == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("family", ["phi3", "gpt2"])
def test_fused_and_transposed_projections_are_cut_into_their_heads(family: str, tiny: Callable[[str], Any]) -> None:
    model, width = tiny(family), WIDTHS[family]
    fused = "model.layers.1.self_attn.qkv_proj.weight" if family == "phi3" else "transformer.h.1.attn.c_attn.weight"

    def change(tensors: dict[str, Any]) -> None:
        place = slice(3 * width, 4 * width)  # query head 3
        if family == "phi3":
            tensors[fused][place] *= 1.5
        else:
            tensors[fused][:, place] *= 1.5

    report = model.compare(model.copy("trained", change))
    moved = {key: value for key, value in head_values(report, "weight.heads.relative").items() if value}
    assert list(moved) == [(1, "q", 3)]
    assert moved[1, "q", 3] == pytest.approx(0.5, rel=1e-6)
    products = {key: value for key, value in head_values(report, "weight.heads.qk.relative").items() if value}
    assert list(products) == [(1, None, 3)]
    assert products[1, None, 3] == pytest.approx(0.5, rel=1e-6)
    assert len(head_values(report, "weight.heads.ov.relative")) == 3 * HEADS


@pytest.mark.parametrize("family", SPLIT)
def test_reciprocal_scaling_of_queries_and_keys_changes_no_product(family: str, tiny: Callable[[str], Any]) -> None:
    model = tiny(family)

    def change(tensors: dict[str, Any]) -> None:
        for layer in range(3):
            tensors[ATTENTION.format(layer, "q")] *= 4.0
            tensors[ATTENTION.format(layer, "k")] /= 4.0

    report = model.compare(model.copy("trained", change))
    assert set(head_values(report, "weight.heads.qk.relative").values()) == {0.0}
    own = head_values(report, "weight.heads.relative")
    assert own[0, "q", 0] == pytest.approx(3.0) and own[0, "k", 0] == pytest.approx(0.75)


@pytest.mark.parametrize("family", SPLIT)
def test_a_planted_head_is_the_first_and_the_only_one_to_stand_out(family: str, tiny: Callable[[str], Any]) -> None:
    model, width = tiny(family), WIDTHS[family]

    def change(tensors: dict[str, Any]) -> None:
        noisy(tensors)
        tensors[ATTENTION.format(2, "q")][5 * width : 6 * width] *= 1.5

    report = model.compare(model.copy("trained", change))
    scores = {k: v for k, v in head_values(report, "weight.heads.outlier").items() if v is not None}
    assert max(scores, key=lambda key: scores[key] or 0.0) == (2, "q", 5)
    assert value(report, "weight.heads.outliers") in {1.0, 2.0}  # the head's queries, and the product they are part of
    (finding,) = [f for f in report.findings if f.rule == "weight.head_outliers"]
    assert finding.kind == "informational"
    assert "q head 5 of layer 2" in finding.message
    planted = next(m for m in report.measurements("weight.heads.outlier") if m.scope.head == 5 and m.scope.layer == 2)
    assert planted.null is not None and planted.null.p_value == 0.001 and planted.n == 3 * HEADS


def test_a_head_changed_alone_stands_out_of_heads_that_did_not_change(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")

    def change(tensors: dict[str, Any]) -> None:
        tensors[ATTENTION.format(0, "v")][4:8] += 0.1

    report = model.compare(model.copy("trained", change))
    moved = {key for key, found in head_values(report, "weight.heads.relative").items() if found}
    assert moved == {(0, "v", 1)}
    assert {key for key, found in head_values(report, "weight.heads.ov.relative").items() if found} == {
        (0, None, 2), (0, None, 3)
    }  # fmt: skip


def test_the_rank_of_a_planted_change_is_that_of_the_plant_and_far_below_the_null(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")

    def change(tensors: dict[str, Any]) -> None:
        import torch

        generator = torch.Generator().manual_seed(8)
        left, right = (torch.randn(n, generator=generator, dtype=torch.float64) for n in (32, 4))
        # summed in float64 and rounded once, so that the change is of rank one up to one rounding
        columns = tensors[ATTENTION.format(0, "o")][:, 8:12]
        columns.copy_((columns.double() + 0.05 * torch.outer(left, right)).float())
        tensors[ATTENTION.format(0, "q")][:4] += 0.05 * torch.randn(4, 32, generator=generator)

    report = model.compare(model.copy("trained", change))
    for metric, low in (("stable_rank", 1.0), ("effective_rank", 1.0), ("used_rank", 1.0)):
        assert head_values(report, f"weight.heads.{metric}")[0, "o", 2] == pytest.approx(low, abs=1e-3)
    assert head_values(report, "weight.heads.used_rank")[0, "q", 0] == 4
    nulls = {m.scope.module: m.null for m in report.measurements("weight.heads.effective_rank")}
    assert nulls["o"].p_value == 0.01 and nulls["q"].p_value > 0.02


def test_a_model_against_itself_has_no_moved_head(tiny: Callable[[str], Any]) -> None:
    model = tiny("qwen3")
    report = model.compare(model.copy("trained", lambda tensors: None))
    for metric in ("weight.heads.relative", "weight.heads.qk.relative", "weight.heads.ov.relative"):
        assert set(head_values(report, metric).values()) == {0.0}
    assert value(report, "weight.heads.outliers") is None
    assert not head_values(report, "weight.heads.stable_rank")


def test_without_a_configuration_heads_are_undefined_and_say_why(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    trained = model.copy("trained", noisy)
    for side in (model.directory, trained):
        (side / "config.json").unlink()
    report = model.compare(trained)
    found = report.measurements("weight.heads.relative")
    assert len(found) == 12 and {m.status for m in found} == {"undefined"}
    assert {m.reason for m in found} == {"there is no configuration, which would say how many heads there are"}


def test_a_head_width_that_does_not_fit_is_refused_not_cut_wrongly(tiny: Callable[[str], Any]) -> None:
    model = tiny("mistral")
    trained = model.copy("trained", noisy)
    for side in (model.directory, trained):
        config = json.loads((side / "config.json").read_text())
        (side / "config.json").write_text(json.dumps({**config, "head_dim": 16}))
    report = model.compare(trained)
    reasons = {m.scope.module: m.reason for m in report.measurements("weight.heads.relative")}
    assert reasons["q"] == "its 64 rows are not 8 heads of 16, as the configuration has it"
    assert reasons["o"] == "its 64 columns are not 8 heads of 16, as the configuration has it"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "does not say how many"),
        ({"num_attention_heads": 6, "num_key_value_heads": 4}, "evenly"),
        ({"num_attention_heads": 8, "kv_lora_rank": 16}, "low-rank"),
    ],
)
def test_configurations_without_heads_of_this_kind_say_so(config: dict[str, Any], message: str) -> None:
    with pytest.raises(NoHeadsError, match=message):
        head_counts(config, None)


def test_nested_and_differently_spelt_configurations_are_read() -> None:
    nested = head_counts({"text_config": {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 16}}, None)
    assert (nested.queries, nested.keys, nested.width) == (8, 2, 16)
    t5 = head_counts({"num_heads": 4, "d_kv": 6, "d_model": 16}, "encoder")
    assert (t5.queries, t5.keys, t5.width) == (4, 4, 6)
    vision = head_counts({"num_attention_heads": 8, "vision_config": {"num_attention_heads": 2}}, "vision")
    assert vision.queries == 2
    falcon = head_counts({"num_attention_heads": 71, "num_kv_heads": 71, "multi_query": True}, None)
    assert falcon.keys == 1
    with pytest.raises(NoHeadsError, match="order of heads"):
        cut("layers.0.attention.wqkv.weight", "qkv", np.zeros((12, 4)), head_counts({"num_heads": 2}, None))


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("model.layers.3.self_attn.q_proj.weight", "model.layers.3.self_attn"),
        ("encoder.block.0.layer.0.SelfAttention.q.weight", "encoder.block.0.layer.0.SelfAttention"),
        ("bert.encoder.layer.1.attention.output.dense.weight", "bert.encoder.layer.1.attention"),
        ("transformer.h.0.attn.c_proj.weight", "transformer.h.0.attn"),
        ("model.layers.0.linear_attn.out_proj.weight", None),
        ("backbone.layers.0.mixer.out_proj.weight", None),
        ("model.layers.0.mlp.down_proj.weight", None),
    ],
)  # fmt: skip
def test_a_tensor_belongs_to_one_attention_module(name: str, prefix: str | None) -> None:
    assert attention_prefix(name) == prefix


# --- formulas -------------------------------------------------------------------------------------------------------


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@given(st.integers(0, 10**6), st.floats(1e-6, 3.0), st.integers(1, 3))
def test_products_equal_the_matrices_they_stand_for(seed: int, size: float, sharing: int) -> None:
    heads, width, residual = 2 * sharing, 3, 7
    left, right = gaussian(seed, heads, width, residual), gaussian(seed + 1, 2, width, residual)
    left_after = left + size * gaussian(seed + 2, *left.shape)
    right_after = right + size * gaussian(seed + 3, *right.shape)
    one, other = np.abs(gaussian(seed + 4, 2, width)) + 0.1, np.abs(gaussian(seed + 5, 2, width)) + 0.1
    found = product_change(
        folded(grams(left, left_after, changed=True), one[0], one[1]),
        folded(grams(right, right_after, changed=True), other[0], other[1]),
    )
    for head in range(heads):
        g = head // sharing
        before = (one[0][:, None] * left[head]).T @ (other[0][:, None] * right[g])
        after = (one[1][:, None] * left_after[head]).T @ (other[1][:, None] * right_after[g])
        assert found[head] == pytest.approx(np.linalg.norm(after - before) / np.linalg.norm(before), rel=1e-6)


@pytest.mark.parametrize("factor", [3.0, 0.1, 1.7])
def test_a_cancelling_change_is_not_resolved_and_is_zero(factor: float) -> None:
    left, right = gaussian(1, 4, 8, 32), gaussian(2, 2, 8, 32)
    found = product_change(grams(left, left * factor, changed=True), grams(right, right / factor, changed=True))
    assert found.tolist() == [0.0] * 4


def test_a_product_of_zeros_is_undefined() -> None:
    left, right = np.zeros((1, 2, 3)), gaussian(2, 1, 2, 3)
    found = product_change(grams(left, left + 1, changed=True), grams(right, right, changed=False))
    assert np.isnan(found).all()


def test_ranks_of_known_spectra() -> None:
    equal = ranks(np.ones((1, 5)))
    assert equal.stable == pytest.approx(5) and equal.effective == pytest.approx(5)
    one = ranks(np.array([[3.0, 0, 0]]))
    assert one.stable == pytest.approx(1) and one.effective == pytest.approx(1)
    matrix = gaussian(4, 6, 20)
    np.testing.assert_allclose(singular_values(matrix @ matrix.T), np.linalg.svd(matrix, compute_uv=False), rtol=1e-10)
    assert used_rank(np.array([[1.0, 0.5, 0.01]]), 25, np.array([0.01])).tolist() == [2.0]  # 0.01 (√3 + 5) = 0.067


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 24), ("float16", 11), ("bfloat16", 8)])
def test_the_rounding_step_is_that_of_the_stored_dtype(dtype: str, bits: int) -> None:
    import torch

    weights = torch.tensor([1.5, -0.75, 3.0, 0.3]).to(getattr(torch, dtype))
    following = [float(torch.nextafter(w.abs(), torch.tensor(9.0, dtype=w.dtype)) - w.abs()) for w in weights]
    expected = np.sqrt(np.mean(np.square(following)) / 12)
    name = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[dtype]
    found = rounding_steps(weights.double().numpy().reshape(1, 2, 2), name)
    assert found == pytest.approx([expected], rel=1e-12)


@pytest.mark.parametrize("shape", [(8, 40), (12, 12), (9, 5)])
def test_the_gaussian_null_has_the_ranks_of_gaussian_matrices(shape: tuple[int, int]) -> None:
    drawn = gaussian(9, 400, *shape)
    expected = ranks(np.linalg.svd(drawn, compute_uv=False))
    null = gaussian_ranks(*shape, 7)
    for ours, theirs in ((null.stable, expected.stable), (null.effective, expected.effective)):
        spread = theirs.std() * (1 / np.sqrt(len(ours)) + 1 / np.sqrt(len(theirs)))
        assert abs(ours.mean() - theirs.mean()) < 4 * spread


def test_the_rank_null_is_calibrated() -> None:
    """The p of a Gaussian change is uniform: 5 % of 400 lie below .05, give or take four standard errors."""
    null = gaussian_ranks(6, 20, 3).effective
    values = ranks(np.linalg.svd(gaussian(11, 400, 6, 20), compute_uv=False)).effective
    p = np.array([(1 + (null <= v).sum()) / (1 + len(null)) for v in values])
    assert abs((p <= 0.05).mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 * (1 / 400 + 1 / 99))


@pytest.mark.parametrize(("layers", "heads"), [(1, 4), (2, 2), (4, 8), (24, 14)])
def test_heads_that_differ_by_chance_stand_out_at_the_stated_rate(layers: int, heads: int) -> None:
    """The smallest p over all heads of a model is at most .05 in 5 % of 300 models."""
    seeds, alarms = 300, 0
    for seed in range(seeds):
        logs = gaussian(seed, layers, heads) * 0.3 - 3
        changes = {str(i): Changes(relative=np.exp(row), floor=0.0, entries=10**6) for i, row in enumerate(logs)}
        found = outliers(changes, 1)
        assert isinstance(found, Outliers)
        largest = max(float(scores.max()) for scores in found.scores.values())
        alarms += found.compared(largest).p_value <= 0.05
    assert abs(alarms / seeds - 0.05) < 4 * np.sqrt(0.05 * 0.95 * (1 / seeds + 1 / 999))


def test_families_without_a_spread_say_why() -> None:
    one = Changes(relative=np.array([0.1]), floor=0.0, entries=10)
    still = Changes(relative=np.zeros(4), floor=0.0, entries=10)
    two = Changes(relative=np.array([0.1, 0.2]), floor=0.0, entries=10)
    assert outliers({"0": one, "1": one}, 0) == "each layer has one head"
    assert outliers({"0": still}, 0) == "no head changed"
    assert outliers({"0": two}, 0) == "2 heads changed in all, too few to have a spread"


def test_gram_matrices_of_the_trained_side_follow_from_the_change() -> None:
    base, trained = gaussian(1, 2, 3, 9), gaussian(2, 2, 3, 9)
    found: Grams = grams(base, trained, changed=True)
    np.testing.assert_allclose(found.trained, trained @ np.swapaxes(trained, 1, 2), rtol=1e-10, atol=1e-12)


def stored(directory: Any) -> Arrays:
    from afterburn_core.testing.checkpoints import load_weights

    return {name: tensor.double().numpy() for name, tensor in load_weights(directory).items()}


def value(report: DiagnosticReport, metric: str) -> float | None:
    found: Measurement = next(m for m in report.measurements(metric) if m.scope.key() == "model")
    return found.value


def test_an_exact_change_uses_no_more_directions_than_it_has() -> None:
    """What the Gram matrix makes of the zeros is no direction, though no rounding hides it."""
    rng = np.random.default_rng(4)
    delta = rng.standard_normal((200, 16, 2)) @ rng.standard_normal((200, 2, 96))
    values = singular_values(delta @ np.swapaxes(delta, 1, 2))
    assert set(used_rank(values, 96, np.zeros(200))) == {2.0}
