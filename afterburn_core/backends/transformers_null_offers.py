"""Which nulls of a pair can be had: by what the change is made of, by the weights, and by the memory.

All from configurations and the sizes of files; what a run can refuse at once is refused before torch is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from afterburn_core.backends.adapter_settings import restores_base
from afterburn_core.backends.documents import read_json
from afterburn_core.backends.transformers_cost import both_fit
from afterburn_core.backends.transformers_subjects import embedding_rows
from afterburn_core.run.needs import ControlKind, Drawn

if TYPE_CHECKING:
    from afterburn_core.backends.transformers_pairing import Member
    from afterburn_core.generation.model import Serving
    from afterburn_core.run.subjects import OpenSubject

Arrangement = Literal["adapter", "side_by_side", "in_turn"]


def one_of_each(
    trained: OpenSubject,
    member: Member,
    wanted: Sequence[ControlKind],
    arrangement: Arrangement,
    dtype: str,
    copy: int,
    serving: Serving,
) -> tuple[tuple[ControlKind, ...], list[str]]:
    """The nulls that can be had, and why others cannot. `copy`: bytes of a model's weights."""
    loaded = copy if arrangement != "side_by_side" else 2 * copy
    offered: list[ControlKind] = []
    refused = []
    for kind in wanted:
        reason = _unmakeable(trained, member, kind, arrangement, dtype)
        whole = is_whole(trained, kind)
        if reason is None and whole and not both_fit(loaded, copy, device=serving.device):
            reason = f"it needs {copy / 2**30:.1f} GiB more memory"
        if reason is None:
            offered.append(kind)
            loaded += copy if whole else 0
        else:
            refused.append(f"no {kind} control: {reason}")
    return tuple(offered), refused


def that_fit(
    trained: OpenSubject,
    member: Member,
    wanted: Sequence[Drawn],
    arrangement: Arrangement,
    dtype: str,
    copy: int,
    serving: Serving,
    held: int,
) -> tuple[tuple[Drawn, ...], tuple[Drawn, ...], list[str]]:
    """The further nulls that fit into memory now, those that have to wait, and why others cannot be had.

    `held`: copies of weights that nulls take already.
    """
    loaded = (held + (1 if arrangement != "side_by_side" else 2)) * copy
    now: list[Drawn] = []
    waiting: list[Drawn] = []
    refused: dict[str, None] = {}
    for one in wanted:
        reason = _unmakeable(trained, member, one.kind, arrangement, dtype)
        fits = not is_whole(trained, one.kind) or both_fit(loaded, copy, device=serving.device)
        if reason is None and not fits and not any(is_whole(trained, other.kind) for other in now):
            reason = f"it needs {copy / 2**30:.1f} GiB more memory"
        if reason is not None:
            refused[f"no {one.kind} control: {reason}"] = None
        elif fits:
            now.append(one)
            loaded += copy if is_whole(trained, one.kind) else 0
        else:
            waiting.append(one)
    return tuple(now), tuple(waiting), list(refused)


def is_whole(trained: OpenSubject, kind: ControlKind) -> bool:
    """Whether a null takes a copy of the weights, and not of factors alone."""
    from afterburn_core.backends.checkpoint import AdapterSubject

    return kind == "rounding" or not isinstance(trained, AdapterSubject)


def _unmakeable(
    trained: OpenSubject, member: Member, kind: ControlKind, arrangement: Arrangement, dtype: str
) -> str | None:
    """Why no null of a kind can be had beside a pair; `None` where it can, given the memory."""
    from afterburn_core.backends.checkpoint import AdapterSubject

    if isinstance(trained, AdapterSubject) and kind != "rounding":
        return _not_factors(trained, member.origin.rows)
    if getattr(member.config, "quantization_config", None):
        return "the weights are packed"
    if arrangement == "in_turn":
        return "the two models do not fit into memory together"
    return "the models run in bfloat16 already" if kind == "rounding" and dtype == "bfloat16" else None


def null_refusal(base: OpenSubject, trained: OpenSubject, kind: ControlKind) -> str | None:
    """Why no null of a kind can be made of a pair, whatever the memory; `None` where it can."""
    from afterburn_core.backends.checkpoint import AdapterSubject, Checkpoint

    for subject in (base, trained):
        if not isinstance(subject, (AdapterSubject, Checkpoint)) or "forward" not in subject.facts.capabilities:
            return f"{subject.facts.label} is no model directory whose weights could be changed"
    if isinstance(trained, AdapterSubject) and kind != "rounding":
        return _not_factors(trained, embedding_rows(trained))
    packed = any("quantization_config" in (subject.documents().get("config") or {}) for subject in (base, trained))
    return "the weights are packed" if packed else None


def _not_factors(trained: Any, rows: int | None) -> str | None:
    """Why an adapter's change cannot be scrambled as factors; `None` where it can."""
    other = sorted(
        {
            "DoRA" if bound.factors.dora else bound.factors.kind
            for bound in trained.source.changes.values()
            if not (bound.factors.low_rank and bound.factors.exact)
        }
    )
    if other:
        return f"the adapter changes more than by factors ({', '.join(other)})"
    if not restores_base(read_json(trained.directory / "adapter_config.json") or {}):
        return "the adapter puts trained biases in the place of the base's"
    return "the adapter has other rows of embeddings than its base" if rows is not None else None
