"""Is a PDF the sealed rendering of this very certificate? The verifier's rule 11, one code per way to fail.

What is required of the file: one signature, by the certificate's own key, over all of it, unchanged since, by a
certificate that was good for that; it allows no change; and it carries one file, which is the certificate to the byte.
Beyond the signature it may hold nothing that acts: no script, no form, no link out. Other viewers are less strict; that
what the pages say is what the certificate says is proved by `check_rendering` alone.

pyHanko reads and validates. Whatever it raises on a hostile file becomes `pdf.unreadable`.
"""

from __future__ import annotations

import datetime
import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.extras import extras
from afterburn_core.certify.pdf_chain import anchors, as_anchors, require_usable
from afterburn_core.certify.pdf_content import at, require_embedded, require_metadata, require_still
from afterburn_core.certify.pdf_update import require_only_seal
from afterburn_core.errors import AfterburnError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

LIMIT = 64 * 1024 * 1024
"""Bytes of the largest PDF that is read; the certificate inside is at most 32 MiB."""


def check_pdf(
    pdf: bytes,
    bundle: bytes,
    key: EllipticCurvePublicKey,
    *,
    roots: Sequence[x509.Certificate] | None = None,
    tsa_roots: Sequence[x509.Certificate] | None = None,
    crls: Sequence[bytes] = (),
    moment: datetime.datetime | None = None,
) -> None:
    """Passes when `pdf` is sealed with `key` and carries `bundle`.

    Args:
        pdf: the file.
        bundle: the certificate beside it, whose signature by `key` was found to hold.
        key: the public key, from a place other than the pack.
        roots: certificates that the seal's must come from. Without any, the seal's own issuers in the file are taken:
            the key is known, and nothing is claimed about who vouches for its owner.
        tsa_roots: certificates that a timestamp in the seal, if there is one, must come from. Without any, it must hold
            and may be anybody's.
        crls: revocation lists in DER, for seals whose issuer publishes them. Nothing is fetched.
        moment: the time at which the seal's certificate must be valid; now when left out.

    Raises:
        Invalid: `pdf.…`; every fault has a code of its own.
        ConfigError: the extra `pdf` is missing.
    """
    if len(pdf) > LIMIT:
        raise Invalid("pdf.too_large", f"the PDF has {len(pdf)} bytes, more than the {LIMIT} that are read")
    with extras("checking a PDF"):
        import pyhanko.sign.validation  # noqa: F401
    with _only_invalid():
        _check(pdf, bundle, key, _Trust(roots=roots, tsa_roots=tsa_roots, crls=tuple(crls), moment=moment))


def check_rendering(pdf: bytes, bundle: bytes) -> str | None:
    """Passes when the pages are what this installation renders from `bundle`; nothing but the seal may follow.

    Args:
        pdf: a file that `check_pdf` accepted.
        bundle: the certificate.

    Returns:
        `None`, or why the two cannot be compared: another release of the templates or of a library made the file.

    Raises:
        Invalid: `pdf.rendering`: the pages are others.
        ConfigError: the extra `pdf` is missing.
    """
    from afterburn_core.certify.render import render, rendering_differences

    if differences := rendering_differences(bundle):
        return f"rendered by other releases ({'; '.join(differences)})"
    try:
        expected = render(bundle)
    except Invalid:
        raise
    except AfterburnError as error:
        raise Invalid("pdf.rendering", f"the certificate cannot be rendered: {error}") from error
    if not pdf.startswith(expected):
        raise Invalid("pdf.rendering", "the PDF's pages are not the rendering of this certificate")
    with _only_invalid():
        from pyhanko.pdf_utils.reader import PdfFileReader

        end = _end(_only_signature(PdfFileReader(io.BytesIO(pdf), strict=True)))
        require_only_seal(pdf[:end], expected)
    return None


