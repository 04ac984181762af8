"""Pairs the tensors of two checkpoints: read names, strip wrappers, pair, and say what became of every tensor.

Every tensor ends in exactly one state. What is not compared keeps a reason, and coverage counts it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import attrs

from afterburn_core.backends.tensors import FLOATING, TensorInfo
from afterburn_core.result.model import Scope
from afterburn_core.run.naming import TensorName, is_buffer, module_kind, parse_name, scope_of
from afterburn_core.run.vocabulary import RowMap, map_rows

State = Literal["matched", "tied", "reshaped", "missing", "extra", "unsupported", "buffer"]

_QUANTISED = ("qweight", "qzeros", "scales", "g_idx", "weight_scale", "weight_scale_inv", "absmax", "quant_map", "SCB")


@attrs.frozen(kw_only=True)
class Span:
    """`count` elements that correspond: base elements from `base`, trained elements from `trained`."""

    base: int
    trained: int
    count: int


@attrs.frozen(kw_only=True)
class AlignedTensor:
    """One canonical tensor and its fate."""

    name: str
    scope: Scope
    state: State
    base: TensorInfo | None = None
    trained: TensorInfo | None = None
    spans: tuple[Span, ...] = ()
    """What is compared, in elements of the flattened tensors; empty when nothing is."""
    reason: str | None = None
    explained: bool = True
    """False when parameters are left out for no good reason."""
    union: int = 0
    """Parameters in the union of both sides; 0 for buffers and for weights counted elsewhere."""

    @property
    def compared(self) -> int:
        return sum(span.count for span in self.spans)


@attrs.frozen(kw_only=True)
class Refusal:
    """Why a tensor without a partner under its name is not compared."""

    reason: str
    counted: bool
    """Whether its parameters count here; the same ones may be stored under another name on the other side."""


@attrs.frozen(kw_only=True)
class Side:
    """What alignment needs to know of one checkpoint."""

    tensors: Mapping[str, TensorInfo]
    aliases: Mapping[str, str]
    tied: bool
    """Whether the configuration ties the output head to the input embedding."""
    vocabulary: Callable[[], Mapping[str, int] | None]
    """Called only when rows have to be paired."""
    refused: Mapping[str, Refusal] = attrs.field(factory=dict)
    """Tensors laid out in a way that cannot be brought into line with the other side's, by stored name."""


def align(base: Side, trained: Side) -> tuple[AlignedTensor, ...]:
    """The fate of every tensor, sorted by canonical name."""
    pairs = _pair(_names(base.tensors), _names(trained.tensors))
    scopes = _scopes([name for name, _, _ in pairs])
    rows = _RowMaps(base, trained, pairs)
    aligned = []
    for name, base_name, trained_name in sorted(pairs, key=lambda pair: pair[0]):
        aligned.append(_classify(name, scopes[name], base, trained, base_name, trained_name, rows))
    return tuple(_resolve_tied(aligned, base, trained, rows))


def _names(tensors: Iterable[str]) -> dict[str, TensorName]:
    """Parsed names. Where wrappers are all that two names of one side differ in, wrapped ones keep their spelling."""
    names = {stored: parse_name(stored) for stored in tensors}
    uses = Counter(name.canonical for name in names.values())
    return {
        stored: name
        if uses[name.canonical] == 1 or stored == name.canonical
        else TensorName(stored=stored, canonical=stored, bare=stored)
        for stored, name in names.items()
    }


def _pair(
    base: Mapping[str, TensorName], trained: Mapping[str, TensorName]
) -> list[tuple[str, str | None, str | None]]:
    """(canonical name, stored base name, stored trained name), paired by canonical, then by bare name."""
    left = {name.canonical: stored for stored, name in base.items()}
    right = {name.canonical: stored for stored, name in trained.items()}
    pairs: list[tuple[str, str | None, str | None]] = [(name, left[name], right[name]) for name in left.keys() & right]
    loose_left = _unique_bare(base, left.keys() - right.keys())
    loose_right = _unique_bare(trained, right.keys() - left.keys())
    for bare in loose_left.keys() & loose_right:
        canonical, stored = loose_left.pop(bare)
        pairs.append((canonical, stored, loose_right.pop(bare)[1]))
    paired_left = {stored for _, stored, _ in pairs}
    paired_right = {stored for _, _, stored in pairs}
    pairs += [(name.canonical, stored, None) for stored, name in base.items() if stored not in paired_left]
    pairs += [(name.canonical, None, stored) for stored, name in trained.items() if stored not in paired_right]
    return pairs


