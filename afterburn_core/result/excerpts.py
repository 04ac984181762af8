"""What stands in the place of a text that must not appear in a document."""

from __future__ import annotations

import hashlib


def withhold(text: str) -> str:
    """Digest and length of the text: `sha256:… (n characters)`."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()} ({len(text)} characters)"
