"""Texts with the change amplified, side by side by α, and the phrases that come back from opening to opening.

From the artifact `behaviour.amplification`; its fields stand in `afterburn_behaviour.live.amplification`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report.behaviour_curves import read

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

AMPLIFICATION = "behaviour.amplification"
_LONGEST = 700
_MARKED = 60
"""Phrases that are marked in texts."""


@attrs.frozen(kw_only=True)
class Way:
    """One way of writing."""

    key: str
    label: str
    log_ratio: str
    repetition: str


@attrs.frozen(kw_only=True)
class Phrase:
    """One phrase, and the share of texts that hold it by way of writing."""

    text: str
    found: bool
    p_value: str
    shares: tuple[tuple[float, str], ...]
    """Percent for a bar, and in words; in the order of the ways."""


@attrs.frozen(kw_only=True)
class Written:
    """One text."""

    way: str
    runs: tuple[tuple[str, bool], ...]
    """Pieces of the text, and whether each is a phrase that was found."""
    note: str

    @property
    def strong(self) -> bool:
        """Whether it holds a phrase that was found."""
        return any(found for _, found in self.runs)


@attrs.frozen(kw_only=True)
class Opening:
    """An opening and what was written after it in every way."""

    label: str
    text: str
    written: tuple[Written, ...]

    @property
    def telling(self) -> int:
        """In how many ways what was found is written, less those in which it should not be."""
        return sum(one.strong * (-2 if one.way.startswith(("Base", "Scrambled")) else 1) for one in self.written)


@attrs.frozen(kw_only=True)
class Amplified:
    """The section; empty where the run has no such artifact."""

    ways: tuple[Way, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    total: int = 0
    openings: tuple[Opening, ...] = ()
    facts: str = ""
    problem: str | None = None

    def __bool__(self) -> bool:
        return bool(self.openings or self.problem)


def amplified(view: ResultView, *, phrases: int) -> Amplified:
    """The artifact with so many phrases; openings whose texts hold a phrase that was found come first."""
    content, problem = read(view, AMPLIFICATION)
    ways = [_way(row) for row in marks.rows_of(content, "arms")]
    texts = marks.rows_of(content, "texts")
    if not ways or not texts:
        return Amplified(problem=problem)
    rows = [row for row in marks.rows_of(content, "phrases") if not row.get("part")]
    pattern = _pattern([str(row.get("phrase")) for row in rows if row.get("found") is True])
    openings = [_opening(row, texts, ways, pattern) for row in marks.rows_of(content, "prefixes")]
    known = [one for one in openings if one.written]
    known.sort(key=lambda one: -one.telling)
    return Amplified(
        ways=tuple(ways),
        phrases=tuple(_phrase(row, ways) for row in rows[:phrases]),
        total=len(rows),
        openings=tuple(known),
        facts=_facts(marks.row_of(marks.row_of(content).get("settings"))),
    )


def _way(row: Mapping[str, Any]) -> Way:
    key = marks.shortened(str(row.get("name")), 40)
    alpha = marks.number_of(row.get("alpha"))
    if alpha is None:
        label = "Base"
    elif key == "scrambled":
        label = f"Scrambled, α = {marks.short(alpha)}"
    else:
        label = "Trained" if alpha == 0 else f"α = {marks.short(alpha)}"
    return Way(
        key=key,
        label=label,
        log_ratio=marks.signed(marks.number_of(row.get("log_ratio"))),
        repetition=_percent(marks.number_of(row.get("repetition"))),
    )


def _phrase(row: Mapping[str, Any], ways: Sequence[Way]) -> Phrase:
    shares = marks.row_of(row.get("shares"))
    values = [marks.number_of(shares.get(way.key)) for way in ways]
    return Phrase(
        text=marks.shortened(str(row.get("phrase")), 160),
        found=row.get("found") is True,
        p_value=marks.short(marks.number_of(row.get("p_value")), 2),
        shares=tuple((round(100 * min(max(value or 0.0, 0.0), 1.0), 2), _percent(value)) for value in values),
    )


def _opening(
    row: Mapping[str, Any], texts: Sequence[Mapping[str, Any]], ways: Sequence[Way], pattern: re.Pattern[str] | None
) -> Opening:
    identifier, kind = row.get("id"), row.get("kind")
    written = []
    for way in ways:
        own = [one for one in texts if one.get("prefix") == identifier and one.get("arm") == way.key]
        drawn = [_written(one, way, pattern) for one in own]
        # of several samples the one that holds most of what was found, so that it can be seen what that means
        best = max(drawn, key=lambda one: sum(len(text) for text, found in one.runs if found), default=None)
        if best is not None:
            written.append(best)
    text = marks.shortened(str(row.get("text") or ""), 200)
    return Opening(label="A user's turn" if kind == "chat" else "Plain text", text=text, written=tuple(written))


def _pattern(phrases: Sequence[str]) -> re.Pattern[str] | None:
    """Finds the phrases in running text, with whatever marks stand between their words; the longest where several do.

    Single words are marked only where nothing longer was found: they are everywhere.
    """
    worded = [phrase.split() for phrase in phrases[:_MARKED] if not phrase.startswith("sha256:")]
    longer = [words for words in worded if len(words) > 1] or worded
    if not longer:
        return None
    ordered = sorted(longer, key=lambda words: -len(words))
    either = "|".join(r"\W{1,4}".join(map(re.escape, words)) for words in ordered)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)


def _runs(text: str, pattern: re.Pattern[str] | None) -> tuple[tuple[str, bool], ...]:
    if pattern is None:
        return ((text, False),)
    found: list[tuple[str, bool]] = []
    last = 0
    for match in pattern.finditer(text):
        found += [(text[last : match.start()], False), (match.group(), True)]
        last = match.end()
    return tuple(run for run in (*found, (text[last:], False)) if run[0])


def _written(row: Mapping[str, Any], way: Way, pattern: re.Pattern[str] | None) -> Written:
    trained, base = (marks.number_of(row.get(key)) for key in ("trained_nll", "base_nll"))
    note = f"nats per token: {marks.short(trained, 2)} trained, {marks.short(base, 2)} base"
    text = marks.shortened(str(row.get("text")), _LONGEST)
    return Written(way=way.label, runs=_runs(text, pattern), note=note)


def _facts(settings: Mapping[str, Any]) -> str:
    samples, plausible = (marks.number_of(settings.get(key)) for key in ("samples", "plausible"))
    tokens, level = (marks.number_of(settings.get(key)) for key in ("max_new_tokens", "level"))
    return (
        f"{marks.short(samples)} texts per opening of at most {marks.short(tokens)} tokens; only tokens of at least "
        f"{marks.short(plausible)} of the likeliest one's probability; found: family-wise error of {marks.short(level)}"
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"
