"""The rules on variety and quality as pure functions: less evidence never reads better."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

from afterburn_behaviour.calibration import Calibration
from afterburn_behaviour.diversity import Diversity
from afterburn_behaviour.omnibus import Omnibus
from afterburn_behaviour.quality_judge import QualityJudge
from afterburn_behaviour.quality_options import CalibrationOptions, QualityRules
from afterburn_behaviour.specs.variety import DECIDING, DIVERSITY
from afterburn_behaviour.variety_judge import VarietyJudge
from afterburn_behaviour.variety_options import DiversityOptions, OmnibusOptions, VarietyRules
from afterburn_core.generation.model import Sample

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]
BETTER = {"pass": 0, "informational": 1, "open": 2}


@pytest.fixture(scope="module")
def equal(responses: Any, analyze: Any) -> list[Any]:
    """What all analyzers say of equal sides: every rule passes."""
    rng = np.random.default_rng(1)
    items = []
    for i in range(20):
        samples = [
            Sample(
                index=k,
                text=" ".join(rng.choice(WORDS, 20)),
                choice_logprobs=tuple(np.log(rng.dirichlet([1, 1, 1, 1]))),
            )
            for k in range(2)
        ]
        items.append(responses(f"p{i}", samples, samples, choices=tuple("wxyz"), gold="B"))
    makers = (
        lambda: Diversity(DiversityOptions(permutations=99, encoder="none")),
        lambda: Omnibus(OmnibusOptions(permutations=99)),
        lambda: Calibration(CalibrationOptions()),
    )
    return [analyze(make, items) for make in makers]


@pytest.mark.parametrize("rule", ["diversity_shift", "any_shift", "calibration_shift"])
def test_removing_any_measurement_never_makes_a_finding_look_better(equal: list[Any], judged: Any, rule: str) -> None:
    detector = QualityJudge(QualityRules()) if rule == "calibration_shift" else VarietyJudge(VarietyRules())
    whole = judged(detector, *equal)[f"behaviour.{rule}"]
    assert whole.kind == "pass"
    for number, output in enumerate(equal):
        for m in output.measurements:
            less = attrs.evolve(output, measurements=tuple(other for other in output.measurements if other != m))
            found = judged(detector, *equal[:number], less, *equal[number + 1 :])[f"behaviour.{rule}"]
            assert BETTER[found.kind] >= BETTER[whole.kind]
            if m.id in whole.measurements and m.subjects == ("base", "trained"):
                bare = rule == "any_shift" and m.metric.endswith("without_length")
                assert bare or found.kind == "open", m.id


def test_without_an_encoder_the_rule_on_diversity_still_passes(equal: list[Any], judged: Any) -> None:
    undefined = {m.metric for m in equal[0].measurements if m.status == "undefined"}
    assert undefined & set(DECIDING) == {"behaviour.diversity.meaning", "behaviour.diversity.across.meaning"}
    assert judged(VarietyJudge(VarietyRules()), *equal)["behaviour.diversity_shift"].kind == "pass"


def test_what_decides_is_measured() -> None:
    assert set(DECIDING) <= {metric.id for metric in DIVERSITY}


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1])
def test_margins_are_shares(value: float) -> None:
    for make in (
        lambda: VarietyRules(diversity_margin=value),
        lambda: VarietyRules(auroc_margin=value),
        lambda: QualityRules(correct_margin=value),
    ):
        with pytest.raises(ValueError, match="must lie between 0 and 1"):
            make()
