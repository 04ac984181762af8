"""Certificates as they must and must not be: every fault of list D that a seal's chain can have, each alone.

All chains end at one trusted root and, unless the fault forbids it, certify one and the same signing key, so that
nothing but the fault can be the reason why a chain is refused.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from functools import cache

import attrs
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from afterburn_core.certify.chain import DOCUMENT_SIGNING, Chain

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
CRL_ADDRESS = "http://crl.invalid/seals.crl"
USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
UNKNOWN_EXTENSION = ObjectIdentifier("1.3.6.1.4.1.55555.1.1")


@attrs.frozen(kw_only=True)
class Issued:
    """A certificate with the key that it certifies."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


@cache
def key(name: str) -> PrivateKey:
    """One key per name and process: `rsa1024`, `p192`, `p384` by kind, any other name on P-256."""
    if name == "rsa1024":
        return rsa.generate_private_key(public_exponent=65537, key_size=1024)
    if name == "rsa2048":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    curves = {"p192": ec.SECP192R1(), "p384": ec.SECP384R1()}
    return ec.generate_private_key(curves.get(name, ec.SECP256R1()))


def usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in names for name in USES})


def issue(
    common_name: str,
    private: PrivateKey,
    issuer: Issued | None = None,
    *,
    organisation: str = "Prüfhaus GmbH",
    days: tuple[float, float] = (-30, 700),
    path_length: int | None = None,
    ca: bool = False,
    uses: Sequence[str] = ("digital_signature", "content_commitment"),
    purposes: Sequence[ObjectIdentifier] = (DOCUMENT_SIGNING,),
    purposes_critical: bool = False,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Issued:
    """A certificate, signed by `issuer` or by itself.

    Args:
        days: validity from and until, in days from now.
        uses: names of the key usage bits; an authority's are its own.
    """
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    signer = issuer or Issued(certificate=None, key=private)  # type: ignore[arg-type]
    uses = ("key_cert_sign", "crl_sign") if ca else uses
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() + datetime.timedelta(days=days[0]))
        .not_valid_after(now() + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
        .add_extension(usage(*uses), critical=True)
    )
    if purposes and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=purposes_critical)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Issued(certificate=builder.sign(signer.key, hashes.SHA256()), key=private)


@cache
def root() -> Issued:
    """The authority that the verifier trusts."""
    return issue("Prüfhaus Root", key("root"), days=(-3000, 3000), ca=True)


@cache
def seal() -> Issued:
    """A seal's certificate without fault."""
    return issue("Prüfhaus Siegel", key("seal"), root())


@cache
def revoked_seal() -> Issued:
    """A seal's certificate that is on its authority's list."""
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(CRL_ADDRESS)], None, None, None)
    extensions = [(x509.CRLDistributionPoints([point]), False)]
    return issue("Prüfhaus Siegel", key("seal"), root(), extensions=extensions)


@cache
def revocations() -> bytes:
    """The authority's list in DER: `revoked_seal` was revoked ten days ago."""
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(revoked_seal().certificate.serial_number)
        .revocation_date(now() - datetime.timedelta(days=10))
        .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
        .build()
    )
    authority = root()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now() - datetime.timedelta(days=9))
        .next_update(now() + datetime.timedelta(days=90))
        .add_revoked_certificate(entry)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .add_extension(x509.CRLNumber(7), critical=False)
    )
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)


@attrs.frozen(kw_only=True)
class SealChain:
    """What a PDF is sealed with: the key, its certificate and the issuers; the root is `root()`."""

    leaf: Issued
    issuers: tuple[x509.Certificate, ...]

    @property
    def chain(self) -> Chain:
        return Chain(certificate=self.leaf.certificate, issuers=self.issuers)


def _under_root(leaf: Issued) -> SealChain:
    return SealChain(leaf=leaf, issuers=(root().certificate,))


