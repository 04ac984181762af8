"""Lists D (on PDF seals), E and F: PDF files with one fault each, and the code each is refused with.

A case makes `certificate.pdf`; everything beside it in the pack is genuine. Attackers have no key of the issuer's: what
they do, they do to a sealed file. A dishonest issuer has it, and seals what should not be there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import attrs
import packs
import pki
from vector import Presented, Vector

from afterburn_core.certify.chain import Chain
from afterburn_core.certify.encoding import canonical
from afterburn_core.certify.envelope import BUNDLE_NAME
from afterburn_core.certify.keys import FileSigner
from afterburn_core.certify.pdf_sign import FIELD, sign_pdf

PDF_NAME = "certificate.pdf"
INJECTED = (
    '<script>alert(1)</script><img src="http://attacker.invalid/x.png"><img src="file:///etc/passwd">'
    '<link rel=attachment href="file:///etc/hostname"><a href="http://attacker.invalid/">x</a>'
    "<style>body{background:url(file:///etc/passwd)}</style>{{ page.id }}"
)
REVERSED = "model\u202egpj.exe"
HOMOGLYPHS = "accuracy \uff10.\uff19\uff19 \u0660\u0661 \U0001d7d7"


@attrs.frozen(kw_only=True)
class Case:
    """One PDF."""

    id: str
    """Its line in the lists."""
    name: str
    code: str | None
    """`None`: accepted."""
    make: Callable[[], bytes]
    statement: Callable[[], dict[str, Any]] | None = None
    """The statement beside it, where it is not the genuine one."""
    rerender: bool = False


# what they start from ---------------------------------------------------------------------------------------------


def hostile_statement() -> dict[str, Any]:
    """A statement whose free texts try everything: markup, addresses, reversed text, digits that are none."""
    found = packs.sound_statement(page=True)
    issuer, trained = found["predicate"]["issuer"], found["predicate"]["models"]["trained"]
    issuer["legalName"] = INJECTED
    trained["declared"]["name"] = REVERSED
    trained["declared"]["version"] = HOMOGLYPHS
    found["predicate"]["purpose"] = INJECTED
    packs.reworded(found["predicate"])  # what is said depends on which fields are filled in
    return found


@cache
def files(which: str = "genuine") -> packs.Files:
    """A pack's files without the PDF, by the statement's name."""
    statement = {"genuine": partial(packs.sound_statement, page=True), "hostile": hostile_statement}[which]
    return packs.files_of(statement())


@cache
def rendering(which: str = "genuine") -> bytes:
    """The unsigned PDF."""
    from afterburn_core.certify.render import render

    return render(files(which)[BUNDLE_NAME])


@cache
def sealed(which: str = "genuine") -> bytes:
    """The PDF as `afterburn certify` writes it."""
    return by_issuer(rendering(which))


def by_issuer(pdf: bytes, chain: Chain | None = None) -> bytes:
    """Sealed with the issuer's own key."""
    return sign_pdf(pdf, FileSigner(packs.key()), chain or pki.sound_chain().chain)


def by_stranger(pdf: bytes, leaf: pki.Issued, issuers: tuple[Any, ...] = (), field: str = FIELD) -> bytes:
    """Signed with any key of any kind, through pyHanko alone; certifying nothing."""
    from asn1crypto import keys, x509
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import fields, signers
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    private = leaf.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    store = SimpleCertificateStore()
    for issuer in issuers:
        store.register(x509.Certificate.load(issuer.public_bytes(Encoding.DER)))
    signer = signers.SimpleSigner(
        signing_cert=x509.Certificate.load(leaf.certificate.public_bytes(Encoding.DER)),
        signing_key=keys.PrivateKeyInfo.load(private),
        cert_registry=store,
    )
    metadata = signers.PdfSignatureMetadata(
        field_name=field, md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES
    )
    output = io.BytesIO()
    signers.sign_pdf(
        IncrementalPdfFileWriter(io.BytesIO(pdf)),
        metadata,
        signer=signer,
        output=output,
        new_field_spec=fields.SigFieldSpec(field),
    )
    return output.getvalue()


