"""The envelope: an in-toto Statement inside DSSE inside a Sigstore bundle v0.3, signed with ECDSA P-256 and SHA-256.

Formats: DSSE v1.0.2 (protocol.md: the pre-authentication encoding), in-toto attestation framework v1 (Statement),
sigstore/protobuf-specs `Bundle` v0.3 in its JSON form. What is signed are bytes, together with their type and lengths;
nothing is parsed before its signature holds. Signatures of ECDSA are malleable, so the bytes of a bundle identify
nothing: a certificate's identity is the SHA-256 of its payload.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from afterburn_core.certify.encoding import Invalid, b64_decode, b64_encode, canonical, parse
from afterburn_core.errors import ConfigError

if TYPE_CHECKING:
    from afterburn_core.plugin.roles import Signer

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://w3id.org/afterburn/post-training-audit/v1"
BUNDLE_NAME = "certificate.sigstore.json"
DRAFT_NAME = "certificate.draft.json"


@attrs.frozen(kw_only=True)
class Opened:
    """What a bundle held after its signature was found to be the key's."""

    payload: bytes = attrs.field(repr=False)
    """The statement, as it was signed."""
    signature: bytes = attrs.field(repr=False)
    """ECDSA in DER: what a timestamp is over."""
    timestamps: tuple[bytes, ...] = attrs.field(default=(), repr=False)
    """RFC 3161 responses in DER, unchecked."""

    @property
    def identity(self) -> str:
        """SHA-256 of the payload in hexadecimal: which certificate this is."""
        return hashlib.sha256(self.payload).hexdigest()


