"""What a dictionary is, read off its tensors: norms of its columns, dead latents, thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from afterburn_sae.dictionary import Dictionary
from afterburn_sae.places import rebuilt_at

_BLOCK = 8192
"""Latents looked at once."""
_UNIT = 1e-3
"""Decoder rows whose norm is so near 1 count as of unit norm."""


@torch.no_grad()
def describe(dictionary: Dictionary) -> dict[str, Any]:
    """Everything that `afterburn sae inspect` says without a model, as JSON; unknown values are `None`.

    `dead` counts latents that can never be active or never write: a zero decoder row, or a zero encoder column whose
    bias is no larger than the threshold. `not_finite` counts latents with an infinite number or NaN in either.
    """
    n = dictionary.latents
    decoder, encoder = torch.empty(n), torch.empty(n)
    for rows in _blocks(n):
        decoder[rows] = torch.linalg.vector_norm(dictionary.w_dec[rows].float(), dim=1).cpu()
        encoder[rows] = torch.linalg.vector_norm(dictionary.w_enc[:, rows].float(), dim=0).cpu()
    silent = (encoder == 0) & ~_can_fire(dictionary)
    notes = dictionary.facts.get("notes", ())
    return {
        "name": dictionary.name,
        "format": dictionary.format,
        "kind": dictionary.kind,
        "transcoder": dictionary.transcoder,
        "latents": n,
        "d_in": dictionary.d_in,
        "d_out": dictionary.d_out,
        "dtype": str(dictionary.w_enc.dtype).removeprefix("torch."),
        "model": dictionary.model,
        "hook": dictionary.hook,
        "site": dictionary.site,
        "site_out": rebuilt_at(dictionary) if dictionary.transcoder else None,
        "k": dictionary.k,
        "threshold": _range(dictionary.threshold),
        "subtract_b_dec": dictionary.subtract_b_dec,
        "rescale_by_decoder_norm": dictionary.rescale_by_decoder_norm,
        "skip": dictionary.w_skip is not None,
        "normalisation": _normalisation(dictionary),
        "decoder_norms": {**_numbers(decoder), "unit": float(((decoder - 1).abs() < _UNIT).double().mean())},
        "encoder_norms": _numbers(encoder),
        "dead": int(((decoder == 0) | silent).sum()),
        "not_finite": int((~torch.isfinite(decoder) | ~torch.isfinite(encoder)).sum()),
        "encoded_alone": dictionary.separable,
        "l0": dictionary.l0,
        "prepend_bos": dictionary.prepend_bos,
        "lookup": dictionary.lookup,
        "sha256": dictionary.sha256,
        "facts": {name: value for name, value in dictionary.facts.items() if name != "notes" and value is not None},
        "notes": list(notes),
    }


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, _BLOCK):
        yield slice(start, min(start + _BLOCK, n))


def _can_fire(dictionary: Dictionary) -> torch.Tensor:
    """(n) whether the bias alone makes a latent active."""
    bias = (dictionary.b_enc if dictionary.b_mag is None else dictionary.b_mag).float().cpu()
    threshold = dictionary.threshold
    if threshold is None:
        return bias > 0
    return bias > (threshold.float().cpu().clamp(min=0) if isinstance(threshold, torch.Tensor) else max(threshold, 0.0))


def _numbers(values: torch.Tensor) -> dict[str, float | None]:
    """Least, median and greatest of the finite ones."""
    finite = values[torch.isfinite(values)]
    if not len(finite):
        return {"low": None, "median": None, "high": None}
    return {"low": float(finite.min()), "median": float(finite.median()), "high": float(finite.max())}


def _range(threshold: torch.Tensor | float | None) -> Mapping[str, float | None] | None:
    if threshold is None:
        return None
    return _numbers(
        threshold.float().cpu().reshape(-1) if isinstance(threshold, torch.Tensor) else torch.tensor([threshold])
    )


def _normalisation(dictionary: Dictionary) -> dict[str, Any]:
    found = dictionary.normalisation
    if found.kind != "fixed":
        return {"kind": found.kind}
    return {"kind": "fixed", "scale": found.scale, "out_scale": found.out_scale, "mean": found.mean is not None}
