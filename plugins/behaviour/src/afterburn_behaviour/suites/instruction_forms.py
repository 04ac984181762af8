"""Instructions on the form of an answer: lists, lengths, paragraphs, JSON, marks of emphasis."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from afterburn_behaviour.suites import instruction_tasks as about
from afterburn_behaviour.suites.drawing import Open
from afterburn_behaviour.suites.phrasing import worded

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven"}


def asked(prompt: str, *constraints: Mapping[str, Any], requests: tuple[str, ...] = ()) -> Open:
    """An item with its constraints; the first one names its kind."""
    return Open(
        prompt=prompt,
        checker="constraints",
        requests=requests,
        properties={"kind": constraints[0]["kind"], "constraints": [dict(one) for one in constraints]},
    )


def subject_of(rng: random.Random) -> str:
    """What an answer is about."""
    return rng.choice(tuple(about.SUBJECTS))


def bullets(rng: random.Random) -> Open:
    """So many bullet points."""
    n, subject = rng.randint(3, 7), subject_of(rng)
    prompt = worded(
        rng,
        (
            "Describe {s} in exactly {n} bullet points. Start each with a hyphen.",
            'Give me a list about {s}: exactly {n} lines that start with "- ", and no other list.',
            "What comes to mind when you think of {s}? Give exactly {n} bullet points that start with a hyphen.",
        ),
        s=subject,
        n=NUMBERS[n],
    )
    return asked(prompt, {"kind": "bullets", "count": n}, requests=("list",))


def numbered(rng: random.Random) -> Open:
    """So many numbered steps."""
    n, task = rng.randint(3, 7), rng.choice(about.TASKS)
    prompt = worded(
        rng,
        (
            "Explain {t} in exactly {n} numbered steps, written as 1., 2. and so on.",
            "Write instructions for {t}. Use a numbered list (1., 2., …) of exactly {n} steps.",
            "Break {t} down into {n} steps. Number them 1., 2. and so on, one to a line.",
        ),
        t=task,
        n=NUMBERS[n],
    )
    return asked(prompt, {"kind": "numbered", "count": n}, requests=("numbered",))


def sentences(rng: random.Random) -> Open:
    """So many sentences."""
    n, subject = rng.randint(2, 5), subject_of(rng)
    prompt = worded(
        rng,
        (
            "Describe {s} in exactly {n} sentences.",
            "Write exactly {n} sentences about {s}. Write nothing else.",
            "Tell me about {s}. Your whole answer must be {n} sentences long.",
        ),
        s=subject,
        n=NUMBERS[n],
    )
    return asked(prompt, {"kind": "sentences", "count": n})


def words(rng: random.Random) -> Open:
    """At most, at least or between so many words."""
    subject, low = subject_of(rng), rng.choice((20, 30, 40, 60, 80))
    limits: tuple[tuple[str, dict[str, int]], ...] = (
        ("in at most {low} words", {"max": low}),
        ("in at least {low} words", {"min": low}),
        ("in {low} to {high} words", {"min": low, "max": 2 * low}),
    )
    limit, numbers = rng.choice(limits)
    told = limit.format(low=low, high=2 * low)
    prompt = worded(rng, ("Describe {s} {l}.", "Write about {s} {l}.", "Say {l} what {s} is like."), s=subject, l=told)
    return asked(prompt, {"kind": "words", **numbers})


def one_word(rng: random.Random) -> Open:
    """Yes or no, and nothing else."""
    question, right = rng.choice(about.QUESTIONS)
    prompt = worded(
        rng,
        (
            "{q} Answer with one word, Yes or No.",
            "{q} Reply with a single word: Yes or No.",
            "Answer this question with nothing but Yes or No: {q}",
        ),
        q=question,
    )
    return asked(prompt, {"kind": "words", "count": 1}, {"kind": "include", "words": [right]})


def paragraphs(rng: random.Random) -> Open:
    """So many paragraphs."""
    n, subject = rng.randint(2, 4), subject_of(rng)
    prompt = worded(
        rng,
        (
            "Write {n} paragraphs about {s}, with a blank line between them and no heading.",
            "Describe {s} in exactly {n} paragraphs. Part them by blank lines; add no title.",
        ),
        s=subject,
        n=NUMBERS[n],
    )
    return asked(prompt, {"kind": "paragraphs", "count": n})


def as_json(rng: random.Random) -> Open:
    """One JSON object with given keys."""
    thing, keys = rng.choice(about.RECORDS)
    shuffled = rng.sample(keys, len(keys))
    prompt = worded(
        rng,
        (
            "Describe {t} as one JSON object with exactly the keys {k}. Write nothing else.",
            "Invent the details of {t}. Answer only with a JSON object whose keys are {k}.",
            "Give me {t} as JSON, and no other text. The keys must be {k}, no more and no fewer.",
        ),
        t=thing,
        k=", ".join(f'"{key}"' for key in shuffled[:-1]) + f' and "{shuffled[-1]}"',
    )
    return asked(prompt, {"kind": "json", "keys": shuffled}, requests=("json", "code_block"))


def emphasis(rng: random.Random) -> Open:
    """Words in bold, or two answers with a line between them."""
    subject = subject_of(rng)
    if rng.random() < 0.5:
        n = rng.randint(2, 4)
        prompt = f"Describe {subject} in a few sentences. Put exactly {NUMBERS[n]} words or phrases in **bold**."
        return asked(prompt, {"kind": "bold", "count": n}, requests=("bold",))
    mark = rng.choice(("******", "=====", "+++++"))
    prompt = worded(
        rng,
        (
            "Write two different short texts about {s}. Between them, and nowhere else, put a line with {m}",
            "Give two descriptions of {s}, parted by one line that reads {m}",
        ),
        s=subject,
        m=mark,
    )
    return asked(prompt, {"kind": "parts", "separator": mark, "count": 2})
