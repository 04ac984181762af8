"""How a tensor is cut into the parts that workers take: stretches of elements, or runs of whole rows of a matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from afterburn_core.run.align import AlignedTensor, Span

CHUNK = 1 << 22
"""Elements per part where only sums are wanted: 8 MiB of bf16 per side, a few hundredths of a second."""
SEGMENT = 3 << 23
"""Elements per part of a matrix whose Gram matrix is wanted; larger tall ones, such as embeddings, are cut by rows."""


@attrs.frozen(kw_only=True)
class Extent:
    """The matrix that a tensor is, or is flattened to: (out, everything else)."""

    rows: int
    """Rows that are compared."""
    columns: int

    @property
    def tall(self) -> bool:
        return self.rows >= self.columns

    @property
    def order(self) -> int:
        """Of the Gram matrix: the smaller side."""
        return min(self.rows, self.columns)


def matrix_of(tensor: AlignedTensor) -> Extent | None:
    """The matrix whose spectrum a tensor has; `None` for vectors and scalars, and where nothing is compared.

    A convolution's kernel is (out, in · k); rows of a token table are those that were paired.
    """
    info = tensor.base
    if info is None or len(info.shape) < 2 or not tensor.spans or min(info.shape) == 0:
        return None
    columns = info.numel // info.shape[0]
    if any(span.count % columns or span.base % columns or span.trained % columns for span in tensor.spans):
        return None
    extent = Extent(rows=tensor.compared // columns, columns=columns)
    return extent if extent.order > 1 else None


def stretches(spans: Sequence[Span]) -> list[tuple[Span, ...]]:
    """Parts of at most `CHUNK` elements, one span each."""
    return [(piece,) for span in spans for piece in _cut(span, CHUNK)]


def segments(spans: Sequence[Span], extent: Extent) -> list[tuple[Span, ...]]:
    """Parts of whole rows of about `SEGMENT` elements; a wide matrix is one part, as its Gram matrix needs it whole."""
    if not extent.tall:
        return [tuple(spans)]
    room = max(1, SEGMENT // extent.columns) * extent.columns
    found: list[tuple[Span, ...]] = []
    current: list[Span] = []
    filled = 0
    for span in (piece for whole in spans for piece in _cut(whole, room)):
        if filled and filled + span.count > room:
            found.append(tuple(current))
            current, filled = [], 0
        current.append(span)
        filled += span.count
    return [*found, tuple(current)] if current else found


def _cut(span: Span, size: int) -> Iterator[Span]:
    for i in range(0, span.count, size):
        yield Span(base=span.base + i, trained=span.trained + i, count=min(size, span.count - i))
