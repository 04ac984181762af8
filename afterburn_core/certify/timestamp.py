"""RFC 3161 timestamps over the signature: a third party's word on when it existed at the latest.

Without one, the time in a certificate is what the issuer claims. The authority signs the digest of the signature's
bytes and learns nothing else. A response is trusted through roots that the verifier names, never through those in it.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import urllib.error
import urllib.request
import warnings
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.extras import extras
from afterburn_core.errors import ConfigError

RESPONSE_LIMIT = 1 << 20
_DIGESTS = {
    "2.16.840.1.101.3.4.2.1": hashlib.sha256,
    "2.16.840.1.101.3.4.2.2": hashlib.sha384,
    "2.16.840.1.101.3.4.2.3": hashlib.sha512,
}
_GRANTED = 0
_REASON = re.compile(r'(?:Verify error: |reason: ")([^"]+)')


def request(signature: bytes, url: str, *, seconds: float = 30.0) -> bytes:
    """A timestamp authority's response over a signature (RFC 3161, 3.4: over HTTP).

    Args:
        signature: the bytes in the envelope, decoded.
        url: of the authority, `http` or `https`; the response is signed, so either will do.
        seconds: how long to wait for it.

    Raises:
        ConfigError: the authority cannot be reached, refuses, or answers another question.
    """
    with extras("a timestamp"):
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    if urlsplit(url).scheme not in {"http", "https"}:
        raise ConfigError(f"timestamp authority {url!r}: must be an address that begins with http:// or https://")
    asked = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=True).build()
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        query = urllib.request.Request(url, asked.as_bytes(), headers)
        with urllib.request.urlopen(query, timeout=seconds) as answer:
            body: bytes = answer.read(RESPONSE_LIMIT + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise ConfigError(f"timestamp authority {url}: answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:  # URLError is an OSError
        raise ConfigError(f"timestamp authority {url}: {getattr(error, 'reason', None) or error}") from error
    try:
        response = _decoded(body)
        _require_granted(response)
        _require_over(signature, response)
    except Invalid as error:
        raise ConfigError(f"timestamp authority {url}: {error}") from error
    if response.tst_info.nonce != asked.nonce:
        raise ConfigError(f"timestamp authority {url}: answered another request than ours")
    return body


def check(
    signature: bytes,
    response: bytes,
    roots: Sequence[x509.Certificate],
    seal: x509.Certificate | None = None,
) -> datetime.datetime:
    """When a signature existed at the latest, if a trusted authority says so.

    Args:
        signature: the bytes in the envelope, decoded.
        response: `TimeStampResp` in DER.
        roots: the authorities that the verifier trusts.
        seal: the signing key's certificate, if its period of validity is to count.

    Raises:
        Invalid: `timestamp.unreadable`, `timestamp.not_granted`, `timestamp.other_data` (over something else),
            `timestamp.usage` (not the certificate of a timestamp authority), `timestamp.validity` (the authority's
            certificate was not valid then), `timestamp.untrusted` (not signed by a trusted authority),
            `timestamp.seal_validity` (the key's certificate was not valid then).
    """
    with extras("checking a timestamp"):
        import rfc3161_client  # noqa: F401 - missing, it is no fault of the timestamp

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of a stranger's certificate are not the reader's concern
            return _checked(signature, response, roots, seal)
    except Invalid:
        raise
    except Exception as error:  # parsers of three libraries, on bytes of a stranger
        message = f"the timestamp cannot be read: {type(error).__name__}: {error}"
        raise Invalid("timestamp.unreadable", message[:300]) from error


def _checked(
    signature: bytes, response: bytes, roots: Sequence[x509.Certificate], seal: x509.Certificate | None
) -> datetime.datetime:
    from rfc3161_client import VerificationError, VerifierBuilder

    decoded = _decoded(response)
    _require_granted(decoded)
    _require_over(signature, decoded)
    moment: datetime.datetime = decoded.tst_info.gen_time
    _require_authority(_signing_certificate(decoded), moment)
    try:
        VerifierBuilder(roots=list(dict.fromkeys(roots))).build().verify_message(decoded, signature)
    except (VerificationError, ValueError) as error:
        why = _REASON.findall(str(error))
        said = f": {why[-1]}" if why else ""
        raise Invalid("timestamp.untrusted", f"the timestamp is not one of a trusted authority{said}") from error
    if seal is not None and not seal.not_valid_before_utc <= moment <= seal.not_valid_after_utc:
        raise Invalid("timestamp.seal_validity", f"the seal's certificate was not valid at {moment.isoformat()}")
    return moment


def _decoded(response: bytes) -> Any:
    from rfc3161_client import decode_timestamp_response

    if len(response) > RESPONSE_LIMIT:
        raise Invalid("timestamp.unreadable", f"the timestamp is larger than {RESPONSE_LIMIT} bytes")
    try:
        return decode_timestamp_response(response)
    except ValueError as error:
        raise Invalid("timestamp.unreadable", "the timestamp is no response of RFC 3161") from error


def _require_granted(response: Any) -> None:
    if response.status != _GRANTED:
        said = " ".join(str(text) for text in response.status_string)[:200]
        raise Invalid("timestamp.not_granted", f"the authority did not grant it (status {response.status}) {said!r}")


def _require_over(signature: bytes, response: Any) -> None:
    imprint = response.tst_info.message_imprint
    digest = _DIGESTS.get(imprint.hash_algorithm.dotted_string)
    if digest is None:
        raise Invalid("timestamp.other_data", "the timestamp is over a digest other than SHA-256, SHA-384 or SHA-512")
    if digest(signature).digest() != imprint.message:
        raise Invalid("timestamp.other_data", "the timestamp is over other data than this signature")


def _signing_certificate(response: Any) -> x509.Certificate:
    """That which the signature itself names, by issuer and serial number; others in the response mean nothing."""
    signers = response.signed_data.signer_infos
    if len(signers) != 1:
        raise Invalid("timestamp.unreadable", f"the timestamp has {len(signers)} signatures, not one")
    (signer,) = signers
    for der in response.signed_data.certificates:
        certificate = x509.load_der_x509_certificate(der)
        if (certificate.issuer, certificate.serial_number) == (signer.issuer, signer.serial_number):
            return certificate
    raise Invalid("timestamp.untrusted", "the timestamp does not hold its authority's certificate")


def _require_authority(certificate: x509.Certificate, moment: datetime.datetime) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        purposes = list(usage.value) if usage.critical else []
    except (x509.ExtensionNotFound, ValueError):
        purposes = []
    if purposes != [ExtendedKeyUsageOID.TIME_STAMPING]:  # RFC 3161, 2.3: this purpose alone, and critical
        raise Invalid("timestamp.usage", "the certificate that signed the timestamp is not one for timestamps alone")
    if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        raise Invalid("timestamp.validity", f"the authority's certificate was not valid at {moment.isoformat()}")
