"""Nearest tokens of directions in the residual stream, through the output head: a readout, not proof.

    logits of u = W_U (g ∘ u)        g the effective gain of the final norm; u less its mean before a LayerNorm

This is the logit lens (nostalgebraist, interpreting GPT: the logit lens, 2020) on a direction. It says which tokens the
direction would raise if it reached the last layer as it is; nothing says that it does.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from afterburn_core.run.observations import WeightPair
from afterburn_weight.gains import Config, zero_centred
from afterburn_weight.tokens import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from afterburn_core.backends.tensors import TensorInfo

    Array = NDArray[np.float64]

_FINAL = re.compile(r"(?:^|\.)(?:norm|norm_f|ln_f|final_norm|final_layer_?norm)\.(?P<part>weight|bias)$")
_BLOCK = 1 << 20  # elements multiplied at a time
_UPPER = int(sys.byteorder == "little")  # where the upper half of a float32 is among its two uint16


class Readout:
    """Keeps the output head of the trained model until all directions are known."""

    def __init__(self, *, tokens: Tokens, config: Config | None, wanted: bool) -> None:
        """
        Args:
            tokens: of the trained model.
            config: of the trained model.
            wanted: whether a head is to be kept at all.
        """
        self._tokens, self._config, self._wanted = tokens, config, wanted
        flag = (config or {}).get("tie_word_embeddings")
        self._tied = flag if isinstance(flag, bool) else None
        self._tables: dict[str, tuple[str, NDArray[Any]]] = {}
        self._gain: Array | None = None
        self._centred = False

    def observe(self, item: WeightPair) -> None:
        """Keeps the head, the embedding where it may serve as one, and the gain of the final norm."""
        if not self._wanted or item.sums is None or not item.sums.finite or item.scope.subset not in {None, "decoder"}:
            return
        kind, info = item.scope.module, item.trained
        final = _FINAL.search(item.name) if kind == "norm" and item.scope.layer is None else None
        if info is None:
            return
        if final is not None and final["part"] == "bias":
            self._centred = True
        elif final is not None:
            offset = 1.0 if self._config is not None and zero_centred(self._config, item.scope) else 0.0
            self._gain = item.side("trained", 0, info.shape[0]).astype(np.float64) + offset
        elif len(info.shape) == 2 and item.name.endswith("weight"):
            needed = kind == "head" if self._tied is False else kind in {"embed", "head"}
            if self._tied is True:
                needed = kind == "embed"
            if needed and (kind == "embed" or self._is_vocabulary(info.shape[0])):
                self._tables[str(kind)] = (item.name, _table(item, info))
                if kind == "head":
                    self._tables.pop("embed", None)  # it does not serve as head
        if "head" in self._tables:
            self._tables.pop("embed", None)

    def merge(self, other: Readout) -> None:
        """Takes in what another instance kept."""
        self._tables.update(other._tables)
        if "head" in self._tables:
            self._tables.pop("embed", None)
        self._gain = other._gain if self._gain is None else self._gain
        self._centred = self._centred or other._centred

    @property
    def width(self) -> int | None:
        """Of the residual stream that the head reads; `None` without a head."""
        table = self._table()
        return None if table is None else int(table[1].shape[1])

    @property
    def source(self) -> str | None:
        """Name of the tensor that serves as head."""
        table = self._table()
        return None if table is None else table[0]

    def nearest(self, vectors: Array, count: int) -> list[tuple[list[Any], list[Any]]] | None:
        """For each of the vectors (N, d) the tokens with the largest logits, and with the smallest.

        Rows that no token has are left out. `None` without a head.
        """
        table = self._table()
        if table is None or count == 0:
            return None
        if self._centred:
            vectors = vectors - vectors.mean(axis=1, keepdims=True)
        if self._gain is not None and len(self._gain) == vectors.shape[1]:
            vectors = vectors * self._gain
        _, rows = table
        directions = np.ascontiguousarray(vectors, dtype=np.float32)  # (N, d)
        real = np.fromiter((not self._tokens.is_padding(i) for i in range(len(rows))), dtype=bool, count=len(rows))
        ends = (_Extremes(len(directions), count), _Extremes(len(directions), count))
        step = max(1, _BLOCK // rows.shape[1])
        for first in range(0, len(rows), step):
            scores = directions @ _unpacked(rows[first : first + step]).T  # (N, rows of the block)
            ids = first + np.flatnonzero(real[first : first + step])
            scores = scores[:, real[first : first + step]]
            for sign, end in zip((1, -1), ends, strict=True):
                end.add(sign * scores, ids)
        plus, minus = ends
        return [
            (
                [self._entry(i, s) for i, s in zip(plus.ids[n], plus.scores[n], strict=True)],
                [self._entry(i, -s) for i, s in zip(minus.ids[n], minus.scores[n], strict=True)],
            )
            for n in range(len(directions))
        ]

    def _entry(self, index: Any, score: Any) -> dict[str, Any]:
        return {"token": self._tokens.text(int(index)), "id": int(index), "logit": float(score)}

    def _table(self) -> tuple[str, NDArray[Any]] | None:
        return self._tables.get("head") or self._tables.get("embed")

    def _is_vocabulary(self, rows: int) -> bool:
        """Whether a head's rows can be tokens: a classifier has fewer than the vocabulary."""
        return self._tokens.spelling is None or rows > max(self._tokens.spelling, default=0) * 0.9


class _Extremes:
    """The `count` largest scores of each of N rows among all blocks seen; ties go to the lower id."""

    def __init__(self, rows: int, count: int) -> None:
        self._count = count
        self.scores: NDArray[np.float32] = np.empty((rows, 0), dtype=np.float32)
        self.ids: NDArray[np.int64] = np.empty((rows, 0), dtype=np.int64)

    def add(self, scores: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        """Takes in a block of scores (N, b) of the tokens with these ids (b,), which rise from block to block."""
        all_ids = np.broadcast_to(ids, scores.shape)
        if scores.shape[1] > 4 * self._count:  # what is below a row's count-th largest cannot be among them
            bar = -np.partition(-scores, self._count - 1, axis=1)[:, self._count - 1]
            if self.scores.shape[1] == self._count:
                bar = np.maximum(bar, self.scores[:, -1])
            keep = (scores >= bar[:, None]).any(axis=0)
            scores, all_ids = scores[:, keep], all_ids[:, keep]
        scores = np.concatenate([self.scores, scores], axis=1)
        all_ids = np.concatenate([self.ids, all_ids], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : self._count]
        self.scores = np.take_along_axis(scores, order, 1)
        self.ids = np.take_along_axis(all_ids, order, 1)


def _table(item: WeightPair, info: TensorInfo) -> NDArray[Any]:
    """The trained side's rows in as few bytes as hold them exactly, read in blocks."""
    height, width = info.shape
    step = max(1, _BLOCK // max(width, 1))
    rows: NDArray[Any] | None = None
    for start in range(0, height, step):
        stop = min(start + step, height)
        block = item.side("trained", start, stop)
        if info.dtype == "BF16" and block.dtype == np.float32:  # kept as the upper halves of float32
            block = block.view(np.uint16)[:, _UPPER::2]
        if rows is None:
            rows = np.empty((height, width), dtype=np.float16 if info.dtype == "F16" else block.dtype)
        rows[start:stop] = block
    return np.empty((0, width), dtype=np.float32) if rows is None else rows


def _unpacked(rows: NDArray[Any]) -> NDArray[np.float32]:
    if rows.dtype == np.uint16:
        return (rows.astype(np.uint32) << 16).view(np.float32)
    return rows.astype(np.float32)