def _unique_bare(names: Mapping[str, TensorName], loose: set[str]) -> dict[str, tuple[str, str]]:
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for stored, name in names.items():
        if name.canonical in loose:
            found[name.bare].append((name.canonical, stored))
    return {bare: entries[0] for bare, entries in found.items() if len(entries) == 1}


def _scopes(names: list[str]) -> dict[str, Scope]:
    """Scopes by name; the stack is named only where the model has more than one."""
    scopes = {name: scope_of(name) for name in names}
    stacks = {scope.subset for scope in scopes.values() if scope.layer is not None}
    if len(stacks) > 1:
        return scopes
    return {name: attrs.evolve(scope, subset=None) for name, scope in scopes.items()}


class _RowMaps:
    """Row correspondences by (base rows, trained rows), made when first needed."""

    def __init__(self, base: Side, trained: Side, pairs: list[tuple[str, str | None, str | None]]) -> None:
        self._base, self._trained = base, trained
        self._maps: dict[tuple[int, int], RowMap] = {}
        self._vocabularies: tuple[Mapping[str, int] | None, Mapping[str, int] | None] | None = None
        self.sizes = {
            (base.tensors[b].shape[0], trained.tensors[t].shape[0])
            for name, b, t in pairs
            if b and t and scope_of(name).module == "embed" and base.tensors[b].shape and trained.tensors[t].shape
        }

    def get(self, base_rows: int, trained_rows: int) -> RowMap:
        key = (base_rows, trained_rows)
        if key not in self._maps:
            if self._vocabularies is None:
                self._vocabularies = (self._base.vocabulary(), self._trained.vocabulary())
            self._maps[key] = map_rows(base_rows, trained_rows, *self._vocabularies)
        return self._maps[key]


def _classify(
    name: str,
    scope: Scope,
    base: Side,
    trained: Side,
    base_name: str | None,
    trained_name: str | None,
    rows: _RowMaps,
) -> AlignedTensor:
    left = base.tensors[base_name] if base_name else None
    right = trained.tensors[trained_name] if trained_name else None
    present = left or right
    fate = AlignedTensor(name=name, scope=scope, state="matched", base=left, trained=right)
    if present is not None and is_buffer(name, present.shape):
        return attrs.evolve(fate, state="buffer", reason="constant that training does not change")
    refusal = base.refused.get(base_name or "") or trained.refused.get(trained_name or "")
    if refusal is not None and present is not None:
        union = present.numel if refusal.counted else 0
        return attrs.evolve(fate, state="unsupported", reason=refusal.reason, explained=False, union=union)
    if left is None or right is None:
        owner, other = ("base", "trained") if right is None else ("trained", "base")
        state: State = "missing" if right is None else "extra"
        reason = f"only the {owner} model has it; the {other} model does not"
        return attrs.evolve(fate, state=state, reason=reason, explained=False, union=present.numel if present else 0)
    unsupported = _unsupported(name, left, right, base, trained)
    if unsupported:
        # a packing that cannot be read has the shape of its codes
        union = max((info.numel for info in (left, right) if not info.refusal), default=max(left.numel, right.numel))
        return attrs.evolve(fate, state="unsupported", reason=unsupported, explained=False, union=union)
    if _has_token_rows(name, left, right, rows):
        row_map = rows.get(left.shape[0], right.shape[0])
        if left.shape != right.shape or _moved(row_map):
            return _by_rows(fate, left, right, row_map)
    if left.shape != right.shape:
        reason = f"shapes differ: {_text(left.shape)} in base, {_text(right.shape)} in trained"
        return attrs.evolve(fate, state="reshaped", reason=reason, explained=False, union=max(left.numel, right.numel))
    spans = (Span(base=0, trained=0, count=left.numel),) if left.numel else ()
    return attrs.evolve(fate, spans=spans, union=left.numel)


def _has_token_rows(name: str, left: TensorInfo, right: TensorInfo, rows: _RowMaps) -> bool:
    """Whether rows stand for tokens: equal width, as many rows as the embeddings have, and the name of one."""
    if not left.shape or not right.shape or left.shape[1:] != right.shape[1:]:
        return False
    if (left.shape[0], right.shape[0]) not in rows.sizes:
        return False  # a classifier's rows are labels
    # the bias of an output head has one entry per token too
    weight = f"{name.removesuffix('.bias')}.weight" if name.endswith(".bias") else name
    return left.shape != right.shape or module_kind(weight) in {"embed", "head"}


