"""Codes of what a subject computed at a dictionary's site, encoded once for all analyzers of a pass.

Few latents of a token are active, so codes are kept as triples (row, feature, value) and never as a whole (n, latents).
What was encoded is remembered by the tensor of activations: it is shared by all analyzers that observe the same batch,
and by the controls that stand beside the same base, and it goes when the batch goes.
"""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

import attrs
import torch
from torch.utils.weak import WeakTensorKeyDictionary

from afterburn_core.forward.model import ForwardBatch
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.readers import locate, open_dictionary

_ENTRIES = {"cpu": 1 << 25, "cuda": 1 << 28}
"""Codes that exist densely at once: 128 MB, 1 GB."""


@attrs.frozen(kw_only=True, eq=False)
class Codes:
    """Active latents of n rows, in the order of rows. Shared: write into none of them."""

    rows: torch.Tensor
    """(a) int64, ascending."""
    features: torch.Tensor
    """(a) int64."""
    values: torch.Tensor
    """(a) float32 (float64 of a dictionary that is stored so), above 0."""
    n: int
    """Rows that were encoded."""
    latents: int

    def counts(self) -> torch.Tensor:
        """(n) int64: active latents of every row."""
        return torch.bincount(self.rows, minlength=self.n)


_lock = threading.Lock()
_kept: Any = WeakTensorKeyDictionary()
_opened: weakref.WeakValueDictionary[tuple[str, int, str], Dictionary] = weakref.WeakValueDictionary()


def shared_dictionary(path: Path | str, device: torch.device | str = "cpu") -> Dictionary:
    """The dictionary at a path on a device, opened once for all who hold it at the same time.

    Raises:
        SubjectError: nothing is there, no reader knows it, or it is damaged.
    """
    found = locate(path)
    key = (str(found.resolve()), found.stat().st_mtime_ns, str(device))
    with _lock:
        dictionary = _opened.get(key)
        if dictionary is None:
            dictionary = open_dictionary(found)
            if torch.device(device).type != "cpu":
                dictionary = dictionary.to(device)
            _opened[key] = dictionary
    return dictionary


def codes(
    batch: ForwardBatch,
    dictionary: Dictionary,
    subject: str = "trained",
    *,
    site: str | None = None,
    features: tuple[int, ...] | None = None,
) -> Codes:
    """Codes of all rows of a batch as a subject read it.

    Args:
        batch: what the pass handed out.
        dictionary: on the batch's device.
        subject: `base`, `trained` or a control by its id.
        site: where; the dictionary's own by default.
        features: encode these alone; top-k dictionaries encode all and keep these.

    Raises:
        KeyError: the batch has no activations at the site.
        SubjectError: they are of another width.
    """
    activations = batch.subject(subject).sites[site or dictionary.site or ""]
    key = (id(dictionary), features)
    with _lock:
        known = _kept.setdefault(activations, {})
    if key not in known:
        # the dictionary is held with its codes, so that no other can take its place in memory meanwhile
        known[key] = (dictionary, encode(activations, dictionary, features))
    found: Codes = known[key][1]
    return found


@torch.no_grad()
def encode(x: torch.Tensor, dictionary: Dictionary, features: tuple[int, ...] | None = None) -> Codes:
    """Codes of activations x (n, d_in), a stretch of rows at a time."""
    chosen = None if features is None else torch.tensor(sorted(features), dtype=torch.int64, device=x.device)
    some = chosen is not None and dictionary.separable
    width = len(chosen) if chosen is not None and some else dictionary.latents
    step = max(1, _ENTRIES.get(x.device.type, _ENTRIES["cpu"]) // max(width, 1))
    rows, found, values = [], [], []
    for start in range(0, len(x), step):
        part = x[start : start + step]
        if dictionary.kind == "topk":
            top, index = dictionary.top(part)
            index, order = index.sort(dim=1)
            top = top.gather(1, order)
            row, column = (top > 0).nonzero(as_tuple=True)
            feature, value = index[row, column], top[row, column]
        else:
            dense = dictionary.encode_some(part, chosen) if chosen is not None else dictionary.encode(part)
            row, feature = dense.nonzero(as_tuple=True)
            value = dense[row, feature]
            feature = feature if chosen is None else chosen[feature]
        if chosen is not None and not some:
            mine = torch.isin(feature, chosen)
            row, feature, value = row[mine], feature[mine], value[mine]
        rows.append(row + start)
        found.append(feature)
        values.append(value)
    empty = torch.empty(0, dtype=torch.int64, device=x.device)
    return Codes(
        rows=torch.cat(rows) if rows else empty,
        features=torch.cat(found) if found else empty,
        values=torch.cat(values) if values else empty.float(),
        n=len(x),
        latents=dictionary.latents,
    )


@torch.no_grad()
def broken(index: torch.Tensor, passage: torch.Tensor, *activations: torch.Tensor) -> frozenset[int]:
    """Passages with activations that are not finite at a token that counts: their codes would mean nothing.

    Args:
        index: (m) int64, rows that count.
        passage: (m) int64, whose they are.
        activations: (n, d) each, of either side.
    """
    whole = torch.ones(len(index), dtype=torch.bool, device=index.device)
    for one in activations:
        whole &= one.isfinite().all(dim=1)[index]
    return frozenset(passage[~whole].tolist())


@torch.no_grad()
def reconstruct(x: torch.Tensor, found: Codes, dictionary: Dictionary) -> torch.Tensor:
    """x̂ (n, d_out) of activations x (n, d_in) and their codes; reads the decoder rows of active latents alone."""
    values = found.values
    if dictionary.rescale_by_decoder_norm:
        values = values / dictionary.decoder_norms()[found.features]
    decoder, index = dictionary.w_dec, found.features
    if decoder.dtype != values.dtype or not decoder.is_contiguous():  # rows in use alone are brought to its form
        used, index = torch.unique(found.features, return_inverse=True)
        decoder = decoder[used].to(values.dtype)
    offsets = torch.searchsorted(found.rows, torch.arange(found.n, device=x.device))
    if len(index):
        out = torch.nn.functional.embedding_bag(index, decoder, offsets, mode="sum", per_sample_weights=values)
    else:
        out = torch.zeros((found.n, dictionary.d_out), dtype=values.dtype, device=x.device)
    out = out + dictionary.b_dec.to(values.dtype)
    given = x.to(values.dtype)
    if dictionary.w_skip is not None:
        out = out + dictionary.normalisation.beside(given) @ dictionary.w_skip.to(values.dtype)
    return dictionary.normalisation.undo(out, given)
