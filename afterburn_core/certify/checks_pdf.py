"""Is the PDF the sealed page of this certificate, and does the page say what the certificate says?"""

from __future__ import annotations

from afterburn_core.certify.aside import Job
from afterburn_core.certify.checks import Check, Outcome, Skip, checked
from afterburn_core.certify.encoding import Invalid, read
from afterburn_core.errors import ConfigError

PDF_NAME = "certificate.pdf"


def pdf(job: Job) -> tuple[Check, ...]:
    """Two checks: `pdf`, the seal and what it carries, and `rerender`."""
    if not job.page and not (job.pack / PDF_NAME).exists():
        return tuple(checked(name, lambda: Skip("the certificate has no page", asked=False)) for name in _NAMES)
    sealed = checked("pdf", lambda: _sealed(job))
    if not job.rerender:
        return sealed, checked("rerender", lambda: Skip("not asked for (--rerender)", asked=False))
    if sealed.status != "ok":
        return sealed, checked("rerender", lambda: Skip("not looked at: the PDF was not accepted", asked=False))
    return sealed, checked("rerender", lambda: _rendered(job))


_NAMES = ("pdf", "rerender")


def _sealed(job: Job) -> Outcome:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from afterburn_core.certify.pdf_check import check_pdf

    key = load_pem_public_key(job.key)
    try:
        check_pdf(_file(job), job.bundle, key)  # type: ignore[arg-type]  # on P-256, or no signature had held
    except ConfigError as error:  # the extra is not installed
        return Skip(str(error))
    return "sealed with the same key, unchanged since, and carries this very certificate"


def _rendered(job: Job) -> Outcome:
    from afterburn_core.certify.pdf_check import check_rendering

    try:
        reason = check_rendering(_file(job), job.bundle)
    except ConfigError as error:
        return Skip(str(error))
    if reason is not None:
        return Skip(f"not comparable: {reason}")
    return "drawn again from the signed JSON, it is the same byte by byte"


def _file(job: Job) -> bytes:
    from afterburn_core.certify.pdf_check import LIMIT

    path = job.pack / PDF_NAME
    if not path.is_file():
        raise Invalid("pdf.missing", f"{PDF_NAME} is missing from the pack")
    return read(path, what="the PDF", limit=LIMIT)
