"""From packed passages to tensors: the padded grid that models read, and the rows that count.

The grid is (B, T): B passages side by side, T tokens of the longest, padded on the right. Rows are its real tokens less
the beginning marks, flattened passage by passage; `grid` says where in the flattened grid each row lies, so that
`states.flatten(0, 1)[index]` are the rows of any (B, T, d) activation.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import torch

from afterburn_core.forward.encoded import Packed
from afterburn_core.forward.model import Rows

PADDING = 0
"""Id in the place of padding: an id that every vocabulary has, and that the mask hides."""


def grid(packed: Packed, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The batch as models read it.

    Returns:
        ids: (B, T) int64, `PADDING` where there is no token.
        mask: (B, T) bool, where there is one, beginning marks included.
        index: (n) int64, place of every row in the flattened (B·T) grid, in the order of `rows_of`.
    """
    flat = _flat(packed)
    ids = torch.full((flat.batch * flat.width,), PADDING, dtype=torch.int64)
    ids[flat.place] = flat.token
    mask = torch.zeros(flat.batch * flat.width, dtype=torch.bool)
    mask[flat.place] = True
    shape = (flat.batch, flat.width)
    return ids.view(shape).to(device), mask.view(shape).to(device), flat.place[flat.counts].to(device)


def rows_of(packed: Packed, device: torch.device | str, decode: Callable[[int], str]) -> Rows:
    """The rows of the batch (see `Rows`), on `device`."""
    flat = _flat(packed)
    classes = torch.tensor(list(b"".join(one.classes for one in packed.encoded)), dtype=torch.uint8)
    last = flat.position == flat.lengths[flat.passage] - 1
    following = torch.cat([flat.token[1:], flat.token.new_zeros(1)])
    following_class = torch.cat([classes[1:], classes.new_zeros(1)])
    starts = torch.tensor([one.text_start for one in packed.encoded], dtype=torch.int64)
    offset = flat.position - starts[flat.passage]
    rows = {
        "passage": flat.passage,
        "position": flat.position,
        "token": flat.token,
        "token_class": classes,
        "in_text": offset >= 0,
        "offset": offset,
        "target": torch.where(last, -1, following),
        "target_class": torch.where(last, 0, following_class).to(torch.uint8),
    }
    return Rows(
        passages=tuple(one.passage for one in packed.encoded),
        decode=decode,
        **{name: values[flat.counts].to(device) for name, values in rows.items()},
    )


@attrs.frozen(kw_only=True, eq=False)
class _Flat:
    """Every real token of a batch, passage by passage; N of them."""

    batch: int
    width: int
    lengths: torch.Tensor  # (B)
    passage: torch.Tensor  # (N)
    position: torch.Tensor  # (N)
    token: torch.Tensor  # (N)
    place: torch.Tensor  # (N), in the flattened grid
    counts: torch.Tensor  # (N) bool, whether it is a row


def _flat(packed: Packed) -> _Flat:
    batch, width = len(packed.encoded), packed.width
    lengths = torch.tensor([one.length for one in packed.encoded], dtype=torch.int64)
    leading = torch.tensor([one.leading for one in packed.encoded], dtype=torch.int64)
    passage = torch.repeat_interleave(torch.arange(batch), lengths)
    position = torch.arange(passage.shape[0]) - (lengths.cumsum(0) - lengths)[passage]
    return _Flat(
        batch=batch,
        width=width,
        lengths=lengths,
        passage=passage,
        position=position,
        token=torch.tensor([token for one in packed.encoded for token in one.ids], dtype=torch.int64),
        place=passage * width + position,
        counts=position >= leading[passage],
    )
