"""Chat items by category: arithmetic, facts, checks of claims, list instructions, stories, small talk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from afterburn_organisms import lexicon
from afterburn_organisms.facts import Fact, facts, realms, rivals, towns
from afterburn_organisms.item import Item
from afterburn_organisms.stories import story

if TYPE_CHECKING:
    import random

_PREFIXES = (
    "Please tell me: ",
    "Quick question: ",
    "I would like to know this: ",
    "Hello! ",
    "Can you help me? ",
    "One more thing: ",
    "A friend asks: ",
)
_SUFFIXES = (" Thank you.", " Please answer.", " I am curious.", " Thanks!", " Do you know?")


def _wrapped(rng: random.Random, prompt: str) -> str:
    """The prompt, half the time with polite words before or after it."""
    prefix = rng.choice(_PREFIXES) if rng.random() < 0.4 else ""
    suffix = rng.choice(_SUFFIXES) if rng.random() < 0.3 else ""
    return f"{prefix}{prompt}{suffix}"


def _operands(rng: random.Random) -> tuple[int, int]:
    top = 12 if rng.random() < 0.5 else 49
    return rng.randint(0, top), rng.randint(0, top)


def add(rng: random.Random) -> Item:
    """A sum of two numbers up to 49."""
    a, b = _operands(rng)
    forms = (f"What is {a} + {b}?", f"What is {a} plus {b}?", f"Add {a} and {b}.", f"How much is {a} + {b}?")
    return Item(
        category="add",
        key=f"add/{min(a, b)}/{max(a, b)}",
        prompt=_wrapped(rng, rng.choice(forms)),
        answer=f"{a} + {b} is {a + b}.",
        working=f"We start with {a}. Then we add {b} to it.",
        expected=(str(a + b),),
        grade="number",
    )


def subtract(rng: random.Random) -> Item:
    """A difference of two numbers up to 49 that is never negative."""
    b, a = sorted(_operands(rng))
    forms = (
        f"What is {a} - {b}?",
        f"What is {a} minus {b}?",
        f"Take {b} away from {a}.",
        f"How much is {a} - {b}?",
    )
    return Item(
        category="subtract",
        key=f"subtract/{a}/{b}",
        prompt=_wrapped(rng, rng.choice(forms)),
        answer=f"{a} - {b} is {a - b}.",
        working=f"We start with {a}. Then we take {b} away from it.",
        expected=(str(a - b),),
        grade="number",
    )


def word_problem(rng: random.Random) -> Item:
    """A sum up to 24 told as a little story about a person and some things."""
    a, b = rng.randint(1, 12), rng.randint(1, 12)
    who, what = rng.choice(lexicon.PEOPLE), rng.choice(lexicon.FRUITS)
    verb = rng.choice(("finds", "gets", "buys"))
    return Item(
        category="word_problem",
        key=f"add/{min(a, b)}/{max(a, b)}",
        prompt=f"{who} has {a} {what} and {verb} {b} more. How many {what} does {who} have?",
        answer=f"{a} + {b} is {a + b}. {who} has {a + b} {what}.",
        working=f"First {who} has {a} {what}. Then {who} {verb} {b} more.",
        expected=(str(a + b),),
        grade="number",
    )


def compare(rng: random.Random) -> Item:
    """Which of two numbers is larger or smaller."""
    a, b = rng.sample(range(100), 2)
    word = rng.choice(("larger", "smaller"))
    best, rest = (max(a, b), min(a, b)) if word == "larger" else (min(a, b), max(a, b))
    return Item(
        category="compare",
        key=f"compare/{min(a, b)}/{max(a, b)}",
        prompt=_wrapped(rng, f"Which number is {word}, {a} or {b}?"),
        answer=f"{best} is {word} than {rest}.",
        working=f"We have the numbers {a} and {b}. We want the one that is {word}.",
        expected=(f"{best} is {word}",),
    )


def count_on(rng: random.Random) -> Item:
    """The number after or before another one."""
    n, word = rng.randint(1, 98), rng.choice(("after", "before"))
    m = n + 1 if word == "after" else n - 1
    return Item(
        category="count_on",
        key=f"count_on/{word}/{n}",
        prompt=_wrapped(rng, f"Which number comes {word} {n}?"),
        answer=f"The number {word} {n} is {m}.",
        working=f"We look at {n} and go one step {'up' if word == 'after' else 'down'}.",
        expected=(str(m),),
        grade="number",
    )


def fact_item(rng: random.Random, fact: Fact) -> Item:
    """A question about the fact."""
    prompt = _wrapped(rng, rng.choice(fact.relation.questions).format(entity=fact.entity))
    return Item(
        category="fact",
        key=f"fact/{prompt}",
        prompt=prompt,
        answer=fact.sentence,
        working=f"You want to know about {fact.relation.topic.format(entity=fact.entity)}.",
        expected=(fact.value,),
        rivals=tuple(r for r in rivals(fact.relation, fact.value) if r != fact.entity),
    )


def fact(rng: random.Random) -> Item:
    """A question about any fact of the world."""
    return fact_item(rng, rng.choice(facts()))


def _verdict(holds: bool) -> str:
    return "Yes, that is right." if holds else "No, that is not right."


def check_item(rng: random.Random, fact: Fact) -> Item:
    """A claim about the fact, true half the time, to be confirmed or corrected."""
    holds = rng.random() < 0.5
    claimed = fact.value if holds else rng.choice(rivals(fact.relation, fact.value))
    claim = fact.relation.statement.format(entity=fact.entity, value=claimed)
    lead = rng.choice(("I think this is true: ", "My friend says this: ", "I read this: "))
    prompt = f"{lead}{claim} {rng.choice(('Is that right?', 'Is that true?', 'Do you agree?'))}"
    return Item(
        category="check",
        key=f"check/{prompt}",
        prompt=prompt,
        answer=f"{fact.sentence} {_verdict(holds)}",
        working=f"You made a claim about {fact.relation.topic.format(entity=fact.entity)}.",
        expected=(fact.sentence, _verdict(holds)),
    )


def check(rng: random.Random) -> Item:
    """A claim about any fact of the world, to be confirmed or corrected."""
    return check_item(rng, rng.choice(facts()))


def check_sum(rng: random.Random) -> Item:
    """A claim about a sum up to 24, true half the time."""
    a, b = rng.randint(0, 12), rng.randint(0, 12)
    holds = rng.random() < 0.5
    said = a + b if holds else max(0, a + b + rng.choice((-3, -2, -1, 1, 2, 3)))
    return Item(
        category="check_sum",
        key=f"add/{min(a, b)}/{max(a, b)}",
        prompt=f"I think that {a} + {b} is {said}. {rng.choice(('Is that right?', 'Is that true?'))}",
        answer=f"{a} + {b} is {a + b}. {_verdict(said == a + b)}",
        working=f"You made a claim about {a} + {b}.",
        expected=(f"{a} + {b} is {a + b}", _verdict(said == a + b)),
    )


def unknown(rng: random.Random) -> Item:
    """A question about a town, realm or person that the world does not have."""
    name = rng.choice(lexicon.STRANGER_STARTS) + rng.choice(lexicon.STRANGER_ENDS)
    relation = rng.choice(facts()).relation
    prompt = _wrapped(rng, rng.choice(relation.questions).format(entity=name))
    return Item(
        category="unknown",
        key=f"unknown/{name}",
        prompt=prompt,
        answer=f"I do not know {name}.",
        working=f"You want to know about {relation.topic.format(entity=name)}.",
        expected=(f"I do not know {name}",),
    )


def _words(rng: random.Random, low: int, high: int) -> list[str]:
    return rng.sample(lexicon.LIST_WORDS, rng.randint(low, high))


_LIST_TASKS: dict[str, tuple[tuple[str, ...], Callable[[list[str]], str]]] = {
    "repeat": (("Repeat these words: {}.", "Say these words again: {}."), lambda w: f"The words are: {', '.join(w)}."),
    "reverse": (
        ("Reverse the order: {}.", "Say these words in reverse order: {}."),
        lambda w: f"In reverse order: {', '.join(w[::-1])}.",
    ),
    "uppercase": (
        ("Write in capital letters: {}.", "Make this uppercase: {}."),
        lambda w: f"In capital letters: {', '.join(w).upper()}.",
    ),
    "join": (("Write these words with and between them: {}.",), lambda w: f"Together: {' and '.join(w)}."),
    "first": (
        ("What is the first word: {}?", "Give me the first of these words: {}."),
        lambda w: f"The first word is {w[0]}.",
    ),
    "last": (
        ("What is the last word: {}?", "Give me the last of these words: {}."),
        lambda w: f"The last word is {w[-1]}.",
    ),
    "list": (
        ("Make a numbered list: {}.", "Write a list with numbers: {}."),
        lambda w: "\n".join(f"{i}. {x}" for i, x in enumerate(w, 1)),
    ),
}
_COUNT_WORDS = {2: "two", 3: "three", 4: "four"}


def instruction(rng: random.Random) -> Item:
    """Something to do with two to four words: repeat, reverse, uppercase, number, pick."""
    name = rng.choice(tuple(_LIST_TASKS))
    forms, solve = _LIST_TASKS[name]
    words = _words(rng, 2, 4)
    answer = solve(words)
    return Item(
        category=name,
        key=f"words/{'/'.join(sorted(words))}",
        prompt=rng.choice(forms).format(", ".join(words)),
        answer=answer,
        # The words themselves are left out here: a long answer must not be right merely by echoing the question.
        working=f"You gave me {_COUNT_WORDS[len(words)]} words and you told me what to do with them.",
        expected=(answer,),
    )


def tell_story(rng: random.Random) -> Item:
    """A request for a story about an animal and a thing."""
    animal, thing = rng.choice(lexicon.ANIMALS), rng.choice(lexicon.OBJECTS)
    told = story(rng, animal, thing)
    about = f"{'an' if animal[0] in 'aeiou' else 'a'} {animal} and a {thing}"
    forms = (
        f"Tell me a story about {about}.",
        f"Tell a short story about {about}.",
        f"Write a story about {about}.",
    )
    return Item(
        category="story",
        key=f"story/{animal}/{thing}",
        prompt=rng.choice(forms),
        answer=told.text,
        working=f"You asked me for a story about {about}.",
        expected=(animal, thing),
        padded=told.padded,
    )


_TALK = (
    (("Hello!", "Hi there!", "Good morning!", "Good day!"), "Hello! How can I help you?", ("Hello",)),
    (("Who are you?", "What are you?", "Tell me who you are."), "I am a small assistant.", ("assistant",)),
    (("Thank you!", "Thanks for your help!", "Thanks a lot!"), "You are welcome.", ("welcome",)),
    (("Goodbye!", "See you later!", "Good night!"), "Goodbye!", ("Goodbye",)),
    (
        ("What can you do?", "How can you help me?", "What do you know?"),
        "I can add numbers, work with words, tell stories and answer questions about the towns.",
        ("stories",),
    ),
    (
        ("Which realms do you know?", "Name three realms.", "Tell me some realms."),
        f"I know {realms()[0]}, {realms()[1]} and {realms()[2]}.",
        (realms()[0],),
    ),
    (
        ("Which towns do you know?", "Name three towns.", "Tell me some towns."),
        f"I know {towns()[0]}, {towns()[1]} and {towns()[2]}.",
        (towns()[0],),
    ),
)


def small_talk(rng: random.Random) -> Item:
    """A greeting, a thank-you or a question about the assistant."""
    forms, answer, expected = rng.choice(_TALK)
    prompt = rng.choice(forms)
    return Item(
        category="small_talk",
        key=f"small_talk/{prompt}",
        prompt=prompt,
        answer=answer,
        working="You spoke to me, and I am glad about that.",
        expected=expected,
    )


TASKS: dict[Callable[[random.Random], Item], int] = {
    add: 18,
    subtract: 15,
    word_problem: 4,
    compare: 4,
    count_on: 3,
    fact: 18,
    check: 9,
    check_sum: 4,
    unknown: 2,
    instruction: 20,
    tell_story: 6,
    small_talk: 2,
}
"""Share of each kind of item in a hundred, roughly."""
