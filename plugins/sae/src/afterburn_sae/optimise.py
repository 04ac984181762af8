"""One step of training: reconstruction, its gradient and Adam, without autograd.

For rows x (t, D), c = x − b_d, p = c·W_eᵀ + b_e, codes a, x̂ = a·W_d + b_d, e = x̂ − x and G = 2e/t, the gradients are

    W_d: aᵀG    a: g = (G·W_dᵀ)·[a > 0]    W_e: gᵀc    b_e: Σg    b_d: ΣG − (Σg)·W_e

`batch_topk` (arXiv 2412.06410): a keeps the k·t largest positive p of the batch, and the loss is mean ‖e‖² plus 1/32 of
mean ‖ê − (x − x̂)‖², where ê is made from the D/2 latents with the largest p among those that are dead (arXiv
2406.04093); decoder rows have norm 1. The threshold for later use is a running mean of the smallest p that was kept.

`l1` (crosscoders of arXiv 2504.02922): a = relu(p), and the loss is mean ‖e‖² + λ·mean Σ_j a_j·Σ_m ‖d_j^m‖
over the sides m.

With k of n latents on, every product but the first has density k/n. They are computed as sums of rows picked by index
(`embedding_bag`) and as a product sampled at the pattern of a, so that a step costs little more than the one encoder
product where three to five dense ones would be needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import attrs
import torch
import torch.nn.functional as F

from afterburn_sae.train_coder import Coder
from afterburn_sae.train_recipe import DEAD_TOKENS, Recipe, annealed, schedule

AUXILIARY = 1 / 32
"""Weight of the dead latents' loss."""
_MEMORY = 0.99
"""Of the running threshold: the mean over some hundred steps, without the bias of its start."""


@attrs.frozen(kw_only=True, eq=False)
class Chosen:
    """The entries of a (t, n) that are not 0, row after row."""

    index: torch.Tensor
    """(z) int64 into the flattened matrix."""
    values: torch.Tensor
    """(z)."""


