"""What the detector of next-token distributions says of measurements with known intervals."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import attrs
import pytest

from afterburn_behaviour.distribution.judge import DistributionJudge
from afterburn_behaviour.distribution.names import in_words, part
from afterburn_behaviour.distribution.options import DistributionOptions
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Finding, Interval, Measurement, Scope, Test

KL, RATIO, CROSS = "behaviour.divergence.kl", "behaviour.perplexity.log_ratio", "behaviour.cross_scoring."


def measured(
    metric: str, value: float, low: float, high: float, p: float | None = 0.001, n: int = 80, subset: str | None = None
) -> Measurement:
    return attrs.evolve(
        measure(metric, value, n=n, scope=Scope(subset=subset)),
        interval=Interval(low=low, high=high, level=0.95, method="bca_t"),
        test=None if p is None else Test(name="sign_flip", p_value=p),
    )


def judged(*measurements: Measurement, artifacts: dict[str, Any] | None = None, **options: Any) -> dict[str, Finding]:
    evidence = Evidence(
        subjects=(),
        measurements=measurements,
        read_artifact=(artifacts or {}).get,
        excerpts=options.pop("excerpts", True),
    )
    return {f.rule: f for f in DistributionJudge(DistributionOptions(**options))(evidence)}


def kl(value: float, low: float, high: float, subset: str | None = None) -> Measurement:
    return measured(KL, value, low, high, p=None, subset=subset)


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        ((0.2, 0.15, 0.25), "informational", "shifted: KL in nats per token of all tokens 0.2 [0.15, 0.25] (n = 80)"),
        ((0.002, 0.001, 0.004), "pass", "equivalent: KL in nats per token of all tokens 0.002 [0.001, 0.004]"),
        ((0.012, 0.006, 0.018), "open", "margin 0.01; about 720 units would decide"),
    ],
)
def test_divergence_against_its_margin(values: tuple[float, float, float], kind: str, told: str) -> None:
    found = judged(kl(*values))["behaviour.distribution_shift"]
    assert found.kind == kind and told in found.message
    assert found.level == ("none" if kind == "pass" else "note")


def test_changed_answers_are_not_thinned_out_by_untouched_texts() -> None:
    found = judged(
        kl(0.008, 0.007, 0.009),
        kl(0.001, 0.0005, 0.0015, "source=text"),
        kl(0.3, 0.2, 0.4, "source=answer"),
        kl(0.6, 0.4, 0.8, "source=answer,author=trained"),
    )["behaviour.distribution_shift"]
    assert found.kind == "informational"
    assert "answers 0.3 [0.2, 0.4] (n = 80), texts 0.001" in found.message
    assert "most in answers of trained: 0.6" in found.message


def test_controls_and_flips_are_told_with_a_shift() -> None:
    flips = attrs.evolve(
        measure("behaviour.divergence.flip_rate", 0.061, n=80),
        interval=Interval(low=0.05, high=0.072, level=0.95, method="t"),
    )
    control = measure("behaviour.divergence.control_kl", 0.08, n=80, scope=part(control="scrambled"))
    found = judged(kl(0.2, 0.15, 0.25), flips, control, artifacts={"behaviour.divergence_contexts": {}})
    shift = found["behaviour.distribution_shift"]
    assert "at 6.1 % [5.0, 7.2] of all tokens; control scrambled 0.08" in shift.message
    assert shift.artifacts == ("behaviour.divergence_contexts",) and {flips.id, control.id} <= set(shift.measurements)


@pytest.mark.parametrize(
    ("values", "p", "kind", "told"),
    [
        ((0.08, 0.05, 0.11), 0.001, "informational", "worse: +0.08 [0.05, 0.11] nats per token, perplexity ×1.08"),
        ((-0.05, -0.07, -0.03), 0.001, "pass", "better than base"),
        ((0.001, -0.004, 0.006), 0.7, "pass", "no worse than base"),
        ((0.02, -0.01, 0.05), 0.2, "open", "Forgetting undecided"),
        ((0.08, 0.05, 0.11), 0.2, "open", "Forgetting undecided"),
    ],
)
def test_forgetting_against_its_margin(values: tuple[float, float, float], p: float, kind: str, told: str) -> None:
    found = judged(measured(RATIO, *values, p=p))["behaviour.forgetting"]
    assert found.kind == kind and told in found.message


def test_a_domain_that_was_forgotten_is_named_although_the_whole_was_not() -> None:
    whole = measured(RATIO, 0.005, 0.001, 0.009)
    poems = measured(RATIO, 0.2, 0.1, 0.3, subset="domain=poems")
    laws = measured(RATIO, -0.01, -0.02, 0.0, subset="domain=laws")
    found = judged(whole, poems, laws)["behaviour.forgetting"]
    assert found.kind == "informational" and "1 of 2 domains worse: poems +0.2 [0.1, 0.3]" in found.message


def cross(trained: Any, base: Any, surprise: Any, entropy: Any) -> tuple[Measurement, ...]:
    names = ("excess_trained", "excess_base", "base_surprise", "entropy")
    return tuple(measured(CROSS + n, *v) for n, v in zip(names, (trained, base, surprise, entropy), strict=True))


@pytest.mark.parametrize(
    ("numbers", "kind", "told", "untold"),
    [
        (
            ((0.8, 0.6, 1.0), (0.01, 0.005, 0.015), (0.5, 0.3, 0.7), (0.1, 0.0, 0.2)),
            "informational",
            "off-support: base finds trained's answers 0.8 [0.6, 1] nats per token more surprising than trained does",
            "sharpening",
        ),
        (
            ((0.3, 0.2, 0.4), (0.4, 0.3, 0.5), (-0.5, -0.7, -0.3), (-0.6, -0.7, -0.5)),
            "informational",
            "sharpening: trained's answers surprise base no more than its own (−0.5 [−0.7, −0.3] nats per token)",
            "off-support",
        ),
        (
            ((0.3, 0.2, 0.4), (0.4, 0.3, 0.5), (-0.5, -0.7, -0.3), (-0.6, -0.7, -0.5)),
            "informational",
            "forgetting of base's ways: base's answers are 0.4 [0.3, 0.5] nats per token less likely",
            "undecided",
        ),
        (
            ((0.3, 0.2, 0.4), (0.01, 0.0, 0.015), (0.01, -0.1, 0.1), (-0.1, -0.3, 0.1)),
            "informational",
            "off-support or sharpening is undecided",
            "forgetting",
        ),
        (
            ((0.004, 0.001, 0.008), (0.003, 0.0, 0.006), (0.0, -0.2, 0.2), (0.0, -0.1, 0.1)),
            "pass",
            "as likely",
            "off-support",
        ),
        (
            ((0.03, -0.01, 0.07), (0.003, 0.0, 0.006), (0.0, -0.2, 0.2), (0.0, -0.1, 0.1)),
            "open",
            "undecided",
            "off-support",
        ),
    ],
)
def test_readings_of_the_two_by_two_table(numbers: Any, kind: str, told: str, untold: str) -> None:
    found = judged(*cross(*numbers))["behaviour.off_support"]
    assert found.kind == kind and told in found.message and untold not in found.message


def test_the_most_surprising_answers_are_shown_and_withheld_where_asked() -> None:
    row = {"id": "p1", "prompt": "say it", "tokens": ["hi", " you"], "base_nll": 3.0, "trained_nll": 0.5}
    artifact = {"behaviour.perplexity_difference": {"examples": [row]}}
    numbers = cross((0.8, 0.6, 1.0), (0.01, 0.0, 0.015), (0.5, 0.3, 0.7), (0.1, 0.0, 0.2))
    found = judged(*numbers, artifacts=artifact)["behaviour.off_support"]
    assert found.examples[0].trained == "hi you" and found.examples[0].label == "p1: say it"
    assert found.examples[0].note == "3.0 nats per token under base, 0.5 under trained"
    hidden = judged(*numbers, artifacts=artifact, excerpts=False)["behaviour.off_support"].examples[0]
    assert "hi you" not in str(hidden) and "say it" not in str(hidden) and "sha256:" in str(hidden.trained)


def test_identical_models_pass_every_rule() -> None:
    def zero(metric: str, test: bool = True) -> Measurement:
        m = measured(metric, 0.0, 0.0, 0.0, p=1.0 if test else None)
        return attrs.evolve(m, interval=Interval(low=0.0, high=0.0, level=0.95, method="identical"))

    found = judged(zero(KL, False), zero(RATIO), *(zero(CROSS + n) for n in ("excess_trained", "excess_base")))
    assert {f.kind for f in found.values()} == {"pass"} and {f.level for f in found.values()} == {"none"}


def test_what_was_not_measured_is_open_with_its_reason() -> None:
    assert {f.kind for f in judged().values()} == {"open"} and len(judged()) == 3
    found = judged(undefined(RATIO, "no plain text was read", n=0))["behaviour.forgetting"]
    assert found.kind == "open" and "no plain text was read" in found.message


@pytest.mark.parametrize(
    ("subset", "words"),
    [
        ("source=answer,author=trained", "answers of trained"),
        ("source=answer,first=1", "first tokens of answers"),
        ("source=text,first=5", "the first 5 tokens of texts"),
        ("source=text,after=20", "tokens after the 20th of texts"),
        ("source=prompt,at=answer_start", "what follows prompts"),
        ("class=end", "end marks"),
        ("domain=a=b,c", "a=b,c"),
        (None, "all tokens"),
    ],
)
def test_parts_in_words(subset: str | None, words: str) -> None:
    assert in_words(Scope(subset=subset)) == words


def test_judging_needs_neither_numpy_nor_torch() -> None:
    code = (
        "import sys, afterburn_behaviour.distribution.judge, afterburn_behaviour.specs.distribution; "
        "sys.exit(bool({'numpy', 'torch', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
