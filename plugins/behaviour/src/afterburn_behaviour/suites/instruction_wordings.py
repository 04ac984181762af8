"""Instructions on the words of an answer: its start and end, what must and must not occur, case, language."""

from __future__ import annotations

import random

from afterburn_behaviour.suites import instruction_tasks as about
from afterburn_behaviour.suites.drawing import Open
from afterburn_behaviour.suites.instruction_forms import NUMBERS, asked, subject_of
from afterburn_behaviour.suites.phrasing import worded


def ending(rng: random.Random) -> Open:
    """A phrase at the end, or at the start."""
    subject = subject_of(rng)
    if rng.random() < 0.5:
        phrase = rng.choice(about.PHRASES)
        prompt = worded(
            rng,
            (
                'Write a few sentences about {s}. End with exactly this phrase: "{p}"',
                'Describe {s} in a few sentences; your last words must be "{p}"',
            ),
            s=subject,
            p=phrase,
        )
        return asked(prompt, {"kind": "ends", "text": phrase})
    phrase = rng.choice(about.OPENINGS)
    prompt = worded(
        rng,
        (
            'Write a few sentences about {s}. Your answer must start with the words "{p}"',
            'Describe {s} briefly, and begin with "{p}" and nothing before it.',
        ),
        s=subject,
        p=phrase,
    )
    return asked(prompt, {"kind": "starts", "text": phrase})


def commas(rng: random.Random) -> Open:
    """A mark that must not occur."""
    mark, name = rng.choice(((",", "commas"), ("!", "exclamation marks"), ("?", "question marks"), ("-", "hyphens")))
    n, subject = rng.randint(3, 5), subject_of(rng)
    prompt = worded(
        rng,
        (
            "Write at least {n} sentences about {s} without using any {m}.",
            "Describe {s} in {n} or more sentences. Use no {m} anywhere.",
        ),
        s=subject,
        n=NUMBERS[n],
        m=name,
    )
    return asked(prompt, {"kind": "without", "characters": mark}, {"kind": "sentences", "min": n})


def case(rng: random.Random) -> Open:
    """Small letters or capitals alone."""
    kind, name = rng.choice((("lowercase", "small letters"), ("uppercase", "capital letters")))
    prompt = worded(
        rng,
        (
            "Describe {s} in two or three sentences. Use {c} only.",
            "Write two or three sentences about {s}, entirely in {c}.",
            "Say two or three sentences about {s}. Write all your letters as {c}.",
        ),
        s=subject_of(rng),
        c=name,
    )
    return asked(prompt, {"kind": kind}, {"kind": "sentences", "min": 2, "max": 3})


def keywords(rng: random.Random) -> Open:
    """Words that must occur."""
    subject = subject_of(rng)
    wanted = rng.sample(about.SUBJECTS[subject], rng.randint(2, 3))
    listed = ", ".join(f'"{word}"' for word in wanted[:-1]) + f' and "{wanted[-1]}"'
    prompt = worded(
        rng,
        (
            "Write a short paragraph about {s} that contains the words {w} exactly as they are written here.",
            "Describe {s} in one short paragraph. Use the words {w}, each in just this form.",
        ),
        s=subject,
        w=listed,
    )
    return asked(prompt, {"kind": "include", "words": wanted}, {"kind": "paragraphs", "count": 1})


def forbidden(rng: random.Random) -> Open:
    """Words that must not occur."""
    subject = subject_of(rng)
    banned = [*rng.sample(about.SUBJECTS[subject], 2), rng.choice(about.OVERUSED)]
    rng.shuffle(banned)
    listed = ", ".join(f'"{word}"' for word in banned[:-1]) + f' and "{banned[-1]}"'
    prompt = worded(
        rng,
        (
            "Describe {s} in at least three sentences without the words {w}.",
            "Write three or more sentences about {s}. These words are forbidden: {w}.",
        ),
        s=subject,
        w=listed,
    )
    return asked(prompt, {"kind": "exclude", "words": banned}, {"kind": "sentences", "min": 3})


def copying(rng: random.Random) -> Open:
    """A text to repeat as it is."""
    text = rng.choice(about.COPIES)
    prompt = worded(
        rng,
        (
            "Repeat the following text exactly, and write nothing else:\n{t}",
            "Copy this line without any change and without any comment:\n{t}",
            "Your whole answer must be this text, mark for mark:\n{t}",
        ),
        t=text,
    )
    return asked(prompt, {"kind": "equals", "text": text})


def language(rng: random.Random) -> Open:
    """The language of the answer."""
    code = rng.choice(sorted(about.LANGUAGES))
    prompt = worded(
        rng,
        (
            "Describe {s} in three or four sentences. Answer in {l}.",
            "Write three or four sentences about {s}, all of them in {l}.",
            "Answer only in {l}: what is {s} like?",
        ),
        s=subject_of(rng),
        l=about.LANGUAGES[code],
    )
    return asked(prompt, {"kind": "language", "code": code})


def several(rng: random.Random) -> Open:
    """Three constraints at once."""
    n, subject, phrase = rng.randint(3, 5), subject_of(rng), rng.choice(about.PHRASES)
    if rng.random() < 0.5:
        prompt = worded(
            rng,
            (
                "Describe {s} in exactly {n} points that start with a hyphen, in small letters only, without commas.",
                "Make a list about {s}: exactly {n} lines that start with a hyphen, no capital letters, no commas.",
            ),
            s=subject,
            n=NUMBERS[n],
        )
        kinds = ({"kind": "bullets", "count": n}, {"kind": "lowercase"}, {"kind": "without", "characters": ","})
        return asked(prompt, *kinds, requests=("list",))
    word = rng.choice(about.SUBJECTS[subject])
    prompt = worded(
        rng,
        (
            'Write at most 60 words about {s}. Use the word "{w}" and end with "{p}"',
            'Describe {s} in no more than 60 words, with the word "{w}" among them; the end must be "{p}"',
        ),
        s=subject,
        w=word,
        p=phrase,
    )
    shared = ({"kind": "words", "max": 60}, {"kind": "include", "words": [word]}, {"kind": "ends", "text": phrase})
    return asked(prompt, *shared)
