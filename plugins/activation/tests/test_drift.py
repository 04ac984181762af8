"""Drift of activations: known geometry, planted shifts, identity, order, sample."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from afterburn_activation.drift import Drift
from afterburn_activation.drift_judge import DriftJudge
from afterburn_activation.drift_numbers import _mean_shift
from afterburn_activation.options import DriftJudgeOptions, DriftOptions

SITES = ("embed", "blocks.0.out", "blocks.1.out", "blocks.2.out", "final_norm")
D = 12


def make() -> Drift:
    return Drift(DriftOptions())


def readings(
    reading: Callable[..., Any],
    count: int = 24,
    *,
    change: Callable[[np.random.Generator, str, np.ndarray], np.ndarray] = lambda rng, site, x: x,
    seed: int = 0,
    **fields: Any,
) -> list[Any]:
    """Texts and prompts in turn, float32 activations with a mean far from 0."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        length = int(rng.integers(7, 15))
        base = {site: (rng.normal(size=(length, D)) + 2).astype(np.float32) for site in SITES}
        trained = {site: change(rng, site, x).astype(np.float32) for site, x in base.items()}
        kind = {"source": "prompt", "prompt": length, "template": 2} if i % 2 else {}
        made.append(reading(f"p{i:02}", base=base, trained=trained, **kind, **fields))
    return made


def noisy(rng: np.random.Generator, site: str, x: np.ndarray) -> np.ndarray:
    return x * 1.1 + 0.3 * rng.normal(size=x.shape)


def reference(
    items: Sequence[Any], site: str, place: str, of: Callable[[np.ndarray, np.ndarray], float]
) -> list[float]:
    """One number per passage in float64, by loops."""
    values = []
    for one in items:
        b, f = one.base[site].astype(np.float64), one.trained[site].astype(np.float64)
        prompt = one.passage.source == "prompt"
        rows = [t for t in range(1, len(b)) if not prompt or t < len(b) - one.template]
        if place == "mean":
            values.append(of(b[rows].mean(axis=0), f[rows].mean(axis=0)))
            continue
        if place == "first":
            rows = [] if prompt else [t for t in rows if t < 5]
        if place == "last":
            rows = [len(b) - 1] if prompt else []
        if rows:
            values.append(float(np.mean([of(b[t], f[t]) for t in rows])))
    return values


def cosine(b: np.ndarray, f: np.ndarray) -> float:
    return 1 - float(b @ f) / float(np.linalg.norm(b) * np.linalg.norm(f))


def relative(b: np.ndarray, f: np.ndarray) -> float:
    return float(np.linalg.norm(f - b) / ((np.linalg.norm(b) + np.linalg.norm(f)) / 2))


def log_ratio(b: np.ndarray, f: np.ndarray) -> float:
    return math.log(np.linalg.norm(f) / np.linalg.norm(b))


@pytest.mark.parametrize("place", ["all", "first", "mean", "last"])
@pytest.mark.parametrize(
    ("metric", "of"), [("cosine_distance", cosine), ("relative", relative), ("log_norm_ratio", log_ratio)]
)
def test_every_scalar_is_the_float64_mean_over_passages(
    reading: Any, batch: Any, analyze: Any, value_of: Any, place: str, metric: str, of: Any
) -> None:
    items = readings(reading, change=noisy)
    output = analyze(make, [batch(items[:9]), batch(items[9:])])
    for site in SITES:
        found = value_of(output, f"activation.drift.{metric}", site, place)
        values = reference(items, site, place, of)
        assert found.n == len(values)
        assert found.value == pytest.approx(np.mean(values), rel=1e-5)
        assert found.interval.low < found.value < found.interval.high


def test_a_change_of_a_millionth_keeps_its_digits(reading: Any, batch: Any, analyze: Any, value_of: Any) -> None:
    """1 − cos of 1e-13, which the plain formula cannot see at all."""
    eps = 2.0**-21

    def turn(rng: np.random.Generator, site: str, x: np.ndarray) -> np.ndarray:
        return x + eps * np.eye(1, D) * 4

    def at(rng: np.random.Generator, site: str, x: np.ndarray) -> np.ndarray:
        return x

    items = readings(reading, 8, change=at)
    for one in items:
        for site in SITES:
            one.base[site][:] = np.array([0.0, 8.0] + [0.0] * (D - 2))
            one.trained[site][:] = turn(np.random.default_rng(0), site, one.base[site])
    output = analyze(make, [batch(items)])
    truth = 1 - 1 / math.sqrt(1 + (eps / 2) ** 2)
    exact = (eps / 2) ** 2 / 2  # truth in series, as 1 − cos itself rounds to 0 here
    assert truth == pytest.approx(exact, abs=1e-15)
    for place in ("all", "mean"):
        found = value_of(output, "activation.drift.cosine_distance", "blocks.1.out", place)
        assert found.value == pytest.approx(exact, rel=1e-5)