def updated(pdf: bytes, change: Callable[[Any], None]) -> bytes:
    """An incremental update, as anyone can append one."""
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


def rewritten(pdf: bytes, change: Callable[[Any], None]) -> bytes:
    """The file with other objects, before it is sealed."""
    import pikepdf

    with pikepdf.open(io.BytesIO(pdf)) as document:
        change(document)
        output = io.BytesIO()
        document.save(output, static_id=True)
    return output.getvalue()


# attacks on a sealed file -----------------------------------------------------------------------------------------


def _bit_flip() -> bytes:
    data = bytearray(sealed())
    data[data.index(b"stream\n") + 40] ^= 1
    return bytes(data)


def _first_page(writer: Any) -> Any:
    return writer.root["/Pages"]["/Kids"][0]


def _overlay(writer: Any) -> None:
    from pyhanko.pdf_utils import generic

    white = generic.StreamObject(stream_data=b"q 1 1 1 rg 0 0 600 850 re f Q")
    page = _first_page(writer)
    contents = page["/Contents"] if isinstance(page["/Contents"], generic.ArrayObject) else [page.raw_get("/Contents")]
    page["/Contents"] = generic.ArrayObject([*contents, writer.add_object(white)])
    writer.update_container(page)


def _swap_attachment(writer: Any) -> None:
    from pyhanko.pdf_utils import generic

    file = writer.root["/Names"]["/EmbeddedFiles"]["/Names"][1]
    file["/EF"]["/F"] = writer.add_object(generic.StreamObject(stream_data=b"{}"))
    writer.update_container(file)


def _overwrite_attachment() -> bytes:
    data = bytearray(sealed())
    begin = data.index(b"stream\n", data.index(b"/EmbeddedFile")) + len(b"stream\n")
    data[begin + 200 : begin + 220] = bytes(20)
    return bytes(data)


def _annotation(writer: Any) -> None:
    from pyhanko.pdf_utils import generic

    note = generic.DictionaryObject(
        {
            generic.pdf_name("/Type"): generic.pdf_name("/Annot"),
            generic.pdf_name("/Subtype"): generic.pdf_name("/FreeText"),
            generic.pdf_name("/Rect"): generic.ArrayObject([generic.NumberObject(n) for n in (50, 700, 300, 760)]),
            generic.pdf_name("/Contents"): generic.pdf_string("PASS"),
            generic.pdf_name("/DA"): generic.pdf_string("/Helv 20 Tf"),
        }
    )
    page = _first_page(writer)
    page["/Annots"] = generic.ArrayObject([*page.get("/Annots", ()), writer.add_object(note)])
    writer.update_container(page)


def _active(entry: str, writer: Any) -> None:
    from pyhanko.pdf_utils import generic

    action = generic.DictionaryObject(
        {
            generic.pdf_name("/S"): generic.pdf_name("/JavaScript"),
            generic.pdf_name("/JS"): generic.pdf_string("app.alert(1)"),
        }
    )
    if entry == "/NeedAppearances":
        writer.root["/AcroForm"]["/NeedAppearances"] = generic.BooleanObject(True)
        writer.update_container(writer.root["/AcroForm"])
    elif entry == "/JavaScript":
        named = generic.ArrayObject([generic.pdf_string("x"), writer.add_object(action)])
        writer.root["/Names"]["/JavaScript"] = generic.DictionaryObject({generic.pdf_name("/Names"): named})
        writer.update_container(writer.root["/Names"])
    else:
        writer.root[entry] = writer.add_object(action)
    writer.update_root()


def _without_docmdp(writer: Any) -> None:
    del writer.root["/Perms"]
    writer.update_root()


