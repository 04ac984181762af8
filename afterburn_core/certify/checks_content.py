"""Does the certificate say what follows from its own numbers, and from the document that they were taken from?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterburn_core.certify.checks import Outcome, Skip
from afterburn_core.certify.encoding import Invalid, read
from afterburn_core.certify.envelope import Opened, open_bundle, open_payload

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from afterburn_core.certify.checks_document import Document

PROJECTION_NAME = "test-result.sigstore.json"
RESULT_LIMIT = 512 * 1024 * 1024
"""Bytes of the largest document of a run that is read: hundreds of thousands of measurements."""


def content(statement: Mapping[str, Any], key: EllipticCurvePublicKey) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The predicate as this release knows it, and remarks on what it does not know.

    Raises:
        Invalid: `predicate.…`, `seal.…`.
    """
    from afterburn_core.certify import predicate_format
    from afterburn_core.certify.keys import fingerprint

    predicate, notes = predicate_format.read(statement["predicate"])
    seal = predicate["seal"]
    if seal["state"] != "signed":
        raise Invalid("seal.state", "the certificate calls itself a draft, and is signed")
    if seal["keyFingerprint"] != fingerprint(key):
        raise Invalid("seal.key", "the certificate names another key than the one that signed it")
    return predicate, notes


def verdicts(predicate: Mapping[str, Any]) -> Outcome:
    """Every verdict, count and digest that follows from something else in the certificate, computed again."""
    from afterburn_core.certify.recompute import problems

    found = [*problems(predicate), *_claims(predicate)]
    if found:
        return found
    today = datetime.now(UTC).date().isoformat()
    ended = sorted(t["waiver"]["expires"] for t in predicate["tests"] if t["waiver"] and t["waiver"]["expires"] < today)
    since = f"; of its waivers {len(ended)} ended since it was issued, the first on {ended[0]}" if ended else ""
    return f"{len(predicate['tests'])} verdicts, their counts and the overall computed again: the same{since}"


def _claims(predicate: Mapping[str, Any]) -> Iterator[Invalid]:
    """Sentences of the program that say what no certificate of ours may claim. Those that hold names are left out."""
    from afterburn_core.certify.wording import forbidden_in

    fixed = [entry for field in ("limitations", "threatsToValidity") for entry in predicate[field]]
    texts = [entry["text"] for entry in fixed if entry["origin"] == "measured"]
    for text in (*texts, predicate["summary"]["rule"]):
        if claimed := forbidden_in(text):
            yield Invalid("wording.forbidden", f"claims what no certificate can show ({claimed[0]})")


def result(
    pack: Path, predicate: Mapping[str, Any], trained: Sequence[tuple[str, str]] | None, *, compare: bool
) -> tuple[bytes, Document | None]:
    """The run's document in the pack, if it is the one that the certificate names and was taken from; parsed if small.

    Args:
        pack: where it lies.
        predicate: what the certificate says.
        trained: path and digest of the trained model's files.
        compare: whether to look into it, which is of no use where the certificate contradicts itself.

    Raises:
        Invalid: `result.…`.
    """
    from afterburn_core.certify.checks_document import document, require_same_model, require_same_run

    named = predicate["evidence"]["result"]
    path = pack / named["name"]
    if not path.is_file():
        raise Invalid("result.missing", f"{named['name']} is missing from the pack")
    data = read(path, what="the run's document", limit=RESULT_LIMIT)
    if hashlib.sha256(data).hexdigest() != named["sha256"]:
        raise Invalid("result.digest", f"{named['name']} is not the document that the certificate names")
    found = document(data) if compare else None
    if found is not None:
        require_same_run(found, predicate)
        if trained is not None:
            require_same_model(found, "trained", trained)
    return data, found


def projection(pack: Path, predicate: Mapping[str, Any], sums: bytes, key: EllipticCurvePublicKey) -> Outcome:
    """The test-result beside the certificate, for tools that know no other: same key, same subject, same outcome.

    Raises:
        Invalid: `test_result.…`, or whatever is wrong with its envelope.
    """
    from afterburn_core.certify.envelope import PREDICATE_TYPE
    from afterburn_core.certify.statement import TEST_RESULT_TYPE, test_result

    path = pack / PROJECTION_NAME
    if not path.is_file():
        return Skip("the pack has none, which is as good", asked=False)
    opened = open_bundle(read(path, what="the test-result"), key)
    found = open_payload(opened.payload, TEST_RESULT_TYPE)
    if found["predicateType"] == PREDICATE_TYPE or found != test_result(predicate, sums):
        raise Invalid("test_result.differs", f"{PROJECTION_NAME} does not say what the certificate says")
    return "says the same as the certificate, under the same key"


def timestamp(
    opened: Opened, root: Path | None, required: bool, certificate: Path, key: EllipticCurvePublicKey
) -> Outcome:
    """When the signature existed at the latest, by the word of authorities that the caller trusts.

    Args:
        opened: the certificate.
        root: certificates (PEM) of those authorities.
        required: whether there has to be a timestamp.
        certificate: the X.509 certificate of the key, if the pack has it: then the key must have been valid.
        key: the issuer's key.

    Raises:
        Invalid: `timestamp.…`.
    """
    if not opened.timestamps:
        if required:
            raise Invalid("timestamp.missing", "the certificate has no timestamp, and one is required")
        return Skip("the certificate has none: its time is what the issuer claims", asked=False)
    if root is None:
        return Skip("there is one; --tsa-root says whose word on time you trust")
    from afterburn_core.certify.chain import load_certificates
    from afterburn_core.certify.timestamp import check

    roots = load_certificates(root)
    of_key = [one for one in load_certificates(certificate) if one.public_key() == key] if certificate.is_file() else []
    seal = of_key[0] if of_key else None
    moments = [check(opened.signature, response, roots, seal) for response in opened.timestamps]
    return f"signed at {min(moments).strftime('%Y-%m-%d %H:%M:%S')} UTC at the latest"
