"""Blends of two networks in one: parameters point to W_base + λ·Δ for a while, and back to W_base afterwards.

One network lives in memory, with the base's values. Of the trained model only the parameters that differ are kept. A
blend points `Parameter.data` elsewhere and back again, so restoring copies nothing and is exact to the bit; λ = 1
points to the trained values themselves. What is in between is computed in float32,

    W(λ) = W_base + λ·P(Δ),    Δ = W_trained − W_base,

where P keeps the k leading singular directions of a matrix: P(Δ) = Δ·V_k V_kᵀ with the right singular vectors, or
U_k U_kᵀ·Δ where the matrix has fewer rows than columns. They come from the factors of a low-rank adapter, otherwise
from the eigenvectors of the smaller Gram matrix in float64, and are kept for the next blend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch

from afterburn_core.backends.transformers_controls import as_large
from afterburn_core.forward.live import Blend, Part, Place
from afterburn_core.run.naming import module_kind, scope_of
from afterburn_core.run.seeds import child_seed

if TYPE_CHECKING:
    from afterburn_core.run.lowrank import LowRank

_KEPT = 64
"""Leading directions that are kept of a matrix; more are computed again when they are asked for."""
_PARTS: dict[str, Part] = {
    **dict.fromkeys(("q", "k", "v", "qkv", "kv", "o"), "attention"),
    **dict.fromkeys(("gate", "up", "gate_up", "down", "router"), "mlp"),
    **dict.fromkeys(("embed", "position"), "embed"),
    "norm": "norm",
    "head": "head",
}


def part_of(name: str) -> Part:
    """What a parameter belongs to; a bias belongs where its module's weight does."""
    stem = name.removesuffix(".bias")
    return _PARTS.get(module_kind(f"{stem}.weight" if stem != name else name), "other")


@attrs.define(eq=False, kw_only=True)
class Change:
    """One parameter that training changed."""

    place: Place
    parameter: torch.nn.Parameter
    base: torch.Tensor
    trained: torch.Tensor
    factors: Callable[[], LowRank | None] = attrs.field(default=lambda: None)
    """Δ of a low-rank adapter, in the orientation of the parameter."""
    _basis: torch.Tensor | None = attrs.field(default=None, init=False)
    _whole: bool = attrs.field(default=False, init=False)

    def delta(self, rank: int | None, scramble: int | None) -> torch.Tensor:
        """Δ in float32, of the parameter's shape, truncated and permuted as a blend says."""
        delta = self.trained.float() - self.base.float()
        if rank is not None and delta.dim() > 1:
            delta = self._truncated(delta, rank)
        return delta if scramble is None else permuted(delta, child_seed(scramble, f"scramble/{self.place.name}"))

    def _truncated(self, delta: torch.Tensor, rank: int) -> torch.Tensor:
        rows, columns = delta.shape[-2:]
        if rank >= min(rows, columns):
            return delta
        basis = self._directions(delta, rank)  # (…, min(rows, columns), rank)
        if columns <= rows:
            return (delta @ basis) @ basis.mT
        return basis @ (basis.mT @ delta)

    def _directions(self, delta: torch.Tensor, rank: int) -> torch.Tensor:
        if self._basis is None or (self._basis.shape[-1] < rank and not self._whole):
            factors = self.factors() if delta.dim() == 2 else None
            if factors is not None:
                self._basis, self._whole = _from_factors(factors).to(delta.device), True
            else:
                self._basis = _leading(delta, max(rank, _KEPT))
        return self._basis[..., :rank]


def permuted(delta: torch.Tensor, seed: int) -> torch.Tensor:
    """Δ with rows and columns in random order, P·Δ·Q, whose singular values are those of Δ; a vector: its entries."""
    generator = torch.Generator().manual_seed(seed)
    for dimension in range(max(0, delta.dim() - 2), delta.dim()):
        order = torch.randperm(delta.shape[dimension], generator=generator)
        delta = delta.index_select(dimension, order.to(delta.device))
    return delta


def _from_factors(matrix: LowRank) -> torch.Tensor:
    """Singular vectors of scale·L·R on the smaller side, all that are not of singular value 0: (d, ≤ r) float32."""
    q_left, r_left = np.linalg.qr(matrix.left)
    q_right, r_right = np.linalg.qr(matrix.right.T)
    u, values, vt = np.linalg.svd(matrix.scale * (r_left @ r_right.T), full_matrices=False)
    used = int(np.count_nonzero(values > 1.5e-8 * values[:1].sum()))
    basis = q_right @ vt[:used].T if matrix.columns <= matrix.rows else q_left @ u[:, :used]
    return torch.from_numpy(np.ascontiguousarray(basis, dtype=np.float32))


def _leading(delta: torch.Tensor, rank: int) -> torch.Tensor:
    """The leading singular vectors on the smaller side, in descending order: (…, d, rank) float32."""
    wide = delta.double()
    gram = wide.mT @ wide if delta.shape[-1] <= delta.shape[-2] else wide @ wide.mT  # (…, d, d)
    count = min(rank, gram.shape[-1])
    if gram.dim() == 2 and gram.device.type == "cpu":
        from scipy.linalg import eigh

        size = gram.shape[0]
        found = torch.from_numpy(eigh(gram.numpy(), subset_by_index=(size - count, size - 1))[1])
    else:
        found = torch.linalg.eigh(gram).eigenvectors[..., -count:]
    return found.flip(-1).float()


