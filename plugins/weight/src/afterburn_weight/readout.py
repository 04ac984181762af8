"""Nearest tokens of directions in the residual stream, through the output head: a readout, not proof.

    logits of u = W_U (g ∘ u)        g the effective gain of the final norm; u less its mean before a LayerNorm

This is the logit lens (nostalgebraist, interpreting GPT: the logit lens, 2020) on a direction. It says which tokens the
direction would raise if it reached the last layer as it is; nothing says that it does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from afterburn_core.run.observations import WeightPair
from afterburn_weight.gains import Config, zero_centred
from afterburn_weight.tokens import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FINAL = re.compile(r"(?:^|\.)(?:norm|norm_f|ln_f|final_norm|final_layer_?norm)\.(?P<part>weight|bias)$")
_BLOCK = 1 << 22  # elements multiplied at a time


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
                self._tables[str(kind)] = (item.name, _packed(item.side("trained", 0, info.shape[0]), info.dtype))
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
        scores = np.empty((0, len(vectors)), dtype=np.float32)
        ids = np.empty((0, len(vectors)), dtype=np.int64)
        columns = vectors.T.astype(np.float32)  # (d, N)
        step = max(1, _BLOCK // rows.shape[1])
        for first in range(0, len(rows), step):
            block = _unpacked(rows[first : first + step])
            real = np.array([not self._tokens.is_padding(first + i) for i in range(len(block))])
            here = np.flatnonzero(real) + first
            scores = np.concatenate([scores, (block @ columns)[real]])
            ids = np.concatenate([ids, np.broadcast_to(here[:, None], (len(here), len(vectors)))])
            if len(scores) > 2 * count:
                order = np.argsort(-scores, axis=0, kind="stable")
                order = np.concatenate([order[:count], order[-count:]])
                scores, ids = np.take_along_axis(scores, order, 0), np.take_along_axis(ids, order, 0)
        found = []
        for column in range(len(vectors)):
            order = np.argsort(-scores[:, column], kind="stable")
            plus, minus = order[:count], order[::-1][:count]
            found.append(
                tuple([self._entry(ids[i, column], scores[i, column]) for i in ends] for ends in (plus, minus))
            )
        return found

    def _entry(self, index: Any, score: Any) -> dict[str, Any]:
        return {"token": self._tokens.text(int(index)), "id": int(index), "logit": float(score)}

    def _table(self) -> tuple[str, NDArray[Any]] | None:
        return self._tables.get("head") or self._tables.get("embed")

    def _is_vocabulary(self, rows: int) -> bool:
        """Whether a head's rows can be tokens: a classifier has fewer than the vocabulary."""
        return self._tokens.spelling is None or rows > max(self._tokens.spelling, default=0) * 0.9


def _packed(rows: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The rows in as few bytes as hold them exactly: bfloat16 as the upper halves of float32."""
    if dtype == "BF16" and rows.dtype == np.float32:
        return (rows.view(np.uint32) >> 16).astype(np.uint16)
    return rows.astype(np.float16) if dtype == "F16" else rows


def _unpacked(rows: NDArray[Any]) -> NDArray[np.float32]:
    if rows.dtype == np.uint16:
        return (rows.astype(np.uint32) << 16).view(np.float32)
    return rows.astype(np.float32)
