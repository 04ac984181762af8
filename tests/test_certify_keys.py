"""Keys: made, kept from others, read back by openssl, and replaced by a signer from elsewhere."""

from __future__ import annotations

import datetime
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives import serialization

sys.path.append(str(Path(__file__).parent / "certificates"))

import pki

from afterburn_core.certify.chain import LOCAL_TRUST, load_chain, local_chain
from afterburn_core.certify.command_options import CommandSignerOptions
from afterburn_core.certify.command_signer import command_signer
from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.extras import extras
from afterburn_core.certify.keys import FileSigner, fingerprint, load_public_key, load_signer, signed_by, signer_of
from afterburn_core.cli.main import run
from afterburn_core.errors import ConfigError, PluginError
from afterburn_core.plugin.hookspecs import hookimpl
from afterburn_core.plugin.registry import Plugin, Registry
from afterburn_core.plugin.specs import SignerSpec

PASSPHRASE = "correct horse battery"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """What `afterburn keygen` writes."""
    monkeypatch.setenv("AFTERBURN_KEY_PASSPHRASE", PASSPHRASE)
    assert run(["keygen", "--out", str(tmp_path / "keys"), "--name", "Prüfhaus & Söhne GmbH"]) == 0
    said = capsys.readouterr().out
    assert fingerprint(load_public_key(tmp_path / "keys" / "seal.pub")) in said
    assert LOCAL_TRUST in said
    return tmp_path / "keys"


def openssl(*arguments: str | Path, data: bytes = b"") -> str:
    finished = subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.decode()


def test_a_new_key_is_encrypted_private_and_certified_for_sealing_alone(made: Path) -> None:
    assert sorted(file.name for file in made.iterdir()) == ["root.crt", "seal.crt", "seal.key", "seal.pub"]
    assert stat.S_IMODE((made / "seal.key").stat().st_mode) == 0o600
    assert (made / "seal.key").read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert openssl("pkey", "-in", made / "seal.key", "-passin", f"pass:{PASSPHRASE}", "-pubout") == (
        (made / "seal.pub").read_text()
    )
    assert openssl("x509", "-in", made / "seal.crt", "-noout", "-pubkey") == (made / "seal.pub").read_text()
    openssl("verify", "-x509_strict", "-CAfile", made / "root.crt", made / "seal.crt")
    shown = openssl(
        "x509", "-in", made / "seal.crt", "-noout", "-subject", "-issuer", "-ext", "keyUsage,basicConstraints"
    )
    assert shown.count(LOCAL_TRUST) == 2
    assert "Digital Signature, Non Repudiation" in shown
    assert "CA:FALSE" in shown
    assert "CA:TRUE, pathlen:0" in openssl("x509", "-in", made / "root.crt", "-noout", "-text")


def test_the_fingerprint_is_what_openssl_prints(made: Path) -> None:
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(made / "seal.pub"), "-outform", "DER"], capture_output=True, check=True
    ).stdout
    expected = openssl("dgst", "-sha256", "-r", data=der).split()[0]
    assert fingerprint(load_public_key(made / "seal.pub")) == expected


def test_a_key_is_never_overwritten(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file.name: file.read_bytes() for file in made.iterdir()}
    assert run(["keygen", "--out", str(made), "--name", "another"]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in made.iterdir()} == before


def test_nothing_is_written_without_a_good_passphrase_and_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "keys"
    for value, name, message in (
        ("short", "Prüfhaus", "fewer than 8 characters"),
        ("", "Prüfhaus", "no passphrase: set AFTERBURN_KEY_PASSPHRASE"),
        (PASSPHRASE, "x" * 65, "1 to 64 printable characters"),
        (PASSPHRASE, "Prüf\nhaus", "1 to 64 printable characters"),
    ):
        monkeypatch.setenv("AFTERBURN_KEY_PASSPHRASE", value)
        assert run(["keygen", "--out", str(out), "--name", name]) == 2
        assert message in capsys.readouterr().err
        assert not out.exists()


def test_a_signer_reads_the_key_and_signs_the_same_way_every_time(made: Path) -> None:
    signer = load_signer(made / "seal.key", lambda: PASSPHRASE)
    signature = signed_by(signer, b"data")
    assert signature == signer.sign(b"data") == load_signer(made / "seal.key", lambda: PASSPHRASE).sign(b"data")
    (made / "signature").write_bytes(signature)
    said = openssl("dgst", "-sha256", "-verify", made / "seal.pub", "-signature", made / "signature", data=b"data")
    assert said.strip() == "Verified OK"


