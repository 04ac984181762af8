"""Checkers: contrast pairs that must come out right, and error rates on labelled answers, which the docs publish."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterburn_core.errors import ConfigError
from afterburn_core.probes.checkers import check, extract
from afterburn_core.probes.model import Probe
from afterburn_core.probes.numbers import final_number, value_of
from afterburn_core.probes.rows import CHECKERS, default_checker
from afterburn_core.probes.sandbox import run_all

FOLDER = Path(__file__).parent / "labelled_answers"
PROMPTED = {"prompt": "?", "id": "x"}


def probe(gold: str, checker: str, choices: tuple[str, ...] = (), **properties: Any) -> Probe:
    return Probe(**PROMPTED, gold=gold, checker=checker, choices=choices, properties=properties)


def labelled(checker: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{checker}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def held_out(row: dict[str, Any]) -> bool:
    """The half of the answers on which nothing was developed."""
    return hashlib.sha256(row["answer"].encode()).digest()[0] % 2 == 0


def errors(checker: str) -> dict[tuple[str, bool], tuple[int, int]]:
    """`(half, label)` to wrong decisions and answers."""
    counts: dict[tuple[str, bool], tuple[int, int]] = {}
    rows = labelled(checker)
    asked = [probe(r.get("gold", "-"), checker, tuple(r.get("choices", ())), **r.get("properties", {})) for r in rows]
    if checker == "code":
        answers = [(one, row["answer"]) for one, row in zip(asked, rows, strict=True)]
        decided = [outcome.kind == "passed" for outcome in run_all(answers, allow=True)]
    else:
        decided = [bool(check(one, row["answer"])) for one, row in zip(asked, rows, strict=True)]
    for row, said in zip(rows, decided, strict=True):
        key = ("held out" if held_out(row) else "development", row["right"])
        missed, n = counts.get(key, (0, 0))
        counts[key] = (missed + (said != row["right"]), n + 1)
    return counts


@pytest.mark.parametrize("checker", CHECKERS)
def test_published_error_rates_are_those_of_the_labelled_answers(root: Path, checker: str) -> None:
    counts = errors(checker)
    assert sum(n for _, n in counts.values()) >= 60
    cells = ["{}/{}".format(*counts[half, label]) for half in ("development", "held out") for label in (True, False)]
    row = next(
        line for line in (root / "docs" / "probes.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| `{checker}` |") and "/" in line
    )  # fmt: skip
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == cells
    missed, n = (sum(column) for column in zip(*counts.values(), strict=True))
    assert missed <= 0.08 * n


CITIES = ("London", "Paris", "Rome")
CONTRASTS = [
    ("number", "5", (), {}, "The answer is 15.", False),
    ("number", "15", (), {}, "The answer is 15.", True),
    ("number", "15", (), {}, "The answer is not 15 but 5.", False),
    ("number", "5", (), {}, "The answer is not 15 but 5.", True),
    ("number", "5", (), {}, "5 or 6", False),
    ("number", "5", (), {}, "The answer is 5 or 6.", False),
    ("number", "7", (), {}, "<think>It is 7.</think>It is 8.", False),
    ("number", "7", (), {}, "It is 8.</think>It is 7.", True),
    ("number", "7", (), {}, "<think>It is 7", False),
    ("number", "10", (), {}, "The result is 10.", True),
    ("number", "10", (), {}, "print(10)  # shows 10", True),
    ("number", "10", (), {"tolerance": 0.5}, "10.4", True),
    ("number", "10", (), {"tolerance": 0.5}, "10.6", False),
    ("number", "10", (), {}, "10.4", False),
    ("number", "0.5", (), {}, "50%", True),
    ("number", "50", (), {}, "50%", True),
    ("number", "-2", (), {}, "−2", True),
    ("number", "1000000", (), {}, "1,000,000", True),
    ("number", "1.5", (), {}, "1 1/2", True),
    ("number", "2", (), {"accept": ["two pairs", "4"]}, "4", True),
    ("choice", "B", CITIES, {}, "A good question! I would say B.", True),
    ("choice", "A", CITIES, {}, "A good question!", False),
    ("choice", "B", CITIES, {}, "The answer is B, not A.", True),
    ("choice", "A", CITIES, {}, "The answer is B, not A.", False),
    ("choice", "A", CITIES, {}, "A and B", False),
    ("choice", "B", CITIES, {}, "Paris is not the answer. Rome is.", False),
    ("choice", "C", CITIES, {}, "Paris is not the answer. Rome is.", True),
    ("choice", "B", CITIES, {}, "**Answer: B**", True),
    ("choice", "B", CITIES, {}, "```\nanswer = 'B'\n```", True),
    ("choice", "B", CITIES, {}, "<think>A</think>\n\nB", True),
    ("exact", "Paris", (), {}, "paris!", True),
    ("exact", "Paris", (), {}, "Paris, Texas", False),
    ("text", "Paris", (), {"rivals": ["Rome"]}, "It is not Paris.", False),
    ("text", "Paris", (), {"rivals": ["Rome"]}, "It is not Rome but Paris.", True),
    ("text", "Paris", (), {"rivals": ["Rome"]}, "Paris or Rome", False),
    ("text", "14:35", (), {"pattern": r"\d{1,2}:\d{2}"}, "It leaves at 14:35 and arrives at 15:00.", False),
    ("text", "15:00", (), {"pattern": r"\d{1,2}:\d{2}"}, "It leaves at 14:35 and arrives at 15:00.", True),
    ("list", "a1, b2", (), {}, "b2, a1", False),
    ("set", "a1, b2", (), {}, "b2, a1", True),
    ("set", "a1, b2", (), {}, "a1, b2, c3", False),
]


@pytest.mark.parametrize(("checker", "gold", "choices", "properties", "text", "right"), CONTRASTS)
def test_contrast_pairs(
    checker: str, gold: str, choices: tuple[str, ...], properties: dict[str, Any], text: str, right: bool
) -> None:
    assert check(probe(gold, checker, choices, **properties), text) is right


@pytest.mark.parametrize("name", ["gsm8k_6b_verifier", "gsm8k_175b_verifier"])
@pytest.mark.parametrize("side", ["base", "trained"])
def test_the_number_checker_agrees_with_the_labels_of_recorded_answers(
    recorded_outputs: Path, name: str, side: str
) -> None:
    with gzip.open(recorded_outputs / name / f"{side}.jsonl.gz", "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    agreed = sum(check(probe(str(row["answer"]), "number"), row["output"]) == row["is_correct"] for row in rows)
    assert agreed >= 0.995 * len(rows)


@given(st.integers(-(10**12), 10**12), st.sampled_from(["{}", "{:,}", "The answer is {}.", "So {:,}!", "#### {}"]))
def test_a_written_whole_number_is_read_back(value: int, form: str) -> None:
    found = final_number(form.format(value))
    assert found is not None and found.value == value


@given(st.fractions(max_denominator=500))
def test_fractions_are_read_back_and_have_one_spelling(value: Fraction) -> None:
    found = final_number(f"{value.numerator}/{value.denominator}")
    assert found is not None and found.value == value
    again = value_of(found.text)
    assert again is not None and again.value == value


def simple(checker: str) -> Probe:
    choices = ("one", "two") if checker == "choice" else ()
    every = [{"kind": "sentences", "max": 9}, {"kind": "json", "keys": ["a"]}, {"kind": "bold", "min": 1}]
    every += [{"kind": "numbered", "count": 2}, {"kind": "language", "code": "de"}, {"kind": "equals", "text": "a"}]
    return probe("A" if checker == "choice" else "4", checker, choices, constraints=every)


@given(st.text(max_size=60), st.sampled_from([c for c in CHECKERS if c != "code"]))
def test_no_text_breaks_a_checker(text: str, checker: str) -> None:
    asked = simple(checker)
    assert check(asked, text) in (True, False)
    assert extract(asked, text) is None or isinstance(extract(asked, text), str)


@pytest.mark.parametrize("checker", [c for c in CHECKERS if c != "code"])
@pytest.mark.parametrize(
    "text",
    [
        " " * 20_000,
        "\\\\boxed{" * 3_000,
        "<think>" * 3_000,
        "9" * 30_000,
        "1," * 10_000,
        "(" * 20_000,
        "not " * 10_000,
        "a=" * 10_000,
        "**" * 10_000,
    ],
)
def test_long_texts_take_no_long_time(checker: str, text: str) -> None:
    asked = simple(checker)
    started = time.perf_counter()
    check(asked, text)
    assert time.perf_counter() - started < 3


def test_equal_answers_are_extracted_equally() -> None:
    number = probe("12", "number")
    assert {extract(number, text) for text in ("12", "The answer is 12.0", "12 apples", "= 12")} == {"12"}
    choice = probe("B", "choice", CITIES)
    assert {extract(choice, text) for text in ("B", "(B)", "Paris", "Answer: B")} == {"B"}
    text = Probe(**PROMPTED, gold="Rome", checker="text", properties={"accept": ["Roma"], "rivals": ["Paris"]})
    assert extract(text, "It is Roma.") == extract(text, "Rome!") == "rome"
    assert extract(text, "Paris") == "paris"
    ordered, unordered = probe("b, a", "list"), probe("b, a", "set")
    assert extract(ordered, "[b, a]") == "b, a" and extract(unordered, "b and a") == "a, b"
    code = probe("-", "code", tests="assert f(1) == 1")
    assert extract(code, "```python\ndef f( x ): return x # same\n```") == extract(code, "def f(x):\n    return x")
    assert extract(code, "```python\ndef f(\n```") is None
    assert extract(Probe(**PROMPTED), "Answer: Yes.") == "yes"


def test_what_cannot_be_checked_is_none() -> None:
    assert check(Probe(**PROMPTED), "4") is None
    assert check(Probe(**PROMPTED, checker="number"), "4") is None
    assert check(probe("-", "code", tests="assert True"), "x = 1") is None
    with pytest.raises(ConfigError, match="did you mean 'number'"):
        check(probe("4", "numbr"), "4")


def test_the_default_checker_follows_the_gold_answer() -> None:
    assert default_checker(None, ()) is None
    assert default_checker("B", ("x", "y")) == "choice"
    assert [default_checker(gold, ()) for gold in ("12", "3/4", "25%", "Rome", "12 monkeys ran")] == [
        "number", "number", "number", "text", "text",
    ]  # fmt: skip


def test_the_table_of_checkers_names_all_of_them() -> None:
    from afterburn_core.probes import checkers

    assert set(re.findall(r"^\| `(\w+)`", str(checkers.__doc__), re.M)) == set(CHECKERS)
