"""The X.509 certificate that a PDF's seal carries: the signing key's, and those of its issuers (RFC 5280).

The JSON needs none of it, for it is verified with the public key alone. A certificate made here comes from a root
that exists for it only: the root's private key is dropped as soon as it has signed, so nobody can issue a second one.
A PDF reader can check such a seal; nobody vouches for it, and both certificates say so in their names.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from afterburn_core.certify.encoding import Invalid, read
from afterburn_core.certify.keys import KEY_LIMIT
from afterburn_core.errors import ConfigError

LOCAL_TRUST = "LOCAL TRUST ONLY"
DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""id-kp-documentSigning (RFC 9336)."""
YEARS = 5
MAX_NAME = 64
"""Characters of an organisation's name (X.520, ub-organization-name)."""


@attrs.frozen(kw_only=True)
class Chain:
    """A seal's certificate, and its issuers up to and including the root where it is known."""

    certificate: x509.Certificate
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether a root of ours issued it, which nobody else vouches for."""
        return any(
            LOCAL_TRUST in str(name.value)
            for one in (self.certificate, *self.issuers)
            for name in one.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        )

    @property
    def certificate_pem(self) -> bytes:
        """`seal.crt`."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def issuers_pem(self) -> bytes:
        """`chain.pem`: nearest issuer first."""
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in self.issuers)


def local_chain(public_key: ec.EllipticCurvePublicKey, name: str, now: datetime.datetime) -> Chain:
    """A seal certificate for a key, from a root made for it alone.

    Args:
        public_key: whose private half signs.
        name: the issuer's legal name, as PDF readers show it.
        now: beginning of its validity, which lasts five years; with a time zone.

    Raises:
        ConfigError: the name is empty, too long or has control characters.
    """
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise ConfigError(f"the issuer's name must be 1 to {MAX_NAME} printable characters, not {name[:80]!r}")
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = _name(name, f"Afterburn root ({LOCAL_TRUST})")
    seal_name = _name(name, f"Afterburn seal ({LOCAL_TRUST})")
    begin = now.astimezone(datetime.UTC).replace(microsecond=0)
    end = begin + datetime.timedelta(days=365 * YEARS + 1)
    root = (
        _builder(root_name, root_name, root_key.public_key(), root_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    seal = (
        _builder(seal_name, root_name, public_key, root_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, content_commitment=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    return Chain(certificate=seal, issuers=(root,))


def load_chain(certificate: Path, issuers: Path | None, public_key: ec.EllipticCurvePublicKey) -> Chain:
    """The certificate of a key, from files.

    Args:
        certificate: PEM, the first certificate in it; others that follow are taken for issuers.
        issuers: PEM of the issuers, nearest first.
        public_key: the key that signs.

    Raises:
        ConfigError: a file is missing or has no certificate; the certificate is another key's.
    """
    found = load_certificates(certificate)
    if found[0].public_key() != public_key:
        raise ConfigError(f"{certificate}: the certificate of another key than the one that signs")
    return Chain(certificate=found[0], issuers=(*found[1:], *(load_certificates(issuers) if issuers else ())))


def load_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM file, in its order.

    Raises:
        ConfigError: it cannot be read, or has none.
    """
    try:
        found = x509.load_pem_x509_certificates(read(path, what="the certificate", limit=16 * KEY_LIMIT))
    except (ValueError, Invalid) as error:
        raise ConfigError(f"{path}: no certificate in PEM") from error
    return tuple(found)


def _name(organisation: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
