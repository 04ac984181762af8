"""Arithmetic, word problems of several steps, and percentages. Every template names its numbers in one order."""

from __future__ import annotations

import random
from fractions import Fraction

from afterburn_behaviour.suites.drawing import Item
from afterburn_behaviour.suites.phrasing import PEOPLE, worded

_COMPUTE = (
    "Compute {e}.",
    "What is the value of {e}?",
    "Work out {e} and state the result.",
    "Evaluate the expression {e}.",
)


def number(prompt: str, gold: int | Fraction | str, kind: str, slips: tuple[int, ...] = ()) -> Item:
    """An item whose answer is a number."""
    return Item(
        prompt=prompt, gold=str(gold), checker="number", properties={"kind": kind, "slips": [str(s) for s in slips]}
    )


def arithmetic(rng: random.Random) -> Item:
    """An expression with two to four operations, fractions or decimals among them."""
    return rng.choice((_chain, _nested, _fractions, _decimals))(rng)


def _chain(rng: random.Random) -> Item:
    a, b, c, d = (rng.randint(12, 99), rng.randint(3, 29), rng.randint(11, 199), rng.randint(2, 19))
    minus = rng.random() < 0.5
    value = a * b - c * d if minus else a * b + c * d
    expression = f"{a} × {b} {'-' if minus else '+'} {c} × {d}"
    return number(worded(rng, _COMPUTE, e=expression), value, "expression", ((a * b + (-c if minus else c)) * d,))


def _nested(rng: random.Random) -> Item:
    a, b, c, d = rng.randint(5, 60), rng.randint(5, 60), rng.randint(3, 14), rng.randint(10, 300)
    value = (a + b) * c - d
    return number(worded(rng, _COMPUTE, e=f"({a} + {b}) × {c} - {d}"), value, "expression", (a + b * c - d,))


def _fractions(rng: random.Random) -> Item:
    b, d = rng.sample(range(2, 13), 2)
    a, c = rng.randint(1, b - 1), rng.randint(1, d - 1)
    value = Fraction(a, b) + Fraction(c, d)
    templates = (
        "Add {e} and give the exact value as a fraction.",
        "What is {e} as a fraction?",
        "Write {e} as a single fraction.",
    )
    return number(worded(rng, templates, e=f"{a}/{b} + {c}/{d}"), value, "expression")


def _decimals(rng: random.Random) -> Item:
    a, b, c = rng.randint(101, 9999), rng.randint(101, 9999), rng.randint(2, 9)
    value = Fraction(a, 100) * c + Fraction(b, 100)
    cents = int(value * 100)
    text = f"{cents // 100}.{cents % 100:02d}"
    return number(worded(rng, _COMPUTE, e=f"{a / 100:.2f} × {c} + {b / 100:.2f}"), text, "expression")


def word_problem(rng: random.Random) -> Item:
    """A story with two to four steps."""
    return rng.choice((_shop, _factory, _tank, _travel, _ages, _shares))(rng)


