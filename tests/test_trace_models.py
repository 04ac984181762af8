"""Tracing real, tiny models: the layer that a test edited is the layer that is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from afterburn_core.cli.main import run
from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.forward.encoding import encode
from afterburn_core.forward.forward_pass import Rider
from afterburn_core.forward.live import BASE, TRAINED, Blend, Live
from afterburn_core.generation.model import Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.probes.model import Probe
from afterburn_core.result import codec
from afterburn_core.result.model import Scope
from afterburn_core.run.configuration import Settings
from afterburn_core.run.diagnose import diagnose
from afterburn_core.run.progress import Silent
from afterburn_core.testing.checkpoints import load_weights, save_weights, tiny_checkpoint
from afterburn_core.testing.forward import passages_of, read_pair
from afterburn_core.trace.measuring import Gauge, gauge_analyzer
from afterburn_core.trace.opening import Reopened, reopen, settings_of
from afterburn_core.trace.readings import ForwardMeasure, limited
from afterburn_core.trace.reopen import FILE, read_reopening, write_reopening
from afterburn_core.trace.tracing import Question, trace

KL = "behaviour.divergence.kl"
TEXTS = [" ".join(f"word{(7 * i + j * j) % 120}" for j in range(10 + i % 7)) for i in range(20)]


def edited(directory: Path, planted: Mapping[str, float], *, noise: float = 0.002, layers: int = 4) -> None:
    """`base` and `trained`: noise on every matrix of every layer, and much more on those whose names hold `planted`."""
    tiny_checkpoint(directory / "base", layers=layers, hidden=32, vocab=128, dtype="float32")
    weights = {
        name: value * 4 if value.dim() == 2 else value for name, value in load_weights(directory / "base").items()
    }
    save_weights(directory / "base", weights)
    shutil.copytree(directory / "base", directory / "trained")
    generator = torch.Generator().manual_seed(5)
    for name, value in weights.items():
        if value.dim() == 2 and "layers" in name:
            size = next((size for part, size in planted.items() if part in name), noise)
            weights[name] = value + size * torch.randn(value.shape, generator=generator)
    save_weights(directory / "trained", weights)


def finished_run(directory: Path, **settings: Any) -> Path:
    """A run that measured weights alone, which is all that a trace needs to start from."""
    (directory / "corpus.txt").write_text("\n\n".join(TEXTS), encoding="utf-8")
    told = Settings(
        base=str(directory / "base"),
        trained=str(directory / "trained"),
        corpus=(str(directory / "corpus.txt"),),
        run_dir=str(directory / "run"),
        cache_dir=str(directory / "cache"),
        device="cpu",
        preset="quick",
        **settings,
    )
    return diagnose(told, Registry.discover(only=("weight",))).directory


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over a pair in which the MLP of layer 2 was edited."""
    directory = tmp_path_factory.mktemp("planted")
    edited(directory, {"layers.2.mlp": 0.1})
    return finished_run(directory)


@pytest.fixture
def opened(planted: Path) -> Any:
    result = codec.read(planted / "result.json")
    settings = settings_of(planted, result, base=None, trained=None)
    both = reopen(settings, result, Registry.discover(only=("behaviour",)), Silent())
    yield both
    both.close()


def gauge_of(metric: str) -> Gauge:
    registered, spec = gauge_analyzer(Registry.discover(only=("behaviour",)).specs("analyzer"), metric)
    return Gauge(
        registered=registered, metric=spec, subset=None, options={},
        context=AnalyzerContext(subjects=(), seed=3, excerpts=False),
    )  # fmt: skip


def measure_of(opened: Reopened, live: Live, metric: str = KL) -> ForwardMeasure:
    reader = opened.reader(Serving())
    encoded, _ = encode(passages_of(TEXTS), reader.tokenizer, reader.mode, max_tokens=64)
    return ForwardMeasure(
        live, gauge_of(metric), encoded, tokenizer=reader.tokenizer, device="cpu", dtype="float32", seed=0, groups=5
    )


