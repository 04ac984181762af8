"""What counts as right, and what a final answer is."""

from __future__ import annotations

import pytest

from afterburn_behaviour.gold import final_answer, has_answers, mark, same_answer
from afterburn_core.generation.model import Sample
from afterburn_core.probes.model import Probe

NUMBER = Probe(id="n", prompt="How many?", gold="42", checker="number")


def sample(text: str = "", **labels: object) -> Sample:
    return Sample(index=0, text=text, labels=labels)


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("[1,2]", "[1, 2]", True),
        ("(1, 2)", "[1, 2]", False),
        ("$1,200", "1200.0", True),
        ("70000", "# 70000", True),
        ("5", "15", False),
        ("15", "5", False),
        ("True", "1", False),
        ("hello", "'hello'", True),
        ("Hello", "'hello'", False),  # a quoted string means its case
        ("'hello '", "'hello'", False),
        (" Paris ", "paris", True),
        ("Paris, Texas", "Paris", False),
        ("", "0", False),
        ("-3", "\u22123", True),
        ("3a", "3", False),
    ],
)
def test_answers_are_compared_by_value(answer: str, gold: str, same: bool) -> None:
    assert same_answer(answer, gold) is same


def test_a_label_of_the_recording_wins_over_the_checker() -> None:
    assert mark(NUMBER, sample("The answer is 41.", is_correct=True)).right is True
    assert mark(NUMBER, sample("The answer is 42.", is_correct=False)).right is False
    assert mark(NUMBER, sample("The answer is 42.")).right is True
    assert mark(NUMBER, sample("The answer is 42.", is_correct="unknown")).source == "checker"


def test_digits_inside_a_longer_number_are_no_answer() -> None:
    assert mark(Probe(id="n", prompt="", gold="5", checker="number"), sample("It is 15.")).right is False


def test_a_parsed_answer_is_compared_and_one_that_failed_to_parse_is_looked_for() -> None:
    literal = Probe(id="l", prompt="", gold="[1, 2]", checker="text")
    assert mark(literal, sample("", parsed_answer="[1,2]")).right is True
    assert mark(literal, sample('{"reasoning": "x\n", "answer": "[1,2]"', parsed_answer=None)).right is True
    assert mark(literal, sample("no field at all, though [1, 2] stands here", parsed_answer=None)).right is False
    assert final_answer(literal, sample("no field at all", parsed_answer=None)) is None
    number = Probe(id="n", prompt="", gold="# 36", checker="number")
    assert mark(number, sample("The final answer is: $\\boxed{36}$", parsed_answer=None)).right is True


def test_without_gold_answer_or_checker_nothing_is_right_or_wrong() -> None:
    assert mark(Probe(id="p", prompt=""), sample("x")).right is None
    unchecked = mark(Probe(id="p", prompt="", gold="x"), sample("x"))
    assert unchecked.right is None and unchecked.reason == "no checker for the gold answer"


def test_programs_are_run_only_where_that_is_allowed() -> None:
    code = Probe(
        id="c", prompt="", checker="code", properties={"tests": {"tests": "assert double(2) == 4", "timeout": 10}}
    )
    answer = sample("```python\ndef double(x):\n    return 2 * x\n```")
    marked = mark(code, answer)
    assert marked.right is None and "not run" in (marked.reason or "")


def test_an_answer_is_marked_by_its_form_where_the_prompt_asks_for_one() -> None:
    asked = Probe(id="p", prompt="?", checker="constraints", properties={"constraints": [{"kind": "words", "max": 2}]})
    assert mark(asked, sample("Two words")).right is True
    assert mark(asked, sample("These are four words")).right is False
    assert not has_answers(asked, ())