def _shop(rng: random.Random) -> Item:
    who, (one, other) = rng.choice(PEOPLE), rng.sample(("pencils", "notebooks", "apples", "stamps", "tickets"), 2)
    a, p, b, q = rng.randint(2, 12), rng.randint(2, 15), rng.randint(2, 12), rng.randint(2, 15)
    cost = a * p + b * q
    paid = (cost // 50 + 1) * 50
    templates = (
        (
            "{who} buys {a} {one} at {p} coins each and {b} {other} at {q} coins each, and pays with {paid} coins. "
            "How many coins come back?"
        ),
        (
            "At a stall {who} takes {a} {one} for {p} coins apiece, then {b} {other} for {q} coins apiece. Having "
            "handed "
            "over {paid} coins, how much change is due?"
        ),
        (
            "A basket holds {a} {one} costing {p} coins each and {b} {other} costing {q} coins each. {who} has "
            "{paid} "
            "coins. What is left after paying?"
        ),
    )
    prompt = worded(rng, templates, who=who, a=a, one=one, p=p, b=b, other=other, q=q, paid=paid)
    return number(prompt, paid - cost, "shop", (cost, paid - a * p, paid - p - q))


def _factory(rng: random.Random) -> Item:
    rate, hours, days = rng.randint(6, 40), rng.randint(3, 9), rng.randint(2, 6)
    bad, box = rng.randint(3, 30), rng.randint(4, 24)
    templates = (
        (
            "A press makes {rate} lids an hour and runs {hours} hours a day for {days} days. {bad} lids are faulty "
            "and "
            "thrown away; the rest go into boxes of {box}. How many boxes are completely filled?"
        ),
        (
            "Every hour {rate} candles are poured, {hours} hours a day, over {days} days. After {bad} broken ones "
            "are "
            "taken out, full crates of {box} are shipped. How many crates is that?"
        ),
        (
            "A mill turns out {rate} sacks per hour, works {hours} hours daily and keeps going for {days} days. It "
            "sets "
            "aside {bad} torn sacks and stacks the others on pallets of {box}. How many pallets are full?"
        ),
    )
    good = rate * hours * days - bad
    prompt = worded(rng, templates, rate=rate, hours=hours, days=days, bad=bad, box=box)
    return number(prompt, good // box, "factory", (good // box + 1, rate * hours * days // box))


def _tank(rng: random.Random) -> Item:
    start, fill, drain, minutes = rng.randint(50, 400), rng.randint(12, 40), rng.randint(2, 11), rng.randint(4, 30)
    templates = (
        (
            "A tank holds {start} litres. {fill} litres flow in each minute while {drain} litres leak out. How many "
            "litres "
            "are in it after {minutes} minutes?"
        ),
        (
            "Starting from {start} litres, a pool gains {fill} litres a minute from a hose and loses {drain} litres "
            "a "
            "minute through a crack. What does it hold {minutes} minutes later, in litres?"
        ),
        (
            "There are {start} litres in a cistern. A pump adds {fill} litres per minute, and {drain} litres per "
            "minute "
            "are drawn off. How many litres does it contain after {minutes} minutes?"
        ),
    )
    prompt = worded(rng, templates, start=start, fill=fill, drain=drain, minutes=minutes)
    gold = start + (fill - drain) * minutes
    return number(prompt, gold, "tank", (start + fill * minutes, (fill - drain) * minutes))


def _travel(rng: random.Random) -> Item:
    v, t, w, u = rng.randint(4, 95), rng.randint(2, 7), rng.randint(4, 95), rng.randint(2, 7)
    templates = (
        "A van drives at {v} km/h for {t} hours and then at {w} km/h for {u} hours. How many kilometres is the trip?",
        (
            "On a tour someone covers {v} km every hour for {t} hours, and {w} km every hour for the next {u} "
            "hours. What "
            "is the whole distance in kilometres?"
        ),
        (
            "First a train keeps {v} km/h during {t} hours, after that {w} km/h during {u} hours. How far does it "
            "get, in "
            "kilometres?"
        ),
    )
    return number(worded(rng, templates, v=v, t=t, w=w, u=u), v * t + w * u, "travel", ((v + w) * (t + u), v * t))


def _ages(rng: random.Random) -> Item:
    older, younger = rng.sample(PEOPLE, 2)
    age, gap, later = rng.randint(3, 40), rng.randint(2, 25), rng.randint(2, 15)
    total = 2 * age + gap + 2 * later
    templates = (
        (
            "{older} is {gap} years older than {younger}. In {later} years their ages will add up to {total}. How "
            "old is "
            "{younger} now?"
        ),
        (
            "Between {older} and {younger} there are {gap} years, {younger} being the younger. {later} years from "
            "now "
            "the two ages sum to {total}. What is the present age of {younger}?"
        ),
    )
    prompt = worded(rng, templates, older=older, younger=younger, gap=gap, later=later, total=total)
    return number(prompt, age, "ages", (age + gap, age + later))


def _shares(rng: random.Random) -> Item:
    (one, other), part = rng.sample(PEOPLE, 2), rng.randint(4, 40)
    b, a = sorted(rng.sample(range(2, 12), 2))
    templates = (
        "{total} marbles are shared between {one} and {other} in the ratio {a}:{b}. How many more does {one} get?",
        (
            "{one} and {other} divide {total} coins in the ratio {a}:{b}, in that order. By how many is the share "
            "of {one} "
            "larger?"
        ),
        (
            "Out of {total} cards, {one} and {other} receive parts in the ratio {a}:{b}. What is the difference "
            "between "
            "their parts?"
        ),
    )
    prompt = worded(rng, templates, total=part * (a + b), one=one, other=other, a=a, b=b)
    return number(prompt, part * (a - b), "shares", (part * a, part * b))


def percentage(rng: random.Random) -> Item:
    """Raise and lower, share of a whole, and back to the original, all with whole answers."""
    return rng.choice((_raised, _share, _original))(rng)


def _raised(rng: random.Random) -> Item:
    price, up, down = 100 * rng.randint(2, 90), 5 * rng.randint(1, 10), 10 * rng.randint(1, 6)
    value = Fraction(price) * (100 + up) / 100 * (100 - down) / 100
    templates = (
        "A price of {price} euros rises by {up}% and then falls by {down}%. What is it in the end, in euros?",
        (
            "Rent starts at {price} a month, goes up {up}% and later comes down {down}% from there. What is the rent "
            "afterwards?"
        ),
        "A stock worth {price} gains {up}% and next loses {down}% of its new value. How much is it worth then?",
    )
    gold = str(int(value)) if value.denominator == 1 else f"{float(value):.2f}".rstrip("0")
    slip = int(Fraction(price) * (100 + up - down) / 100)
    return number(worded(rng, templates, price=price, up=up, down=down), gold, "raised", (slip,))


def _share(rng: random.Random) -> Item:
    percent, whole = rng.randint(1, 19) * 5, 20 * rng.randint(2, 60)
    part = percent * whole // 100
    templates = (
        "{part} of {whole} seats are taken. What percentage is that?",
        "What percentage is {part} out of {whole}?",
        "A test had {part} right answers in {whole} questions. Give the score in percent.",
    )
    return number(worded(rng, templates, part=part, whole=whole), percent, "share", (100 - percent,))


def _original(rng: random.Random) -> Item:
    off, price = 5 * rng.randint(1, 14), 20 * rng.randint(2, 80)
    now = price * (100 - off) // 100
    templates = (
        "After a discount of {off}% a lamp costs {now} euros. What did it cost before, in euros?",
        "Once {off}% had been taken off, the bill came to {now} euros. What was the bill in euros before that?",
        "A herd shrank by {off}% to {now} animals. How many animals were there to begin with?",
    )
    return number(worded(rng, templates, off=off, now=now), price, "original", (now * (100 + off) // 100,))
