"""The certificate that a PDF's seal carries: may it sign documents, now, and where does it lead? (RFC 5280)

Without roots from outside, the issuers in the file itself are the only ones there are. The key is pinned then, and
their part is to say for how long and for what it may be used; the seal's own certificate is never its own root.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from afterburn_core.certify.encoding import Invalid

if TYPE_CHECKING:
    from cryptography import x509

_SIGNING = frozenset({"1.3.6.1.5.5.7.3.36", "1.3.6.1.4.1.311.10.3.12", "1.2.840.113583.1.1.5", "2.5.29.37.0"})
"""Purposes under which a document may be signed: RFC 9336, Microsoft's, Adobe's, any."""
_USES = frozenset({"digital_signature", "non_repudiation"})


def require_usable(certificate: Any, now: datetime.datetime) -> None:
    """A leaf that is valid now and was issued for signing documents.

    Raises:
        Invalid: `pdf.certificate_expired`, `pdf.certificate_not_yet_valid`, `pdf.certificate_usage`.
    """
    if now < certificate.not_valid_before:
        raise Invalid(
            "pdf.certificate_not_yet_valid", f"the seal's certificate begins at {_day(certificate.not_valid_before)}"
        )
    if now > certificate.not_valid_after:
        raise Invalid("pdf.certificate_expired", f"the seal's certificate ended at {_day(certificate.not_valid_after)}")
    if certificate.ca:
        raise Invalid("pdf.certificate_usage", "the seal's certificate is that of an authority, not of a signer")
    uses = set(certificate.key_usage_value.native) if certificate.key_usage_value else set()
    if not uses & _USES:
        raise Invalid("pdf.certificate_usage", "the seal's certificate was not issued for signatures")
    purposes = certificate.extended_key_usage_value
    if purposes is not None and not {purpose.dotted for purpose in purposes} & _SIGNING:
        raise Invalid("pdf.certificate_usage", "the seal's certificate was not issued for signing documents")


def anchors(seal: Any, roots: Sequence[x509.Certificate] | None) -> list[Any]:
    """What the seal's certificate has to lead to, as pyHanko takes it.

    Raises:
        Invalid: `pdf.certificate_chain`: no roots are given, and the file holds no issuer that could be one.
    """
    if roots is not None:
        return as_anchors(roots)
    own = seal.signer_cert.sha256
    found = [one for one in seal.other_embedded_certs if one.self_issued and one.ca and one.sha256 != own]
    if not found:
        raise Invalid("pdf.certificate_chain", "the PDF holds no issuer of the seal's certificate; name its root")
    return found


def as_anchors(roots: Sequence[x509.Certificate]) -> list[Any]:
    """Certificates as pyHanko takes them."""
    from asn1crypto import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return [x509.Certificate.load(root.public_bytes(Encoding.DER)) for root in roots]


def _day(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