def test_a_key_that_openssl_encrypted_with_scrypt_signs_too(made: Path) -> None:
    """What docs/keys.md recommends for a passphrase that people remember."""
    openssl("pkcs8", "-topk8", "-scrypt", "-in", made / "seal.key", "-passin", f"pass:{PASSPHRASE}", "-out",
            made / "scrypt.key", "-passout", f"pass:{PASSPHRASE}")  # fmt: skip
    (made / "scrypt.key").chmod(0o600)
    assert load_signer(made / "scrypt.key", lambda: PASSPHRASE).public_key == load_public_key(made / "seal.pub")


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps access in lists, not in the mode")
@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o660])
def test_a_key_that_others_may_use_is_refused(made: Path, mode: int) -> None:
    (made / "seal.key").chmod(mode)
    with pytest.raises(ConfigError, match=f"others may use this key .mode {mode:04o}.; run: chmod 600"):
        load_signer(made / "seal.key", lambda: PASSPHRASE)


def test_a_key_that_a_group_may_read_is_taken_as_mounted_secrets_are_such(made: Path) -> None:
    (made / "seal.key").chmod(0o640)
    assert load_signer(made / "seal.key", lambda: PASSPHRASE)


def test_keys_that_cannot_be_used_are_refused_in_one_line_that_says_why(made: Path, tmp_path: Path) -> None:
    plain = pki.key("seal").private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    encryption = serialization.BestAvailableEncryption(PASSPHRASE.encode())
    other = pki.key("p384").private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    for content, message in (
        (plain, "the key is not encrypted; encrypt it with `openssl pkcs8 -topk8"),
        (other, "the key is on secp384r1; certificates are signed on P-256 alone; make one with `afterburn keygen`"),
        ((made / "seal.pub").read_bytes(), "no private key in PEM (this is a public key; the private one"),
        (b"\0" * 100_000, "larger than the 65536 bytes"),
    ):
        file = tmp_path / "some.key"
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(ConfigError) as refused:
            load_signer(file, lambda: PASSPHRASE)
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="the passphrase does not open it"):
        load_signer(made / "seal.key", lambda: "wrong " + PASSPHRASE)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_signer(tmp_path / "missing.key", lambda: PASSPHRASE)
    with pytest.raises(ConfigError, match="no private key in PEM"):  # and not that others may read it
        load_signer(made / "seal.pub", lambda: PASSPHRASE)
    with pytest.raises(ConfigError, match="is a directory; name the key's file in it, such as .*seal.key"):
        load_signer(made, lambda: PASSPHRASE)
    with pytest.raises(Invalid, match="this is a certificate; take its key out: openssl x509 -in seal.crt"):
        load_public_key(made / "seal.crt")


def test_a_key_on_the_command_line_is_refused_and_not_repeated() -> None:
    """The message ends in logs."""
    with pytest.raises(ConfigError) as refused:
        load_signer(Path("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByq\n"), lambda: PASSPHRASE)
    assert "MIGH" not in str(refused.value)


def test_public_keys_of_other_kinds_are_refused(made: Path) -> None:
    for content, code in (
        (b"", "key.unreadable"),
        ((made / "seal.key").read_bytes(), "key.unreadable"),
        ((made / "seal.crt").read_bytes(), "key.unreadable"),
    ):
        (made / "given.pub").write_bytes(content)
        with pytest.raises(Invalid) as refused:
            load_public_key(made / "given.pub")
        assert refused.value.code == code
    with pytest.raises(ConfigError, match="nowhere.pub: the public key cannot be read"):
        load_public_key(made / "nowhere.pub")


def test_a_certificate_of_another_key_is_no_certificate_for_this_one(made: Path) -> None:
    key = load_public_key(made / "seal.pub")
    chain = load_chain(made / "seal.crt", made / "root.crt", key)
    assert chain.is_local
    assert len(chain.issuers) == 1
    (made / "other.crt").write_bytes(pki.seal().pem)
    with pytest.raises(ConfigError, match="the certificate of another key"):
        load_chain(made / "other.crt", None, key)
    assert not pki.sound_chain().chain.is_local


def test_every_local_root_is_another_one_and_its_key_is_kept_nowhere(made: Path) -> None:
    """Whoever gets hold of seal.key still cannot issue a certificate under the same root."""
    key = load_public_key(made / "seal.pub")
    now = datetime.datetime.now(datetime.UTC)
    roots = {fingerprint(local_chain(key, "Prüfhaus", now).issuers[0].public_key()) for _ in range(3)}  # type: ignore[arg-type]
    assert len(roots) == 3
    assert not any(b"PRIVATE" in file.read_bytes() for file in made.iterdir() if file.name != "seal.key")


# ---- signers from elsewhere


