"""`VERIFY.txt`: its commands, taken out of the text and run by bash, hold for a true pack and for no other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "certificates"))

import packs
import pki
import tsa
import vectors_envelope as envelopes

from afterburn_core.certify.encoding import canonical
from afterburn_core.certify.envelope import BUNDLE_NAME, DRAFT_NAME, draft, seal
from afterburn_core.certify.instructions import Pack, commands, instructions
from afterburn_core.certify.keys import FileSigner, fingerprint, public_pem

pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("bash", "jq", "openssl", "sha256sum", "xargs")),
    reason="needs bash, jq, openssl and GNU coreutils and findutils",
)
THERE = Pack(pdf=False, certificate=False, timestamps=1, fingerprint="ab" * 32)


class Place:
    """A pack with its `VERIFY.txt`, a model and a base model, the issuer's key and the authority's root."""

    def __init__(self, folder: Path) -> None:
        self.pack, self.model, self.base = folder / "a pack", folder / "a model", folder / "base"
        self.key, self.tsa_root = folder / "issuer.pub", folder / "tsa-root.crt"

    def run(self, *left_out: str) -> subprocess.CompletedProcess[str]:
        """All commands of the text, one after the other, but those under the titles that are left out."""
        steps = commands((self.pack / "VERIFY.txt").read_text())
        script = "set -euo pipefail\n" + "".join(
            f"echo '# {title}'\n{text}" for title, text in steps.items() if title not in left_out
        )
        found = {
            "KEY": str(self.key),
            "MODEL": str(self.model),
            "BASE": str(self.base),
            "TSA_ROOT": str(self.tsa_root),
            "TMPDIR": str(self.pack.parent),
        }
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.pack,
            env={**os.environ, **found},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a place, to be copied."""
    authority = tsa.OpensslAuthority(tmp_path_factory.mktemp("tsa"))
    folder = tmp_path_factory.mktemp("made")
    place = Place(folder)
    bundle = seal(canonical(packs.sound_statement()), FileSigner(packs.key()), [authority.stamp])
    packs.write(place.pack, {**packs.genuine(), BUNDLE_NAME: bundle, "VERIFY.txt": instructions(THERE).encode()})
    packs.write(place.model, packs.model_files("trained"))
    packs.write(place.base, packs.model_files("base"))
    place.key.write_bytes(public_pem(packs.key().public_key()))
    place.tsa_root.write_bytes(tsa.root().pem)
    return folder


@pytest.fixture
def place(tmp_path: Path, made: Path) -> Place:
    return Place(shutil.copytree(made, tmp_path / "place"))


def test_every_command_holds_for_a_true_pack(place: Place) -> None:
    done = place.run()
    assert done.returncode == 0, done.stderr
    for said in ("Verified OK", "true", "Time stamp", fingerprint(packs.key().public_key())):
        assert said in done.stdout
    assert "Verification: OK" in done.stdout + done.stderr
    assert packs.sound_statement()["predicate"]["limitations"][0]["text"] in done.stdout


def _append(name: str) -> Callable[[Place], object]:
    def edit(place: Place) -> None:
        with open(place.pack / name, "ab") as stream:
            stream.write(b"\n")

    return edit


def _bundle(name: str) -> Callable[[Place], object]:
    case = next(case for case in envelopes.cases() if case.name == name)

    def edit(place: Place) -> None:
        made = envelopes.Ingredients(statement=packs.sound_statement(), key=packs.key())
        (place.pack / BUNDLE_NAME).write_bytes(case.make(made))

    return edit


def _other_root(place: Place) -> None:
    place.tsa_root.write_bytes(pki.root().pem)


