"""Change per attention head: its own rows or columns, its query-key and output-value products, its rank.

    relative      ‖ΔW_h‖ / ‖W_h‖ over the rows (q, k, v) or columns (o) of head h
    qk.relative   ‖ΔM_h‖ / ‖M_h‖ of M_h = W_Q,hᵀ W_K,g, with g the key head that query head h shares
    ov.relative   … of M_h = W_O,h W_V,g
    ranks         of ΔW_h, with the gains of a norm on queries or keys folded in, against a Gaussian null

`attention` says which entries are a head's, `head_products` and `head_ranks` hold the formulas, `head_outliers` says
which heads changed more than those beside them. Of an attention module only d_h × d_h Gram matrices are kept, and those
only until all of its tensors are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
import numpy as np

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import Role, WeightPair
from afterburn_core.run.sums import PairSums, rounding_floor
from afterburn_weight.attention import KINDS, NoHeadsError, attention_prefix, cut, head_counts
from afterburn_weight.gains import Config, configurations, zero_centred
from afterburn_weight.head_measurements import PRODUCTS, Attention, Part, head_measurements, outlier_measurements
from afterburn_weight.head_products import Grams, folded, grams, product_change
from afterburn_weight.head_ranks import Ranks, gaussian_ranks, ranks, rounding_steps, singular_values, used_rank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SIDES: tuple[Role, Role] = ("base", "trained")
_NORM = re.compile(r"\.(?P<part>q|k|query|key)_?(?:norm|layernorm|ln)\.weight$")


class Heads:
    """Analyzer `weight.heads`."""

    def __init__(self, options: None = None) -> None:
        self._modules: dict[str, Attention] = {}
        self._refused: dict[str, tuple[Scope, str]] = {}
        self._configs: Mapping[str, Config | None] = {}
        self._exact, self._seed, self._seen = False, 0, False

    def begin(self, context: AnalyzerContext) -> None:
        """Reads how many heads there are; whether the trained weights are rounded to a stored dtype."""
        self._configs = configurations(context.documents)
        self._exact = any(s.role == "trained" and s.kind == "adapter" for s in context.subjects)
        self._seed = context.seed

    def observe(self, item: WeightPair) -> None:
        """Reduces a matrix to numbers and Gram matrices by head."""
        self._seen = True
        prefix = attention_prefix(item.name)
        for other, module in self._modules.items():
            if other != prefix and {"q", "k", "v", "o"} <= module.parts.keys():
                self._close(module)
        if prefix is None:
            return
        norm = _NORM.search(item.name)
        if norm and item.sums is not None and item.sums.finite:
            self._norm(prefix, norm["part"][0], item)
        elif item.scope.module in KINDS and not item.name.endswith("bias"):
            self._matrix(prefix, item)

    def merge(self, other: Heads) -> None:
        """Takes in tensors that another instance observed; a module may be divided between both."""
        self._refused.update(other._refused)
        self._seen = self._seen or other._seen
        for prefix, theirs in other._modules.items():
            ours = self._modules.setdefault(prefix, Attention())
            ours.parts.update(theirs.parts)
            ours.gains.update(theirs.gains)
            ours.products = ours.products or theirs.products

    def finish(self) -> AnalyzerOutput:
        """Numbers per head, then the heads that stand out."""
        for module in self._modules.values():
            self._close(module)
        found: list[Measurement] = []
        for name in sorted(self._refused):
            scope, reason = self._refused[name]
            found.append(undefined("weight.heads.relative", reason, scope=scope))
        for prefix in sorted(self._modules):
            found += head_measurements(prefix, self._modules[prefix])
        if self._modules:
            found += outlier_measurements(self._modules, self._seed)
        elif self._refused:
            found.append(undefined("weight.heads.outliers", min(reason for _, reason in self._refused.values()), n=0))
        elif self._seen:
            found.append(undefined("weight.heads.outliers", "there are no attention heads", n=0))
        return AnalyzerOutput(measurements=tuple(found))

    def _norm(self, prefix: str, part: str, item: WeightPair) -> None:
        module = self._modules.setdefault(prefix, Attention())
        if module.products is not None:
            raise RuntimeError(f"{item.name}: came after its attention module was complete")
        one, other = (
            _whole(item, side) + (1.0 if config is not None and zero_centred(config, item.scope) else 0.0)
            for side, config in zip(SIDES, self._sides(), strict=True)
        )
        module.gains[part] = (one, other)

    def _sides(self) -> tuple[Config | None, Config | None]:
        return self._configs.get("base"), self._configs.get("trained")

    def _matrix(self, prefix: str, item: WeightPair) -> None:
        if item.sums is None or not item.sums.finite:
            if item.union or item.sums is not None:
                reason = "the tensor holds NaN or infinite values" if item.sums else item.reason or item.state
                self._refused[item.name] = (item.scope, reason)
            return
        kind = item.scope.module or ""
        try:
            ours, theirs = (head_counts(config, item.scope.subset) for config in self._sides())
            if (ours.queries, ours.keys) != (theirs.queries, theirs.keys):
                raise NoHeadsError("the two configurations have different numbers of heads")
            base, trained = (_whole(item, side) for side in SIDES)
            before, after = cut(item.name, kind, base, ours), cut(item.name, kind, trained, theirs)
        except NoHeadsError as error:
            self._refused[item.name] = (item.scope, str(error))
            return
        module = self._modules.setdefault(prefix, Attention())
        for part in before:
            module.parts[part] = self._part(item, item.sums, part, before[part], after[part])

    def _part(self, item: WeightPair, sums: PairSums, part: str, before: Array, after: Array) -> Part:
        dtype = item.trained.dtype if item.trained is not None else "F32"
        size, change = np.square(before).sum((1, 2)), np.square(after - before).sum((1, 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(change > 0, np.where(size > 0, np.sqrt(change / size), np.nan), 0.0)
        return Part(
            scope=attrs.evolve(item.scope, module=part),
            relative=relative,
            grams=grams(before, after, changed=bool((change > 0).any())),
            floor=rounding_floor(sums.trained_step_sq, sums.trained_sq) or 0.0,
            steps=np.zeros(len(after)) if self._exact or not change.any() else rounding_steps(after, dtype),
            entries=before[0].size,
        )

    def _close(self, module: Attention) -> None:
        """Computes what needs several tensors of the module, and lets go of its Gram matrices."""
        if module.products is not None:
            return
        plain = {part: entry.grams for part, entry in module.parts.items() if entry.grams is not None}
        effective = {part: _with_gain(entry, module.gains.get(part)) for part, entry in plain.items()}
        module.products = {
            product: product_change(effective[one], effective[other])
            for product, (one, other) in PRODUCTS.items()
            if one in effective and other in effective
        }
        for part, entry in module.parts.items():
            if part in plain:
                gain = module.gains.get(part)
                module.parts[part] = self._ranked(entry, plain[part], effective[part], gain[1] if gain else None)

    def _ranked(self, part: Part, plain: Grams, effective: Grams, gain: Array | None) -> Part:
        part = attrs.evolve(part, grams=None)
        moved = np.trace(effective.delta, axis1=1, axis2=2) > 0
        if not moved.any():
            return part
        values = singular_values(effective.delta[moved])
        found = ranks(values)
        raw = values if effective is plain else singular_values(plain.delta[moved])
        width = plain.base.shape[1]
        # gains that differ from head to head are taken at their root mean square
        rows = None if effective is plain or gain is None else np.sqrt(np.square(gain.reshape(-1, width)).mean(0))
        return attrs.evolve(
            part,
            ranks=Ranks(stable=_spread(found.stable, moved), effective=_spread(found.effective, moved)),
            used=_spread(used_rank(raw, plain.columns, part.steps[moved]), moved),
            null=gaussian_ranks(width, plain.columns, self._seed, rows),
        )


def _whole(item: WeightPair, side: Role) -> Array:
    """All of one side in float64."""
    info = item.base if side == "base" else item.trained
    whole: Array = item.side(side, 0, info.shape[0] if info is not None else 0).astype(np.float64)
    return whole


def _with_gain(part: Grams, gain: tuple[Array, Array] | None) -> Grams:
    """The part behind its norm's gains; as it is where the gains do not fit its heads."""
    heads, width = part.base.shape[:2]
    if gain is None or any(len(side) not in {width, heads * width} for side in gain):
        return part
    one, other = (side if len(side) == width else side.reshape(heads, width) for side in gain)
    return folded(part, one, other)


def _spread(values: Array, where: NDArray[np.bool_]) -> Array:
    """`values` at the places that are true, NaN at the others."""
    spread = np.full(len(where), np.nan)
    spread[where] = values
    return spread
