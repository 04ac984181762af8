"""Whether confidence fits correctness, from the log-probabilities of the options of multiple-choice prompts.

With p_j = exp(l_j)/Σ exp(l_m) over the options' labels, confidence c = max_j p_j and right r = [argmax_j p_j is gold]:

    overconfidence   mean(c − r)
    brier            mean((c − r)²) = reliability − resolution + uncertainty, up to the spread inside the bins
    ece              Σ_b (n_b/n) |mean_b(c) − mean_b(r)| over bins of equal mass, less its bias at perfect calibration

Where nobody recorded the options' log-probabilities, an answer that is a single option's label and a single token has
confidence exp(its log-probability); no other confidence is ever made up. Prompts are the units: samples with their own
log-probabilities are averaged inside the prompt.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping

from afterburn_behaviour.quality_options import CalibrationOptions
from afterburn_behaviour.units import UnitTable
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.probes.model import Probe

PREFIX = "behaviour.calibration."
CURVE = "behaviour.calibration_curve"
LETTERS = string.ascii_uppercase
_MEANS = ("confidence", "accuracy", "overconfidence", "brier")
_PARTS = ("ece", "reliability", "resolution", "uncertainty")
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
        """Reads the confidence of each sample."""

        def values(sample: Sample) -> Mapping[str, float | None]:
            found = preferred(item.probe, sample)
            if found is None:
                return dict.fromkeys(_MEANS)
            confidence, right = found
            gap = confidence - float(right)
            return {"confidence": confidence, "accuracy": float(right), "overconfidence": gap, "brier": gap * gap}

        self._table.observe(item, values)

    def merge(self, other: Calibration) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)
