"""Findings on preferences between given continuations: pure functions of measurements. Imports no NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from afterburn_behaviour.preference.options import PreferenceJudgeOptions
from afterburn_behaviour.shift import Quantity, Scale, open_where_missing, shift_finding
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.excerpts import withhold
from afterburn_core.result.model import Example, Finding

PREFIX = "behaviour.preference."
ARTIFACT = "behaviour.preference"


class PreferenceJudge:
    """Detector `behaviour.preferences`."""

    def __init__(self, options: PreferenceJudgeOptions) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        options = self._options
        odds = self._quantity(evidence, "log_odds", "log-odds of the preferred", "number", options.odds_margin)
        share = self._quantity(evidence, "accuracy", "wins of the preferred", "rate", options.accuracy_margin)
        quantities = [odds, share]
        order = self._quantity(
            evidence, "order_effect", "favour for what is listed first", "number", options.odds_margin
        )
        if order.measurement is not None and order.measurement.value is not None:
            quantities.append(order)  # prompts that list nothing have no order, which leaves nothing undecided
        flips = evidence.get(f"{PREFIX}flip_rate")
        remark = None
        if flips is not None and flips.value:
            remark = f"another continuation is the most probable at {100 * flips.value:.1f} % of the prompts"
        found = shift_finding(
            "behaviour.preference_shift",
            evidence,
            quantities,
            family="preferences between given continuations",
            alpha=options.alpha,
            examples=_examples(evidence, options.examples),
            artifacts=() if evidence.read_artifact(ARTIFACT) is None else (ARTIFACT,),
            also=[flips] if flips is not None else [],
            remark=remark,
            written=False,
        )
        yield open_where_missing(found, evidence, [f"{PREFIX}log_odds", f"{PREFIX}accuracy"])

    def _quantity(self, evidence: Evidence, name: str, noun: str, scale: Scale, margin: float) -> Quantity:
        sides = [evidence.get(PREFIX + name, subjects=(side,)) for side in ("base", "trained")]
        base, trained = (side.value if side is not None else None for side in sides)
        return Quantity(
            noun=noun,
            scale=scale,
            margin=margin,
            measurement=evidence.get(PREFIX + name),
            base=base,
            trained=trained,
            unit="nats per token" if scale == "number" else "",
        )


def _examples(evidence: Evidence, most: int) -> tuple[Example, ...]:
    """The prompts that moved most: what each side finds most probable, and by how much."""
    found = evidence.read_artifact(ARTIFACT) or {}
    rows = [row for row in found.get("prompts", ()) if isinstance(row, dict)][:most]
    return tuple(_example(row, evidence.excerpts) for row in rows)


def _example(row: Mapping[str, Any], excerpts: bool) -> Example:
    texts = [str(one.get("text", "")) for one in row.get("continuations", ())]
    texts = [text if excerpts or text.startswith("sha256:") else withhold(text) for text in texts]
    prompt = str(row.get("prompt", ""))
    prompt = prompt if excerpts or prompt.startswith("sha256:") else withhold(prompt)
    base, trained = row.get("base") or {}, row.get("trained") or {}
    note = f"log-odds of the preferred {base.get('log_odds')} under base, {trained.get('log_odds')} under trained"
    if row.get("preferred") is None:
        note = "nobody said which is preferred"
    return Example(
        label=f"{row.get('id')}: {prompt}",
        base=texts[base["winner"]] if base.get("winner") is not None else None,
        trained=texts[trained["winner"]] if trained.get("winner") is not None else None,
        note=f"the most probable continuation of each side; {note}",
    )
