"""`afterburn verify`: is this certificate what it claims to be, and is this the model it speaks of?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

# nothing of ours is imported before it is used: half of the time is imports
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_MODEL = click.Path(path_type=Path, exists=True)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("packs", metavar="DIR...", nargs=-1, required=True, type=_FOLDER)
@click.option("--key", required=True, type=_FILE, help="Public key of the issuer (PEM), from a place other than DIR.")
@click.option("--model", type=_MODEL, help="The model that you have, a directory or a file: is it the audited one?")
@click.option("--base", type=_MODEL, help="The base model that you have: is it the one compared with?")
@click.option("--rejudge", is_flag=True, help="Let the detectors judge the run's measurements again.")
@click.option("--rerender", is_flag=True, help="Draw the page again from the signed JSON and compare every byte.")
@click.option("--require-timestamp", is_flag=True, help="Refuse a certificate without a trusted timestamp.")
@click.option("--tsa-root", type=_FILE, help="Root certificate (PEM) of the timestamp authority you trust.")
@click.option("--strict", is_flag=True, help="Fail where something could not be checked here, and without --model.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Files hashed at once [default: all cores].")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON on standard output.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.pass_context
def verify(
    ctx: click.Context,
    packs: tuple[Path, ...],
    key: Path,
    model: Path | None,
    base: Path | None,
    rejudge: bool,
    rerender: bool,
    require_timestamp: bool,
    tsa_root: Path | None,
    strict: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Check the certificate in each DIR that `afterburn certify` wrote: signature, form, verdicts, page, model.

    Several are also checked against each other: one may replace another. Exit 0 where every check holds, 4 where any
    fails. What a certificate says, such as that tests failed, changes nothing about whether it is genuine.
    """
    if require_timestamp and tsa_root is None:
        raise click.UsageError("--require-timestamp needs --tsa-root: whose time is to be trusted?")
    from afterburn_core.certify.aside import Aside
    from afterburn_core.certify.extras import extras, require

    require("sign", "verifying a certificate")
    with Aside(_check_pdf) as aside, extras("verifying a certificate"):
        from afterburn_core.certify.verify import Request, verify_all

        request = Request(
            key=key,
            model=model,
            base=base,
            rejudge=rejudge,
            rerender=rerender,
            require_timestamp=require_timestamp,
            tsa_root=tsa_root,
            strict=strict,
            threads=threads,
            progress=None if as_json else _Hashing(),
            aside=aside,
        )
        verifications = verify_all(packs, request)
    if as_json:
        import json

        from afterburn_core.certify.checks import as_json as listed

        verified = all(verification.verified for verification in verifications)
        document = {"verified": verified, "packs": [listed(verification) for verification in verifications]}
        click.echo(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True))
    else:
        import shutil

        from afterburn_core.certify.verification_text import lines

        width = min(shutil.get_terminal_size((100, 24)).columns, 100)
        for place, verification in enumerate(verifications):
            if place:
                click.echo()
            for line in lines(verification, width=width):
                click.echo(line)
    ctx.exit(0 if all(verification.verified for verification in verifications) else 4)


def _check_pdf(job: Any) -> Any:
    """In a process of its own, which has loaded what it takes."""
    from afterburn_core.certify.checks_pdf import pdf

    return pdf(job)


_WORTH_SHOWING = 1 << 28  # bytes; fewer are hashed before a bar could be read


class _Hashing:
    """Progress of hashing on standard error, made once there is something to hash: rich takes its time to import."""

    def __init__(self) -> None:
        self._progress: Any = None

    def begin(self, stage: str, total: int, unit: str) -> None:
        from afterburn_core.cli.progress import make_progress

        self._progress = make_progress(quiet=total < _WORTH_SHOWING)
        self._progress.begin(stage, total, unit)

    def advance(self, count: int) -> None:
        self._progress.advance(count)

    def end(self) -> None:
        self._progress.end()
