"""List A: hostile envelopes around a sound statement, each with one fault and the code it is refused with.

A case makes the bytes of a bundle, and those of the public key that is handed in, from a statement and its signing key:
a small statement for tests of the envelope alone, the one of a whole certificate for the vectors on disk.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import attrs
import packs
import pki
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from vector import Presented, Vector

from afterburn_core.certify.encoding import LIMIT, b64_encode, canonical
from afterburn_core.certify.envelope import BUNDLE_NAME, MEDIA_TYPE, PAYLOAD_TYPE, key_label, pae

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256's group (SEC 2, 2.4.2)."""


@attrs.frozen(kw_only=True)
class Ingredients:
    """What a case is made from."""

    statement: dict[str, Any]
    key: ec.EllipticCurvePrivateKey

    @property
    def payload(self) -> bytes:
        return canonical(self.statement)

    def signed(self, data: bytes, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        return (key or self.key).sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))

    def bundle(
        self, payload: bytes | None = None, signature: bytes | None = None, signer: Any = None, label: str | None = None
    ) -> dict[str, Any]:
        """A bundle's document, by default in order; a payload that is given is signed as it is."""
        payload = self.payload if payload is None else payload
        if signature is None:
            signature = self.signed(pae(PAYLOAD_TYPE, payload), signer)
        label = label or key_label((signer or self.key).public_key())
        return {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": label}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": b64_encode(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": label, "sig": b64_encode(signature)}],
            },
        }


@attrs.frozen(kw_only=True)
class Case:
    """One envelope."""

    id: str
    name: str
    code: str | None
    """`None`: accepted by design."""
    make: Callable[[Ingredients], bytes]
    public_key: Callable[[Ingredients], bytes] = attrs.field(default=lambda made: public_pem(made.key.public_key()))
    from_file: str | None = None
    """The code where the bundle is read from a file, if that is another."""