def _zeroed_contents() -> bytes:
    return re.sub(rb"(/Contents <)([0-9A-Fa-f]+)>", lambda found: found[1] + b"0" * len(found[2]) + b">", sealed())


def _wrapped() -> bytes:
    """The second signed range again at the end, with /ByteRange pointing there: the first is free to be changed."""
    data = sealed()
    begin, length = _ranges(data)
    return _with_ranges(data + data[begin:], f"0 {_first_end(data)} {len(data)} {length}")


def _ranges(data: bytes) -> tuple[int, int]:
    found = re.search(rb"/ByteRange \[0 \d+ (\d+) (\d+)\s*\]", data)
    assert found is not None
    return int(found[1]), int(found[2])


def _first_end(data: bytes) -> int:
    found = re.search(rb"/ByteRange \[0 (\d+) ", data)
    assert found is not None
    return int(found[1])


def _with_ranges(data: bytes, ranges: str) -> bytes:
    found = re.search(rb"/ByteRange \[[^\]]*\]\s*", data)
    assert found is not None
    text = f"/ByteRange [{ranges}]".encode()
    assert len(text) <= len(found[0])
    return data[: found.start()] + text.ljust(len(found[0])) + data[found.end() :]


def _uncovered_end() -> bytes:
    """The issuer's key signs a range that leaves out the last bytes, which then may be anything."""
    import asyncio
    import hashlib

    from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

    from afterburn_core.certify import pdf_sign

    data = sealed()
    begin, length = _ranges(data)
    end = _first_end(data)
    short = _with_ranges(data, f"0 {end} {begin} {length - 12}")
    digest = hashlib.sha256(short[:end] + short[begin : begin + length - 12]).digest()
    delegate = pdf_sign._delegate(FileSigner(packs.key()), pki.sound_chain().chain)
    cms = asyncio.run(
        delegate.async_sign(digest, "sha256", use_pades=True, signed_attr_settings=PdfCMSSignedAttributes())
    )
    room = begin - end - 2
    return short[: end + 1] + cms.dump().hex().encode().ljust(room, b"0") + short[begin - 1 :]


def _shadow(kind: str) -> bytes:
    """Sealed by a dishonest issuer with something prepared in it, which an update then brings forward."""
    import pikepdf

    def prepare(document: Any) -> None:
        page = document.pages[0]
        cover = document.make_stream(b"q 1 1 1 rg 0 300 600 400 re f Q")
        page.contents_add(cover)
        hidden = document.make_stream(b"q 0 0 0 rg 100 400 200 100 re f Q")
        document.Root.PieceInfo = pikepdf.Dictionary(Prepared=pikepdf.Dictionary(Private=hidden))

    def hide(writer: Any) -> None:
        page = _first_page(writer)
        page["/Contents"] = page["/Contents"][0]
        writer.update_container(page)

    def replace(writer: Any) -> None:
        page = _first_page(writer)
        page["/Contents"] = writer.root["/PieceInfo"]["/Prepared"].raw_get("/Private")
        writer.update_container(page)

    def hide_and_replace(writer: Any) -> None:
        pages = writer.root["/Pages"]
        pages["/Kids"] = pages["/Kids"].__class__(list(pages["/Kids"])[::-1])
        writer.update_container(pages)
        replace(writer)

    prepared = by_issuer(rewritten(rendering(), prepare))
    return updated(prepared, {"hide": hide, "replace": replace, "both": hide_and_replace}[kind])


# what a dishonest issuer seals ------------------------------------------------------------------------------------


def _before(change: Callable[[Any], None]) -> bytes:
    return by_issuer(rewritten(rendering(), change))


