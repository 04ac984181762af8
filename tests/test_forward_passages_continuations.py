"""Given continuations: which probes have them, how options change places, and how files of pairs are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from afterburn_core.errors import ProbeError
from afterburn_core.forward.continuations import CHOICES, continuation_passages, continued
from afterburn_core.forward.passages import gather
from afterburn_core.generation.asking import Asking
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.continuations import listed_order, preferred_of, swapped_prompt
from afterburn_core.probes.files import read_probes, write_probes
from afterburn_core.probes.model import Message, Probe, probes_digest
from afterburn_core.probes.suites import AskedSet, choose_sets
from afterburn_core.run.configuration import Settings


def choice(prompt: str, *options: str, gold: str = "A", **fields: Any) -> Probe:
    return Probe(**{"id": "q", "prompt": prompt, "choices": options, "gold": gold, "checker": "choice", **fields})


def pair(prompt: str, *texts: str, preferred: int | None = 0, name: str = "q") -> Probe:
    said: dict[str, Any] = {"continuations": list(texts)}
    return Probe(id=name, prompt=prompt, properties=said if preferred is None else said | {"preferred": preferred})


def turned(probe: Probe) -> str | None:
    messages = swapped_prompt(probe)
    return None if messages is None else messages[-1].content


@pytest.mark.parametrize(
    ("probe", "wanted"),
    [
        (choice("Which?\nA) red\nB) blue", "red", "blue"), "Which?\nA) blue\nB) red"),
        (choice("Which?\n(A) 1\n(B) 12\n(C) 2", "1", "12", "2"), "Which?\n(A) 2\n(B) 12\n(C) 1"),
        (choice("A. one two\nB. two\nSay the letter.", "one two", "two"), "A. two\nB. one two\nSay the letter."),
        (choice("Pick: A: x, B: y.", "x", "y"), "Pick: A: y, B: x."),
        (choice("1. tea\n2. coffee\nWhich?", "tea", "coffee"), "1. coffee\n2. tea\nWhich?"),
        # the option's text elsewhere in the question stays where it is
        (
            choice("Is red darker than blue?\nA) red\nB) blue", "red", "blue"),
            "Is red darker than blue?\nA) blue\nB) red",
        ),
        (pair("Would you rather have tea or coffee?", "coffee", "tea"), "Would you rather have coffee or tea?"),
        (pair("Would you rather have tea?", "Yes, tea.", "No."), None),
        (pair("tea, tea or coffee?", "tea", "coffee"), None),
        (pair("a teapot or a pot?", "pot", "teapot"), "a pot or a teapot?"),
        (choice("Which of the two?", "red", "blue"), None),
        (choice("B) red\nA) blue", "red", "blue"), "B) blue\nA) red"),
    ],
)
def test_options_change_places_where_the_prompt_lists_them(probe: Probe, wanted: str | None) -> None:
    assert turned(probe) == wanted
    if wanted is not None:
        again = Probe(id="q", prompt=wanted, choices=tuple(reversed(probe.choices)), properties=probe.properties)
        assert turned(again) == probe.text
        assert listed_order(probe) is not None


def test_only_the_last_turn_of_a_conversation_changes() -> None:
    talk = (Message(role="system", content="red blue"), Message(role="user", content="A) red\nB) blue"))
    probe = Probe(id="q", prompt=talk, choices=("red", "blue"))
    messages = swapped_prompt(probe)
    assert messages is not None and messages[0] == talk[0] and messages[1].content == "A) blue\nB) red"


def test_the_preferred_one_is_that_of_the_gold_letter_or_the_one_named() -> None:
    assert preferred_of(choice("?", "x", "y", "z", gold="C")) == 2
    assert preferred_of(Probe(id="q", prompt="?", choices=("x", "y"))) is None
    assert preferred_of(pair("?", "x", "y", preferred=1)) == 1
    assert preferred_of(pair("?", "x", "y", preferred=None)) is None


def test_every_continuation_is_a_passage_in_both_orders() -> None:
    found = list(continuation_passages(choice("Which?\nA) red\nB) blue", "red", "blue", suite="s", group="g")))
    assert [(p.id, p.text, p.continuation, p.swapped) for p in found] == [
        ("q/continuation/0", "red", 0, False),
        ("q/continuation/1", "blue", 1, False),
        ("q/continuation/0/swapped", "red", 0, True),
        ("q/continuation/1/swapped", "blue", 1, True),
    ]
    assert all((p.source, p.domain, p.unit) == ("continuation", "s", "g") for p in found)
    assert found[0].messages[-1].content.endswith("A) red\nB) blue")
    assert found[2].messages[-1].content.endswith("A) blue\nB) red")
    assert not list(continuation_passages(Probe(id="q", prompt="?")))


def test_few_multiple_choices_are_read_and_all_pairs() -> None:
    registry = Registry.discover(only=("behaviour",))
    sets = choose_sets(registry, suites=[], files=[], needed=[], seed=0, limit=60)
    pairs = tuple(pair("?", "x", "y", name=f"w{i}") for i in range(50))
    mine = AskedSet(name="mine", probes=pairs, sha256=probes_digest(pairs))
    probes = [probe for one in (*sets, mine) for probe in one.probes]
    kept = continued(probes, Settings(preset="standard"))
    assert len(kept) == 50 + (CHOICES["standard"] or 0)
    assert len({probe.suite for probe in kept if probe.choices}) > 2
    found = gather(sources=("continuation",), asking=Asking(sets=(*sets, mine)), settings=Settings())
    assert {p.probe.id for p in found if p.probe} == {probe.id for probe in kept}
    assert all(p.swapped for p in found if p.id.endswith("/swapped")) and any(p.swapped for p in found)


def test_our_suites_list_their_options_so_that_both_orders_can_be_read() -> None:
    registry = Registry.discover(only=("behaviour",))
    sets = choose_sets(registry, suites=[], files=[], needed=[], seed=3, limit=None)
    listing = [probe for one in sets for probe in one.probes if probe.choices]
    assert len(listing) > 100
    for probe in listing:
        assert listed_order(probe) == tuple(range(len(probe.choices)))


def test_pairs_are_written_in_files_of_probes(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write_probes(path, [pair("?", "x", "y", name="a"), pair("!", "x", "y", preferred=None, name="b")])
    assert [preferred_of(probe) for probe in read_probes(path).probes] == [0, None]


def test_chosen_and_rejected_of_data_sets_are_pairs(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hi."}]
    other = [said[0], {"role": "assistant", "content": "Go away."}]
    rows = [{"prompt": "Q?", "chosen": "Good.", "rejected": "Bad."}, {"chosen": said, "rejected": other}]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    first, second = read_probes(tmp_path / "list.json").probes
    assert first.properties == {"continuations": ["Good.", "Bad."], "preferred": 0}
    assert second.messages[0].content == "Hello?" and second.properties["continuations"] == ["Hi.", "Go away."]


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"continuations": "x"}, "at least two texts"),
        ({"continuations": ["x"]}, "at least two texts"),
        ({"continuations": ["x", ""]}, r"continuations\[1\] is ''; write a text"),
        ({"continuations": ["x", 3]}, r"continuations\[1\] is 3; write a text"),
        ({"continuations": ["x", "x"]}, "a text twice"),
        ({"continuations": ["x", "y"], "preferred": 2}, "0 to 1"),
        ({"continuations": ["x", "y"], "preferred": "x"}, "0 to 1"),
        ({"continuations": ["x", "y"], "preferred": True}, "0 to 1"),
    ],
)
def test_malformed_pairs_are_refused_by_file_and_line(tmp_path: Path, properties: dict[str, Any], told: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"id": "ok", "prompt": "?"}\n' + json.dumps({"id": "a", "prompt": "?", "properties": properties}))
    with pytest.raises(ProbeError, match=rf"pairs\.jsonl:2: properties\..*{told}"):
        read_probes(path)