def test_equal_models_have_exactly_no_drift(reading: Any, batch: Any, analyze: Any, value_of: Any, judged: Any) -> None:
    output = analyze(make, [batch(readings(reading))])
    for one in output.measurements:
        if one.metric == "activation.drift.cka":
            assert one.value == 1.0 and (one.interval.low, one.interval.high) == (1.0, 1.0)
        elif one.status == "ok":
            assert one.value == 0.0 and (one.interval.low, one.interval.high) == (0.0, 0.0), one.id
    found = judged(DriftJudge(DriftJudgeOptions()), output)["activation.drift"]
    assert found.kind == "pass" and "bit for bit" in found.message


def test_a_shift_planted_at_one_block_is_found_there_and_not_before(
    reading: Any, batch: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    shift = np.zeros(D)
    shift[3] = 3.0

    def planted(rng: np.random.Generator, site: str, x: np.ndarray) -> np.ndarray:
        return x + shift if site in ("blocks.1.out", "blocks.2.out", "final_norm") else x

    items = readings(reading, change=planted)
    output = analyze(make, [batch(items)])
    for place in ("all", "mean", "last"):
        assert value_of(output, "activation.drift.relative", "blocks.0.out", place).value == 0.0
        assert value_of(output, "activation.drift.relative", "blocks.1.out", place).interval.low > 0.2
    # a constant shift moves no centred geometry but its own mean
    assert value_of(output, "activation.drift.cka", "blocks.1.out", "mean").value == pytest.approx(1.0, abs=1e-6)
    inside = [one.base["blocks.1.out"].astype(np.float64)[1 : len(one.base["embed"]) - one.template] for one in items]
    spread = np.mean([((x - x.mean(axis=0)) ** 2).sum(axis=1).mean() for x in inside])
    found = value_of(output, "activation.drift.mean_shift", "blocks.1.out", "mean")
    assert found.value == pytest.approx(3 / math.sqrt(spread), rel=1e-5)
    assert value_of(output, "activation.drift.mean_shift", "blocks.0.out", "mean").value == 0.0
    finding = judged(DriftJudge(DriftJudgeOptions()), output)["activation.drift"]
    assert finding.kind == "informational"
    assert "2 of 3 blocks, from block 1 on (up to block 0 they are the same, bit for bit)" in finding.message


def test_the_mean_shift_of_pure_noise_is_not_its_length(reading: Any, batch: Any, analyze: Any, value_of: Any) -> None:
    """Without the mean of the noise's own squares taken out it would be about √(d/U) of the noise."""
    values = []
    for seed in range(30):
        items = readings(reading, 20, change=lambda rng, site, x: x + rng.normal(size=(1, D)), seed=seed)
        found = value_of(analyze(make, [batch(items)]), "activation.drift.mean_shift", "blocks.0.out", "mean")
        values.append(found.value**2 * D)  # spread is about d
    assert np.median(values) < 0.5 * D / 20  # the plain estimate has mean d/U


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.1, 0.3])
def test_the_interval_of_the_mean_shift_covers_small_shifts(shift: float) -> None:
    """The root of an estimate near 0 is steep: an interval made of roots would cover .05 in two of three draws."""
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        delta = 0.3 * rng.normal(size=(40, 8))
        delta[:, 0] += shift
        found = _mean_shift("blocks.0.out", delta, np.ones(40)).interval
        assert found is not None and 0.0 <= found.low <= found.high
        covered += found.low <= shift <= found.high
    assert covered >= 0.91 * 200


def test_centred_cosine_takes_the_bases_mean_from_both_sides(
    reading: Any, batch: Any, analyze: Any, value_of: Any
) -> None:
    items = readings(reading, change=noisy)
    output = analyze(make, [batch(items)])
    rows = []
    for one in items:
        b, f = (one.base["blocks.0.out"], one.trained["blocks.0.out"])
        inside = slice(1, len(b) - one.template)
        rows.append((b[inside].astype(np.float64).mean(0), f[inside].astype(np.float64).mean(0)))
    mean = np.mean([b for b, _ in rows], axis=0)
    expected = np.mean([cosine(b - mean, f - mean) for b, f in rows])
    found = value_of(output, "activation.drift.centred_cosine_distance", "blocks.0.out", "mean")
    assert found.value == pytest.approx(expected, rel=1e-4)
    plain = value_of(output, "activation.drift.cosine_distance", "blocks.0.out", "mean")
    assert found.value > 2 * plain.value


@pytest.mark.parametrize("parts", [1, 3])
def test_neither_order_nor_division_changes_a_number(
    reading: Any, batch: Any, analyze: Any, alike: Any, parts: int
) -> None:
    items = readings(reading, 30, change=noisy)
    batches = [batch(items[i : i + 6]) for i in range(0, 30, 6)]
    whole = analyze(lambda: Drift(DriftOptions(sample=12)), batches)
    other = analyze(lambda: Drift(DriftOptions(sample=12)), batches[::-1], parts=parts)
    alike(whole, other)
    assert whole.artifacts[0].content == other.artifacts[0].content


