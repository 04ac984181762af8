"""What a certificate's pages say, in their order, before any typesetting: a pure function of the signed statement.

Every part of the predicate is printed. Parts with a section of their own are taken by name; whatever is left over goes
into an annex, so that nothing signed stays unseen. The wording is fixed: names and numbers are filled in, no sentence
is made up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.certify.page_fields import Block, Cell, Row, blocks, cell, exact, label
from afterburn_core.certify.page_tests import Group, Tested, groups, rows

_OVERALL = {
    "PASS": "Every test that the policy requires was run and decided, and none found what the policy forbids.",
    "FAIL": "At least one test found what the policy forbids, and no waiver covers it.",
    "INCOMPLETE": "Something that the policy requires was not run or not decided. Nothing that was decided failed.",
}
_VERDICTS = ("PASS", "FAIL", "INCONCLUSIVE", "NOT_RUN", "ERROR")
_TRUST = {
    "none": "No certificate vouches for the key. Whose it is, you must learn from somewhere else than this document.",
    "local": (
        "LOCAL TRUST ONLY. The issuer made the key's certificate itself, so it shows that one key signed and that "
        "nothing was changed since. Whose key it is, you must learn from somewhere else than this document."
    ),
    "issued": (
        "Another authority issued the key's certificate. Who that is, and whether to rely on it, a PDF viewer shows."
    ),
}
_TIERS = (
    ("A certificate that the issuer made itself: integrity, and one known key. A PDF viewer calls its signer unknown."),
    "A certificate by an organisation's authority or of the Adobe Approved Trust List: a PDF viewer names the signer.",
    "An advanced or qualified seal under the eIDAS regulation: a trust service vouches for the signer.",
)
_TIME_CLAIMED = "Time claimed by the issuer. No time-stamping service confirmed it."
_TIME_STAMPED = (
    "The signature carries {n} timestamp(s) by a time-stamping service (RFC 3161). Whose service it is, and whether "
    "the timestamp holds, `afterburn verify` checks."
)
_UNSIGNED = "Unsigned. Nobody vouches for anything on these pages."
_MOST_DECISIVE = 8
_LONGEST_PURPOSE = 240
_HEAD = ("schemaVersion", "certificateId", "issuedAt", "auditPeriod", "supersedes", "purpose", "audience")
_BESIDES = ("issuer", "seal", "summary")
"""Printed in part on the first page, and in full at the end."""
_ELSEWHERE = frozenset(
    {
        *("origin", "models", "relation", "training", "computeRatio", "documentation", "protocol"),
        *("completeness", "tests", "environment", "tool", "reproducibility", "evidence", "rendering"),
        *("limitations", "notTested", "threatsToValidity", "coverage"),
    }
)


@attrs.frozen(kw_only=True)
class Section:
    """A numbered part of the document: an anchor and what stands in it."""

    id: str
    title: str
    intro: str = ""
    blocks: tuple[Block, ...] = ()


@attrs.frozen(kw_only=True)
class Side:
    """One model on the first page."""

    role: str
    name: str
    lines: tuple[Row, ...]


@attrs.frozen(kw_only=True)
class Page:
    """All that the template prints."""

    draft: bool
    id: str
    issued: str
    overall: str
    meaning: str
    counts: tuple[tuple[str, int], ...]
    decisive: tuple[Tested, ...]
    """Tests that failed or did not decide though the policy requires it: why the whole is not PASS."""
    more: int
    """How many such tests are not listed."""
    payload_sha256: str
    issuer: tuple[Row, ...]
    models: tuple[Side, ...]
    trust: tuple[Row, ...]
    tiers: tuple[str, ...]
    facts: tuple[Section, ...]
    """Models, relation, training and so on, after the tests."""
    groups: tuple[Group, ...]
    not_run: int
    """Tests that are in no group, since nothing was measured."""
    tests: tuple[Tested, ...]
    rule: str
    limitations: tuple[str, ...]
    not_tested: tuple[str, ...]
    threats: tuple[str, ...]
    coverage: tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...]
    further: tuple[Block, ...]


def page(statement: Mapping[str, Any], payload: bytes, *, draft: bool, timestamps: int) -> Page:
    """The pages of a statement.

    Args:
        statement: parsed from `payload`; its predicate keeps to the schema.
        payload: the bytes that are signed; their digest is the certificate's identity.
        draft: nobody signed it.
        timestamps: how many the envelope carries.
    """
    predicate = statement["predicate"]
    tests, summary = predicate["tests"], predicate["summary"]
    overall = str(summary["overall"])
    counts = summary["counts"]
    bar = _bar(predicate)
    decisive = [test for test in tests if test["verdict"] == "FAIL" or (test["required"] and test["verdict"] != "PASS")]
    return Page(
        draft=draft,
        id=str(predicate["certificateId"]),
        issued=str(predicate["issuedAt"]),
        overall=overall,
        meaning=_OVERALL.get(overall, ""),
        counts=tuple((word.replace("_", " "), counts[word]) for word in _VERDICTS if word in counts),
        decisive=rows(decisive, bar)[:_MOST_DECISIVE],
        more=max(0, len(decisive) - _MOST_DECISIVE),
        payload_sha256=hashlib.sha256(payload).hexdigest(),
        issuer=_issuer(predicate),
        models=tuple(_sides(predicate)),
        trust=_trust(predicate, draft=draft, timestamps=timestamps),
        tiers=_TIERS,
        facts=tuple(_facts(predicate, statement)),
        groups=groups(tests, bar),
        not_run=sum(test["verdict"] == "NOT_RUN" for test in tests),
        tests=tuple(row for row in rows(tests, bar) if row.full),
        rule=str(summary.get("rule") or summary.get("overallRule") or ""),
        limitations=_texts(predicate["limitations"]),
        not_tested=_texts(predicate["notTested"]),
        threats=_texts(predicate.get("threatsToValidity", ())),
        coverage=_coverage(predicate.get("coverage", ())),
        further=_further(predicate),
    )


def _bar(predicate: Mapping[str, Any]) -> str:
    """The level from which a rule's finding fails, as the policy in the certificate has it."""
    try:
        return str(json.loads(predicate["protocol"]["policy"]["text"])["fail_on"])
    except (KeyError, TypeError, ValueError):
        return ""