def public_pem(key: Any) -> bytes:
    return bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def encoded(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The document with another value at a path such as `dsseEnvelope.signatures.0.sig`; `...` takes it out."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    *way, last = path.split(".")
    place: Any = copy
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    if value is ...:
        del place[last]
    else:
        place[int(last) if last.isdigit() else last] = value
    return copy


def _with(path: str, value: Any) -> Callable[[Ingredients], bytes]:
    return lambda made: encoded(changed(made.bundle(), path, value(made) if callable(value) else value))


def _around(payload: Callable[[Ingredients], bytes]) -> Callable[[Ingredients], bytes]:
    """A payload that is not what it must be, truly signed."""
    return lambda made: encoded(made.bundle(payload(made)))


def _raw(change: Callable[[bytes], bytes]) -> Callable[[Ingredients], bytes]:
    return lambda made: change(encoded(made.bundle()))


def _envelope(made: Ingredients) -> dict[str, Any]:
    envelope: dict[str, Any] = made.bundle()["dsseEnvelope"]
    return envelope


def _sig(made: Ingredients) -> str:
    return str(_envelope(made)["signatures"][0]["sig"])


def _edited(made: Ingredients) -> str:
    return b64_encode(canonical({**made.statement, "predicate": {**made.statement["predicate"], "edited": True}}))


def _malleable(made: Ingredients) -> bytes:
    r, s = decode_dss_signature(made.signed(pae(PAYLOAD_TYPE, made.payload)))
    return encoded(made.bundle(signature=encode_dss_signature(r, ORDER - s)))


def _repeated(text: bytes, before: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(before, text + before, 1)


def _in_predicate(member: bytes) -> Callable[[Ingredients], bytes]:
    """The canonical payload with one more member in front of the predicate's own, spelt as given."""
    return lambda made: made.payload.replace(b'"predicate":{', b'"predicate":{' + member + b",", 1)


def _url_safe(made: Ingredients) -> bytes:
    """A payload whose base64 has both letters of which the alphabets have others, or the vector would say nothing."""
    payload = canonical({**made.statement, "predicate": {**made.statement["predicate"], "note": "?" * 6 + ">" * 6}})
    bundle = made.bundle(payload)
    text = str(bundle["dsseEnvelope"]["payload"])
    if not {"+", "/"} <= set(text):
        raise ValueError("the payload's base64 lacks + or /")
    return encoded(changed(bundle, "dsseEnvelope.payload", text.translate(str.maketrans("+/", "-_"))))


def _padding_bits(made: Ingredients) -> str:
    """Another text for the same bytes: the last letter's unused bits are set."""
    text = _sig(made)
    stem = text.rstrip("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    if stem == text:  # no bits are unused; a break between letters is the nearest thing
        return text[:-1] + "\t" + text[-1]
    return stem[:-1] + alphabet[alphabet.index(stem[-1]) + 1] + text[len(stem) :]


@cache
def _strangers() -> dict[str, bytes]:
    keys = {
        "rsa": pki.key("rsa2048"),
        "ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
        "p384": pki.key("p384"),
        "p192": pki.key("p192"),
    }
    return {name: public_pem(key.public_key()) for name, key in keys.items()}


def _given(name: str) -> Callable[[Ingredients], bytes]:
    return lambda made: _strangers()[name]


def _attacker() -> Any:
    return pki.key("attacker")


def _other_label(made: Ingredients) -> str:
    return key_label(_attacker().public_key())


_SOUND = _raw(lambda data: data)
_DEEP = b"[" * 200_000 + b"]" * 200_000

# id, name, code, how to make it
_HOSTILE: tuple[tuple[str, str, str, Callable[[Ingredients], bytes]], ...] = (
    ("A01", "payload_edited", "envelope.signature", _with("dsseEnvelope.payload", _edited)),
    ("A02", "payload_type_changed", "envelope.payload_type", _with("dsseEnvelope.payloadType", "application/json")),
    (
        "A03",
        "signed_under_another_type",
        "envelope.signature",
        lambda made: encoded(made.bundle(signature=made.signed(pae("application/json", made.payload)))),
    ),
    (
        "A04",
        "signed_without_pae",
        "envelope.signature",
        lambda made: encoded(made.bundle(signature=made.signed(made.payload))),
    ),
    ("A05", "no_signature", "envelope.signature_count", _with("dsseEnvelope.signatures", [])),
    ("A05", "empty_signature", "envelope.signature", _with("dsseEnvelope.signatures.0.sig", "")),
    (
        "A06",
        "two_signatures",
        "envelope.signature_count",
        _with("dsseEnvelope.signatures", lambda made: _envelope(made)["signatures"] * 2),
    ),
    ("A07", "attacker_key", "envelope.signature", lambda made: encoded(made.bundle(signer=_attacker()))),
    ("A10", "zero_signature", "envelope.signature", lambda made: encoded(made.bundle(signature=b"0\6\2\1\0\2\1\0"))),
    (
        "A12",
        "other_predicate_type",
        "payload.predicate_type",
        _around(lambda made: canonical({**made.statement, "predicateType": "https://slsa.dev/provenance/v1"})),
    ),
    (
        "A12",
        "other_statement_type",
        "payload.statement_type",
        _around(lambda made: canonical({**made.statement, "_type": "https://in-toto.io/Statement/v0.1"})),
    ),
    ("A13", "unknown_field_in_bundle", "envelope.fields", _with("messageSignature", {})),
    ("A13", "unknown_field_in_envelope", "envelope.fields", _with("dsseEnvelope.note", "")),
    ("A13", "certificate_beside_the_key", "envelope.fields", _with("verificationMaterial.certificate", {})),
    ("A13", "unknown_field_in_signature", "envelope.fields", _with("dsseEnvelope.signatures.0.cert", "")),
    (
        "A13",
        "unknown_field_in_statement",
        "payload.fields",
        _around(lambda made: canonical({**made.statement, "note": 1})),
    ),
    ("A13", "other_media_type", "envelope.media_type", _with("mediaType", MEDIA_TYPE.replace("v0.3", "v0.2"))),
    ("A13", "transparency_log_entry", "envelope.transparency_log", _with("verificationMaterial.tlogEntries", [{}])),
    (
        "A15",
        "duplicate_key_in_envelope",
        "envelope.duplicate_key",
        _raw(_repeated(b'"payloadType": "text/plain", ', b'"payloadType":')),
    ),
    (
        "A16",
        "duplicate_key_in_payload",
        "payload.duplicate_key",
        _around(_in_predicate(b'"verdict":"PASS","verdict":"FAIL"')),
    ),
    ("A17", "nan", "payload.not_finite", _around(_in_predicate(b'"a":NaN'))),
    ("A17", "infinity", "payload.not_finite", _around(_in_predicate(b'"a":-Infinity'))),
    ("A17", "number_that_overflows", "payload.not_finite", _around(_in_predicate(b'"a":1e999'))),
    (
        "A18",
        "blanks",
        "payload.not_canonical",
        _around(lambda made: json.dumps(made.statement, sort_keys=True, ensure_ascii=False).encode()),
    ),
    (
        "A18",
        "keys_in_another_order",
        "payload.not_canonical",
        _around(
            lambda made: encoded(dict(reversed(made.statement.items()))).replace(b'": ', b'":').replace(b', "', b',"')
        ),
    ),
    ("A18", "number_spelt_otherwise", "payload.not_canonical", _around(_in_predicate(b'"\\u0001":1.0'))),
    ("A18", "escape_that_is_not_needed", "payload.not_canonical", _around(_in_predicate(b'"\\u0001":"\\u0041"'))),
    ("A19", "byte_order_mark", "envelope.byte_order_mark", _raw(lambda data: b"\xef\xbb\xbf" + data)),
    (
        "A19",
        "byte_order_mark_in_payload",
        "payload.byte_order_mark",
        _around(lambda made: b"\xef\xbb\xbf" + made.payload),
    ),
    ("A20", "utf16", "envelope.encoding", _raw(lambda data: data.decode().encode("utf-16"))),
    ("A20", "utf16_in_payload", "payload.encoding", _around(lambda made: made.payload.decode().encode("utf-16"))),
    ("A21", "invalid_utf8", "envelope.encoding", _raw(lambda data: data.replace(b'"sig"', b'"s\xffg"'))),
    ("A21", "overlong_utf8_in_payload", "payload.encoding", _around(_in_predicate(b'"\xc0\xaf":1'))),
    ("A22", "lone_surrogate", "payload.surrogate", _around(_in_predicate(b'"a":"\\ud800"'))),
    ("A22", "lone_surrogate_in_key", "payload.surrogate", _around(_in_predicate(b'"\\uDfff":1'))),
    (
        "A22",
        "lone_surrogate_in_envelope",
        "envelope.surrogate",
        _raw(_repeated(b'"\\ud800": 1, ', b'"payloadType":')),
    ),
    ("A23", "nested_200000_deep", "envelope.depth", _raw(_repeated(b'"deep": ' + _DEEP + b", ", b'"payloadType":'))),
    ("A23", "payload_nested_200000_deep", "payload.depth", _around(_in_predicate(b'"a":' + _DEEP))),
    ("A23", "payload_nested_101_deep", "payload.depth", _around(_in_predicate(b'"a":' + b"[" * 99 + b"]" * 99))),
    ("A24", "integer_of_30_digits", "payload.integer", _around(_in_predicate(b'"a":' + b"9" * 30))),
    ("A24", "integer_of_5000_digits", "payload.integer", _around(_in_predicate(b'"a":-' + b"9" * 5000))),
    ("A24", "integer_of_2_to_the_53", "payload.integer", _around(_in_predicate(b'"a":9007199254740992'))),
    (
        "A25",
        "newline_in_base64",
        "envelope.base64",
        _with(
            "dsseEnvelope.payload", lambda made: b64_encode(made.payload)[:76] + "\n" + b64_encode(made.payload)[76:]
        ),
    ),
    (
        "A25",
        "base64_with_more_padding",
        "envelope.base64",
        _with("dsseEnvelope.signatures.0.sig", lambda m: _sig(m) + "="),
    ),
    ("A25", "base64_with_padding_bits", "envelope.base64", _with("dsseEnvelope.signatures.0.sig", _padding_bits)),
    ("A26", "url_safe_base64", "envelope.base64", _url_safe),
    ("A27", "payload_is_a_number", "envelope.type", _with("dsseEnvelope.payload", 7)),
    ("A27", "signatures_is_an_object", "envelope.type", _with("dsseEnvelope.signatures", {})),
    ("A27", "signature_is_null", "envelope.type", _with("dsseEnvelope.signatures.0", None)),
    ("A27", "hint_is_an_array", "envelope.type", _with("verificationMaterial.publicKey.hint", [])),
    ("A27", "media_type_is_an_array", "envelope.media_type", _with("mediaType", [MEDIA_TYPE])),
    ("A27", "timestamps_are_text", "envelope.type", _with("verificationMaterial.timestampVerificationData", "now")),
    (
        "A27",
        "no_timestamps",
        "envelope.fields",
        _with("verificationMaterial.timestampVerificationData", {"rfc3161Timestamps": []}),
    ),
    ("A27", "predicate_is_an_array", "payload.type", _around(lambda m: canonical({**m.statement, "predicate": []}))),
    ("A27", "missing_field", "envelope.fields", _with("dsseEnvelope.payloadType", ...)),
    ("A28", "top_level_list", "envelope.type", lambda made: encoded([made.bundle()])),
    ("A28", "payload_is_a_list", "payload.type", _around(lambda made: canonical([made.statement]))),
    ("A29", "empty_file", "envelope.syntax", lambda made: b""),
    ("A29", "empty_payload", "payload.syntax", _around(lambda made: b"")),
    ("A30", "lying_keyid", "envelope.key_label", _with("dsseEnvelope.signatures.0.keyid", _other_label)),
    ("A30", "lying_hint", "envelope.key_label", _with("verificationMaterial.publicKey.hint", _other_label)),
    (
        "A30",
        "attacker_key_under_the_true_label",
        "envelope.signature",
        lambda made: encoded(made.bundle(signer=_attacker(), label=key_label(made.key.public_key()))),
    ),
    (
        "A31",
        "two_envelopes",
        "envelope.duplicate_key",
        _raw(lambda data: data[:-1] + b', "dsseEnvelope": {}}'),
    ),
    (
        "A31",
        "list_of_envelopes",
        "envelope.type",
        _with("dsseEnvelope", lambda made: [_envelope(made), _envelope(made)]),
    ),
    ("A32", "trailing_document", "envelope.syntax", _raw(lambda data: data + b"\n{}")),
    ("A32", "trailing_null_bytes", "envelope.syntax", _raw(lambda data: data + b"\0\0")),
    (
        "A32",
        "trailing_bytes_in_signature",
        "envelope.signature",
        lambda made: encoded(made.bundle(signature=made.signed(pae(PAYLOAD_TYPE, made.payload)) + b"\0")),
    ),
    ("A33", "gzip_bomb", "envelope.encoding", lambda made: gzip.compress(bytes(64 << 20), 1, mtime=0)),
)


def cases() -> tuple[Case, ...]:
    """Every case, hostile ones first; `A11`, a replay, needs a second model and stands with the packs."""
    made = [
        Case(id=identifier, name=f"{identifier.lower()}_{name}_fail", code=code, make=make)
        for identifier, name, code, make in _HOSTILE
    ]
    made += [
        Case(id="A08", name="a08_rsa_key_handed_in_fail", code="key.algorithm", make=_SOUND, public_key=_given("rsa")),
        Case(
            id="A09", name="a09_ed25519_handed_in_fail", code="key.algorithm", make=_SOUND, public_key=_given("ed25519")
        ),
        Case(id="A09", name="a09_p384_handed_in_fail", code="key.algorithm", make=_SOUND, public_key=_given("p384")),
        Case(id="D09", name="d09_p192_handed_in_fail", code="key.algorithm", make=_SOUND, public_key=_given("p192")),
        Case(
            id="A34",
            name="a34_100_mb_payload_fail",
            code="envelope.too_large",
            make=_raw(_repeated(b'"note": "' + b"A" * (100 << 20) + b'", ', b'"payloadType":')),
            from_file="file.too_large",
        ),
        Case(
            id="A34",
            name="a34_one_byte_too_many_fail",
            code="envelope.too_large",
            make=_raw(lambda data: data + b" " * (LIMIT + 1 - len(data))),
            from_file="file.too_large",
        ),
        Case(id="A00", name="a00_sound", code=None, make=_SOUND),
        Case(id="A14", name="a14_malleable_signature", code=None, make=_malleable),
        Case(
            id="A34",
            name="a34_as_large_as_may_be",
            code=None,
            make=_raw(lambda data: data + b" " * (LIMIT - len(data))),
        ),
    ]
    return tuple(made)


def vectors() -> tuple[Vector, ...]:
    """Every case in place of the bundle of a genuine pack."""
    return tuple(
        Vector(id=case.id, name=case.name, code=case.from_file or case.code, build=partial(_in_pack, case))
        for case in cases()
    )


def _in_pack(case: Case, folder: Path) -> Presented:
    made = Ingredients(statement=packs.sound_statement(), key=packs.key())
    packs.write(folder / "pack", {**packs.genuine(), BUNDLE_NAME: case.make(made)})
    (folder / "key.pub").write_bytes(case.public_key(made))
    return Presented(packs=(folder / "pack",), key=folder / "key.pub")
