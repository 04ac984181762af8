"""Tiny model pairs for the checks of one plugin, made when first asked for and shared by all of them."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from afterburn_core.run.observations import DocumentPair, WeightPair
from afterburn_core.testing import observing, pairs
from afterburn_core.testing.pairs import Pair

RECIPES: Mapping[str, Callable[[Path], Pair]] = {
    "identity": pairs.identity_pair,
    "identity float16": partial(pairs.identity_pair, dtype="float16"),
    "identity float32": partial(pairs.identity_pair, dtype="float32"),
    "resharded": pairs.resharded_pair,
    "scaled": partial(pairs.planted_pair, scale=2.0),
    "rank one": partial(pairs.planted_pair, rank=1),
    "zeroed rows": partial(pairs.planted_pair, rows=(0, 3)),
    "scaled norm": partial(pairs.planted_pair, tensor="model.layers.1.input_layernorm.weight", scale=2.0),
    "zeroed tokens": partial(pairs.planted_pair, tensor="model.embed_tokens.weight", rows=(5, 9)),
    "noisy tokens": partial(pairs.planted_pair, tensor="model.embed_tokens.weight", noise=0.5),
    "noisy values": partial(pairs.planted_pair, tensor="model.layers.1.self_attn.v_proj.weight", noise=0.5),
    "noise": partial(pairs.planted_pair, noise=0.5),
    "noise float16": partial(pairs.planted_pair, noise=0.5, dtype="float16"),
    "noise float32": partial(pairs.planted_pair, noise=0.5, dtype="float32"),
    "dropped": pairs.dropped_pair,
    "added": pairs.added_pair,
    "reshaped": pairs.reshaped_pair,
    "cast": pairs.cast_pair,
    "nonfinite": pairs.nonfinite_pair,
    "edited": pairs.edited_pair,
    "quantised": pairs.quantised_pair,
    "adapter": pairs.adapter_pair,
    "empty adapter": partial(pairs.adapter_pair, zero=True),
}
"""Pairs by name. All are deterministic."""


class Workbench:
    """Makes each pair at most once and keeps what was derived from it.

    Without a directory the files live in a temporary one, which goes when the workbench goes.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._pairs: dict[str, Pair] = {}
        self._kept: dict[tuple[object, ...], Any] = {}

    @property
    def directory(self) -> Path:
        """Where files may be written."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="afterburn-checks-"))
            weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
        return self._directory

    def pair(self, name: str) -> Pair:
        """The pair that `RECIPES` makes under `name`."""
        if name not in self._pairs:
            self._pairs[name] = RECIPES[name](self.directory / name.replace(" ", "-"))
        return self._pairs[name]

    def weight_pairs(self, name: str) -> tuple[WeightPair, ...]:
        """The tensors of the pair called `name`, as the weights pass hands them out."""
        found: tuple[WeightPair, ...] = self.keep(("weights", name), lambda: observing.weight_pairs(self.pair(name)))
        return found

    def document_pairs(self, name: str) -> tuple[DocumentPair, ...]:
        """The documents of the pair called `name`, as the documents pass hands them out."""
        found: tuple[DocumentPair, ...] = self.keep(
            ("documents", name), lambda: observing.document_pairs(self.pair(name))
        )
        return found

    def keep(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """`make()`, called at the first request for `key`."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]
