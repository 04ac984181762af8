"""Tokens as text: what the ids of a vocabulary read like.

Byte-level vocabularies (GPT-2, Llama 3, Qwen) spell each byte as one printable character; SentencePiece vocabularies
(Llama 2, Gemma) write a space as `▁`. An id without a token is a padding row, there to make the number of rows round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from afterburn_weight.documents import withhold

_SPACE = "\u2581"
_BYTE_LEVEL_SPACE = "\u0120"


@attrs.frozen(kw_only=True)
class Tokens:
    """The tokens of one side by id."""

    spelling: Mapping[int, str] | None
    """As in the vocabulary; `None` without one."""
    byte_level: bool
    excerpts: bool
    """False when digests must stand in place of tokens."""

    def text(self, index: int) -> str:
        """The token as a person would read it, or what stands in its place."""
        if self.spelling is None:
            return f"id {index}"
        token = self.spelling.get(index)
        if token is None:
            return f"padding row {index}"
        decoded = _from_bytes(token) if self.byte_level else token.replace(_SPACE, " ")
        return decoded if self.excerpts else withhold(decoded)

    def is_padding(self, index: int) -> bool:
        """Whether no token has this id; False where the vocabulary is not known."""
        return self.spelling is not None and index not in self.spelling


def read_tokens(vocabulary: Mapping[str, Any] | None, *, excerpts: bool) -> Tokens:
    """Tokens by id of a vocabulary document; where two share an id, the first in order of spelling counts."""
    if not vocabulary:
        return Tokens(spelling=None, byte_level=False, excerpts=excerpts)
    spelling: dict[int, str] = {}
    for token in sorted(vocabulary):
        spelling.setdefault(int(vocabulary[token]), token)
    byte_level = any(token.startswith(_BYTE_LEVEL_SPACE) for token in vocabulary)
    return Tokens(
        spelling=spelling,
        byte_level=byte_level and not any(token.startswith(_SPACE) for token in vocabulary),
        excerpts=excerpts,
    )


def _printable() -> Mapping[str, int]:
    """The byte that each character of a byte-level vocabulary stands for (Radford et al., GPT-2, 2019)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(moved)}


_BYTES = _printable()


def _from_bytes(token: str) -> str:
    if any(character not in _BYTES for character in token):
        return token  # a special token, spelt as it is
    return bytes(_BYTES[character] for character in token).decode("utf-8", "replace")
