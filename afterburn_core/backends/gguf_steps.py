"""The steps of GGUF's quantisers, found by decoding.

A block of a uniform quantiser decodes to offset + step · code. Decoding it twice, with all codes 0 and with all codes
1, and subtracting leaves the step of every element, whatever the layout of the block's scales is. For the quantisers
with a codebook, decoding with one known code gives the scale of every element instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.packed.codebooks import E2M1, step_sq

# bytes of a block that hold (the low bits of) codes, and those that hold further bits; and the byte of all ones
_UNIFORM: dict[str, tuple[slice, slice | None, int]] = {
    "Q4_0": (slice(2, 18), None, 0x11),
    "Q4_1": (slice(4, 20), None, 0x11),
    "Q5_0": (slice(6, 22), slice(2, 6), 0x11),
    "Q5_1": (slice(8, 24), slice(4, 8), 0x11),
    "Q8_0": (slice(2, 34), None, 0x01),
    "Q2_K": (slice(16, 80), None, 0x55),
    "Q3_K": (slice(32, 96), slice(0, 32), 0x55),
    "Q4_K": (slice(16, 144), None, 0x11),
    "Q5_K": (slice(48, 176), slice(16, 48), 0x11),
    "Q6_K": (slice(0, 128), slice(128, 192), 0x11),
    "TQ2_0": (slice(0, 64), None, 0x55),
}
_IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], dtype=np.float32)
# codebook, and the bytes of a block that hold codes
_BOOKS: dict[str, tuple[NDArray[np.float32], slice]] = {
    "IQ4_NL": (_IQ4, slice(2, 18)),
    "IQ4_XS": (_IQ4, slice(8, 136)),
    "MXFP4": (E2M1, slice(1, 17)),
}
GROUPS: dict[str, int] = {
    **dict.fromkeys(("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "IQ4_NL", "IQ4_XS", "MXFP4"), 32),
    **dict.fromkeys(("Q2_K", "Q3_K", "Q6_K"), 16),
    **dict.fromkeys(("TQ1_0", "TQ2_0"), 256),
}
"""Elements that share a scale."""


def squared_steps(raw: NDArray[np.uint8], kind: Any, type_size: int) -> NDArray[np.float64] | None:
    """Squared steps of the elements of some rows; `None` for quantisers of several elements at once.

    Args:
        raw: (rows, bytes) blocks as stored.
        kind: `gguf.GGMLQuantizationType`.
        type_size: bytes per block.
    """
    from gguf.quants import dequantize

    def decoded(byte: int, codes: slice, rest: slice | None) -> NDArray[np.float64]:
        blocks = raw.reshape(-1, type_size).copy()
        blocks[:, codes] = byte
        if rest is not None:
            blocks[:, rest] = 0
        found: NDArray[np.float64] = dequantize(blocks.reshape(raw.shape), kind).astype(np.float64)
        return found

    with np.errstate(all="ignore"):
        if kind.name in _UNIFORM:
            codes, rest, ones = _UNIFORM[kind.name]
            return (decoded(ones, codes, rest) - decoded(0, codes, rest)) ** 2
        if kind.name in _BOOKS:
            book, codes = _BOOKS[kind.name]
            scale = decoded(0x77, codes, None) / book[7]
            ratio = np.where(scale == 0, 0.0, dequantize(raw, kind) / np.where(scale == 0, 1.0, scale))
            order = np.argsort(book, kind="stable")
            middles = (book[order][1:] + book[order][:-1]) / 2
            found: NDArray[np.float64] = step_sq(book)[order][np.searchsorted(middles, ratio)] * scale**2
            return found
    return None
