"""Controls: how they are named, that their ranks are honest, and that the generation pass and its cache serve them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.generation.asking import AskedSet, Asking
from afterburn_core.generation.generation_pass import GenerationPass
from afterburn_core.generation.halves import as_trained, halved
from afterburn_core.generation.model import Completed, Decoding, GenerationFacts, Request, Responses, Sample, Serving
from afterburn_core.plugin import AnalyzerSpec, GenerationNeed, MetricSpec
from afterburn_core.plugin.registry import Plugin, Registered
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.probes.model import Probe, probes_digest
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Null, Subject
from afterburn_core.run import nulls
from afterburn_core.run.analyzers import Guarded
from afterburn_core.run.control_opening import Beside
from afterburn_core.run.control_plan import plan_controls
from afterburn_core.run.controls import DEFAULT, Control, parse_controls
from afterburn_core.run.needs import ForwardNeed
from afterburn_core.run.progress import Silent
from afterburn_core.run.shadows import Companion, Shadow, sides_of
from afterburn_core.run.subjects import SubjectFacts
from afterburn_core.run.workload import Reading, Writing
from afterburn_core.stats.controls import among, degenerate
from tests.test_generation_pass import Dice, side

PROBES = tuple(Probe(id=f"p{n}", prompt=f"Question {n}?", suite="test") for n in range(20))


def test_kinds_are_counted_and_each_control_has_a_seed_of_its_own(tmp_path: Path) -> None:
    found = parse_controls(("matched", "rounding", "resample:3", str(tmp_path)), 0)
    assert [control.kind for control in found] == ["matched"] * DEFAULT + ["rounding"] + ["resample"] * 3 + ["given"]
    assert found[2].id == "control:matched:2" and found[-1].id == "control:given:0"
    seeds = [control.seed for control in found[:-1]]
    assert len(set(seeds)) == len(seeds)
    assert [control.seed for control in parse_controls(("resample:2",), 0)] == seeds[-3:-1]  # more leave these alone
    assert parse_controls(("resample:2",), 1)[0].seed not in seeds


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (("matchd:3",), "neither a kind .* did you mean 'matched'"),
        (("matched:0",), "at least 1, such as matched:19"),
        (("scrambled:many",), "at least 1"),
        (("resample:",), "at least 1"),
        (("rounding:2",), "rounding alone"),
        (("matched:2", "matched:3"), "named twice"),
        (("nothing-here",), "nor a model that exists"),
    ],
)
def test_a_control_that_is_not_named_rightly_is_one_clear_line(texts: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_controls(texts, 0)


def test_a_mistyped_path_is_told_as_one() -> None:
    with pytest.raises(SubjectError, match="no such file or directory"):
        parse_controls(("./nothing/here",), 0)


def test_no_rank_is_below_what_so_many_controls_can_give() -> None:
    generator = random.Random(1)
    for k in (1, 2, 5, 19, 60):
        for sense in ("greater", "distance"):
            values = [generator.gauss(0, 1) for _ in range(k)]
            best = among(1e9, values, control="matched", sense=sense)  # type: ignore[arg-type]
            assert best is not None and (best.n, best.quantile, best.p_value) == (k, 1.0, 1 / (k + 1))
            missing = among(1e9, [*values, None], control="matched", sense=sense)  # type: ignore[arg-type]
            assert missing is None or missing.p_value == 2 / (k + 2)  # a missing control counts as extreme
    low = among(-3.0, [-1.0, 1.0, 0.5], control="matched", sense="greater")
    both = among(-3.0, [-1.0, 1.0, 0.5], control="matched")
    assert low is not None and low.p_value == 1.0 and low.quantile == 0.0
    assert both is not None and both.p_value == 0.25
    similar = among(0.9, [0.99, 0.98, 0.97], control="matched", neutral=1.0)
    assert similar is not None and similar.p_value == 0.25
    tied = among(0.1 + 0.2, [0.3, 0.0, 0.1], control="matched")
    assert tied is not None and tied.p_value == 0.5  # rounding makes nothing extreme
    assert among(1.0, [0.0, 0.0], control="matched") is None and degenerate([0.0, 0.0]) and not degenerate([0.0])
    assert among(1.0, [0.3, None, None], control="matched") is None
    zero = among(0.0, [0.2, -0.1, 0.3], control="matched")
    assert zero is not None and zero.p_value == 1.0


class Lengths:
    """An analyzer: the mean over prompts of the difference in length; negative on request, or broken."""

    broken: tuple[str, ...] = ()

    def begin(self, context: AnalyzerContext) -> None:
        self.differences: list[float] = []
        self.label = context.subjects[1].label

    def observe(self, item: Responses) -> None:
        if self.label in self.broken:
            raise ValueError("no ruler")
        if item.paired:
            sizes = [sum(len(s.text) for s in own) / len(own) for own in (item.trained, item.base)]
            self.differences.append(sizes[0] - sizes[1])

    def merge(self, other: Lengths) -> None:
        self.differences += other.differences

    def finish(self) -> AnalyzerOutput:
        value = sum(self.differences) / len(self.differences)
        return AnalyzerOutput(measurements=(measure("test.length", value), measure("test.neutral", value)))


SPEC = AnalyzerSpec(
    name="test.lengths",
    summary="…",
    needs=(GenerationNeed(),),
    metrics=(MetricSpec(id="test.length", summary="…"), MetricSpec(id="test.neutral", summary="…", neutral=None)),
    factory="tests.test_controls:Lengths",
)
REGISTERED = Registered(plugin=Plugin(name="test", distribution="test", version="1", module=None), spec=SPEC)  # type: ignore[arg-type]
FACTS = GenerationFacts(engine="dice")


def subject(name: str, role: Any, label: str = "…") -> Subject:
    return Subject(id=name, role=role, kind="checkpoint", label=label, digest=f"{name}0", backend="test.dice")


def companions(texts: tuple[str, ...], *, halves: bool = False, opened: Any = None) -> list[Companion]:
    return [
        Companion(
            beside=Beside(control=control, opened=opened, passes=("generation",), halves=halves),
            subject=subject(control.id, "control", control.label),
        )
        for control in parse_controls(texts, 0)
    ]


def begun(*subjects: Subject) -> Guarded:
    guarded = Guarded(Lengths())
    guarded.begin(AnalyzerContext(subjects=subjects, seed=0))
    return guarded


def shadows_of(beside: Sequence[Companion]) -> list[Shadow]:
    return [
        Shadow(companion=one, instances={SPEC.name: [begun(subject("base", "base"), one.subject)]}) for one in beside
    ]


def compared(responses: Sequence[Responses], beside: Sequence[Companion]) -> nulls.Compared:
    """The real analyzer and its shadows over the same answers, as a run has them."""
    real, shadows = begun(subject("base", "base"), subject("trained", "trained")), shadows_of(beside)
    for one in responses:
        real.observe(one)
    for shadow in shadows:
        shadow.show(responses, [SPEC.name], tuple(responses[0].controls))
    return nulls.compare(real.finish().measurements, shadows, {SPEC.name: REGISTERED}, "core.controls")


def written(generator: random.Random, sizes: Sequence[float], samples: int = 1) -> list[tuple[Sample, ...]]:
    return [
        tuple(Sample(index=k, text="a" * max(1, round(generator.gauss(size, 9)))) for k in range(samples))
        for size in sizes
    ]


def test_against_resamples_of_the_base_equal_models_have_uniform_p_values() -> None:
    generator, beside, ranks = random.Random(5), companions(("resample:19",)), []
    for _ in range(200):
        sizes = [generator.uniform(40, 90) for _ in range(12)]
        base, trained, *others = (written(generator, sizes) for _ in range(21))
        responses = [
            Responses(
                probe=PROBES[i],
                base=base[i],
                trained=trained[i],
                controls={one.id: own[i] for one, own in zip(beside, others, strict=True)},
            )
            for i in range(12)
        ]
        null = compared(responses, beside).measurements[0].null
        assert null is not None and null.n == 19 and null.control == "resample"
        ranks.append(round(20 * null.p_value))
    assert min(ranks) == 1 and max(ranks) == 20
    counts = [ranks.count(rank) for rank in range(1, 21)]
    assert sum((count - 10) ** 2 / 10 for count in counts) < 43.8  # chi square of 19 degrees of freedom, p = .001


def test_halves_of_recorded_samples_never_make_equal_models_differ_too_often() -> None:
    generator, beside, small = random.Random(7), companions(("resample:19",), halves=True), 0
    for _ in range(80):
        sizes = [generator.uniform(40, 90) for _ in range(12)]
        base, trained = (written(generator, sizes, samples=5) for _ in range(2))
        responses = [Responses(probe=PROBES[i], base=base[i], trained=trained[i]) for i in range(12)]
        null = compared(responses, beside).measurements[0].null
        small += null is not None and null.p_value <= 0.05
    assert small <= 4


def test_halves_are_disjoint_of_equal_size_and_follow_from_the_seed_alone() -> None:
    samples = tuple(Sample(index=k, text=str(k)) for k in range(5))
    both = Responses(probe=PROBES[0], base=samples, trained=(), facts={"base": FACTS})
    first = halved(both, 3)
    texts = [{sample.text for sample in own} for own in (first.base, first.trained)]
    assert [len(own) for own in texts] == [2, 2] and not texts[0] & texts[1]
    assert [sample.index for sample in first.trained] == [0, 1]
    assert set(first.facts) == {"base", "trained"}
    assert halved(both, 3) == first
    assert len({tuple(s.text for s in halved(both, seed).base) for seed in range(40)}) > 5
    alone = halved(attrs.evolve(both, base=samples[:1]), 3)
    assert not alone.base and not alone.trained


def test_an_analyzer_that_fails_on_a_control_is_noted_and_the_others_still_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator, beside = random.Random(2), companions(("resample:3",))
    sizes = [50.0] * 6
    base, trained, *others = (written(generator, sizes) for _ in range(5))
    responses = [
        Responses(
            probe=PROBES[i], base=base[i], trained=trained[i],
            controls={one.id: own[i] for one, own in zip(beside, others, strict=True)},
        )
        for i in range(6)
    ]  # fmt: skip
    monkeypatch.setattr(Lengths, "broken", ("resample 2",))
    found = compared(responses, beside)
    told = [note.message for note in found.execution.notifications]
    assert told[0] == "control:resample:1: test.lengths failed (ValueError: no ruler)"
    assert "2 resamples of the base: no p value below 0.333 is possible" in told
    length, neutral = found.measurements
    assert length.null is not None and length.null.n == 2 and neutral.null is None
    kept = json.loads(found.payload.content)
    assert len(kept["values"][length.id]["resample"]["values"]) == 2
    missing = [attrs.evolve(r, controls={n: s for n, s in r.controls.items() if n != beside[0].id}) for r in responses]
    dropped = [note.message for note in compared(missing, beside).execution.notifications]
    assert dropped[0] == "control:resample:0: it did not answer"


def test_a_null_of_an_analyzer_stays_unless_the_user_asks_for_a_better_one_of_its_kind() -> None:
    generator, beside = random.Random(2), companions(("resample:4",))
    base, trained, *others = (written(generator, [50.0] * 6) for _ in range(6))
    responses = [
        Responses(
            probe=PROBES[i], base=base[i], trained=trained[i],
            controls={one.id: own[i] for one, own in zip(beside, others, strict=True)},
        )
        for i in range(6)
    ]  # fmt: skip
    shadows = shadows_of(beside)
    for shadow in shadows:
        shadow.show(responses, [SPEC.name], tuple(responses[0].controls))
    own = Null(control="signs", n=99, quantile=1.0, p_value=0.01)
    weaker = Null(control="matched+scrambled", n=2, quantile=1.0, p_value=1 / 3)
    entries = [attrs.evolve(measure("test.length", 1.0), null=null) for null in (own, weaker)]
    kept = [
        nulls.compare([entry], shadows_of([]), {SPEC.name: REGISTERED}, "core.controls").measurements[0].null
        for entry in entries
    ]
    assert kept == [own, weaker]  # no control of the user, nothing changes
    first, second = nulls.compare(entries, shadows, {SPEC.name: REGISTERED}, "core.controls").measurements
    assert first.null == own
    assert second.null is not None and (second.null.control, second.null.n) == ("resample", 4)


class Sided(Dice):
    """Dice that also make nulls, as a trained model with weights does."""

    def null_generators(self, base: Any, decoding: Decoding, serving: Serving, drawn: Sequence[Any]) -> list[Dice]:
        self.made = [Dice(one.seed, stops_after=None) for one in drawn]
        return self.made


def passed(cache: Path | None, sides: Any) -> Any:
    asked = AskedSet(name="test", probes=PROBES, sha256=probes_digest(PROBES))
    return GenerationPass(
        asking=Asking(sets=(asked,), samples=2),
        decoding=Decoding(),
        serving=Serving(),
        seed=0,
        choices=False,
        cache=cache,
        progress=Silent(),
    ).run(sides)


def beside_dice(base: Dice, trained: Dice, *given: Dice) -> tuple[list[Companion], Any]:
    found = [
        attrs.evolve(one, beside=attrs.evolve(one.beside, opened=base if "resample" in one.id else trained))
        for one in companions(("matched:2", "resample:2"))
    ]
    for number, dice in enumerate(given):
        control = Control(id=f"control:given:{number}", kind="given", number=number)
        one = Beside(control=control, opened=dice, passes=("generation",))  # type: ignore[arg-type]
        found.append(Companion(beside=one, subject=subject(control.id, "control", "twin")))
    return found, sides_of(side("base", base), side("trained", trained), found)


def test_controls_answer_the_same_prompts_and_the_base_is_asked_once_for_the_pair(tmp_path: Path) -> None:
    base, trained, twin = Dice(), Sided(7), Dice(3)
    beside, sides = beside_dice(base, trained, twin)
    assert [one.subject.id for one in sides] == [
        "base", "control:resample:0", "control:resample:1", "trained", "control:matched:0", "control:matched:1",
        "control:given:0",
    ]  # fmt: skip
    generated = passed(tmp_path, sides)
    assert len(base.asked) == 3 * 40 and base.closed == 1  # once for itself, twice under other seeds
    assert len(trained.asked) == 40 and len(twin.asked) == 40 and [len(one.asked) for one in trained.made] == [40, 40]
    seeds = [{request.seed for request in base.asked[n : n + 40]} for n in (0, 40, 80)]
    assert not seeds[0] & seeds[1] and not seeds[1] & seeds[2]
    assert {request.seed for request in trained.made[0].asked} == seeds[0]
    assert set(generated.responses[0].controls) == {one.id for one in beside}
    shown = as_trained(generated.responses[0], "control:given:0")
    assert shown.trained == generated.responses[0].controls["control:given:0"] and not shown.controls
    assert shown.base == generated.responses[0].base and set(shown.facts) == {"base", "trained"}
    again = Dice(), Sided(7), Dice(3)
    assert passed(tmp_path, beside_dice(*again)[1]).responses == generated.responses
    assert not again[0].asked and not again[2].asked  # every control's answers were kept
    assert not any(one.asked for one in again[1].made)


def test_controls_that_were_answered_survive_a_killed_run(tmp_path: Path) -> None:
    whole = passed(None, beside_dice(Dice(), Sided(7), Dice(3))[1])
    with pytest.raises(RuntimeError, match="the power failed"):
        passed(tmp_path, beside_dice(Dice(), Sided(7), Dice(3, dies_after=9))[1])
    base, trained, twin = Dice(), Sided(7), Dice(3)
    assert passed(tmp_path, beside_dice(base, trained, twin)[1]).responses == whole.responses
    assert not base.asked and not trained.asked and not any(one.asked for one in trained.made)
    assert len(twin.asked) == 40 - 8  # two groups of four were finished


class Broken(Dice):
    def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
        raise SubjectError("twin: its weights cannot be loaded")


def test_a_control_that_cannot_answer_is_left_out_with_a_note() -> None:
    generated = passed(None, beside_dice(Dice(), Sided(7), Broken(3))[1])
    assert generated.stopped is None and len(generated.responses) == len(PROBES)
    assert "control:given:0" not in generated.facts
    assert any("control:given:0 is left out: twin: its weights" in note.message for note in generated.notes)


def test_the_plan_says_who_serves_what_and_what_it_costs() -> None:
    facts = SubjectFacts(
        role="base", kind="checkpoint", label="b", backend="core.checkpoint", capabilities=(), bytes=1, tensors=1,
        parameters=1_000_000,
    )  # fmt: skip

    class Opened:
        def __init__(self) -> None:
            self.facts = facts

    passes: dict[str, Any] = {
        "matched": ("generation", "forward"),
        "resample": ("generation",),
        "given": ("weights", "generation", "forward"),
    }
    controls = [
        Beside(control=control, opened=Opened(), passes=passes[control.kind])  # type: ignore[arg-type]
        for control in parse_controls(("matched:19", "resample:3", str(Path(__file__).parent)), 0)
    ]
    reads = attrs.evolve(SPEC, name="test.reads", needs=(ForwardNeed(),))
    judged = attrs.evolve(SPEC, name="test.judged", needs=(GenerationNeed(judge=True),))
    writing, reading = Writing(prompts=10, max_new_tokens=100), Reading(passages={"text": 5}, tokens=4000)
    matched, resampled, given = plan_controls(
        controls, ["weights", "generation", "forward", "live"], [SPEC, reads, judged], facts, writing, reading
    )
    assert matched.analyzers == ("test.lengths", "test.reads") and matched.passes == ("generation", "forward")
    assert matched.least_p_value == 0.05 and matched.words == "19 matched random changes"
    assert set(matched.unserved) == {"weights", "live"} and "by construction" in matched.unserved["weights"]
    assert matched.seconds == pytest.approx(19 * (writing.seconds([facts]) + reading.seconds([facts])))
    assert resampled.analyzers == ("test.lengths",) and resampled.least_p_value == 0.25
    assert "under every seed" in resampled.unserved["forward"]
    assert given.words == "1 given control (tests)" and given.n == 1
    assert resampled.to_dict()["not_served"]["live"]
