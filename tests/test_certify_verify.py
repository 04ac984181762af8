"""`afterburn verify`: exit codes, what a person reads, what a machine reads, and that nothing in it can crash."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

sys.path.append(str(Path(__file__).parent / "certificates"))

import packs
from packs import FIRST, SECOND, floats, model_files, safetensors, write

from afterburn_core.certify import checks_pdf
from afterburn_core.certify.aside import Aside, Job
from afterburn_core.certify.checks import Check, Skip, checked
from afterburn_core.certify.keys import public_pem
from afterburn_core.certify.verification_text import lines
from afterburn_core.certify.verify import CHECKS, Request, verify
from afterburn_core.cli.main import run
from afterburn_core.errors import SubjectError

HEAVY = {
    "afterburn_core.plugin.registry",
    "cattrs",
    "importlib.metadata",
    "jinja2",
    "jsonschema",
    "numpy",
    "pyhanko",
    "rich",
    "scipy",
    "torch",
    "weasyprint",
    "yaml",
}
NOT_OF_VERIFY = {"model.not_as_run", "result.findings", "oms.signature"}
"""Refusals to sign."""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write(tmp_path / "pack", packs.genuine())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "issuer.pub").write_bytes(public_pem(packs.key().public_key()))
    return tmp_path / "issuer.pub"


def machine(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of a command line."""
    code = run(["verify", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def told(document: Mapping[str, Any]) -> dict[str, Any]:
    """The checks of the first pack by id."""
    return {check["id"]: check for check in document["packs"][0]["checks"]}


def test_a_genuine_pack_is_verified_and_so_is_the_model(
    pack: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, base = (write(tmp_path / role, model_files(role)) for role in ("trained", "base"))
    arguments = [str(pack), "--key", str(key), "--model", str(model), "--base", str(base), "--rejudge", "--strict"]
    code, document = machine(arguments, capsys)
    status = {name: check["status"] for name, check in told(document).items()}
    skipped = {"test_result", "timestamp", "pdf", "rerender"}  # this pack has none of them
    assert code == 0 and document["verified"]
    assert status == {name: "skipped" if name in skipped else "ok" for name in CHECKS if name != "others"}
    facts = document["packs"][0]["certificate"]
    assert facts["overall"] == "PASS" and facts["certificate_id"] == packs.CERTIFICATE_ID


def test_each_file_that_is_another_is_named_with_what_became_of_it(
    pack: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = model_files("trained")
    files[FIRST], files[SECOND] = files[SECOND], safetensors({"mlp.weight": floats(0)})
    files["configuration.json"], files["run.py"] = files.pop("config.json"), b"import os"
    del files["README.md"]
    model = write(tmp_path / "model", files)
    code, document = machine([str(pack), "--key", str(key), "--model", str(model)], capsys)
    found = told(document)["model"]
    assert code == 4 and not document["verified"]
    assert sorted(found["details"]) == [
        "README.md: is listed and not there",
        "config.json: is there under the name configuration.json",
        f"{FIRST}: has the content listed for {SECOND}",
        f"{SECOND}: has other content than listed",
        "run.py: is there and not listed",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere", "--key", "KEY"], 2, "does not exist"),
        (["PACK"], 2, "--key"),
        (["PACK", "--key", "nowhere"], 2, "does not exist"),
        (["PACK", "--key", "KEY", "--require-timestamp"], 2, "--tsa-root"),
        (["PACK", "--key", "KEY", "--strict"], 4, "model.skipped"),
        (["PACK", "--key", "PACK/seal.pub"], 0, "The key came from the pack itself, so nothing shows who signed."),
        (["PACK", "--key", "PACK/seal.pub", "--strict"], 4, "key.from_pack"),
        (["PACK", "--key", "PACK/result.json"], 4, "NOT VERIFIED"),
        (["EMPTY", "--key", "KEY"], 4, "pack.missing"),
    ],
)
def test_wrong_use_is_told_from_a_certificate_that_does_not_hold(
    arguments: list[str],
    code: int,
    says: str,
    pack: Path,
    key: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"PACK": str(pack), "KEY": str(key), "EMPTY": str(tmp_path / "empty")}
    words = arguments
    for name, path in places.items():
        words = [word.replace(name, path) for word in words]
    assert run(["verify", *words]) == code
    captured = capsys.readouterr()
    assert says in captured.out + captured.err
    assert "Traceback" not in captured.err


def test_a_person_reads_it_at_sixty_columns(pack: Path, key: Path) -> None:
    text = list(lines(verify(pack, Request(key=key)), width=60))
    assert max(map(len, text)) <= 60
    whole = " ".join(" ".join(text).split())
    assert "toy-llama-sft compared with toy-llama" in whole
    assert "ok signature the key that you gave signed this certificate" in whole
    skipped = "rejudged, test_result, timestamp, model, base, pdf, rerender"
    assert f"VERIFIED: 9 checks hold. Not checked: {skipped}." in whole
    assert "The certificate says PASS: every required test passed (tests: 7 PASS, 2 INCONCLUSIVE, 1 NOT_RUN)." in whole
    assert "No model was compared with it" in whole
    assert "whether the key is the issuer's, it cannot show" in whole


def test_names_that_a_certificate_does_not_give_are_told_as_such_and_null_for_machines(
    pack: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert packs.sound_statement()["predicate"]["issuer"]["legalName"] is None
    code, document = machine([str(pack), "--key", str(key)], capsys)
    assert code == 0 and document["packs"][0]["certificate"]["issuer"] is None
    assert "signed for an issuer that gives no name" in " ".join(lines(verify(pack, Request(key=key)), width=200))


def test_a_failed_verification_ends_with_that_and_shows_nothing_of_the_certificate(pack: Path, tmp_path: Path) -> None:
    (tmp_path / "other.pub").write_bytes(public_pem(packs.pki.key("attacker").public_key()))
    text = list(lines(verify(pack, Request(key=tmp_path / "other.pub")), width=80))
    assert text[-1] == "NOT VERIFIED: 1 of 16 checks failed. Do not rely on this certificate."
    assert not any("toy-llama" in line for line in text)


def test_what_a_stranger_wrote_reaches_no_terminal_as_it_is(tmp_path: Path, key: Path) -> None:
    def rename(predicate: dict[str, Any]) -> None:
        predicate["issuer"]["legalName"] = "\u001b[2J\u001b[31mVERIFIED\u202e" + "x" * 4000
        packs.reworded(predicate)  # what is said depends on which fields are there

    files = packs.resealed(rename)
    text = "\n".join(lines(verify(write(tmp_path / "pack\u001b[1m", files), Request(key=key)), width=80))
    assert "\nVERIFIED: 9 checks" in text
    assert not {"\u001b", "\u202e"} & set(text)
    assert len(text) < 4000


def test_whatever_a_check_raises_refuses_the_certificate() -> None:
    def broken() -> str:
        raise RecursionError("deep")

    def unreadable() -> str:
        raise SubjectError("model: cannot be read")

    assert checked("pdf", broken) == Check(
        id="pdf", status="failed", message="could not be checked: RecursionError: deep", code="internal"
    )
    assert checked("model", unreadable).code == "model.unreadable"
    assert checked("model", Path("/nowhere/x").read_text).code == "model.unreadable"
    assert checked("pdf", lambda: ()).status == "failed", "nothing found is not something that holds"
    assert checked("pdf", lambda: Skip("why")).status == "skipped"


def test_checks_made_in_a_child_come_back_and_a_child_that_dies_fails_them(tmp_path: Path) -> None:
    def work(job: Job) -> tuple[Check, ...]:
        if job.rerender:
            os.kill(os.getpid(), 9)
        said = f"{job.pack.name} {job.bundle!r} {job.key!r} {os.getpid() != parent}"
        return (Check(id="pdf", status="failed", message=said, code="pdf.syntax", details=("größer", "b")),)

    parent = os.getpid()
    job = Job(pack=tmp_path / "ö\udcff", bundle=b"\xff", key=b"PEM", page=True, rerender=False)
    with Aside(work) as aside:
        if not aside.alive:
            pytest.skip("threads are running here, so that nothing may fork")
        assert aside.ask(job)() == (
            Check(
                id="pdf",
                status="failed",
                code="pdf.syntax",
                details=("größer", "b"),  # type: ignore[arg-type]
                message="ö\udcff b'\\xff' b'PEM' True",
            ),
        )
        for _ in range(2):
            (check,) = aside.ask(attrs.evolve(job, rerender=True))()
            assert (check.status, check.code) == ("failed", "internal")


def test_a_pack_is_checked_alike_with_and_without_a_child(tmp_path: Path, key: Path) -> None:
    sound, hostile = packs.with_page(), dict(packs.with_page())
    hostile["certificate.pdf"] = hostile["certificate.pdf"].replace(b"/Type", b"/Tipe", 1)
    folders = [write(tmp_path / name, files) for name, files in (("sound", sound), ("hostile", hostile))]
    with Aside(checks_pdf.pdf) as aside:
        beside = [verify(folder, Request(key=key, aside=aside)) for folder in folders]
    assert beside == [verify(folder, Request(key=key)) for folder in folders]
    assert beside[0].verified and not beside[1].verified


def test_verifying_imports_what_it_needs_and_no_more(pack: Path, key: Path) -> None:
    program = (
        "import sys; from afterburn_core.cli.main import run\n"
        f"code = run(['verify', {str(pack)!r}, '--key', {str(key)!r}])\n"
        f"print(code, sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["0 []"], done.stdout + done.stderr


def test_every_check_has_its_line_in_the_manual(root: Path) -> None:
    text = (root / "docs" / "verify.md").read_text(encoding="utf-8").partition("## What is checked")[2]
    assert re.findall(r"^\| `(\w+)` \|", text.partition("##")[0], flags=re.MULTILINE) == list(CHECKS)


def test_every_code_is_documented_and_every_documented_one_exists(root: Path) -> None:
    text = (root / "docs" / "verify.md").read_text(encoding="utf-8").partition("## Codes")[2]
    documented = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", text))
    sources = "".join(file.read_text(encoding="utf-8") for file in (root / "afterburn_core" / "certify").glob("*.py"))
    written = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', sources))
    raised = set(re.findall(r'Invalid\(\s*"([a-z_]+\.[a-z_]+)"', sources)) - NOT_OF_VERIFY
    made = {f"predicate.{name}_empty" for name in ("limitations", "not_tested", "tests")}
    made |= {"model.mixed_up", "model.same_tensors", "payload.fields", "payload.type"}
    assert raised - documented == set(), "undocumented"
    assert documented - written - made == set(), "documented, and nowhere in the code"
