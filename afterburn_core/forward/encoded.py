"""Passages as token ids, and batches of them. Imports neither NumPy nor torch."""

from __future__ import annotations

import attrs

from afterburn_core.forward.model import Passage


@attrs.frozen(kw_only=True)
class Encoded:
    """One passage as every subject reads it."""

    passage: Passage
    ids: tuple[int, ...] = attrs.field(repr=False)
    classes: bytes = attrs.field(repr=False)
    """Class of every token, one byte each (`forward.model.TOKEN_CLASSES`)."""
    text_start: int
    """Position of the first token of `Passage.text`; the length of `ids` where it is empty."""
    leading: int = 0
    """Beginning marks at the start: read by the models, and left out of the rows."""

    @property
    def length(self) -> int:
        return len(self.ids)


@attrs.frozen(kw_only=True)
class Packed:
    """Passages of like length that are read together, padded on the right."""

    number: int
    """Of the batch, from 0, in an order that depends on the passages alone."""
    encoded: tuple[Encoded, ...]

    @property
    def width(self) -> int:
        """Tokens of the longest passage."""
        return max(one.length for one in self.encoded)

    @property
    def counted(self) -> int:
        """Rows: tokens that are neither padding nor a beginning mark."""
        return sum(one.length - one.leading for one in self.encoded)

    @property
    def padding(self) -> int:
        return self.width * len(self.encoded) - sum(one.length for one in self.encoded)
