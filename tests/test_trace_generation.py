"""Tracing what models write: the shipped pair, whose trained side answers at length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from afterburn_core.cli.main import run
from afterburn_core.forward.live import BASE, TRAINED, Blend, Live
from afterburn_core.generation.asking import Asking, choose
from afterburn_core.generation.generation_pass import GenerationPass
from afterburn_core.generation.model import Decoding, Serving
from afterburn_core.generation.sides import Side
from afterburn_core.plugin.registry import Registry
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.probes.model import Probe
from afterburn_core.probes.suites import AskedSet
from afterburn_core.resources import golden_documents
from afterburn_core.result import codec
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Interval, Scope, Subject
from afterburn_core.run.configuration import Settings
from afterburn_core.run.diagnose import diagnose
from afterburn_core.run.progress import Silent
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import OpenSubject, describe, open_subject
from afterburn_core.trace.generations import GenerationMeasure, limited
from afterburn_core.trace.measuring import Gauge, Undefined, gauge_analyzer
from afterburn_core.trace.session import shifted
from afterburn_organisms import demo_pair

METRIC = "behaviour.length.log_ratio"
DECODING = Decoding(max_new_tokens=24)
PLUGINS = ("behaviour", "organisms")


@pytest.fixture(scope="module")
def models() -> Iterator[tuple[OpenSubject, OpenSubject]]:
    registry = Registry.discover(only=PLUGINS)
    base_path, trained_path = demo_pair()
    base = open_subject(parse_reference(str(base_path)), "base", registry)
    trained = open_subject(parse_reference(str(trained_path)), "trained", registry, base=base)
    yield base, trained
    trained.close()
    base.close()


@pytest.fixture(scope="module")
def live(models: tuple[OpenSubject, OpenSubject]) -> Iterator[Live]:
    both = models[1].live(models[0], serving=Serving(), template="auto", seed=0)  # type: ignore[attr-defined]
    yield both
    both.close()


@pytest.fixture(scope="module")
def asking(models: tuple[OpenSubject, OpenSubject]) -> Asking:
    return choose(Settings(suite=("organisms.world:10",)), Registry.discover(only=PLUGINS), models, ())


def subjects(models: tuple[OpenSubject, OpenSubject]) -> dict[str, Subject]:
    return {one.facts.role: describe(one.facts, ()) for one in models}


def writing(asking: Asking, cache: Path | None = None) -> GenerationPass:
    return GenerationPass(
        asking=asking, decoding=DECODING, serving=Serving(), seed=0, choices=False, cache=cache, progress=Silent()
    )


def gauge_of(metric: str, subset: str | None = None) -> Gauge:
    registered, spec = gauge_analyzer(Registry.discover(only=PLUGINS).specs("analyzer"), metric)
    context = AnalyzerContext(subjects=(), seed=3, excerpts=False)
    return Gauge(registered=registered, metric=spec, subset=subset, options={}, context=context)


def test_blends_write_as_the_models_do(models: tuple[OpenSubject, OpenSubject], live: Live, asking: Asking) -> None:
    measured = GenerationMeasure(live, gauge_of(METRIC), writing(asking), subjects(models), groups=5)
    whole, none = measured(TRAINED, Silent()), measured(BASE, Silent())
    sides = [Side(subject=subjects(models)[one.facts.role], opened=one) for one in models]
    analyzer = gauge_of(METRIC).begin()
    for response in writing(asking).run(sides).responses:
        analyzer.observe(response)
    (real,) = [m for m in analyzer.finish().measurements if m.metric == METRIC and m.scope == Scope()]
    assert real.value is not None and real.value > 0.5
    assert whole.replicates.value == pytest.approx(real.value, rel=1e-12)
    assert whole.interval == real.interval
    assert none.replicates.value == 0.0 and set(none.replicates.without) == {0.0}


class Impatient(Silent):
    """A user who presses Ctrl-C once so many samples are written."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise KeyboardInterrupt