def test_the_sample_of_vectors_is_bounded_and_other_numbers_are_not(
    reading: Any, batch: Any, analyze: Any, value_of: Any
) -> None:
    items = readings(reading, 30, change=noisy)
    output = analyze(lambda: Drift(DriftOptions(sample=12)), [batch(items)])
    assert value_of(output, "activation.drift.cka", "blocks.0.out", "mean").n == 12
    assert value_of(output, "activation.drift.relative", "blocks.0.out", "all").n == 30


def test_passages_of_one_unit_count_as_one(reading: Any, batch: Any, analyze: Any, value_of: Any) -> None:
    output = analyze(make, [batch(readings(reading, 20, change=noisy, unit="one document"))])
    found = value_of(output, "activation.drift.relative", "blocks.0.out", "all")
    assert found.n == 1 and found.interval is None and "no spread" in found.reason
    assert value_of(output, "activation.drift.cka", "blocks.0.out", "mean").status == "undefined"


def test_a_control_gives_the_null(reading: Any, batch: Any, analyze: Any, value_of: Any, judged: Any) -> None:
    items = readings(reading, change=noisy)
    rng = np.random.default_rng(9)
    for i, one in enumerate(items):
        weaker = {site: (x + 0.01 * rng.normal(size=x.shape)).astype(np.float32) for site, x in one.base.items()}
        items[i] = reading(
            one.passage.id, base=one.base, trained=one.trained, controls={"control:matched": weaker},
            source=one.passage.source, prompt=one.prompt, template=one.template,
        )  # fmt: skip
    output = analyze(make, [batch(items)])
    found = value_of(output, "activation.drift.relative", "blocks.0.out", "all")
    assert found.null.control == "matched" and found.null.n == 1
    assert (found.null.quantile, found.null.p_value) == (1.0, 0.5)
    assert "control:matched 0.0" in found.reason
    stored = json.loads(output.artifacts[0].content)["metrics"]["relative"]["all"]
    assert 0 < stored["controls"]["control:matched"][1] < 0.1 < stored["value"][1]
    assert "control matched " in judged(DriftJudge(DriftJudgeOptions()), output)["activation.drift"].message


def test_activations_that_are_not_finite_stay_with_their_passage_and_are_told(
    reading: Any, batch: Any, analyze: Any, value_of: Any
) -> None:
    items = readings(reading, 12, change=noisy)
    whole = analyze(make, [batch(items[1:])])
    items[0].trained["blocks.1.out"][3, 0] = np.inf
    output = analyze(make, [batch(items)])
    for place in ("all", "mean"):
        found = value_of(output, "activation.drift.relative", "blocks.1.out", place)
        assert found.n == 11
        assert found.value == pytest.approx(
            value_of(whole, "activation.drift.relative", "blocks.1.out", place).value, rel=1e-12
        )
    assert [note.level for note in output.notifications] == ["warning"]
    assert output.notifications[0].message.startswith("1 passages")


def test_nothing_read_is_said_and_left_open(analyze: Any, judged: Any, reading: Any, batch: Any) -> None:
    given = readings(reading, 3)
    unwanted = [reading(f"a{i}", base=one.base, trained=one.trained, source="answer") for i, one in enumerate(given)]
    output = analyze(make, [batch(unwanted)])
    assert output.measurements and all(m.status == "undefined" and m.n == 0 for m in output.measurements)
    assert not output.artifacts
    assert judged(DriftJudge(DriftJudgeOptions()), output)["activation.drift"].kind == "open"


def test_the_artifact_holds_what_a_chart_draws(reading: Any, batch: Any, analyze: Any, value_of: Any) -> None:
    output = analyze(make, [batch(readings(reading, change=noisy, domain="poems"))])
    stored = json.loads(output.artifacts[0].content)
    assert stored["sites"] == list(SITES)
    lists = stored["metrics"]["relative"]["last"]
    found = value_of(output, "activation.drift.relative", "blocks.2.out", "last")
    assert lists["value"][3] == pytest.approx(found.value, rel=1e-5)
    assert (lists["low"][3], lists["high"][3]) == pytest.approx((found.interval.low, found.interval.high), rel=1e-5)
    assert lists["n"][3] == 12
    assert stored["domains"]["poems"]["n"] == 24 and len(stored["domains"]["poems"]["relative"]) == len(SITES)
    assert stored["metrics"]["cka"].keys() == {"mean", "last"}


def test_between_margin_and_interval_the_rule_stays_open(reading: Any, batch: Any, analyze: Any, judged: Any) -> None:
    def spread(rng: np.random.Generator, site: str, x: np.ndarray) -> np.ndarray:
        return x * (1 + 0.1 * rng.random())

    output = analyze(make, [batch(readings(reading, 8, change=spread))])
    assert judged(DriftJudge(DriftJudgeOptions()), output)["activation.drift"].kind == "open"
    wide = judged(DriftJudge(DriftJudgeOptions(margin=0.5)), output)["activation.drift"]
    assert wide.kind == "pass" and "less than 50 %" in wide.message
    narrow = judged(DriftJudge(DriftJudgeOptions(margin=0.001)), output)["activation.drift"]
    assert narrow.kind == "informational"
