"""Is the PDF the sealed page of this certificate, and does the page say what the certificate says?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterburn_core.certify.checks import Check, Outcome, Skip, checked
from afterburn_core.certify.encoding import Invalid, read

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

PDF_NAME = "certificate.pdf"


def pdf(
    pack: Path, bundle: bytes, key: EllipticCurvePublicKey, predicate: Mapping[str, Any], *, rerender: bool
) -> tuple[Check, ...]:
    """Two checks: `pdf`, the seal and what it carries, and `rerender`."""
    path = pack / PDF_NAME
    made = predicate["rendering"]["templateSha256"] is not None
    if not path.exists() and not made:
        return tuple(checked(name, lambda: Skip("the certificate has no page", asked=False)) for name in _NAMES)
    sealed = checked("pdf", lambda: _sealed(path, bundle, key))
    if not rerender:
        return sealed, checked("rerender", lambda: Skip("not asked for (--rerender)", asked=False))
    if sealed.status != "ok":
        return sealed, checked("rerender", lambda: Skip("not looked at: the PDF was not accepted", asked=False))
    return sealed, checked("rerender", lambda: _rendered(path, bundle))


_NAMES = ("pdf", "rerender")


def _sealed(path: Path, bundle: bytes, key: EllipticCurvePublicKey) -> Outcome:
    from afterburn_core.certify.pdf_check import LIMIT, check_pdf
    from afterburn_core.errors import ConfigError

    if not path.is_file():
        raise Invalid("pdf.missing", f"{PDF_NAME} is missing from the pack")
    data = read(path, what="the PDF", limit=LIMIT)
    try:
        check_pdf(data, bundle, key)
    except ConfigError as error:  # the extra is not installed
        return Skip(str(error))
    return "sealed with the same key, unchanged since, and carries this very certificate"


def _rendered(path: Path, bundle: bytes) -> Outcome:
    from afterburn_core.certify.pdf_check import LIMIT, check_rendering
    from afterburn_core.errors import ConfigError

    try:
        reason = check_rendering(read(path, what="the PDF", limit=LIMIT), bundle)
    except ConfigError as error:
        return Skip(str(error))
    return "drawn again from the signed JSON, it is the same byte by byte" if reason is None else Skip(reason)