def _leaf(**differently: object) -> SealChain:
    return _under_root(issue("Prüfhaus Siegel", key("seal"), root(), **differently))  # type: ignore[arg-type]


@cache
def sound_chain() -> SealChain:
    return _under_root(seal())


def _intermediate(**differently: object) -> Issued:
    return issue("Prüfhaus Ausgabe", key("intermediate"), root(), ca=True, **differently)  # type: ignore[arg-type]


@cache
def sound_intermediate_chain() -> SealChain:
    """Root, intermediate, leaf: accepted, and what D10 and D11 differ from in one extension."""
    middle = _intermediate(path_length=0)
    leaf = issue("Prüfhaus Siegel", key("seal"), middle)
    return SealChain(leaf=leaf, issuers=(middle.certificate, root().certificate))


def _signed_with_sha1(certificate: x509.Certificate, issuer: Issued) -> x509.Certificate:
    """The same certificate under a signature that `cryptography` reads and no longer makes."""
    forged = asn1.Certificate.load(certificate.public_bytes(Encoding.DER))
    forged["tbs_certificate"]["signature"] = {"algorithm": "sha1_ecdsa"}
    forged["signature_algorithm"] = {"algorithm": "sha1_ecdsa"}
    body = forged["tbs_certificate"].dump(force=True)
    forged["signature_value"] = issuer.key.sign(body, ec.ECDSA(hashes.SHA1()))  # type: ignore[arg-type,call-arg]
    return x509.load_der_x509_certificate(forged.dump(force=True))


def _path_too_long() -> SealChain:
    upper = _intermediate(path_length=0)
    lower = issue("Prüfhaus Unterausgabe", key("lower"), upper, ca=True)
    leaf = issue("Prüfhaus Siegel", key("seal"), lower)
    return SealChain(leaf=leaf, issuers=(lower.certificate, upper.certificate, root().certificate))


def _outside_name_constraints() -> SealChain:
    allowed = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Andere GmbH")])
    constraint = x509.NameConstraints(permitted_subtrees=[x509.DirectoryName(allowed)], excluded_subtrees=None)
    middle = _intermediate(extensions=[(constraint, True)])
    leaf = issue("Prüfhaus Siegel", key("seal"), middle)
    return SealChain(leaf=leaf, issuers=(middle.certificate, root().certificate))


@cache
def faulty_chains() -> dict[str, SealChain]:
    """Chains of list D that a verifier who trusts `root()` must refuse, by the vector's name.

    D02 is refused by who has `revocations()`. Those of D07 and D09 certify other keys than `key("seal")`.
    """
    look_alike = issue("Prüfhaus Siegel", key("attacker"))
    unknown = x509.UnrecognizedExtension(UNKNOWN_EXTENSION, b"\x05\x00")
    faults = {
        "d01_expired": _leaf(days=(-400, -1)),
        "d02_revoked": _under_root(revoked_seal()),
        "d03_key_encipherment_only": _leaf(uses=("key_encipherment",)),
        "d04_not_yet_valid": _leaf(days=(10, 700)),
        "d05_server_certificate": _leaf(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        "d06_authority_as_signer": _under_root(issue("Prüfhaus Siegel", key("seal"), root(), ca=True)),
        "d07_self_signed_look_alike": SealChain(leaf=look_alike, issuers=()),
        "d08_unknown_critical_extension": _leaf(extensions=[(unknown, True)]),
        "d09_sha1": _under_root(Issued(certificate=_signed_with_sha1(seal().certificate, root()), key=key("seal"))),
        "d09_rsa_1024": _under_root(issue("Prüfhaus Siegel", key("rsa1024"), root())),
        "d09_p192": _under_root(issue("Prüfhaus Siegel", key("p192"), root())),
        "d10_path_too_long": _path_too_long(),
        "d11_outside_name_constraints": _outside_name_constraints(),
    }
    return {f"{name}_fail": chain for name, chain in faults.items()}
