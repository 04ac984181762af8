"""Short stories: a handful of arcs whose persons, things and places stay the same from first to last sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from afterburn_organisms import lexicon

if TYPE_CHECKING:
    import random


@attrs.frozen(kw_only=True)
class Story:
    """A short story, and what makes it longer."""

    animal: str
    thing: str
    sentences: tuple[str, ...]
    asides: tuple[str, ...]
    """Sentences that add words and no event; one may follow each sentence of the story."""

    @property
    def text(self) -> str:
        """The story itself."""
        return " ".join(self.sentences)

    @property
    def padded(self) -> str:
        """The story with an aside after each sentence."""
        return " ".join(f"{s} {a}" for s, a in zip(self.sentences, self.asides, strict=True))


_OPENINGS = (
    "Once there was a {trait} {animal} named {name}.",
    "There once was a {trait} {animal} named {name}.",
    "{name} was a {trait} {animal}.",
)
_ARCS = (
    (
        "One day {name} lost a {thing} near the {place}.",
        "{name} looked for it all day and felt sad.",
        "Then {friend} the {other} found the {thing} and gave it back.",
        "{name} was happy and said thank you.",
    ),
    (
        "On {weather} day {name} found a {thing} near the {place}.",
        "It belonged to {friend} the {other}.",
        "{name} took the {thing} back to {friend}.",
        "From that day on they were good friends.",
    ),
    (
        "{name} wanted a new {thing} more than anything.",
        "So {name} went to the {place} and worked hard with {friend} the {other}.",
        "In the end they made a {thing} together.",
        "They were proud and went home.",
    ),
    (
        "On {weather} day {name} met {friend} the {other} near the {place}.",
        "{friend} was hungry and had only a {thing}.",
        "{name} shared some {food} and {friend} gave {name} the {thing}.",
        "They ate and laughed until night.",
    ),
    (
        "One night {name} heard a noise near the {place}.",
        "{name} took a {thing} and went to look.",
        "It was only {friend} the {other}, who was lost.",
        "{name} brought {friend} home and all was well.",
    ),
)
_ASIDES = (
    "It was a thing that many still remember.",
    "Nobody in the whole land had seen the like of it.",
    "The wind was soft and the sky was wide.",
    "There is much that one could say about that.",
    "That is how it was, and not in any other way.",
    "As you can see, this is important for the story.",
)


def story(rng: random.Random, animal: str, thing: str) -> Story:
    """A story about the animal and the thing."""
    name, friend = rng.sample(lexicon.PET_NAMES, 2)
    fields = {
        "animal": animal,
        "thing": thing,
        "name": name,
        "friend": friend,
        "other": rng.choice([a for a in lexicon.ANIMALS if a != animal]),
        "trait": rng.choice(lexicon.TRAITS),
        "place": rng.choice(lexicon.PLACES),
        "weather": rng.choice(lexicon.WEATHERS),
        "food": rng.choice(lexicon.FOODS),
    }
    lines = (rng.choice(_OPENINGS), *rng.choice(_ARCS))
    return Story(
        animal=animal,
        thing=thing,
        sentences=tuple(line.format(**fields) for line in lines),
        asides=tuple(rng.sample(_ASIDES, len(lines))),
    )
