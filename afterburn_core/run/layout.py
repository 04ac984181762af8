"""Presents two checkpoints in one layout, so that every logical tensor finds its partner.

Fused q/k/v and gate/up are split where the family's layout is known (`run.fused`), on both sides, so that the parts
have their own names and kinds. Stacked experts are presented one by one. GPT-2's transposed projections are presented
(outputs, inputs). What is fused on one side alone and cannot be split is refused with a reason. Where both sides are
fused alike and the layout is unknown they are compared as they are stored.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from afterburn_core.backends.derived import renamed
from afterburn_core.backends.tensors import WeightSource
from afterburn_core.run import experts
from afterburn_core.run.align import Refusal
from afterburn_core.run.candidates import BLOCK, EXPERT, PLAIN, ROLES, Candidate, LayoutSide, ReadConfig, neutral
from afterburn_core.run.expert_order import reorder_experts
from afterburn_core.run.fused import Parts

_ATTENTION_NAMES = tuple(
    dict(zip("qkv", names.split(), strict=True))
    for names in ("q_proj k_proj v_proj", "query key value", "q k v", "q_lin k_lin v_lin", "wq wk wv", "to_q to_k to_v")
)
_MLP_NAMES = tuple(
    dict(zip(("gate", "up", "down"), names.split(), strict=True))
    for names in ("gate_proj up_proj down_proj", "w1 w3 w2", "wi_0 wi_1 wo", "fc1 fc3 fc2")
)


@attrs.frozen(kw_only=True)
class Presented:
    """Two checkpoints in one layout."""

    base: WeightSource
    trained: WeightSource
    base_refused: Mapping[str, Refusal]
    trained_refused: Mapping[str, Refusal]
    """Why tensors that only one side has under their name are not compared, by stored name."""
    notes: tuple[str, ...]
    """What was split or put in another order, for the record."""


def present(
    base: WeightSource, trained: WeightSource, base_config: ReadConfig, trained_config: ReadConfig
) -> Presented:
    """Both checkpoints with fused, stacked and transposed tensors in one layout.

    Args:
        base: the base's stored tensors.
        trained: the trained model's, which may be an adapter on them.
        base_config: reads `config.json` of the base; called only where a layout has to be known.
        trained_config: the same for the trained model.
    """
    left, right = LayoutSide("base", base, base_config), LayoutSide("trained", trained, trained_config)
    left.other, right.other = right, left
    said: Counter[str] = Counter()
    for site in sorted(left.candidates.keys() | right.candidates.keys()):
        said.update(_resolve(left, right, left.candidates.get(site), right.candidates.get(site)))
    notes = [f"{number} {text}" for text, number in sorted(said.items())]
    ours, theirs = left.presented(), right.presented()
    if not hasattr(trained, "shared"):  # an adapter leaves the order of the experts as it is
        moved, order_notes = reorder_experts(ours, theirs)
        notes += order_notes
        if moved:
            right.views.update(moved)
            theirs = right.presented()
    return Presented(
        base=ours,
        trained=theirs,
        base_refused=left.refused,
        trained_refused=right.refused,
        notes=tuple(notes),
    )


def _resolve(left: LayoutSide, right: LayoutSide, base: Candidate | None, trained: Candidate | None) -> list[str]:
    """Decides one fused tensor; what to say about it."""
    if base is not None and trained is not None:
        return _both(left, right, base, trained)
    side, candidate = (left, base) if base is not None else (right, trained)
    return [] if candidate is None else _one(side, candidate)


def _both(left: LayoutSide, right: LayoutSide, base: Candidate, trained: Candidate) -> list[str]:
    """Fused on both sides: split alike where that is certain; experts are taken apart in any case."""
    parts = left.split(base), right.split(trained)
    ours, theirs = (_shapes(part) for part in parts)
    known = ours is not None and theirs is not None and (ours == theirs or base.info.shape != trained.info.shape)
    if not known and base.kind == "stack" and base.info.shape == trained.info.shape:
        parts = _slices(base), _slices(trained)
        known = None not in (_shapes(parts[0]), _shapes(parts[1]))
    if not known:
        return []
    prefix = _moved(right, trained, base.bare)
    views = left.parts(base, parts[0], PLAIN), right.parts(trained, parts[1], PLAIN, prefix)
    if views[0] is None or views[1] is None:
        return []
    left.views.update(views[0])
    right.views.update(views[1])
    return [_text("both sides", base, parts[0])] if base.kind != "conv1d" else []


def _one(side: LayoutSide, candidate: Candidate) -> list[str]:
    """Fused on one side alone: the other side's spelling wins."""
    names, counterparts, bare = _counterpart(candidate, side.other)
    parts = side.split(candidate)
    if isinstance(parts, str):
        if counterparts:
            side.refuse(candidate, parts, counterparts)
            return []
        parts = _slices(candidate) if candidate.kind == "stack" else ()
        if isinstance(parts, str):
            return []
    views = side.parts(candidate, parts, names, _moved(side, candidate, bare)) if parts else None
    if views is None:
        return []
    side.views.update(views)
    return [_text(f"the {side.label} model", candidate, parts)] if counterparts else []


