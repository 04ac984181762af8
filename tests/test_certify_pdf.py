"""The certificate on paper: what it is as a file, what it says, and that only what it says can be in it."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyhanko", reason="needs the extra `pdf`")
pikepdf = pytest.importorskip("pikepdf")
try:
    import weasyprint  # noqa: F401
except OSError as error:
    pytest.skip(f"Pango is missing: {error}", allow_module_level=True)

sys.path.insert(0, str(Path(__file__).parent / "certificates"))
import packs  # noqa: E402
import pki  # noqa: E402
import vectors_pdf  # noqa: E402
from vectors_pdf import Case  # noqa: E402

from afterburn_core.certify.encoding import Invalid, canonical  # noqa: E402
from afterburn_core.certify.envelope import BUNDLE_NAME, DRAFT_NAME, draft, seal  # noqa: E402
from afterburn_core.certify.keys import FileSigner  # noqa: E402
from afterburn_core.certify.page_fields import blocks, rounded, table  # noqa: E402
from afterburn_core.certify.pdf_check import check_pdf, check_rendering  # noqa: E402
from afterburn_core.certify.pdf_sign import sign_pdf  # noqa: E402
from afterburn_core.certify.render import LONGEST, render, rendering, rendering_differences  # noqa: E402
from afterburn_core.errors import AfterburnError, ConfigError  # noqa: E402
from afterburn_core.report.typesetting import printable, typeset  # noqa: E402

DRAFT_DESCRIPTION = (
    "UNSIGNED DRAFT. Draft of an audit attestation that nobody has signed. Not a certificate of conformity (Art. 44 AI "
    "Act), not a CE marking, not legal advice."
)
NOTICE = (
    "Signed audit attestation. Not a certificate of conformity (Art. 44 AI Act), not a CE marking, not legal advice."
)
KEY = packs.key().public_key()
needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler's pdftotext")


def small() -> dict[str, Any]:
    """A statement of a few pages: drawing is a matter of seconds for a whole one."""
    statement = packs.sound_statement(page=True)
    predicate = statement["predicate"]
    predicate["tests"] = predicate["tests"][:5]
    predicate["notTested"] = predicate["notTested"][:3]
    predicate["coverage"] = predicate["coverage"][:2]
    predicate["completeness"]["components"] = predicate["completeness"]["components"][:3]
    predicate["evidence"]["artifacts"] = predicate["evidence"]["artifacts"][:2]
    return statement


def bundle_of(statement: dict[str, Any]) -> bytes:
    return seal(canonical(statement), FileSigner(packs.key()))


@cache
def bundle() -> bytes:
    return bundle_of(small())


@cache
def unsigned() -> bytes:
    return render(bundle())


@cache
def sealed() -> bytes:
    return vectors_pdf.by_issuer(unsigned())


def text_of(pdf: bytes, *options: str) -> str:
    command = ["pdftotext", "-raw", *options, "-", "-"]
    return subprocess.run(command, input=pdf, capture_output=True, check=True).stdout.decode("utf-8")


def flowing(pdf: bytes) -> str:
    """The text as one line: where lines break is a matter of layout."""
    return " ".join(text_of(pdf).split())


def streams(document: Any) -> Iterator[bytes]:
    for thing in document.objects:
        if isinstance(thing, pikepdf.Stream):
            yield thing.read_bytes()


# the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [unsigned, sealed], ids=["unsigned", "sealed"])
def test_it_has_the_structure_of_pdf_a_3u_before_and_after_sealing(make: Any) -> None:
    with pikepdf.open(io.BytesIO(make())) as document:
        root = document.Root
        with document.open_metadata() as metadata:
            assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "U")
            assert metadata["xmp:CreateDate"] == packs.ISSUED
            assert metadata["dc:title"] == str(document.docinfo.Title)
        assert not document.is_encrypted and "/Encrypt" not in document.trailer
        assert [str(intent.S) for intent in root.OutputIntents] == ["/GTS_PDFA1"]
        assert root.MarkInfo.Marked is True and "/StructTreeRoot" in root and str(root.Lang) == "en"
        (associated,) = root.AF
        assert str(associated.AFRelationship) == "/Source" and str(associated.UF) == BUNDLE_NAME
        assert associated.EF.F.read_bytes() == bundle()
        assert {"/JavaScript", "/OpenAction", "/AA"}.isdisjoint(root.keys())
        assert all(
            annotation.F == 4
            for page in document.pages
            for annotation in page.get("/Annots", ())
            if annotation.Subtype == "/Link"
        )


def test_every_font_is_embedded_and_one_of_ours() -> None:
    with pikepdf.open(io.BytesIO(unsigned())) as document:
        fonts = [
            thing
            for thing in document.objects
            if isinstance(thing, pikepdf.Dictionary) and thing.get("/Type") == "/FontDescriptor"
        ]
        names = {str(font.FontName).partition("+")[2] for font in fonts}
        assert all("/FontFile2" in font for font in fonts)
    assert names == {"Afterburn-Sans", "Afterburn-Sans-Bold", "Afterburn-Mono", "Afterburn-Serif-Bold"}


def test_the_seal_is_appended_covers_the_file_and_shows_nothing() -> None:
    assert sealed().startswith(unsigned())
    with pikepdf.open(io.BytesIO(sealed())) as document:
        (field,) = document.Root.AcroForm.Fields
        start, length, after, rest = (int(number) for number in field.V.ByteRange)
        assert (start, after + rest) == (0, len(sealed()))
        assert sealed()[length : length + 1] == b"<" and sealed()[after - 1 : after] == b">"
        assert [float(number) for number in field.Rect] == [0, 0, 0, 0] and int(field.F) == 132
        assert str(field.V.SubFilter) == "/ETSI.CAdES.detached"
        assert int(field.V.Reference[0].TransformParams.P) == 1
        assert "/NeedAppearances" not in document.Root.AcroForm
    check_pdf(sealed(), bundle(), KEY)


def test_another_process_with_another_hash_seed_place_and_time_zone_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_bytes(bundle())
    program = (
        "import sys, hashlib; from afterburn_core.certify.render import render; "
        "print(hashlib.sha256(render(open('bundle', 'rb').read())).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Asia/Kolkata", "LANG": "C", "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == hashlib.sha256(unsigned()).hexdigest()


def test_verapdf_finds_it_to_be_pdf_a_3u(tmp_path: Path) -> None:
    if shutil.which("verapdf") is None:
        pytest.skip("veraPDF is not installed")
    for name, content in (("unsigned", unsigned()), ("sealed", sealed())):
        path = tmp_path / f"{name}.pdf"
        path.write_bytes(content)
        found = subprocess.run(
            ["verapdf", "--flavour", "3u", "--format", "text", str(path)], capture_output=True, text=True, check=False
        )
        assert found.stdout.startswith("PASS"), found.stdout


# the pages --------------------------------------------------------------------------------------------------------


@needs_poppler
def test_the_first_page_says_what_it_is_about_what_it_comes_to_and_what_it_is_not() -> None:
    statement = small()["predicate"]
    page = " ".join(text_of(unsigned(), "-l", "1").split())
    for said in (
        NOTICE,
        statement["summary"]["overall"],
        statement["certificateId"],
        statement["models"]["trained"]["measured"]["manifest"]["sha256"],
        statement["models"]["base"]["measured"]["manifest"]["sha256"],
        statement["seal"]["keyFingerprint"],
        hashlib.sha256(canonical(small())).hexdigest(),
        "LOCAL TRUST ONLY",
        "Time claimed by the issuer",
    ):
        assert said in page


@needs_poppler
def test_contents_name_the_page_on_which_each_section_begins_and_every_page_its_number() -> None:
    pages = text_of(unsigned()).split("\f")[:-1]
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page and f"Certificate {packs.CERTIFICATE_ID}" in page
    entries = re.findall(r"^(\d+)\. (.+?) ?(\d+)$", pages[1], flags=re.MULTILINE)
    assert len(entries) >= 12
    for number, title, page in entries:
        assert f"\n{number}. {title}" in f"\n{pages[int(page) - 1]}"


@needs_poppler
def test_f07_every_number_in_the_text_is_the_number_in_the_json() -> None:
    predicate = small()["predicate"]
    text = flowing(unsigned())
    number = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
    compared = 0
    for test in predicate["tests"]:
        leading = next((one for one in test["numbers"] if one["value"] is not None), None)
        if leading is None:
            continue
        line = text[text.index(f"{test['id']} {test['verdict']};") :]
        found = re.search(rf" value(?: in [^:]+)?: {number}(?: \[{number}, {number}\])?", line)
        assert found is not None
        interval = leading["interval"] or {"low": None, "high": None}
        read = [None if part is None else float(part) for part in found.groups()]
        assert read == [leading["value"], interval["low"], interval["high"]]
        assert rounded(leading["value"]) in text
        compared += 1
    assert compared >= 3
    predicate["completeness"]["components"] = []  # by name alone
    for test in predicate["tests"]:
        del test["numbers"][1:]
    printed = {float(token) for token in re.findall(r"(?<![\w.-])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])", text)}
    missing = {one for one in numbers_in(predicate) if float(one) not in printed}
    assert not missing


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


@needs_poppler
def test_a_draft_says_so_on_every_page_and_carries_the_statement_under_its_own_name() -> None:
    statement = small()
    statement["predicate"]["seal"] = {"origin": "measured", "state": "draft", "keyFingerprint": None, "trust": "none"}
    pdf = render(draft(canonical(statement)))
    pages = text_of(pdf).split("\f")[:-1]
    assert pages and all("UNSIGNED DRAFT" in " ".join(page.split()) for page in pages)
    first = " ".join(pages[0].split())
    assert DRAFT_DESCRIPTION in first and "Signed audit attestation" not in " ".join(pages)
    assert "UNSIGNED DRAFT" not in text_of(unsigned()) and NOTICE in " ".join(text_of(unsigned()).split())
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert [str(name) for name in document.attachments] == [DRAFT_NAME]


def test_lists_stay_lists_across_lines_and_short_values_are_not_broken() -> None:
    (block,) = blocks({"names": [f"name{n}" for n in range(40)], "manifest": {"sha256": "0" * 64, "files": list("ab")}})
    names = block.rows[0].cells
    assert " ".join(cell.text for cell in names) == ", ".join(f"name{n}" for n in range(40)) and len(names) == 3
    assert [row.label for row in block.rows] == ["Names", "Manifest, SHA-256", "Manifest, files"]
    found = table("Files", [{"path": "a" * 40, "bytes": 1099361, "kind": "probe_set", "sha256": "0" * 64}])
    share = {name: float(width) for name, width in found.columns}
    characters_on_a_line = 168 / 1.6  # the block's width in mm over that of a digit at 7.6 pt
    assert all(
        share[name] / 100 * characters_on_a_line > len(text)
        for name, text in [("Bytes", "1099361"), ("Kind", "probe_set")]
    )


# what strangers wrote ---------------------------------------------------------------------------------------------


@needs_poppler
def test_f01_to_f04_and_f06_markup_is_text_nothing_is_fetched_and_look_alikes_are_spelt_out() -> None:
    statement = small()
    hostile = vectors_pdf.hostile_statement()["predicate"]
    for part in ("issuer", "purpose", "models"):
        statement["predicate"][part] = hostile[part]
    pdf = render(bundle_of(statement))
    text = text_of(pdf).replace("\n", "")
    assert "<script>alert(1)</script>" in text and "{{ page.id }}" in text
    assert "model⟨U+202E⟩gpj.exe" in text.replace(" ", "") and "\u202e" not in text
    assert "⟨U+FF10⟩.⟨U+FF19⟩" in text and "⟨U+0660⟩" in text and "⟨U+1D7D7⟩" in text
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert [str(name) for name in document.attachments] == [BUNDLE_NAME]
        links = [note for page in document.pages for note in page.get("/Annots", ())]
        assert links and all("/A" not in note and "/Dest" in note for note in links)
        host = Path("/etc/hostname").read_bytes().strip()
        assert not any(host in content for content in streams(document) if content != bundle_of(statement))


@needs_poppler
def test_f05_a_text_of_a_megabyte_is_cut_and_says_so() -> None:
    statement = small()
    statement["predicate"]["tests"][0]["name"] = "A" * 1_000_000
    statement["predicate"]["models"]["trained"]["declared"]["name"] = "long-" * 300
    pdf = render(bundle_of(statement))
    text = "".join(text_of(pdf).split())
    assert "(1000000characters;theembeddedfilehasthemall)" in text
    assert LONGEST < text.count("A") < 4 * LONGEST
    check_pdf(vectors_pdf.by_issuer(pdf), bundle_of(statement), KEY)


@pytest.mark.parametrize(
    "asks",
    [
        '<img src="file:///etc/passwd">',
        '<img src="http://attacker.invalid/x.png">',
        '<img src="data:image/svg+xml,x">',
        '<link rel=attachment href="file:///etc/passwd">',
        '<link rel=stylesheet href="http://attacker.invalid/x.css">',
        '<p style="background: url(file:///etc/passwd)">x</p>',
        "<style>@font-face { font-family: x; src: url(file:///etc/passwd) } p { font-family: x }</style><p>x</p>",
    ],
)
def test_a_page_that_asks_for_anything_by_address_is_not_rendered(asks: str) -> None:
    html = f"<html lang=en><title>x</title><body>{asks}</body></html>"
    moment = pki.now()
    with pytest.raises(AfterburnError, match="by address"):
        typeset(html, "body { font-family: 'Afterburn Sans' }", identifier=bytes(16), when=moment)


def test_characters_without_a_glyph_of_ours_or_with_a_place_of_their_own_are_spelt_out() -> None:
    assert printable("e\u0301 ≤ × “ä” Ж\n") == "é ≤ × “ä” Ж\n"
    for character in "中\u0338\u200b\u202e\u00ad\uff10\u0661\ue000\U0001f600\x00":
        assert character not in printable(f"a{character}b")


# the check --------------------------------------------------------------------------------------------------------


# Those that take drawing twice are left to the verifier's own run over all vectors.
@pytest.mark.parametrize(
    "case", [case for case in vectors_pdf.cases() if not case.rerender], ids=lambda case: case.name
)
def test_each_attack_on_the_pdf_is_refused_for_its_own_reason(case: Case) -> None:
    beside = vectors_pdf.files("hostile" if case.statement else "genuine")[BUNDLE_NAME]
    pdf = case.make()
    assert case.name.endswith("_fail") is (case.code is not None)
    if case.code is None:
        check_pdf(pdf, beside, KEY)
        return
    with pytest.raises(Invalid) as refused:
        check_pdf(pdf, beside, KEY)
    assert refused.value.code == case.code
    assert str(refused.value).isprintable()


def test_the_seal_must_come_from_the_roots_that_are_named() -> None:
    through_intermediate = sign_pdf(unsigned(), FileSigner(packs.key()), pki.sound_intermediate_chain().chain)
    check_pdf(through_intermediate, bundle(), KEY, roots=[pki.root().certificate])
    stranger = pki.issue("Another root", pki.key("attacker"), ca=True)
    with pytest.raises(Invalid) as refused:
        check_pdf(sealed(), bundle(), KEY, roots=[stranger.certificate])
    assert refused.value.code == "pdf.certificate_chain"


def test_a_revocation_list_decides_on_a_seal_that_has_one() -> None:
    revoked = pki.faulty_chains()["d02_revoked_fail"].chain
    pdf = sign_pdf(unsigned(), FileSigner(packs.key()), revoked)
    with pytest.raises(Invalid) as refused:
        check_pdf(pdf, bundle(), KEY, roots=[pki.root().certificate], crls=[pki.revocations()])
    assert refused.value.code == "pdf.certificate_revoked"


def test_a_timestamp_in_the_seal_is_held_against_the_roots_of_its_service() -> None:
    from asn1crypto import keys, x509
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID
    from pyhanko.sign.timestamps import DummyTimeStamper

    purposes = (ExtendedKeyUsageOID.TIME_STAMPING,)
    service = pki.issue("Zeitstelle", pki.key("rsa2048"), pki.root(), purposes=purposes, purposes_critical=True)
    private = service.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    stamper = DummyTimeStamper(
        x509.Certificate.load(service.certificate.public_bytes(Encoding.DER)), keys.PrivateKeyInfo.load(private)
    )
    pdf = sign_pdf(unsigned(), FileSigner(packs.key()), pki.sound_chain().chain, timestamper=stamper)
    check_pdf(pdf, bundle(), KEY)
    check_pdf(pdf, bundle(), KEY, tsa_roots=[pki.root().certificate])
    stranger = pki.issue("Another root", pki.key("attacker"), ca=True)
    with pytest.raises(Invalid) as refused:
        check_pdf(pdf, bundle(), KEY, tsa_roots=[stranger.certificate])
    assert refused.value.code == "pdf.timestamp"


def test_pages_of_other_releases_are_not_comparable_and_so_not_refused() -> None:
    statement = small()
    recorded = statement["predicate"]["rendering"]
    assert {name: recorded[name] for name in ("templateSha256", "renderers")} == rendering()
    other = copy.deepcopy(statement)
    other["predicate"]["rendering"]["renderers"][-1]["version"] = "69.0"
    assert rendering_differences(bundle()) == ()
    reason = check_rendering(sealed(), bundle_of(other))
    assert reason is not None and "69.0" in reason


def test_what_is_no_pdf_or_no_certificate_is_refused_in_one_line() -> None:
    for data in (b"", b"%PDF-1.7\n", unsigned()[:5000], b"\x00" * 1000, sealed()[:-40], json.dumps({}).encode()):
        with pytest.raises(Invalid, match=".") as refused:
            check_pdf(data, bundle(), KEY)
        assert refused.value.code in {"pdf.syntax", "pdf.unreadable", "pdf.unsigned"} and "\n" not in str(refused.value)
    for data in (b"", b"{}", b"[]", b'{"dsseEnvelope": 1}', canonical({"_type": "x"})):
        with pytest.raises(Invalid):
            render(data)


def test_a_seal_needs_the_certificate_of_its_own_key() -> None:
    stranger = FileSigner(pki.key("attacker"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="another key"):
        sign_pdf(unsigned(), stranger, pki.sound_chain().chain)
