"""Aligns N subjects with one base: each is paired with the base by `align`, and what all of them share is compared.

A cosine between the changes of two subjects speaks of the entries that both share with the base. What one subject
lacks is therefore left out for all of them, named with the subject that lacks it, and counted in coverage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.backends.tensors import TensorInfo
from afterburn_core.result.model import Scope
from afterburn_core.run.align import AlignedTensor, Side, align


@attrs.frozen(kw_only=True)
class Run:
    """`count` entries that correspond in all subjects, in entries of the flattened tensors."""

    base: int
    subjects: tuple[int, ...]
    count: int

    def part(self, start: int, count: int) -> Run:
        """`count` of them, from the `start`-th on."""
        return Run(base=self.base + start, subjects=tuple(s + start for s in self.subjects), count=count)


@attrs.frozen(kw_only=True)
class SeriesTensor:
    """One canonical tensor of the base and of every subject."""

    name: str
    scope: Scope
    base: TensorInfo | None
    subjects: tuple[TensorInfo | None, ...]
    runs: tuple[Run, ...] = ()
    """What is compared; empty when nothing is."""
    union: int = 0
    """Parameters in the union of all of them; 0 for buffers and for weights counted elsewhere."""
    compared_by: tuple[int, ...] = ()
    """Parameters that each subject by itself shares with the base."""
    union_by: tuple[int, ...] = ()
    """Parameters in the union of the base and each subject."""
    reason: str | None = None
    """Why it is not, or not fully, compared."""
    explained: bool = True

    @property
    def compared(self) -> int:
        return sum(run.count for run in self.runs)

    @property
    def matrix(self) -> tuple[int, int] | None:
        """Rows and columns where whole rows of a matrix are compared, else `None`."""
        if self.base is None or len(self.base.shape) != 2 or not self.runs:
            return None
        width = self.base.shape[1]
        whole = width > 0 and all(
            offset % width == 0 for run in self.runs for offset in (run.base, *run.subjects, run.count)
        )
        same = all(info is not None and info.shape[1:] == self.base.shape[1:] for info in self.subjects)
        return (self.compared // width, width) if whole and same else None


def align_series(pairs: Mapping[str, tuple[Side, Side]]) -> tuple[SeriesTensor, ...]:
    """The fate of every tensor, sorted by canonical name.

    Args:
        pairs: the base and each subject, as the two are laid out for their comparison, keyed by what to call the
            subject in reasons.
    """
    fates = {label: {tensor.name: tensor for tensor in align(*pair)} for label, pair in pairs.items()}
    names = sorted({name for found in fates.values() for name in found})
    return tuple(_series(name, {label: found.get(name) for label, found in fates.items()}) for name in names)


def _series(name: str, fates: Mapping[str, AlignedTensor | None]) -> SeriesTensor:
    known = [fate for fate in fates.values() if fate is not None]
    first = known[0]
    found = SeriesTensor(
        name=name,
        scope=first.scope,
        base=next((fate.base for fate in known if fate.base is not None), None),
        subjects=tuple(None if fate is None else fate.trained for fate in fates.values()),
        union=max(fate.union for fate in known),
        compared_by=tuple(0 if fate is None else fate.compared for fate in fates.values()),
        union_by=tuple(0 if fate is None else fate.union for fate in fates.values()),
    )
    lacking = [(label, fate) for label, fate in fates.items() if fate is None or not fate.spans]
    bases = {fate.base.name for fate in known if fate.base is not None}
    if lacking or len(bases) > 1:
        label, fate = lacking[0] if lacking else (next(iter(fates)), None)
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        reason = fate.reason if fate is not None else "neither it nor the base has it"
        explained = found.union == 0 or all(fate is not None and fate.explained for _, fate in lacking)
        return attrs.evolve(found, reason=f"{label}{more}: {reason or 'has no entries'}", explained=explained)
    runs = tuple(_shared([fate for fate in fates.values() if fate is not None]))
    partial = next(((label, fate) for label, fate in fates.items() if fate is not None and fate.reason), None)
    reason = f"{partial[0]}: {partial[1].reason}" if partial else None
    return attrs.evolve(found, runs=runs, reason=reason, explained=all(fate.explained for fate in known))


def _shared(fates: Sequence[AlignedTensor]) -> Iterator[Run]:
    """What lies in a span of every subject, in the base's order."""
    runs = [Run(base=span.base, subjects=(span.trained,), count=span.count) for span in _ordered(fates[0])]
    for fate in fates[1:]:
        runs = list(_intersect(runs, _ordered(fate)))
    yield from runs


def _ordered(fate: AlignedTensor) -> list[Any]:
    return sorted(fate.spans, key=lambda span: span.base)


def _intersect(runs: Sequence[Run], spans: Sequence[Any]) -> Iterator[Run]:
    i = j = 0
    while i < len(runs) and j < len(spans):
        run, span = runs[i], spans[j]
        start, stop = max(run.base, span.base), min(run.base + run.count, span.base + span.count)
        if start < stop:
            shift = start - run.base
            yield Run(
                base=start,
                subjects=(*(s + shift for s in run.subjects), span.trained + start - span.base),
                count=stop - start,
            )
        if run.base + run.count <= span.base + span.count:
            i += 1
        else:
            j += 1
