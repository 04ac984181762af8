"""`core.command`: signs by running a program, which may ask an HSM, a smart card or a KMS.

The program gets the bytes on standard input and writes the signature, ECDSA over their SHA-256 in DER, to standard
output. `openssl dgst -sha256 -sign KEY` is such a program, and with a provider or an engine KEY lies in hardware.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from afterburn_core.certify.command_options import CommandSignerOptions
from afterburn_core.certify.keys import load_public_key
from afterburn_core.errors import ConfigError, PluginError


class CommandSigner:
    """The key behind a program."""

    def __init__(self, arguments: list[str], public_key: ec.EllipticCurvePublicKey, seconds: int) -> None:
        self._arguments = arguments
        self._public_key = public_key
        self._seconds = seconds

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public_key

    def sign(self, data: bytes) -> bytes:
        name = self._arguments[0]
        try:
            finished = subprocess.run(
                self._arguments, input=data, capture_output=True, check=False, timeout=self._seconds
            )
        except OSError as error:
            raise PluginError(f"signer core.command: {name} cannot be run ({error.strerror})") from error
        except subprocess.TimeoutExpired as error:
            raise PluginError(f"signer core.command: {name} took more than {self._seconds} s") from error
        if finished.returncode:
            said = " ".join(finished.stderr.decode("utf-8", "replace").split())[:300]
            raise PluginError(f"signer core.command: {name} ended with {finished.returncode}: {said or 'no message'}")
        return finished.stdout


def command_signer(options: CommandSignerOptions) -> CommandSigner:
    """The signer that the options describe.

    Raises:
        ConfigError: an option is missing, or the command cannot be split into words.
        Invalid: the public key is none on P-256.
    """
    for name in ("command", "public_key"):
        if not getattr(options, name):
            raise ConfigError(f"signer core.command needs the option {name!r}")
    try:
        arguments = shlex.split(options.command)
    except ValueError as error:
        raise ConfigError(f"signer core.command: option 'command': {error}") from error
    return CommandSigner(arguments, load_public_key(Path(options.public_key)), options.seconds)
