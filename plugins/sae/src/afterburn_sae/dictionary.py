"""A sparse dictionary in the one form that all file formats are brought to.

With x̃ = normalise(x) − b_dec·[subtract_b_dec], (t, d_in), and p = x̃·W_enc + b_enc, (t, n), codes by `kind` are

- `relu`: relu(p)
- `jumprelu` and `batch_topk`: relu(p)·[p > θ], θ a number or one for every latent. A batch-top-k dictionary is trained
  with the k·t largest of a batch and used with the threshold that it learned meanwhile (arXiv 2412.06410)
- `topk`: relu(p) of the k largest p of the token, 0 elsewhere (arXiv 2406.04093)
- `gated`: [x̃·W_enc + b_gate > 0]·relu((x̃·W_enc)·e^r_mag + b_mag), with b_enc = b_gate (arXiv 2404.16014)

With `rescale_by_decoder_norm`, p is multiplied by ‖W_dec‖ of its latent before the choice, and decoding divides by it.
The reconstruction is undo(codes·W_dec + b_dec (+ x̃·W_skip)).

Tensors may be views of memory-mapped files: opening reads headers, and `encode_some` only the columns it is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import torch

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_sae.normalisation import Normalisation

Kind = Literal["relu", "topk", "batch_topk", "jumprelu", "gated"]
_GROUP = 32
"""Latents of which only the largest is looked at first when the k largest are sought."""

_ROWS = 8192
"""Latents of the decoder that are read at once where all of it would be copied."""


@attrs.frozen(kw_only=True, eq=False)
class Dictionary:
    """W_enc (d_in, n), W_dec (n, d_out), what stands between them, and where it belongs."""

    format: str
    """`saelens`, `gemma_scope`, … : the name of the reader."""
    kind: Kind
    w_enc: torch.Tensor = attrs.field(repr=False)
    """(d_in, n), as stored; maybe a transposed view of a memory-mapped file."""
    b_enc: torch.Tensor = attrs.field(repr=False)
    """(n); b_gate of a gated dictionary."""
    w_dec: torch.Tensor = attrs.field(repr=False)
    """(n, d_out)."""
    b_dec: torch.Tensor = attrs.field(repr=False)
    """(d_out)."""
    threshold: torch.Tensor | float | None = attrs.field(default=None, repr=False)
    """θ, (n) or one number, of `jumprelu` and `batch_topk`."""
    k: int | None = None
    """Of `topk`; of `batch_topk` what it was trained with."""
    r_mag: torch.Tensor | None = attrs.field(default=None, repr=False)
    """(n), of `gated`."""
    b_mag: torch.Tensor | None = attrs.field(default=None, repr=False)
    """(n), of `gated`."""
    w_skip: torch.Tensor | None = attrs.field(default=None, repr=False)
    """(d_in, d_out), of a transcoder with an affine path beside the latents."""
    transcoder: bool = False
    """Whether it writes another site's activations than it reads."""
    subtract_b_dec: bool = False
    normalisation: Normalisation = attrs.field(factory=Normalisation)
    rescale_by_decoder_norm: bool = False

    site: str | None = None
    """What it reads, by its neutral name (`blocks.12.out`); `None` where no neutral site is the same tensor."""
    site_out: str | None = None
    """What a transcoder writes."""
    hook: str | None = None
    """The site as the file names it."""
    model: str | None = None
    """The model it was trained on, as the file names it."""
    name: str = ""
    """Short, for people."""
    lookup: str | None = None
    """Neuronpedia's id of the set of features, `gpt2-small/6-res-jb`."""
    prepend_bos: bool | None = None
    l0: float | None = None
    """Mean number of active latents per token, as the card or the path has it."""
    facts: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """What else the file says, and how a doubtful matter was decided (`notes`)."""
    weights: Path | None = attrs.field(default=None, repr=False)
    """The file that `sha256` is of."""
    _kept: dict[str, Any] = attrs.field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _check(self)

    @property
    def d_in(self) -> int:
        return int(self.w_enc.shape[0])

    @property
    def d_out(self) -> int:
        return int(self.w_dec.shape[1])

    @property
    def latents(self) -> int:
        """n."""
        return int(self.w_enc.shape[1])

    @property
    def separable(self) -> bool:
        """Whether one latent can be encoded without the others: all kinds but `topk`."""
        return self.kind != "topk"

    @property
    def device(self) -> torch.device:
        return self.w_enc.device

    @property
    def sha256(self) -> str:
        """Of the file of weights, read once when first asked for; of the tensors where there is no file."""
        if "sha256" not in self._kept:
            self._kept["sha256"] = _digest(self)
        found: str = self._kept["sha256"]
        return found

    @torch.no_grad()
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Codes (t, n) of activations x (t, d_in)."""
        if self.kind == "topk":
            values, index = self.top(x)
            return values.new_zeros(len(values), self.latents).scatter_(1, index, values)
        projected = self._input(x) @ self._full("w_enc")
        scale = self.decoder_norms() if self.rescale_by_decoder_norm else None
        threshold = self._moved(self.threshold) if isinstance(self.threshold, torch.Tensor) else self.threshold
        return self._activate(
            projected,
            b_enc=self._full("b_enc"),
            scale=scale,
            threshold=threshold,
            r_mag=None if self.r_mag is None else self._full("r_mag"),
            b_mag=None if self.b_mag is None else self._full("b_mag"),
        )

    @torch.no_grad()
    def encode_some(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Codes (t, m) of some latents (m) int64 alone: only their columns are read.

        Raises:
            ConfigError: a top-k dictionary, whose latents compete with each other.
        """
        if not self.separable:
            raise ConfigError(f"{self.name}: latents of a top-k dictionary cannot be encoded alone; encode all of them")
        features = features.to(self.device)
        threshold = self.threshold
        if isinstance(threshold, torch.Tensor) and threshold.ndim:
            threshold = self._moved(threshold[features])
        scale = (
            torch.linalg.vector_norm(self._moved(self.w_dec[features]), dim=1) if self.rescale_by_decoder_norm else None
        )
        return self._activate(
            self._input(x) @ self._moved(self.w_enc[:, features]),
            b_enc=self._moved(self.b_enc[features]),
            scale=scale,
            threshold=threshold,
            r_mag=None if self.r_mag is None else self._moved(self.r_mag[features]),
            b_mag=None if self.b_mag is None else self._moved(self.b_mag[features]),
        )

    @torch.no_grad()
    def top(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and indices, both (t, k), of the k largest latents of every token of a top-k dictionary, unsorted."""
        if self.kind != "topk" or self.k is None:
            raise ConfigError(f"{self.name}: only a top-k dictionary has the same number of latents for every token")
        projected = torch.addmm(self._full("b_enc"), self._input(x), self._full("w_enc"))
        if self.rescale_by_decoder_norm:
            projected *= self.decoder_norms()
        values, index = largest(projected, self.k)
        return values.relu_(), index

    @torch.no_grad()
    def decode(self, codes: torch.Tensor, x: torch.Tensor | None = None) -> torch.Tensor:
        """x̂ (t, d_out) of codes (t, n).

        Args:
            codes: what `encode` gave.
            x: the activations (t, d_in) that were encoded; needed with a skip path and where the normalisation's
                constants are the token's own.

        Raises:
            ConfigError: `x` is needed and missing.
        """
        if self.rescale_by_decoder_norm:
            norms = self.decoder_norms()
            codes = codes / norms.masked_fill(norms == 0, 1.0)  # a pruned latent is never active
        out = torch.addmm(self._full("b_dec"), codes, self._full("w_dec"))
        if self.w_skip is not None:
            if x is None:
                raise ConfigError(f"{self.name}: decoding with a skip path needs the activations that were encoded")
            out += self.normalisation.beside(self._moved(x)) @ self._full("w_skip")
        return self.normalisation.undo(out, None if x is None else self._moved(x))

    def decoder_norms(self) -> torch.Tensor:
        """‖W_dec‖ (n) of every latent, computed once."""
        if "norms" not in self._kept:
            self._kept["norms"] = torch.cat(
                [
                    torch.linalg.vector_norm(self._moved(self.w_dec[start : start + _ROWS]), dim=1)
                    for start in range(0, self.latents, _ROWS)
                ]
            )
        found: torch.Tensor = self._kept["norms"]
        return found

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Dictionary:
        """The same on another device; `dtype` changes what it computes in from float32 (or float64, if so stored)."""
        dtype = dtype or self._dtype
        moved: dict[str, Any] = {
            name: value.to(device, dtype)
            for name in ("w_enc", "b_enc", "w_dec", "b_dec", "threshold", "r_mag", "b_mag", "w_skip")
            if isinstance(value := getattr(self, name), torch.Tensor)
        }
        other = attrs.evolve(self, **moved, normalisation=self.normalisation.to(device, dtype))
        if "sha256" in self._kept:
            other._kept["sha256"] = self._kept["sha256"]
        other._kept["dtype"] = dtype
        return other

    @property
    def _dtype(self) -> torch.dtype:
        """What it computes in: never less than float32 unless `to` was told so."""
        found: torch.dtype | None = self._kept.get("dtype")
        return found or torch.promote_types(self.w_enc.dtype, torch.float32)

    def _moved(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, self._dtype)

    def _full(self, name: str) -> torch.Tensor:
        """A tensor in the dtype it is computed in; kept where that took a copy."""
        stored: torch.Tensor = getattr(self, name)
        if stored.dtype == self._dtype:
            return stored
        if name not in self._kept:
            self._kept[name] = self._moved(stored)
        found: torch.Tensor = self._kept[name]
        return found

    def _input(self, x: torch.Tensor) -> torch.Tensor:
        """x̃ (t, d_in)."""
        if x.ndim != 2 or x.shape[1] != self.d_in:
            raise SubjectError(
                f"{self.name or self.format}: reads activations of width {self.d_in}, was given {tuple(x.shape)}; "
                f"it belongs to {self.model or 'another model'}, {self.hook or self.site or 'site unknown'}"
            )
        normed = self.normalisation.apply(self._moved(x))
        return normed - self._full("b_dec") if self.subtract_b_dec else normed

    def _activate(
        self,
        projected: torch.Tensor,
        *,
        b_enc: torch.Tensor,
        scale: torch.Tensor | None,
        threshold: torch.Tensor | float | None,
        r_mag: torch.Tensor | None,
        b_mag: torch.Tensor | None,
    ) -> torch.Tensor:
        """Codes from x̃·W_enc, which is overwritten; (t, m), and (m) the rest."""
        if r_mag is not None and b_mag is not None:
            closed = projected <= -b_enc
            magnitude = projected.mul_(r_mag.exp()).add_(b_mag).relu_()
            return magnitude.masked_fill_(closed, 0.0)
        projected += b_enc
        if scale is not None:
            projected *= scale
        if threshold is None:
            return projected.relu_()
        if isinstance(threshold, torch.Tensor):  # relu(p)·[p > θ] = p·[p > max(θ, 0)]
            return projected.mul_(projected > threshold.clamp(min=0))
        return torch.threshold_(projected, max(threshold, 0.0), 0.0)


def largest(values: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest of every row of (t, n), and their indices; both (t, k), unsorted.

    In two steps, exactly: the k largest lie in the k groups of latents whose own largest are the largest. A pass of
    maxima and a search among few take about half the time of a search among all n (`tests/bench/sae_encoding.py`).
    """
    t, n = values.shape
    k = min(k, n)
    groups = n // _GROUP
    if groups < 4 * k or values.is_cuda:
        found = values.topk(k, dim=1, sorted=False)
        return found.values, found.indices
    whole = groups * _GROUP
    blocks = values[:, :whole].reshape(t, groups, _GROUP)
    chosen = blocks.amax(dim=2).topk(k, dim=1, sorted=False).indices  # (t, k) groups
    candidates = blocks.gather(1, chosen[..., None].expand(t, k, _GROUP)).reshape(t, k * _GROUP)
    index = (chosen[..., None] * _GROUP + torch.arange(_GROUP, device=values.device)).reshape(t, k * _GROUP)
    if whole < n:
        candidates = torch.cat((candidates, values[:, whole:]), dim=1)
        rest = torch.arange(whole, n, device=values.device).expand(t, n - whole)
        index = torch.cat((index, rest), dim=1)
    top = candidates.topk(k, dim=1, sorted=False)
    return top.values, index.gather(1, top.indices)


def _check(dictionary: Dictionary) -> None:
    """Shapes agree, or one line says which do not.

    Raises:
        SubjectError: they do not, or what the kind needs is missing.
    """
    where = dictionary.name or dictionary.format
    if dictionary.w_enc.ndim != 2 or dictionary.w_dec.ndim != 2:
        raise SubjectError(f"{where}: W_enc and W_dec must be matrices; the file is damaged or of another format")
    d_in, n, d_out = dictionary.d_in, dictionary.latents, dictionary.d_out
    expected: dict[str, tuple[int, ...]] = {
        "w_dec": (n, d_out), "b_enc": (n,), "b_dec": (d_out,), "r_mag": (n,), "b_mag": (n,), "w_skip": (d_in, d_out),
    }  # fmt: skip
    if not dictionary.transcoder:
        expected["w_dec"] = (n, d_in)
    for name, shape in expected.items():
        value = getattr(dictionary, name)
        if value is not None and tuple(value.shape) != shape:
            raise SubjectError(
                f"{where}: {name} has shape {tuple(value.shape)} where W_enc {(d_in, n)} asks for {shape}; "
                "the file is damaged or of another format"
            )
    threshold = dictionary.threshold
    if isinstance(threshold, torch.Tensor) and tuple(threshold.shape) not in ((), (n,)):
        raise SubjectError(f"{where}: the threshold has shape {tuple(threshold.shape)}, expected {(n,)} or one number")
    if dictionary.kind in ("jumprelu", "batch_topk") and threshold is None:
        raise SubjectError(f"{where}: a dictionary of kind {dictionary.kind} needs a threshold, and the file has none")
    if dictionary.kind == "topk" and (dictionary.k is None or not 0 < dictionary.k <= n):
        raise SubjectError(f"{where}: a top-k dictionary needs k between 1 and {n}, found {dictionary.k}")
    if dictionary.kind == "gated" and (dictionary.r_mag is None or dictionary.b_mag is None):
        raise SubjectError(f"{where}: a gated dictionary needs r_mag and b_mag, and the file lacks them")


def _digest(dictionary: Dictionary) -> str:
    if dictionary.weights is not None:
        with dictionary.weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for name in ("w_enc", "b_enc", "w_dec", "b_dec", "threshold", "r_mag", "b_mag", "w_skip"):
        value = getattr(dictionary, name)
        if isinstance(value, torch.Tensor):
            digest.update(name.encode())
            digest.update(value.detach().cpu().to(torch.float64).contiguous().numpy().tobytes())
    return digest.hexdigest()
