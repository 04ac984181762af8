"""A crosscoder as drawings: how its latents divide between the models, and which of them latent scaling leaves.

From the artifact `sae.crosscoder`. Δnorm is 0 for a latent of the base alone and 1 for one of the trained model alone;
a latent counts as trained-only when the base explains less than half of what it reconstructs (ν_r) and less than a
fifth of what it leaves over (ν_ε), as in Overcoming Sparsity Artifacts in Crosscoders (arXiv 2504.02922).
"""

from __future__ import annotations

import math

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report import numbers
from afterburn_core.report.activation_drift import beside_site
from afterburn_core.report.sae_features import estimate_text
from afterburn_core.report.sae_values import Crosscoder

NU_RECONSTRUCTION, NU_ERROR = 0.5, 0.2
"""Bars that a trained-only latent has to stay under."""
EDGE = 0.1
"""Δnorm below it is base-only, above 1 − it trained-only; a test compares both with the plugin's own."""
WIDTH, HEIGHT = 760.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 12.0, 12.0, 44.0
SIDE = 380.0
"""Width and height of the drawing of latent scaling."""
_LOW, _HIGH = -0.1, 1.3
"""Ends of the axes of ν; latents beyond lie at the edge."""
_SLACK = 1e-6
_NAMES = ("Base only", "Shared", "Trained only")
KINDS = {"batch_topk": "BatchTopK", "l1": "L1"}


@attrs.frozen(kw_only=True)
class Bar:
    """One bin of the histogram."""

    x: float
    width: float
    y: float
    height: float
    kind: str
    """`base`, `shared` or `trained`."""
    title: str


@attrs.frozen(kw_only=True)
class Point:
    """One latent in the drawing of latent scaling."""

    x: float
    y: float
    kept: bool
    title: str


@attrs.frozen(kw_only=True)
class CrosscoderView:
    """Everything that is shown of one crosscoder."""

    site: str
    kind: str
    facts: tuple[tuple[str, str, str], ...]
    """Label, value and note of each key figure."""
    bars: tuple[Bar, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    classes: tuple[tuple[str, str, str, str], ...]
    """Name, latents, share of the living ones, and latents after scaling."""
    points: tuple[Point, ...]
    ticks: tuple[tuple[float, float, str], ...]
    """Place along x, place along y and label of the axes of ν."""
    bar_x: float
    bar_y: float
    rows: tuple[tuple[str, str, str, str, bool], ...]
    """Latent, Δnorm, ν_r, ν_ε, and whether it counts as trained-only."""
    scaled: int
    kept: int


def crosscoder_view(found: Crosscoder, *, points: int = 2000) -> CrosscoderView:
    """The drawings of a crosscoder, at most so many latents in that of latent scaling."""
    alive = found.alive or sum(found.counts)
    base_only, shared, trained_only = found.classes
    after = ("–",) * 3 if found.scaled_classes is None else tuple(f"{n:,}" for n in found.scaled_classes)
    scaled = sorted(found.scaling, key=lambda one: (not one.trained_only, -one.delta_norm, one.feature))
    drawn = [
        _point(one.feature, one.nu_reconstruction, one.nu_error, one.trained_only)
        for one in scaled[:points]
        if one.nu_reconstruction is not None and one.nu_error is not None
    ]
    explained = [estimate_text(one) for one in found.fve]
    facts = (
        ("Living latents", f"{found.alive:,}", f"of {found.latents:,}"),
        ("Trained only, by norm", f"{trained_only:,}", f"{base_only:,} base only, {shared:,} shared"),
        ("After latent scaling", f"{found.kept:,}", f"of {numbers.count(len(scaled), 'latent')} that was scaled"
         if len(scaled) == 1 else f"of {len(scaled):,} latents that were scaled"),
        ("Variance explained", " → ".join(value for value, _ in explained), "base → trained"),
        *(("Found from another seed", " ".join(estimate_text(one)), f"of {one.n or 0:,} latents")
          for one in found.seeds),
    )  # fmt: skip
    return CrosscoderView(
        site=beside_site(found.site),
        kind=KINDS.get(found.kind, marks.shortened(found.kind, 40)),
        facts=facts,
        bars=tuple(_bars(found)),
        across=tuple((round(_x(found, v), 1), f"{v:g}") for v in (0.0, 0.25, 0.5, 0.75, 1.0)),
        up=_ticks(max(found.counts, default=0)),
        classes=tuple(
            (name, f"{n:,}", numbers.percent(float(f"{n / alive:.3g}")) if alive else "–", left)
            for name, n, left in zip(_NAMES, found.classes, after, strict=True)
        ),
        points=tuple(drawn),
        ticks=tuple((_along(v), _down(v), f"{v:g}") for v in (0.0, 0.5, 1.0)),
        bar_x=_along(NU_RECONSTRUCTION),
        bar_y=_down(NU_ERROR),
        rows=tuple(
            (
                str(one.feature),
                marks.short(one.delta_norm),
                marks.short(one.nu_reconstruction),
                marks.short(one.nu_error),
                one.trained_only,
            )
            for one in scaled[:points]
        ),
        scaled=len(scaled),
        kept=found.kept,
    )


def _x(found: Crosscoder, value: float) -> float:
    low, high = found.edges[0], found.edges[-1]
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _y(count: int, most: int) -> float:
    """Heights are logarithmic: a handful of trained-only latents stands beside thousands of shared ones."""
    share = math.log1p(count) / math.log1p(most) if most else 0.0
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share), 2)


def _bars(found: Crosscoder) -> list[Bar]:
    most = max(found.counts, default=0)
    made = []
    for k, count in enumerate(found.counts):
        start, end = _x(found, found.edges[k]), _x(found, found.edges[k + 1])
        top = _y(count, most)
        made.append(
            Bar(
                x=round(start + 0.5, 2),
                width=round(max(end - start - 1, 0.5), 2),
                y=top,
                height=round(HEIGHT - BOTTOM - top, 2),
                kind="base"
                if found.edges[k + 1] <= EDGE + _SLACK
                else "trained"
                if found.edges[k] >= 1 - EDGE - _SLACK
                else "shared",
                title=f"{found.edges[k]:.3g} to {found.edges[k + 1]:.3g}: {numbers.count(count, 'latent')}",
            )
        )
    return made


def _ticks(most: int) -> tuple[tuple[float, str], ...]:
    counts = [0, *(10**k for k in range(len(str(most))) if 10**k <= most)]
    return tuple((_y(count, most), f"{count:,}") for count in counts)


def _along(value: float) -> float:
    share = (min(max(value, _LOW), _HIGH) - _LOW) / (_HIGH - _LOW)
    return round(LEFT + (SIDE - LEFT - RIGHT) * share, 1)


def _down(value: float) -> float:
    share = (min(max(value, _LOW), _HIGH) - _LOW) / (_HIGH - _LOW)
    return round(TOP + (SIDE - TOP - BOTTOM) * (1 - share), 1)


def _point(feature: int, reconstruction: float, error: float, kept: bool) -> Point:
    title = f"latent {feature}: ν_r {marks.short(reconstruction)}, ν_ε {marks.short(error)}"
    return Point(x=_along(reconstruction), y=_down(error), kept=kept, title=title)
