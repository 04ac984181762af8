"""Constraints on the form of an answer: each kind kept and broken, faults in words, and their way through files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from afterburn_core.errors import ConfigError, ProbeError
from afterburn_core.probes import constraints as module
from afterburn_core.probes.checkers import check, extract
from afterburn_core.probes.constraints import KINDS, broken, constraint_faults
from afterburn_core.probes.files import read_probes, write_probes
from afterburn_core.probes.languages import LANGUAGES, language_of
from afterburn_core.probes.model import Probe

CASES: list[tuple[dict[str, Any], str, str]] = [  # constraint, an answer that keeps it, one that breaks it
    ({"kind": "words", "count": 4}, "It's a well-known fact", "It is a fact, really"),
    ({"kind": "words", "min": 2, "max": 3}, "two words", "one"),
    ({"kind": "sentences", "count": 2}, "Mr. Ode left at 5.30. Why?", "He left."),
    ({"kind": "paragraphs", "count": 2}, "a\nb\n \nc", "a\nb"),
    ({"kind": "lines", "max": 2}, "a\n\nb", "a\nb\nc"),
    ({"kind": "bullets", "count": 2}, "Intro:\n- a\n* b", "-a\n-b"),
    ({"kind": "numbered", "count": 2}, "1. a\n   more of it\n2. b", "1. a\n3. b"),
    ({"kind": "bold", "count": 1}, "a **b** c", "a *b* c"),
    ({"kind": "parts", "separator": "---", "count": 2}, "a\n---\nb", "a\n---"),
    ({"kind": "starts", "text": "My advice:"}, "**My advice:** wait", "Here is my advice: wait"),
    ({"kind": "ends", "text": "Any questions?"}, "Wait.  Any\nquestions?", "Any questions? Wait."),
    ({"kind": "equals", "text": "Oh, well."}, ' "Oh, well." ', "oh, well."),
    ({"kind": "lowercase"}, "a 7 ß", "a B"),
    ({"kind": "uppercase"}, "A 7!", "7"),
    ({"kind": "without", "characters": ",;"}, "a. b", "a; b"),
    ({"kind": "include", "words": ["sea"], "times": 2}, "Sea, sea.", "Sea, seas."),
    ({"kind": "exclude", "words": ["ice cream"]}, "ice and cream", "Ice cream!"),
    ({"kind": "json", "keys": ["a", "b"]}, '```json\n{"b": [1], "a": null}\n```', '[{"a": 1, "b": 2}]'),
    ({"kind": "language", "code": "it"}, "Il pane è sul tavolo della nonna.", "Le pain est sur la table."),
]


def probe(*constraints: Any) -> Probe:
    return Probe(id="a", prompt="?", checker="constraints", properties={"constraints": list(constraints)})


@pytest.mark.parametrize(("constraint", "kept", "breaks"), CASES, ids=[c["kind"] for c, _, _ in CASES])
def test_each_kind_is_kept_and_broken(constraint: dict[str, Any], kept: str, breaks: str) -> None:
    assert check(probe(constraint), kept) is True
    assert check(probe(constraint), breaks) is False
    assert check(probe(constraint), f"<think>{breaks}</think>{kept}") is True
    assert check(probe(constraint), "") is False
    assert check(probe(constraint), f"<think>{kept}") is False


def test_every_kind_has_cases_and_a_line_in_the_table(root: Path) -> None:
    assert {case["kind"] for case, _, _ in CASES} == set(KINDS)
    assert set(re.findall(r"^\| `(\w+)`", str(module.__doc__), re.M)) == set(KINDS)
    section = (root / "docs" / "probes.md").read_text(encoding="utf-8").split("## Constraints")[1].split("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(KINDS)
    assert all(f"{code}" in section for code in LANGUAGES)


def test_all_constraints_must_be_kept_and_the_broken_ones_are_named() -> None:
    wanted = [{"kind": "bullets", "count": 2}, {"kind": "lowercase"}, {"kind": "words", "max": 3}]
    assert broken(wanted, "- one\n- two") == []
    assert broken(wanted, "- One\n- two three four") == ["lowercase", "words"]
    assert broken(wanted, " ") == ["bullets", "lowercase", "words"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "write a list"),
        ([], "write a list"),
        ([3], "constraints[0] is 3; write an object"),
        ([{"kind": "wrds"}], "there are: words, sentences"),
        ([{"kind": "words"}], "write count, min or max"),
        ([{"kind": "words", "max": -1}], "write a whole number"),
        ([{"kind": "words", "max": True}], "write a whole number"),
        ([{"kind": "ends"}], "has no text; ends needs it"),
        ([{"kind": "ends", "text": " "}], "write a text"),
        ([{"kind": "lowercase", "text": "x"}], "lowercase takes none"),
        ([{"kind": "json", "keys": []}], "write a list of texts"),
        ([{"kind": "lowercase"}, {"kind": "language", "code": "xx"}], "constraints[1] has code = 'xx'; write one of"),
    ],
)
def test_faults_are_told(value: Any, told: str, tmp_path: Path) -> None:
    (fault,) = constraint_faults(value)
    assert told in fault and ";" in fault
    asked = Probe(id="a", prompt="?", checker="constraints", properties={"constraints": value})
    if value is None:
        assert check(asked, "x") is None
    else:
        with pytest.raises(ConfigError, match="probe 'a': constraints"):
            check(asked, "x")
    with pytest.raises(ProbeError, match=re.escape(told)):
        write_probes(tmp_path / "a.jsonl", [asked])


def test_constraints_go_through_a_file(tmp_path: Path) -> None:
    asked = probe({"kind": "words", "max": 3}, {"kind": "exclude", "words": ["no"]})
    write_probes(tmp_path / "a.jsonl", [asked])
    (read,) = read_probes(tmp_path / "a.jsonl").probes
    assert read.properties == asked.properties and read.checker == "constraints" and read.gold is None
    assert extract(read, "Some words") == "some words"


def test_the_schema_wants_constraints_where_the_checker_is_named(root: Path) -> None:
    schema = json.loads((root / "schemas" / "probe-set-1.0.json").read_text(encoding="utf-8"))
    validator = Draft202012Validator(schema)
    row = {"id": "a", "prompt": "?", "checker": "constraints"}
    good = {**row, "properties": {"constraints": [{"kind": "lowercase"}]}}
    assert validator.is_valid(good)
    for bad in ({}, {"constraints": []}, {"constraints": "lowercase"}, {"constraints": [{"text": "x"}]}):
        assert not validator.is_valid({**row, "properties": bad})
    assert not validator.is_valid(row)


TEXTS = {
    "de": "Der Zug fährt um acht Uhr ab, und wir sind noch nicht da.",
    "en": "The train leaves at eight, and we are not there yet.",
    "es": "El tren sale a las ocho y no estamos en la estación.",
    "fr": "Le train part à huit heures et nous ne sommes pas là.",
    "it": "Il treno parte alle otto e noi non siamo alla stazione.",
    "nl": "De trein vertrekt om acht uur en wij zijn er nog niet.",
    "pt": "O trem parte às oito e nós não estamos na estação.",
}


def test_languages_are_told_apart() -> None:
    assert {code: language_of(text) for code, text in TEXTS.items()} == {code: code for code in LANGUAGES}
    assert language_of("Paris") is None and language_of("") is None
