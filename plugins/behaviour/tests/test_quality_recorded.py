"""The documented directions of the recorded sets: correctness, diversity, and whether anything changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from afterburn_behaviour.correct import Correct
from afterburn_behaviour.diversity import Diversity
from afterburn_behaviour.omnibus import Omnibus
from afterburn_behaviour.quality_judge import QualityJudge
from afterburn_behaviour.quality_options import CorrectOptions, QualityRules
from afterburn_behaviour.variety_judge import VarietyJudge
from afterburn_behaviour.variety_options import DiversityOptions, OmnibusOptions, VarietyRules
from afterburn_core.generation.model import Responses

Recorded = Callable[[str], list[Responses]]
RATE = "behaviour.correct.rate"


def correct() -> Correct:
    return Correct(CorrectOptions())


def diversity() -> Diversity:
    return Diversity(DiversityOptions(permutations=199, encoder="none"))


def omnibus() -> Omnibus:
    return Omnibus(OmnibusOptions(permutations=199, folds=5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "base", "trained", "kind", "within"),
    [
        ("gsm8k_6b_verifier", 0.2168, 0.3904, "informational", 1e-3),
        ("gsm8k_175b_verifier", 0.347, 0.563, "informational", 1e-3),
        # third-party accuracies, by another parser of broken JSON
        ("zeroeval_crux_phi3_phi35", 0.4475, 0.4212, "open", 0.005),
        ("zeroeval_gsm_same_model_two_hosts", 0.9591, 0.9591, "pass", 0.002),
    ],
)
def test_accuracy_goes_the_documented_way(
    name: str,
    base: float,
    trained: float,
    kind: str,
    within: float,
    recorded: Recorded,
    analyze: Any,
    judged: Any,
    value_of: Any,
) -> None:
    output = analyze(correct, recorded(name))
    assert value_of(output, RATE, "base").value == pytest.approx(base, abs=within)
    assert value_of(output, RATE, "trained").value == pytest.approx(trained, abs=within)
    assert judged(QualityJudge(QualityRules()), output)["behaviour.correct_shift"].kind == kind


def test_answers_that_do_not_parse_are_counted(recorded: Recorded, analyze: Any, value_of: Any) -> None:
    output = analyze(correct, recorded("zeroeval_crux_phi3_phi35"))
    rates = [value_of(output, "behaviour.correct.no_answer", side).value for side in ("base", "trained")]
    assert rates == pytest.approx([0.0075, 0.03], abs=0.01)
    assert value_of(output, "behaviour.correct.no_answer").test.p_value < 0.01


@pytest.mark.slow
def test_low_diversity_on_both_sides_is_no_collapse(
    recorded: Recorded, analyze: Any, judged: Any, value_of: Any
) -> None:
    output = analyze(diversity, recorded("noveltybench_null_split"))
    assert value_of(output, "behaviour.diversity.vendi", "base").value < 3.5  # of five
    assert judged(VarietyJudge(VarietyRules()), output)["behaviour.diversity_shift"].kind != "informational"


def test_the_null_split_shows_nothing(recorded: Recorded, analyze: Any, judged: Any) -> None:
    output = analyze(omnibus, recorded("noveltybench_null_split"))
    assert judged(VarietyJudge(VarietyRules()), output)["behaviour.any_shift"].kind in ("open", "pass")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["slopscore_gemma3_27b_antislop", "xstest_mistral_guard", "arenahard_gpt4_0314_0613"])
def test_what_training_or_prompting_did_is_noticed(name: str, recorded: Recorded, analyze: Any, judged: Any) -> None:
    output = analyze(omnibus, recorded(name))
    found = judged(VarietyJudge(VarietyRules()), output)["behaviour.any_shift"]
    assert found.kind == "informational" and "trained's answers have" in found.message and found.examples


@pytest.mark.slow
def test_fewer_overused_phrases_are_no_collapse(recorded: Recorded, analyze: Any, value_of: Any) -> None:
    """The anti-slop model writes less alike from prompt to prompt, not more."""
    output = analyze(diversity, recorded("slopscore_gemma3_27b_antislop"))
    assert value_of(output, "behaviour.diversity.across.distinct_2").value > 0
    assert value_of(output, "behaviour.diversity.template_mass_4").value < 0.05
