"""Keys on P-256: an encrypted file, or whatever a plugin's signer reaches, such as an HSM or a KMS.

Private keys are PKCS#8 in PEM, encrypted, and never travel through an argument or an environment variable; public keys
are SubjectPublicKeyInfo in PEM (RFC 7468).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from afterburn_core.certify.encoding import Invalid, read
from afterburn_core.certify.envelope import require_p256
from afterburn_core.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.plugin.roles import Signer

KEY_LIMIT = 64 * 1024
MIN_PASSPHRASE = 8
"""Characters. The file's own key derivation is weak (PBKDF2 with 2048 rounds), so the passphrase must not be."""
_ENCRYPT = "encrypt it with `openssl pkcs8 -topk8 -in OLD -out seal.key`"


class FileSigner:
    """Signs with a key from a file. Equal bytes get equal signatures (deterministic ECDSA, RFC 6979)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def signed_by(signer: Signer, data: bytes) -> bytes:
    """The signer's signature, after checking that it is one.

    Raises:
        PluginError: the signer failed, its key is not on P-256, or the signature is not that of its key.
    """
    name = type(signer).__name__
    try:
        require_p256(signer.public_key)
        signature = signer.sign(data)
        signer.public_key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise PluginError(
            f"signer {name}: what it returned is no signature by its public key; it must be ECDSA on P-256 over "
            "SHA-256 of the bytes it was given, in DER"
        ) from error
    except (ConfigError, PluginError):
        raise
    except Exception as error:  # a third party's module, network and machine stand behind it
        raise PluginError(f"signer {name} failed: {_described(error)}") from error
    return signature


def signer_of(
    key_path: Path | None,
    signer_name: str | None,
    options: Mapping[str, Any],
    registry: Registry,
    passphrase: Callable[[], str],
) -> Signer | None:
    """What the user named to sign with; `None` when that is nothing, and the output stays an unsigned draft.

    Args:
        key_path: file of an encrypted private key.
        signer_name: a signer of a plugin, as `afterburn plugins` lists them.
        options: the signer's options.
        passphrase: asked only for a key file.

    Raises:
        ConfigError: both are named, or options without a signer; the key cannot be used; an option is wrong.
        PluginError: there is no such signer, or it cannot be made.
    """
    from afterburn_core.plugin.registry import build_options, load_factory

    if key_path and signer_name:
        raise ConfigError("a key file and a signer were both named; name the one that signs")
    if signer_name is None:
        if options:
            raise ConfigError(f"signer option {sorted(options)[0]!r} is given, but no signer is named")
        return load_signer(key_path, passphrase) if key_path else None
    spec = registry.get("signer", signer_name).spec
    values = build_options(spec.options, options, f"signer {signer_name}")
    try:
        signer: Signer = load_factory(spec.factory)(values)
    except (ConfigError, PluginError, Invalid):
        raise
    except Exception as error:  # as in `signed_by`
        raise PluginError(f"signer {signer_name} cannot be used: {_described(error)}") from error
    return signer


def load_signer(path: Path, passphrase: Callable[[], str]) -> FileSigner:
    """The signer of an encrypted private key.

    Raises:
        ConfigError: others may read the file; it is no encrypted key on P-256; the passphrase does not open it.
    """
    if "PRIVATE KEY" in str(path):
        raise ConfigError(
            "a key itself was given where the path of its file belongs; your shell may keep it in its history"
        )
    if path.is_dir():
        raise ConfigError(f"{path}: is a directory; name the key's file in it, such as {path / 'seal.key'}")
    try:
        data = read(path, what="the key", limit=KEY_LIMIT)
    except Invalid as error:
        raise ConfigError(str(error)) from error
    if b"PRIVATE KEY-----" not in data:
        hint = " (this is a public key; the private one beside it signs)" if b"PUBLIC KEY-----" in data else ""
        raise ConfigError(f"{path}: no private key in PEM{hint}")
    _require_private(path)
    if b"ENCRYPTED" not in data:
        raise ConfigError(f"{path}: the key is not encrypted; {_ENCRYPT}")
    try:
        key = serialization.load_pem_private_key(data, passphrase().encode("utf-8"))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: the passphrase does not open it, or it is damaged") from error
    try:
        require_p256(key.public_key())
    except Invalid as error:
        raise ConfigError(f"{path}: {error}; make one with `afterburn keygen`") from error
    return FileSigner(key)  # type: ignore[arg-type]  # its public half was just checked


def load_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """A public key to verify with.

    Raises:
        ConfigError: there is no such file.
        Invalid: `key.unreadable`: no public key in PEM; `key.algorithm`: one, but not on P-256.
    """
    data = read(path, what="the public key", limit=KEY_LIMIT)
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = ""
        if b"PRIVATE KEY" in data:
            hint = " (this is a private key, which no verifier should have)"
        elif b"CERTIFICATE-----" in data:
            hint = f" (this is a certificate; take its key out: openssl x509 -in {path.name} -pubkey -noout)"
        raise Invalid("key.unreadable", f"{path.name}: no public key in PEM{hint}") from error
    require_p256(key)
    return key  # type: ignore[return-value]  # just checked


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """`seal.pub`: SubjectPublicKeyInfo in PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the SubjectPublicKeyInfo in DER, hexadecimal: what two people compare over the telephone."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def private_pem(key: ec.EllipticCurvePrivateKey, passphrase: str) -> bytes:
    """`seal.key`: PKCS#8 in PEM, encrypted with AES-256.

    Raises:
        ConfigError: the passphrase is too short.
    """
    if len(passphrase) < MIN_PASSPHRASE:
        raise ConfigError(f"the passphrase has fewer than {MIN_PASSPHRASE} characters; take several random words")
    encryption = serialization.BestAvailableEncryption(passphrase.encode("utf-8"))
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _require_private(path: Path) -> None:
    """Refuses a key that everybody on the machine can read; a group may, as mounted secrets are read by theirs."""
    if os.name == "nt":  # its access lists do not show in the mode
        return
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{path}: the key cannot be read ({error.strerror})") from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigError(f"{path}: others may use this key (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}")
