r"""Numbers in answers: which one a text ends on, and whether it is the right one.

The final number is the last one of: a `\boxed{}`, what follows '####' or 'the answer is', else the text's last number,
code blocks and closing checks aside. Values are exact fractions.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import attrs

from afterburn_core.probes.claims import corrected, denied, marked, sentences, spoken, without_asides

_DIGITS = r"(?:\d{1,3}(?:[,\u202f\u00a0' ]\d{3})+(?!\d)|\d+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)"
_POWER = r"(?:[eE][+-]?\d{1,3}|\s*(?:×|x|\*|\\times|\\cdot)\s*10\s*(?:\^|\*\*)\s*\{?[+-]?\d{1,3}\}?)"
NUMBER = re.compile(
    rf"(?<![\w.^_])(?<!\d[:/])"
    rf"(?P<sign>[-+]\s?)?[$€£¥]?\s?(?P<sign2>-)?"
    rf"(?:(?P<whole>{_DIGITS})\s+(?P<mixed>\d+)\s?/\s?(?P<mixed_by>\d+)"
    rf"|\\[dt]?frac\s*\{{\s*(?P<top>-?{_DECIMAL})\s*\}}\s*\{{\s*(?P<bottom>{_DECIMAL})\s*\}}"
    rf"|(?P<over>{_DECIMAL})\s?/\s?(?P<by>{_DECIMAL})(?![\w/])"
    rf"|(?P<number>{_DECIMAL})(?P<power>{_POWER})?)"
    r"(?P<percent>\s?\\?%|\s?(?:percent|per cent)\b)?"
    r"(?![\d])(?!\.\d)(?!:\d)"
)
_SPELLED = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_WORDS = {word: Fraction(value) for value, word in enumerate(_SPELLED)}
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_MINUS = str.maketrans({"\u2212": "-", "\u2013": "-", "\ufe63": "-", "\uff0d": "-"})
_LONGEST = 60  # characters of a number; more is no answer, and costs time


@attrs.frozen(kw_only=True)
class Value:
    """A number as it was written."""

    value: Fraction
    """Before the percent sign is applied."""
    percent: bool = False
    decimals: int = 0
    """Digits after the point."""

    @property
    def text(self) -> str:
        """One spelling for each value: `12`, `-0.5`, `1/3`, `25%`."""
        return _spelled(self.value) + ("%" if self.percent else "")


def _spelled(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = next(k for k in range(1, 400) if (value * 10**k).denominator == 1)
    scaled = abs(value.numerator) * 10**digits // value.denominator
    head, tail = divmod(scaled, 10**digits)
    return f"{'-' if value < 0 else ''}{head}.{tail:0{digits}d}"


def value_of(text: str) -> Value | None:
    """The value of a text that is a number and nothing else, units of letters aside; `None` otherwise."""
    text = text.strip().translate(_MINUS).strip("$ ")
    match = NUMBER.match(text)
    if match is None or len(match.group()) > _LONGEST:
        return None
    rest = text[match.end() :].strip()
    return _value(match) if re.fullmatch(r"[°A-Za-z²³/€£¥$]{0,8}\.?", rest) else None


def final_number(text: str) -> Value | None:
    """The number on which a text ends; `None` where there is none, or two that exclude each other."""
    text = spoken(text).translate(_MINUS).replace("{,}", ",").replace("\\,", "").replace("\\$", "$")
    later = corrected(text)
    if later is not None:
        found = _in_claim(later, last=True)
        if found:
            return found[-1]
    claim = marked(text)
    if claim is not None:
        found = _in_claim(claim, last=False)
        if found:
            return found[0] if len({_comparable(value) for value in found}) == 1 else None
    rest = without_asides(text)
    bold = _BOLD.findall(sentences(rest)[-1]) if sentences(rest) else []
    for part in (*reversed(bold), rest):
        found = _in_claim(part, last=True)
        if found:
            return found[-1]
    return None


def right_number(text: str, gold: str, tolerance: Any = None) -> bool:
    """Whether the text ends on `gold`: equal, or within `tolerance`, or rounding to the decimals of a decimal gold."""
    wanted, given = value_of(gold) or final_number(gold), final_number(text)
    if wanted is None or given is None:
        return False
    allowed = Fraction(1, 2 * 10**wanted.decimals) if wanted.decimals else Fraction(0)
    if isinstance(tolerance, (int, float)) and not isinstance(tolerance, bool):
        allowed = Fraction(tolerance)
    pairs = [(given.value, wanted.value)]
    if given.percent and not wanted.percent:
        pairs.append((given.value / 100, wanted.value))
    if wanted.percent and not given.percent:
        pairs.append((given.value * 100, wanted.value))
    return any(abs(left - right) <= allowed for left, right in pairs)


def _in_claim(claim: str, *, last: bool) -> list[Value]:
    """Numbers that a claim holds to be the answer: after the last `=`, undenied; all joined by 'or', else one."""
    if not last and "=" in claim:
        tail = re.split(r"=|≈|\\approx", claim)[-1]
        claim = tail if NUMBER.search(tail) else claim
    found = [
        (match, value)
        for match in NUMBER.finditer(claim)
        if len(match.group()) <= _LONGEST
        and not denied(claim, match.start(), match.end())
        and not _enumerates(claim, match)
        and (value := _value(match)) is not None
    ]
    if not found:
        words = [w for w in re.finditer(r"[a-z]+", claim.lower()) if w.group() in _WORDS]
        kept = [Value(value=_WORDS[w.group()]) for w in words if not denied(claim, w.start(), w.end())]
        return kept[-1:] if last else kept[:1]
    if last:
        return [found[-1][1]]
    first = found[0][0]
    return [found[0][1]] + [
        value
        for match, value in found[1:]
        if re.fullmatch(r"\W*(?:[^\W\d]+\W+)?or\W+(?:maybe\W+|possibly\W+)?", claim[first.end() : match.start()])
    ]


def _enumerates(text: str, match: re.Match[str]) -> bool:
    """Whether the number counts steps or lines: `2.` or `2)` at the start of a line, `step 3`."""
    start = text.rfind("\n", max(0, match.start() - 20), match.start()) + 1
    leads = match.start() - start < 20 and not text[start : match.start()].strip(" \t#*-")
    if leads and re.match(r"(?:\.|\))\s+\S", text[match.end() :]) and "." not in match.group():
        return True
    return bool(
        re.search(
            r"\b(?:step|question|problem|part|equation|line)\s*#?$",
            text[max(0, match.start() - 20) : match.start()],
            re.I,
        )
    )


def _comparable(value: Value) -> tuple[Fraction, bool]:
    return value.value, value.percent


def _value(match: re.Match[str]) -> Value | None:
    def plain(name: str) -> Fraction:
        return Fraction(re.sub(r"[,'\s\u202f\u00a0]", "", match.group(name)))

    decimals = 0
    if match.group("top") is not None:
        bottom = plain("bottom")
        value = plain("top") / bottom if bottom else None
    elif match.group("mixed") is not None:
        by = plain("mixed_by")
        value = plain("whole") + plain("mixed") / by if by else None
    elif match.group("over") is not None:
        by = plain("by")
        value = plain("over") / by if by else None
    else:
        value = plain("number")
        decimals = len(match.group("number").partition(".")[2])
        if match.group("power"):
            exponent = re.search(r"([+-]?\d+)\}?$", match.group("power"))
            value *= Fraction(10) ** int(exponent.group(1)) if exponent else 1
            decimals = 0
    if value is None:
        return None
    minus = "-" in (match.group("sign") or "") or match.group("sign2") is not None
    return Value(value=-value if minus else value, percent=match.group("percent") is not None, decimals=decimals)
