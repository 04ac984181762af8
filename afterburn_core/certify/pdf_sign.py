"""The seal of a certificate's PDF: PAdES B-B, or B-T with a timestamp, by the key that signed the JSON.

Formats: ETSI EN 319 142-1 (PAdES), ISO 32000-2, 12.8 (certification signature, DocMDP). The signature certifies the
document and allows no change; it is invisible, for a visible one would be a drawing that anybody can copy, and what it
says stands on the page as text. It is appended, so the bytes of the rendering stay as they are.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from afterburn_core.certify.extras import extras
from afterburn_core.certify.keys import signed_by
from afterburn_core.errors import AfterburnError, ConfigError

if TYPE_CHECKING:
    from afterburn_core.certify.chain import Chain
    from afterburn_core.plugin.roles import Signer

FIELD = "AuditSeal"
REASON = "Signed audit attestation"
_SIGNATURE_BYTES = 72
"""The longest DER form of an ECDSA signature on P-256."""


def sign_pdf(
    pdf: bytes, signer: Signer, chain: Chain, *, timestamp_url: str | None = None, timestamper: Any = None
) -> bytes:
    """The PDF with the seal appended.

    Args:
        pdf: a rendering, unsigned.
        signer: holds the key; on P-256.
        chain: the certificate of that key, and its issuers.
        timestamp_url: an RFC 3161 service, asked for a timestamp over the seal.
        timestamper: pyHanko's object that asks it, in place of the address.

    Raises:
        ConfigError: the extra `pdf` is missing; the certificate is another key's; the service did not answer.
        AfterburnError: the file cannot be signed.
        PluginError: the signer failed.
    """
    if chain.certificate.public_key() != signer.public_key:
        raise ConfigError("the seal's certificate holds another key than the one that signs")
    with extras("sealing a PDF"):
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
        from pyhanko.pdf_utils.misc import PdfError
        from pyhanko.sign import fields, signers
        from pyhanko.sign.general import SigningError
        from pyhanko.sign.timestamps import HTTPTimeStamper, TimestampRequestError
    if timestamper is None and timestamp_url is not None:
        timestamper = HTTPTimeStamper(timestamp_url)
    metadata = signers.PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        subfilter=fields.SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES,
        reason=REASON,
    )
    seal = signers.PdfSigner(
        metadata, signer=_delegate(signer, chain), timestamper=timestamper, new_field_spec=fields.SigFieldSpec(FIELD)
    )
    output = io.BytesIO()
    try:
        seal.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)), output=output)
    except (TimestampRequestError, OSError) as error:
        raise ConfigError(f"{timestamp_url}: no timestamp from this service: {error}") from error
    except (SigningError, PdfError) as error:
        raise AfterburnError(f"the PDF cannot be sealed: {error}") from error
    signed = output.getvalue()
    if not signed.startswith(pdf):
        raise AfterburnError("the PDF cannot be sealed: the rendering would have been changed")
    return signed


def _delegate(signer: Signer, chain: Chain) -> Any:
    """pyHanko's view of our signer: certificates from the chain, signatures from wherever the key is."""
    from asn1crypto import x509
    from cryptography.hazmat.primitives.serialization import Encoding
    from pyhanko.sign import signers
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    def load(certificate: Any) -> Any:
        return x509.Certificate.load(certificate.public_bytes(Encoding.DER))

    class Delegate(signers.Signer):  # type: ignore[misc]
        async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
            if digest_algorithm != "sha256":
                raise AfterburnError(
                    f"the PDF cannot be sealed: {digest_algorithm} is not the digest of our signatures"
                )
            return bytes(_SIGNATURE_BYTES) if dry_run else signed_by(signer, data)

    store = SimpleCertificateStore()
    store.register_multiple(load(one) for one in chain.issuers)
    return Delegate(signing_cert=load(chain.certificate), cert_registry=store, embed_roots=True)
