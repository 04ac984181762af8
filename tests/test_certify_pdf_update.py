"""What an issuer can put between the rendering and the seal, and that `--rerender` finds it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("weasyprint", exc_type=ImportError)
sys.path.append(str(Path(__file__).parent / "certificates"))

import vectors_pdf
from vectors_pdf import by_issuer, rendering, sealed, updated

from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.envelope import BUNDLE_NAME
from afterburn_core.certify.pdf_check import check_pdf
from afterburn_core.certify.pdf_update import require_only_seal


def _page_left_out(writer: Any) -> None:
    pages = writer.root["/Pages"]
    del pages["/Kids"][-1]
    writer.update_container(pages)


def _other_pages(writer: Any) -> None:
    from pyhanko.pdf_utils import generic

    pages = generic.DictionaryObject(dict(dict.items(writer.root["/Pages"])))
    writer.root[generic.pdf_name("/Pages")] = writer.add_object(pages)
    writer.update_root()


def _content_blanked(writer: Any) -> None:
    contents = writer.root["/Pages"]["/Kids"][0]["/Contents"]
    contents._data = b""
    contents._encoded_data = None
    writer.update_container(contents)


def test_a_seal_alone_is_let_pass() -> None:
    require_only_seal(sealed(), rendering())


@pytest.mark.parametrize("change", [vectors_pdf._overlay, _page_left_out, _other_pages, _content_blanked])
def test_pages_that_an_issuer_replaced_before_sealing_are_found(change: Callable[[Any], None]) -> None:
    pdf = by_issuer(updated(rendering(), change))
    assert pdf.startswith(rendering()), "which is why the beginning alone proves nothing"
    with pytest.raises(Invalid, match="not the rendering") as refused:
        require_only_seal(pdf, rendering())
    assert refused.value.code == "pdf.rendering"


def test_a_seal_that_paints_over_a_page_is_found() -> None:
    def form(writer: Any) -> None:
        from pyhanko.sign.fields import SigFieldSpec, append_signature_field

        append_signature_field(writer, SigFieldSpec(vectors_pdf.FIELD, box=(0, 0, 600, 800)))

    from afterburn_core.certify.keys import FileSigner

    pdf = by_issuer(updated(rendering(), form))
    check_pdf(pdf, vectors_pdf.files()[BUNDLE_NAME], FileSigner(vectors_pdf.packs.key()).public_key)
    with pytest.raises(Invalid, match="can be seen"):
        require_only_seal(pdf, rendering())
