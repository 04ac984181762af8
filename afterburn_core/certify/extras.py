"""One line instead of a traceback where an optional part of the installation is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from afterburn_core.errors import ConfigError

PACKAGES = {
    "sign": ("cryptography", "rfc8785"),
    "timestamp": ("rfc3161_client",),
    "pdf": ("weasyprint", "pydyf", "pyhanko", "pyhanko_certvalidator", "asn1crypto"),
    "oms": ("model_signing", "OpenSSL"),
    "keyless": ("sigstore",),
}
"""What each extra of the distribution brings, by the names they are imported under."""


@contextmanager
def extras(what: str) -> Iterator[None]:
    """Around imports of optional packages, or of our modules that import them.

    Args:
        what: that which needs them, as the subject of a sentence: `signing a certificate`.

    Raises:
        ConfigError: a package of an extra is not installed; the message has the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        for extra, packages in PACKAGES.items():
            if missing in packages:
                command = f"pip install 'afterburn-core[{extra}]'"
                raise ConfigError(f"{what} needs {missing}, which is not installed: {command}") from error
        raise


def require(extra: str, what: str) -> None:
    """Finds out before long work whether an extra is there; nothing is imported.

    Args:
        extra: one of `PACKAGES`.
        what: as for `extras`.

    Raises:
        ConfigError: a package of the extra is not installed.
    """
    for package in PACKAGES[extra]:
        with extras(what):
            if find_spec(package) is None:
                raise ModuleNotFoundError(name=package)
