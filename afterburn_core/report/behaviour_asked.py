"""The questions about behaviour that rules decide, with the contrasts and the default margins of each.

A margin is the one the run was configured with, else the detector's default, which a test compares with the plugin's
own.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from afterburn_core.report.behaviour_values import Measured, Scale, spoken

ALPHA = 0.05
FORMAT_WORDS = {"list": "bullet lists", "numbered": "numbered lists", "exclamation": "exclamation marks"}
DIVERSITY = {
    "behaviour.diversity.distinct_2": "distinct word pairs within prompts",
    "behaviour.diversity.self_similarity": "similarity of a prompt's samples",
    "behaviour.diversity.loops": "share of looping texts",
    "behaviour.diversity.template_mass_4": "share of the commonest 4-word opening",
    "behaviour.diversity.template_mass_8": "share of the commonest 8-word opening",
    "behaviour.diversity.template_mass_16": "share of the commonest 16-word opening",
    "behaviour.diversity.across.distinct_2": "distinct word pairs across prompts",
    "behaviour.diversity.across.self_similarity": "similarity of answers to different prompts",
    "behaviour.diversity.meaning": "distance of meaning within prompts",
    "behaviour.diversity.across.meaning": "distance of meaning across prompts",
}
_STYLE, _VARIETY, _QUALITY = "behaviour.style", "behaviour.variety_judge", "behaviour.quality_judge"
MARGINS = {
    (_STYLE, "length_margin"): 0.10,
    (_STYLE, "rate_margin"): 0.05,
    (_VARIETY, "diversity_margin"): 0.05,
    (_VARIETY, "auroc_margin"): 0.05,
    (_QUALITY, "correct_margin"): 0.02,
    (_QUALITY, "brier_margin"): 0.02,
    (_QUALITY, "overconfidence_margin"): 0.05,
}
"""Defaults of the detectors' options."""


@attrs.frozen(kw_only=True)
class Asked:
    """One contrast that decides."""

    metric: str
    label: str
    scale: Scale
    option: str
    part: str | None = None
    sides: str | None = None
    """Metric of the sides' own values, where it is another."""
    centre: float = 0.0
    """Value of no change."""
    also: str | None = None
    """A second measure of the same question, for the note."""
    optional: bool = False
    """Left out where undefined."""


def questions(measured: Measured) -> Iterator[tuple[str, str, str, list[Asked]]]:
    """Title, rule, detector and contrasts of every question."""
    auroc = Asked(
        metric="behaviour.omnibus.auroc",
        label="AUROC of telling the sides apart (0.5: chance)",
        scale="number",
        option="auroc_margin",
        centre=0.5,
        also="behaviour.omnibus.mmd",
    )
    yield "Anything at all", "behaviour.any_shift", _VARIETY, [auroc]
    length = measured.change("behaviour.length.log_ratio")
    unit = "tokens" if length is not None and (length.reason or "").startswith("in tokens") else "words"
    yield (
        "Length",
        "behaviour.length_shift",
        _STYLE,
        [
            Asked(
                metric="behaviour.length.log_ratio",
                label=f"ratio of lengths in {unit}",
                scale="log_ratio",
                option="length_margin",
                sides=f"behaviour.length.{unit}",
            )
        ],
    )
    for title, prefix, skipped, words in (
        ("Format", "behaviour.format.", ("entropy",), FORMAT_WORDS),
        ("Strategy", "behaviour.strategy.", ("entropy", "distance", "dominant"), {}),
    ):
        names = [m.removeprefix(prefix) for m in measured.below(prefix)]
        rates = [
            Asked(metric=prefix + name, label=spoken(name, words), scale="rate", option="rate_margin")
            for name in names
            if name not in skipped
        ]
        yield title, f"behaviour.{title.lower()}_shift", _STYLE, rates
    kinds = (("unsafe", "unsafe prompts"), ("safe", "safe prompts"), (None, "all prompts"))
    refusals = [
        Asked(metric="behaviour.refusal.rate", label=label, scale="rate", option="rate_margin", part=part)
        for part, label in kinds
    ]
    yield "Refusal", "behaviour.refusal_shift", _STYLE, refusals
    right = Asked(metric="behaviour.correct.rate", label="right answers", scale="rate", option="correct_margin")
    yield "Correctness", "behaviour.correct_shift", _QUALITY, [right]
    varied = [
        Asked(
            metric=metric,
            label=label,
            scale="number",
            option="diversity_margin",
            optional=metric.endswith(".meaning"),
        )
        for metric, label in DIVERSITY.items()
    ]
    yield "Diversity", "behaviour.diversity_shift", _VARIETY, varied
    calibration = [
        Asked(metric="behaviour.calibration.brier", label="Brier score", scale="number", option="brier_margin"),
        Asked(
            metric="behaviour.calibration.overconfidence",
            label="confidence minus accuracy",
            scale="rate",
            option="overconfidence_margin",
        ),
    ]
    yield "Calibration", "behaviour.calibration_shift", _QUALITY, calibration
