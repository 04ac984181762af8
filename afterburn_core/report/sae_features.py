"""What a page shows of dictionaries, from the artifact `sae.features`: fit, changed features, where they are active.

A feature's change is drawn as a share of the larger of its two means, so that −1 is
a feature that was switched off, +1 one that was switched on, and features of any scale share an axis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report import numbers
from afterburn_core.report.activation_drift import beside_site
from afterburn_core.report.forward_marks import Span
from afterburn_core.report.sae_values import Context, Dictionary, Estimate, Feature, FeatureTable, Label

SHADES = 5
NAME = 80
"""Characters of a name."""


@attrs.frozen(kw_only=True)
class SaeLimits:
    """How much of dictionaries a report carries."""

    features: int = 250
    """Features of one dictionary."""
    contexts: int = 6
    """Contexts of one feature."""
    tokens: int = 10
    """Tokens that a feature promotes or suppresses."""
    risky: int = 60
    """Features of one risk pack."""
    points: int = 2000
    """Latents in a drawing of latent scaling."""


@attrs.frozen(kw_only=True)
class Gauge:
    """One quantity on both sides, on an axis from 0 to `reach`; places are percent."""

    label: str
    reach: str
    ends: tuple[tuple[float | None, float | None, float | None], ...]
    """Value, low and high of base and of trained."""
    told: tuple[tuple[str, str], ...]
    """The same as text, and its interval."""
    n: str


@attrs.frozen(kw_only=True)
class Card:
    """A dictionary and how well it describes either model."""

    id: str
    name: str
    facts: tuple[tuple[str, str], ...]
    valid: bool
    why: str
    gauges: tuple[Gauge, ...]
    changed: str
    moved: int
    """Features that changed, listed or not."""


@attrs.frozen(kw_only=True)
class Stretches:
    """Contexts of one probe set on one model, their tokens shaded by activation."""

    label: str
    texts: tuple[tuple[Span, ...], ...]


@attrs.frozen(kw_only=True)
class Row:
    """One feature."""

    number: int
    label: str
    source: str
    """Where the label comes from, and whether a model wrote it."""
    way: str
    """`up`, `down`, or empty where the change is not significant."""
    at: float
    low: float | None
    high: float | None
    share: float
    """Change as a share of the larger mean, −1 to 1."""
    difference: str
    bounds: str
    exact: float
    means: str
    frequencies: tuple[str, str]
    frequency_change: float | None
    multiple: str
    multiple_key: float | None
    d_z: str
    d_z_key: float | None
    p: str
    p_key: float | None
    attribution: str
    attribution_rank: int | None
    rank: int | None
    promoted: tuple[str, ...]
    suppressed: tuple[str, ...]
    contexts: tuple[Stretches, ...]
    peak: str
    """Largest activation in the contexts shown."""
    texts: int
    """Contexts shown."""

    @property
    def title(self) -> str:
        """What to call it in a line: its label, or the tokens it promotes."""
        return self.label or " ".join(token.strip() for token in self.promoted[:4] if token.strip())


@attrs.frozen(kw_only=True)
class Table:
    """The features of one dictionary."""

    card: Card
    rows: tuple[Row, ...]
    total: int
    """Features that the file lists."""
    unlisted: int
    """Tested features that it leaves out: smaller changes than those it lists."""
    attributed: bool
    """Whether any feature has an attribution."""


def tables(found: FeatureTable, limits: SaeLimits) -> tuple[Table, ...]:
    """One for each dictionary, features in the order of the file: by size of effect, changed ones first."""
    made = []
    for dictionary in found.dictionaries:
        features = found.of(dictionary.id)
        rows = tuple(_row(one, limits) for one in features[: limits.features])
        attributed = any(one.attribution is not None for one in features)
        total = len(features)
        made.append(
            Table(
                card=_card(dictionary),
                rows=rows,
                total=total,
                unlisted=max(dictionary.tested - total, 0),
                attributed=attributed,
            )
        )
    return tuple(made)


def set_name(name: str) -> str:
    """A probe set without the prefix of its plugin: `finance`."""
    return marks.shortened(name.removeprefix("sae."), NAME)


def signed_multiple(value: float | None) -> str:
    """`+3.2×` where a feature rose, `−2.5×` where it fell to a 2.5th."""
    if value is None:
        return "–"
    size = numbers.times(float(f"{abs(value):.3g}"))
    return f"{'+' if value > 0 else numbers.MINUS}{size}"


def estimate_text(estimate: Estimate | None) -> tuple[str, str]:
    """Value and interval in words."""
    if estimate is None:
        return "–", ""
    return marks.short(estimate.value), marks.bounds(estimate.low, estimate.high)


def label_source(label: Label | None) -> str:
    """`labels.jsonl, gpt-4o-mini, score 0.81, auto-generated`."""
    if label is None:
        return ""
    parts = [marks.shortened(part, NAME) for part in (label.source, label.explainer or "") if part]
    if label.score is not None:
        parts.append(f"score {marks.short(label.score, 2)}")
    return ", ".join([*parts, *(["auto-generated"] if label.auto_generated else [])])


def _card(one: Dictionary) -> Card:
    reach = max([1.0, *(v for e in one.fvu if e for v in (e.value, e.high) if v is not None)])
    most = max([1.0, *(v for e in one.l0 if e for v in (e.value, e.high) if v is not None)])
    facts = [
        ("Format", f"{one.format}, {one.kind}"),
        ("Read", beside_site(one.site) if one.site else "at a place that is not stated"),
        *([("Writes", beside_site(one.site_out))] if one.site_out else []),
        ("Latents", f"{one.latents:,} of width {one.width:,}"),
        ("Made for", one.model or "not stated"),
        ("SHA-256", f"{one.sha256[:16]}…"),
        ("Compared on", f"{numbers.count(one.prompts, 'prompt')}, {numbers.count(one.tokens, 'token')}"),
    ]
    changed = ""
    if one.valid:
        changed = (
            f"{one.up:,} up and {one.down:,} down of {numbers.count(one.tested, 'tested feature')}, "
            f"false discovery rate {marks.short(one.alpha, 2)}"
        )
    return Card(
        id=one.id,
        name=marks.shortened(one.name, NAME),
        facts=tuple((name, marks.shortened(text, NAME)) for name, text in facts),
        valid=one.valid,
        why=marks.shortened(one.why or "", 400),
        gauges=(
            _gauge("Variance unexplained (FVU)", one.fvu, reach),
            _gauge("Active features per token (L0)", one.l0, 1.1 * most),
        ),
        changed=changed,
        moved=one.up + one.down,
    )


def _gauge(label: str, sides: Sequence[Estimate | None], reach: float) -> Gauge:
    def place(value: float | None) -> float | None:
        return None if value is None else round(100 * min(max(value / reach, 0.0), 1.0), 2)

    ends = tuple((None, None, None) if e is None else (place(e.value), place(e.low), place(e.high)) for e in sides)
    units = {f"{e.n:,}" for e in sides if e is not None and e.n is not None}
    return Gauge(
        label=label,
        reach=marks.short(reach, 2),
        ends=ends,
        told=tuple(estimate_text(one) for one in sides),
        n=" / ".join(sorted(units)) or "–",
    )


def _row(one: Feature, limits: SaeLimits) -> Row:
    scale = max(abs(one.base.mean), abs(one.trained.mean), abs(one.difference.value)) or 1.0

    def place(value: float | None) -> float | None:
        return None if value is None else round(50 + 50 * max(-1.0, min(1.0, value / scale)), 2)

    share = max(-1.0, min(1.0, one.difference.value / scale))
    before, after = one.base.frequency, one.trained.frequency
    p = one.p if one.p_adjusted is None else one.p_adjusted
    contexts = _chosen(one.contexts, limits.contexts)
    peak = max((activation for context in contexts for _, activation in context.pieces), default=0.0)
    return Row(
        number=one.feature,
        label="" if one.label is None else marks.shortened(one.label.text, 200),
        source=label_source(one.label),
        way=one.changed or "",
        at=place(one.difference.value) or 50.0,
        low=place(one.difference.low),
        high=place(one.difference.high),
        share=round(share, 6),
        difference=marks.signed(one.difference.value),
        bounds=marks.bounds(one.difference.low, one.difference.high, sign=True),
        exact=one.difference.value,
        means=f"mean {marks.short(one.base.mean)} → {marks.short(one.trained.mean)}",
        frequencies=(_percent(before), _percent(after)),
        frequency_change=None if before is None or after is None else after - before,
        multiple=signed_multiple(one.multiple),
        multiple_key=one.multiple,
        d_z=marks.signed(one.d_z),
        d_z_key=one.d_z,
        p="–" if p is None else marks.short(p, 2),
        p_key=p,
        attribution=marks.signed(one.attribution),
        attribution_rank=one.attribution_rank,
        rank=one.rank,
        promoted=tuple(marks.token_text(token) for token in one.promoted[: limits.tokens]),
        suppressed=tuple(marks.token_text(token) for token in one.suppressed[: limits.tokens]),
        contexts=_stretches(contexts, peak),
        peak=marks.short(peak),
        texts=len(contexts),
    )


def _chosen(contexts: Sequence[Context], most: int) -> list[Context]:
    """The first of either model before the second of any; else a short list would hold one model alone."""
    before: Counter[str] = Counter()
    places = []
    for k, one in enumerate(contexts):
        places.append((before[one.subject], k))
        before[one.subject] += 1
    return [contexts[k] for k in sorted(k for _, k in sorted(places)[:most])]


def _stretches(contexts: Sequence[Context], peak: float) -> tuple[Stretches, ...]:
    found: dict[str, list[tuple[Span, ...]]] = {}
    for context in contexts:
        parts = (context.domain, f"on {context.subject}" if context.subject else "")
        label = ", ".join(marks.shortened(part, NAME) for part in parts if part)
        found.setdefault(label, []).append(_spans(context, peak))
    return tuple(Stretches(label=label, texts=tuple(texts)) for label, texts in found.items())


def _spans(context: Context, peak: float) -> tuple[Span, ...]:
    """The tokens, those without activation run together: they are most of a text and carry nothing to point at."""
    spans: list[Span] = []
    for k, (text, activation) in enumerate(context.pieces):
        token, mark = marks.token_text(text), k == context.peak
        if activation > 0 or mark:
            shade = 1 + min(SHADES - 1, int(SHADES * activation / peak)) if activation > 0 and peak > 0 else 0
            spans.append(Span(text=token, colour=f"heat-{shade}", title=marks.short(activation), mark=mark))
        elif spans and not spans[-1].colour:
            spans[-1] = attrs.evolve(spans[-1], text=spans[-1].text + token)
        else:
            spans.append(Span(text=token, colour="", title=""))
    return tuple(spans)


def _percent(share: float | None) -> str:
    return "–" if share is None else numbers.percent(float(f"{share:.3g}"))
