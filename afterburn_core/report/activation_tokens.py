"""Passages with their tokens coloured by how far activations moved, and what the mean difference reads as in tokens.

From the artifacts `activation.examples` and `activation.lens`; their fields stand in the docstrings of the analyzers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report.activation_drift import site_name
from afterburn_core.report.behaviour_curves import read
from afterburn_core.report.forward_marks import Span

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

EXAMPLES, LENS = "activation.examples", "activation.lens"
ORDERS = {"largest": "Largest ‖δ‖ at a token", "most_turned": "Largest turn, 1 − cos, at a token"}
MOST_TOKENS = 200
MOST_SITES, MOST_STRETCHES = 12, 8
COLOURED = (0.5, 0.75, 0.9, 0.97, 0.99)
"""Shares of the tokens shown at which colours begin."""
READ_TOKENS, PATCHED, TEXTS = 4, 12, 4


@attrs.frozen(kw_only=True)
class Stretch:
    """One passage around its peak."""

    label: str
    peak: str
    spans: tuple[Span, ...]
    withheld: str | None
    """What stands in the place of its text."""


@attrs.frozen(kw_only=True)
class Group:
    """The passages of one site in one order."""

    title: str
    steps: tuple[float, ...]
    stretches: tuple[Stretch, ...]


@attrs.frozen(kw_only=True)
class ExampleSite:
    """What is shown of one site."""

    label: str
    quantiles: str
    groups: tuple[Group, ...]


@attrs.frozen(kw_only=True)
class Cell:
    """Tokens that the mean difference of a place reads as, the best first."""

    tokens: tuple[tuple[str, bool, str], ...]
    """Token, whether it exceeds random directions, and its numbers."""
    title: str


@attrs.frozen(kw_only=True)
class Lens:
    """The activation difference lens."""

    places: tuple[str, ...]
    signs: tuple[tuple[str, tuple[tuple[str, tuple[Cell | None, ...]], ...]], ...]
    """Title of each sign, and by site the cells of all places."""
    patched: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]
    """Place, advantage, and tokens with the prompts that agree."""
    patched_at: str
    texts: tuple[tuple[str, str, str, str], ...]
    """Prompt, and what was written unsteered, steered and steered at random."""
    steered: str
    causal: str
    problem: str | None

    def __bool__(self) -> bool:
        return bool(self.signs)


def examples(view: ResultView) -> tuple[tuple[ExampleSite, ...], str | None]:
    """Sites from top to bottom, or why there are none."""
    content, problem = read(view, EXAMPLES)
    found = []
    for name, row in list(marks.row_of(marks.row_of(content).get("sites")).items()):
        row = marks.row_of(row)
        groups = tuple(group for order in ORDERS if (group := _group(row, order)).stretches)
        quantiles = [(key, marks.number_of(row.get(key))) for key in ("p50", "p90", "p99")]
        told = ", ".join(f"{100 * v:.3g} % at {key}" for key, v in quantiles if v is not None)
        if groups:
            found.append((str(name), ExampleSite(label=site_name(str(name)), quantiles=told, groups=groups)))
    found.sort(key=lambda pair: (len(pair[0]), pair[0]), reverse=True)
    return tuple(site for _, site in found[:MOST_SITES]), problem if not found else None


def lens(view: ResultView) -> Lens:
    """The lens of the run, as far as its artifact holds it."""
    content, problem = read(view, LENS)
    content = marks.row_of(content)
    readouts = marks.rows_of(content, "readouts")
    places = tuple(dict.fromkeys(marks.shortened(str(row.get("place")), 30) for row in readouts))[:12]
    signs = []
    for sign, title in (("added", "Towards the trained model"), ("removed", "Away from it")):
        sites = dict.fromkeys(str(row.get("site")) for row in readouts if row.get("sign") == sign)
        by_place = {
            (str(row.get("site")), marks.shortened(str(row.get("place")), 30)): row
            for row in readouts
            if row.get("sign") == sign
        }
        rows = tuple(
            (site_name(site), tuple(_cell(by_place.get((site, place))) for place in places))
            for site in list(sites)[:40]
        )
        if rows:
            signs.append((title, rows))
    scope = marks.row_of(content.get("patchscope"))
    steering = marks.row_of(content.get("steering"))
    return Lens(
        places=places,
        signs=tuple(signs),
        patched=tuple(_patched(scope)),
        patched_at=site_name(str(scope.get("site", ""))),
        texts=tuple(_texts(steering)),
        steered=_steered(steering),
        causal=_causal(marks.row_of(content.get("causal"))),
        problem=None if signs else problem,
    )


def _group(row: Mapping[str, Any], order: str) -> Group:
    key = "delta" if order == "largest" else "turn"
    rows = marks.rows_of(row, order)[:MOST_STRETCHES]
    values = [_values(one, key) for one in rows]
    steps = _steps([v for own in values for v in own if v is not None])
    stretches = tuple(_stretch(one, own, key, steps) for one, own in zip(rows, values, strict=True))
    return Group(title=ORDERS[order], steps=steps, stretches=stretches)


def _steps(values: Sequence[float]) -> tuple[float, ...]:
    """Where one colour ends and the next begins: at shares of the values shown, so that the peaks stand out."""
    ordered = sorted(v for v in values if v > 0)
    if not ordered:
        return ()
    found = [float(f"{ordered[min(int(share * len(ordered)), len(ordered) - 1)]:.2g}") for share in COLOURED]
    return tuple(found) if len(set(found)) == len(found) else marks.heat_steps(ordered)


def _values(row: Mapping[str, Any], key: str) -> list[float | None]:
    tokens = row.get("tokens")
    return marks.column(row, key, min(len(tokens), MOST_TOKENS) if isinstance(tokens, list) else 0)


def _stretch(row: Mapping[str, Any], values: Sequence[float | None], key: str, steps: Sequence[float]) -> Stretch:
    found = row.get("tokens")
    tokens = found[: len(values)] if isinstance(found, list) else []
    other = _values(row, "turn" if key == "delta" else "delta")
    peak = marks.number_of(row.get("peak"))
    spans = tuple(
        Span(
            text="·" if token is None else marks.token_text(token),
            colour=marks.heat(value, steps),
            title=_title(key, value, beside),
            mark=i == peak,
        )
        for i, (token, value, beside) in enumerate(zip(tokens, values, other, strict=True))
    )
    start = marks.number_of(row.get("start")) or 0.0
    place = f" from token {start:.0f}" if start > 1 else ""
    score = marks.number_of(row.get("score"))
    withheld = row.get("withheld")
    return Stretch(
        label=f"{marks.shortened(str(row.get('passage')), 80)}{place}",
        peak="" if score is None else marks.short(score),
        spans=spans,
        withheld=marks.shortened(withheld, 200) if isinstance(withheld, str) else None,
    )


def _title(key: str, value: float | None, beside: float | None) -> str:
    if value is None:
        return "not counted"
    delta, turn = (value, beside) if key == "delta" else (beside, value)
    return f"‖δ‖ {marks.short(delta)}, 1 − cos {marks.short(turn)}"


def _cell(row: Mapping[str, Any] | None) -> Cell | None:
    if row is None:
        return None
    tokens = marks.rows_of(row, "tokens")[:READ_TOKENS]
    peak, p, halves = (marks.number_of(row.get(key)) for key in ("peak", "p_adjusted", "split_half"))
    return Cell(
        tokens=tuple(
            (
                marks.token_text(one.get("text", "")),
                one.get("above_chance") is True,
                f"z {marks.short(marks.number_of(one.get('z')))}",
            )
            for one in tokens
        ),
        title=f"largest z {marks.short(peak)}, p {marks.short(p)} (corrected), halves agree {marks.short(halves)}",
    )


def _patched(scope: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[tuple[str, str], ...]]]:
    for place, row in list(marks.row_of(scope.get("places")).items())[:12]:
        row = marks.row_of(row)
        tokens = tuple(
            (marks.token_text(one.get("text", "")), marks.short(marks.number_of(one.get("prompts"))))
            for one in marks.rows_of(row, "tokens")[:PATCHED]
        )
        yield marks.shortened(str(place), 30), marks.signed(marks.number_of(row.get("advantage"))), tokens


def _texts(steering: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for row in marks.rows_of(steering, "texts")[:TEXTS]:
        prompt, plain, steered, random = (
            marks.shortened(str(row.get(key, "")), marks.TEXT // 3)
            for key in ("prompt", "unsteered", "steered", "random")
        )
        yield prompt, plain, steered, random


def _steered(steering: Mapping[str, Any]) -> str:
    strength = marks.number_of(steering.get("strength"))
    if strength is None:
        return ""
    return f"{marks.short(strength)} mean norms at {site_name(str(steering.get('site', '')))}"


def _causal(row: Mapping[str, Any]) -> str:
    effect = marks.number_of(row.get("effect"))
    if effect is None:
        return ""
    listed = row.get("controls")
    controls = [v for v in map(marks.number_of, listed if isinstance(listed, list) else []) if v is not None]
    text = f"{marks.signed(effect)} nats per token"
    return (
        f"{text}; {len(controls)} random directions: {marks.signed(min(controls))} to {marks.signed(max(controls))}"
        if controls
        else text
    )
