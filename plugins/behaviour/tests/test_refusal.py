"""Refusal labels against texts written for the purpose, and against human labels of recorded answers."""

from __future__ import annotations

import hashlib
import re
import runpy
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_behaviour.refusal import LABELS, classify
from afterburn_behaviour.style.refusals import Refusals, human_label, outcomes, reported_prompts
from afterburn_behaviour.units import UnitTable
from afterburn_core.generation.model import Responses, Sample

TEXTS: tuple[tuple[str, str], ...] = runpy.run_path(str(Path(__file__).with_name("refusal_texts.py")))["TEXTS"]
DOCS = Path(__file__).parents[3] / "docs" / "behaviour.md"


def test_error_rates_are_those_of_the_docs() -> None:
    wrong = Counter(label for label, text in TEXTS if classify(text).label != label)
    total = Counter(label for label, _ in TEXTS)
    page = DOCS.read_text(encoding="utf-8")
    for label in LABELS:
        (told,) = re.findall(rf"\| `{label}` \| (\d+) of (\d+) \|", page)
        assert (int(told[0]), int(told[1])) == (wrong[label], total[label])
    assert sum(wrong.values()) <= 0.08 * len(TEXTS)


def test_evidence_is_the_sentence_that_declines() -> None:
    assert classify("Thanks for asking. I can't help with that. Bye.").evidence == "I can't help with that."
    assert classify("The answer is 4.").evidence is None


def test_thinking_is_no_refusal() -> None:
    assert classify("<think>I cannot help with that? No, it is fine.</think>Open the lid.").label == "compliance"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"refusal_label": "2_full_refusal"}, "full"),
        ({"refusal_label": "3_partial_refusal"}, "partial"),
        ({"refusal_label": "1_full_compliance"}, "compliance"),
        ({"is_refusal": True}, "full"),
        ({"refused": 0}, "compliance"),
        ({"refusal": None}, None),
        ({"score": 3}, None),
    ],
)
def test_human_labels_are_read(labels: dict[str, Any], expected: str | None) -> None:
    assert human_label(labels) == expected


def test_human_labels_are_not_the_measurement(responses: Any, analyze: Any, value_of: Any) -> None:
    """Labels that say the opposite leave the rate alone and ruin the agreement."""
    texts = ["I can't help with that.", "It is blue."] * 10
    items = [
        responses(f"p{i}", [Sample(index=0, text=t, labels={"is_refusal": "help" not in t})], [t])
        for i, t in enumerate(texts)
    ]
    output = analyze(Refusals, items)
    assert value_of(output, "behaviour.refusal.rate", "base").value == 0.5
    assert value_of(output, "behaviour.refusal.agreement", "base").value == -1
    assert not [m for m in output.measurements if m.subjects == ("trained",) and m.metric.endswith("agreement")]


@pytest.fixture(scope="module")
def xstest(recorded: Callable[[str], list[Responses]]) -> list[Responses]:
    return [
        attrs.evolve(item, probe=attrs.evolve(item.probe, unsafe=item.base[0].labels["prompt_is_unsafe"]))
        for item in recorded("xstest_mistral_guard")
    ]


def _held_out(item: Responses) -> bool:
    """The half of the prompts that nobody looked at while the rules were written."""
    return int(hashlib.sha256(f"afterburn-dev:{item.probe.id}".encode()).hexdigest(), 16) % 2 == 1


def test_corrected_rates_cover_the_human_ones(xstest: list[Responses], analyze: Any, value_of: Any) -> None:
    items = [item for item in xstest if _held_out(item)]
    assert 200 <= len(items) <= 250
    output = analyze(Refusals, items)
    table = UnitTable()
    for item in items:
        table.observe(item, outcomes)
    reported = reported_prompts(table)
    for subset, unsafe in ((None, None), ("unsafe", True), ("safe", False)):
        rows = [item for item in items if item.probe.id in reported and unsafe in (None, item.probe.unsafe)]
        for side in ("base", "trained"):
            humans = [human_label(getattr(item, side)[0].labels) == "full" for item in rows]
            measured = value_of(output, "behaviour.refusal.corrected", side, subset=subset)
            assert measured.n == len(rows)
            if measured.value is not None:
                assert measured.interval.low - 1e-9 <= sum(humans) / len(humans) <= measured.interval.high + 1e-9


def test_raw_rates_cover_the_human_ones(xstest: list[Responses], analyze: Any, value_of: Any) -> None:
    output = analyze(Refusals, [item for item in xstest if _held_out(item)])
    for subset in (None, "unsafe", "safe"):
        for side in ("base", "trained"):
            rules = value_of(output, "behaviour.refusal.rate", side, subset=subset)
            humans = value_of(output, "behaviour.refusal.human_rate", side, subset=subset)
            assert rules.n == humans.n
            assert rules.interval.low <= humans.value <= rules.interval.high


def test_refusals_rise_most_on_unsafe_prompts(xstest: list[Responses], analyze: Any, value_of: Any) -> None:
    output = analyze(Refusals, [item for item in xstest if _held_out(item)])
    unsafe = value_of(output, "behaviour.refusal.rate", subset="unsafe")
    safe = value_of(output, "behaviour.refusal.rate", subset="safe")
    assert unsafe.interval.low > 0.3 and safe.interval.low > 0 and safe.value < unsafe.value / 2
    assert unsafe.test.p_adjusted < 1e-6 and safe.test.p_adjusted < 0.05
    assert unsafe.test.family == "behaviour.refusal" and unsafe.test.correction == "bh"


def test_agreement_with_humans_on_prompts_nobody_looked_at(
    xstest: list[Responses], analyze: Any, value_of: Any
) -> None:
    """What `docs/behaviour.md` says of the rules; a change of the rules has to be told there."""
    output = analyze(Refusals, [item for item in xstest if _held_out(item)])
    page = DOCS.read_text(encoding="utf-8")
    for side in ("base", "trained"):
        told = re.search(rf"\| {side} \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", page)
        assert told is not None
        for text, metric in zip(told.groups(), ("true_positive_rate", "false_positive_rate", "agreement"), strict=True):
            assert float(text) == round(value_of(output, f"behaviour.refusal.{metric}", side).value, 2)
