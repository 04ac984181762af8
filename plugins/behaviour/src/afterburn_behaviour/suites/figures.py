"""Sequences, geometry and number theory."""

from __future__ import annotations

import math
import random

from afterburn_behaviour.suites.drawing import Item
from afterburn_behaviour.suites.phrasing import worded
from afterburn_behaviour.suites.sums import number

_NEXT = (
    "What number comes next: {row}, …?",
    "Continue the sequence {row} by one term.",
    "Find the term that follows in {row}.",
    "A pattern begins {row}. Which number is next?",
)


def sequence(rng: random.Random) -> Item:
    """The next of six terms of a sequence with one rule."""
    return rng.choice((_steps, _ratio, _growing, _sums, _interleaved))(rng)


def _asked(rng: random.Random, terms: list[int]) -> Item:
    return number(worded(rng, _NEXT, row=", ".join(map(str, terms[:6]))), terms[6], "next")


def _steps(rng: random.Random) -> Item:
    start, step = rng.randint(-40, 80), rng.choice((-1, 1)) * rng.randint(3, 19)
    return _asked(rng, [start + step * k for k in range(7)])


def _ratio(rng: random.Random) -> Item:
    start, ratio = rng.randint(2, 11), rng.choice((2, 3, 4, -2, -3))
    return _asked(rng, [start * ratio**k for k in range(7)])


