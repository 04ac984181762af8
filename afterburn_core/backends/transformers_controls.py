"""Nulls beside a pair: other changes of the base, as large as the trained one, that know nothing of the training.

- `scrambled`: rows and columns of every module's change permuted: Δ' = P Δ Q. Entries, norms and singular values stay.
- `matched`: every module's change turned at random. For factors, Δ = s·B·A = Σ σ_i u_i v_iᵀ becomes Σ σ_i u'_i v'_iᵀ
  with random orthonormal u', v', as factors of the same rank. For whole matrices Δ' = L Δ R with the fast rotations
  L, R = (permutation · cosine transform · random signs), a kin of the randomised Hadamard transform (Improved Analysis
  of the Subsampled Randomized Hadamard Transform, arXiv 1011.1595). Singular values and norms stay; of a vector, its
  norm.
  Weights in 16 bits have no room for a change below their grain: whole changes are scaled so that about
  the norm is left after rounding; singular values stay but for it.
- `rounding`: the base with every weight rounded to bfloat16 and back. Weights that lie on that grid are instead moved
  by up to half a step of it, uniformly: what the base might have been before it was rounded.

A control is a set of parameters with the values that stand in their place while it reads. Every module has a seed of
its own, so nothing depends on their order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import numpy as np
import torch
from scipy import fft
from torch import nn

from afterburn_core.run.needs import ControlKind
from afterburn_core.run.seeds import child_seed

Swaps = Mapping[nn.Parameter, torch.Tensor]
"""Parameters, and what stands in their place."""
_FACTORS = (("lora_A", "lora_B"), ("lora_embedding_A", "lora_embedding_B"))
_WRAPPERS = re.compile(r"\.(base_layer|original_module)(?=\.)")
"""What an adapter puts into the names of its base's parameters."""
_NEAR = 0.01
"""Of the norm: nearer is as good as equal."""
_TRIES = 24
_STEP = 8
"""bfloat16 has 8 significant bits: numbers m·2^e with m in [½, 1) lie 2^(e−8) apart."""


@attrs.frozen(kw_only=True, eq=False)
class FactorChange:
    """Δ = s·B·A of one module."""

    name: str
    a: nn.Parameter
    """(r, …)."""
    b: nn.Parameter
    """(…, r)."""


@attrs.frozen(kw_only=True, eq=False)
class WholeChange:
    """A parameter of the trained model and what the base has in its place."""

    name: str
    parameter: nn.Parameter
    base: torch.Tensor
    """Of the same shape, or with more or fewer rows."""


Change = FactorChange | WholeChange


def adapter_changes(model: Any) -> list[Change]:
    """What a LoRA adapter changes: factors, and modules that it stores whole beside the base's own."""
    found: list[Change] = []
    for name, module in model.named_modules():
        for first, second in _FACTORS:
            held: tuple[Any, Any] = getattr(module, first, None), getattr(module, second, None)
            if any(one is None for one in held):
                continue
            for adapter in list(held[0]):
                a, b = (getattr(one[adapter], "weight", one[adapter]) for one in held)
                found.append(FactorChange(name=name, a=a, b=b))
        stored, original = getattr(module, "modules_to_save", None), getattr(module, "original_module", None)
        if isinstance(stored, nn.ModuleDict) and isinstance(original, nn.Module):
            before = dict(original.named_parameters())
            for adapter, own in stored.items():
                found += [
                    WholeChange(name=f"{name}.{part}", parameter=parameter, base=before[part].data)
                    for part, parameter in own.named_parameters()
                    if adapter in model.active_adapters and part in before
                ]
    return found


def adapter_parameters(model: Any) -> set[nn.Parameter]:
    """Parameters that an adapter brings; none where there is no adapter."""
    return {p for name, p in model.named_parameters() if "lora_" in name or ".modules_to_save." in name}


def paired_changes(base: nn.Module, trained: nn.Module) -> list[Change]:
    """The parameters in which two models of one architecture differ."""
    before = dict(base.named_parameters())
    return [
        WholeChange(name=name, parameter=parameter, base=before[name].data)
        for name, parameter in trained.named_parameters()
        if parameter.is_floating_point()
        and name in before
        and before[name].shape[1:] == parameter.shape[1:]
        and not _equal(before[name], parameter)
    ]


def control_of(kind: ControlKind, changes: Iterable[Change], seed: int) -> Swaps:
    """A null of a kind, `scrambled` or `matched`."""
    swaps: dict[nn.Parameter, torch.Tensor] = {}
    for change in changes:
        generator = _generator(seed, kind, change.name)
        if isinstance(change, FactorChange):
            made = _scrambled_factors if kind == "scrambled" else _turned_factors
            swaps[change.a], swaps[change.b] = made(change.a.data, change.b.data, generator)
        else:
            swaps[change.parameter] = _whole(kind, change, generator)
    return swaps


def rounded(model: nn.Module, seed: int, *, skip: Iterable[nn.Parameter] = ()) -> Swaps:
    """The weights of the base, rounded; `skip` are those of an adapter on it. Empty where the model computes in
    bfloat16, so that nothing finer can be said."""
    own = set(skip)
    parameters = {
        _WRAPPERS.sub("", name): parameter
        for name, parameter in model.named_parameters()
        if parameter.is_floating_point() and parameter not in own
    }
    if any(parameter.dtype == torch.bfloat16 for parameter in parameters.values()):
        return {}
    cast = {parameter: parameter.data.bfloat16() for parameter in parameters.values()}
    if any(not torch.equal(short.to(parameter.dtype), parameter.data) for parameter, short in cast.items()):
        return {parameter: short.to(parameter.dtype) for parameter, short in cast.items()}
    del cast
    return {p: _jittered(p.data, _generator(seed, "rounding", name)) for name, p in parameters.items()}


