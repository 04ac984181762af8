"""Short programs whose output is to be predicted. The output is worked out beside the text, never by running it."""

from __future__ import annotations

import random
from collections.abc import Callable

from afterburn_behaviour.suites.drawing import Item
from afterburn_behaviour.suites.phrasing import worded

_ASKS = (
    "What does this Python program print?",
    "Predict the output of the following Python code.",
    "Read the code and say what is printed.",
)
_TAILS = ("Answer with the output alone.", "End with 'Answer:' and the output.", "Give the printed line.")

Drawn = tuple[str, object]


def predict(rng: random.Random) -> Item:
    """A program of four to ten lines that prints one line."""
    source, printed = rng.choice(_PROGRAMS)(rng)
    prompt = f"{worded(rng, _ASKS)}\n\n```python\n{source}```\n\n{worded(rng, _TAILS)}"
    whole = isinstance(printed, int) and not isinstance(printed, bool)
    kind = "printed_number" if whole else "printed_text"
    gold = str(printed)
    if whole:
        return Item(prompt=prompt, gold=gold, checker="number", properties={"kind": kind})
    return Item(prompt=prompt, gold=gold, checker="list" if isinstance(printed, list) else "text",
                properties={"kind": kind})  # fmt: skip


def _loop(rng: random.Random) -> Drawn:
    n, k, step = rng.randint(5, 12), rng.randint(2, 4), rng.randint(1, 3)
    source = (
        f"total = 0\nfor i in range({n}):\n    if i % {k} == 0:\n        total += i * {step}\n"
        f"    else:\n        total -= 1\nprint(total)\n"
    )
    return source, sum(i * step if i % k == 0 else -1 for i in range(n))


def _halving(rng: random.Random) -> Drawn:
    start, odd = rng.randint(20, 400), rng.randint(1, 3)
    source = (
        f"n = {start}\nsteps = 0\nwhile n > {odd}:\n    n = n // 2 if n % 2 == 0 else n - {odd}\n    steps += 1\n"
        "print(steps)\n"
    )
    n, steps = start, 0
    while n > odd:
        n, steps = (n // 2 if n % 2 == 0 else n - odd), steps + 1
    return source, steps


def _slices(rng: random.Random) -> Drawn:
    values = [rng.randint(1, 30) for _ in range(7)]
    low, high = rng.randint(0, 2), rng.randint(4, 6)
    source = f"values = {values}\npart = values[{low}:{high}]\npart.reverse()\nprint(part)\n"
    return source, values[low:high][::-1]


def _aliasing(rng: random.Random) -> Drawn:
    values, extra = [rng.randint(1, 30) for _ in range(3)], rng.randint(31, 60)
    copied = rng.random() < 0.5
    source = (
        f"first = {values}\nsecond = first{'[:]' if copied else ''}\nsecond.append({extra})\nsecond[0] = 0\n"
        "print(first)\n"
    )
    return source, values if copied else [0, *values[1:], extra]


def _comprehension(rng: random.Random) -> Drawn:
    n, k, plus = rng.randint(6, 12), rng.randint(2, 4), rng.randint(1, 9)
    source = f"print([x * x + {plus} for x in range({n}) if x % {k} == 1])\n"
    return source, [x * x + plus for x in range(n) if x % k == 1]


def _dictionary(rng: random.Random) -> Drawn:
    word, add = (
        rng.choice(("banana", "mississippi", "assess", "rotor", "cocoon", "tattoo")),
        rng.randint(1, 9),
    )
    letter = rng.choice(sorted(set(word)))
    source = (
        f"counts = {{}}\nfor letter in {word!r}:\n    counts[letter] = counts.get(letter, {add}) + 1\n"
        f"print(counts[{letter!r}])\n"
    )
    return source, add + word.count(letter)


def _recursion(rng: random.Random) -> Drawn:
    n, base, factor = rng.randint(4, 8), rng.randint(1, 5), rng.randint(1, 3)
    source = (
        f"def f(n):\n    if n < 2:\n        return {base}\n    return {factor} * f(n - 1) + f(n - 2)\n\nprint(f({n}))\n"
    )
    row = [base, base]
    while len(row) <= n:
        row.append(factor * row[-1] + row[-2])
    return source, row[n]


def _strings(rng: random.Random) -> Drawn:
    word = rng.choice(("lantern", "harbour", "juniper", "compass", "velvet", "thunder", "mosaic", "pioneer"))
    step, letter = rng.choice((2, 3, -1, -2)), rng.choice("xyz")
    source = f"word = {word!r}\nprint(word[::{step}].upper() + {letter!r})\n"
    return source, word[::step].upper() + letter


def _default(rng: random.Random) -> Drawn:
    a, b, c = (rng.randint(1, 20) for _ in range(3))
    source = (
        f"def add(x, seen=[]):\n    seen.append(x)\n    return sum(seen)\n\nadd({a})\nadd({b}, [])\nprint(add({c}))\n"
    )
    return source, a + c


_PROGRAMS: tuple[Callable[[random.Random], Drawn], ...] = (
    _loop, _halving, _slices, _aliasing, _comprehension, _dictionary, _recursion, _strings, _default,
)  # fmt: skip
