"""`afterburn keygen`: a key to sign certificates with."""

from __future__ import annotations

from pathlib import Path

import click

from afterburn_core.cli.options import debug_option
from afterburn_core.cli.signing import chosen_signer, passphrase, signer_options


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory to write to; made if missing.")
@click.option(
    "--name",
    default="Unnamed issuer",
    show_default=True,
    help="Legal name of who signs, as readers of the PDF see it.",
)
@signer_options
@debug_option
def keygen(out: Path, name: str, signer_name: str | None, signer_values: tuple[str, ...]) -> None:
    """Make a key on P-256 and a certificate for it that is good for LOCAL TRUST ONLY.

    Writes seal.key (encrypted; the passphrase comes from AFTERBURN_KEY_PASSPHRASE or a prompt), seal.pub, seal.crt and
    root.crt. Give seal.pub, or its fingerprint, to whoever verifies, by another way than the certificates. With
    --signer the key stays where it is, and no seal.key is written.
    """
    from afterburn_core.certify.extras import extras
    from afterburn_core.plugin.registry import Registry

    with extras("making a key"):
        from afterburn_core.certify.keygen import write_key, write_public
        from afterburn_core.certify.keys import fingerprint, signed_by
    signer = chosen_signer(None, signer_name, signer_values, Registry.discover())
    if signer is None:
        public = write_key(out, name, lambda: passphrase("Passphrase for the new key", confirm=True))
        click.echo(f"{out / 'seal.key'}: sign with it; keep it and its passphrase apart")
    else:
        signed_by(signer, b"afterburn keygen")  # one that cannot sign is found out now, not when a certificate is due
        public = write_public(out, name, signer.public_key)
    click.echo(f"{out / 'seal.pub'}: for whoever verifies; fingerprint {fingerprint(public)}")
    click.echo(f"{out / 'seal.crt'}, {out / 'root.crt'}: for PDF readers; LOCAL TRUST ONLY")
