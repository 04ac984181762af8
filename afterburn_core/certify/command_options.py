"""The options of `core.command`, apart from it: every start of the command line reads specs, and few sign."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class CommandSignerOptions:
    """What to run, and whose signature comes of it."""

    command: str = ""
    """Program and arguments, split as a shell would; no shell runs."""
    public_key: str = ""
    """File of the public key in PEM."""
    seconds: int = 120
    """How long it may take: somebody may have to touch a token."""