def pae(payload_type: str, body: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of a body and its type, lengths in bytes."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def key_label(key: ec.EllipticCurvePublicKey) -> str:
    """How a bundle names its key: base64 of SHA-256 over the SubjectPublicKeyInfo in DER, as cosign writes it."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b64_encode(hashlib.sha256(der).digest())


def seal(payload: bytes, signer: Signer, stamps: Sequence[Callable[[bytes], bytes]] = ()) -> bytes:
    """The bytes of a bundle that holds the payload, signed.

    Args:
        payload: canonical JSON of a statement (`encoding.canonical`).
        signer: holds the key.
        stamps: each is given the signature and returns an RFC 3161 response over it (`timestamp.request`).

    Raises:
        ConfigError: the payload is not canonical JSON, so no verifier of ours would take it.
        PluginError: what the signer returned is no signature of its own key.
    """
    from afterburn_core.certify.keys import signed_by

    _require_canonical(payload)
    signature = signed_by(signer, pae(PAYLOAD_TYPE, payload))
    label = key_label(signer.public_key)
    material: dict[str, Any] = {"publicKey": {"hint": label}, "tlogEntries": []}
    envelope = {
        "payload": b64_encode(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": label, "sig": b64_encode(signature)}],
    }
    if stamps:
        listed = [{"signedTimestamp": b64_encode(stamp(signature))} for stamp in stamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": listed}
    return canonical({"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope})


def draft(payload: bytes) -> bytes:
    """The statement alone, for a pack without a key: nothing vouches for it.

    Raises:
        ConfigError: the payload is not canonical JSON.
    """
    _require_canonical(payload)
    return payload


def open_bundle(data: bytes, key: ec.EllipticCurvePublicKey) -> Opened:
    """What a bundle holds, if this very key signed it. The payload is not looked into.

    Args:
        data: the file.
        key: the public key, from a place other than the bundle's.

    Raises:
        Invalid: `envelope.…`: not the one form of such a bundle; `envelope.signature`: not signed by this key;
            `key.algorithm`: the key is of another kind.
    """
    require_p256(key)
    document = parse(data, what="the bundle", scope="envelope")
    bundle = _object(document, "the bundle", {"mediaType", "verificationMaterial", "dsseEnvelope"})
    if bundle["mediaType"] != MEDIA_TYPE:
        raise Invalid("envelope.media_type", f"the bundle's media type is not {MEDIA_TYPE}")
    labels, timestamps = _material(bundle["verificationMaterial"])
    envelope = _object(bundle["dsseEnvelope"], "dsseEnvelope", {"payload", "payloadType", "signatures"})
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise Invalid("envelope.payload_type", f"the payload's type is not {PAYLOAD_TYPE}")
    (entry,) = _list(envelope["signatures"], "signatures", 1, "envelope.signature_count")
    signed = _object(entry, "signature", {"sig", "keyid"})
    labels += (_text(signed["keyid"], "keyid"),)
    payload = _bytes(envelope["payload"], "payload")
    signature = _bytes(signed["sig"], "sig")
    try:
        key.verify(signature, pae(PAYLOAD_TYPE, payload), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Invalid("envelope.signature", "the signature is not that of the given key over this payload") from error
    # never used to choose a key; a label that names another one is still a false statement
    if any(label != key_label(key) for label in labels):
        raise Invalid("envelope.key_label", "the bundle names another key than the one that signed it")
    return Opened(payload=payload, signature=signature, timestamps=timestamps)


def open_payload(data: bytes, predicate_type: str = PREDICATE_TYPE) -> dict[str, Any]:
    """The statement in a payload whose signature holds.

    Raises:
        Invalid: `payload.…`: not strict JSON, not its canonical form, not a statement, or of another predicate type.
    """
    statement = parse(data, what="the payload", scope="payload")
    try:
        same = canonical(statement) == data
    except ConfigError as error:
        raise Invalid("payload.not_canonical", f"the payload has {error}") from error
    if not same:
        raise Invalid("payload.not_canonical", "the payload is not the canonical JSON (RFC 8785) of what it says")
    fields = {"_type", "subject", "predicateType", "predicate"}
    found = _object(statement, "the statement", fields, scope="payload")
    if found["_type"] != STATEMENT_TYPE:
        raise Invalid("payload.statement_type", f"the statement's type is not {STATEMENT_TYPE}")
    if found["predicateType"] != predicate_type:
        raise Invalid("payload.predicate_type", f"the predicate's type is not {predicate_type}")
    for name, kind in (("subject", list), ("predicate", dict)):
        if not isinstance(found[name], kind):
            raise Invalid("payload.type", f"the statement's {name} is no {'array' if kind is list else 'object'}")
    return dict(found)


def require_p256(key: object) -> None:
    """Refuses every key but one on P-256: the algorithm is fixed here, never read from a document.

    Raises:
        Invalid: `key.algorithm`.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Invalid("key.algorithm", "the key is no elliptic-curve key; certificates are signed on P-256 alone")
    if not isinstance(key.curve, ec.SECP256R1):
        raise Invalid("key.algorithm", f"the key is on {key.curve.name}; certificates are signed on P-256 alone")


def _require_canonical(payload: bytes) -> None:
    try:
        same = canonical(parse(payload, what="the payload", scope="payload")) == payload
    except Invalid as error:
        raise ConfigError(f"cannot sign: {error}") from error
    if not same:
        raise ConfigError("cannot sign: the payload is not canonical JSON (RFC 8785)")


def _material(value: Any) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """The labels of the key, and the timestamps."""
    stamped = isinstance(value, dict) and "timestampVerificationData" in value
    fields = {"publicKey", "tlogEntries"} | ({"timestampVerificationData"} if stamped else set())
    material = _object(value, "verificationMaterial", fields)
    label = _text(_object(material["publicKey"], "publicKey", {"hint"})["hint"], "hint")
    _list(material["tlogEntries"], "tlogEntries", 0, "envelope.transparency_log")
    timestamps: tuple[bytes, ...] = ()
    if stamped:
        data = _object(material["timestampVerificationData"], "timestampVerificationData", {"rfc3161Timestamps"})
        listed = _list(data["rfc3161Timestamps"], "rfc3161Timestamps")
        entries = [_object(entry, "timestamp", {"signedTimestamp"}) for entry in listed]
        timestamps = tuple(_bytes(entry["signedTimestamp"], "signedTimestamp") for entry in entries)
        if not timestamps:
            raise Invalid("envelope.fields", "rfc3161Timestamps is empty; a bundle without timestamps leaves it out")
    return (label,), timestamps


def _object(value: Any, what: str, fields: Iterable[str], scope: str = "envelope") -> Mapping[str, Any]:
    """An object with exactly these keys."""
    if not isinstance(value, dict):
        raise Invalid(f"{scope}.type", f"{what} is no object")
    expected = set(fields)
    if unknown := sorted(value.keys() - expected):
        raise Invalid(f"{scope}.fields", f"{what} has an unknown field {unknown[0][:60]!r}")
    if missing := sorted(expected - value.keys()):
        raise Invalid(f"{scope}.fields", f"{what} lacks the field {missing[0]!r}")
    return value


def _list(value: Any, what: str, count: int | None = None, code: str = "envelope.type") -> Sequence[Any]:
    if not isinstance(value, list):
        raise Invalid("envelope.type", f"{what} is no array")
    if count is not None and len(value) != count:
        raise Invalid(code, f"{what} has {len(value)} entries, not {count}")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise Invalid("envelope.type", f"{what} is no string")
    return value


def _bytes(value: Any, what: str) -> bytes:
    try:
        return b64_decode(_text(value, what))
    except Invalid as error:
        if error.code == "base64":
            raise Invalid("envelope.base64", f"{what} is {error}") from error
        raise
