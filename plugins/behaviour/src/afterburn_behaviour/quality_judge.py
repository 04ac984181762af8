"""Findings on correctness and calibration. Imports no NumPy."""

from __future__ import annotations

from collections.abc import Iterator

from afterburn_behaviour.examples import attached
from afterburn_behaviour.quality_options import QualityRules
from afterburn_behaviour.shift import Quantity, Scale, open_where_missing, shift_finding
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Finding, Measurement

_RATE = "behaviour.correct.rate"
_FLIPS = ("behaviour.correct.newly_right", "behaviour.correct.newly_wrong")


class QualityJudge:
    """Detector `behaviour.quality_judge`."""

    def __init__(self, options: QualityRules) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        yield self._correct(evidence)
        yield self._calibration(evidence)

    def _correct(self, evidence: Evidence) -> Finding:
        options = self._options
        quantity = _quantity(evidence, _RATE, "correctness", "rate", options.correct_margin)
        flips = [evidence.get(metric) for metric in _FLIPS]
        remarks = [_told(flips)]
        value = None if quantity.measurement is None else quantity.measurement.value
        if quantity.measurement is not None and value is not None:
            remarks.insert(0, _direction(quantity.measurement, options.correct_margin))
            if quantity.measurement.reason:
                remarks.append(quantity.measurement.reason)
        # what became wrong comes first where correctness fell, what became right where it rose
        order = ("newly_wrong", "newly_right") if (value or 0.0) < 0 else ("newly_right", "newly_wrong")
        return shift_finding(
            "behaviour.correct_shift",
            evidence,
            [quantity],
            family="correctness",
            alpha=options.alpha,
            examples=attached(evidence, "correct", about=order, limit=options.examples),
            artifacts=_present(evidence, "behaviour.correct_examples"),
            also=[m for m in flips if m is not None],
            remark="; ".join(remark for remark in remarks if remark) or None,
        )

    def _calibration(self, evidence: Evidence) -> Finding:
        options = self._options
        quantities = [
            _quantity(evidence, "behaviour.calibration.brier", "Brier score", "number", options.brier_margin),
            _quantity(
                evidence,
                "behaviour.calibration.overconfidence",
                "confidence minus accuracy",
                "rate",
                options.overconfidence_margin,
            ),
        ]
        ece = [
            m
            for subjects in (("base",), ("trained",))
            if (m := evidence.get("behaviour.calibration.ece", subjects=subjects)) is not None
        ]
        values = [m.value for m in ece if m.value is not None]
        remark = (
            f"calibration error {values[0]:.3f} for base, {values[1]:.3f} for trained" if len(values) == 2 else None
        )
        found = shift_finding(
            "behaviour.calibration_shift",
            evidence,
            quantities,
            family="measures of calibration",
            alpha=options.alpha,
            artifacts=_present(evidence, "behaviour.calibration_curve"),
            also=ece,
            remark=remark,
        )
        deciding = [f"behaviour.calibration.{name}" for name in ("brier", "overconfidence")]
        return open_where_missing(found, evidence, deciding)


def _quantity(evidence: Evidence, metric: str, noun: str, scale: Scale, margin: float) -> Quantity:
    return Quantity(
        noun=noun,
        scale=scale,
        margin=margin,
        measurement=evidence.get(metric),
        base=evidence.value(metric, subjects=("base",)),
        trained=evidence.value(metric, subjects=("trained",)),
    )


def _direction(measurement: Measurement, margin: float) -> str | None:
    """Non-inferiority, and the direction in a word."""
    interval, value = measurement.interval, measurement.value
    if interval is None or value is None:
        return None
    word = "higher" if value > 0 else "lower" if value < 0 else "the same"
    kept = "is ruled out" if interval.low > -margin else "is shown" if interval.high < -margin else "is not ruled out"
    return f"{word} after training; a loss of more than {100 * margin:.3g} points {kept}"


def _told(flips: list[Measurement | None]) -> str | None:
    right, wrong = flips
    if right is None or wrong is None or right.value is None or wrong.value is None:
        return None
    return f"{right.value:.0f} prompts became right and {wrong.value:.0f} wrong"


def _present(evidence: Evidence, artifact: str) -> tuple[str, ...]:
    return () if evidence.read_artifact(artifact) is None else (artifact,)