def _issuer(predicate: Mapping[str, Any]) -> tuple[Row, ...]:
    issuer = predicate["issuer"]
    persons = issuer.get("responsiblePersons") or ()
    named = tuple(Cell(text=_person(person)) for person in persons)
    return (
        Row(label="Issuer", cells=(cell(issuer.get("legalName")),)),
        Row(label="Role", cells=(cell(issuer.get("role")),)),
        Row(label="Responsible", cells=named or (cell(None),)),
        Row(label="Purpose", cells=(cell(_short(predicate.get("purpose"))),)),
    )


def _short(text: Any) -> Any:
    """For the first page; what is cut here stands in full among the further fields."""
    return f"{text[:_LONGEST_PURPOSE]}…" if isinstance(text, str) and len(text) > _LONGEST_PURPOSE else text


def _person(person: Mapping[str, Any]) -> str:
    name, function = person.get("name"), person.get("function")
    return f"{name} ({function})" if function else str(name)


def _sides(predicate: Mapping[str, Any]) -> Iterator[Side]:
    for role in ("trained", "base"):
        model = predicate["models"].get(role)
        if model is None:
            yield Side(role=role, name="not given", lines=())
            continue
        declared, measured = model.get("declared", {}), model.get("measured", {})
        manifest = measured.get("manifest") or {}
        size = f"{exact(manifest['files'])} files, {exact(manifest['bytes'])} bytes" if "files" in manifest else ""
        yield Side(
            role=role,
            name=str(declared.get("name") or measured.get("label") or "not named"),
            lines=(
                Row(label=str(manifest.get("name", "Manifest")), cells=(cell(manifest.get("sha256")),)),
                Row(label="Files", cells=(cell(size),)),
                Row(label="Architecture", cells=(cell(measured.get("architecture")),)),
            ),
        )