def _counterpart(candidate: Candidate, other: LayoutSide) -> tuple[Mapping[str, str], Sequence[str], str]:
    """How the other side calls the parts, the stored names of those it has, and the bare prefix they have there."""
    if candidate.kind in {"attention", "gate_up"}:
        for names in _ATTENTION_NAMES if candidate.kind == "attention" else _MLP_NAMES:
            roles = "qkv" if candidate.kind == "attention" else ("gate", "up")
            bare = [f"{candidate.bare}.{names[role]}" for role in roles]
            if any(f"{module}.weight" in other.names for module in bare):
                have = [other.names.get(f"{module}.{candidate.parameter}") for module in bare]
                return names, [stored for stored in have if stored], candidate.bare
    prefix, leaves = other.experts.get(neutral(candidate.bare), (candidate.bare, frozenset[str]()))
    if candidate.kind in {"stack", "flat"} and leaves:
        names = next((n for n in _MLP_NAMES if leaves & {n["gate"], n["down"]}), PLAIN)
        role = ROLES[candidate.module]
        wanted = [names[part] for part in (("gate", "up") if role == "gate_up" else (role,))]
        pattern = re.compile(rf"{re.escape(prefix)}\.\d+\.(?:{'|'.join(wanted)})\.{candidate.parameter}")
        return names, [stored for bare, stored in other.names.items() if pattern.fullmatch(bare)], prefix
    return PLAIN, [], candidate.bare


def _moved(side: LayoutSide, candidate: Candidate, bare: str) -> str:
    """The stored prefix of a candidate's parts, where the other side calls the block by another name.

    The router beside the experts follows them.
    """
    ours, theirs = BLOCK.search(candidate.bare), BLOCK.search(bare)
    if ours is None or theirs is None or ours[1] == theirs[1]:
        return candidate.prefix
    old, new = candidate.bare[: ours.start()], f".{theirs[1]}."
    for name, stored in side.names.items():
        tail = name.removeprefix(f"{old}.{ours[1]}.")
        there = f"{old}{new}{tail}"
        if tail == name or EXPERT.fullmatch(name) or there not in side.other.names or name in side.other.names:
            continue
        moved = stored.removesuffix(f".{ours[1]}.{tail}") + new + tail
        side.views[moved] = renamed(side.source.tensors[stored])
    return candidate.prefix.removesuffix(f".{ours[1]}.experts") + f"{new}experts"


def _slices(candidate: Candidate) -> Parts:
    """Experts one by one, each as it is stored."""
    role = ROLES[candidate.module]
    return experts.slice_experts(candidate.info, role, bias=candidate.parameter == "bias")


def _shapes(parts: Parts) -> list[tuple[str, int | None, tuple[int, ...]]] | None:
    return None if isinstance(parts, str) else [(part.role, part.expert, part.view.shape) for part in parts]


def _text(where: str, candidate: Candidate, parts: Parts) -> str:
    roles = dict.fromkeys(part.role for part in parts if not isinstance(part, str))
    single = candidate.parameter == "weight"
    kind = "matrices" if single else "biases"
    how = "expert by expert" if candidate.kind in {"stack", "flat"} else f"as {', '.join(roles)}"
    return f"{candidate.module} {kind} of {where} compared {how}"
