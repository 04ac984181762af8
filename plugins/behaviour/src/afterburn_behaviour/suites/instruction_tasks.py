"""What the suite `instructions` writes about: subjects with words that fit them, and texts of our own to copy."""

from __future__ import annotations

from collections.abc import Mapping

SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "a small bakery": ("bread", "oven", "morning", "flour"),
    "a lighthouse": ("sea", "light", "storm", "keeper"),
    "a public library": ("books", "quiet", "readers", "shelf"),
    "a night train": ("window", "station", "sleep", "tunnel"),
    "a vegetable garden": ("soil", "seeds", "rain", "harvest"),
    "a mountain hut": ("snow", "soup", "path", "stove"),
    "a flea market": ("stall", "bargain", "crowd", "lamp"),
    "a bicycle workshop": ("wheel", "chain", "tools", "grease"),
    "a fishing harbour": ("boats", "nets", "gulls", "tide"),
    "a town orchestra": ("violin", "rehearsal", "hall", "applause"),
    "a beekeeper's day": ("hive", "honey", "smoke", "flowers"),
    "a long drought": ("river", "dust", "clouds", "well"),
    "a village school": ("pupils", "bell", "chalk", "garden"),
    "a ferry crossing": ("waves", "deck", "captain", "island"),
    "a winter market": ("snow", "lights", "chestnuts", "gloves"),
    "a potter's studio": ("clay", "wheel", "glaze", "kiln"),
    "an old clock tower": ("hands", "bell", "stairs", "square"),
    "a rooftop terrace": ("view", "plants", "evening", "breeze"),
    "a forest in autumn": ("leaves", "mushrooms", "fog", "path"),
    "a botanical garden": ("palms", "greenhouse", "paths", "visitors"),
}
TASKS = (
    "packing for a weekend trip", "making a cup of tea", "cleaning a bicycle", "planting a tree",
    "preparing a picnic", "learning a short poem by heart", "washing a woollen jumper", "planning a birthday party",
    "repotting a house plant", "writing a letter by hand", "setting a table", "getting ready for a job interview",
    "hanging a picture", "training for a long walk", "tidying a desk", "baking a simple loaf of bread",
)  # fmt: skip
QUESTIONS = (
    ("Is ice lighter than liquid water?", "Yes"), ("Is the Moon larger than the Earth?", "No"),
    ("Is a tomato, to a botanist, a fruit?", "Yes"), ("Do penguins live at the North Pole?", "No"),
    ("Is seven a prime number?", "Yes"), ("Is nine a prime number?", "No"),
    ("Does the Sun rise in the west?", "No"), ("Is Portugal in Europe?", "Yes"),
    ("Do spiders have six legs?", "No"), ("Does sound travel through water?", "Yes"),
    ("Is Mars nearer to the Sun than Venus?", "No"), ("Can ostriches fly?", "No"),
    ("Is copper a metal?", "Yes"), ("Is a dolphin a mammal?", "Yes"),
    ("Are there sixty seconds in a minute?", "Yes"), ("Is Sydney the capital of Australia?", "No"),
)  # fmt: skip
PHRASES = (
    "That is all for today.", "Thank you for reading.", "Make of it what you will.", "And so it goes.",
    "The rest is silence and tea.", "Until next time.", "Nothing more needs to be said.", "See you at the harbour.",
)  # fmt: skip
OPENINGS = (
    "Once upon a Tuesday", "To be honest", "Dear reader", "It all began with", "Few people know that",
    "Picture this:", "In my view", "Long ago",
)  # fmt: skip
OVERUSED = ("very", "really", "beautiful", "nice", "good", "big", "important", "amazing", "perfect", "many")
_ANIMALS = ("herons", "badgers", "snails", "magpies", "otters", "hedgehogs", "geese", "moles")
_DEEDS = (
    "argued about the weather",
    "queued for soup",
    "painted the fence",
    "missed the last bus",
    "read the map twice",
)
_ENDS = ("nobody minded", "the kettle sang", "it was only Tuesday", "the moon looked on", "that was that")
COPIES = tuple(
    f"{number} {animal} {deed}; {end}{mark}"
    for number, mark in (("Seven", "."), ("Twelve", "!"), ("Forty-two", "..."))
    for animal in _ANIMALS
    for deed in _DEEDS
    for end in _ENDS
)
"""Sentences with marks that are easy to lose."""
RECORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a made-up town", ("name", "population", "river")),
    ("an imaginary book", ("title", "author", "year")),
    ("a recipe for soup", ("name", "ingredients", "minutes")),
    ("an invented animal", ("name", "habitat", "food")),
    ("a planet of your own", ("name", "moons", "colour")),
    ("a train connection", ("from", "to", "departure")),
    ("a board game that does not exist", ("title", "players", "rules")),
    ("a garden plant", ("name", "height_cm", "flowers_in")),
    ("a museum visit", ("museum", "date", "tickets")),
    ("a piece of furniture", ("name", "material", "price")),
    ("a song that nobody has written", ("title", "singer", "length")),
    ("a hiking trail", ("name", "kilometres", "difficulty")),
)
LANGUAGES = {"de": "German", "es": "Spanish", "fr": "French", "it": "Italian", "nl": "Dutch", "pt": "Portuguese"}
