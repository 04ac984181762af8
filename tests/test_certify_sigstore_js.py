"""A verifier in another language, by other people, finds what ours finds, wherever it looks at the same things."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.append(str(Path(__file__).parent / "certificates"))

import pki
import sigstore_js
import tsa
import vectors_envelope as envelopes

from afterburn_core.certify.encoding import canonical
from afterburn_core.certify.envelope import PREDICATE_TYPE, STATEMENT_TYPE, seal
from afterburn_core.certify.keys import FileSigner

STRICTER = {
    "payload": "it verifies the payload's bytes and does not read them",
    "envelope.fields": "it reads JSON as protobuf does, which overlooks unknown fields and empty lists",
    "envelope.duplicate_key": "JSON.parse takes the last one",
    "envelope.surrogate": "as unknown fields",
    "envelope.depth": "as unknown fields",
    "envelope.base64": "it takes every alphabet, line breaks and loose bits",
    "envelope.key_label": "it was told to use the given key whatever the label",
    "envelope.media_type": "it takes older versions of the bundle as well",
    "envelope.type": "it turns some values of another type into empty ones",
}
"""Where ours refuses and sigstore-js 3.1 need not, by code or its first part, and why."""
STATEMENT = {
    "_type": STATEMENT_TYPE,
    "subject": [{"name": "trained.SHA256SUMS", "digest": {"sha256": "0" * 64}}],
    "predicateType": PREDICATE_TYPE,
    "predicate": {"name": "Größe ?????? >>>>>>"},
}
# the two largest only take time: neither is about what an envelope says
CASES = {case.name: case for case in envelopes.cases() if case.id not in {"A33", "A34"}}


@cache
def ingredients() -> envelopes.Ingredients:
    return envelopes.Ingredients(statement=STATEMENT, key=pki.key("seal"))  # type: ignore[arg-type]


def asked(questions: list[sigstore_js.Question]) -> dict[str, str | None]:
    try:
        return sigstore_js.verdicts(questions)
    except sigstore_js.Unavailable as reason:
        pytest.skip(str(reason))


def test_it_refuses_what_ours_refuses_but_where_ours_is_stricter() -> None:
    made = ingredients()
    found = asked(
        [
            sigstore_js.Question(name=name, bundle=case.make(made), key=case.public_key(made))
            for name, case in CASES.items()
        ]
    )
    accepted_here = {name for name, case in CASES.items() if case.code is None}
    accepted_there = {name for name, reason in found.items() if reason is None}
    assert accepted_here <= accepted_there
    assert len(found) - len(accepted_there) > 20  # it does refuse
    for name in accepted_there - accepted_here:
        code = CASES[name].code or ""
        assert code in STRICTER or code.partition(".")[0] in STRICTER, f"{name}: {code}, and sigstore-js accepts it"


def test_it_accepts_our_timestamp_and_misses_one_that_is_not_there(tmp_path: Path) -> None:
    try:
        authority = tsa.OpensslAuthority(tmp_path)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    signer = FileSigner(ingredients().key)
    payload = canonical(STATEMENT)
    bundles = {
        "stamped": seal(payload, signer, [authority.stamp]),
        "not stamped": seal(payload, signer),
        "over other data": seal(payload, signer, [lambda signature: authority.stamp(payload)]),
    }
    chain = [issued.certificate.public_bytes(Encoding.DER) for issued in (authority.issued, tsa.root())]
    key = envelopes.public_pem(signer.public_key)
    found = asked(
        [
            sigstore_js.Question(name=name, bundle=bundle, key=key, authority=chain, timestamps=1)
            for name, bundle in bundles.items()
        ]
    )
    assert found["stamped"] is None
    assert "expected 1 timestamps, got 0" in str(found["not stamped"])
    assert "timestamp could not be verified" in str(found["over other data"])
