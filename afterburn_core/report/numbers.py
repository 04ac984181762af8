"""How numbers are written for people. One place, so that every format writes the same number the same way.

The browser repeats `number` and `percent` in `templates/report/scripts/format.js`; a test holds the two
together. Rounding is half away from zero on the exact binary value, as `Number.prototype.toFixed` does.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

from afterburn_core.result.model import Interval, MetricDescriptor

MINUS = "\u2212"
TIMES = "\u00d7"
UNDEFINED = "undefined"

_SHARES = ("_relative", "_fraction", "_share", "_coverage", "_rate", "_concentration")


def number(value: float) -> str:
    """Four significant digits, thousands separated, scientific where plain digits would mislead."""
    if not math.isfinite(value):
        return "not finite"
    size = abs(value)
    if size == 0:
        return "0"
    if size == int(size) and size < 1e15:
        text = f"{int(size):,}"
    elif 1e-3 <= size < 1e6:
        text = _significant(size, 4)
    else:
        text = scientific(size)
    return _sign(value) + text


def scientific(value: float, digits: int = 3) -> str:
    """`1.23e-7`; trailing zeros dropped."""
    if value == 0:
        return "0"
    exponent = Decimal(abs(value)).adjusted()
    mantissa = _fixed(Decimal(abs(value)).scaleb(-exponent), digits - 1)
    if mantissa.startswith("10"):  # 9.999 rounds up into the next decade
        exponent, mantissa = exponent + 1, _fixed(Decimal(1), digits - 1)
    return f"{_sign(value)}{_strip(mantissa)}e{exponent}"


def percent(fraction: float, *, signed: bool = False) -> str:
    """A fraction as a percentage of three significant digits.

    `0 %` and `100 %` are written for exactly 0 and 1 alone: nearly full coverage is not full coverage.
    """
    size = abs(fraction) * 100
    if not math.isfinite(size):
        return "not finite"
    if size == 0:
        return "0 %"
    text = scientific(size) if size < 1e-3 or size >= 1e9 else _significant(size, 3)
    if text == "100" and abs(fraction) != 1:
        text = _near_hundred(size)
    plus = "+" if signed and fraction > 0 else _sign(fraction)
    return f"{plus}{text} %"


def change(ratio: float) -> str:
    """A ratio of trained to base as a change: 1.35 is `+35 %`, 1 is `0 %`; from tenfold on a multiple."""
    if ratio >= 10:
        return times(ratio)
    return percent(_shorter(ratio - 1), signed=True)


def signed(value: float) -> str:
    """`number` with a sign in front of everything but zero."""
    return f"+{number(value)}" if value > 0 else number(value)


def times(ratio: float) -> str:
    """A multiple: `12.4` and the multiplication sign."""
    return (_significant(ratio, 3) if 1e-3 <= ratio < 1e6 else number(ratio)) + TIMES


def count(n: int, singular: str, plural: str | None = None) -> str:
    """`1 tensor`, `1,204 tensors`."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def duration(seconds: float) -> str:
    """`0.42 s`, `3 min 12 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{_significant(seconds, 2) if seconds >= 0.01 else '0' if seconds == 0 else '< 0.01'} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, last = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {last} s"


def size(n: int) -> str:
    """Bytes in decimal units: `1.5 MB`."""
    value = float(n)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{_significant(value, 3)} {unit}" if n else "0 B"
        value /= 1000
    return f"{_significant(value, 3)} TB"


def exact(value: float) -> str:
    """The shortest text that reads back as the same double; for hover texts and copying."""
    whole = value == int(value) and abs(value) < 1e15
    return str(int(value)) if whole else repr(value)


def is_share(metric: str, unit: str = "1") -> bool:
    """Whether a metric reads best in percent: a pure number whose name says it is a part of something."""
    last = "_" + metric.rsplit(".", 1)[-1]
    return unit in {"fraction", "share"} or (unit == "1" and last.endswith(_SHARES))


def quantity(value: float | None, metric: str, descriptor: MetricDescriptor | None = None) -> str:
    """A metric's value with its unit; `undefined` in words when there is none."""
    if value is None:
        return UNDEFINED
    unit = descriptor.unit if descriptor else "1"
    if is_share(metric, unit):
        return percent(value)
    return number(value) if unit == "1" else f"{number(value)} {unit}"


def interval(bounds: Interval, metric: str, descriptor: MetricDescriptor | None = None) -> str:
    """`[1.2 %, 3.4 %] (95 %, bootstrap)`."""
    low, high = quantity(bounds.low, metric, descriptor), quantity(bounds.high, metric, descriptor)
    return f"[{low}, {high}] ({percent(bounds.level)}, {bounds.method})"


def _near_hundred(size: float) -> str:
    for decimals in range(1, 7):
        text = _fixed(Decimal(size), decimals)
        if _strip(text) != "100":
            return text
    return "just under 100" if size < 100 else "just over 100"


def _significant(size: float, digits: int) -> str:
    if size == 0:
        return "0"
    decimals = max(digits - 1 - Decimal(size).adjusted(), 0)
    return _strip(f"{Decimal(_fixed(Decimal(size), decimals)):,}")


def _fixed(value: Decimal, decimals: int) -> str:
    return str(value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))


def _strip(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _shorter(value: float) -> float:
    """Drops the rounding noise of a subtraction, as in 1.35 - 1 = 0.3500000000000001."""
    return round(value, 12)


def _sign(value: float) -> str:
    return MINUS if value < 0 else ""