def _moved(row_map: RowMap) -> bool:
    """Whether any token has another id on the other side. A token renamed in place keeps its row."""
    return any(run.base != run.trained for run in row_map.runs)


def _by_rows(fate: AlignedTensor, left: TensorInfo, right: TensorInfo, row_map: RowMap) -> AlignedTensor:
    width = left.numel // left.shape[0] if left.shape[0] else 0
    spans = tuple(
        Span(base=run.base * width, trained=run.trained * width, count=run.count * width) for run in row_map.runs
    )
    reason = f"rows paired by {row_map.by}: {row_map.common} common, {row_map.added} added, {row_map.removed} removed"
    union = (row_map.common + row_map.added + row_map.removed) * width
    return attrs.evolve(fate, state="reshaped", spans=spans, reason=reason, union=union)


def _unsupported(name: str, left: TensorInfo, right: TensorInfo, base: Side, trained: Side) -> str | None:
    stem = name.removesuffix(".weight").rsplit(".", 1)[0] if name.endswith(_QUANTISED) else name.removesuffix(".weight")
    if name.endswith(_QUANTISED):
        return "part of a quantised weight; integer codes and scales are not compared as weights"
    for info, side in ((left, base), (right, trained)):
        if info.refusal:
            return info.refusal
        if info.dtype not in FLOATING:
            scaled = any(f"{info.name.removesuffix('.weight')}.{suffix}" in side.tensors for suffix in _QUANTISED)
            kind = "a quantised weight" if scaled or not info.dtype.startswith("F8") else "an 8-bit float"
            return f"{kind} of dtype {info.dtype} ({stem}); dequantise both sides to compare them"
    return None


def _resolve_tied(aligned: list[AlignedTensor], base: Side, trained: Side, rows: _RowMaps) -> list[AlignedTensor]:
    """Weights that share storage, and output heads that a tie flag leaves out, are counted once."""
    embeddings = [
        t for t in aligned if t.scope.module == "embed" and t.base and t.trained and t.state in {"matched", "reshaped"}
    ]
    resolved = []
    for tensor in aligned:
        if _is_alias(tensor, base, trained):
            reason = "shares storage with another tensor on both sides; compared there"
            tensor = attrs.evolve(tensor, state="tied", spans=(), reason=reason, explained=True, union=0)
        elif tensor.scope.module == "head" and tensor.state in {"missing", "extra"}:
            tensor = _tied_head(tensor, embeddings, base, trained, rows)
        resolved.append(tensor)
    return resolved


def _is_alias(tensor: AlignedTensor, base: Side, trained: Side) -> bool:
    left = tensor.base is not None and tensor.base.name in base.aliases
    right = tensor.trained is not None and tensor.trained.name in trained.aliases
    return (left and right) or (left and tensor.trained is None) or (right and tensor.base is None)


def _tied_head(
    tensor: AlignedTensor, embeddings: Iterable[AlignedTensor], base: Side, trained: Side, rows: _RowMaps
) -> AlignedTensor:
    """One side stores the head, the other ties it to the embedding: compare the head with that embedding.

    Only a head with the shape of its own model's embedding can have been tied: a reward model's or a classifier's
    has rows that are no tokens.
    """
    missing = tensor.state == "missing"
    head = tensor.base if missing else tensor.trained
    if head is None or not (trained if missing else base).tied:
        return tensor
    owned = ((e.base, e.trained) if missing else (e.trained, e.base) for e in embeddings)
    partner = next((other for own, other in owned if own is not None and own.shape == head.shape), None)
    if partner is None or head.shape[1:] != partner.shape[1:]:
        return tensor
    left, right = (head, partner) if missing else (partner, head)
    side = "trained" if missing else "base"
    reason = f"tied to the input embedding in the {side} model, stored apart in the other; compared with that embedding"
    fate = attrs.evolve(tensor, state="tied", base=left, trained=right, reason=reason, explained=True)
    row_map = rows.get(left.shape[0], right.shape[0])
    if left.shape != right.shape or _moved(row_map):
        paired = _by_rows(fate, left, right, row_map)
        return attrs.evolve(paired, state="tied", reason=f"{reason}; {paired.reason}")
    return attrs.evolve(fate, spans=(Span(base=0, trained=0, count=head.numel),), union=head.numel)


def states(aligned: tuple[AlignedTensor, ...]) -> Counter[str]:
    """How many tensors are in each state."""
    return Counter(tensor.state for tensor in aligned)


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
