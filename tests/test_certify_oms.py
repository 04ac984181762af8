"""OpenSSF sidecars: model-signing's own verifier takes them, and those defects of it that we avoid stay avoided."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "certificates"))

import packs
import pki

from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.keys import private_pem, public_pem
from afterburn_core.certify.oms import check, sidecar, without_links

verifying = pytest.importorskip("model_signing.verifying", reason="the extra oms is not installed")

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "seal.key").write_bytes(private_pem(packs.key(), PASSPHRASE))
    (folder / "seal.pub").write_bytes(public_pem(packs.key().public_key()))
    (folder / "other.pub").write_bytes(public_pem(pki.key("other").public_key()))  # type: ignore[arg-type]
    return folder


def signed(model: Path, keys: Path) -> Path:
    file = keys / f"{model.parent.name}.sig"
    sidecar(keys / "seal.key", lambda: PASSPHRASE)(model, file)
    return file


def test_its_own_verifier_takes_what_was_signed_without_being_told_how(tmp_path: Path, keys: Path) -> None:
    """As `model_signing verify key` calls it: how the files were hashed is read from the sidecar."""
    model = packs.write(tmp_path / "model", packs.model_files("trained"))
    file = signed(model, keys)
    verifying.Config().use_elliptic_key_verifier(public_key=keys / "seal.pub").verify(model, file)
    check(model, file, keys / "seal.pub")


def test_every_change_of_the_files_is_refused_even_where_its_default_overlooks_it(tmp_path: Path, keys: Path) -> None:
    model = packs.write(tmp_path / "model", {**packs.model_files("trained"), ".gitattributes": b"*.bin"})
    file = signed(model, keys)
    check(model, file, keys / "seal.pub")
    (model / ".github").mkdir()
    (model / ".github" / "evil.py").write_text("import os")
    with pytest.raises(Invalid, match="oms|sig") as refused:
        check(model, file, keys / "seal.pub")
    assert refused.value.code == "oms.signature"
    (model / ".github" / "evil.py").unlink()
    (model / ".github").rmdir()
    (model / "config.json").rename(model / "configuration.json")  # its root digest stays the same
    with pytest.raises(Invalid):
        check(model, file, keys / "seal.pub")
    (model / "configuration.json").rename(model / "config.json")
    check(model, file, keys / "seal.pub")
    with pytest.raises(Invalid):
        check(model, file, keys / "other.pub")
    file.write_bytes(b"{}")
    with pytest.raises(Invalid):
        check(model, file, keys / "seal.pub")


def test_a_model_in_a_hub_cache_is_signed_as_the_files_that_its_links_lead_to(tmp_path: Path, keys: Path) -> None:
    plain = packs.write(tmp_path / "plain" / "0123abc", packs.model_files("trained"))
    store = tmp_path / "models--org--name"
    snapshot = store / "snapshots" / "0123abc"
    (store / "blobs").mkdir(parents=True)
    for source in (path for path in plain.rglob("*") if path.is_file()):
        blob = store / "blobs" / hashlib.sha256(source.read_bytes()).hexdigest()
        blob.write_bytes(source.read_bytes())
        link = snapshot / source.relative_to(plain)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    file = signed(snapshot, keys)
    check(snapshot, file, keys / "seal.pub")
    check(plain, file, keys / "seal.pub")
    assert sorted(path.name for path in (store / "blobs").iterdir() if path.is_dir()) == []  # nothing stays behind
    with without_links(plain) as same:
        assert same == plain
