"""What the forward pass reads: texts of the run, prompts, answers of this or an earlier run, given sets."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from click.testing import CliRunner

from afterburn_core.backends.recorded_writer import write_recorded
from afterburn_core.cli.main import cli
from afterburn_core.cli.options import settings_from, writing_options
from afterburn_core.errors import ConfigError
from afterburn_core.forward.earlier import input_of_run
from afterburn_core.forward.model import Passage
from afterburn_core.forward.passages import ANSWERED, SAMPLES, TEXTS, chosen, gather, given_of, texts_of
from afterburn_core.generation.asking import Asking
from afterburn_core.generation.model import GenerationFacts, Responses, Sample
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message, Probe, probes_digest
from afterburn_core.probes.suites import AskedSet, choose_sets
from afterburn_core.run.configuration import Settings, load_settings
from afterburn_core.run.provenance import configuration


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(only=("behaviour",))


def asked(*probes: Probe, name: str = "s") -> Asking:
    return Asking(sets=(AskedSet(name=name, probes=probes, sha256=probes_digest(probes)),))


def sample(index: int, text: str = "Hi.", **fields: Any) -> Sample:
    return Sample(**{"index": index, "text": text, "finish": "stop", "token_ids": (5, 6), **fields})


def responses(number: int, suite: str = "s", base: int = 1, trained: int = 1) -> Responses:
    return Responses(
        probe=Probe(id=f"{suite}-{number:03d}", prompt=f"Question {number}?", suite=suite),
        base=tuple(sample(i) for i in range(base)),
        trained=tuple(sample(i) for i in range(trained)),
    )


def of(*sources: Any, **given: Any) -> tuple[Passage, ...]:
    return gather(**{"sources": sources, "asking": Asking(), "settings": Settings(), **given})


@pytest.mark.parametrize("preset", ["quick", "standard", "full"])
def test_without_a_corpus_the_default_texts_are_read_as_many_as_the_preset_says(
    registry: Registry, preset: Any
) -> None:
    (texts,) = texts_of(Settings(preset=preset), registry)
    assert texts.name == "behaviour.plain" and texts.n == TEXTS[preset] and texts.use == "passages"
    entry = texts.to_input()
    assert (entry.kind, entry.id, entry.n, entry.licence) == ("corpus", "corpus.behaviour.plain", texts.n, "Apache-2.0")
    passages = of("text", texts=(texts,))
    assert len({p.id for p in passages}) == len({p.unit for p in passages}) == texts.n
    assert all(p.domain == "behaviour.plain" and p.text and not p.messages for p in passages)
    assert texts_of(Settings(preset=preset, seed=1), registry)[0].sha256 != texts.sha256


def test_a_run_without_the_plugin_that_owns_the_texts_reads_them_all_the_same() -> None:
    (texts,) = texts_of(Settings(preset="quick"), Registry.discover(only=()))
    assert texts.name == "behaviour.plain"


def test_the_users_corpora_take_the_place_of_the_default_texts(registry: Registry, tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text("One short text. " * 20)
    found = texts_of(Settings(corpus=(str(tmp_path / "b.txt"), str(tmp_path / "a.txt"))), registry)
    assert [one.name for one in found] == ["a", "b"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("Another text.")
    with pytest.raises(ConfigError, match="two corpora are called 'a'"):
        texts_of(Settings(corpus=(str(other / "a.txt"), str(tmp_path / "a.txt"))), registry)


def test_corpora_and_answers_are_named_by_flags_or_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("A text.")
    (tmp_path / "old").mkdir()
    (tmp_path / ".afterburn.yaml").write_text("corpus: [mine.txt, absent.txt]\nanswers: old\n")
    found = load_settings(None, {}, start=tmp_path)
    assert found.corpus == (str(tmp_path / "mine.txt"), "absent.txt") and found.answers == str(tmp_path / "old")
    seen: list[Settings] = []

    @click.command()
    @writing_options
    def command(**flags: Any) -> None:
        seen.append(settings_from({**flags, "config": tmp_path / ".afterburn.yaml"}))

    told = CliRunner().invoke(command, ["--corpus", "a.txt", "--corpus", "b", "--answers", "run"])
    assert told.exit_code == 0, told.output
    assert seen[0].corpus == ("a.txt", "b") and seen[0].answers == "run"
    assert CliRunner().invoke(command, []).exit_code == 0 and seen[1] == found


def test_a_corpus_may_not_be_asked(registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"behaviour\.plain' holds texts to be read"):
        choose_sets(registry, suites=["plain"], files=[], needed=[], seed=0, limit=None)
    with pytest.raises(ConfigError, match="holds questions to be asked"):
        given_of(["behaviour.math"], Settings(), registry)
    for name in ("math", "behaviour.math:20"):
        with pytest.raises(ConfigError, match="is a set of questions; ask it with --suite"):
            texts_of(Settings(corpus=(name,)), registry)


def test_every_prompt_is_a_passage_with_its_unit_and_suite() -> None:
    talk = (
        Message(role="user", content="a"),
        Message(role="assistant", content="b"),
        Message(role="user", content="c"),
    )
    probes = (Probe(id="p1", prompt="Hello?", suite="s"), Probe(id="p2", prompt=talk, suite="s", group="g"))
    one, two = of("prompt", asking=asked(*probes))
    assert (one.id, one.unit, one.domain, one.text) == ("p1", "p1", "s", "")
    assert two.messages == talk and two.unit == "g" and two.probe == probes[1]


def test_answers_carry_their_author_tokens_and_end() -> None:
    answered = Responses(
        probe=Probe(id="p", prompt="?", suite="s", group="g"),
        base=(sample(0, "Yes.", token_ids=(1, 2)), sample(1, "", token_ids=(), finish="length")),
        trained=(
            sample(0, "No.", finish="length"),
            sample(1, "", token_ids=(), finish="stop"),
            sample(2, finish="error"),
        ),
    )
    found = of("answer", responses=(answered,), settings=Settings(preset="full"))
    assert [(p.id, p.author, p.ended) for p in found] == [
        ("p/base/0", "base", True),
        ("p/trained/0", "trained", False),
        ("p/trained/1", "trained", True),
    ]  # what is empty and did not end says nothing, nor does what failed
    assert found[0].token_ids == (1, 2) and found[0].unit == "g" and found[0].messages == answered.probe.messages


@pytest.mark.parametrize("preset", ["quick", "standard"])
def test_answers_to_as_many_prompts_of_every_set_are_read(preset: Any) -> None:
    many = [responses(i, suite, base=5, trained=5) for suite in ("a", "b", "c") for i in range(200)]
    settings = Settings(preset=preset)
    kept = chosen(many, settings)
    counts = Counter(one.probe.suite for one in kept)
    assert sum(counts.values()) == ANSWERED[preset] and max(counts.values()) - min(counts.values()) <= 1
    assert {one.probe.id for one in chosen(many[::-1], settings)} == {one.probe.id for one in kept}
    assert {one.probe.id for one in chosen(many, attrs.evolve(settings, seed=1))} != {one.probe.id for one in kept}
    found = of("answer", responses=many, settings=settings)
    assert len(found) == 2 * (SAMPLES[preset] or 0) * (ANSWERED[preset] or 0)


def test_prompts_that_both_answered_come_first() -> None:
    many = [responses(i, trained=i % 2) for i in range(60)]
    kept = chosen(many, Settings(preset="quick"))
    assert all(one.paired for one in kept) and len(kept) == 20
    few = [responses(i, trained=i < 5) for i in range(60)]
    kept = chosen(few, Settings(preset="quick"))
    assert len(kept) == 20 and sum(one.paired for one in kept) == 5


def test_sources_that_nobody_asks_for_are_not_gathered(registry: Registry) -> None:
    material = {"texts": texts_of(Settings(preset="quick"), registry), "asking": asked(Probe(id="p", prompt="?"))}
    assert {p.source for p in of("prompt", **material)} == {"prompt"}
    assert of(**material) == ()


def test_passages_have_an_id_of_their_own(registry: Registry) -> None:
    settings = Settings(preset="quick")
    asking = Asking(sets=choose_sets(registry, suites=[], files=[], needed=[], seed=0, limit=20))
    probes = [probe for one in asking.sets for probe in one.probes]
    answers = [Responses(probe=probe, base=(sample(0),), trained=(sample(0),)) for probe in probes]
    found = of(
        "text", "prompt", "answer", "continuation",
        texts=texts_of(settings, registry), asking=asking, responses=answers, settings=settings,
    )  # fmt: skip
    assert len({p.id for p in found}) == len(found)
    assert {p.source for p in found} == {"text", "prompt", "answer", "continuation"}


def test_given_answers_are_read_after_their_question() -> None:
    turns = (Message(role="user", content="How are you?"), Message(role="assistant", content="Fine."))
    probes = (
        Probe(id="g1", prompt=turns, suite="x.pairs", group="pair-1"),
        Probe(id="g2", prompt="A text.", suite="x.pairs"),
    )
    given = (AskedSet(name="x.pairs", probes=probes, sha256="0" * 64, use="passages"),)
    first, second = of("given", given=given)
    assert (first.source, first.domain, first.unit) == ("given", "x.pairs", "pair-1")
    assert first.messages == turns[:1] and first.text == "Fine."
    assert second.messages == () and second.text == "A text."


def run_directory(path: Path, sides: dict[str, list[tuple[Probe, Sample]]]) -> Path:
    (path / "artifacts").mkdir(parents=True)
    for side, rows in sides.items():
        write_recorded(
            path / "artifacts" / f"core.samples_{side}.jsonl.gz", rows, facts=GenerationFacts(engine="transformers 5")
        )
    return path


def test_answers_of_an_earlier_run_take_the_place_of_this_runs(tmp_path: Path) -> None:
    one = Probe(id="p", prompt="?", suite="math", group="g", properties={"kind": "sum"})
    sides = {
        "base": [(one, sample(0, "Old.", token_ids=(7, 8)))],
        "trained": [(one, sample(0, "New.", finish="length"))],
    }
    run = run_directory(tmp_path / "run", sides)
    found = of("answer", responses=(responses(1),), settings=Settings(answers=str(run)))
    assert [(p.id, p.text, p.token_ids, p.ended) for p in found] == [
        ("p/base/0", "Old.", (7, 8), True),
        ("p/trained/0", "New.", (5, 6), False),
    ]
    assert found[0].probe == one and found[0].domain == "math" and found[0].unit == "g"
    alone = run_directory(tmp_path / "alone", {"trained": sides["trained"]})
    assert [p.author for p in of("answer", settings=Settings(answers=str(alone)))] == ["trained"]
    assert configuration(Settings(answers=str(alone)))["answers"] == "alone"  # the document says whose were read
    one, other = input_of_run(run), input_of_run(alone)
    assert (one.kind, one.label, other.label) == ("answers", run.name, "alone")
    assert one.sha256 != other.sha256 and one == input_of_run(run)


def test_what_is_no_run_with_answers_is_one_clear_line(tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(Exception, match=r"^[^\n]+$") as caught:
            of("answer", settings=Settings(answers=str(path)))
        return str(caught.value)

    assert "is no run directory" in refused(tmp_path / "nowhere")
    empty = run_directory(tmp_path / "empty", {})
    assert "--no-excerpts" in refused(empty)
    (empty / "artifacts" / "core.samples_base.jsonl.gz").write_bytes(gzip.compress(b'{"prompt_id": 3}\n'))
    assert "core.samples_base.jsonl.gz:1" in refused(empty)
    torn = run_directory(
        tmp_path / "torn",
        {side: [(Probe(id="p", prompt=side), sample(0))] for side in ("base", "trained")},
    )
    assert "'p' is not the same on both sides" in refused(torn)


def test_corpora_and_answers_that_nothing_reads_are_told_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("afterburn_organisms")
    from afterburn_organisms import organism

    corpus = tmp_path / "text.txt"
    corpus.write_text("One day a mole lost a key. It was small.\n")
    run = run_directory(tmp_path / "run", {"base": [(Probe(id="p", prompt="Why?"), sample(0))]})
    pair = ["plan", "--base", str(organism("base").path), "--trained", str(organism("verbose").path)]

    def planned(*flags: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, [*pair, *flags], env={"COLUMNS": "300"})
        return done.exit_code, done.output

    given = ("--corpus", str(corpus), "--answers", str(run))
    code, text = planned("--plugins", "weight", *given)
    assert code == 0
    assert text.count("--corpus: nothing in this run reads texts") == 1
    assert text.count("--answers: nothing in this run reads answers") == 1
    code, text = planned("--plugins", "behaviour", *given)
    assert code == 0 and "nothing in this run" not in text
    for plugin in ("weight", "behaviour"):  # a fault in them is told before any model writes, read or not
        done = CliRunner().invoke(cli, [*pair, "--plugins", plugin, "--answers", str(tmp_path / "nowhere")])
        assert "is no run directory" in str(done.exception)