def named(live: Live, part: str) -> frozenset[str]:
    return frozenset(place.name for place in live.places if part in place.name)


def only(names: frozenset[str]) -> Blend:
    return Blend(default=0.0, scales=dict.fromkeys(sorted(names), 1.0))


def test_blends_are_measured_as_the_forward_pass_measures_models(opened: Reopened, planted: Path) -> None:
    live = opened.live(Serving())
    measure = measure_of(opened, live)
    whole = measure(TRAINED, Silent()).replicates
    gauge = gauge_of(KL)

    def real(texts: Sequence[int]) -> float:
        chosen = [one for k, one in enumerate(passages_of(TEXTS)) if k in texts]
        analyzer = gauge.begin()
        need = gauge.registered.spec.needs[0]
        folder = planted.parent
        read_pair(folder / "base", folder / "trained", chosen, [Rider(need=need, instances=[analyzer])])
        found = [m for m in analyzer.finish().measurements if m.metric == KL and m.scope == Scope()]
        assert found[0].value is not None
        return found[0].value

    assert whole.value == pytest.approx(real(range(len(TEXTS))), rel=1e-5)
    group = measure.groups[passages_of(TEXTS)[0].unit]
    others = [k for k, one in enumerate(passages_of(TEXTS)) if measure.groups[one.unit] != group]
    assert whole.without[group] == pytest.approx(real(others), rel=1e-5)
    live.close()


def test_the_edited_part_alone_shows_the_effect_and_base_against_itself_shows_none(opened: Reopened) -> None:
    live = opened.live(Serving())
    measure = measure_of(opened, live)
    whole = measure(TRAINED, Silent()).replicates.value
    part = measure(only(named(live, "layers.2.mlp")), Silent()).replicates.value
    rest = measure(only(named(live, "layers") - named(live, "layers.2.mlp")), Silent()).replicates.value
    none = measure(BASE, Silent())
    assert part > 0.8 * whole and rest < 0.1 * whole
    assert none.replicates.value == 0.0 and set(none.replicates.without) == {0.0}
    live.close()


def test_metrics_of_activations_are_measured_on_blends_too(opened: Reopened) -> None:
    """`observe_batch` hands out the sites that a need names, at the rows of the batch."""
    from afterburn_core.run.needs import ForwardNeed
    from afterburn_core.testing.observing import Collector
    from afterburn_core.trace.readings import _BlendReader

    live = opened.live(Serving())
    measure = measure_of(opened, live)
    reader = _BlendReader(
        live=live, blend=only(named(live, "layers.2.mlp")), sites=("blocks.*.out",), tokenizer=measure._tokenizer,
        device="cpu", dtype="float32",
    )  # fmt: skip
    from afterburn_core.forward.observing import observe_batch

    seen = Collector()
    need = ForwardNeed(sites=("blocks.*.out",))
    for batch in measure._batches[:2]:
        observe_batch(reader, batch, [(need, seen.observe)])  # type: ignore[arg-type]
    for item in seen.items:
        moved = {site: float(item.geometry(site).delta_sq.max()) for site in item.base.sites}
        assert item.base.sites["blocks.0.out"].shape[0] == item.rows.n
        assert moved["blocks.0.out"] == moved["blocks.1.out"] == 0.0
        assert moved["blocks.2.out"] > 0 and moved["blocks.3.out"] > 0
    live.close()


