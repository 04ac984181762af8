"""Whether confidence fits correctness, from the log-probabilities of the options of multiple-choice prompts.

With p_j = exp(l_j)/Σ exp(l_m) over the options' labels, confidence c = max_j p_j and right r = [argmax_j p_j is gold]:

    overconfidence   mean(c − r)
    brier            mean((c − r)²) = reliability − resolution + uncertainty, up to the spread inside the bins
    ece              Σ_b (n_b/n) |mean_b(c) − mean_b(r)| over bins of equal mass, less its bias at perfect calibration

Where nobody recorded the options' log-probabilities, an answer that is a single option's label and a single token has
confidence exp(its log-probability); no other confidence is ever made up. Prompts are the units; the
samples of a prompt share the distribution of their first token, so one of them counts.
"""

from __future__ import annotations

import json
import math
import string
from collections.abc import Mapping

from afterburn_behaviour.quality_options import CalibrationOptions
from afterburn_behaviour.units import SIDES, Side, UnitTable
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.probes.model import Probe
from afterburn_core.result.identity import measure
from afterburn_core.result.identity import undefined as unmeasured
from afterburn_core.result.model import Measurement
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.calibration import Calibration as SideCalibration
from afterburn_core.stats.calibration import calibration
from afterburn_core.stats.contrast import as_measurement
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import means, paired_contrasts, paired_rates, rate

PREFIX = "behaviour.calibration."
CURVE = "behaviour.calibration_curve"
LETTERS = string.ascii_uppercase
_MEANS = ("confidence", "accuracy", "overconfidence", "brier")
_PARTS = ("ece", "reliability", "resolution", "uncertainty")
_DECISIVE = ("brier", "overconfidence")
FAMILY = "behaviour.calibration"
_ABSENT = "no answer carries the log-probabilities of the options of a multiple choice with a gold answer"


def preferred(probe: Probe, sample: Sample) -> tuple[float, bool] | None:
    """Confidence in the preferred option and whether it is right; `None` where nothing recorded says so."""
    options = len(probe.choices)
    if probe.gold is None or options < 2:
        return None
    gold = probe.gold.strip().upper()
    if gold not in LETTERS[:options]:
        return None
    logs = sample.choice_logprobs
    if logs is not None and len(logs) == options and all(math.isfinite(x) or x == -math.inf for x in logs):
        highest = max(logs)
        if highest == -math.inf:
            return None
        weights = [math.exp(x - highest) for x in logs]
        best = max(range(options), key=lambda j: (weights[j], -j))
        return weights[best] / math.fsum(weights), LETTERS[best] == gold
    letter = sample.text.strip().strip("().").upper()
    if sample.tokens == 1 and sample.logprob is not None and letter in LETTERS[:options] and len(letter) == 1:
        return math.exp(min(sample.logprob, 0.0)), letter == gold
    return None