class Trainer:
    """Trains one coder. Not autograd's: tensors need no gradients, and everything is written in place."""

    def __init__(self, coder: Coder, recipe: Recipe, steps: int) -> None:
        self.coder = coder
        self.recipe = recipe
        self.steps = steps
        self.step = 0
        self.dead_after = min(DEAD_TOKENS, max(20 * recipe.batch, steps * recipe.batch // 20))
        device = coder.w_dec.device
        self.idle = torch.zeros(coder.latents, dtype=torch.int64, device=device)
        """(n) tokens since each latent was last on."""
        self.lowest = torch.zeros(2, dtype=torch.float64, device=device)
        """Running sum of the smallest kept p, and of the weights in it."""
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)
        """Σ‖e‖² and Σ‖x‖² since they were last taken."""
        self._hint = 0.0
        self._parameters = [torch.nn.Parameter(one, requires_grad=False) for one in coder.tensors().values()]
        for name, parameter in zip(coder.tensors(), self._parameters, strict=True):
            setattr(coder, name, parameter.data)
        self._adam = torch.optim.Adam(self._parameters, lr=recipe.learning_rate(coder.latents), fused=True)

    @property
    def threshold(self) -> float:
        """θ for use without a batch: the running mean; 0 for `l1`."""
        total, weight = self.lowest.tolist()
        return total / weight if weight else 0.0

    @torch.no_grad()
    def learn(self, x: torch.Tensor) -> None:
        """One step on normalised rows (t, D)."""
        gradients = self._topk(x) if self.recipe.kind == "batch_topk" else self._l1(x)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        rate = self.recipe.learning_rate(self.coder.latents) * schedule(self.step, self.steps)
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        for parameter in self._parameters:
            parameter.grad = None
        if self.recipe.kind == "batch_topk":
            w_dec = self.coder.w_dec
            w_dec /= w_dec.norm(dim=1, keepdim=True)
        self.step += 1

    def _topk(self, x: torch.Tensor) -> list[torch.Tensor]:
        coder, recipe, t = self.coder, self.recipe, len(x)
        centred = x - coder.b_dec
        p = torch.addmm(coder.b_enc, centred, coder.w_enc.t())  # (t, n)
        start = max(recipe.k, min(recipe.k_start or 0, coder.latents // 4))  # above, nothing would be sparse
        k = annealed(start, recipe.k, self.step, self.steps)
        chosen = self._choose(p, max(1, round(k * t)))
        row, column = chosen.index.div(coder.latents, rounding_mode="floor"), chosen.index % coder.latents
        offsets = _offsets(row, t)
        error = _bag(column, coder.w_dec, offsets, chosen.values)  # (t, D)
        error.add_(coder.b_dec).sub_(x)
        self._count(error, x)
        upstream = error * (2 / t)
        g = _sampled(offsets, column, upstream, coder.w_dec)  # (z)
        order = torch.sort(column, stable=True).indices
        of_latent, tokens = _offsets(column, coder.latents), row[order]
        w_dec = _bag(tokens, upstream, of_latent, chosen.values[order])  # (n, D)
        w_enc = _bag(tokens, centred, of_latent, g[order])
        b_enc = torch.zeros_like(coder.b_enc).index_add_(0, column, g)
        self.idle += t
        self.idle[column] = 0
        dead = (self.idle > self.dead_after).nonzero()[:, 0]
        if dead.numel():
            self._revive(dead, p, centred, error, (w_enc, b_enc, w_dec))
        # a decoder row keeps its norm, so what points along it is no direction to go
        w_dec.addcmul_((w_dec * coder.w_dec).sum(dim=1, keepdim=True), coder.w_dec, value=-1)
        b_dec = upstream.sum(dim=0) - b_enc @ coder.w_enc
        return [w_enc, b_enc, w_dec, b_dec]

    def _choose(self, p: torch.Tensor, count: int) -> Chosen:
        """The `count` largest positive entries of p (t, n); all positive ones where they are fewer."""
        flat = p.view(-1)
        # the last step's bound leaves few candidates; where it was too high, all positive entries are looked at
        for bound in (0.9 * self._hint, 0.0):
            index = (flat > bound).nonzero()[:, 0]
            if index.numel() >= count or not bound:
                break
        values = flat[index]
        if index.numel() > count:
            least = values.kthvalue(index.numel() - count + 1).values
            kept = (values >= least).nonzero()[:, 0]
            index, values = index[kept], values[kept]
        if values.numel():
            smallest = values.min()
            self._hint = float(smallest)
            self.lowest.mul_(_MEMORY)
            self.lowest[0] += (1 - _MEMORY) * smallest
            self.lowest[1] += 1 - _MEMORY
        return Chosen(index=index, values=values)

    def _revive(
        self,
        dead: torch.Tensor,
        p: torch.Tensor,
        centred: torch.Tensor,
        error: torch.Tensor,
        gradients: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    ) -> None:
        """Adds the gradient of the auxiliary loss to those of W_e, b_e and W_d: dead latents explain what is left."""
        w_enc, b_enc, w_dec = gradients
        t, width = centred.shape
        codes = p[:, dead].relu_()  # (t, m)
        most = max(1, width // 2)
        if dead.numel() > most:
            values, index = codes.topk(most, dim=1, sorted=False)
            codes = torch.zeros_like(codes).scatter_(1, index, values)
        rows = self.coder.w_dec[dead]
        upstream = torch.addmm(error, codes, rows).mul_(2 * AUXILIARY / t)  # ê − (x − x̂) = ê + e
        g = (upstream @ rows.t()).mul_(codes > 0)
        w_dec.index_add_(0, dead, codes.t() @ upstream)
        w_enc.index_add_(0, dead, g.t() @ centred)
        b_enc.index_add_(0, dead, g.sum(dim=0))

    def _l1(self, x: torch.Tensor) -> list[torch.Tensor]:
        coder, recipe, (t, width) = self.coder, self.recipe, x.shape
        d = width // recipe.sides
        weight = annealed(0.0, recipe.l1, self.step, self.steps) / t
        centred = x - coder.b_dec
        codes = torch.addmm(coder.b_enc, centred, coder.w_enc.t()).relu_()  # (t, n)
        error = torch.addmm(coder.b_dec, codes, coder.w_dec).sub_(x)
        self._count(error, x)
        upstream = error * (2 / t)
        sides = coder.w_dec.view(coder.latents, recipe.sides, d)
        norms = sides.norm(dim=2)  # (n, sides)
        g = torch.addmm(weight * norms.sum(dim=1), upstream, coder.w_dec.t()).mul_(codes > 0)
        used = codes.sum(dim=0)
        w_dec = codes.t() @ upstream
        w_dec.view_as(sides).addcmul_((weight * used)[:, None, None] / norms.clamp(min=1e-12)[..., None], sides)
        b_enc = g.sum(dim=0)
        self.idle += t
        self.idle[used > 0] = 0
        return [g.t() @ centred, b_enc, w_dec, upstream.sum(dim=0) - b_enc @ coder.w_enc]

    def _count(self, error: torch.Tensor, x: torch.Tensor) -> None:
        self.sums[0] += torch.dot(error.view(-1), error.view(-1))
        self.sums[1] += torch.dot(x.view(-1), x.view(-1))

    def dead(self) -> int:
        """Latents that are dead now."""
        return int((self.idle > self.dead_after).sum())

    def unexplained(self) -> float | None:
        """Σ‖e‖²/Σ‖x‖² since it was last asked for."""
        error, whole = self.sums.tolist()
        self.sums.zero_()
        return error / whole if whole else None

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that the next step depends on."""
        found = {**self.coder.tensors(), "idle": self.idle, "lowest": self.lowest, "sums": self.sums}
        for number, parameter in enumerate(self._parameters):
            for name, value in self._adam.state.get(parameter, {}).items():
                found[f"adam.{number}.{name}"] = value
        return {**found, "step": torch.tensor(self.step)}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Goes on where `state` was taken."""
        own = self.coder.tensors()
        for name, tensor in {**own, "idle": self.idle, "lowest": self.lowest, "sums": self.sums}.items():
            tensor.copy_(state[name])
        self.step = int(state["step"])
        for number, parameter in enumerate(self._parameters):
            kept = {
                name.rpartition(".")[2]: value.to(parameter.device).clone()
                for name, value in state.items()
                if name.startswith(f"adam.{number}.")
            }
            if kept:
                self._adam.state[parameter] = kept


def _offsets(sorted_or_not: torch.Tensor, groups: int) -> torch.Tensor:
    """(groups + 1) int64: where each group's entries start once they are sorted by group."""
    found = torch.zeros(groups + 1, dtype=torch.int64, device=sorted_or_not.device)
    torch.cumsum(torch.bincount(sorted_or_not, minlength=groups), 0, out=found[1:])
    return found


def _bag(index: torch.Tensor, table: torch.Tensor, offsets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(groups, D): Σ of weighted rows of a table, by group."""
    return F.embedding_bag(index, table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True)


def _sampled(offsets: torch.Tensor, column: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(z): entries of left (t, D) · right (n, D)ᵀ where the pattern of (t, n) has some."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        pattern = torch.sparse_csr_tensor(
            offsets, column, left.new_zeros(column.numel()), (left.shape[0], right.shape[0]), check_invariants=False
        )
        found: torch.Tensor = torch.sparse.sampled_addmm(pattern, left, right.t()).values()
    return found