@pytest.mark.slow
def test_trace_finds_the_layer_that_a_test_edited(
    planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    page = tmp_path / "trace.html"
    arguments = ["trace", str(planted), "--metric", KL, "--preset", "quick", "--controls", "3", "-o", str(page)]
    before = (planted / "result.json").read_bytes()
    assert run(arguments) == 0
    said = capsys.readouterr()
    assert "Found where it sits Layer 2 MLP carries" in " ".join(said.out.split())
    assert "1. as trained" in said.err
    document = json.loads((planted / "traces" / f"{KL}.json").read_text(encoding="utf-8"))
    assert document["schema_version"] == "1.0" and document["outcome"] == "carried"
    assert document["answer"]["label"] == "layer 2 MLP"
    assert document["answer"]["alone"]["interval"]["low"] >= 0.8
    assert [step["kept"]["label"] for step in document["path"] if step["kept"]] == [
        "layers 2–3",
        "layer 2",
        "layer 2 MLP",
    ]
    text = page.read_text(encoding="utf-8")
    assert "Layer 2 MLP carries" in text and "<script" not in text and "://" not in text
    assert str(planted.parent) not in text + json.dumps(document)
    assert (planted / "result.json").read_bytes() == before
    assert run([*arguments, "--json"]) == 0  # all from the cache
    again = capsys.readouterr()
    assert json.loads(again.out) == document and again.err == ""
    page.unlink()


@pytest.mark.slow
def test_two_edited_layers_are_found_together(tmp_path: Path) -> None:
    edited(tmp_path, {"layers.0.self_attn": 0.03, "layers.3.mlp": 0.1})
    folder = finished_run(tmp_path)
    result = codec.read(folder / "result.json")
    both = reopen(settings_of(folder, result, base=None, trained=None), result, Registry.discover(only=()), Silent())
    live = both.live(Serving())
    asked = Question(result=result, gauge=gauge_of(KL), preset="quick", share=0.75, controls=1)
    found = trace(asked, live.places, measure_of(both, live), cache=None, progress=Silent())
    assert found.answer is not None
    assert found.answer.label == "layer 0 attention, layer 3 MLP", found.statement
    live.close()
    both.close()


def test_equal_models_have_nothing_to_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(tmp_path, {}, noise=0.0, layers=1)
    folder = finished_run(tmp_path)
    assert run(["trace", str(folder), "--metric", KL, "--preset", "quick"]) == 0
    assert "Nothing to trace: both models have the same weights" in " ".join(capsys.readouterr().out.split())


def test_no_path_of_the_run_is_in_its_document_and_all_are_in_the_local_file(planted: Path) -> None:
    place = str(planted.parent)
    assert place not in (planted / "result.json").read_text(encoding="utf-8")
    kept = read_reopening(planted)
    assert kept is not None
    assert kept.base == f"{place}/base" and kept.corpus == (f"{place}/corpus.txt",)


def test_relative_names_are_kept_absolute_and_secrets_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "asked.jsonl").write_text("{}", encoding="utf-8")
    told = Settings(
        base="mine",
        trained="api:http://someone:hidden@host/v1?key=secret#model",
        judge="api:http://someone:hidden@host/v1#judge",
        prompts=("asked.jsonl",),
        suite=("math:3",),
        temperature=0.5,
        options={"behaviour.length": {"pairs": 3}},
    )
    write_reopening(tmp_path, told)
    text = (tmp_path / FILE).read_text(encoding="utf-8")
    assert "hidden" not in text and "secret" not in text
    kept = read_reopening(tmp_path)
    assert kept is not None
    assert kept.base == str(tmp_path / "mine") and kept.prompts == (str(tmp_path / "asked.jsonl"),)
    assert kept.trained == "api:http://host/v1#model" and kept.judge is None
    assert (kept.suite, kept.temperature, kept.options) == (told.suite, told.temperature, told.options)


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"schema_version": "9.0", "settings": {}}', '{"schema_version": "1.0"}']
)
def test_a_damaged_local_file_is_one_clear_line(tmp_path: Path, damage: str) -> None:
    (tmp_path / FILE).write_text(damage, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"reopen\.json: cannot be read .* --base and --trained"):
        read_reopening(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert run(["trace", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def test_what_cannot_be_traced_is_refused_in_one_line(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(planted)
    assert "no metric to trace; give it with --metric" in refused(capsys, folder)
    assert "did you mean 'behaviour.length.log_ratio'" in refused(
        capsys, folder, "--metric", "behaviour.length.log_rati"
    )
    assert "not measured on what models write or read" in refused(capsys, folder, "--metric", "weight.delta.relative")
    assert "a trace is written as .html or .json" in refused(capsys, folder, "--metric", KL, "-o", "trace.docx")
    assert "does not exist" in refused(capsys, f"{folder}/nowhere", "--metric", KL)


def test_a_model_that_changed_since_the_run_is_refused_by_name(
    planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(planted.parent / "trained", other)
    weights = load_weights(other)
    weights["model.norm.weight"] = weights["model.norm.weight"] * 2
    save_weights(other, weights)
    said = refused(capsys, str(planted), "--metric", KL, "--quiet", "--trained", str(other))
    assert "trained 'other' is not the model of this run (model.safetensors)" in said


def test_a_run_that_moved_is_traced_with_the_models_named_anew(planted: Path, tmp_path: Path) -> None:
    moved = tmp_path / "run"
    shutil.copytree(planted, moved)
    (moved / FILE).unlink()
    result = codec.read(moved / "result.json")
    with pytest.raises(ConfigError, match="keeps no models to open again; name them with --base and --trained"):
        settings_of(moved, result, base=None, trained=None)
    place = planted.parent
    settings = settings_of(moved, result, base=str(place / "base"), trained=str(place / "trained"))
    assert settings.preset == "quick" and settings.samples == 1
    both = reopen(settings, result, Registry.discover(only=()), Silent())
    assert both.subjects["trained"].label == "trained"
    both.close()


def test_recorded_outputs_have_no_weights_to_put_back(planted: Path) -> None:
    result = codec.read(planted / "result.json")
    subjects = tuple(attrs.evolve(subject, kind="recorded") for subject in result.subjects)
    settings = settings_of(planted, result, base=None, trained=None)
    with pytest.raises(SubjectError, match="base 'base' is a recording without weights"):
        reopen(settings, attrs.evolve(result, subjects=subjects), Registry.discover(only=()), Silent())


def test_a_limit_takes_whole_units_and_a_domain_alone_where_it_is_named() -> None:
    passages = [
        attrs.evolve(one, unit=f"unit {k // 3}", domain="odd" if k % 2 else "even")
        for k, one in enumerate(passages_of(TEXTS))
    ]
    kept, alone = limited(passages, limit=7, seed=0, subset=None)
    units = {one.unit for one in kept}
    assert not alone and len(kept) == 6 and all((one in kept) == (one.unit in units) for one in passages)
    assert limited(passages, limit=7, seed=1, subset=None)[0] != kept
    for subset, whole in (
        ("odd", True),
        ("domain=odd", True),
        ("domain=odd,source=text", True),
        ("domain=odd,first=5", False),
    ):
        chosen, alone = limited(passages, limit=None, seed=0, subset=subset)
        assert {one.domain for one in chosen} == {"odd"} and alone is whole
    assert limited(passages, limit=None, seed=0, subset="class=end") == (tuple(passages), False)


def test_a_number_without_a_group_is_that_of_an_analyzer_that_never_saw_it() -> None:
    from afterburn_core.generation.model import Responses, Sample
    from afterburn_core.trace.shares import deal

    def answers(k: int, times: int) -> tuple[Sample, ...]:
        return (Sample(index=0, text=" ".join(["so"] * (3 + times * k % 11))),)

    items = [
        Responses(probe=Probe(id=f"p{k}", prompt=f"question {k}"), base=answers(k, 1), trained=answers(k, 5))
        for k in range(23)
    ]
    gauge = gauge_of("behaviour.length.log_ratio")
    groups = deal((item.probe.unit for item in items), seed=0, groups=7)
    instances = [gauge.begin() for _ in range(7)]
    for item in items:
        instances[groups[item.probe.unit]].observe(item)
    found = gauge.read(instances)
    for group in range(7):
        alone = gauge.begin()
        for item in items:
            if groups[item.probe.unit] != group:
                alone.observe(item)
        assert found.replicates.without[group] == pytest.approx(gauge._number(gauge._value(alone)), rel=1e-12)
    again = gauge.read(instances)
    assert again == found, "reading leaves the instances as they were"