class Blends:
    """The changed parameters of one network, and what they point to."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = tuple(changes)
        self._names = frozenset(change.place.name for change in changes)
        self._kept: dict[Any, tuple[list[torch.Tensor], int]] = {}

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(change.place for change in self.changes)

    @contextmanager
    def kept(self, blend: Blend) -> Iterator[None]:
        """Computes a blend once for all uses of it inside; it is not applied by this.

        Raises:
            ValueError: the blend names a parameter that training did not change, or its rank is no positive number.
        """
        key = _key(blend)
        values, holders = self._kept[key] if key in self._kept else (self._values(blend), 0)
        self._kept[key] = values, holders + 1
        try:
            yield
        finally:
            values, holders = self._kept.pop(key)
            if holders > 1:
                self._kept[key] = values, holders - 1

    @contextmanager
    def applied(self, blend: Blend) -> Iterator[None]:
        """The network is the blend inside, and what it was before afterwards, whatever happens."""
        with self.kept(blend):
            values = self._kept[_key(blend)][0]
            before = [change.parameter.data for change in self.changes]
            try:
                self._point(values)
                yield
            finally:
                self._point(before)

    def restore(self) -> None:
        """Makes the network the base, should an interruption have hit the moment of pointing back."""
        self._point([change.base for change in self.changes])

    def _point(self, values: Sequence[torch.Tensor]) -> None:
        for change, value in zip(self.changes, values, strict=True):
            change.parameter.data = value

    def _values(self, blend: Blend) -> list[torch.Tensor]:
        unknown = sorted(blend.scales.keys() - self._names)
        if unknown:
            raise ValueError(f"a blend names {unknown[0]!r}, which training did not change; take names from `places`")
        if blend.rank is not None and blend.rank < 1:
            raise ValueError(f"a blend of rank {blend.rank} keeps nothing; use a default of 0 for the base")
        return [_blended(change, blend) for change in self.changes]


def _blended(change: Change, blend: Blend) -> torch.Tensor:
    scale = blend.scales.get(change.place.name, blend.default)
    if scale == 0:
        return change.base
    if scale == 1 and blend.rank is None and blend.scramble is None:
        return change.trained
    before, moved = change.base.float(), scale * change.delta(blend.rank, blend.scramble)
    if blend.scramble is not None:  # a control has to be as large as what it stands beside
        return as_large(before, moved, change.base.dtype)
    return (before + moved).to(change.base.dtype)


def _key(blend: Blend) -> Any:
    return blend.default, tuple(sorted(blend.scales.items())), blend.rank, blend.scramble


def find_changes(
    network: Any,
    trained: Any,
    *,
    name: Callable[[str], str] = lambda name: name,
    factors: Callable[[str], LowRank | None] = lambda name: None,
) -> list[Change]:
    """What differs between two networks of one shape, in the order of the first; equal parameters are dropped.

    A tied parameter that the trained model has untied, or trained in one place alone, is untied in `network`, which
    from then on holds the same storage under two parameters.

    Args:
        network: holds the base's values.
        trained: the same class with the trained values; it may be thrown away afterwards.
        name: from a parameter's name in the network to its canonical name.
        factors: the low-rank change of a parameter by its name in the network, if it is one.

    Raises:
        ValueError: parameters or buffers that one side alone has or has in another shape; the message names one.
    """
    theirs = dict(trained.named_parameters(remove_duplicate=False))
    ours = dict(network.named_parameters(remove_duplicate=False))
    _require_alike(ours, theirs)
    _require_equal(dict(network.named_buffers()), dict(trained.named_buffers()))
    _untie(network, ours, theirs)
    found = []
    for own, parameter in network.named_parameters():
        other = theirs[own].data
        if torch.equal(parameter.data, other):
            continue
        other = other.to(parameter.dtype)
        called = name(own)
        place = Place(
            name=called,
            layer=scope_of(own).layer,
            part=part_of(called),
            shape=tuple(parameter.shape),
            norm=float(torch.linalg.vector_norm(other.float() - parameter.data.float(), dtype=torch.float64)),
        )
        lazy = partial(factors, own)
        found.append(Change(place=place, parameter=parameter, base=parameter.data, trained=other, factors=lazy))
    return found


def _require_alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    lone = sorted(ours.keys() ^ theirs.keys())
    if lone:
        side = "base" if lone[0] in ours else "trained"
        raise ValueError(f"only the {side} model has {lone[0]!r}")
    for name, parameter in ours.items():
        if parameter.shape != theirs[name].shape:
            raise ValueError(
                f"{name!r} has the shape {tuple(parameter.shape)} in the base and {tuple(theirs[name].shape)} in the "
                "trained model"
            )
        if not parameter.is_floating_point():
            raise ValueError(f"{name!r} is stored in codes ({parameter.dtype}), which cannot be added to")


def _require_equal(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> None:
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs or not torch.equal(ours[name], theirs[name].to(ours[name].device)):
            raise ValueError(f"the constants {name!r} differ")


def _untie(network: Any, ours: Mapping[str, torch.nn.Parameter], theirs: Mapping[str, torch.nn.Parameter]) -> None:
    first: dict[int, str] = {}
    for name, parameter in ours.items():
        owner = first.setdefault(id(parameter), name)
        if owner == name or torch.equal(theirs[owner].data, theirs[name].data):
            continue
        module, _, last = name.rpartition(".")
        setattr(network.get_submodule(module), last, torch.nn.Parameter(parameter.data, requires_grad=False))


__all__ = ["Blends", "Change", "find_changes", "part_of", "permuted"]
