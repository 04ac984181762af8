"""The files that `afterburn keygen` writes."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from afterburn_core.certify.chain import local_chain
from afterburn_core.certify.keys import private_pem, public_pem
from afterburn_core.errors import ConfigError

KEY_NAME = "seal.key"
PUBLIC_NAME = "seal.pub"
CERTIFICATE_NAME = "seal.crt"
ROOT_NAME = "root.crt"


def write_key(out: Path, name: str, passphrase: Callable[[], str]) -> ec.EllipticCurvePublicKey:
    """A new key, encrypted, and what belongs to it; no file is ever replaced.

    Args:
        out: the directory, made if missing.
        name: the issuer's legal name.
        passphrase: asked once it is clear that the files can be written.

    Raises:
        ConfigError: one of the files is there already; the name or the passphrase cannot be used.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    public = _public_files(name, key.public_key())
    _refuse_existing(out, (KEY_NAME, *public))
    secret = private_pem(key, passphrase())
    _write(out, {**public, KEY_NAME: secret})
    return key.public_key()


def write_public(out: Path, name: str, key: ec.EllipticCurvePublicKey) -> ec.EllipticCurvePublicKey:
    """The same without a private key, for one that is kept elsewhere.

    Raises:
        ConfigError: one of the files is there already; the name cannot be used.
    """
    files = _public_files(name, key)
    _refuse_existing(out, files)
    _write(out, files)
    return key


def _public_files(name: str, key: ec.EllipticCurvePublicKey) -> dict[str, bytes]:
    chain = local_chain(key, name, datetime.datetime.now(datetime.UTC))
    return {PUBLIC_NAME: public_pem(key), CERTIFICATE_NAME: chain.certificate_pem, ROOT_NAME: chain.issuers_pem}


def _refuse_existing(out: Path, names: dict[str, bytes] | tuple[str, ...]) -> None:
    for name in names:
        if (out / name).exists():
            raise ConfigError(f"{out / name}: is there already; keys are never overwritten, name another directory")


def _write(out: Path, files: dict[str, bytes]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        mode = 0o600 if name == KEY_NAME else 0o644
        try:
            descriptor = os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError as error:
            raise ConfigError(f"{out / name}: was written meanwhile by something else") from error
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
