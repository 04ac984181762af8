"""Gold answers of the suite `math`, against solvers that read the prompt and count, search or step."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import pytest

from afterburn_behaviour.suites.math import items
from afterburn_core.probes.model import Probe
from afterburn_core.probes.numbers import value_of

SEEDS = (0, 1, 2)
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]
Numbers = list[int]


def question(probe: Probe) -> str:
    """The prompt less the options."""
    return probe.text.split("\n")[0]


def numbers(text: str) -> Numbers:
    return [int(found) for found in re.findall(r"(?<![\d.])-?\d+", text)]


def expression(text: str) -> Fraction:
    found = max(re.findall(r"[\d(][\d\s+×/().-]*[\d)]", text), key=len)
    operations: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
        ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    }  # fmt: skip

    def worth(node: ast.expr) -> Fraction:
        if isinstance(node, ast.Constant):
            return Fraction(str(node.value))
        assert isinstance(node, ast.BinOp)
        return operations[type(node.op)](worth(node.left), worth(node.right))

    return worth(ast.parse(found.replace("×", "*"), mode="eval").body)


def shop(a: int, p: int, b: int, q: int, paid: int) -> int:
    for _ in range(a):
        paid -= p
    for _ in range(b):
        paid -= q
    return paid


def factory(rate: int, hours: int, days: int, bad: int, box: int) -> int:
    made = sum(rate for _ in range(days) for _ in range(hours)) - bad
    full = 0
    while made >= box:
        made, full = made - box, full + 1
    return full


def tank(start: int, fill: int, drain: int, minutes: int) -> int:
    for _ in range(minutes):
        start = start + fill - drain
    return start


def ages(gap: int, later: int, total: int) -> int:
    (age,) = [age for age in range(200) if (age + later) + (age + gap + later) == total]
    return age


def shares(total: int, a: int, b: int) -> int:
    (first,) = [x for x in range(total + 1) if x * b == (total - x) * a]
    return first - (total - first)


def raised(price: int, up: int, down: int) -> Fraction:
    higher = Fraction(price) + Fraction(price * up, 100)
    return higher - higher * Fraction(down, 100)


def share(part: int, whole: int) -> int:
    (percent,) = [p for p in range(101) if p * whole == 100 * part]
    return percent


def original(off: int, now: int) -> int:
    (price,) = [p for p in range(now, 20 * now) if 100 * p - off * p == 100 * now]
    return price


def following(*row: int) -> int:
    """The next term under every simple rule that fits; they must agree."""
    fits: set[Fraction] = set()
    steps = [b - a for a, b in pairwise(row)]
    if len(set(steps)) == 1:
        fits.add(Fraction(row[-1] + steps[0]))
    second = [b - a for a, b in pairwise(steps)]
    if len(set(second)) == 1:
        fits.add(Fraction(row[-1] + steps[-1] + second[0]))
    if 0 not in row and len({Fraction(b, a) for a, b in pairwise(row)}) == 1:
        fits.add(Fraction(row[-1] * row[-1], row[-2]))
    if all(a + b == c for a, b, c in zip(row, row[1:], row[2:], strict=False)):
        fits.add(Fraction(row[-1] + row[-2]))
    even, odd = row[::2], row[1::2]
    if even[1] - even[0] == even[2] - even[1] and odd[1] - odd[0] == odd[2] - odd[1]:
        fits.add(Fraction(2 * even[2] - even[1]))
    (term,) = fits
    return int(term)


def cells(width: int, height: int, kept: Callable[[int, int], bool]) -> int:
    return sum(kept(x, y) for x in range(width) for y in range(height))


def frame(width: int, height: int, border: int) -> int:
    return cells(width, height, lambda x, y: min(x, y, width - 1 - x, height - 1 - y) < border)


def hypotenuse(a: int, b: int) -> int:
    (c,) = [c for c in range(a + b) if c * c == a * a + b * b]
    return c


def cubes(a: int, b: int, c: int, edge: int) -> int:
    return len(range(0, a, edge)) * len(range(0, b, edge)) * len(range(0, c, edge))


def power(base: int, exponent: int, modulus: int) -> int:
    value = 1
    for _ in range(exponent):
        value *= base
    return value - modulus * (value // modulus)


def remainders(r: int, m: int, s: int, n: int) -> int:
    return next(value for value in range(1, m * n + 1) if value % m == r and value % n == s)


def sieve(low: int, high: int) -> int:
    composite = {k for d in range(2, high) for k in range(2 * d, high + 1, d)}
    return sum(value not in composite for value in range(max(low, 2), high + 1))


BY_NUMBERS: dict[str, Callable[..., int | Fraction]] = {
    "shop": shop,
    "factory": factory,
    "tank": tank,
    "travel": lambda v, t, w, u: sum(v for _ in range(t)) + sum(w for _ in range(u)),
    "ages": ages,
    "shares": shares,
    "raised": raised,
    "share": share,
    "original": original,
    "next": following,
    "fence": lambda width, ratio: sum((width, width * ratio, width, width * ratio)),
    "frame": frame,
    "triangle": lambda a, b: next(c for c in range(180) if a + b + c == 180),
    "hypotenuse": hypotenuse,
    "cubes": cubes,
    "ell": lambda width, height, x, y: cells(width, height, lambda i, j: not (i < x and j < y)),
    "gcd": lambda a, b: max(d for d in range(1, min(a, b) + 1) if a % d == b % d == 0),
    "lcm": lambda a, b: next(m for m in range(a, a * b + 1, a) if m % b == 0),
    "power": power,
    "divisors": lambda a, *_: len([d for d in range(1, a + 1) if a / d == a // d]),
    "remainders": remainders,
    "digits": lambda a, b: sum(int(digit) for digit in str(a * b)),
    "primes": sieve,
}


def next_day(day: tuple[int, int, int]) -> tuple[int, int, int]:
    """Day, month, year."""
    d, m, y = day
    leap = y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)
    length = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[m - 1]
    if d < length:
        return d + 1, m, y
    return (1, m + 1, y) if m < 12 else (1, 1, y + 1)


def dates_in(text: str) -> list[tuple[int, int, int]]:
    found = re.findall(rf"(\d+) ({'|'.join(MONTHS)}) (\d{{4}})", text)
    return [(int(d), MONTHS.index(m) + 1, int(y)) for d, m, y in found]


def by_calendar(kind: str, text: str) -> str:
    rest = re.sub(rf"\d+ (?:{'|'.join(MONTHS)}) \d{{4}}", "", text)
    if kind == "between":
        day, end = dates_in(text)
        count = 0
        while day != end:
            day, count = next_day(day), count + 1
        return str(count)
    if kind == "date_after":
        (day,) = dates_in(text)
        for _ in range(numbers(rest)[0]):
            day = next_day(day)
        return f"{day[2]:04d}-{day[1]:02d}-{day[0]:02d}"
    if kind == "weekday_after":
        first = next(day for day in DAYS if day in text)
        return (DAYS[DAYS.index(first) :] + DAYS * 60)[numbers(text)[0]]
    times = [60 * int(h) + int(m) for h, m in re.findall(r"(\d\d):(\d\d)", text)]
    if kind == "lasted":
        return str(len(range(*times)))
    hours, minutes = map(int, re.findall(r"(\d+) h (\d+) min", text)[0])
    clock = times[0]
    for _ in range(60 * hours + minutes):
        clock = clock + 1 if clock < 24 * 60 - 1 else 0
    return f"{clock // 60:02d}:{clock % 60:02d}"


def solved(probe: Probe) -> str | Fraction:
    text, kind = question(probe), probe.properties["kind"]
    if kind == "expression":
        return expression(text)
    if kind in BY_NUMBERS:
        return Fraction(BY_NUMBERS[kind](*numbers(text)))
    return by_calendar(kind, text)


@pytest.mark.parametrize("seed", SEEDS)
def test_gold_answers_are_those_of_independent_solvers(seed: int) -> None:
    for probe in items(seed, None):
        answer = solved(probe)
        gold = probe.choices[ord(str(probe.gold)) - ord("A")] if probe.checker == "choice" else str(probe.gold)
        if isinstance(answer, Fraction):
            value = value_of(gold)
            assert value is not None and value.value == answer, probe
            if probe.checker == "choice":
                assert [value_of(option).value for option in probe.choices].count(answer) == 1  # type: ignore[union-attr]
        else:
            assert gold == answer, probe


def test_every_kind_comes_up() -> None:
    kinds = {probe.properties["kind"] for seed in SEEDS for probe in items(seed, None)}
    assert kinds == {"expression", *BY_NUMBERS, "between", "date_after", "weekday_after", "clock", "lasted"}


def test_the_solvers_notice_a_wrong_gold_answer() -> None:
    probe = next(iter(items(0, 1)))
    assert solved(probe) != value_of(str(probe.gold) + "1")
