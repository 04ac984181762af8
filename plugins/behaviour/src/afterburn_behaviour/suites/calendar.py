"""Dates and times of day."""

from __future__ import annotations

import datetime
import random

from afterburn_behaviour.suites.drawing import Item
from afterburn_behaviour.suites.phrasing import worded
from afterburn_behaviour.suites.sums import number

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
DATE = r"\b\d{4}-\d{1,2}-\d{1,2}\b"
TIME = r"(?<![\d:])\d{1,2}:\d{2}(?![\d:])"


def dates(rng: random.Random) -> Item:
    """Days between dates, the date or weekday some days on, and times of day."""
    return rng.choice((_between, _date_after, _weekday_after, _clock, _lasted))(rng)


def spelled(date: datetime.date) -> str:
    """`3 March 2021`."""
    return f"{date.day} {MONTHS[date.month - 1]} {date.year}"


def _day(rng: random.Random) -> datetime.date:
    return datetime.date(2001, 1, 1) + datetime.timedelta(days=rng.randint(0, 12_000))


def _between(rng: random.Random) -> Item:
    start, days = _day(rng), rng.randint(20, 400)
    end = start + datetime.timedelta(days=days)
    templates = (
        "How many days after {start} is {end}?",
        "A loan runs from {start} to {end}. How many days later is the second date than the first?",
        "Count the nights between {start} and {end}.",
    )
    return number(worded(rng, templates, start=spelled(start), end=spelled(end)), days, "between", (days + 1, days - 1))


def _date_after(rng: random.Random) -> Item:
    start, days = _day(rng), rng.randint(10, 300)
    templates = (
        "Which date is {days} days after {start}? Answer in the form YYYY-MM-DD.",
        "A parcel sent on {start} arrives {days} days later. Give the day of arrival as YYYY-MM-DD.",
    )
    prompt = worded(rng, templates, days=days, start=spelled(start))
    gold = (start + datetime.timedelta(days=days)).isoformat()
    return Item(prompt=prompt, gold=gold, checker="text", properties={"kind": "date_after", "pattern": DATE})


def _weekday_after(rng: random.Random) -> Item:
    first, days = rng.randrange(7), rng.randint(9, 400)
    templates = (
        "Today is {day}. What day of the week is it in {days} days?",
        "A show opens on a {day} and closes {days} days later. On which day of the week does it close?",
        "If the first of the month falls on a {day}, which weekday comes {days} days after it?",
    )
    gold = DAYS[(first + days) % 7]
    return Item(
        prompt=worded(rng, templates, day=DAYS[first], days=days), gold=gold, checker="text",
        properties={"kind": "weekday_after", "rivals": [day for day in DAYS if day != gold]},
    )  # fmt: skip


def _clock(rng: random.Random) -> Item:
    start, minutes = rng.randrange(24 * 60), rng.randint(25, 900)
    end = (start + minutes) % (24 * 60)
    templates = (
        (
            "A train leaves at {start} and travels {hours} h {rest} min. At what time does it arrive? Answer as "
            "HH:MM on "
            "the 24-hour clock."
        ),
        (
            "A cake goes into the cold room at {start} and must stay there for {hours} h {rest} min. When is it "
            "ready? "
            "Give the time as HH:MM, 24-hour clock."
        ),
    )
    prompt = worded(rng, templates, start=_time(start), hours=minutes // 60, rest=minutes % 60)
    accept = [_time(end).lstrip("0")] if 60 <= end < 600 else []
    properties = {"kind": "clock", "pattern": TIME, "accept": accept}
    return Item(prompt=prompt, gold=_time(end), checker="text", properties=properties)


def _lasted(rng: random.Random) -> Item:
    start = rng.randrange(0, 15 * 60)
    minutes = rng.randint(20, 8 * 60)
    templates = (
        "A meeting runs from {start} to {end} on the same day. How many minutes does it last?",
        "A film begins at {start} and ends at {end} that day. What is its length in minutes?",
    )
    prompt = worded(rng, templates, start=_time(start), end=_time(start + minutes))
    return number(prompt, minutes, "lasted")


def _time(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
