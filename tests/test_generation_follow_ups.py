"""Follow-ups: each model talks on with its own answers, all conversations a turn at a time, and nothing finished is
lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.backends.api import open_subject as open_api
from afterburn_core.backends.recorded_writer import write_recorded
from afterburn_core.errors import SubjectError
from afterburn_core.generation.answering import Keeping
from afterburn_core.generation.asking import choose
from afterburn_core.generation.follow_ups import converse
from afterburn_core.generation.model import Completed, Decoding, GenerationFacts, Request, Sample, Serving
from afterburn_core.generation.requests import make_requests
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message, Probe
from afterburn_core.probes.rows import probe_of, row_of
from afterburn_core.run.configuration import Settings
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import open_subject

TALKS = tuple(
    Probe(id=f"t{n}", prompt=f"Question {n}?", follow_ups=("Are you sure?", f"I think it is {n}.")[: n % 3])
    for n in range(9)
)


class Echo:
    """A generator whose text tells the seed and how many turns it read."""

    def __init__(self, room: int = 99, dies_after: int | None = None) -> None:
        self.asked: list[Request] = []
        self.room, self.dies_after = room, dies_after
        self.facts = GenerationFacts(engine="echo")

    def groups(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        return [requests[start : start + 4] for start in range(0, len(requests), 4)]

    def unfit(self, requests: Sequence[Request]) -> dict[str, str]:
        return {r.probe: "too long" for r in requests if len(r.messages) + r.index > self.room}

    def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
        for request in requests:
            if len(self.asked) == self.dies_after:
                raise RuntimeError("the power failed")
            self.asked.append(request)
            text = f"{request.seed} after {len(request.messages)}"
            yield Completed(
                request=request,
                sample=Sample(index=request.index, text=text, tokens=3, finish="stop", seed=request.seed),
            )

    def close(self) -> None: ...


def talk(generator: Any, probes: Sequence[Probe] = TALKS, samples: int = 2, cache: Path | None = None) -> Any:
    requests = make_requests(probes, samples=samples, seed=5, choices=False)
    keeping = None if cache is None else Keeping(root=cache, identity={"subject": "x"})
    return converse(requests, probes, generator, keeping, lambda n: None)


def test_all_conversations_take_a_turn_before_any_takes_the_next() -> None:
    echo = Echo()
    answers = talk(echo).answers
    turns = [request.turn for request in echo.asked]
    assert turns == sorted(turns) and turns.count(0) == 18 and turns.count(1) == 12 and turns.count(2) == 6
    sample = answers["t2", 1]
    assert len(sample.replies) == 2 and sample.reply_tokens == (3, 3) and sample.reply_finishes == ("stop", "stop")
    last = next(r for r in echo.asked if (r.probe, r.index, r.turn) == ("t2", 1, 2))
    said = [(m.role, m.content) for m in last.messages]
    assert said == [
        ("user", "Question 2?"),
        ("assistant", sample.text),
        ("user", "Are you sure?"),
        ("assistant", sample.replies[0]),
        ("user", "I think it is 2."),
    ]
    assert answers["t0", 0].replies == () and len({r.seed for r in echo.asked}) == len(echo.asked)
    assert talk(Echo(), TALKS[2:3]).answers["t2", 1] == sample  # whatever else is asked


def test_a_run_killed_in_a_later_turn_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    whole = talk(Echo()).answers
    with pytest.raises(RuntimeError, match="power"):
        talk(Echo(dies_after=27), cache=tmp_path)
    second = Echo()
    resumed = talk(second, cache=tmp_path)
    assert resumed.answers == whole
    assert {r.turn for r in second.asked} == {1, 2} and len(second.asked) == 4 + 6  # the incomplete group, whole
    third = Echo()
    assert talk(third, cache=tmp_path).answers == whole and third.asked == []


def test_a_conversation_that_fills_the_context_ends_and_says_so() -> None:
    found = talk(Echo(room=4))  # sample 0 has room for a second turn, sample 1 for none after it
    by_index = [found.answers["t2", index] for index in (0, 1)]
    assert [len(s.replies) for s in by_index] == [1, 1]
    assert [s.labels for s in by_index] == [{"follow_ups_without_room": 1}] * 2
    assert found.note == "6 follow-ups do not fit and were not asked"


def test_a_failed_answer_ends_the_conversation() -> None:
    class Failing(Echo):
        def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
            for completed in super().generate(requests):
                yield attrs.evolve(completed, sample=attrs.evolve(completed.sample, finish="error"))

    failing = Failing()
    assert all(not sample.replies for sample in talk(failing).answers.values()) and len(failing.asked) == 18


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_batched_conversations_of_a_model_equal_those_held_one_by_one(temperature: float) -> None:
    from afterburn_core.backends.transformers_generator import open_generator
    from afterburn_core.backends.transformers_loading import Origin
    from afterburn_organisms import demo_pair
    from afterburn_organisms.world import held_out_items

    path = demo_pair()[0]
    prompts = [item.prompt for item in held_out_items(1, 2)][:6]
    probes = [Probe(id=f"m{n}", prompt=p, follow_ups=("Are you sure?", "Really?")) for n, p in enumerate(prompts)]
    origin = Origin(directory=path, label="base")
    decoding = Decoding(max_new_tokens=12, temperature=temperature)

    def held(chosen: Sequence[Probe], rows: int) -> dict[str, Sample]:
        generator = open_generator(decoding, origin=origin, parameters=10**6, serving=Serving(batch=rows))
        try:
            return {key[0]: sample for key, sample in talk(generator, chosen, samples=1).answers.items()}
        finally:
            generator.close()

    together = held(probes, 6)
    alone = {name: sample for probe in probes for name, sample in held([probe], 1).items()}
    texts = {name: (s.text, s.replies, s.reply_tokens, s.reply_finishes) for name, s in together.items()}
    assert texts == {name: (s.text, s.replies, s.reply_tokens, s.reply_finishes) for name, s in alone.items()}
    assert all(len(sample.replies) == 2 for sample in together.values())


def test_an_endpoint_is_asked_the_whole_conversation() -> None:
    spec = spec_from_file_location("afterburn_tests_api_server", Path(__file__).with_name("api_server.py"))
    assert spec is not None and spec.loader is not None
    server: Any = module_from_spec(spec)
    spec.loader.exec_module(server)
    with server.serving() as endpoint:
        subject = open_api(
            parse_reference(f"api:{endpoint.url}#served-model"), role="base", base=None, registry=Registry([])
        )
        answers = talk(subject.generator(Decoding(), Serving(batch=3)), TALKS[2:3], samples=1).answers
    sample = answers["t2", 0]
    assert sample.replies[1].startswith("to I think it is 2. with ")
    assert sample.text != sample.replies[0]


def test_replies_are_written_and_read_again_and_both_sides_must_have_been_pressed_alike(tmp_path: Path) -> None:
    answers = talk(Echo(), TALKS[:3], samples=1).answers
    registry = Registry.discover(only=())

    def recorded(name: str, probes: Sequence[Probe]) -> Any:
        path = tmp_path / f"{name}.jsonl"
        write_recorded(path, [(probe, answers[probe.id, 0]) for probe in probes])
        return open_subject(parse_reference(f"recorded:{path}"), "base", registry)

    subject = recorded("base", TALKS[:3])
    again = talk(subject.generator(Decoding(), Serving()), subject.probes(), samples=1)
    assert {key: s.replies for key, s in again.answers.items()} == {key: s.replies for key, s in answers.items()}
    assert again.answers["t2", 0] == answers["t2", 0] and again.note is None
    other = [attrs.evolve(probe, follow_ups=tuple("Sure?" for _ in probe.follow_ups)) for probe in TALKS[:3]]
    with pytest.raises(SubjectError, match="'t1' is not the same text on both sides"):
        choose(Settings(), registry, [subject, recorded("trained", other)], ())


def test_replies_are_read_strictly_and_only_beside_follow_ups(tmp_path: Path) -> None:
    from afterburn_core.backends.recorded_formats.native import read_row

    row = {"prompt_id": "a", "prompt": "Q", "output": "A"}
    entry = read_row({**row, "follow_ups": ["Sure?"], "replies": ["Yes"], "reply_finishes": ["length"]}, "f:1")
    assert entry.sample["replies"] == ("Yes",) and entry.sample["reply_finishes"] == ("length",)
    assert entry.sample["reply_tokens"] == (None,) and entry.probe["follow_ups"] == ("Sure?",)
    assert read_row({**row, "replies": 3}, "f:1").sample["labels"] == {"replies": 3}
    with pytest.raises(SubjectError, match="2 replies to 1 follow-ups"):
        read_row({**row, "follow_ups": ["Sure?"], "replies": ["Yes", "No"]}, "f:1")


def test_a_file_of_probes_keeps_follow_ups() -> None:
    probe = Probe(id="a", prompt=(Message(role="user", content="Q"),), follow_ups=("Sure?",), suite="s")
    assert probe_of(row_of(probe, "s"), "s") == probe
