"""Which items of regulations and standards a certificate gives evidence on: supports, partial or not addressed.

The status is computed from what is present in the predicate; nothing here concludes anything. Items: AI Act
(Regulation (EU) 2024/1689) Annex IV and XI, the model documentation form of the general-purpose AI code of practice,
NIST AI RMF 1.0 and AI 600-1, ISO/IEC 42001:2023 Annex A.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

Status = Literal["supports", "partial", "not addressed"]


@attrs.frozen(kw_only=True)
class Item:
    """One item of a framework, and the fields that speak to it."""

    framework: str
    clause: str
    title: str
    fields: tuple[str, ...]
    """Paths into the predicate; an item is supported where all of them hold something."""
    at_most: Status = "supports"
    """What the certificate can amount to here at best."""


_IV, _XI = "EU AI Act, Annex IV", "EU AI Act, Annex XI"
_FORM = "GPAI code of practice, model documentation form"
_RMF, _600, _42001 = "NIST AI RMF 1.0", "NIST AI 600-1", "ISO/IEC 42001:2023, Annex A"

ITEMS: tuple[Item, ...] = (
    Item(
        framework=_IV,
        clause="2(a)",
        title="Pre-trained systems used and how they were modified",
        fields=("models.base", "models.trained.measured.manifest", "relation.declared.method", "training.provided"),
    ),
    Item(
        framework=_IV,
        clause="2(d)",
        title="Training data: provenance, scope and characteristics",
        fields=("training.datasets",),
        at_most="partial",
    ),
    Item(
        framework=_IV,
        clause="2(g)",
        title="Test procedures, data and metrics, dated and signed test reports, responsible persons",
        fields=(
            "tests",
            "protocol.datasets",
            "protocol.planSha256",
            "issuer.responsiblePersons",
            "seal.keyFingerprint",
        ),
    ),
    Item(
        framework=_IV,
        clause="3",
        title="Capabilities and limitations in performance",
        fields=("limitations", "notTested", "tests"),
        at_most="partial",
    ),
    Item(
        framework=_XI,
        clause="Section 1, 1(d)-(e)",
        title="Architecture and number of parameters, modalities",
        fields=(
            "models.trained.measured.architecture",
            "models.trained.measured.parameters",
            "documentation.inputModalities",
            "documentation.outputModalities",
        ),
    ),
    Item(
        framework=_XI,
        clause="Section 1, 1(a)-(c), (f)",
        title="Intended tasks, acceptable use, release date, distribution, licence",
        fields=(
            "documentation.intendedUse",
            "documentation.acceptableUse",
            "documentation.releaseDate",
            "documentation.distribution",
            "models.trained.declared.licence",
        ),
    ),
    Item(
        framework=_XI,
        clause="Section 1, 2(b)",
        title="Design and training process, methods and rationale",
        fields=("relation.declared.method", "relation.declared.rationale", "training.hyperparameters"),
    ),
    Item(
        framework=_XI,
        clause="Section 1, 2(c)",
        title="Data used for training, testing and validation",
        fields=("training.datasets", "protocol.datasets"),
        at_most="partial",
    ),
    Item(
        framework=_XI,
        clause="Section 1, 2(d)",
        title="Computational resources",
        fields=("training.compute", "training.startedOn", "training.endedOn"),
    ),
    Item(framework=_XI, clause="Section 1, 2(e)", title="Energy consumption", fields=("training.energyKwh",)),
    Item(
        framework=_XI,
        clause="Section 2, 1",
        title="Evaluation strategies, results, criteria, metrics and limitations",
        fields=("tests", "protocol.policy", "limitations", "protocol.datasets"),
    ),
    Item(
        framework=_XI,
        clause="Section 2, 2",
        title="Adversarial testing and model adaptations",
        fields=("documentation.adversarialTesting", "relation.declared.method", "tests"),
        at_most="partial",
    ),
    Item(
        framework=_FORM,
        clause="1.2",
        title="Model name, version and provider",
        fields=("models.trained.declared.name", "models.trained.declared.version", "issuer.legalName"),
    ),
    Item(
        framework=_FORM,
        clause="1.3",
        title="Authenticity: digests of the model's files",
        fields=("models.trained.measured.manifest", "seal.keyFingerprint"),
    ),
    Item(
        framework=_FORM,
        clause="1.6",
        title="Dependencies: the model that this one was made from",
        fields=("models.base.measured.manifest", "models.base.declared.name"),
    ),
    Item(
        framework=_FORM,
        clause="2",
        title="Model properties: architecture, size, modalities",
        fields=(
            "models.trained.measured.architecture",
            "models.trained.measured.parameters",
            "documentation.inputModalities",
        ),
        at_most="partial",
    ),
    Item(
        framework=_FORM,
        clause="Training process",
        title="Design specifications, decisions and data of the training process",
        fields=("relation.declared.method", "relation.declared.rationale", "training.datasets", "training.compute"),
        at_most="partial",
    ),
    Item(
        framework=_RMF,
        clause="MEASURE 1.1",
        title="Metrics are chosen and documented, with what is not measured",
        fields=("tests", "protocol.policy", "notTested"),
    ),
    Item(
        framework=_RMF,
        clause="MEASURE 2.3",
        title="Performance criteria are measured and documented",
        fields=("tests", "environment"),
        at_most="partial",
    ),
    Item(
        framework=_RMF,
        clause="MEASURE 2.5",
        title="Validity and reliability are shown, with limits of generalisation",
        fields=("tests", "limitations", "reproducibility.largestDifference"),
        at_most="partial",
    ),
    Item(
        framework=_RMF,
        clause="MEASURE 2.13",
        title="Effectiveness of the measurement itself is evaluated",
        fields=("protocol.controls",),
        at_most="partial",
    ),
    Item(
        framework=_600,
        clause="MG-3.2-002",
        title="Adaptations of pre-trained models are documented against the base",
        fields=("models.base.measured.manifest", "relation.declared.method", "tests"),
    ),
    Item(
        framework=_600,
        clause="MG-3.2-003",
        title="Origins of training data and of pre-trained models",
        fields=("training.datasets", "models.base.declared.sourceUri"),
        at_most="partial",
    ),
    Item(
        framework=_42001,
        clause="A.6.2.3",
        title="Documentation of design and development",
        fields=("relation.declared.method", "training.provided"),
        at_most="partial",
    ),
    Item(
        framework=_42001,
        clause="A.6.2.4",
        title="Verification and validation: measures and criteria",
        fields=("tests", "protocol.policy", "protocol.planSha256"),
    ),
    Item(
        framework=_42001,
        clause="A.6.2.7",
        title="Technical documentation for interested parties",
        fields=("limitations", "tests", "audience"),
        at_most="partial",
    ),
    Item(framework=_42001, clause="A.6.2.8", title="Event logs", fields=("evidence.result",), at_most="partial"),
    Item(framework=_42001, clause="A.7.5", title="Data provenance", fields=("training.datasets",), at_most="partial"),
    Item(
        framework=_42001,
        clause="A.10",
        title="Third parties and suppliers",
        fields=("models.base.declared.sourceUri", "models.base.declared.licence"),
        at_most="partial",
    ),
)


def coverage(predicate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The table for a predicate: status of each item, with the fields that are there and those that are not."""
    return [_entry(item, predicate) for item in ITEMS]


def _entry(item: Item, predicate: Mapping[str, Any]) -> dict[str, Any]:
    present = [field for field in item.fields if _holds(predicate, field)]
    missing = [field for field in item.fields if field not in present]
    status: Status = item.at_most if not missing else "partial" if present else "not addressed"
    return {
        "origin": "measured",
        "framework": item.framework,
        "clause": item.clause,
        "title": item.title,
        "status": status,
        "present": present,
        "missing": missing,
    }


def _holds(predicate: Mapping[str, Any], path: str) -> bool:
    """Whether a field says something: present, not null, not empty, not false."""
    value: Any = predicate
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return bool(value) or (isinstance(value, int | float) and not isinstance(value, bool))
