"""OpenSSF Model Signing sidecars: a second signature over a model's files, for tools that know that format.

Format: OMS specification 1.0. Its root digest binds contents and not names, and cannot carry test results, so nothing
of ours rests on it. Written by the `model-signing` package, whole files, nothing ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from afterburn_core.certify.extras import extras
from afterburn_core.certify.paths import hub_store
from afterburn_core.errors import AfterburnError, ConfigError


def sidecar(key: Path, passphrase: Callable[[], str]) -> Callable[[Path, Path], None]:
    """A function that signs a model's directory with a key file and writes the bundle.

    Raises:
        ConfigError: the extra `oms` is not installed.
    """
    with extras("OpenSSF Model Signing"):
        import OpenSSL  # noqa: F401 - model_signing imports it without asking for it
        from model_signing import hashing, signing

    def sign(model: Path, out: Path) -> None:
        if hub_store(model):
            raise ConfigError(f"{model}: a hub client's cache holds links, which model-signing refuses; copy the model")
        chosen = hashing.Config().use_file_serialization(hashing_algorithm="sha256")  # type: ignore[no-untyped-call]
        chosen = chosen.set_ignored_paths(paths=[], ignore_git_paths=False)
        try:
            config = signing.Config()  # type: ignore[no-untyped-call]
            config.use_elliptic_key_signer(private_key=key, password=passphrase())
            config.set_hashing_config(chosen).sign(model, out)
        except (ValueError, OSError, TypeError) as error:
            raise AfterburnError(f"{model}: model-signing failed ({' '.join(str(error).split())})") from error

    return sign
