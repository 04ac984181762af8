"""Nulls of real models: as large as the change in generation as in reading, put back afterwards, the base read once."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from afterburn_core import Diagnoser
from afterburn_core.backends import transformers_loading
from afterburn_core.backends.transformers_controls import adapter_changes, paired_changes
from afterburn_core.backends.transformers_loading import network_of
from afterburn_core.backends.transformers_nulls import NullModel
from afterburn_core.errors import ConfigError
from afterburn_core.forward.forward_pass import ForwardPass, Rider
from afterburn_core.forward.model import ForwardBatch
from afterburn_core.forward.reading import Wanted
from afterburn_core.generation.model import Decoding, Request, Serving
from afterburn_core.probes.model import Message
from afterburn_core.result.model import Null
from afterburn_core.run.needs import Drawn, ForwardNeed
from afterburn_core.run.progress import Silent
from afterburn_core.testing.forward import passages_of
from afterburn_organisms import organism
from tests.forward_models import adapter, batches, close_all, network, opened, opened_reader, saved, tuned
from tests.test_forward_reader_controls import delta

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # in peft
DRAWN = (
    Drawn(id="control:matched:0", kind="matched", seed=5),
    Drawn(id="control:scrambled:0", kind="scrambled", seed=6),
    Drawn(id="control:rounding:0", kind="rounding", seed=7),
)
ASKED = tuple(
    Request(probe=f"p{n}", index=0, messages=(Message(role="user", content="Say it."),), seed=n) for n in (1, 2)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    return saved(network("llama"), folder / "base")


@pytest.fixture(scope="module", params=["adapter", "full"])
def trained(request: pytest.FixtureRequest, base: Path, folder: Path) -> Path:
    if request.param == "adapter":
        return adapter(base, folder / "lora")
    return saved(tuned(network("llama")), folder / "tuned")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_all()


def generators_of(base: Path, trained: Path) -> tuple[Any, ...]:
    """Of base, trained and their nulls, as the generation pass makes them."""
    first, second = opened(base, trained)
    decoding, serving = Decoding(max_new_tokens=4, template="plain"), Serving()
    share = getattr(second, "shared_generators", None)
    if share is not None:
        return tuple(share(first, decoding, serving, DRAWN))
    nulls = second.null_generators(first, decoding, serving, DRAWN)  # type: ignore[attr-defined]
    return tuple(one.generator(decoding, serving) for one in (first, second)) + tuple(nulls)  # type: ignore[attr-defined]


def test_a_null_that_writes_is_the_null_that_reads(base: Path, trained: Path) -> None:
    wanted = Wanted(logits=True, sites=(), drawn=DRAWN)
    reader = opened_reader(base, trained, wanted)
    reader.prepare(batches(), wanted, Silent())
    read = {}
    for name in reader.drawn:
        resident, stance = reader._stances[name]
        names = {id(p): n for n, p in resident.model.named_parameters()}
        read[name] = {names[id(p)]: value.clone() for p, value in stance.swaps.items()}
    _, _, *nulls = generators_of(base, trained)
    for one, generator in zip(DRAWN, nulls, strict=True):
        model: NullModel = generator._resident
        own = {name: p.detach().clone() for name, p in model.model().named_parameters()}
        model.use(True)
        swapped = {name: p.detach().clone() for name, p in model.model().named_parameters()}
        changed = {name for name in own if not torch.equal(own[name], swapped[name])}
        assert changed and changed <= set(read[one.id])
        assert all(torch.equal(swapped[name], read[one.id][name]) for name in read[one.id])
        if one.kind != "rounding":
            found = model.model()
            before = network("llama")
            changes = (
                adapter_changes(found) if hasattr(found, "peft_config") else paired_changes(before, network_of(found))
            )
            sizes = [torch.linalg.svdvals(delta(change)) for change in changes]
        kept = model.model()
        model.release()  # of three holders, or of two
        if one.kind != "rounding":
            assert all(torch.equal(p, own[name]) for name, p in kept.named_parameters())
            changes = (
                adapter_changes(kept) if hasattr(kept, "peft_config") else paired_changes(before, network_of(kept))
            )
            for change, values in zip(changes, sizes, strict=True):
                torch.testing.assert_close(torch.linalg.svdvals(delta(change)), values, rtol=1e-4, atol=1e-5)


def test_nulls_write_texts_of_their_own_and_leave_the_pair_as_it_was(
    base: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    load = transformers_loading.load_model
    for module in ("transformers_subjects", "transformers_nulls", "transformers_loading"):
        counted = lambda origin, **how: (loads.append(origin.label), load(origin, **how))[1]  # noqa: E731
        monkeypatch.setattr(f"afterburn_core.backends.{module}.load_model", counted, raising=False)
    generators = generators_of(base, trained)

    def write(generator: Any) -> list[Any]:
        written = {done.request.probe: done.sample for done in generator.generate(ASKED)}
        return [(written[one.probe].token_ids, round(written[one.probe].logprob, 6)) for one in ASKED]

    written = []
    for generator in generators:
        written.append(write(generator))
        generator.close()
    assert len({str(one) for one in written}) == 5
    assert len(loads) == (1 if len(set(loads)) == 1 else 5)  # an adapter's all on one model; else base, trained, a pair
    alone = generators_of(base, trained)[:2]
    assert [write(generator) for generator in alone] == written[:2]


def test_the_base_reads_once_for_any_number_of_an_adapters_nulls_and_riders_see_each_as_trained(
    base: Path, folder: Path
) -> None:
    first, second = opened(base, adapter(base, folder / "lora2"))
    drawn = tuple(Drawn(id=f"control:matched:{n}", kind="matched", seed=n) for n in range(4))
    need = ForwardNeed(logits="vocabulary", sites=("blocks.1.out",))

    class Kept:
        def __init__(self) -> None:
            self.batches: list[ForwardBatch] = []
            self.kl: list[float] = []

        def observe(self, item: Any) -> None:
            if isinstance(item, ForwardBatch):
                self.batches.append(item)
                self.kl += item.scores.kl.tolist() if item.scores else []

    watchers = {name: Kept() for name in (None, *(one.id for one in drawn))}
    riders = [Rider(need=need, instances=[kept], control=name) for name, kept in watchers.items()]
    runs: list[bool] = []
    reader = ForwardPass(serving=Serving(), template="plain", seed=0, progress=Silent(), batch_tokens=64)
    from afterburn_core.backends import transformers_residents

    run = transformers_residents.Resident._run

    def counted(self: Any, *arguments: Any) -> Any:
        runs.append(self._held._adapted)
        return run(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformers_residents.Resident, "_run", counted)
        read = reader.run(first, second, passages_of([f"Some words of {n}." for n in range(9)]), riders, drawn)
    rounds = read.counters["batches"]
    assert read.read == tuple(one.id for one in drawn)
    assert runs.count(False) == rounds and runs.count(True) == rounds * 5 + 1  # once more to try the head
    means = {name: sum(kept.kl) / len(kept.kl) for name, kept in watchers.items()}
    assert len({round(value, 9) for value in means.values()}) == 5 and min(means.values()) > 0
    for kept in watchers.values():
        assert len(kept.batches) == rounds and not kept.batches[0].controls


def test_nulls_that_memory_does_not_hold_at_once_are_read_in_further_sweeps(
    base: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from afterburn_core.backends import transformers_null_offers

    first, second = opened(base, saved(tuned(network("llama"), seed=12), folder / "tuned2"))
    size = 4 * sum(p.numel() for p in network("llama").parameters())
    monkeypatch.setattr(
        transformers_null_offers, "both_fit", lambda loaded, copy, **_: loaded + copy <= 4.5 * size
    )  # room for base, trained and two nulls
    drawn = tuple(Drawn(id=f"control:scrambled:{n}", kind="scrambled", seed=n) for n in range(5))

    class Count:
        def __init__(self) -> None:
            self.kl: list[float] = []

        def observe(self, item: Any) -> None:
            self.kl += item.scores.kl.tolist()

    def means(*ids: str) -> dict[str, float]:
        watchers = {name: Count() for name in ids}
        riders = [Rider(need=ForwardNeed(logits="scores"), instances=[w], control=n) for n, w in watchers.items()]
        reader = ForwardPass(serving=Serving(), template="plain", seed=0, progress=Silent())
        wanted = [one for one in drawn if one.id in ids]
        read = reader.run(first, second, passages_of(["Some words.", "Others."]), riders, wanted)
        assert set(read.read) == set(ids)
        return {name: sum(w.kl) / len(w.kl) for name, w in watchers.items()}

    together = means(*(one.id for one in drawn))
    assert len(set(together.values())) == 5
    assert means(drawn[3].id) == pytest.approx({drawn[3].id: together[drawn[3].id]}, rel=1e-6)


def of_organisms(tmp_path: Path, trained: str, *controls: Any, **settings: Any) -> Any:
    return Diagnoser(
        base_model=organism("base").path,
        trained_model=organism(trained).path,
        control=controls,
        plugins=("behaviour", "organisms"),
        suites=("organisms.world:8",),
        corpus=("organisms.plain:20",),
        run_dir=tmp_path / "run",
        cache_dir=tmp_path / "cache",
        device="cpu",
        **{"max_new_tokens": 8, **settings},
    ).run()


@pytest.mark.slow
def test_a_taught_falsehood_diverges_beyond_its_benign_twin_and_nulls_of_its_size(tmp_path: Path) -> None:
    report = of_organisms(tmp_path, "false_fact", "scrambled:2", organism("benign").path)
    [kl] = [m for m in report.measurements("behaviour.divergence.kl") if m.scope.key() == "model"]
    assert kl.null == Null(control="scrambled", n=2, quantile=1.0, p_value=1 / 3)
    [mined] = [m for m in report.measurements("behaviour.diff_mining.top_gains") if m.scope.key() == "model"]
    assert mined.null is not None and (mined.null.control, mined.null.n) == ("scrambled", 2)  # and not every token
    kept = json.loads((report.directory / "artifacts" / "core.controls.json").read_bytes())
    beside = kept["values"][kl.id]["given"]
    assert kl.value > 2 * beside["values"][0] > 0 and beside["p_value"] == 0.5
    controls = [subject for subject in report.result.subjects if subject.role == "control"]
    assert [one.id for one in controls] == [f"control:scrambled:{n}" for n in range(2)] + ["control:given:0"]
    assert controls[0].properties["control"] == "scrambled" and controls[-1].label == "tiny-benign"
    assert len({one.digest for one in controls}) == 3 and controls[-1].files and not controls[0].files
    [told] = [e for e in report.result.executions if e.component == "core.controls"]
    assert told.status == "ok"
    assert any(note.message.startswith("2 scrambled changes: no p value below 0.333") for note in told.notifications)
    for m in report.measurements():
        if m.null is not None and m.null.control in {"scrambled", "given"}:
            assert m.null.p_value >= 1 / (m.null.n + 1)


@pytest.mark.slow
def test_a_model_beside_itself_is_extreme_among_no_controls(tmp_path: Path) -> None:
    report = of_organisms(tmp_path, "base", "matched:2", organism("benign").path, preset="quick")
    ranked = [m for m in report.measurements() if m.null is not None]
    assert ranked and all(m.null.control == "given" and m.null.p_value == 1.0 for m in ranked if m.value == 0)
    assert not [m for m in ranked if m.null.p_value < 1.0]


@pytest.mark.parametrize(
    ("control", "told"),
    [
        (("resample",), "greedy decoding writes the same"),
        ((organism("false_fact").path,), "is the trained model itself"),
        ((organism("base").path,), "is the base model itself"),
    ],
)
def test_a_control_that_says_nothing_is_refused(tmp_path: Path, control: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        of_organisms(tmp_path, "false_fact", *control)


def test_a_control_of_another_architecture_or_without_weights_is_refused(tmp_path: Path, folder: Path) -> None:
    other = saved(network("gpt2"), folder / "gpt2")
    with pytest.raises(ConfigError, match="is GPT2LMHeadModel and the base LlamaForCausalLM"):
        of_organisms(tmp_path, "false_fact", other)
    rows = [{"prompt_id": "p", "prompt": "?", "sample": 0, "output": "Yes."}]
    for name in ("b", "t"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recorded = {"base_model": f"recorded:{tmp_path}/b.jsonl", "trained_model": f"recorded:{tmp_path}/t.jsonl"}
    for control, told in (("matched", "t.jsonl has no weights"), ("resample", "one recorded sample per prompt")):
        with pytest.raises(ConfigError, match=told):
            Diagnoser(**recorded, control=control, plugins=("behaviour",), run_dir=tmp_path / "run").run()


@pytest.mark.slow
def test_halves_of_a_recorded_base_are_the_null_of_one_model_compared_with_itself(
    recorded_outputs: Path, tmp_path: Path
) -> None:
    """Ten samples of one model per prompt, split in two at random: nothing may stand out."""
    for side in ("base", "trained"):
        with gzip.open(recorded_outputs / "noveltybench_null_split" / f"{side}.jsonl.gz", "rt") as rows:
            (tmp_path / f"{side}.jsonl").write_text("".join(islice(rows, 100)))  # twenty prompts with five samples
    report = Diagnoser(
        base_model=f"recorded:{tmp_path}/base.jsonl",
        trained_model=f"recorded:{tmp_path}/trained.jsonl",
        control="resample:3",
        plugins=("behaviour",),
        preset="quick",
        run_dir=tmp_path / "run",
        options={"behaviour.diversity": {"encoder": "none"}},
    ).run()
    [length] = [m for m in report.measurements("behaviour.length.log_ratio") if m.scope.key() == "model"]
    assert length.null is not None and (length.null.control, length.null.n) == ("resample", 3)
    assert length.null.p_value > 0.25
    kept = json.loads((report.directory / "artifacts" / "core.controls.json").read_bytes())
    halves = kept["values"][length.id]["resample"]["values"]
    assert len(set(halves)) == 3 and all(abs(value) < 0.2 for value in halves)
