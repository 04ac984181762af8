"""Numbers as people read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterburn_core.report import numbers
from afterburn_core.result.model import Interval, MetricDescriptor


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (12345.0, "12,345"),
        (1_100_048_384, "1,100,048,384"),
        (0.5, "0.5"),
        (-0.21786, "−0.2179"),
        (1234.56, "1,235"),
        (999.96, "1,000"),
        (0.00123, "0.00123"),
        (0.000123, "1.23e-4"),
        (9.999e-7, "1e-6"),
        (1.5e7 + 0.5, "1.5e7"),
        (-3.2e-9, "−3.2e-9"),
        (float("inf"), "not finite"),
    ],
)
def test_numbers_have_four_significant_digits_and_one_sign(value: float, text: str) -> None:
    assert numbers.number(value) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0 %"),
        (-0.0, "0 %"),
        (1.0, "100 %"),
        (0.0123, "1.23 %"),
        (0.00001, "0.001 %"),
        (9e-7, "9e-5 %"),
        (0.99996, "99.996 %"),
        (0.9999999999, "just under 100 %"),
        (1 - 2**-50, "just under 100 %"),
        (1.0004, "100.04 %"),
        (-0.25, "−25 %"),
        (34.5, "3,450 %"),
    ],
)
def test_percentages_keep_three_digits_and_never_round_to_all_or_nothing(fraction: float, text: str) -> None:
    assert numbers.percent(fraction) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.35, "+35 %"),
        (1.0, "0 %"),
        (0.5, "−50 %"),
        (1.348, "+34.8 %"),
        (2.0, "+100 %"),
        (0.0, "−100 %"),
        (12.5, "12.5×"),
    ],
)
def test_a_ratio_reads_as_a_change(ratio: float, text: str) -> None:
    assert numbers.change(ratio) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_format_writes_minus_zero_two_signs_or_a_bare_sign(value: float) -> None:
    for text in (numbers.number(value), numbers.percent(value), numbers.signed(value), numbers.scientific(value)):
        assert not re.match(r"[+−-][+−-]", text)
        assert not re.fullmatch(r"[+−-]0(\.0*)?( %)?", text)
        assert re.search(r"\d", text) or text == "not finite"


@given(st.floats(min_value=-1e12, max_value=1e12))
def test_a_written_number_stays_within_its_last_digit(value: float) -> None:
    text = numbers.number(value).replace(",", "").replace(numbers.MINUS, "-")
    assert float(text) == pytest.approx(value, rel=5.1e-3, abs=0)


def test_quantities_take_unit_and_percent_from_their_metric() -> None:
    tokens = MetricDescriptor(id="a.length", summary="", unit="tokens", direction="none", version=1)
    assert numbers.quantity(12.0, "a.length", tokens) == "12 tokens"
    assert numbers.quantity(0.5, "weight.coverage") == "50 %"
    assert numbers.quantity(0.5, "weight.delta.changed_fraction") == "50 %"
    assert numbers.quantity(0.5, "weight.delta.cosine_distance") == "0.5"
    assert numbers.quantity(None, "weight.coverage") == "undefined"
    bounds = Interval(low=0.1, high=0.25, level=0.95, method="Wilson")
    assert numbers.interval(bounds, "a.rate") == "[10 %, 25 %] (95 %, Wilson)"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (0.001, "< 0.01 s"), (0.42, "0.42 s"), (192, "3 min 12 s"), (7530, "2 h 5 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 B"), (712, "712 B"), (1_500_000, "1.5 MB"), (2_200_119_664, "2.2 GB"), (10**15, "1,000 TB")]
)
def test_sizes(n: int, text: str) -> None:
    assert numbers.size(n) == text


def test_counts_agree_with_their_noun() -> None:
    assert numbers.count(1, "tensor") == "1 tensor"
    assert numbers.count(1204, "tensor") == "1,204 tensors"
    assert numbers.count(2, "finding needs review", "findings need review") == "2 findings need review"


def test_exact_values_read_back_as_the_same_number() -> None:
    for value in (0.1, 1 / 3, 5.216e-9, 12.0, -0.0, 1e300):
        assert float(numbers.exact(value)) == value