@pytest.fixture(scope="module")
def hardware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key that only openssl touches: it stands for a module with a program of its own."""
    folder = tmp_path_factory.mktemp("hsm")
    openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", folder / "inside.pem")
    openssl("pkey", "-in", folder / "inside.pem", "-pubout", "-out", folder / "seal.pub")
    return folder


def test_a_program_that_signs_takes_the_place_of_a_key_file(tmp_path: Path, hardware: Path) -> None:
    program = f"openssl dgst -sha256 -sign '{hardware / 'inside.pem'}'"
    options = [f"command={program}", f"public_key={hardware / 'seal.pub'}", "seconds=30"]
    flags = [word for option in options for word in ("--signer-option", option)]
    out = tmp_path / "keys"
    assert run(["keygen", "--out", str(out), "--name", "Prüfhaus", "--signer", "core.command", *flags]) == 0
    assert sorted(file.name for file in out.iterdir()) == ["root.crt", "seal.crt", "seal.pub"]
    assert (out / "seal.pub").read_bytes() == (hardware / "seal.pub").read_bytes()
    openssl("verify", "-CAfile", out / "root.crt", out / "seal.crt")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("false", "false ended with 1: no message"),
        ("no-such-program-here", "cannot be run"),
        ("cat", "no signature by its public key"),
        ("sleep 20", "took more than 1 s"),
        ("sh -c 'echo locked >&2; exit 3'", "sh ended with 3: locked"),
    ],
)
def test_a_program_that_does_not_sign_is_one_line(command: str, message: str, hardware: Path) -> None:
    options = CommandSignerOptions(command=command, public_key=str(hardware / "seal.pub"), seconds=1)
    with pytest.raises(PluginError) as refused:
        signed_by(command_signer(options), b"data")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


class Faulty:
    """A plugin's signer whose module raises whatever it likes."""

    public_key = pki.key("seal").public_key()

    def sign(self, data: bytes) -> bytes:
        raise RuntimeError("session\nexpired")


class Undetermined:
    """As a KMS does, it signs the same bytes differently each time."""

    public_key = pki.key("seal").public_key()

    def sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return pki.key("seal").sign(data, ec.ECDSA(hashes.SHA256()))  # type: ignore[arg-type,call-arg]


def faulty(options: None) -> Faulty:
    return Faulty()


def undetermined(options: None) -> Undetermined:
    return Undetermined()


def unreachable(options: None) -> None:
    raise OSError("no route to the module")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """One with a plugin `hsm`, whose factories are those above."""

    @hookimpl
    def afterburn_signers() -> list[SignerSpec]:
        return [
            SignerSpec(name=f"hsm.{name}", summary="of a test", factory=f"afterburn_tests_hsm:{name}")
            for name in ("faulty", "undetermined", "unreachable")
        ]

    module = ModuleType("afterburn_tests_hsm")
    vars(module).update(
        afterburn_signers=afterburn_signers, faulty=faulty, undetermined=undetermined, unreachable=unreachable
    )
    monkeypatch.setitem(sys.modules, "afterburn_tests_hsm", module)
    return Registry([Plugin(name="hsm", distribution="afterburn-hsm", version="1", module=module)])


def ask(registry: Registry, name: str | None, key: Path | None = None, **options: str) -> object:
    return signer_of(key, name, options, registry, lambda: PASSPHRASE)


def test_a_plugin_brings_a_signer_whose_signatures_need_not_repeat(registry: Registry) -> None:
    signer = ask(registry, "hsm.undetermined")
    assert isinstance(signer, Undetermined)
    assert signed_by(signer, b"data") != signed_by(signer, b"data")


def test_whatever_a_plugin_raises_is_one_line_with_its_name(registry: Registry) -> None:
    with pytest.raises(PluginError, match="^signer Faulty failed: RuntimeError: session expired$"):
        signed_by(Faulty(), b"data")
    with pytest.raises(PluginError, match="^signer hsm.unreachable cannot be used: OSError: no route to the module$"):
        ask(registry, "hsm.unreachable")
    with pytest.raises(PluginError, match="no signer is named 'hsm.fault', did you mean 'hsm.faulty'"):
        ask(registry, "hsm.fault")
    with pytest.raises(ConfigError, match="takes no options"):
        ask(registry, "hsm.faulty", pin="1234")


def test_what_signs_must_be_named_once_or_nothing_signs(registry: Registry, made: Path) -> None:
    assert ask(registry, None) is None
    assert isinstance(ask(registry, None, made / "seal.key"), FileSigner)
    with pytest.raises(ConfigError, match="both named"):
        ask(registry, "hsm.faulty", made / "seal.key")
    with pytest.raises(ConfigError, match="no signer is named"):
        ask(registry, None, made / "seal.key", pin="1234")


def test_a_missing_package_is_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc8785", None)
    with (
        pytest.raises(ConfigError, match=r"^signing needs rfc8785, .*: pip install 'afterburn-core\[sign\]'$"),
        extras("signing"),
    ):
        import rfc8785  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="nothing_of_ours"), extras("signing"):
        import nothing_of_ours  # noqa: F401
