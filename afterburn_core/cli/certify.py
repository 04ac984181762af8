"""`afterburn certify`: a finished run becomes a certificate that others can check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from afterburn_core.cli.options import debug_option
from afterburn_core.cli.signing import chosen_signer, passphrase, signing_options

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from afterburn_core.certify.chain import Chain

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=_PATH, required=False)
@click.option("--out", type=_PATH, help="Directory for the pack; must not be there yet.")
@signing_options
@click.option("--certificate", type=_PATH, help="X.509 certificate of the key; seal.crt beside the key unless given.")
@click.option("--chain", "chain_path", type=_PATH, help="Its issuers; root.crt beside the key unless given.")
@click.option("--declaration", type=_PATH, help="What you state of models and training; --init writes a template.")
@click.option(
    "--policy",
    "policy_path",
    type=_PATH,
    metavar="FILE|NAME",
    help="Policy to judge under, in place of the run's own; a file, or the name of a shipped one.",
)
@click.option("--trained", type=_PATH, help="The trained model's directory, where the run does not know it.")
@click.option("--base", type=_PATH, help="The base model's directory, likewise.")
@click.option("--timestamp-url", metavar="URL", help="RFC 3161 service to ask for a timestamp.")
@click.option("--test-result", is_flag=True, help="Also write in-toto's test-result, for policy engines.")
@click.option("--oms", is_flag=True, help="Also write OpenSSF Model Signing sidecars; needs --key.")
@click.option(
    "--keyless",
    is_flag=True,
    help="Also sign with Sigstore, under your identity: a public log keeps it for ever. Takes SIGSTORE_IDENTITY_TOKEN.",
)
@click.option("--no-pdf", is_flag=True, help="Leave the PDF out.")
@click.option("--threads", type=click.IntRange(min=1), help="Files hashed at once; all cores unless given.")
@click.option("--init", "init", is_flag=True, help="Write declaration.yaml, to be filled in, and do nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@debug_option
def certify(
    run: Path | None,
    out: Path | None,
    key_path: Path | None,
    signer_name: str | None,
    signer_values: tuple[str, ...],
    certificate: Path | None,
    chain_path: Path | None,
    declaration: Path | None,
    policy_path: Path | None,
    trained: Path | None,
    base: Path | None,
    timestamp_url: str | None,
    test_result: bool,
    oms: bool,
    keyless: bool,
    no_pdf: bool,
    threads: int | None,
    init: bool,
    as_json: bool,
) -> None:
    """Certify RUN: write a signed statement about its trained model, with all that it takes to check it.

    Without --key or --signer the pack is an UNSIGNED DRAFT. The models' files are hashed again and must be those that
    the run read. Needs no torch.
    """
    if init:
        _init(declaration)
        return
    if run is None:
        raise click.UsageError("a run is missing: name its directory")
    if out is None:
        raise click.UsageError("--out is missing: name a directory for the pack")
    from afterburn_core.certify.extras import extras

    with extras("certifying"):
        from afterburn_core.certify.pack import Issued, Order
        from afterburn_core.certify.pack import certify as issue
    from afterburn_core.certify.declaration import load
    from afterburn_core.cli.progress import make_progress
    from afterburn_core.errors import ConfigError
    from afterburn_core.judge.policy import load_policy
    from afterburn_core.plugin.registry import Registry

    registry = Registry.discover()
    order = Order(
        run=run,
        out=out,
        declared=load(declaration),
        policy=None if policy_path is None else load_policy(policy_path),
        trained=trained,
        base=base,
        timestamp_url=timestamp_url,
        pdf=not no_pdf,
        projection=test_result,
        threads=threads,
    )
    signer = chosen_signer(key_path, signer_name, signer_values, registry)
    chain = None if signer is None else _chain(key_path, certificate, chain_path, signer.public_key)
    if oms:
        if key_path is None:
            raise ConfigError("--oms signs with a key file alone; give --key")
        import attrs

        from afterburn_core.certify.oms import sidecar

        order = attrs.evolve(order, sidecars=sidecar(key_path, lambda: passphrase(f"Passphrase of {key_path}")))
    if keyless:
        if signer is None:
            raise ConfigError("--keyless signs a certificate once more; give --key or --signer")
        import os
        from functools import partial

        import attrs

        from afterburn_core.certify.keyless import sign

        order = attrs.evolve(order, keyless=partial(sign, identity_token=os.environ.get("SIGSTORE_IDENTITY_TOKEN")))
    issued: Issued = issue(order, signer, chain, registry, make_progress(as_json))
    if as_json:
        import json

        import attrs

        told = attrs.asdict(issued) | {"directory": str(issued.directory)}
        click.echo(json.dumps(told, indent=1, sort_keys=True))
        return
    counted = ", ".join(f"{n} {word}" for word, n in issued.counts.items() if n)
    click.echo(f"{issued.overall}: {counted}")
    for name in issued.files:
        click.echo(f"written: {issued.directory / name}")
    if declaration is None:
        click.echo("without --declaration: no issuer, no responsible person and no training data are named in it")
    if issued.identity is None:
        click.echo("UNSIGNED DRAFT: nobody vouches for it; sign it with --key (afterburn keygen makes one)")
    else:
        click.echo(f"certificate {issued.certificate_id}, identity {issued.identity}")


def _init(declaration: Path | None) -> None:
    from afterburn_core.certify.declaration import FILE
    from afterburn_core.certify.declaration_template import template
    from afterburn_core.errors import ConfigError

    path = declaration or Path(FILE)
    try:
        with open(path, "x", encoding="utf-8") as stream:
            stream.write(template())
    except FileExistsError as error:
        raise ConfigError(f"{path}: is there already; name another file with --declaration") from error
    click.echo(f"written: {path}; fill it in and give it to --declaration")


def _chain(
    key_path: Path | None, certificate: Path | None, chain_path: Path | None, public_key: EllipticCurvePublicKey
) -> Chain | None:
    """The key's certificate as the flags or the files beside the key have it; `None` where there is none."""
    from afterburn_core.certify.chain import load_chain
    from afterburn_core.certify.keygen import CERTIFICATE_NAME, ROOT_NAME

    beside = None if key_path is None else key_path.parent
    if certificate is None and beside is not None and (beside / CERTIFICATE_NAME).is_file():
        certificate = beside / CERTIFICATE_NAME
        if chain_path is None and (beside / ROOT_NAME).is_file():
            chain_path = beside / ROOT_NAME
    return None if certificate is None else load_chain(certificate, chain_path, public_key)
