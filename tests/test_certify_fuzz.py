"""Whatever a verifier reads is accepted or refused with a code. `nox -s fuzz` does the same 50 000 times and more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "certificates"))

import fuzz

CASES = {
    "bundle_bytes": 120,
    "bundle_values": 120,
    "predicate": 60,
    "sums": 120,
    "timestamps": 40,
    "keys": 30,
    "pdf": 8,
}


@pytest.mark.parametrize("target", CASES)
def test_mutated_documents_are_accepted_or_refused_and_nothing_else(target: str) -> None:
    accepted, refused = fuzz.run(target, CASES[target], derandomize=True)
    assert accepted + refused >= CASES[target] // 2, "most of the cases were not run"
    assert refused > accepted


def test_the_fuzz_session_runs_at_least_fifty_thousand_cases() -> None:
    assert sum(fuzz.SHARES.values()) == pytest.approx(1.0)
    assert fuzz.CASES > 50_000
    assert fuzz.SHARES.keys() == fuzz.TARGETS.keys() == CASES.keys()