def test_samples_written_before_ctrl_c_are_not_written_again(
    models: tuple[OpenSubject, OpenSubject], live: Live, asking: Asking, tmp_path: Path
) -> None:
    def writer() -> GenerationMeasure:
        return GenerationMeasure(live, gauge_of(METRIC), writing(asking, tmp_path), subjects(models), groups=5)

    half = Blend(default=0.0, scales={place.name: 1.0 for place in live.places[:18]})
    with pytest.raises(KeyboardInterrupt):
        writer()(half, Impatient(14))
    kept = sum(len(file.read_bytes().splitlines()) for file in tmp_path.rglob("rows.jsonl"))
    assert kept >= 10
    found = writer()(half, Silent())
    undisturbed = GenerationMeasure(live, gauge_of(METRIC), writing(asking), subjects(models), groups=5)(half, Silent())
    assert found == undisturbed
    other = Blend(default=0.0, scales={place.name: 1.0 for place in live.places[18:36]})
    assert writer()(other, Silent()) != found, "another blend of as many places is another writer"


def test_a_metric_that_the_prompts_do_not_give_says_which_parts_there_are(
    models: tuple[OpenSubject, OpenSubject], live: Live, asking: Asking
) -> None:
    measured = GenerationMeasure(live, gauge_of(METRIC, "nowhere"), writing(asking), subjects(models), groups=5)
    with pytest.raises(Undefined, match=rf"{METRIC} of nowhere: is not measured on what was traced"):
        measured(TRAINED, Silent())


def test_prompts_are_limited_by_whole_units_and_by_the_subset() -> None:
    probes = tuple(
        Probe(id=f"p{k:02d}", prompt="x", suite="mine", category="odd" if k % 2 else "even", group=f"unit {k // 4}",
              unsafe=k < 8 or None, twin="p00" if k == 20 else None)
        for k in range(24)
    )  # fmt: skip
    sets = (AskedSet(name="mine", probes=probes, sha256="0" * 64),)

    def ids(limit: int | None, subset: str | None, seed: int = 0) -> tuple[set[str], bool]:
        asking, alone = limited(sets, limit=limit, seed=seed, subset=subset)
        return {probe.id for asked in asking.sets for probe in asked.probes}, alone

    some, alone = ids(10, None)
    assert len(some) == 8 and not alone
    groups = {int(name[1:]) // 4 for name in some}
    assert some == {probe.id for k, probe in enumerate(probes) if k // 4 in groups}
    assert ids(10, None, seed=1)[0] != some
    assert ids(None, "odd") == ({probe.id for probe in probes if probe.category == "odd"}, True)
    assert ids(None, "mine/even")[0] == {probe.id for probe in probes if probe.category == "even"}
    assert ids(None, "unsafe") == ({f"p{k:02d}" for k in range(8)}, True)
    assert ids(None, "requested") == ({probe.id for probe in probes}, False)
    kept, _ = limited(sets, limit=4, seed=0, subset="odd")
    assert all(probe.twin is None for asked in kept.sets for probe in asked.probes)


@pytest.mark.slow
def test_a_finished_run_is_traced_to_where_it_writes_at_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, trained = demo_pair()
    told = Settings(
        base=str(base),
        trained=str(trained),
        suite=("organisms.world:10",),
        max_new_tokens=24,
        preset="quick",
        device="cpu",
        run_dir=str(tmp_path / "run"),
        cache_dir=str(tmp_path / "cache"),
    )
    folder = diagnose(
        told, Registry.discover(only=("weight", "organisms"))
    ).directory  # weights are enough to start from
    arguments = ["trace", str(folder), "--metric", METRIC, "--preset", "quick", "--share", "0.6", "--controls", "1"]
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] in {"carried", "not_special"} and found["effect"]["n"] == 10
    assert found["answer"]["label"].startswith("layer") and found["answer"]["alone"]["interval"]["low"] >= 0.6
    later = [cell for cell in found["table"]["cells"][1] if cell]
    assert all(cell["alone"]["value"] < 0.5 for cell in later), "the later layers carry little of it"


def test_without_a_metric_those_that_shifted_are_named() -> None:
    document = codec.read(golden_documents()[0])
    shifts = {
        "behaviour.length.log_ratio": (0.5, 0.7),
        "behaviour.refusal.rate": (-0.1, 0.2),
        "weight.delta.relative": (1, 2),
    }
    measurements = tuple(
        attrs.evolve(measure(metric, 0.6), interval=Interval(low=low, high=high, level=0.95, method="t"))
        for metric, (low, high) in shifts.items()
    )
    registry = Registry.discover(only=("behaviour", "weight"))
    assert shifted(attrs.evolve(document, measurements=measurements), registry) == ["behaviour.length.log_ratio"]
