"""Finding the set that carries an effect, on effects whose truth is known because they are written down here."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import numpy as np
import pytest

from afterburn_core.errors import ConfigError
from afterburn_core.forward.live import BASE, TRAINED, Blend, Part, Place
from afterburn_core.plugin.registry import Plugin, Registered
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.plugin.specs import AnalyzerSpec, MetricSpec
from afterburn_core.resources import golden_documents
from afterburn_core.result import codec
from afterburn_core.run.progress import Progress, Silent
from afterburn_core.trace.cells import bands, cells_of, label, names_of, partitions
from afterburn_core.trace.controls import like_sets
from afterburn_core.trace.measuring import Gauge, Measured, Undefined
from afterburn_core.trace.model import Trace
from afterburn_core.trace.shares import Replicates, deal, own_interval, share
from afterburn_core.trace.tracing import Question, trace

PARTS: Mapping[Part, tuple[str, ...]] = {
    "attention": ("q", "k", "v", "o"),
    "mlp": ("gate", "up", "down"),
    "norm": ("norm1", "norm2"),
}
UNITS = 40


def network(layers: int, norms: Mapping[str, float] | None = None) -> tuple[Place, ...]:
    """Places of a transformer that changed evenly, unless `norms` says otherwise."""
    sizes = norms or {}

    def place(name: str, layer: int | None, part: Part, shape: tuple[int, ...]) -> Place:
        return Place(name=name, layer=layer, part=part, shape=shape, norm=sizes.get(name, 1.0))

    inside = [
        place(f"{layer}.{name}", layer, part, (8,) if part == "norm" else (8, 8))
        for layer in range(layers)
        for part, names in PARTS.items()
        for name in names
    ]
    return (place("embed", None, "embed", (50, 8)), *inside, place("norm", None, "norm", (8,)))


Effect = Callable[[frozenset[str]], float]


def additive(weights: Mapping[str, float]) -> Effect:
    return lambda trained: sum(weight for name, weight in weights.items() if name in trained)


class Written:
    """A measure whose truth is a function of the trained places; units differ, and every blend adds its own noise."""

    def __init__(
        self, effect: Effect, places: tuple[Place, ...], *, noise: float = 0.05, stop_after: int = 10**9
    ) -> None:
        self._effect, self._all = effect, frozenset(place.name for place in places)
        self._noise = noise
        self._sizes = np.random.default_rng(7).normal(1.0, 0.3, UNITS)
        self.groups = deal((f"unit {k}" for k in range(UNITS)), seed=0)
        self.identity: Mapping[str, object] = {"test": "written"}
        self.calls = 0
        self._stop_after = stop_after

    def __call__(self, blend: Blend, progress: Progress) -> Measured:
        if self.calls >= self._stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        trained = self._trained(blend)
        seed = int.from_bytes(hashlib.sha256("/".join(sorted(trained)).encode()).digest()[:6], "big")
        noise = (
            np.random.default_rng(seed).normal(0.0, self._noise, UNITS) if 0 < len(trained) < len(self._all) else 0.0
        )
        values = self._effect(trained) * self._sizes + noise
        groups = np.array([self.groups[f"unit {k}"] for k in range(UNITS)])
        without = tuple(float(values[groups != g].mean()) for g in range(groups.max() + 1))
        return Measured(replicates=Replicates(value=float(values.mean()), without=without), interval=None)

    def _trained(self, blend: Blend) -> frozenset[str]:
        if blend == TRAINED:
            return self._all
        return frozenset() if blend == BASE else frozenset(name for name, scale in blend.scales.items() if scale == 1.0)


def question(**changes: object) -> Question:
    metric = MetricSpec(id="test.effect", summary="A written effect")
    spec = AnalyzerSpec(name="test.effects", summary="", needs=(), metrics=(metric,), factory="none:none")
    plugin = Plugin(name="test", distribution="test", version="1", module=None)  # type: ignore[arg-type]
    gauge = Gauge(
        registered=Registered(spec=spec, plugin=plugin), metric=metric, subset=None, options={},
        context=AnalyzerContext(subjects=(), seed=0),
    )  # fmt: skip
    asked = Question(result=codec.read(golden_documents()[0]), gauge=gauge)
    return attrs.evolve(asked, **changes)  # type: ignore[arg-type]


def traced(effect: Effect, places: tuple[Place, ...], **changes: object) -> Trace:
    return trace(question(**changes), places, Written(effect, places), cache=None, progress=Silent())


def test_the_layers_that_carry_an_effect_are_found_and_named() -> None:
    found = traced(additive({"12.down": 0.3, "13.up": 0.4, "14.gate": 0.2, "2.q": 0.1}), network(16))
    assert found.outcome == "carried" and found.finished
    assert found.answer is not None and found.answer.label == "layers 12–14 MLP"
    assert found.answer.alone is not None and found.answer.lost is not None
    assert found.answer.alone.interval.low < 0.9 < found.answer.alone.interval.high
    assert abs(found.answer.lost.value - 0.9) < 0.05
    assert found.control is not None and found.control.exceeded and found.control.p_value == pytest.approx(1 / 6)
    assert found.statement.startswith("Layers 12–14 MLP carry 9")


def test_two_distant_layers_are_found_together() -> None:
    found = traced(additive({"3.up": 0.5, "11.down": 0.5}), network(16))
    assert found.outcome == "carried"
    assert found.answer is not None and found.answer.label == "layers 3, 11 MLP"


def test_two_parts_of_one_layer_are_found_together() -> None:
    found = traced(additive({"5.q": 0.5, "5.up": 0.5}), network(8))
    assert found.answer is not None and found.answer.label == "layer 5 attention and MLP"


def test_the_embeddings_are_found_outside_the_layers() -> None:
    found = traced(additive({"embed": 1.0}), network(8))
    assert found.outcome == "carried"
    assert found.answer is not None and found.answer.label == "embeddings"


def test_an_effect_spread_evenly_is_not_said_to_sit_anywhere() -> None:
    places = network(16)
    found = traced(additive({place.name: 1 / len(places) for place in places}), places, share=0.95)
    assert found.outcome == "whole" and found.answer is None
    assert found.statement.startswith("No part carries 95 %")


def test_a_large_set_that_does_no_better_than_random_ones_is_said_to_be_no_place() -> None:
    places = network(8)
    # saturates: any third of the places shows nearly all of it
    found = traced(lambda trained: 1 - math.exp(-12 * len(trained) / len(places)), places, share=0.8)
    assert found.outcome == "not_special"
    assert "no more than its size would do" in found.statement


def test_parts_that_work_only_together_are_told_from_parts_that_add() -> None:
    # 60 % needs both; each alone does nothing
    both = lambda trained: float("2.up" in trained and "6.q" in trained)  # noqa: E731
    found = traced(both, network(8))
    assert found.answer is not None and found.answer.label == "layer 6 attention, layer 2 MLP"
    halves = found.path[0].blocks
    assert all(block.alone is not None and abs(block.alone.value) < 0.1 for block in halves)
    assert all(block.lost is not None and block.lost.value > 0.9 for block in halves)


def test_a_set_whose_work_others_can_do_too_is_said_to_be_one_of_several() -> None:
    either = lambda trained: float(bool(trained & {"1.down", "6.down"}))  # noqa: E731
    found = traced(either, network(8))
    assert found.outcome == "carried" and found.answer is not None
    assert found.answer.label in {"layer 1 MLP", "layer 6 MLP"}
    assert "the rest of the change carries part of it too" in found.statement


def test_without_an_effect_nothing_is_localised() -> None:
    places = network(8)
    rng = np.random.default_rng(1)
    drawn = rng.normal(0, 1, UNITS)

    class Noise(Written):
        def __call__(self, blend: Blend, progress: Progress) -> Measured:
            values = drawn - drawn.mean() + 0.05 if self._trained(blend) else np.zeros(UNITS)
            groups = np.array([self.groups[f"unit {k}"] for k in range(UNITS)])
            without = tuple(float(values[groups != g].mean()) for g in range(groups.max() + 1))
            return Measured(replicates=Replicates(value=float(values.mean()), without=without), interval=None)

    found = trace(question(), places, Noise(additive({}), places), cache=None, progress=Silent())
    assert found.outcome == "nothing" and found.path == () and found.evaluations == 1
    assert "cannot be told from none" in found.statement


def test_equal_weights_are_said_to_be_equal() -> None:
    found = traced(additive({}), ())
    assert found.outcome == "unchanged" and found.effect is None and found.evaluations == 0


def test_too_few_units_are_refused() -> None:
    places = network(2)
    measure = Written(additive({"embed": 1.0}), places)
    measure.groups = deal(["a", "b", "c"], seed=0)
    with pytest.raises(ConfigError, match="3 independent prompts or texts say too little"):
        trace(question(), places, measure, cache=None, progress=Silent())


def test_the_table_has_every_band_and_part_and_adds_up() -> None:
    found = traced(additive({"0.q": 0.5, "7.up": 0.3, "embed": 0.2}), network(8))
    assert found.table is not None
    assert found.table.rows == ("embeddings", "0–1", "2–3", "4–5", "6–7", "final norm")
    assert found.table.columns == ("attention", "MLP", "norms and others")
    values = [
        [None if c is None or c.alone is None else round(c.alone.value, 1) for c in row] for row in found.table.cells
    ]
    assert values[0] == [None, None, 0.2]
    assert values[1] == [0.5, 0.0, 0.0] and values[4] == [0.0, 0.3, 0.0]
    sizes = [cell.parameters for row in found.table.cells for cell in row if cell is not None]
    assert sum(sizes) == pytest.approx(1.0)


def test_an_interrupted_trace_keeps_what_it_evaluated_and_goes_on(tmp_path: Path) -> None:
    places = network(8)
    effect = additive({"5.up": 1.0})
    first = Written(effect, places, stop_after=9)
    stopped = trace(question(), places, first, cache=tmp_path, progress=Silent())
    assert stopped.interrupted and not stopped.finished
    again = Written(effect, places)
    resumed = trace(question(), places, again, cache=tmp_path, progress=Silent())
    undisturbed = Written(effect, places)
    whole = trace(question(), places, undisturbed, cache=None, progress=Silent())
    assert resumed == whole and not resumed.interrupted
    assert again.calls == undisturbed.calls - 9
    third = Written(effect, places)
    assert trace(question(), places, third, cache=tmp_path, progress=Silent()) == whole and third.calls == 0


def test_stopped_before_anything_is_known_it_says_so() -> None:
    places = network(4)
    for calls in (0, 1, 2):
        measure = Written(additive({"0.q": 1.0}), places, stop_after=calls)
        found = trace(question(), places, measure, cache=None, progress=Silent())
        assert found.outcome == "interrupted" and found.interrupted and "goes on from there" in found.statement


def test_a_search_that_runs_out_of_evaluations_says_so_and_still_has_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterburn_core.trace.tracing.MOST", {"standard": 12})
    found = traced(additive({"12.down": 1.0}), network(32))
    assert not found.finished and not found.interrupted
    assert found.answer is not None and "The search ended early" in found.statement
    assert found.table is not None


def test_a_metric_without_a_value_between_equal_models_counts_from_zero() -> None:
    places = network(4)

    class Silenced(Written):
        def __call__(self, blend: Blend, progress: Progress) -> Measured:
            if blend == BASE:
                raise Undefined("both sides are equal")
            return super().__call__(blend, progress)

    found = trace(question(), places, Silenced(additive({"2.up": 2.0}), places), cache=None, progress=Silent())
    assert found.effect is not None and found.effect.none == 0.0
    assert found.answer is not None and found.answer.label == "layer 2 MLP"


def test_a_metric_that_is_not_zero_between_equal_models_is_measured_from_there() -> None:
    """An area under a curve is one half where nothing differs."""
    found = traced(lambda trained: 0.5 + (0.4 if "2.up" in trained else 0.0), network(4))
    assert found.effect is not None and found.effect.none == pytest.approx(0.5, abs=0.06)
    assert found.effect.value == pytest.approx(0.4, abs=0.05)
    assert found.answer is not None and found.answer.label == "layer 2 MLP"


def test_divisions_are_disjoint_and_hold_everything() -> None:
    cells = cells_of(network(12))
    count = 0
    for _, partition in partitions(cells):
        count += 1
        held = [cell for block in partition for cell in block]
        assert len(held) == len(cells) and set(map(id, held)) == set(map(id, cells))
    assert count == 5  # halves, parts, quarters, eighths, layers
    rows = bands(cells, 4)
    assert sorted(names_of(cell for row in rows for cell in row)) == sorted(names_of(cells))


def test_sets_are_called_what_people_call_them() -> None:
    cells = cells_of(network(8))

    def called(*places: tuple[int | None, str]) -> str:
        return label(tuple(c for c in cells if (c.layer, c.name or c.column) in places), cells)

    assert called((2, "mlp")) == "layer 2 MLP"
    assert called((2, "mlp"), (3, "mlp"), (5, "mlp")) == "layers 2–3, 5 MLP"
    assert called((1, "attention"), (1, "mlp")) == "layer 1 attention and MLP"
    assert called((1, "attention"), (1, "mlp"), (1, "rest")) == "layer 1"
    assert called((None, "embeddings"), (0, "attention")) == "layer 0 attention, embeddings"
    assert label(cells, cells) == "all changed weights"
    alone = tuple(cell for cell in cells if cell.column == "attention")
    assert label(alone[:2], alone) == "layers 0–1 attention"


@pytest.mark.parametrize("layers", [4, 24])
def test_random_sets_are_as_large_as_the_set_and_never_hold_all_of_it(layers: int) -> None:
    cells = cells_of(network(layers))
    own = tuple(cell for cell in cells if cell.layer == 1)
    drawn = like_sets(own, cells, count=5, seed=3)
    assert drawn.matched == "energy" and len(drawn.sets) == 5
    sizes = {place.name: place.norm**2 for cell in cells for place in cell.places}
    wanted = sum(cell.energy for cell in own)
    for names in drawn.sets:
        assert sum(sizes[name] for name in names) == pytest.approx(wanted, rel=0.26)
        assert not names_of(own) <= names
    assert like_sets(own, cells, count=5, seed=3) == drawn
    assert like_sets(own, cells, count=5, seed=4) != drawn


def test_where_the_set_holds_most_of_the_change_random_sets_have_as_many_parameters() -> None:
    cells = cells_of(network(8, norms={"3.up": 100.0}))
    own = tuple(cell for cell in cells if cell.layer == 3 and cell.column == "mlp")
    drawn = like_sets(own, cells, count=5, seed=0)
    assert drawn.matched == "parameters"
    numbers = {place.name: math.prod(place.shape) for cell in cells for place in cell.places}
    assert all(sum(numbers[name] for name in names) == 3 * 64 for names in drawn.sets)


def test_everything_has_no_random_sets_beside_it() -> None:
    cells = cells_of(network(2))
    assert like_sets(cells, cells, count=5, seed=0).sets == ()


def test_units_are_dealt_evenly_whatever_their_order() -> None:
    names = [f"prompt {k}" for k in range(53)]
    groups = deal(names, seed=1)
    counts = np.bincount(list(groups.values()))
    assert len(counts) == 20 and counts.max() - counts.min() <= 1
    assert deal(reversed(names), seed=1) == groups
    assert deal(names, seed=2) != groups
    assert sorted(deal(names[:7], seed=1).values()) == list(range(7))


def jackknife(values: np.ndarray, statistic: Callable[[np.ndarray], float], groups: np.ndarray) -> Replicates:
    without = tuple(statistic(values[groups != g]) for g in range(groups.max() + 1))
    return Replicates(value=statistic(values), without=without)


@pytest.mark.parametrize(("units", "spread", "skewed"), [(20, 0.8, False), (60, 1.0, True), (150, 2.0, False)])
def test_intervals_of_shares_cover_as_often_as_they_say(units: int, spread: float, skewed: bool) -> None:
    rng = np.random.default_rng(units)
    truth, covered, bounded, draws = 0.7, 0, 0, 800
    dealt = deal((str(k) for k in range(units)), seed=0)
    groups = np.array([dealt[str(k)] for k in range(units)])
    for _ in range(draws):
        logs = rng.normal(-(spread**2) / 2, spread, units)
        whole = np.exp(logs) if skewed else rng.normal(1.0, spread, units)
        part = truth * whole + rng.normal(0, 0.4, units)
        found = share(jackknife(part, np.mean, groups), jackknife(whole, np.mean, groups))  # type: ignore[arg-type]
        if found is not None:
            bounded += 1
            covered += found.interval.low <= truth <= found.interval.high
    assert bounded > 0.9 * draws
    assert 0.92 <= covered / bounded <= 0.975


def test_a_share_of_what_cannot_be_told_from_nothing_has_no_interval() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(30) % 20
    values = rng.normal(0, 1, 30)
    values -= values.mean() - 0.01
    whole = jackknife(values, np.mean, groups)  # type: ignore[arg-type]
    interval = own_interval(whole)
    assert interval.low < 0 < interval.high
    assert share(whole, whole) is None


def test_everything_is_exactly_the_whole_share_and_nothing_exactly_none() -> None:
    rng = np.random.default_rng(0)
    whole = jackknife(rng.normal(1, 0.5, 40), np.mean, np.arange(40) % 20)  # type: ignore[arg-type]
    everything, nothing = share(whole, whole), share(whole.minus(whole), whole)
    assert everything is not None and nothing is not None
    assert (everything.value, everything.interval.low, everything.interval.high) == pytest.approx((1, 1, 1))
    assert (nothing.value, nothing.interval.low, nothing.interval.high) == (0, 0, 0)
