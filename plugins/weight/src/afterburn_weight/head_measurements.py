"""The measurements of attention heads, made from what was computed of each attention module."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs
import numpy as np

from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Null, Scope
from afterburn_weight.attention import is_cross
from afterburn_weight.head_outliers import Changes, Outliers, outliers
from afterburn_weight.head_products import Grams
from afterburn_weight.head_ranks import Ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PRODUCTS = {"qk": ("q", "k"), "ov": ("o", "v")}
FAMILIES = ("q", "k", "v", "o", "qk", "ov")
ALPHA = 0.05
"""Chance that any head of a model whose heads differ by normal noise alone counts as an outlier."""
SHOWN = 0.05
"""Heads with a smaller p within their own family are listed one by one."""
_UNRESOLVED = 1.2e-7  # relative change of a product that its Gram matrices do not resolve


@attrs.frozen(kw_only=True, eq=False)
class Part:
    """All heads of one part of an attention module."""

    scope: Scope
    relative: Array  # (heads,), NaN where ‖W_h‖ = 0
    grams: Grams | None
    """`None` once what needs them is done."""
    floor: float
    steps: Array
    """(heads,) root mean square rounding step of an entry of W'; 0 where the change is known exactly."""
    entries: int
    ranks: Ranks | None = None
    used: Array | None = None
    null: Ranks | None = None
    """Ranks of structureless changes of the same shape."""


@attrs.define(kw_only=True)
class Attention:
    """One attention module, as far as it has been observed."""

    parts: dict[str, Part] = attrs.field(factory=dict)
    gains: dict[str, tuple[Array, Array]] = attrs.field(factory=dict)
    """Effective gains of base and trained, by part."""
    products: dict[str, Array] | None = None
    """Relative changes by product; `None` while tensors may be to come."""


def outlier_measurements(modules: Mapping[str, Attention], seed: int) -> Iterator[Measurement]:
    """The largest score of each family of heads, the heads that are hard to explain by chance, and their number."""
    judged = {family: outliers(_changes(modules, family), seed) for family in FAMILIES}
    families = {family: result for family, result in judged.items() if isinstance(result, Outliers)}
    standing_out = 0
    for family, result in judged.items():
        metric, whole = _outlier_metric(family)
        if isinstance(result, str):
            yield undefined(metric, result, scope=whole, n=0)
            continue
        largest = max(float(scores.max()) for scores in result.scores.values())
        yield attrs.evolve(measure(metric, largest, scope=whole, n=result.heads), null=result.compared(largest))
        for prefix, scores in result.scores.items():
            for head, score in enumerate(scores.tolist()):
                null = result.compared(score)
                standing_out += null.p_value * len(families) <= ALPHA
                if null.p_value <= SHOWN:
                    scope = _place(family, prefix, modules[prefix], head)
                    yield attrs.evolve(measure(metric, score, scope=scope, n=result.heads), null=null)
    if families:
        yield measure("weight.heads.outliers", standing_out, n=sum(result.heads for result in families.values()))
    else:
        yield undefined("weight.heads.outliers", "no head changed, or too few did to have a spread", n=0)


def _changes(modules: Mapping[str, Attention], family: str) -> Mapping[str, Changes]:
    found: dict[str, Changes] = {}
    for prefix, module in modules.items():
        product = family in PRODUCTS
        part = module.parts.get(PRODUCTS[family][0] if product else family)
        if part is None:
            continue
        relative = (module.products or {}).get(family) if product else part.relative
        if relative is None or not np.isfinite(relative).all():
            continue
        floor = max(part.floor, _UNRESOLVED) if product else part.floor
        found[prefix] = Changes(relative=relative, floor=floor, entries=part.entries)
    return found


def _place(family: str, prefix: str, module: Attention, head: int) -> Scope:
    if family in PRODUCTS:
        return _product_scope(prefix, module, head)
    return attrs.evolve(module.parts[family].scope, head=head)


def head_measurements(prefix: str, module: Attention) -> Iterator[Measurement]:
    """Change and ranks of every head of one attention module."""
    for _, part in sorted(module.parts.items()):
        width = part.entries
        for head, value in enumerate(part.relative.tolist()):
            scope = attrs.evolve(part.scope, head=head)
            yield _number("weight.heads.relative", value, scope, width)
            if part.ranks is None or part.used is None or part.null is None or math.isnan(part.ranks.stable[head]):
                continue
            for name in ("stable", "effective"):
                value, null = getattr(part.ranks, name)[head], getattr(part.null, name)
                yield _ranked(f"weight.heads.{name}_rank", value, null, scope, width)
            yield measure("weight.heads.used_rank", part.used[head], scope=scope, n=width)
    for product, (one, other) in PRODUCTS.items():
        metric = f"weight.heads.{product}.relative"
        relative = (module.products or {}).get(product)
        if relative is None:
            if one in module.parts or other in module.parts:
                lost = other if one in module.parts else one
                yield undefined(
                    metric, f"the {lost} heads are not compared", scope=_product_scope(prefix, module, None)
                )
            continue
        for head, value in enumerate(relative.tolist()):
            entries = module.parts[one].entries
            yield _number(metric, value, _product_scope(prefix, module, head), entries)


def _number(metric: str, value: float, scope: Scope, n: int) -> Measurement:
    if math.isnan(value):
        return undefined(metric, "the base norm is zero", scope=scope, n=n)
    return measure(metric, value, scope=scope, n=n)


def _ranked(metric: str, value: float, null: Array, scope: Scope, n: int) -> Measurement:
    """A rank; small ranks are the extreme ones."""
    within, draws = int((null <= value).sum()), len(null)
    compared = Null(control="gaussian", n=draws, quantile=within / draws, p_value=(1 + within) / (1 + draws))
    return attrs.evolve(measure(metric, float(value), scope=scope, n=n), null=compared)


def _product_scope(prefix: str, module: Attention, head: int | None) -> Scope:
    one = next(iter(module.parts.values())).scope
    site = prefix if one.layer is None else "cross_attention" if is_cross(prefix) else None
    return Scope(layer=one.layer, site=site, head=head, subset=one.subset)


def _outlier_metric(family: str) -> tuple[str, Scope]:
    if family in PRODUCTS:
        return f"weight.heads.{family}.outlier", Scope()
    return "weight.heads.outlier", Scope(module=family)
