"""OpenSSF Model Signing sidecars: a second signature over a model's files, for tools that know that format.

Format: OMS specification 1.0. It says nothing of what was found, and its root digest does not bind the names of files;
nothing of ours rests on it. Known defects of model-signing 1.1 are avoided by what is called here: whole files are
hashed, never shards, whose digests it cannot read back; keys alone, for it judges a certificate by that certificate's
own dates; every file is included, on both sides, where by default it overlooks what begins with `.git`; links are
resolved first, which it refuses. Its bytes differ from one signing to the next and identify nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.extras import extras
from afterburn_core.certify.paths import ListedFile, listed
from afterburn_core.errors import ConfigError


def sidecar(key: Path, passphrase: Callable[[], str]) -> Callable[[Path, Path], None]:
    """What signs a model's directory with a key file and writes the bundle: `sign(model, file)`.

    Raises:
        ConfigError: the extra `oms` is not installed; from `sign`: the model cannot be signed.
    """
    with extras("OpenSSF Model Signing"):
        import OpenSSL  # noqa: F401 - model_signing imports it without asking for it
        from model_signing import hashing, signing
    signer: Any = signing.Config

    def sign(model: Path, file: Path) -> None:
        with without_links(model) as directory:
            try:
                config = signer().use_elliptic_key_signer(private_key=key, password=passphrase().encode())
                config.set_hashing_config(_every_file(hashing)).sign(directory, file)
            except (OSError, ValueError, TypeError) as error:
                said = " ".join(str(error).split())[:300]
                raise ConfigError(f"{model}: no model-signing sidecar could be made ({said})") from error

    return sign


def check(model: Path, file: Path, public_key: Path) -> None:
    """A sidecar against a model's files, all of them.

    Raises:
        ConfigError: the extra `oms` is not installed.
        Invalid: `oms.signature`: it is not the key's, or the files are not those that were signed.
    """
    with extras("OpenSSF Model Signing"):
        import OpenSSL  # noqa: F401 - as above
        from model_signing import hashing, verifying
    verifier: Any = verifying.Config
    with without_links(model) as directory:
        try:
            config = verifier().use_elliptic_key_verifier(public_key=public_key)
            config.set_hashing_config(_every_file(hashing)).verify(directory, file)
        except Exception as error:  # whatever its parsers raise on bytes of a stranger
            said = " ".join(str(error).split())[:200]
            raise Invalid("oms.signature", f"{file.name}: {type(error).__name__}: {said}") from error


@contextmanager
def without_links(model: Path) -> Iterator[Path]:
    """The directory itself, or where it holds links, as a hub's cache does, one with the files that they lead to.

    That one has the same name, which the signature includes. Its files are hard links where the disk allows it.
    """
    files = listed(model)
    if not any((model / file.relative).is_symlink() for file in files):
        yield model
        return
    with _directory_near(files[0].path) as made:
        copy = Path(made, model.absolute().name)
        _lay_out(files, copy)
        yield copy


def _directory_near(file: Path) -> tempfile.TemporaryDirectory[str]:
    """Beside a file, so that hard links work; elsewhere if that may not be written to."""
    try:
        return tempfile.TemporaryDirectory(prefix=".afterburn-oms-", dir=file.parent)
    except OSError:
        return tempfile.TemporaryDirectory(prefix="afterburn-oms-")


def _lay_out(files: Sequence[ListedFile], folder: Path) -> None:
    for file in files:
        target = folder / file.relative
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.path, target)
        except OSError:
            shutil.copyfile(file.path, target)


def _every_file(hashing: Any) -> Any:
    config = hashing.Config().use_file_serialization(hashing_algorithm="sha256")
    return config.set_ignored_paths(paths=[], ignore_git_paths=False)
