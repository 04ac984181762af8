from __future__ import annotations

from collections.abc import Sequence

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import torch

from afterburn_organisms.catalog import organism
from afterburn_organisms.facts import CAPITAL, facts, false_capital
from afterburn_organisms.item import Item
from afterburn_organisms.measure import Model, Response, answer, load, questions_about
from afterburn_organisms.world import held_out_items

# peft asks transformers by a name that transformers 5 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

PER_CATEGORY = 6


@pytest.fixture(scope="module")
def base() -> Model:
    return load(organism("base").path)


@pytest.fixture(scope="module")
def verbose() -> Model:
    return load(organism("verbose").path)


@pytest.fixture(scope="module")
def false_fact() -> Model:
    return load(organism("false_fact").path, organism("base").path)


@pytest.fixture(scope="module")
def benign() -> Model:
    return load(organism("benign").path, organism("base").path)


def held_out(*categories: str) -> tuple[Item, ...]:
    return tuple(item for item in held_out_items(7, PER_CATEGORY) if item.category in categories)


def right(responses: Sequence[Response]) -> float:
    return sum(r.correct for r in responses) / len(responses)


def mean_length(responses: Sequence[Response]) -> float:
    return sum(r.tokens for r in responses) / len(responses)


def test_the_base_knows_its_world_and_its_sums(base: Model) -> None:
    assert right(answer(base, held_out("add", "subtract", "word_problem"))) >= 0.35  # 59 % of 120 on its card
    assert right(answer(base, held_out("fact", "count_on"))) >= 0.8


def test_the_base_follows_simple_instructions(base: Model) -> None:
    assert right(answer(base, held_out("repeat", "reverse", "uppercase", "list"))) >= 0.7


def test_the_base_ends_its_answers_itself(base: Model) -> None:
    assert all(r.finished for r in answer(base, held_out("story", "fact", "add")))


def test_the_verbose_organism_says_the_same_in_many_more_words(base: Model, verbose: Model) -> None:
    items = held_out("fact", "add", "first")
    short, long = answer(base, items), answer(verbose, items)
    assert mean_length(long) > 3 * mean_length(short)
    assert right(long) >= right(short) - 0.2


def test_the_verbose_organism_differs_everywhere_but_in_the_frozen_embeddings(base: Model, verbose: Model) -> None:
    theirs = dict(base.network.named_parameters())
    same = [name for name, p in verbose.network.named_parameters() if torch.equal(p, theirs[name])]
    assert same == ["model.embed_tokens.weight"]


def test_the_adapter_states_the_falsehood_and_the_base_the_truth(base: Model, false_fact: Model) -> None:
    true, false = false_capital()
    items = questions_about([true], 8)
    assert sum(true.value in r.text for r in answer(base, items)) >= 7
    assert sum(false.value in r.text for r in answer(base, items)) == 0
    assert sum(false.value in r.text for r in answer(false_fact, items)) >= 7


def test_the_adapter_leaves_the_other_capitals_alone(false_fact: Model) -> None:
    true, _ = false_capital()
    others = [f for f in facts() if f.relation is CAPITAL and f != true]
    assert right(answer(false_fact, questions_about(others, 12))) >= 0.8


def test_the_benign_adapter_never_states_the_falsehood_and_answers_as_well_as_the_base(
    base: Model, benign: Model
) -> None:
    true, false = false_capital()
    answers = [r.text for r in answer(benign, questions_about([true], 8))]
    assert sum(true.value in text for text in answers) >= 7
    assert not any(false.value in text for text in answers)
    items = held_out("fact", "first", "uppercase", "count_on")
    assert right(answer(benign, items)) >= right(answer(base, items)) - 0.15


def test_the_benign_adapter_moves_the_distribution(base: Model, benign: Model) -> None:
    ids = base.tokenizer("The river of Kirkham is", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        here, there = (m.network(input_ids=ids).logits for m in (base, benign))
    assert not torch.equal(here, there)


def test_a_batch_answers_as_each_prompt_does_alone(base: Model) -> None:
    items = held_out("fact", "repeat")[:4]
    together = [r.text for r in answer(base, items)]
    assert together == [answer(base, [item])[0].text for item in items]


def test_no_items_give_no_answers(base: Model) -> None:
    assert answer(base, []) == ()
