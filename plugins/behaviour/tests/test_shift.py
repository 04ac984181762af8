"""Kinds, levels and wording of shift findings."""

from __future__ import annotations

import attrs
import pytest

from afterburn_behaviour.shift import Quantity, change, shift_finding
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Finding, Interval, Measurement, Scope, Test

EVIDENCE = Evidence(subjects=(), measurements=())


def _measured(
    value: float, low: float, high: float, p: float, *, metric: str = "behaviour.x", n: int = 100
) -> Measurement:
    return attrs.evolve(
        measure(metric, value, n=n),
        interval=Interval(low=low, high=high, level=0.95, method="bca"),
        test=Test(name="sign_flip", p_value=p),
    )


def _finding(*quantities: Quantity, family: str = "things") -> Finding:
    return shift_finding("behaviour.x_shift", EVIDENCE, quantities, family=family)


def _rate(measurement: Measurement | None, noun: str = "bold") -> Quantity:
    return Quantity(noun=noun, scale="rate", margin=0.05, measurement=measurement)


@pytest.mark.parametrize(
    ("values", "kind", "level", "told"),
    [
        (
            (0.2, 0.1, 0.3, 0.001),
            "informational",
            "note",
            "Bold shifted: +20.0 points [+10.0, +30.0] (n = 100, p = 0.001",
        ),
        ((0.2, 0.1, 0.3, 0.001), "informational", "note", "margin ±5 points, beyond the margin)"),
        ((0.06, 0.02, 0.1, 0.01), "informational", "note", "margin ±5 points)"),
        ((0.01, -0.02, 0.04, 0.5), "pass", "none", "Bold: equivalent, +1.0 points"),
        ((0.02, 0.01, 0.03, 0.001), "pass", "none", "margin ±5 points, detectable but below the margin)"),
        ((0.04, -0.02, 0.1, 0.2), "open", "note", "smallest detectable effect 8.6 points"),
        ((-0.0001, -0.1, 0.1, 0.9), "open", "note", "+0.0 points [-10.0, +10.0]"),
    ],
)
def test_one_contrast(values: tuple[float, float, float, float], kind: str, level: str, told: str) -> None:
    found = _finding(_rate(_measured(*values)))
    assert (found.kind, found.level) == (kind, level)
    assert told in found.message and found.measurements


def test_many_contrasts_shift_if_one_does_and_pass_if_all_do() -> None:
    shifted = _measured(0.2, 0.1, 0.3, 0.001, metric="behaviour.a")
    same = _measured(0.0, -0.01, 0.01, 0.9, metric="behaviour.b")
    unsure = _measured(0.04, -0.02, 0.1, 0.2, metric="behaviour.c")
    assert _finding(_rate(shifted, "a"), _rate(same, "b"), _rate(unsure, "c")).kind == "informational"
    assert _finding(_rate(same, "b"), _rate(unsure, "c")).message.startswith(
        "1 of 2 things undecided (n = 100, p = 0.2, margin ±5 points): c +4.0 points [-2.0, +10.0], smallest"
    )
    assert _finding(_rate(same, "b"), _rate(same, "b")).message.startswith("All 2 things equivalent")
    assert _finding(_rate(same, "b"), _rate(None, "c")).kind == "pass"


def test_what_several_contrasts_have_in_common_is_said_once() -> None:
    many = [_rate(_measured(v, v - 0.02, v + 0.02, 0.001, metric=f"behaviour.{v}"), str(v)) for v in (0.1, 0.5, 0.3)]
    assert _finding(*many).message == (
        "3 of 3 things shifted (n = 100, p = 0.001, margin ±5 points, all beyond the margin): "
        "0.5 +50.0 points [+48.0, +52.0]; 0.3 +30.0 points [+28.0, +32.0]; 0.1 +10.0 points [+8.0, +12.0]"
    )
    touching = _rate(_measured(0.06, 0.04, 0.08, 0.004, metric="behaviour.touching", n=90), "touching")
    assert _finding(*many[:1], touching).message == (
        "2 of 2 things shifted (margin ±5 points): 0.1 +10.0 points [+8.0, +12.0] (n = 100, p = 0.001, beyond the "
        "margin); touching +6.0 points [+4.0, +8.0] (n = 90, p = 0.004)"
    )


def test_what_was_not_measured_is_open() -> None:
    assert _finding().kind == "open" and _finding(_rate(None)).kind == "open"
    lost = undefined("behaviour.x", "no prompt was answered by both sides", n=0)
    found = _finding(_rate(lost))
    assert (found.kind, found.message) == ("open", "Things: open, no prompt was answered by both sides")
    same = _measured(0.0, -0.01, 0.01, 0.9)
    partly = _finding(_rate(same), _rate(undefined("behaviour.y", "too few", n=1)))
    assert partly.kind == "open" and partly.message.startswith("1 of 2 things undecided")


def test_every_contrast_is_cited_once() -> None:
    one = _measured(0.2, 0.1, 0.3, 0.001)
    found = shift_finding(
        "behaviour.x_shift", EVIDENCE, [_rate(one)], family="things", also=[one], scope=Scope(subset="a")
    )
    assert found.measurements == (one.id,) and found.scope == Scope(subset="a")


def test_the_adjusted_p_value_decides() -> None:
    m = _measured(0.2, 0.1, 0.3, 0.001)
    test = Test(name="sign_flip", p_value=0.001, p_adjusted=0.2, correction="bh", family="f")
    found = _finding(_rate(attrs.evolve(m, test=test)))
    assert found.kind == "open" and "p = 0.2 (bh)" in found.message


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (0.1222176, "log_ratio", "×1.13"),
        (0.0, "log_ratio", "×1.00"),
        (-0.3, "log_ratio", "×0.74"),
        (7.0, "log_ratio", "×1.1e+03"),
        (0.0423, "rate", "+4.2 points"),
        (-0.00001, "rate", "+0.0 points"),
        (-0.25, "rate", "-25.0 points"),
        (0.31, "number", "+0.31"),
        (-0.0, "number", "+0"),
    ],
)
def test_changes_in_words(value: float, scale: str, text: str) -> None:
    assert change(value, scale) == text  # type: ignore[arg-type]