def _trust(predicate: Mapping[str, Any], *, draft: bool, timestamps: int) -> tuple[Row, ...]:
    seal = predicate.get("seal") or {}
    vouched = _UNSIGNED if draft else _TRUST.get(str(seal.get("trust")), _TRUST["none"])
    time = _TIME_STAMPED.format(n=timestamps) if timestamps else _TIME_CLAIMED
    fingerprint = seal.get("keyFingerprint") or predicate["issuer"].get("keyFingerprint")
    return (
        Row(label="Trust", cells=(Cell(text=vouched),)),
        Row(label="Key", cells=(cell(fingerprint),)),
        Row(label="Time", cells=(Cell(text=time),)),
    )


def _facts(predicate: Mapping[str, Any], statement: Mapping[str, Any]) -> Iterator[Section]:
    """Sections between the tests and the limitations, in the order of the document."""
    models = [
        block
        for role in ("trained", "base")
        if predicate["models"].get(role)
        for block in blocks(predicate["models"][role], f"{role.capitalize()} model")
    ]
    yield Section(id="models", title="The models", blocks=tuple(models))
    yield Section(
        id="relation", title="How the trained model relates to its base", blocks=blocks(predicate["relation"])
    )
    training = [
        block
        for key, title in (
            ("training", "Training"),
            ("computeRatio", "Compute of the training over that of the original model"),
            ("documentation", "Documentation"),
        )
        if predicate.get(key)
        for block in blocks(predicate[key], title)
    ]
    yield Section(id="training", title="What the issuer declared about the training", blocks=tuple(training))
    yield Section(id="protocol", title="Protocol", blocks=_protocol(predicate))
    yield Section(id="completeness", title="What was planned, and what became of it", blocks=_complete(predicate))
    environment = [
        block
        for key, title in (
            ("environment", "Environment"),
            ("tool", "Auditing software"),
            ("reproducibility", "Reproducibility"),
            ("rendering", "Rendering of these pages"),
        )
        if predicate.get(key)
        for block in blocks(predicate[key], title)
    ]
    yield Section(id="environment", title="Environment and reproducibility", blocks=tuple(environment))
    subject = {"subject": statement["subject"], "evidence": predicate.get("evidence", {})}
    yield Section(id="evidence", title="Evidence", blocks=blocks(subject))


def _complete(predicate: Mapping[str, Any]) -> tuple[Block, ...]:
    """Components by name under what became of them; why one was skipped stands under what was not tested."""
    found = dict(predicate["completeness"])
    components = found.pop("components")
    for key, status in (("ended", "ok"), ("skipped", "skipped")):
        found[key] = [component["name"] for component in components if component["status"] == status]
    found["notEnded"] = [component for component in components if component["status"] not in {"ok", "skipped"}]
    return blocks(found)


def _protocol(predicate: Mapping[str, Any]) -> tuple[Block, ...]:
    """The protocol; the components of the plan are listed once, with what became of them."""
    found = dict(predicate["protocol"])
    planned = [component["name"] for component in predicate["completeness"]["components"]]
    if found["plan"]["components"] == planned:
        found["plan"] = {**found["plan"], "components": f"{len(planned)}, listed with what became of them"}
    return blocks(found)


def _texts(entries: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(entry["text"]) if isinstance(entry, Mapping) else str(entry) for entry in entries)


def _coverage(entries: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...]:
    frameworks = dict.fromkeys(str(entry["framework"]) for entry in entries)
    return tuple((name, tuple(entry for entry in entries if str(entry["framework"]) == name)) for name in frameworks)


def _further(predicate: Mapping[str, Any]) -> tuple[Block, ...]:
    """What no section took: the rest of the head, and any field that a later release added."""
    head = {key: predicate[key] for key in _HEAD if key in predicate}
    known = {key: predicate[key] for key in _BESIDES if predicate.get(key)}
    rest = {key: value for key, value in predicate.items() if key not in {*_HEAD, *_BESIDES, *_ELSEWHERE}}
    found = [*blocks(head, "Head")]
    for key, value in {**known, **rest}.items():
        found += blocks(value, label(key)) if isinstance(value, Mapping) else blocks({key: value})
    return tuple(found)
