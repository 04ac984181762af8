"""Tokens that differ most: quantiles against NumPy, planted tokens, bounded stores, withheld texts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from afterburn_activation.examples import Examples
from afterburn_activation.options import ExamplesOptions
from afterburn_activation.showcase import WINDOW, window
from afterburn_activation.spread import Spread, quantile, top_share

SITE = "blocks.0.out"
D = 6


def make(**options: Any) -> Examples:
    return Examples(ExamplesOptions(**options))


def readings(reading: Any, *, count: int = 30, length: int = 12, scale: float = 0.1, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        base = {SITE: rng.normal(size=(length, D)).astype(np.float32)}
        delta = scale * rng.normal(size=(length, D)) * rng.exponential(size=(length, 1))
        trained = {SITE: (base[SITE] + delta).astype(np.float32)}
        made.append(reading(f"p{i:02}", base=base, trained=trained, domain="made"))
    return made


def norms(items: list[Any]) -> np.ndarray:
    every = [one.trained[SITE].astype(np.float64) - one.base[SITE].astype(np.float64) for one in items]
    return np.concatenate([np.linalg.norm(delta[1:], axis=1) for delta in every])


def stored(output: Any) -> Any:
    return json.loads(output.artifacts[0].content)


def test_quantiles_and_the_share_of_the_largest_are_those_of_all_tokens(
    reading: Any, batch: Any, analyze: Any, value_of: Any
) -> None:
    items = readings(reading, count=60)
    output = analyze(make, [batch(items[:25]), batch(items[25:])])
    delta = norms(items)
    rms = np.sqrt(np.mean([np.sum(one.base[SITE].astype(np.float64)[1:] ** 2, axis=1) for one in items]))
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        found = value_of(output, "activation.examples.delta_norm", SITE, name)
        truth = np.quantile(delta, share, method="inverted_cdf") / rms
        assert found.value == pytest.approx(truth, rel=0.012) and found.approximate
        assert found.interval.low < truth < found.interval.high
    ordered = np.sort(delta)[::-1] ** 2
    wanted = 0.01 * len(ordered)
    whole = int(wanted)
    truth = (ordered[:whole].sum() + (wanted - whole) * ordered[whole]) / ordered.sum()
    assert value_of(output, "activation.examples.top_share", SITE).value == pytest.approx(truth, rel=0.03)


def test_a_planted_token_is_the_first_example_and_its_peak(reading: Any, batch: Any, analyze: Any) -> None:
    items = readings(reading)
    items[7].trained[SITE][5] += 4.0
    items[9].trained[SITE][8] = -items[9].base[SITE][8]
    found = stored(analyze(make, [batch(items[:15]), batch(items[15:])]))["sites"][SITE]
    first = found["largest"][0]
    assert (first["passage"], first["peak"], first["tokens"][5]) == ("p07", 5, " t5")
    assert first["delta"][5] == max(v for v in first["delta"] if v is not None)
    turned = found["most_turned"][0]
    assert (turned["passage"], turned["peak"], turned["turn"][8]) == ("p09", 8, 2.0)
    assert first["delta"][0] is None  # the token at position 0 does not count
    assert len(found["largest"]) == 5
    assert [one["score"] for one in found["largest"]] == sorted(
        (one["score"] for one in found["largest"]), reverse=True
    )


def test_the_token_at_position_0_is_neither_peak_nor_counted(
    reading: Any, batch: Any, analyze: Any, value_of: Any
) -> None:
    items = readings(reading)
    expected = value_of(analyze(make, [batch(items)]), "activation.examples.top_share", SITE).value
    items[3].trained[SITE][0] += 1000.0
    output = analyze(make, [batch(items)])
    assert value_of(output, "activation.examples.top_share", SITE).value == expected
    assert max(one["score"] for one in stored(output)["sites"][SITE]["largest"]) < 10


def test_long_passages_are_shown_around_their_peak(reading: Any, batch: Any, analyze: Any) -> None:
    items = readings(reading, count=6, length=400)
    items[2].trained[SITE][300] += 5.0
    first = stored(analyze(make, [batch(items)]))["sites"][SITE]["largest"][0]
    assert len(first["tokens"]) == len(first["delta"]) == WINDOW
    assert first["start"] + first["peak"] == 300 and first["tokens"][first["peak"]] == " t300"
    assert window(400, 399) == (304, 400) and window(400, 0) == (0, 96) and window(50, 3) == (0, 50)


def test_typical_passages_do_not_depend_on_what_changed(reading: Any, batch: Any, analyze: Any) -> None:
    calm, wild = readings(reading, seed=1), readings(reading, seed=1, scale=3.0)
    names = [[one["passage"] for one in stored(analyze(make, [batch(items)]))["typical"]] for items in (calm, wild)]
    assert names[0] == names[1] and len(names[0]) == 3
    other = [one["passage"] for one in stored(analyze(make, [batch(calm)], seed=2))["typical"]]
    assert other != names[0]


def test_neither_order_nor_division_changes_anything(reading: Any, batch: Any, analyze: Any, alike: Any) -> None:
    items = readings(reading)
    batches = [batch(items[i : i + 5]) for i in range(0, 30, 5)]
    whole, other = analyze(make, batches), analyze(make, batches[::-1], parts=3)
    alike(whole, other)
    assert whole.artifacts[0].content == other.artifacts[0].content


def test_without_excerpts_only_the_token_at_the_peak_is_spelt_out(reading: Any, batch: Any, analyze: Any) -> None:
    items = readings(reading)
    text = analyze(make, [batch(items)], excerpts=False).artifacts[0].content.decode()
    for one in json.loads(text)["sites"][SITE]["largest"]:
        assert [i for i, token in enumerate(one["tokens"]) if token is not None] == [one["peak"]]
        assert one["withheld"].startswith("sha256:") and one["withheld"].endswith("characters)")
        assert any(value is not None for value in one["delta"])
    assert " t4 t5" not in text


def test_equal_models_have_zeros_and_no_example(reading: Any, batch: Any, analyze: Any, value_of: Any) -> None:
    items = readings(reading, scale=0.0)
    output = analyze(make, [batch(items)])
    for name in ("p50", "p90", "p99"):
        found = value_of(output, "activation.examples.delta_norm", SITE, name)
        assert (found.value, found.interval.low, found.interval.high) == (0.0, 0.0, 0.0)
    assert value_of(output, "activation.examples.top_share", SITE).status == "undefined"
    assert stored(output)["sites"][SITE]["largest"] == []
    nothing = analyze(make, [])
    assert {m.status for m in nothing.measurements} == {"undefined"} and not nothing.artifacts


def test_activations_that_are_not_finite_are_left_out(reading: Any, batch: Any, analyze: Any, value_of: Any) -> None:
    items = readings(reading)
    items[4].trained[SITE][6] = np.nan
    items[5].trained[SITE][6] = np.inf
    output = analyze(make, [batch(items)])
    assert np.isfinite(value_of(output, "activation.examples.delta_norm", SITE, "p99").value)
    assert np.isfinite(value_of(output, "activation.examples.top_share", SITE).value)


def test_a_histogram_answers_within_half_a_bin_over_all_magnitudes() -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=20_000) * 8)
    spread = Spread()
    spread.add(values, np.zeros(len(values), dtype=np.int64))
    counts, squares = spread.without(None)
    for share in (0.01, 0.5, 0.999):
        assert quantile(counts, share) == pytest.approx(np.quantile(values, share, method="inverted_cdf"), rel=0.0111)
    assert squares.sum() == pytest.approx((values**2).sum(), rel=1e-12)
    flat = Spread()
    flat.add(np.full(1000, 0.7), np.zeros(1000, dtype=np.int64))
    assert top_share(*flat.without(None), 0.01) == pytest.approx(0.01)
    one = Spread()
    one.add(np.array([5.0] + [0.0] * 999), np.zeros(1000, dtype=np.int64))
    assert top_share(*one.without(None), 0.01) == 1.0


def test_the_interval_of_a_quantile_covers_it() -> None:
    """Over units with their own scale, the median of all tokens, by leaving out groups."""
    from afterburn_activation.jackknife import GROUPS, interval

    rng = np.random.default_rng(1)
    truth = np.median(np.exp(0.5 * rng.normal(size=400_000)) * rng.exponential(size=400_000))
    covered = 0
    for _ in range(150):
        scale = np.exp(0.5 * rng.normal(size=160))
        values = (scale[:, None] * rng.exponential(size=(160, 20))).ravel()
        groups = np.repeat(rng.integers(0, GROUPS, size=160), 20)
        spread = Spread()
        spread.add(values, groups)
        others = np.array([quantile(spread.without(int(g))[0], 0.5) for g in spread.present])
        band = interval(quantile(spread.without(None)[0], 0.5), others)
        assert band is not None
        covered += band.low <= truth <= band.high
    assert 0.88 <= covered / 150 <= 1.0