def _growing(rng: random.Random) -> Item:
    start, step, growth = rng.randint(-10, 40), rng.randint(1, 9), rng.randint(2, 6)
    return _asked(rng, [start + step * k + growth * k * (k - 1) // 2 for k in range(7)])


def _sums(rng: random.Random) -> Item:
    terms = [rng.randint(1, 15), rng.randint(1, 15)]
    while len(terms) < 7:
        terms.append(terms[-1] + terms[-2])
    return _asked(rng, terms)


def _interleaved(rng: random.Random) -> Item:
    a, b = rng.randint(1, 30), rng.randint(40, 90)
    up, down = rng.randint(2, 9), rng.randint(2, 9)
    return _asked(rng, [a + up * (k // 2) if k % 2 == 0 else b - down * (k // 2) for k in range(7)])


def geometry(rng: random.Random) -> Item:
    """Lengths, areas, volumes and angles with whole values."""
    return rng.choice((_fence, _frame, _triangle, _hypotenuse, _cubes, _ell))(rng)


def _fence(rng: random.Random) -> Item:
    width, ratio = rng.randint(3, 60), rng.randint(2, 6)
    templates = (
        "A garden is {width} m wide and {ratio} times as long as it is wide. How many metres of fence go round it?",
        (
            "A rectangle has a short side of {width} cm, and the long side is {ratio} times that. What is its "
            "perimeter "
            "in centimetres?"
        ),
    )
    area = width * width * ratio
    return number(worded(rng, templates, width=width, ratio=ratio), 2 * width * (1 + ratio), "fence", (area,))


def _frame(rng: random.Random) -> Item:
    width, height, border = rng.randint(10, 60), rng.randint(10, 60), rng.randint(1, 4)
    value = width * height - (width - 2 * border) * (height - 2 * border)
    templates = (
        (
            "A board of {width} cm by {height} cm has a painted border {border} cm wide along its edge, inside the "
            "board. "
            "What is the area of the border in square centimetres?"
        ),
        (
            "A lawn measures {width} m by {height} m; a path {border} m wide runs round just inside its edge. How "
            "many "
            "square metres does the path cover?"
        ),
    )
    slip = width * height - (width - border) * (height - border)
    return number(worded(rng, templates, width=width, height=height, border=border), value, "frame", (slip,))


def _triangle(rng: random.Random) -> Item:
    first, second = rng.randint(15, 85), rng.randint(15, 85)
    templates = (
        "Two angles of a triangle are {a}° and {b}°. How many degrees has the third?",
        "In a triangle one angle is {a}° and another {b}°. Find the remaining angle in degrees.",
    )
    gold = 180 - first - second
    return number(worded(rng, templates, a=first, b=second), gold, "triangle", (first + second, 360 - first - second))


def _hypotenuse(rng: random.Random) -> Item:
    m = rng.randint(2, 7)
    k, scale = rng.randint(1, m - 1), rng.randint(1, 5)
    a, b, c = scale * (m * m - k * k), scale * 2 * m * k, scale * (m * m + k * k)
    templates = (
        "The legs of a right triangle measure {a} cm and {b} cm. How long is the hypotenuse in centimetres?",
        (
            "A ladder's foot stands {a} dm from a wall and its top touches the wall {b} dm up. How long is the "
            "ladder, in "
            "decimetres?"
        ),
        "Someone walks {a} m east and then {b} m north. How far is the starting point in a straight line, in metres?",
    )
    return number(worded(rng, templates, a=a, b=b), c, "hypotenuse", (a + b, abs(a - b)))


def _cubes(rng: random.Random) -> Item:
    a, b, c, edge = rng.randint(2, 7), rng.randint(2, 7), rng.randint(2, 7), rng.randint(2, 5)
    templates = (
        "A box of {a} cm by {b} cm by {c} cm is filled with cubes whose edge is {edge} cm. How many cubes fill it?",
        (
            "How many bricks fill a crate that measures {a} cm by {b} cm by {c} cm, if every brick is a cube with "
            "an edge "
            "of {edge} cm?"
        ),
    )
    prompt = worded(rng, templates, a=a * edge, b=b * edge, c=c * edge, edge=edge)
    return number(prompt, a * b * c, "cubes", (a * b * c * edge, a * b + b * c))


def _ell(rng: random.Random) -> Item:
    width, height = rng.randint(8, 40), rng.randint(8, 40)
    x, y = rng.randint(2, width - 3), rng.randint(2, height - 3)
    templates = (
        (
            "From the corner of a sheet of {width} cm by {height} cm a piece of {x} cm by {y} cm is cut out. What "
            "area is "
            "left, in square centimetres?"
        ),
        (
            "A floor is {width} m by {height} m, but a pillar block of {x} m by {y} m stands in one corner. How many "
            "square metres of floor are free?"
        ),
    )
    value = width * height - x * y
    return number(worded(rng, templates, width=width, height=height, x=x, y=y), value, "ell", (width * height + x * y,))


def number_theory(rng: random.Random) -> Item:
    """Divisors, multiples, remainders, digits and primes."""
    return rng.choice((_gcd, _lcm, _power, _divisors, _remainders, _digits, _primes))(rng)


def _gcd(rng: random.Random) -> Item:
    common, a, b = rng.randint(2, 24), rng.randint(3, 30), rng.randint(3, 30)
    templates = (
        "What is the greatest common divisor of {a} and {b}?",
        "Find the largest whole number that divides both {a} and {b}.",
    )
    value = math.gcd(common * a, common * b)
    return number(worded(rng, templates, a=common * a, b=common * b), value, "gcd")


def _lcm(rng: random.Random) -> Item:
    a, b = rng.sample(range(6, 60), 2)
    templates = (
        "What is the least common multiple of {a} and {b}?",
        (
            "One light blinks every {a} seconds, another every {b} seconds. They blink together now. After how many "
            "seconds do they next blink together?"
        ),
    )
    return number(worded(rng, templates, a=a, b=b), math.lcm(a, b), "lcm")


def _power(rng: random.Random) -> Item:
    base, exponent, modulus = rng.randint(2, 13), rng.randint(8, 60), rng.randint(5, 19)
    templates = (
        "What is the remainder when {a} to the power {b} is divided by {c}?",
        "Divide {a}^{b} by {c}. Which remainder is left?",
    )
    return number(worded(rng, templates, a=base, b=exponent, c=modulus), pow(base, exponent, modulus), "power")


def _divisors(rng: random.Random) -> Item:
    value = rng.randint(24, 400)
    templates = (
        "How many positive divisors does {a} have?",
        "Count the whole numbers that divide {a} without a remainder, 1 and the number itself included.",
    )
    return number(worded(rng, templates, a=value), sum(value % k == 0 for k in range(1, value + 1)), "divisors")


def _remainders(rng: random.Random) -> Item:
    m, n = rng.choice(((3, 5), (4, 7), (5, 8), (7, 9), (5, 11), (8, 9), (6, 11), (7, 10), (9, 13)))
    value = rng.randint(1, m * n - 1)
    templates = (
        (
            "Find the smallest positive whole number that leaves remainder {r} on division by {m} and remainder {s} "
            "on "
            "division by {n}."
        ),
        (
            "Counted with {r} left over in rows of {m}, and {s} left over in rows of {n}: what is the least "
            "positive number "
            "of chairs for which that holds?"
        ),
    )
    return number(worded(rng, templates, r=value % m, m=m, s=value % n, n=n), value, "remainders")


def _digits(rng: random.Random) -> Item:
    a, b = rng.randint(100, 999), rng.randint(100, 999)
    templates = (
        "What is the sum of the digits of {a} × {b}?",
        "Multiply {a} by {b} and add up the digits of the product. What do you get?",
    )
    return number(worded(rng, templates, a=a, b=b), sum(map(int, str(a * b))), "digits")


def _primes(rng: random.Random) -> Item:
    low = rng.randint(2, 150)
    high = low + rng.randint(15, 60)
    count = sum(all(value % k for k in range(2, value)) for value in range(max(low, 2), high + 1))
    templates = (
        "How many prime numbers are there from {a} to {b}, both ends included?",
        "Count the primes p with {a} ≤ p ≤ {b}.",
    )
    return number(worded(rng, templates, a=low, b=high), count, "primes")
