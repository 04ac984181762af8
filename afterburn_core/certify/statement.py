"""The in-toto Statement around a predicate, and its projection for policy engines that know only test results.

The trained model's checksum manifest is the one and only subject: verifiers accept a statement when any subject
matches, so a base model or a shared file among the subjects would let the certificate pass for those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from afterburn_core.certify.verdicts import UNDECIDED

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://w3id.org/afterburn/post-training-audit/v1"
TEST_RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
TRAINED_SUMS = "trained.SHA256SUMS"
BASE_SUMS = "base.SHA256SUMS"


def statement(predicate: Mapping[str, Any], sums: bytes) -> dict[str, Any]:
    """The statement that is signed.

    Args:
        predicate: the certificate's content.
        sums: the bytes of `trained.SHA256SUMS`.
    """
    return _statement(PREDICATE_TYPE, predicate, sums)


def test_result(predicate: Mapping[str, Any], sums: bytes) -> dict[str, Any]:
    """The same subject under in-toto's `test-result/v0.1`; it adds nothing to the certificate.

    Its `result` is PASSED only where the certificate's overall is PASS. What is incomplete is FAILED, since WARNED lets
    most policy engines go on.
    """
    tests = predicate["tests"]
    names: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    for test in tests:
        undecided = test["verdict"] in UNDECIDED
        failed = (test["verdict"] == "FAIL" and test["waiver"] is None) or (undecided and test["required"])
        passed = test["verdict"] == "PASS" and not test["belowBar"]
        names["failedTests" if failed else "passedTests" if passed else "warnedTests"].append(test["id"])
    bound = {
        "name": predicate["protocol"]["policy"]["name"],
        "digest": {"sha256": predicate["protocol"]["policy"]["sha256"]},
    }
    document = predicate["evidence"]["result"]
    content = {
        "result": "PASSED" if predicate["summary"]["overall"] == "PASS" else "FAILED",
        "configuration": [bound, {"name": document["name"], "digest": {"sha256": document["sha256"]}}],
        **names,
    }
    return _statement(TEST_RESULT_TYPE, content, sums)


test_result.__test__ = False  # type: ignore[attr-defined]  # keeps pytest from collecting it


def _statement(kind: str, predicate: Mapping[str, Any], sums: bytes) -> dict[str, Any]:
    subject = {"name": TRAINED_SUMS, "digest": {"sha256": hashlib.sha256(sums).hexdigest()}}
    return {"_type": TYPE, "subject": [subject], "predicateType": kind, "predicate": dict(predicate)}