HOSTILE: Mapping[str, tuple[Callable[[Place], object], str]] = {
    "payload edited": (_bundle("a01_payload_edited_fail"), "The statement is signed with that key"),
    "signed without PAE": (_bundle("a04_signed_without_pae_fail"), "The statement is signed with that key"),
    "attacker's key": (_bundle("a07_attacker_key_fail"), "The statement is signed with that key"),
    "other predicate": (_bundle("a12_other_predicate_type_fail"), "It is a statement about this list of files"),
    "list changed": (_append("trained.SHA256SUMS"), "It is a statement about this list of files"),
    "untrusted authority": (_other_root, "A timestamp authority saw the signature"),
    "file changed": (
        lambda place: (place.model / "config.json").write_bytes(b"{}"),
        "The model is the audited one",
    ),
    "file missing": (lambda place: (place.model / "config.json").unlink(), "The model is the audited one"),
    "file added": (lambda place: (place.model / "evil.py").write_bytes(b""), "The model is the audited one"),
    "hidden file added": (lambda place: (place.model / ".git.py").write_bytes(b""), "The model is the audited one"),
    "link added": (lambda place: (place.model / "a b.py").symlink_to("config.json"), "The model is the audited one"),
    "base's list changed": (_append("base.SHA256SUMS"), "The base model is the one it was compared with"),
    "base changed": (
        lambda place: (place.base / "config.json").write_bytes(b"{}"),
        "The base model is the one it was compared with",
    ),
    "result changed": (_append("result.json"), "The numbers behind it are these"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_step_that_an_attack_is_about_stops_it(name: str, place: Place) -> None:
    attack, step = HOSTILE[name]
    attack(place)
    # an envelope made anew has no timestamp, and what it would show is not asked then
    done = place.run(*(["A timestamp authority saw the signature"] if attack.__name__ == "edit" else []))
    reached = [line.removeprefix("# ") for line in done.stdout.splitlines() if line.startswith("# ")]
    assert done.returncode != 0
    assert reached[-1] == step


def test_every_command_of_a_draft_runs_and_shows_no_signature(place: Place) -> None:
    (place.pack / BUNDLE_NAME).unlink()
    (place.pack / DRAFT_NAME).write_bytes(draft(canonical(packs.sound_statement())))
    text = instructions(Pack(signed=False, pdf=False, certificate=False))
    assert "UNSIGNED DRAFT" in text
    (place.pack / "VERIFY.txt").write_text(text)
    done = place.run()
    assert done.returncode == 0, done.stderr
    assert "Verified OK" not in done.stdout


def test_lines_fit_a_terminal_and_name_only_files_that_the_pack_has() -> None:
    text = instructions(Pack(base=False, result=False, pdf=False, certificate=False))
    for absent in ("base.SHA256SUMS", "result.json", "certificate.pdf", "seal.crt", "oms", "TSA_ROOT", "$BASE"):
        assert absent not in text
    full = instructions(Pack(timestamps=1, oms=True))
    assert max(len(line) for line in full.splitlines() if not line.startswith("    ")) <= 78
    assert max(map(len, full.splitlines())) <= 124


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # WeasyPrint leaves font files open
def test_the_pdf_must_hold_the_same_statement_and_the_seal_be_of_the_same_key(place: Place) -> None:
    pytest.importorskip("weasyprint", reason="the extra pdf is not installed", exc_type=(ImportError, OSError))
    if shutil.which("pdfdetach") is None:
        pytest.skip("pdfdetach (poppler-utils) is not installed")
    from afterburn_core.certify.pdf_sign import sign_pdf
    from afterburn_core.certify.render import render

    bundle, signer = seal(canonical(packs.sound_statement(page=True)), FileSigner(packs.key())), FileSigner(packs.key())
    chain = pki.sound_chain().chain
    (place.pack / "certificate.pdf").write_bytes(sign_pdf(render(bundle), signer, chain))
    (place.pack / BUNDLE_NAME).write_bytes(bundle)
    (place.pack / "seal.crt").write_bytes(chain.certificate_pem)
    (place.pack / "VERIFY.txt").write_text(instructions(Pack()))
    done = place.run()
    assert done.returncode == 0, done.stderr
    _bundle("a14_malleable_signature")(place)  # a true certificate too, and another file
    done = place.run()
    assert done.returncode != 0
    assert "certificate.sigstore.json differ" in done.stdout + done.stderr
    (place.pack / BUNDLE_NAME).write_bytes(bundle)
    (place.pack / "seal.crt").write_bytes(pki.issue("Prüfhaus Siegel", pki.key("other"), pki.root()).pem)
    assert "differ" in place.run().stdout
