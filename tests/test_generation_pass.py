"""The generation pass: what is asked, what is kept, what analyzers get, and what survives an interruption."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.generation.answering import Keeping, answer
from afterburn_core.generation.asking import AskedSet, Asking, choose, one_unit_each
from afterburn_core.generation.export import sample_files
from afterburn_core.generation.generation_pass import GenerationPass
from afterburn_core.generation.model import Completed, Decoding, GenerationFacts, Request, Sample, Serving
from afterburn_core.generation.requests import make_requests
from afterburn_core.generation.sides import Side
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message, Probe, probes_digest
from afterburn_core.result.model import Subject
from afterburn_core.run.configuration import Settings
from afterburn_core.run.progress import Silent
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import open_subject

PROBES = tuple(
    Probe(id=f"p{n}", prompt=f"Question {n}?", suite="test", category="odd" if n % 2 else "even") for n in range(10)
)
FACTS = GenerationFacts(engine="dice", decoding={"temperature": 1.0})


class Dice:
    """A subject and its generator in one: the text of a sample follows from its seed and the side's `bias`."""

    def __init__(self, bias: int = 0, *, dies_after: int | None = None, stops_after: int | None = None) -> None:
        self.bias, self.dies_after, self.stops_after = bias, dies_after, stops_after
        self.asked: list[Request] = []
        self.facts = FACTS
        self.closed = 0

    def generator(self, decoding: Decoding, serving: Serving) -> Dice:
        return self

    def groups(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        return [requests[start : start + 4] for start in range(0, len(requests), 4)]

    def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
        for group in self.groups(requests):
            for request in group:
                if len(self.asked) == self.dies_after:
                    raise RuntimeError("the power failed")
                if len(self.asked) == self.stops_after:
                    raise KeyboardInterrupt
                self.asked.append(request)
                number = random.Random(request.seed + self.bias).randint(1, 6)
                yield Completed(
                    request=request, sample=Sample(index=request.index, text=f"a {number}", tokens=2, seed=request.seed)
                )

    def close(self) -> None:
        self.closed += 1


def side(role: str, dice: Dice) -> Side:
    subject = Subject(id=role, role=role, kind="checkpoint", label=role, digest=f"{role}0", backend="test.dice")  # type: ignore[arg-type]
    return Side(subject=subject, opened=dice)  # type: ignore[arg-type]


def make_pass(cache: Path | None = None, samples: int = 2, seed: int = 0) -> GenerationPass:
    asked = AskedSet(name="test", probes=PROBES, sha256=probes_digest(PROBES))
    return GenerationPass(
        asking=Asking(sets=(asked,), samples=samples),
        decoding=Decoding(),
        serving=Serving(),
        seed=seed,
        choices=False,
        cache=cache,
        progress=Silent(),
    )


def run(base: Dice, trained: Dice, cache: Path | None = None, **options: int):  # type: ignore[no-untyped-def]
    return make_pass(cache, **options).run((side("base", base), side("trained", trained)))


def test_both_sides_answer_the_same_requests_with_the_same_seeds() -> None:
    base, trained = Dice(), Dice()
    generated = run(base, trained)
    assert base.asked == trained.asked
    assert len({request.seed for request in base.asked}) == len(base.asked) == 20
    assert [response.probe for response in generated.responses] == list(PROBES)
    assert all(response.base == response.trained and len(response.base) == 2 for response in generated.responses)
    assert base.closed == trained.closed == 1


def test_a_sample_has_the_same_seed_whatever_else_is_asked() -> None:
    few = make_requests(PROBES[3:5], samples=1, seed=0, choices=False)
    many = make_requests(PROBES, samples=3, seed=0, choices=False)
    assert {(r.probe, r.index): r.seed for r in few}.items() <= {(r.probe, r.index): r.seed for r in many}.items()
    other = make_requests(PROBES, samples=3, seed=1, choices=False)
    assert {r.seed for r in many}.isdisjoint(r.seed for r in other)


def test_labels_of_choices_are_asked_for_once_per_probe() -> None:
    probe = Probe(id="c", prompt="Which?", choices=("red", "green", "blue"), gold="B", checker="choice")
    requests = make_requests([probe, PROBES[0]], samples=2, seed=0, choices=True)
    assert [r.choices for r in requests] == [("A", "B", "C"), (), (), ()]
    assert all(not r.choices for r in make_requests([probe], samples=2, seed=0, choices=False))


@pytest.mark.parametrize("dies_after", [0, 1, 3, 4, 5, 11, 19])
def test_a_killed_run_goes_on_with_whole_groups_and_ends_like_an_undisturbed_one(
    tmp_path: Path, dies_after: int
) -> None:
    undisturbed = run(Dice(), Dice(7))
    dying = Dice(dies_after=dies_after)
    with pytest.raises(RuntimeError, match="the power failed"):
        run(dying, Dice(7), tmp_path)
    again = Dice()
    resumed = run(again, Dice(7), tmp_path)
    assert resumed.responses == undisturbed.responses
    whole = dies_after // 4 * 4
    assert len(again.asked) == 20 - whole
    assert resumed.counters["from_cache"] == whole
    third = Dice()
    assert run(third, Dice(7), tmp_path).responses == undisturbed.responses
    assert not third.asked


def test_ctrl_c_keeps_what_was_finished_and_says_so(tmp_path: Path) -> None:
    stopped = run(Dice(), Dice(7, stops_after=6), tmp_path)
    assert stopped.stopped is not None and "6 of 20 samples of trained" in stopped.stopped
    assert not stopped.responses
    base = Dice()
    finished = run(base, Dice(7), tmp_path)
    assert not base.asked
    assert finished.responses == run(Dice(), Dice(7)).responses


def test_what_is_kept_depends_on_everything_that_shapes_a_text(tmp_path: Path) -> None:
    run(Dice(), Dice(), tmp_path)
    other_seed = Dice()
    run(other_seed, Dice(), tmp_path, seed=1)
    assert len(other_seed.asked) == 20
    other_decoding = Dice()
    other_decoding.facts = attrs.evolve(FACTS, decoding={"temperature": 0.5})
    run(other_decoding, Dice(), tmp_path)
    assert len(other_decoding.asked) == 20


def test_a_generator_that_answers_twice_is_refused(tmp_path: Path) -> None:
    class Twice(Dice):
        def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
            for completed in super().generate(requests):
                yield completed
                yield completed

    requests = make_requests(PROBES, samples=1, seed=0, choices=False)
    with pytest.raises(SubjectError, match="'p0/0' twice or unasked"):
        answer(requests, Twice(), Keeping(root=tmp_path, identity={}), lambda count: None)


def test_prompts_of_one_side_alone_are_told() -> None:
    class Forgetful(Dice):
        def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
            return super().generate([r for r in requests if r.probe != "p3"])

    generated = run(Dice(), Forgetful())
    (lost,) = [response for response in generated.responses if not response.paired]
    assert lost.probe.id == "p3" and lost.base and not lost.trained
    (note,) = generated.notes
    assert "1 prompts were answered by base alone" in note.message and "p3" in note.message


def test_what_was_written_can_be_read_back_as_recorded_outputs(tmp_path: Path) -> None:
    probes = (
        *PROBES,
        Probe(
            id="talk",
            prompt=(Message(role="system", content="Be brief."), Message(role="user", content="Hi")),
            gold="Hello",
            checker="exact",
            unsafe=False,
            requests=("list",),
        ),
    )
    asked = AskedSet(name="test", probes=probes, sha256=probes_digest(probes))
    generated = attrs.evolve(make_pass(), asking=Asking(sets=(asked,), samples=2)).run(
        (side("base", Dice()), side("trained", Dice(7)))
    )
    for payload in sample_files(generated.responses, generated.facts):
        path = tmp_path / f"{payload.id}{payload.suffix}"
        path.write_bytes(payload.content)
    registry = Registry.discover(only=())
    opened = [
        open_subject(parse_reference(f"recorded:{tmp_path / f'core.samples_{role}.jsonl.gz'}"), role, registry)  # type: ignore[arg-type]
        for role in ("base", "trained")
    ]
    asking = choose(Settings(), registry, opened, ())
    assert asking.samples == 2 and asking.prompts == len(probes)
    assert {probe.id: probe for probe in asking.sets[0].probes} == {probe.id: probe for probe in probes}
    again = attrs.evolve(make_pass(), asking=asking).run(
        tuple(
            Side(subject=attrs.evolve(side(role, Dice()).subject, kind="recorded"), opened=subject)
            for role, subject in zip(("base", "trained"), opened)
        )
    )
    assert {r.probe.id: (r.base, r.trained) for r in again.responses} == {
        r.probe.id: (r.base, r.trained) for r in generated.responses
    }


def write_recorded(path: Path, rows: Sequence[tuple[str, str, str]]) -> str:
    lines = [json.dumps({"prompt_id": i, "prompt": p, "sample": 0, "output": o}) for i, p, o in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"recorded:{path}"


def test_recorded_outputs_are_asked_their_own_prompts_alone(tmp_path: Path) -> None:
    registry = Registry.discover(only=())
    base = open_subject(
        parse_reference(write_recorded(tmp_path / "a.jsonl", [("1", "One?", "1"), ("2", "Two?", "2")])),
        "base",
        registry,
    )
    trained = open_subject(
        parse_reference(write_recorded(tmp_path / "b.jsonl", [("3", "Three?", "3"), ("2", "Two?", "2")])),
        "trained",
        registry,
    )
    asking = choose(Settings(), registry, (base, trained), ())
    assert [probe.id for probe in asking.sets[0].probes] == ["1", "2", "3"]
    with pytest.raises(ConfigError, match="leave out --suite"):
        choose(Settings(suite=("math",)), registry, (base, trained), ())
    other = open_subject(
        parse_reference(write_recorded(tmp_path / "c.jsonl", [("2", "Too?", "2")])), "trained", registry
    )
    with pytest.raises(SubjectError, match="'2' is not the same text"):
        choose(Settings(), registry, (base, other), ())


def test_a_prompt_asked_twice_is_one_unit() -> None:
    twice = Probe(id="again", prompt="Question 1?", suite="other")
    own = Probe(id="own", prompt="Question 2?", suite="other", group="mine")
    sets = [AskedSet(name=name, probes=probes, sha256="0") for name, probes in (("a", PROBES), ("b", (twice, own)))]
    first, second = one_unit_each(sets)
    assert first.probes[1].unit == second.probes[0].unit and first.sha256 == "0"
    assert second.probes[1] == own and first.probes[2] == PROBES[2]  # a group that was named stays
    assert len({probe.unit for probe in first.probes}) == len(PROBES)


class Lossy(Dice):
    """Gives no second sample of the first prompt, as an endpoint does that filters it."""

    def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
        for completed in super().generate(requests):
            if (completed.request.probe, completed.request.index) != ("p0", 1):
                yield completed


def test_a_missing_sample_takes_no_other_with_it() -> None:
    done = run(Lossy(), Dice(), samples=3)
    assert [sample.index for sample in done.responses[0].base] == [0, 2]
    assert [sample.index for sample in done.responses[0].trained] == [0, 1, 2]


def test_programs_run_once_and_only_where_that_is_allowed() -> None:
    class Programmer(Dice):
        def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
            for request in requests:
                body = "a + b" if self.bias else "a - b"
                text = f"```python\ndef add(a, b):\n    return {body}\n```"
                yield Completed(request=request, sample=Sample(index=request.index, text=text))

    probe = Probe(id="add", prompt="Write add(a, b).", checker="code", properties={"tests": "assert add(2, 3) == 5\n"})
    asked = AskedSet(name="test", probes=(probe,), sha256=probes_digest([probe]))
    fenced = attrs.evolve(make_pass(), asking=Asking(sets=(asked,), samples=1))
    sides = (side("base", Programmer(0)), side("trained", Programmer(1)))
    (unmarked,) = fenced.run(sides).responses
    assert not unmarked.base[0].labels and not unmarked.trained[0].labels
    (marked,) = attrs.evolve(fenced, allow_code_execution=True).run(sides).responses
    assert marked.base[0].labels["is_correct"] is False
    assert marked.trained[0].labels["is_correct"] is True
    assert marked.trained[0].labels["execution"] == "passed"


def test_prompts_without_room_are_not_asked_and_told() -> None:
    class Short(Dice):
        def unfit(self, requests: Sequence[Request]) -> dict[str, str]:
            return {"p3": "9 tokens, of 8 that the model reads"}

    trained = Short()
    generated = run(Dice(), trained)
    assert "p3" not in {request.probe for request in trained.asked}
    (lost,) = [response for response in generated.responses if not response.paired]
    assert lost.probe.id == "p3"
    assert "1 prompts do not fit trained" in generated.notes[0].message
    assert "'p3' (9 tokens, of 8 that the model reads)" in generated.notes[0].message

    class Deaf(Dice):
        def unfit(self, requests: Sequence[Request]) -> dict[str, str]:
            return {request.probe: "too long" for request in requests}

    with pytest.raises(SubjectError, match="trained: no prompt fits"):
        run(Dice(), Deaf())


def test_what_only_a_writing_model_can_obey_is_refused_where_both_sides_are_recorded(tmp_path: Path) -> None:
    registry = Registry.discover(only=())
    sides = [
        open_subject(parse_reference(write_recorded(tmp_path / f"{role}.jsonl", [("1", "One?", role)])), role, registry)  # type: ignore[arg-type]
        for role in ("base", "trained")
    ]
    with pytest.raises(ConfigError, match="leave out --samples"):
        choose(Settings(samples=3), registry, sides, ())
    with pytest.raises(ConfigError, match="nobody writes; leave out --temperature"):
        choose(Settings(temperature=0.5), registry, sides, ())
    assert choose(Settings(judge="third", dtype="float32", batch_size=2), registry, sides, ()).prompts == 1


def test_a_right_answer_of_one_side_counts_for_both_and_two_must_agree(tmp_path: Path) -> None:
    registry = Registry.discover(only=())

    def recorded(role: str, **gold: str) -> Any:
        row = {"prompt_id": "1", "prompt": "1 + 1?", "sample": 0, "output": "2", **gold}
        (tmp_path / f"{role}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
        return open_subject(parse_reference(f"recorded:{tmp_path / role}.jsonl"), role, registry)  # type: ignore[arg-type]

    trained = recorded("trained", gold="2", checker="number")
    (probe,) = choose(Settings(), registry, (recorded("base"), trained), ()).sets[0].probes
    assert (probe.gold, probe.checker) == ("2", "number")
    with pytest.raises(SubjectError, match="right answer '3' on one side and '2' on the other"):
        choose(Settings(), registry, (recorded("base", gold="3", checker="number"), trained), ())


def test_unnamed_sets_are_asked_in_part_and_named_ones_whole() -> None:
    registry = Registry.discover(only=("behaviour",))
    live = (Dice(), Dice())
    counts = {
        preset: {asked.name: len(asked.probes) for asked in choose(Settings(preset=preset), registry, live, ()).sets}  # type: ignore[arg-type]
        for preset in ("quick", "standard", "full")
    }
    assert len(counts["quick"]) == 7
    assert set(counts["quick"].values()) == {20} and set(counts["standard"].values()) == {60}
    assert min(counts["full"].values()) >= 120
    named = choose(Settings(preset="quick", suite=("math",)), registry, live, ())  # type: ignore[arg-type]
    assert named.prompts == counts["full"]["behaviour.math"]