@contextmanager
def _only_invalid() -> Iterator[None]:
    """Nothing but `Invalid` gets out, and pyHanko's own log, with its tracebacks, stays silent."""
    loggers = [logging.getLogger(name) for name in ("pyhanko", "pyhanko_certvalidator")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    except Invalid:
        raise
    except Exception as error:  # a parser on a hostile file may raise anything
        raise Invalid(
            "pdf.unreadable", f"the PDF cannot be read: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@attrs.frozen(kw_only=True)
class _Trust:
    """What the seal's certificate, and its timestamp's, are held against."""

    roots: Sequence[x509.Certificate] | None
    tsa_roots: Sequence[x509.Certificate] | None
    crls: tuple[bytes, ...]
    moment: datetime.datetime | None


def _check(pdf: bytes, bundle: bytes, key: EllipticCurvePublicKey, trust: _Trust) -> None:
    from pyhanko.pdf_utils.misc import PdfReadError
    from pyhanko.pdf_utils.reader import PdfFileReader

    try:
        reader = PdfFileReader(io.BytesIO(pdf), strict=True)
        encrypted = reader.encrypted
    except (PdfReadError, ValueError) as error:
        raise Invalid("pdf.syntax", f"not a PDF that can be read: {str(error)[:200]}") from error
    if encrypted:
        raise Invalid("pdf.encrypted", "the PDF is encrypted")
    seal = _only_signature(reader)
    _require_key(seal, key)
    _require_form(seal)
    _require_intact(seal)
    # from here on the file as it was sealed: what may follow is no part of it
    end = _end(seal)
    signed = reader if end == len(pdf) else PdfFileReader(io.BytesIO(pdf[:end]), strict=True)
    _require_validity(seal if signed is reader else _only_signature(signed), trust)
    require_still(signed.root)
    require_embedded(signed.root, bundle)
    require_metadata(signed)


def _only_signature(reader: Any) -> Any:
    from pyhanko.sign.fields import enumerate_sig_fields

    filled = [field.get_object() for _, _, field in enumerate_sig_fields(reader, filled_status=True)]
    kinds = [str(field["/V"].get("/Type", "/Sig")) for field in filled]
    regular = kinds.count("/Sig")
    if not regular:
        raise Invalid("pdf.unsigned", "the PDF has no signature")
    if regular > 1 or set(kinds) - {"/Sig", "/DocTimeStamp"}:
        raise Invalid("pdf.signature_count", f"the PDF has {len(kinds)} signatures, not the seal alone")
    seals = list(reader.embedded_regular_signatures)
    if len(seals) != 1:
        raise Invalid("pdf.signature_form", "the signature is of a form that is not ours (PAdES: ETSI.CAdES.detached)")
    return seals[0]


def _end(seal: Any) -> int:
    """Bytes of the file as it was sealed."""
    return int(seal.byte_range[2] + seal.byte_range[3])


def _require_key(seal: Any, key: EllipticCurvePublicKey) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    expected = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if seal.signer_cert.public_key.dump() != expected:
        raise Invalid("pdf.signer_key", "the PDF is sealed with another key than the certificate")


def _require_form(seal: Any) -> None:
    """PAdES with SHA-256 and ECDSA, certifying, no change allowed: what `pdf_sign` writes and nothing weaker."""
    from pyhanko.sign.fields import MDPPerm

    if str(seal.sig_object.get("/SubFilter")) != "/ETSI.CAdES.detached":
        raise Invalid("pdf.signature_form", "the signature is of a form that is not ours (PAdES: ETSI.CAdES.detached)")
    algorithm = seal.signer_info["signature_algorithm"].signature_algo
    if seal.md_algorithm != "sha256" or algorithm != "ecdsa":
        raise Invalid("pdf.algorithm", f"the seal uses {algorithm} over {seal.md_algorithm}, not ECDSA over SHA-256")
    if seal.docmdp_level != MDPPerm.NO_CHANGES:
        raise Invalid("pdf.docmdp", "the seal allows changes of the PDF, or says nothing about them")
    certified = (at(seal.reader.root, "/Perms") or {}).get("/DocMDP")
    if certified is None or certified != seal.sig_field.get("/V"):
        raise Invalid("pdf.docmdp", "the seal does not certify the PDF (the catalogue's /Perms names no seal)")


def _require_intact(seal: Any) -> None:
    from pyhanko.sign.diff_analysis import ModificationLevel
    from pyhanko.sign.validation.generic_cms import validate_sig_integrity
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    seal.compute_integrity_info(skip_diff=True)
    intact, valid = validate_sig_integrity(
        seal.signer_info,
        seal.signer_cert,
        expected_content_type="data",
        actual_digest=seal.compute_digest(),
    )
    if seal.coverage < SignatureCoverageLevel.ENTIRE_REVISION:
        raise Invalid("pdf.coverage", "the seal does not cover the whole PDF (/ByteRange leaves bytes out)")
    if not (intact and valid):
        raise Invalid("pdf.signature", "the PDF was changed after it was sealed, or the seal is forged")
    if seal.reader.xrefs.total_revisions - 1 == seal.signed_revision:
        return
    # comparing revisions takes seconds, and only updates that keep a signature verifiable for long are allowed at all
    if "/DSS" in seal.reader.root:
        seal.compute_integrity_info()
        if getattr(seal.diff_result, "modification_level", ModificationLevel.OTHER) <= ModificationLevel.LTA_UPDATES:
            return
    raise Invalid("pdf.modified", "something was added to the PDF after it was sealed")


def _require_validity(seal: Any, trust: _Trust) -> None:
    """The certificate that vouches for the seal's key leads to a root and may sign documents now."""
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext
    from pyhanko_certvalidator.errors import ValidationError

    now = trust.moment or datetime.datetime.now(datetime.UTC)
    require_usable(seal.signer_cert, now)
    if not trust.crls and (seal.signer_cert.crl_distribution_points or seal.signer_cert.ocsp_urls):
        raise Invalid(
            "pdf.certificate_revocation",
            "whether the seal's certificate was revoked cannot be told without its issuer's list",
        )

    def context(roots: list[Any]) -> Any:
        return ValidationContext(
            trust_roots=roots,
            allow_fetching=False,
            revocation_mode="hard-fail",
            crls=list(trust.crls),
            ocsps=[],
            moment=now,
        )

    try:
        status = validate_pdf_signature(
            seal,
            signer_validation_context=context(anchors(seal, trust.roots)),
            ts_validation_context=context(as_anchors(trust.tsa_roots or ())),
        )
    except ValidationError as error:
        raise Invalid("pdf.certificate_chain", f"the seal's certificate does not hold: {error}") from error
    if status.revoked:
        raise Invalid("pdf.certificate_revoked", "the seal's certificate has been revoked")
    stamped = status.timestamp_validity
    if stamped is not None and not (stamped.intact and stamped.valid):
        raise Invalid("pdf.timestamp", "the seal's timestamp does not hold")
    if stamped is not None and trust.tsa_roots is not None and not stamped.trusted:
        raise Invalid("pdf.timestamp", "the seal's timestamp is not by a service that is trusted")
    # pyHanko's bottom line, which demands a trusted timestamp as well
    judged = status if stamped is None or stamped.trusted else _without_timestamp(status)
    if not (status.trusted and judged.bottom_line):
        raise Invalid("pdf.certificate_chain", f"the seal's certificate does not hold: {_problem(status)}")


def _without_timestamp(status: Any) -> Any:
    import dataclasses

    return dataclasses.replace(status, timestamp_validity=None)


def _problem(status: Any) -> str:
    indication = status.trust_problem_indic
    return indication.name.lower().replace("_", " ") if indication else "no path to a root that is trusted"