def _issuer_active(entry: str, document: Any) -> None:
    import pikepdf

    action = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS=pikepdf.String("app.alert(1)"))
    if entry == "/JavaScript":
        document.Root.Names.JavaScript = pikepdf.Dictionary(Names=pikepdf.Array([pikepdf.String("x"), action]))
    elif entry == "/URI":
        link = pikepdf.Dictionary(
            Type=pikepdf.Name.Annot,
            Subtype=pikepdf.Name.Link,
            Rect=[0, 0, 100, 100],
            A=pikepdf.Dictionary(S=pikepdf.Name.URI, URI=pikepdf.String("http://attacker.invalid/")),
        )
        document.pages[0].Annots = pikepdf.Array([document.make_indirect(link)])
    else:
        document.Root[entry] = action


def _two_attachments(document: Any) -> None:
    names = document.Root.Names.EmbeddedFiles.Names
    names.append(names[0])
    names.append(names[1])


def _renamed_attachment(document: Any) -> None:
    import pikepdf

    document.Root.Names.EmbeddedFiles.Names[1].UF = pikepdf.String("certificate.sigstore.json.exe")


def _other_metadata(document: Any) -> None:
    with document.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
        metadata["dc:title"] = "Certificate of another model"


def _of_another_model() -> bytes:
    """The PDF of another certificate by the same issuer."""
    return sealed("hostile")


def _page_says_otherwise() -> bytes:
    """Pages drawn from other numbers, with the true certificate embedded in them."""
    from afterburn_core.certify import render

    statement = packs.sound_statement(page=True)
    statement["predicate"]["summary"]["overall"] = "PASS"
    for test in statement["predicate"]["tests"]:
        test["verdict"] = "PASS"
    bundle = files()[BUNDLE_NAME]
    lying = render.pages(canonical(statement), bundle)
    return by_issuer(lying)


def _chain(name: str) -> bytes:
    chain = pki.faulty_chains()[name]
    if chain.leaf.key is packs.key():
        return by_issuer(rendering(), chain.chain)
    return by_stranger(rendering(), chain.leaf, chain.issuers)


_CHAIN_CODES = {
    "d01_expired_fail": "pdf.certificate_expired",
    "d02_revoked_fail": "pdf.certificate_revocation",
    "d03_key_encipherment_only_fail": "pdf.certificate_usage",
    "d04_not_yet_valid_fail": "pdf.certificate_not_yet_valid",
    "d05_server_certificate_fail": "pdf.certificate_usage",
    "d06_authority_as_signer_fail": "pdf.certificate_usage",
    "d07_self_signed_look_alike_fail": "pdf.signer_key",
    "d08_unknown_critical_extension_fail": "pdf.certificate_chain",
    "d09_sha1_fail": "pdf.certificate_chain",
    "d09_rsa_1024_fail": "pdf.signer_key",
    "d09_p192_fail": "pdf.signer_key",
    "d10_path_too_long_fail": "pdf.certificate_chain",
    "d11_outside_name_constraints_fail": "pdf.certificate_chain",
}


