"""Dose curves: planted changes move where they are planted, and shapes are told from curves of known form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

pytest.importorskip("torch")
pytest.importorskip("afterburn_organisms")

from afterburn_behaviour.live.doses import bands, doses
from afterburn_behaviour.live.options import ScalingOptions
from afterburn_behaviour.live.scaling import Scaling
from afterburn_behaviour.live.shapes import Shape, describe
from afterburn_core.forward.live import Blend
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.probes.model import Probe
from afterburn_core.result.model import Measurement
from afterburn_core.testing.guards import global_seeds
from afterburn_core.testing.live import live_pair
from afterburn_organisms import organism
from afterburn_organisms.probes import items
from afterburn_organisms.world import held_out_items

SHIPPED = organism("base").path
TEXTS = tuple(f"{item.prompt} {item.answer}" for item in held_out_items(3, 1))[:12]
SMALL = ScalingOptions(scales=(-1.0, 0.5, 2.0), ranks=(1, 2), band_scales=(1.0,), passages=12, prompts=0)


def model(directory: Path, planted: str | None = None, rank: int | None = None) -> Path:
    """A random network of six layers with the shipped tokenizer; `planted` names the parameters that differ."""
    with global_seeds(5):
        network = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=1414,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=6,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=256,
                initializer_range=0.2,
                bos_token_id=1,
                eos_token_id=2,
                pad_token_id=0,
                tie_word_embeddings=False,
            )
        )
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if planted is not None and planted in name:
                noise = torch.randn(parameter.shape, generator=generator)
                if rank is not None:
                    left = torch.randn(parameter.shape[0], rank, generator=generator)
                    noise = left @ torch.randn(rank, parameter.shape[1], generator=generator)
                parameter += 0.15 * noise
    network.save_pretrained(directory)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (directory / file).write_bytes((SHIPPED / file).read_bytes())
    return directory


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("base"))


def measure(live: Any, options: ScalingOptions = SMALL) -> AnalyzerOutput:
    analyzer = Scaling(options)
    analyzer.begin(AnalyzerContext(subjects=(), seed=1))
    analyzer.observe(live)
    return analyzer.finish()


def content(output: AnalyzerOutput) -> dict[str, Any]:
    return dict(json.loads(output.artifacts[0].content))


def found(output: AnalyzerOutput, metric: str, subset: str, module: str | None = None) -> Measurement:
    (one,) = (
        m
        for m in output.measurements
        if m.metric == f"behaviour.scaling.{metric}" and m.scope.subset == subset and m.scope.module == module
    )
    return one


@pytest.fixture(scope="module")
def planted(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AnalyzerOutput, Any]]:
    """A change in the attention of layers 2 and 3 alone, of rank 2."""
    directory = tmp_path_factory.mktemp("planted")
    model(directory, "layers.2.self_attn.o_proj", rank=2)
    with live_pair(base, directory, texts=TEXTS) as live:
        yield measure(live), live


@pytest.fixture(scope="module")
def spread(base: Path, tmp_path_factory: pytest.TempPathFactory) -> AnalyzerOutput:
    """A change in every MLP."""
    with live_pair(base, model(tmp_path_factory.mktemp("spread"), "mlp"), texts=TEXTS) as live:
        return measure(live)


def test_a_change_in_one_band_moves_that_bands_curve_alone(planted: tuple[AnalyzerOutput, Any]) -> None:
    output, _ = planted
    (band,) = content(output)["bands"]
    assert (band["layers"], band["part"]) == ([2, 3], "attention")
    here = found(output, "kl_base", "layers 2-3 lambda=1", "attention")
    assert here.value == pytest.approx(found(output, "kl_base", "lambda=1").value, rel=1e-3)
    recovered = found(output, "recovered", "layers 2-3 lambda=1", "attention")
    assert recovered.value == pytest.approx(1.0, abs=1e-4)


def test_bands_of_a_change_that_is_everywhere_carry_a_part_each(spread: AnalyzerOutput) -> None:
    whole = found(spread, "kl_base", "lambda=1").value or 0.0
    for subset in ("layers 0-1 lambda=1", "layers 2-3 lambda=1", "layers 4-5 lambda=1"):
        assert 0 < (found(spread, "kl_base", subset, "mlp").value or 0.0) < whole
        assert (found(spread, "recovered", subset, "mlp").value or 0.0) < 0.9
    assert {(one["part"], tuple(one["layers"])) for one in content(spread)["bands"]} == {
        ("mlp", (0, 1)),
        ("mlp", (2, 3)),
        ("mlp", (4, 5)),
    }


def test_the_leading_directions_of_a_change_of_rank_two_are_all_of_it(planted: tuple[AnalyzerOutput, Any]) -> None:
    output, _ = planted
    assert found(output, "recovered", "rank=2").value == pytest.approx(1.0, abs=1e-4)
    assert (found(output, "recovered", "rank=1").value or 0.0) < 0.95


def test_divergences_are_those_of_the_models_read_by_hand(planted: tuple[AnalyzerOutput, Any]) -> None:
    output, live = planted
    logs = {scale: [] for scale in (0.0, 0.5, 1.0)}  # type: dict[float, list[torch.Tensor]]
    for scale, own in logs.items():
        own += [one.double() for one in live.log_probs([p.ids for p in live.passages], blend=Blend(default=scale))]
    expected: dict[str, list[float]] = {"kl_base": [], "kl_trained": [], "nll": []}
    for passage, here, before, after in zip(live.passages, logs[0.5], logs[0.0], logs[1.0], strict=True):
        count = min(64, len(passage.ids))
        places = range(count) if count <= 16 else [int((2 * i + 1) * count / 32) for i in range(16)]
        for name, other in (("kl_base", before), ("kl_trained", after)):
            expected[name].append(float((here.exp() * (here - other)).sum(-1)[list(places)].mean()))
        targets = torch.tensor(passage.ids[1:count])[:, None]
        expected["nll"].append(float((before - here)[: count - 1].gather(1, targets).mean()))
    for name, values in expected.items():
        one = found(output, name, "lambda=0.5")
        assert one.value == pytest.approx(np.mean(values), abs=2e-5), name
        assert one.n == len(live.passages) and one.interval is not None


def test_the_ends_of_the_scale_are_known_and_not_estimated(spread: AnalyzerOutput) -> None:
    for metric, subset in (("kl_base", "lambda=0"), ("kl_trained", "lambda=1"), ("nll", "lambda=0")):
        one = found(spread, metric, subset)
        assert one.value == 0.0 and one.interval is not None and (one.interval.low, one.interval.high) == (0.0, 0.0)
    curve = [one["values"]["kl_base"]["mean"] for one in content(spread)["curves"]]
    assert curve[1] == 0 and curve[0] > 0 and curve[1] < curve[2] < curve[3] < curve[4]  # λ of −1, 0, .5, 1, 2


def test_differences_are_corrected_together_and_counted_in_units(base: Path, tmp_path: Path) -> None:
    with live_pair(base, model(tmp_path, "mlp"), texts=TEXTS) as live:
        half = tuple(
            attrs.evolve(one, passage=attrs.evolve(one.passage, unit=f"document {number // 2}"))
            for number, one in enumerate(live.passages)
        )
        live.passages = half
        output = measure(live)
    one = found(output, "nll", "lambda=2")
    assert one.n == len({p.passage.unit for p in half}) == len(half) // 2
    assert one.test is not None and one.test.family == "nll by dose" and one.test.p_adjusted is not None
    assert one.test.p_adjusted >= one.test.p_value


def test_behaviour_is_asked_of_every_blend(tmp_path: Path) -> None:
    verbose = organism("verbose").path
    prompts = [probe for probe in items(1, 12) if probe.checker is not None][:6]
    options = ScalingOptions(
        scales=(0.25, 0.5, 2.0), ranks=(), band_scales=(), prompts=6, max_new_tokens=24, passages=2
    )
    with live_pair(SHIPPED, verbose, texts=TEXTS[:3], prompts=prompts) as live:
        output = measure(live, options)
        kept = content(output)
    tokens = [one["values"]["tokens"]["mean"] for one in kept["curves"]]
    right = [one["values"]["right"]["mean"] for one in kept["curves"]]
    assert [one["lambda"] for one in kept["curves"]] == [0, 0.25, 0.5, 1, 2]
    assert tokens[0] < 15 and tokens[-1] > 20 and right[0] > right[-1]
    ratio = found(output, "length", "lambda=1")
    assert ratio.value is not None and ratio.value > 0.3 and "censored" in str(ratio.reason) and ratio.n == 6
    assert found(output, "correct", "lambda=0").value == 0.0
    assert kept["units"] == {"passages": 2, "prompts": 6}
    assert "too few" in kept["shapes"]["length"]["reason"]  # 5 doses from 0 on


def test_equal_models_are_read_nowhere_and_give_zeros(base: Path) -> None:
    with live_pair(base, base, texts=TEXTS) as live:
        output = measure(live)
    assert len(output.measurements) == 5 and not output.artifacts
    for one in output.measurements:
        assert one.value == 0.0 and one.interval is not None and (one.interval.low, one.interval.high) == (0.0, 0.0)
        assert one.test is None or one.test.p_value == 1.0


def test_without_texts_or_questions_metrics_are_undefined_and_say_why(base: Path, tmp_path: Path) -> None:
    with live_pair(base, model(tmp_path, "mlp")) as live:
        output = measure(live)
    reasons = {m.metric: m.reason for m in output.measurements}
    assert all(m.status == "undefined" for m in output.measurements)
    assert reasons["behaviour.scaling.kl_base"] == "no plain text was read in this run"
    assert reasons["behaviour.scaling.correct"] == "no question was asked in this run"


def test_questions_that_cannot_be_checked_leave_right_answers_undefined(base: Path, tmp_path: Path) -> None:
    prompts = [Probe(id=f"p{n}", prompt=f"What is {n}?") for n in range(4)]
    options = attrs.evolve(SMALL, prompts=4, max_new_tokens=4, ranks=(), band_scales=())
    with live_pair(base, model(tmp_path, "mlp"), texts=TEXTS[:3], prompts=prompts) as live:
        output = measure(live, options)
    undefined = [m for m in output.measurements if m.metric == "behaviour.scaling.correct"]
    assert [m.reason for m in undefined] == ["no question has an answer that can be checked"]
    assert found(output, "length", "lambda=2").value is not None
    assert "right" not in content(output)["curves"][0]["values"]


def test_doses_are_all_of_the_change_then_ranks_then_parts(planted: tuple[AnalyzerOutput, Any]) -> None:
    _, live = planted
    found = doses(live, ScalingOptions(scales=(2.0,), ranks=(1, 64), bands=2, band_scales=(1.0, 0.5)))
    assert [one.name for one in found] == [
        "lambda=0", "lambda=1", "lambda=2", "rank=1", "layers 0-2 lambda=0.5", "layers 0-2 lambda=1",
    ]  # fmt: skip
    assert found[-1].blend.default == 0 and set(found[-1].blend.scales) == {"model.layers.2.self_attn.o_proj.weight"}


@pytest.mark.parametrize(
    ("layers", "count", "expected"),
    [(6, 3, [(0, 1), (2, 3), (4, 5)]), (5, 3, [(0, 1), (2, 2), (3, 4)]), (2, 3, [(0, 0), (1, 1)])],
)
def test_bands_cover_every_layer_once(layers: int, count: int, expected: list[tuple[int, int]]) -> None:
    assert bands(layers, count) == expected


DOSES = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
CURVES: dict[str, Any] = {
    "linear": 2 * DOSES,
    "saturating": 1 - np.exp(-DOSES / 0.5),
    "accelerating": DOSES**3,
    "non-monotone": -((DOSES - 1.2) ** 2),
    "step-like": 1 / (1 + np.exp(-(DOSES - 0.9) / 0.03)),
}


def shape_of(mean: np.ndarray[Any, Any], units: int = 20, noise: float = 0.02, seed: int = 3) -> Shape:
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(0.7, 1.3, (units, 1))  # units differ in how strongly they move
    curves = sizes * mean + noise * np.ptp(mean) * rng.standard_normal((units, len(DOSES)))
    found = describe(DOSES, curves, seed=1)
    assert isinstance(found, Shape)
    return found


@pytest.mark.parametrize("form", CURVES)
def test_a_curve_of_known_form_is_told(form: str) -> None:
    shape = shape_of(CURVES[form])
    assert shape.form == form
    assert shape.support[shape.form] > 0.7 and shape.explained is not None and shape.explained > 0.97
    assert form in shape.told()


def test_where_a_step_lies_and_a_curve_turns_is_told() -> None:
    assert shape_of(CURVES["step-like"]).at == pytest.approx(0.9, abs=0.15)
    assert shape_of(CURVES["non-monotone"]).at == pytest.approx(1.2, abs=0.15)


def test_noise_alone_is_flat() -> None:
    rng = np.random.default_rng(8)
    forms = []
    for draw in range(20):
        found = describe(DOSES, rng.standard_normal((12, len(DOSES))), seed=draw)
        assert isinstance(found, Shape)
        forms.append(found.form)
    assert forms.count("flat") >= 17  # the test's level is .05
    constant = describe(DOSES, np.ones((5, len(DOSES))), seed=1)
    assert isinstance(constant, Shape) and constant.form == "flat" and constant.p_value == 1.0


def test_a_curve_that_moves_and_has_no_simple_form_is_not_called_flat() -> None:
    shape = shape_of(np.where(DOSES == 1.0, 1.0, 0.0))
    assert (shape.form, shape.explained, shape.at) == ("irregular", None, None)
    assert shape.p_value < 0.01 and "flat" not in shape.told()


def test_two_forms_that_share_the_support_are_both_named() -> None:
    shape = Shape(
        form="linear", support={"linear": 0.55, "saturating": 0.45}, aicc={}, explained=0.9, at=None, p_value=0.01
    )
    assert shape.told() == "linear or saturating (55 and 45 % of resamples)"


@pytest.mark.parametrize(
    ("scales", "curves", "why"),
    [
        ([0.0, 1.0, 2.0], np.ones((4, 3)), "too few"),
        (list(DOSES[:7]), np.ones((4, 7)), "too few"),
        (list(DOSES), np.ones((1, 8)), "no spread"),
    ],
)
def test_too_little_for_a_shape_says_so(scales: Sequence[float], curves: Any, why: str) -> None:
    assert why in str(describe(np.array(scales), curves, seed=1))


def test_the_order_of_units_changes_no_shape() -> None:
    rng = np.random.default_rng(2)
    curves = CURVES["linear"] * rng.uniform(0.5, 1.5, (9, 1)) + 0.1 * rng.standard_normal((9, len(DOSES)))
    first, second = describe(DOSES, curves, seed=1), describe(DOSES, curves[::-1], seed=1)
    assert isinstance(first, Shape) and isinstance(second, Shape) and first.form == second.form
    assert first.explained == pytest.approx(second.explained)


def test_a_network_is_left_as_it_was(planted: tuple[AnalyzerOutput, Any], base: Path) -> None:
    _, live = planted
    own = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    assert all(torch.equal(p, live.network.get_parameter(name)) for name, p in own.named_parameters())
