"""Calibration: only from logits, exact on known cases, found where it is planted, silent where it is not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from afterburn_behaviour.calibration import Calibration, preferred
from afterburn_behaviour.quality_judge import QualityJudge
from afterburn_behaviour.quality_options import CalibrationOptions, QualityRules
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.probes.model import Probe

BRIER = "behaviour.calibration.brier"
OVER = "behaviour.calibration.overconfidence"
ABCD = ("one", "two", "three", "four")


def calibration() -> Calibration:
    return Calibration(CalibrationOptions())


def logs(confidence: float, letter: int, options: int = 4) -> tuple[float, ...]:
    rest = (1 - confidence) / (options - 1)
    return tuple(math.log(confidence if j == letter else rest) - 3.0 for j in range(options))  # labels share e^-3


@pytest.fixture
def choices(responses: Callable[..., Responses]) -> Callable[..., list[Responses]]:
    """Multiple-choice prompts with gold A: for each side (confidence, right) per prompt."""

    def make(
        base: Sequence[tuple[float, bool]], trained: Sequence[tuple[float, bool]], **probe: Any
    ) -> list[Responses]:
        def side(c: float, right: bool) -> list[Sample]:
            return [Sample(index=0, text="A" if right else "B", choice_logprobs=logs(c, 0 if right else 1))]

        return [
            responses(f"p{i:04}", side(*b), side(*t), choices=ABCD, gold="A", checker="choice", **probe)
            for i, (b, t) in enumerate(zip(base, trained))
        ]

    return make


def draws(rng: np.random.Generator, n: int, sharpen: float = 1.0) -> list[tuple[float, bool]]:
    """Calibrated answers whose stated confidence is then moved towards 1."""
    true = rng.uniform(0.3, 0.95, n)
    return [(float(1 - (1 - p) / sharpen), bool(rng.random() < p)) for p in true]


def test_confidence_is_the_softmax_over_the_options() -> None:
    probe = Probe(id="p", prompt="", choices=ABCD, gold="B")
    found = preferred(probe, Sample(index=0, text="", choice_logprobs=(-1.0, -2.0, -3.0, -math.inf)))
    assert found == (pytest.approx(1 / (1 + math.e**-1 + math.e**-2)), False)


def test_no_confidence_is_made_up() -> None:
    probe = Probe(id="p", prompt="", choices=ABCD, gold="A")
    assert preferred(probe, Sample(index=0, text="A")) is None
    assert preferred(probe, Sample(index=0, text="The answer is A", tokens=4, logprob=-0.1)) is None
    assert preferred(probe, Sample(index=0, text="A", tokens=1, logprob=-0.5)) == (pytest.approx(math.exp(-0.5)), True)
    assert preferred(Probe(id="p", prompt="", gold="A"), Sample(index=0, text="A", tokens=1, logprob=-0.5)) is None
    assert preferred(probe, Sample(index=0, text="A", choice_logprobs=(-math.inf,) * 4)) is None


def test_known_values_of_the_brier_score(choices: Any, analyze: Any, value_of: Any) -> None:
    base = [(0.8, True)] * 30 + [(0.8, False)] * 10
    trained = [(0.8, True)] * 20 + [(0.8, False)] * 20
    output = analyze(calibration, choices(base, trained))
    assert value_of(output, BRIER, "base").value == pytest.approx(0.75 * 0.04 + 0.25 * 0.64)
    assert value_of(output, OVER, "base").value == pytest.approx(0.05)
    assert value_of(output, OVER).value == pytest.approx(0.25)
    assert value_of(output, "behaviour.calibration.uncertainty", "trained").value == pytest.approx(0.25)


def test_planted_overconfidence_is_found_though_accuracy_is_the_same(
    choices: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    rng = np.random.default_rng(11)
    base = draws(rng, 300)
    trained = [(1 - (1 - c) / 4, right) for c, right in base]
    output = analyze(calibration, choices(base, trained))
    assert value_of(output, "behaviour.calibration.accuracy").value == 0.0
    assert (
        value_of(output, "behaviour.calibration.ece", "trained").value
        > value_of(output, "behaviour.calibration.ece", "base").value + 0.1
    )
    over = value_of(output, OVER)
    assert over.value > 0.15 and over.test.correction == "holm"
    found = judged(QualityJudge(QualityRules()), output)["behaviour.calibration_shift"]
    assert found.kind == "informational" and "confidence minus accuracy" in found.message
    assert found.artifacts == ("behaviour.calibration_curve",)


def test_the_reliability_diagram_holds_both_sides(choices: Any, analyze: Any) -> None:
    rng = np.random.default_rng(12)
    output = analyze(calibration, choices(draws(rng, 100), draws(rng, 100)))
    (diagram,) = (json.loads(a.content) for a in output.artifacts)
    for side in ("base", "trained"):
        assert sum(row["n"] for row in diagram["bins"][side]) == 100
        assert all(row["low"] <= row["accuracy"] <= row["high"] for row in diagram["bins"][side])


def test_equal_sides_are_exactly_equal_and_pass(choices: Any, analyze: Any, value_of: Any, judged: Any) -> None:
    side = draws(np.random.default_rng(13), 50)
    output = analyze(calibration, choices(side, side))
    for metric in (BRIER, OVER, "behaviour.calibration.accuracy", "behaviour.calibration.confidence"):
        pair = value_of(output, metric)
        assert (pair.value, pair.interval.low, pair.interval.high) == (0.0, 0.0, 0.0), metric
        assert pair.test.p_value == 1.0
    assert value_of(output, "behaviour.calibration.ece").value == 0.0
    assert judged(QualityJudge(QualityRules()), output)["behaviour.calibration_shift"].kind == "pass"


def test_swapping_the_sides_negates_and_parts_do_not_matter(choices: Any, analyze: Any, value_of: Any) -> None:
    rng = np.random.default_rng(14)
    base, trained = draws(rng, 60), draws(rng, 60, 2.0)
    one, other = analyze(calibration, choices(base, trained)), analyze(calibration, choices(trained, base))
    for metric in (BRIER, OVER):
        assert value_of(one, metric).value == pytest.approx(-value_of(other, metric).value)
        assert value_of(one, metric).test.p_value == value_of(other, metric).test.p_value
    assert one == analyze(calibration, choices(base, trained)[::-1], parts=2)


def test_without_logits_everything_is_undefined_and_open(
    responses: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    items = [responses(f"p{i}", ["A"], ["B"], choices=ABCD, gold="A", checker="choice") for i in range(30)]
    output = analyze(calibration, items)
    assert {m.status for m in output.measurements} == {"undefined"}
    assert "log-probabilities" in value_of(output, BRIER).reason
    assert judged(QualityJudge(QualityRules()), output)["behaviour.calibration_shift"].kind == "open"


@pytest.mark.slow
def test_the_rule_is_silent_where_both_sides_are_alike(choices: Any, analyze: Any, judged: Any) -> None:
    shifted = 0
    runs = 300
    for seed in range(runs):
        rng = np.random.default_rng([17, seed])
        items = choices(draws(rng, 60, 1.5), draws(rng, 60, 1.5))
        found = judged(QualityJudge(QualityRules()), analyze(calibration, items, seed=seed))
        shifted += found["behaviour.calibration_shift"].kind == "informational"
    print(f"\nnull | behaviour.calibration_shift | {shifted / runs:.3f}")
    assert shifted <= 0.05 * runs + 2 * math.sqrt(runs * 0.05 * 0.95)
