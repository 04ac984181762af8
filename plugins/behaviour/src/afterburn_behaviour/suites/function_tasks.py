"""The tasks behind `functions`: what is asked, two independent solutions, inputs, and a slip that breaks the "
"first."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Task:
    """A function to write, up to parameters. `<name>` in the source and `{name}` in the text stand for them."""

    name: str
    signature: str
    what: str
    source: str
    expected: Callable[..., Any]
    """A second solution: parameters by name, then the arguments of the call."""
    case: Callable[[random.Random], tuple[Any, ...]]
    cases: Sequence[tuple[Any, ...]] = ()
    parameters: Mapping[str, Sequence[Any]] = attrs.field(factory=dict)
    slip: tuple[str, str]
    """A piece of one line of the source, and what makes it wrong."""


def _numbers(rng: random.Random) -> list[int]:
    return [rng.randint(-20, 40) for _ in range(rng.randint(3, 9))]


def _words(rng: random.Random) -> list[str]:
    pool = (
        "amber",
        "bolt",
        "cedar",
        "dune",
        "ember",
        "fjord",
        "glen",
        "heath",
        "iris",
        "jade",
        "kelp",
        "level",
        "noon",
    )
    return [rng.choice(pool) for _ in range(rng.randint(2, 7))]


def _text(rng: random.Random) -> str:
    return " ".join(_words(rng))


def _runs(text: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for letter in text:
        if found and found[-1][0] == letter:
            found[-1] = (letter, found[-1][1] + 1)
        else:
            found.append((letter, 1))
    return found


def _windows(values: list[int], k: int) -> list[int]:
    return [max(values[i : i + k]) for i in range(len(values) - k + 1)]


def _base(value: int, base: int) -> str:
    digits = ""
    while value:
        value, digit = divmod(value, base)
        digits = "0123456789abcdef"[digit] + digits
    return digits or "0"


_SMALL = (2, 3, 4, 5, 6, 7)

TASKS: tuple[Task, ...] = (
    Task(
        name="sum_multiples", signature="sum_multiples(numbers)", parameters={"k": (*_SMALL, 8, 9, 10, 11)},
        what="takes a list of integers and returns the sum of those that are divisible by {k}.",
        source=(
            "def sum_multiples(numbers):\n    total = 0\n    for number in numbers:\n"
            "        if number % <k> == 0:\n            total += number\n    return total\n"
        ),
        expected=lambda values, numbers: sum(n for n in numbers if n % values["k"] == 0),
        case=lambda rng: (_numbers(rng),), cases=(([],), ([0, 210, 2520, -2520],)), slip=("== 0", "!= 0"),
    ),
    Task(
        name="every_kth", signature="every_kth(items)", parameters={"k": _SMALL},
        what="takes a list and returns a new list with every element whose position, counted from 1, is a multiple of "
        "{k}.",
        source=(
            "def every_kth(items):\n    kept = []\n    for position, item in enumerate(items, start=1):\n"
            "        if position % <k> == 0:\n            kept.append(item)\n    return kept\n"
        ),
        expected=lambda values, items: items[values["k"] - 1 :: values["k"]],
        case=lambda rng: (_numbers(rng),), cases=(([],), (list(range(15)),)), slip=("append(item)", "append(position)"),
    ),
    Task(
        name="count_letter", signature="count_letter(text)", parameters={"a": tuple("aeiounrst")},
        what="returns how often the letter '{a}' occurs in a text, in upper or lower case.",
        source=(
            "def count_letter(text):\n    count = 0\n    for letter in text:\n        if letter.lower() == '<a>':\n"
            "            count += 1\n    return count\n"
        ),
        expected=lambda values, text: text.count(values["a"]) + text.count(values["a"].upper()),
        case=lambda rng: (_text(rng).title(),), cases=(("",), ("AEIOUNRST aeiounrst",)),
        slip=("count += 1", "count = 1"),
    ),
    Task(
        name="top_values", signature="top_values(numbers)", parameters={"k": _SMALL},
        what="returns the {k} largest different values of a list of integers in descending order, or all different "
        "values if there are fewer.",
        source=(
            "def top_values(numbers):\n    different = set(numbers)\n    ordered = sorted(different, reverse=True)\n"
            "    return ordered[:<k>]\n"
        ),
        expected=lambda values, numbers: sorted(set(numbers))[::-1][: values["k"]],
        case=lambda rng: (_numbers(rng),), cases=(([],), ([5, 5, 4, 4, 9, 9, 1, 0, -3, 12, 11],)),
        slip=("[:<k>]", "[<k>:]"),
    ),
    Task(
        name="rotate", signature="rotate(items)", parameters={"k": (1, *_SMALL), "side": ("left", "right")},
        what="returns a list rotated by {k} places to the {side}; an empty list stays empty.",
        source=(
            "def rotate(items):\n    if not items:\n        return []\n    shift = <k> % len(items)\n"
            "    if '<side>' == 'right':\n        shift = len(items) - shift\n"
            "    return items[shift:] + items[:shift]\n"
        ),
        expected=lambda values, items: [
            items[(i + (values["k"] if values["side"] == "left" else -values["k"])) % len(items)]
            for i in range(len(items))
        ],
        case=lambda rng: (_numbers(rng),), cases=(([],), ([1],), ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10],)),
        slip=("return []", "return [0]"),
    ),
    Task(
        name="window_max", signature="window_max(numbers)", parameters={"k": (2, 3, 4, 5)},
        what="returns the list of maxima of all runs of {k} neighbouring numbers, or an empty list if there are fewer "
        "than {k} numbers.",
        source=(
            "def window_max(numbers):\n    found = []\n    for start in range(len(numbers) - <k> + 1):\n"
            "        window = numbers[start:start + <k>]\n        found.append(max(window))\n    return found\n"
        ),
        expected=lambda values, numbers: _windows(numbers, values["k"]),
        case=lambda rng: (_numbers(rng),), cases=(([],), ([3, 1, 2, 9, 8, 7, 1],)), slip=("append(max(", "append(min("),
    ),
    Task(
        name="in_base", signature="in_base(value)", parameters={"b": (2, 3, 4, 5, 6, 7, 8, 9, 11, 12)},
        what="returns a non-negative integer written in base {b}, as a string with the digits 0-9 and then a, b, …",
        source=(
            "def in_base(value):\n    if value == 0:\n        return '0'\n    digits = ''\n    while value > 0:\n"
            "        digits = '0123456789abcdef'[value % <b>] + digits\n        value //= <b>\n    return digits\n"
        ),
        expected=lambda values, value: _base(value, values["b"]),
        case=lambda rng: (rng.randint(1, 5000),), cases=((0,), (1,), (1000,)), slip=("+ digits", "+ digits[1:]"),
    ),
    Task(
        name="encode_runs", signature="encode_runs(text)", parameters={"mark": ("x", "*", ":", "-", "#", "=")},
        what="shortens each run of equal characters to the character, then '{mark}', then the length of the run, and "
        "joins these pieces without anything between them.",
        source=(
            "def encode_runs(text):\n    result = ''\n    start = 0\n    while start < len(text):\n"
            "        end = start\n        while end < len(text) and text[end] == text[start]:\n            end += 1\n"
            "        result += text[start] + '<mark>' + str(end - start)\n        start = end\n    return result\n"
        ),
        expected=lambda values, text: "".join(f"{letter}{values['mark']}{n}" for letter, n in _runs(text)),
        case=lambda rng: ("".join(rng.choice("abc") * rng.randint(1, 4) for _ in range(rng.randint(1, 5))),),
        cases=(("",), ("aaab",)), slip=("str(end - start)", "str(end - start - 1)"),
    ),
    Task(
        name="long_words", signature="long_words(text)", parameters={"k": (3, 4, 5), "how": ("sorted", "reversed")},
        what="splits a text at white space and returns the words of more than {k} characters as a list, {how}: "
        "alphabetically if sorted, or in the opposite order of the text if reversed.",
        source=(
            "def long_words(text):\n    words = [word for word in text.split() if len(word) > <k>]\n"
            "    if '<how>' == 'sorted':\n        return sorted(words)\n    return words[::-1]\n"
        ),
        expected=lambda values, text: (
            sorted(filter(lambda w: len(w) > values["k"], text.split()))
            if values["how"] == "sorted"
            else list(reversed([w for w in text.split() if not len(w) <= values["k"]]))
        ),
        case=lambda rng: (_text(rng),), cases=(("",), ("iris cedar amber noon abc ember level abcd",)),
        slip=("> <k>]", "< <k>]"),
    ),
    Task(
        name="clamp_all", signature="clamp_all(numbers)", parameters={"low": (-5, 0, 3), "high": (10, 15, 20)},
        what="returns a list in which every number below {low} is replaced by {low} and every number above {high} by "
        "{high}.",
        source=(
            "def clamp_all(numbers):\n    result = []\n    for number in numbers:\n"
            "        result.append(max(<low>, min(<high>, number)))\n    return result\n"
        ),
        expected=lambda values, numbers: [
            values["low"] if n < values["low"] else values["high"] if n > values["high"] else n for n in numbers
        ],
        case=lambda rng: (_numbers(rng),), cases=(([],), ([-100, 100, 5],)), slip=("min(", "max("),
    ),
    Task(
        name="pairs_with_sum", signature="pairs_with_sum(numbers)", parameters={"s": tuple(range(5, 30))},
        what="counts the pairs of positions i < j in a list of integers whose values add up to {s}.",
        source=(
            "def pairs_with_sum(numbers):\n    count = 0\n    for i in range(len(numbers)):\n"
            "        for j in range(i + 1, len(numbers)):\n            if numbers[i] + numbers[j] == <s>:\n"
            "                count += 1\n    return count\n"
        ),
        expected=lambda values, numbers: (
            (sum(a + b == values["s"] for a in numbers for b in numbers) - sum(2 * a == values["s"] for a in numbers))
            // 2
        ),
        case=lambda rng: ([rng.randint(0, 12) for _ in range(8)],),
        cases=(([],), (list(range(16)),), ([5, 5, 5, 10, 10, 10, 1, 4, 0],)), slip=("count += 1", "count = 1"),
    ),
    Task(
        name="digit_power_sum", signature="digit_power_sum(value)", parameters={"p": (1, 2, 3, 4)},
        what="returns the sum of the decimal digits of a non-negative integer, each raised to the power {p}.",
        source=(
            "def digit_power_sum(value):\n    total = 0\n    for digit in str(value):\n"
            "        total += int(digit) ** <p>\n    return total\n"
        ),
        expected=lambda values, value: sum(
            (value // 10**k % 10) ** values["p"] for k in range(len(str(value)))
        ),
        case=lambda rng: (rng.randint(0, 99_999),), cases=((0,), (9,), (1234,)), slip=("total +=", "total ="),
    ),
    Task(
        name="group_by_length", signature="group_by_length(words)", parameters={"k": (0, 1, 2, 3, 4)},
        what="returns a dictionary from word length to the sorted list of the different words of that length, leaving "
        "out words of {k} or fewer characters.",
        source=(
            "def group_by_length(words):\n    groups = {}\n    for word in sorted(set(words)):\n"
            "        if len(word) > <k>:\n            groups.setdefault(len(word), []).append(word)\n"
            "    return groups\n"
        ),
        expected=lambda values, words: {
            n: sorted({w for w in words if len(w) == n}) for n in {len(w) for w in words} if n > values["k"]
        },
        case=lambda rng: (_words(rng),), cases=(([],), (["bb", "a", "bb", "abc", "amber"],)),
        slip=("len(word) > <k>", "len(word) < <k>"),
    ),
    Task(
        name="running", signature="running(numbers)", parameters={"m": tuple(range(3, 14))},
        what="returns the list of running totals of a list of integers, each total taken modulo {m}.",
        source=(
            "def running(numbers):\n    total = 0\n    found = []\n    for number in numbers:\n"
            "        total += number\n        found.append(total % <m>)\n    return found\n"
        ),
        expected=lambda values, numbers: [sum(numbers[: k + 1]) % values["m"] for k in range(len(numbers))],
        case=lambda rng: (_numbers(rng),), cases=(([],), ([1, 2, 3, 4, 5],)),
        slip=("total += number", "total = number"),
    ),
)  # fmt: skip