@cache
def cases() -> tuple[Case, ...]:
    """Every case; nothing is made before its `make` is called."""
    attacker = pki.issue("Prüfhaus Siegel", pki.key("attacker"))
    by_hand = (
        ("E01", "bit_flip_fail", "pdf.signature", _bit_flip),
        ("E02", "overlay_fail", "pdf.modified", lambda: updated(sealed(), _overlay)),
        ("E03", "attachment_swapped_fail", "pdf.modified", lambda: updated(sealed(), _swap_attachment)),
        ("E04", "attachment_overwritten_in_place_fail", "pdf.signature", _overwrite_attachment),
        ("E05", "annotation_added_fail", "pdf.modified", lambda: updated(sealed(), _annotation)),
        ("E06", "trailing_bytes", None, lambda: sealed() + b"\n% nothing\n"),
        ("E07", "signature_stripped_fail", "pdf.unsigned", rendering),
        ("E08", "shadow_hide_fail", "pdf.modified", lambda: _shadow("hide")),
        ("E08", "shadow_replace_fail", "pdf.modified", lambda: _shadow("replace")),
        ("E08", "shadow_hide_and_replace_fail", "pdf.modified", lambda: _shadow("both")),
        ("E09", "byte_range_gap_fail", "pdf.coverage", _uncovered_end),
        ("E10", "universal_forgery_fail", "pdf.unreadable", _zeroed_contents),
        ("E10", "signature_wrapping_fail", "pdf.coverage", _wrapped),
        (
            "E11",
            "second_signature_fail",
            "pdf.signature_count",
            lambda: by_stranger(
                by_stranger(rendering(), pki.seal(), pki.sound_chain().issuers), attacker, field="Second"
            ),
        ),
        ("E11", "attacker_signature_alone_fail", "pdf.signer_key", lambda: by_stranger(rendering(), attacker)),
        *(
            ("E12", f"{name}_added_fail", "pdf.modified", lambda e=entry: updated(sealed(), partial(_active, e)))
            for name, entry in _ACTIVE.items()
            if name != "link_out"
        ),
        *(
            ("E12", f"{name}_sealed_fail", "pdf.active_content", lambda e=entry: _before(partial(_issuer_active, e)))
            for name, entry in _ACTIVE.items()
            if name != "need_appearances"  # pyHanko takes it out when it signs
        ),
        ("E13", "two_attachments_fail", "pdf.embedded_count", lambda: _before(_two_attachments)),
        ("E13", "attachment_of_another_name_fail", "pdf.embedded_name", lambda: _before(_renamed_attachment)),
        ("E14", "contradicting_metadata_fail", "pdf.metadata", lambda: _before(_other_metadata)),
        ("E15", "docmdp_removed_fail", "pdf.docmdp", lambda: updated(sealed(), _without_docmdp)),
        (
            "E15",
            "not_certified_fail",
            "pdf.docmdp",
            lambda: by_stranger(rendering(), pki.seal(), pki.sound_chain().issuers),
        ),
        ("C07", "pdf_of_another_model_fail", "pdf.embedded_bytes", _of_another_model),
    )
    found = [Case(id=line, name=f"{line.lower()}_{name}", code=code, make=make) for line, name, code, make in by_hand]
    found += [
        Case(id=name[:3].upper(), name=f"{name[:3]}_pdf_{name[4:]}", code=code, make=partial(_chain, name))
        for name, code in _CHAIN_CODES.items()
    ]
    hostile = {"make": lambda: sealed("hostile"), "statement": hostile_statement, "code": None}
    found += [
        Case(id="F01", name="f01_html_injected", rerender=True, **hostile),  # type: ignore[arg-type]
        *(Case(id=name[:3].upper(), name=name, **hostile) for name in _SAME_PACK),  # type: ignore[arg-type]
        Case(
            id="F07",
            name="f07_page_says_otherwise_fail",
            code="pdf.rendering",
            make=_page_says_otherwise,
            rerender=True,
        ),
        Case(
            id="F07",
            name="f07_page_replaced_under_the_seal_fail",
            code="pdf.rendering",
            make=lambda: by_issuer(updated(rendering(), _overlay)),
            rerender=True,
        ),
    ]
    return tuple(found)


_SAME_PACK = ("f02_file_address", "f03_http_address", "f04_reversed_name", "f06_look_alike_digits")
"""Harmless as F01 is: all of it stands in one statement, and on the page as plain text."""
_ACTIVE = {
    "javascript": "/JavaScript",
    "open_action": "/OpenAction",
    "need_appearances": "/NeedAppearances",
    "link_out": "/URI",
}


def vectors() -> tuple[Vector, ...]:
    """The cases as packs for the verifier."""
    return tuple(Vector(id=case.id, name=case.name, code=case.code, build=partial(_build, case)) for case in cases())


def _build(case: Case, folder: Path) -> Presented:
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: Pango is missing
        import pytest

        pytest.skip(f"no PDF can be made here: {error}")
    beside = files("hostile" if case.statement else "genuine")
    return packs.presented(folder, {**beside, PDF_NAME: case.make()}, rerender=case.rerender)