class Calibration:
    """Analyzer `behaviour.calibration`."""

    def __init__(self, options: CalibrationOptions) -> None:
        self._options = options
        self._table = UnitTable()
        self._seed = 0

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed."""
        self._seed = context.seed

    def observe(self, item: Responses) -> None:
        """Reads the confidence of each side's first sample that has one: all samples of a prompt share it."""
        first = {
            id(next((s for s in samples if preferred(item.probe, s) is not None), None)) for _, samples in item.sides()
        }

        def values(sample: Sample) -> Mapping[str, float | None]:
            found = preferred(item.probe, sample)
            if found is None or id(sample) not in first:
                return dict.fromkeys(_MEANS)
            confidence, right = found
            gap = confidence - float(right)
            return {"confidence": confidence, "accuracy": float(right), "overconfidence": gap, "brier": gap * gap}

        self._table.observe(item, values)

    def merge(self, other: Calibration) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)

    def finish(self) -> AnalyzerOutput:
        """Each side's calibration, the paired contrasts, and both reliability diagrams."""
        found: list[Measurement] = []
        curves: dict[str, list[dict[str, float]]] = {}
        for side in SIDES:
            measured, curve = self._side(side)
            found += measured
            if curve:
                curves[side] = curve
        found += self._contrasts()
        found += self._parts_of_pair()
        diagram = ArtifactPayload(
            id=CURVE,
            suffix=".json",
            media_type="application/json",
            summary="Reliability diagrams: accuracy by confidence, in bins of equal mass",
            content=json.dumps({"bins": curves}, sort_keys=True, indent=1).encode(),
        )
        return AnalyzerOutput(measurements=tuple(found), artifacts=(diagram,) if curves else ())

    def _side(self, side: Side) -> tuple[list[Measurement], list[dict[str, float]]]:
        confidence, right = (self._table.one_side(key, side) for key in ("confidence", "accuracy"))
        n = confidence.values.size
        if not n:
            return [unmeasured(PREFIX + name, _ABSENT, subjects=(side,), n=0) for name in (*_MEANS, *_PARTS)], []
        seed = child_seed(self._seed, side)
        whole = calibration(confidence.values, right.values, bins=self._options.bins)
        estimates = means(
            {key: self._table.one_side(key, side).values for key in _MEANS if key != "accuracy"},
            clusters=None if confidence.clusters is None else dict.fromkeys(_MEANS, confidence.clusters),
            seed=seed,
        )
        estimates["accuracy"] = rate(right.values, clusters=right.clusters, seed=seed)
        found = [as_measurement(estimates[key], PREFIX + key, subjects=(side,)) for key in _MEANS]
        found.append(as_measurement(whole.ece, PREFIX + "ece", subjects=(side,)))
        for name in _PARTS[1:]:
            if whole.parts is None:
                found.append(unmeasured(PREFIX + name, whole.ece.reason or "too few", subjects=(side,), n=n))
            else:
                reason = "over bins of equal mass; what is left of the Brier score lies inside the bins"
                found.append(measure(PREFIX + name, getattr(whole.parts, name), subjects=(side,), n=n, reason=reason))
        points = [
            {
                "n": point.n,
                "lowest": point.lowest,
                "highest": point.highest,
                "confidence": point.confidence,
                "accuracy": point.accuracy,
                "low": point.interval.low,
                "high": point.interval.high,
            }
            for point in whole.points
        ]
        return found, points

    def _contrasts(self) -> list[Measurement]:
        pairs = {key: self._table.paired(key) for key in _MEANS}
        any_pair = pairs["brier"]
        if not any_pair.probes:
            return [unmeasured(PREFIX + key, _ABSENT, n=0) for key in _MEANS]
        seed = child_seed(self._seed, "pair")
        named = None if any_pair.clusters is None else dict.fromkeys(_MEANS, any_pair.clusters)
        contrasts = paired_contrasts(
            {key: of.difference for key, of in pairs.items() if key != "accuracy"}, clusters=named, seed=seed
        )
        of = pairs["accuracy"]
        same = all(self._table.row(name).base == self._table.row(name).trained for name in of.probes)
        contrasts["accuracy"] = paired_rates(of.base, of.trained, clusters=of.clusters, seed=seed, identical=same)
        decisive = adjust({key: contrasts[key] for key in _DECISIVE}, family=FAMILY, method="holm")
        others = adjust({key: c for key, c in contrasts.items() if key not in decisive}, family=f"{FAMILY}.detail")
        return [as_measurement((decisive | others)[key], PREFIX + key) for key in _MEANS]

    def _parts_of_pair(self) -> list[Measurement]:
        """Differences of what is no mean over prompts: no test, and no interval."""
        confidence, right = self._table.paired("confidence"), self._table.paired("accuracy")
        n = len(confidence.probes)
        if not n:
            return [unmeasured(PREFIX + name, _ABSENT, n=0) for name in _PARTS]
        base = calibration(confidence.base, right.base, bins=self._options.bins)
        trained = calibration(confidence.trained, right.trained, bins=self._options.bins)
        found = []
        for name in _PARTS:
            b, t = (_part(whole, name) for whole in (base, trained))
            if b is None or t is None:
                found.append(unmeasured(PREFIX + name, base.ece.reason or "too few prompts", n=n))
            else:
                reason = "no mean over prompts, so without an interval; the Brier score is the contrast"
                found.append(measure(PREFIX + name, t - b, n=n, reason=reason))
        return found


def _part(whole: SideCalibration, name: str) -> float | None:
    if name == "ece":
        return whole.ece.estimate
    return None if whole.parts is None else float(getattr(whole.parts, name))
