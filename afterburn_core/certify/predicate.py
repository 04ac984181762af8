"""The predicate: everything a certificate says, put together from a judged run, the model's files and a declaration.

Each object says its origin: `declared` for what the issuer states and nobody checked, `measured` for what Afterburn
found or computed. The format is `schemas/certificate-1.0.json`; docs/certificates.md explains every field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from afterburn_core.certify import limits
from afterburn_core.certify.coverage import coverage
from afterburn_core.certify.derived import compute_ratio
from afterburn_core.certify.predicate_models import ModelFiles, model, relation
from afterburn_core.certify.predicate_run import (
    completeness,
    environment,
    evidence,
    protocol,
    reproducibility,
    tool,
)
from afterburn_core.certify.predicate_tests import counts, rule_tests, threshold_tests
from afterburn_core.certify.statement import BASE_SUMS, TRAINED_SUMS
from afterburn_core.certify.verdicts import WORDS, gaps, overall
from afterburn_core.certify.wording import OVERALL_RULE
from afterburn_core.judge.policy import Policy
from afterburn_core.result.model import Result
from afterburn_core.result.view import ResultView

VERSION = "1.0"


@attrs.frozen(kw_only=True)
class Audited:
    """What a certificate is made of."""

    view: ResultView
    """The run's document, judged under `policy`."""
    document: bytes = attrs.field(repr=False)
    """The document's file as it goes into the pack."""
    policy: Policy
    trained: ModelFiles
    base: ModelFiles | None
    requirements: Sequence[Mapping[str, Any]] = ()
    """What the policy requires besides, with `kind`, `name`, `met` and `message`."""
    not_asked: Sequence[str] = ()
    """Sets of prompts that are installed and were not asked."""

    @property
    def result(self) -> Result:
        return self.view.result


@attrs.frozen(kw_only=True)
class Issue:
    """What is particular to one issue of a certificate."""

    certificate_id: str
    issued_at: str
    """UTC time, `YYYY-MM-DDTHH:MM:SSZ`, by the issuer's clock."""
    key_fingerprint: str | None
    """SHA-256 of the key's SubjectPublicKeyInfo in hexadecimal; `None` for a draft."""
    trust: Literal["none", "local", "issued"] = "none"
    """Who vouches for the key's certificate: nobody, the issuer's own root, or another authority."""
    rendering: Mapping[str, Any] | None = None
    """Template digest and versions of the renderers, where a page is made."""


def predicate_of(
    audited: Audited, declared: Mapping[str, Any], issue: Issue, *, ran: Result | None = None
) -> dict[str, Any]:
    """The predicate.

    Args:
        audited: the run and the files.
        declared: a declaration as `declaration.load` gives it, complete with its defaults.
        issue: identity and time of this certificate.
        ran: the document as the run wrote it, where it was judged again since.
    """
    result, policy = audited.result, audited.policy.canonical()
    subjects = {subject.role: subject for subject in result.subjects if subject.role in {"base", "trained"}}
    tests = [
        *threshold_tests(audited.view, audited.policy),
        *rule_tests(audited.view, policy),
    ]
    complete = completeness(result, audited.requirements)
    base = None
    if audited.base is not None and "base" in subjects:
        base = model(subjects["base"], audited.base, BASE_SUMS, declared["models"]["base"])
    predicate: dict[str, Any] = {
        "origin": "declared",
        "schemaVersion": VERSION,
        "certificateId": issue.certificate_id,
        "issuedAt": issue.issued_at,
        **{name: declared[name] for name in ("auditPeriod", "supersedes", "purpose", "audience")},
        "seal": {
            "origin": "measured",
            "state": "draft" if issue.key_fingerprint is None else "signed",
            "keyFingerprint": issue.key_fingerprint,
            "trust": issue.trust,
        },
        "issuer": {"origin": "declared", **declared["issuer"]},
        "tool": tool(result, declared["tool"]),
        "models": {
            "trained": model(subjects["trained"], audited.trained, TRAINED_SUMS, declared["models"]["trained"]),
            "base": base,
        },
        "relation": relation(result, audited.trained, audited.base, declared["relation"]),
        "training": {"origin": "declared", **declared["training"]},
        "computeRatio": compute_ratio(declared["training"]["compute"]),
        "documentation": {"origin": "declared", **declared["documentation"]},
        "protocol": protocol(ran or result, audited.policy, declared["protocol"], audited.not_asked),
        "tests": tests,
        "completeness": complete,
        "summary": {
            "origin": "measured",
            "counts": counts(tests, WORDS),
            "overall": overall(tests, complete, policy),
            "rule": OVERALL_RULE,
            "gaps": gaps(tests, complete, policy),
        },
        "environment": environment(result),
        "reproducibility": reproducibility(result),
        "evidence": evidence(result, audited.document, audited.policy),
        "rendering": {"origin": "measured", **(issue.rendering or {"templateSha256": None, "renderers": []})},
    }
    predicate["limitations"] = [*limits.limitations(predicate), *_stated(declared["limitations"])]
    predicate["notTested"] = limits.not_tested(predicate)
    predicate["threatsToValidity"] = limits.threats(predicate)
    predicate["coverage"] = coverage(predicate)
    return predicate


def _stated(texts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"origin": "declared", "id": f"declared_{n}", "text": text} for n, text in enumerate(texts, 1)]
