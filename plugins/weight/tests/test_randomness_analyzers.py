"""Tails, noise and nulls as measured on matrices, and what is judged from them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from afterburn_core import Diagnoser
from afterburn_core.backends.tensors import TensorInfo
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Finding, Measurement, Scope, Test
from afterburn_core.run.naming import scope_of
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.spectra import PairSpectra, Spectrum
from afterburn_core.run.sums import PairSums
from afterburn_core.testing.checkpoints import load_weights, save_weights
from afterburn_core.testing.feeding import SUBJECTS, first_difference
from afterburn_core.testing.pairs import identity_pair
from afterburn_weight import marchenko_pastur as mp
from afterburn_weight.multiplicity import benjamini_hochberg, binomial_p
from afterburn_weight.noise import NoiseAnalyzer
from afterburn_weight.options import NoiseOptions, NullOptions, RandomnessOptions, TailOptions
from afterburn_weight.randomness import Randomness
from afterburn_weight.structure import NullAnalyzer
from afterburn_weight.tail import TailAnalyzer

Matrix = NDArray[np.float64]
Q0, Q1 = "model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.q_proj.weight"
UP1 = "model.layers.1.mlp.up_proj.weight"
BASE, TRAINED, PAIR = ("base",), ("trained",), ("base", "trained")


def noise(rows: int, columns: int, seed: int) -> Matrix:
    return np.random.default_rng(seed).standard_normal((rows, columns))


def rotated(values: Matrix, rows: int, seed: int) -> Matrix:
    """A matrix with these singular values."""
    left = np.linalg.qr(noise(rows, values.size, seed))[0]
    right = np.linalg.qr(noise(values.size, values.size, seed + 1))[0]
    return (left * values) @ right.T


def pareto(alpha: float, count: int, seed: int) -> Matrix:
    """Singular values whose squares follow a power law with this exponent."""
    return (1 - np.random.default_rng(seed).random(count)) ** (-0.5 / (alpha - 1))


def spectrum(matrix: Matrix, **changes: Any) -> Spectrum:
    values = np.linalg.svd(matrix, compute_uv=False)
    rows, columns = matrix.shape
    whole = Spectrum(values=values, rows=rows, columns=columns, square=float((matrix**2).sum()), method="float64")
    return attrs.evolve(whole, **changes)


def pair(name: str, base: Matrix, trained: Matrix, *, step: float = 0.0, **changes: Any) -> WeightPair:
    """What the weights pass would hand out; `step` is the spacing of the stored dtype."""
    info = TensorInfo(name=name, dtype="F64", shape=base.shape)
    delta = trained - base
    first = spectrum(base)
    same = not delta.any()
    spectra = PairSpectra(base=first, trained=first if same else spectrum(trained), delta=spectrum(delta, **changes))
    return WeightPair(
        name=name,
        scope=scope_of(name),
        state="matched",
        base=info,
        trained=info,
        compared=base.size,
        union=base.size,
        explained=True,
        sums=PairSums(n=base.size, trained_step_sq=base.size * step**2),
        spectra=spectra,
        read_values=lambda: (torch.from_numpy(base.copy()), torch.from_numpy(trained.copy())),
    )


def observed(analyzer: Any, pairs: Sequence[WeightPair], seed: int = 3) -> AnalyzerOutput:
    analyzer.begin(AnalyzerContext(subjects=SUBJECTS, seed=seed))
    for item in pairs:
        analyzer.observe(item)
    found: AnalyzerOutput = analyzer.finish()
    return found


def tails(*pairs: WeightPair, bootstrap: int = 0) -> AnalyzerOutput:
    return observed(TailAnalyzer(TailOptions(bootstrap=bootstrap)), pairs)


def bulks(*pairs: WeightPair, **options: Any) -> AnalyzerOutput:
    return observed(NoiseAnalyzer(NoiseOptions(**options)), pairs)


def nulls(*pairs: WeightPair, **options: Any) -> AnalyzerOutput:
    return observed(NullAnalyzer(NullOptions(**options)), pairs)


def at(found: AnalyzerOutput, metric: str, subjects: tuple[str, ...] = PAIR, scope: Scope | None = None) -> Measurement:
    place = scope_of(Q0) if scope is None else scope
    (only,) = [
        m for m in found.measurements if (m.metric, m.subjects, m.scope) == (f"weight.{metric}", subjects, place)
    ]
    return only


def value(found: AnalyzerOutput, metric: str, subjects: tuple[str, ...] = PAIR, scope: Scope | None = None) -> float:
    measured = at(found, metric, subjects, scope).value
    assert measured is not None
    return measured


def finding(rule: str, *outputs: AnalyzerOutput, **options: Any) -> Finding:
    measurements = tuple(m for output in outputs for m in output.measurements)
    evidence = Evidence(subjects=SUBJECTS, measurements=measurements)
    (only,) = [f for f in Randomness(RandomnessOptions(**options))(evidence) if f.rule == f"weight.{rule}"]
    return only


SMALL = 1e-3
SHAPE = (160, 90)
CRITICAL = SMALL * (SHAPE[0] * SHAPE[1]) ** 0.25


def noisy(name: str, seed: int, *, spikes: tuple[float, ...] = ()) -> WeightPair:
    """A pair whose change is noise of scale `SMALL`, with directions of the given multiples of the visible strength."""
    base = noise(*SHAPE, seed)
    change = SMALL * noise(*SHAPE, seed + 1000)
    if spikes:
        left = np.linalg.qr(noise(SHAPE[0], len(spikes), seed + 2000))[0]
        right = np.linalg.qr(noise(SHAPE[1], len(spikes), seed + 3000))[0]
        change = change + (left * np.array(spikes) * CRITICAL) @ right.T
    return pair(name, base, base + change)


# weight.tail


def test_exponents_of_both_sides_and_of_the_change_stand_side_by_side() -> None:
    base, trained = rotated(pareto(3.0, 400, 1), 500, 1), rotated(pareto(2.2, 400, 2), 500, 1)
    found = tails(pair(Q0, base, trained))
    for subjects, alpha in ((BASE, 3.0), (TRAINED, 2.2)):
        one = at(found, "tail.alpha", subjects)
        error = value(found, "tail.alpha_se", subjects)
        assert one.value == pytest.approx(alpha, abs=4 * error)
        assert one.interval is not None and one.interval.level == 0.95
        assert one.interval.high - one.interval.low == pytest.approx(2 * 1.96 * error, rel=1e-4)
        assert one.n is not None and error == pytest.approx((one.value - 1) / math.sqrt(one.n), rel=1e-9)  # type: ignore[operator]
        distance = at(found, "tail.distance", subjects)
        assert distance.test is not None and distance.test.p_value > 0.2
        assert "upper bound" in (distance.reason or "")
        assert value(found, "tail.resolved", subjects) == 400
        ratio = at(found, "tail.lognormal", subjects)
        assert ratio.value is not None and ratio.value <= 0
        assert ratio.test is not None and ratio.test.name == "vuong"
    assert at(found, "tail.alpha").value is not None
    change = at(found, "tail.alpha_change")
    assert change.value == pytest.approx(
        value(found, "tail.alpha", TRAINED) - value(found, "tail.alpha", BASE), rel=1e-12
    )
    assert change.test is not None and change.test.p_value < 1e-3
    assert change.test.correction == "bh"


def test_equal_weights_have_equal_exponents_and_no_change() -> None:
    base = rotated(pareto(3.0, 200, 1), 300, 1)
    found = tails(pair(Q0, base, base))
    change = at(found, "tail.alpha_change")
    assert change.value == 0.0
    assert change.reason == "within 2 standard errors: no change"
    assert value(found, "tail.alpha", BASE) == value(found, "tail.alpha", TRAINED)
    assert at(found, "tail.alpha").reason == "all singular values are zero"
    assert value(found, "tail.changed_share", scope=Scope()) == 0.0


def test_noise_of_a_hundredth_changes_no_exponent_beyond_chance() -> None:
    """λ_min jumps from fit to fit; the exponent above one and the same λ_min does not."""
    pairs = []
    for seed in range(40):
        base = noise(120, 90, seed)
        pairs.append(
            pair(f"model.layers.{seed}.self_attn.q_proj.weight", base, base + 0.03 * noise(120, 90, seed + 99))
        )
    found = tails(*pairs)
    share = at(found, "tail.changed_share", scope=Scope())
    assert share.value == 0 and share.n == 40
    jumped = [
        m for m in found.measurements if m.metric == "weight.tail.alpha_change" and "went from" in (m.reason or "")
    ]
    assert jumped, "no tail began elsewhere: the test has lost its point"
    assert finding("tail_change", found).kind == "pass"


def test_unresolved_eigenvalues_are_left_out_and_counted() -> None:
    values = np.concatenate([pareto(2.5, 150, 1), np.full(50, 1e-5)])
    values = np.sort(values)[::-1]
    base = rotated(values, 240, 1)
    item = pair(Q0, base, base)
    assert item.spectra is not None
    coarse = attrs.evolve(item.spectra.base, method="float32")
    found = tails(attrs.evolve(item, spectra=attrs.evolve(item.spectra, base=coarse, trained=coarse)))
    alpha = at(found, "tail.alpha", BASE)
    assert alpha.reason == "50 of 200 eigenvalues are zero or not resolved and left out"
    assert value(found, "tail.resolved", BASE) == 150
    assert value(found, "tail.x_min", BASE) >= 1.0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "randomised"}, "only the largest singular values are known"),
        ({"values": np.concatenate([np.ones(8), np.zeros(82)])}, "8 eigenvalues are resolved and a tail takes 50"),
        ({"values": np.ones(90)}, "the eigenvalues are all equal"),
    ],
)
def test_a_spectrum_without_a_tail_says_why(changes: dict[str, Any], reason: str) -> None:
    base = noise(*SHAPE, 1)
    found = tails(pair(Q0, base, base + noise(*SHAPE, 2), **changes))
    for metric in ("alpha", "alpha_se", "distance", "x_min", "lognormal"):
        assert at(found, f"tail.{metric}").reason == reason
    assert at(found, "tail.alpha", BASE).value is not None


def test_roll_ups_are_medians_with_quartiles_and_say_over_how_many() -> None:
    alphas = (2.0, 2.5, 3.0, 4.0, 6.0)
    pairs = [
        pair(f"model.layers.{i}.self_attn.q_proj.weight", base := rotated(pareto(a, 300, i), 310, i), base)
        for i, a in enumerate(alphas)
    ]
    found = tails(*pairs)
    single = [value(found, "tail.alpha", BASE, scope_of(item.name)) for item in pairs]
    whole = at(found, "tail.alpha_median", BASE, Scope())
    assert (whole.value, whole.n) == (sorted(single)[2], 5)
    assert whole.interval is not None
    assert (whole.interval.low, whole.interval.high) == (sorted(single)[1], sorted(single)[3])
    assert at(found, "tail.alpha_median", BASE, Scope(layer=3)).value == single[3]
    assert at(found, "tail.alpha_median", BASE, Scope(layer=3)).interval is None
    assert not [m for m in found.measurements if m.metric == "weight.tail.alpha" and m.scope.tensor is None]


def test_the_bootstrap_is_an_option() -> None:
    base = rotated(pareto(3.0, 120, 1), 130, 1)
    assert not [m for m in tails(pair(Q0, base, base)).measurements if m.metric == "weight.tail.bootstrap_p"]
    found = tails(pair(Q0, base, base), bootstrap=30)
    assert 0 < value(found, "tail.bootstrap_p", BASE) <= 1
    assert found == tails(pair(Q0, base, base), bootstrap=30)


# weight.noise


def test_a_planted_direction_is_found_where_it_was_planted_and_nowhere_else() -> None:
    names = [f"model.layers.{i}.{m}" for i in range(6) for m in ("self_attn.q_proj.weight", "mlp.up_proj.weight")]
    pairs = [noisy(name, 10 + i, spikes=(2.0,) if name == UP1 else ()) for i, name in enumerate(names)]
    found = bulks(*pairs)
    assert value(found, "noise.spikes", scope=scope_of(UP1)) == 1
    assert value(found, "noise.spikes", scope=Scope(layer=1, module="up")) == 1
    told = finding("structured_change", found)
    assert told.kind == "informational"
    assert told.message.startswith(
        "The change has structure beyond noise in 1 matrix: 1 singular value, most in layer 1 up"
    )
    assert f"weight.noise.spikes/base+trained/tensor={UP1}" in told.measurements


def test_spikes_and_noise_are_measured_in_value() -> None:
    found = bulks(noisy(Q0, 1, spikes=(4.0, 2.0)))
    assert value(found, "noise.scale") == pytest.approx(SMALL, rel=0.02)
    assert value(found, "noise.edge") == pytest.approx(SMALL * mp.edge(*SHAPE), rel=0.02)
    assert value(found, "noise.spikes") == 2
    assert value(found, "noise.distance") < 0.03
    (artifact,) = found.artifacts
    listed = json.loads(artifact.content)["matrices"][Q0]["delta"]
    assert listed["count"] == 2
    thetas = [spike["theta"] for spike in listed["spikes"]]
    assert thetas == pytest.approx([4 * CRITICAL, 2 * CRITICAL], rel=0.08)
    energy = sum(spike["observed"] ** 2 for spike in listed["spikes"])
    item = noisy(Q0, 1, spikes=(4.0, 2.0))
    assert item.spectra is not None
    assert value(found, "noise.share") == pytest.approx(energy / item.spectra.delta.square, rel=1e-9)
    assert {"left", "right"} <= listed["spikes"][0].keys()


def test_counts_add_and_shares_are_weighted_by_energy() -> None:
    pairs = [noisy(Q0, 1, spikes=(9.0,)), noisy(Q1, 2, spikes=(4.0, 3.0)), noisy(UP1, 3)]
    found = bulks(*pairs)
    counts = [value(found, "noise.spikes", scope=scope_of(item.name)) for item in pairs]
    assert counts == [1, 2, 0]
    assert value(found, "noise.spikes", scope=Scope()) == 3
    assert value(found, "noise.spikes", scope=Scope(module="q")) == 3
    assert value(found, "noise.spikes", scope=Scope(layer=1)) == 2
    squares = [item.spectra.delta.square for item in pairs if item.spectra is not None]
    shares = [value(found, "noise.share", scope=scope_of(item.name)) for item in pairs]
    expected = sum(a * b for a, b in zip(squares, shares, strict=True)) / sum(squares)
    assert value(found, "noise.share", scope=Scope()) == pytest.approx(expected, rel=1e-12)


def test_an_unchanged_matrix_has_exactly_no_noise_and_no_spike() -> None:
    base = noise(*SHAPE, 1)
    found = bulks(pair(Q0, base, base))
    assert [value(found, f"noise.{metric}") for metric in ("scale", "edge", "spikes", "share")] == [0, 0, 0, 0]
    assert at(found, "noise.distance").value is None
    told = finding("structured_change", found)
    assert (told.kind, told.message) == ("pass", "No change stands out of noise")


def test_a_change_without_a_bulk_is_left_out_and_counted() -> None:
    base = noise(*SHAPE, 1)
    update = noise(SHAPE[0], 4, 2) @ noise(4, SHAPE[1], 3)
    values = np.where(np.arange(90) < 4, np.linalg.svd(update, compute_uv=False), 0.0)
    lora = pair(Q0, base, base + update, values=values, method="factors")
    found = bulks(lora, noisy(Q1, 2, spikes=(3.0,)))
    assert "86 of 90" in (at(found, "noise.spikes").reason or "")
    whole = at(found, "noise.spikes", scope=Scope())
    assert (whole.value, whole.n) == (1, 1)
    assert whole.reason == "left out: 1 of 2 matrices, whose noise is not known"
    alone = bulks(lora)
    assert at(alone, "noise.spikes", scope=Scope()).value is None
    assert finding("structured_change", alone).kind == "not_applicable"
    # where nulls were drawn, they say what the law cannot
    told = finding("structured_change", alone, nulls(lora))
    assert told.kind == "informational" and "4 singular values" in told.message


def test_the_p_values_of_a_model_are_corrected_together() -> None:
    found = bulks(*(noisy(f"model.layers.{i}.self_attn.q_proj.weight", i) for i in range(8)))
    tests = [m.test for m in found.measurements if m.metric == "weight.noise.spikes" and m.subjects == PAIR and m.test]
    assert len(tests) == 8
    adjusted = benjamini_hochberg([test.p_value for test in tests])
    assert [test.p_adjusted for test in tests] == pytest.approx(list(adjusted), rel=1e-12)


# weight.null


def test_noise_costs_no_draw() -> None:
    quiet = noisy(Q0, 4)
    item = attrs.evolve(quiet, read_values=None)  # reading the values would raise
    found = nulls(item)
    assert value(found, "null.sign_spikes") == 0
    assert "no null was drawn" in (at(found, "null.sign_edge").reason or "")
    drawn = nulls(quiet, always=True)
    assert at(drawn, "null.sign_edge").value == pytest.approx(SMALL * mp.edge(*SHAPE, known=True), rel=0.05)


def test_nulls_confirm_a_planted_direction_with_their_p_value() -> None:
    found = nulls(noisy(Q0, 1, spikes=(4.0, 2.5)))
    spikes = at(found, "null.sign_spikes")
    assert spikes.value == 2
    assert spikes.null is not None and (spikes.null.n, spikes.null.p_value) == (19, 0.05)
    assert value(found, "null.whitened_spikes") == 2
    assert at(found, "null.sign_edge").n == 19
    assert value(found, "null.sign_spikes", scope=Scope()) == 2


def test_noise_of_uneven_rows_is_not_taken_for_structure() -> None:
    """Part B 52: many spikes by the law, none by the nulls, and the finding says so."""
    base = noise(300, 120, 1)
    profile = np.exp(0.8 * noise(300, 1, 5))
    item = pair(Q0, base, base + SMALL * profile * noise(300, 120, 2))
    law, drawn = bulks(item), nulls(item)
    assert value(law, "noise.spikes") > 5
    assert value(drawn, "null.sign_spikes") == 0
    assert value(drawn, "null.whitened_spikes") == 0
    doubt = finding("structured_change", law)
    assert doubt.kind == "informational"
    assert "cannot be told: 1 matrix has singular values beyond the Marchenko–Pastur edge" in doubt.message
    assert "beyond noise" not in doubt.message
    told = finding("structured_change", law, drawn)
    assert told.kind == "pass"
    assert "no more than chance or uneven noise explains" in told.message


def test_structure_below_the_rounding_of_the_dtype_is_said_to_be_both() -> None:
    """Section 4 of the reference: the sign edge sees it, the rounding edge does not; both are given."""
    item = noisy(Q0, 1, spikes=(4.0, 3.0))
    step = 100 * SMALL
    rounded = attrs.evolve(item, sums=PairSums(n=item.compared, trained_step_sq=item.compared * step**2))
    found = nulls(rounded)
    assert value(found, "null.sign_spikes") == 2
    edge = step / math.sqrt(12) * (math.sqrt(SHAPE[0]) + math.sqrt(SHAPE[1]))
    assert edge < value(found, "null.rounding_edge") < 1.1 * edge  # the margin of a finite matrix
    assert value(found, "null.rounding_spikes") == 0
    assert value(nulls(item), "null.rounding_spikes") == 90  # a dtype without spacing


def test_large_matrices_are_left_out_by_name_of_the_option() -> None:
    found = nulls(noisy(Q0, 1, spikes=(4.0,)), most_entries=100)
    assert "most_entries" in (at(found, "null.sign_spikes").reason or "")
    assert at(found, "null.rounding_edge").value is not None
    assert at(found, "null.sign_spikes", scope=Scope()).value is None


def test_nulls_depend_on_the_seed_and_the_name_of_the_tensor_alone() -> None:
    one, two = noisy(Q0, 1, spikes=(4.0,)), noisy(Q1, 2, spikes=(4.0,))
    both, reverse = nulls(one, two), nulls(two, one)
    assert first_difference(both, reverse) is None
    assert at(both, "null.sign_edge") == at(nulls(one), "null.sign_edge")
    other = observed(NullAnalyzer(NullOptions()), (one,), seed=4)
    assert at(other, "null.sign_edge").value != at(both, "null.sign_edge").value


@pytest.mark.parametrize("kind", [TailAnalyzer, NoiseAnalyzer, NullAnalyzer])
def test_merged_halves_say_what_one_says(kind: Any) -> None:
    options = {TailAnalyzer: TailOptions(), NoiseAnalyzer: NoiseOptions(), NullAnalyzer: NullOptions()}[kind]
    items = [noisy(Q0, 1, spikes=(4.0,)), noisy(Q1, 2), noisy(UP1, 3, spikes=(2.0,))]
    whole = observed(kind(options), items)
    first, second = kind(options), kind(options)
    for analyzer, part in ((first, items[:1]), (second, items[1:])):
        analyzer.begin(AnalyzerContext(subjects=SUBJECTS, seed=3))
        for item in part:
            analyzer.observe(item)
    second.merge(first)
    assert first_difference(whole, second.finish()) is None


# weight.randomness


def changes(z_values: Sequence[float]) -> list[Measurement]:
    p_values = [math.erfc(z / math.sqrt(2)) for z in z_values]
    adjusted = benjamini_hochberg(p_values)
    found = []
    for number, (z, p, q) in enumerate(zip(z_values, p_values, adjusted, strict=True)):
        scope = scope_of(f"model.layers.{number}.self_attn.q_proj.weight")
        test = Test(name="two_fits_z", statistic=z, p_value=p, p_adjusted=q, correction="bh", family="f")
        found.append(attrs.evolve(measure("weight.tail.alpha_change", z / 10, scope=scope, n=60), test=test))
    count = sum(z > 2 for z in z_values)
    share = measure("weight.tail.changed_share", count / len(z_values), n=len(z_values))
    test = Test(name="binomial", statistic=count, p_value=binomial_p(count, len(z_values), 0.0455))
    return [*found, attrs.evolve(share, test=test)]


@pytest.mark.parametrize(
    ("z_values", "kind", "said"),
    [
        ([0.1] * 20, "pass", "0 of 20 matrices"),
        ([0.1] * 19 + [2.1], "pass", "1 of 20 matrices"),
        ([0.1] * 19 + [6.0], "informational", "1 after correction: layer 19 q (+0.60)"),
        ([0.1] * 12 + [2.2] * 8, "informational", "8 of 20 matrices"),
    ],
)
def test_a_tail_change_is_told_beyond_chance_only(z_values: list[float], kind: str, said: str) -> None:
    evidence = Evidence(subjects=SUBJECTS, measurements=tuple(changes(z_values)))
    (told,) = [f for f in Randomness(RandomnessOptions())(evidence) if f.rule == "weight.tail_change"]
    assert told.kind == kind and said in told.message
    assert not {"good", "poor", "better", "worse"} & set(told.message.split())


def test_independent_exponents_of_one_law_raise_no_alarm() -> None:
    """40 matrices that are drawn anew from the same law; 25 models."""
    alarms = 0
    random = np.random.default_rng(1)
    for _ in range(200):
        alarms += _kind(changes(np.abs(random.standard_normal(40)).tolist())) == "informational"
    assert alarms <= 200 * 0.01 + 4


def _kind(measurements: Sequence[Measurement]) -> str:
    evidence = Evidence(subjects=SUBJECTS, measurements=tuple(measurements))
    (told,) = [f for f in Randomness(RandomnessOptions())(evidence) if f.rule == "weight.tail_change"]
    return told.kind


def test_nothing_measured_is_open_and_nothing_measurable_is_not_applicable() -> None:
    assert {f.kind for f in Randomness(RandomnessOptions())(Evidence(subjects=SUBJECTS, measurements=()))} == {"open"}
    blank = (
        undefined("weight.noise.spikes", "too small", n=3),
        undefined("weight.tail.changed_share", "too small", n=0),
    )
    found = list(Randomness(RandomnessOptions())(Evidence(subjects=SUBJECTS, measurements=blank)))
    assert {f.kind for f in found} == {"not_applicable"}
    assert all("too small" in f.message for f in found)


def test_rows_that_nothing_was_added_to_are_not_taken_for_structure() -> None:
    """An embedding of which half the tokens occurred: the law expects noise in all rows."""
    base = noise(400, 100, 1)
    change = SMALL * noise(400, 100, 2)
    change[::2] = 0
    item = pair("model.embed_tokens.weight", base, base + change)
    law = bulks(item)
    assert value(law, "noise.spikes", scope=item.scope) > 3
    assert "cannot be told" in finding("structured_change", law).message
    assert finding("structured_change", law, nulls(item)).kind == "pass"


def test_a_clear_matrix_is_named_beside_a_doubtful_one() -> None:
    base = noise(300, 120, 1)
    uneven = pair(Q0, base, base + SMALL * np.exp(0.8 * noise(300, 1, 5)) * noise(300, 120, 2))
    told = finding("structured_change", bulks(uneven, noisy(UP1, 3, spikes=(3.0, 2.0))))
    assert "in 1 matrix: 2 singular values, most in layer 1 up (2); 1 matrix has" in told.message


def test_noise_in_many_models_is_seldom_called_structure() -> None:
    """12 matrices of noise each; one model in a hundred by the default rate."""
    alarms = 0
    for model in range(40):
        items = [noisy(f"model.layers.{i}.self_attn.q_proj.weight", 12 * model + i) for i in range(12)]
        alarms += finding("structured_change", bulks(*items)).kind == "informational"
    assert alarms <= 3


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [([0.01, 0.04, 0.03, 0.5], [0.04, 0.16 / 3, 0.16 / 3, 0.5]), ([], []), ([0.2], [0.2]), ([1.0, 1.0], [1.0, 1.0])],
)
def test_benjamini_hochberg_is_that_of_the_paper(p_values: list[float], adjusted: list[float]) -> None:
    assert list(benjamini_hochberg(p_values)) == pytest.approx(adjusted)


def test_the_binomial_tail_is_exact() -> None:
    expected = sum(math.comb(20, x) * 0.0455**x * 0.9545 ** (20 - x) for x in range(4, 21))
    assert binomial_p(4, 20, 0.0455) == pytest.approx(expected, rel=1e-12)
    assert binomial_p(0, 20, 0.0455) == pytest.approx(1.0, abs=1e-12)


# end to end


def test_a_spike_planted_in_one_tensor_of_a_checkpoint_is_found_there_and_nowhere_else(tmp_path: Path) -> None:
    files = identity_pair(tmp_path, hidden=96, vocab=160, dtype="float32")
    generator = torch.Generator().manual_seed(11)
    tensors = load_weights(files.trained)
    for name, weight in tensors.items():
        if weight.ndim != 2:
            continue
        change = 1e-4 * torch.randn(weight.shape, generator=generator)
        if name == UP1:
            left, right = (torch.randn(size, generator=generator) for size in weight.shape)
            strength = 3e-4 * weight.numel() ** 0.25
            change += strength * torch.outer(left / left.norm(), right / right.norm())
        tensors[name] = weight + change
    save_weights(files.trained, tensors)
    report = Diagnoser(
        base_model=str(files.base), trained_model=str(files.trained), cache_dir=str(tmp_path / "cache"),
        run_dir=str(tmp_path / "run"),
    ).run()  # fmt: skip
    (told,) = [f for f in report.findings if f.rule == "weight.structured_change"]
    assert told.kind == "informational"
    assert "in 1 matrix: 1 singular value, most in layer 1 up (1)" in told.message
    spikes = {m.scope.tensor: m for m in report.measurements("weight.noise.spikes") if m.subjects == PAIR}
    assert spikes[UP1].value == 1
    assert spikes[UP1].test is not None and spikes[UP1].test.p_value < 1e-20
    others = [m.test.p_adjusted for name, m in spikes.items() if name not in {None, UP1} and m.test is not None]
    assert len(others) > 8 and min(p for p in others if p is not None) > 0.01
    (tail,) = [f for f in report.findings if f.rule == "weight.tail_change"]
    assert tail.kind == "pass"