def _generator(seed: int, kind: ControlKind, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(child_seed(seed, f"control/{kind}/{name}"))


def _jittered(weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    _, exponent = torch.frexp(weight.float())
    moved = torch.rand(weight.shape, generator=generator).sub_(0.5).to(weight.device)
    return torch.where(weight == 0, weight, weight + torch.ldexp(moved, exponent - _STEP).to(weight.dtype))


def _scrambled_factors(
    a: torch.Tensor, b: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    columns = torch.randperm(a[0].numel(), generator=generator).to(a.device)
    rows = torch.randperm(b.numel() // a.shape[0], generator=generator).to(b.device)
    left, right = _flat(a, b)
    return right[:, columns].reshape(a.shape), left[rows].reshape(b.shape)


def _turned_factors(a: torch.Tensor, b: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    left, right = (one.double().cpu() for one in _flat(a, b))
    core = torch.linalg.qr(left)[1] @ torch.linalg.qr(right.T)[1].T
    values = torch.linalg.svdvals(core).clamp(min=0.0)  # (k), k ≤ r
    u, v = (_orthonormal(side, len(values), generator) for side in (left.shape[0], right.shape[1]))
    root = values.sqrt()
    new_left, new_right = torch.zeros_like(left), torch.zeros_like(right)
    new_left[:, : len(values)] = u * root
    new_right[: len(values)] = (v * root).T
    return new_right.reshape(a.shape).to(a), new_left.reshape(b.shape).to(b)


def _flat(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """B (…, r) and A (r, …) as matrices."""
    return b.reshape(-1, a.shape[0]), a.reshape(a.shape[0], -1)


def _orthonormal(rows: int, columns: int, generator: torch.Generator) -> torch.Tensor:
    """(rows, columns), uniform over all such frames."""
    q, r = torch.linalg.qr(torch.randn(rows, columns, generator=generator, dtype=torch.float64))
    signs = torch.where(r.diagonal() < 0, -1.0, 1.0).double()
    frame: torch.Tensor = q * signs
    return frame


def _whole(kind: ControlKind, change: WholeChange, generator: torch.Generator) -> torch.Tensor:
    trained, base = change.parameter.data, change.base
    shared = min(trained.shape[0], base.shape[0]) if trained.dim() else 0
    if not shared:
        return trained.clone()
    before = base[:shared].float()
    delta = trained[:shared].float() - before
    move = _scrambled if kind == "scrambled" else _turned
    if delta.dim() == 1:
        moved = move(delta[:, None], generator)[:, 0]
    elif delta.dim() == 2:
        moved = move(delta, generator)
    else:  # experts side by side: each is a matrix of its own
        moved = torch.stack([move(one.reshape(one.shape[0], -1), generator).reshape(one.shape) for one in delta])
    result = trained.clone()
    result[:shared] = as_large(before, moved, trained.dtype)
    return result


def as_large(before: torch.Tensor, moved: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """before + c·moved in `dtype`, with c such that rounding leaves a change of norm ‖moved‖; c = 1 where it does so.

    Training in 16 bits moves few weights by a whole step. Moved elsewhere, most steps are too small for the weights
    there and are rounded away: where every fourteenth weight changed, a third of the norm would be left.

    Args:
        before: float32, of which `dtype` holds every value.
        moved: of the same shape.
    """
    wanted = float(moved.norm())

    def at(scale: float) -> tuple[torch.Tensor, float]:
        rounded_ = (before + scale * moved).to(dtype)
        return rounded_, float((rounded_.float() - before).norm())

    best, size = at(1.0)
    if not wanted or abs(size / wanted - 1) <= _NEAR:
        return best
    low, high = (1.0, math.inf) if size < wanted else (0.0, 1.0)
    for _ in range(_TRIES):
        scale = 2 * low if high == math.inf else (low + high) / 2
        tried, found = at(scale)
        if abs(found - wanted) < abs(size - wanted):
            best, size = tried, found
        if abs(size / wanted - 1) <= _NEAR:
            break
        low, high = (scale, high) if found < wanted else (low, scale)
    return best


def _scrambled(delta: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    rows, columns = (torch.randperm(n, generator=generator).to(delta.device) for n in delta.shape)
    return delta[rows][:, columns]


def _turned(delta: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    values = delta.cpu().numpy()
    for axis in (0, 1):
        size = values.shape[axis]
        signs = (torch.randint(0, 2, (size,), generator=generator) * 2 - 1).numpy().astype(values.dtype)
        turned = fft.dct(values * np.expand_dims(signs, 1 - axis), axis=axis, norm="ortho")
        values = np.take(turned, torch.randperm(size, generator=generator).numpy(), axis=axis)
    return torch.from_numpy(np.ascontiguousarray(values)).to(delta.device)


def _equal(base: torch.Tensor, trained: torch.Tensor) -> bool:
    return base.shape == trained.shape and torch.equal(base, trained)
