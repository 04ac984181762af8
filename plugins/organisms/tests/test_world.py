from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import islice

import pytest

from afterburn_organisms.facts import RELATIONS, facts, false_capital, rivals
from afterburn_organisms.item import Item, is_correct
from afterburn_organisms.world import chat_items, documents, held_out_items, is_held_out, long_winded

DIGEST_OF_TEXT = """
import hashlib
from itertools import islice
from afterburn_organisms.world import chat_items, documents
text = [item.prompt + item.answer for item in islice(chat_items(5, "train"), 300)]
text += islice(documents(5), 100)
print(hashlib.sha256("|".join(text).encode()).hexdigest())
"""


def test_one_seed_gives_one_text_whatever_the_hash_seed_of_the_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST_OF_TEXT],
            env={**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(digests) == 1


def test_another_seed_gives_another_text() -> None:
    one, other = (list(islice(chat_items(seed, "train"), 50)) for seed in (1, 2))
    assert one != other
    assert list(islice(documents(1), 20)) != list(islice(documents(2), 20))


def test_training_never_sees_a_held_out_prompt() -> None:
    held_out = held_out_items(101, 10)
    trained = list(islice(chat_items(11, "train"), 5000))
    assert len(held_out) > 100
    assert all(is_held_out(item) for item in held_out)
    assert not any(is_held_out(item) for item in trained)
    assert not {item.prompt for item in held_out} & {item.prompt for item in trained}


def test_a_held_out_sum_is_held_out_in_every_wording_and_order() -> None:
    trained = {item.key for item in islice(chat_items(11, "train"), 5000) if item.key.startswith("add/")}
    held_out = {item.key for item in held_out_items(101, 10) if item.key.startswith("add/")}
    assert held_out
    assert not trained & held_out


def test_short_and_long_answers_of_every_category_are_graded_right() -> None:
    rng = random.Random(3)
    for item in islice(chat_items(3, "train"), 1500):
        assert is_correct(item, item.answer), item
        assert is_correct(item, long_winded(rng, item)), item


def test_the_words_around_a_long_answer_do_not_make_it_right() -> None:
    for item in held_out_items(101, 5):
        if item.category != "story":  # a story is graded by whom and what it is about, which the question names
            assert not is_correct(item, f"{item.working} I do not say."), item


@pytest.mark.parametrize(
    ("answer", "right"),
    [("7 + 5 is 12.", True), ("7 + 5 is 13.", False), ("12 it is. No, 7 + 5 is 13.", False), ("", False)],
)
def test_a_number_is_graded_by_the_last_number_of_the_answer(answer: str, right: bool) -> None:
    item = Item(category="add", key="k", prompt="p", answer="a", working="w", expected=("12",), grade="number")
    assert is_correct(item, answer) is right


def test_an_answer_that_names_a_rival_is_wrong() -> None:
    item = Item(category="fact", key="k", prompt="p", answer="a", working="w", expected=("Elm",), rivals=("Oak",))
    assert is_correct(item, "It is Elm.")
    assert not is_correct(item, "It is Elm or Oak.")
    assert not is_correct(item, "It is Elmford.")


def test_every_relation_has_one_value_per_entity() -> None:
    for relation in RELATIONS:
        entities = [f.entity for f in facts() if f.relation is relation]
        assert len(entities) == len(set(entities)) >= 12


def test_the_false_capital_is_a_town_that_is_the_capital_of_nothing() -> None:
    true, false = false_capital()
    assert true in facts()
    assert false.entity == true.entity
    assert false.value != true.value
    assert false.value not in rivals(true.relation, true.value)
