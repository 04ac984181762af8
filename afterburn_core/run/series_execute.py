"""Runs the series pass and its analyzers over opened models, and keeps every analyzer apart from the others' faults."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.errors import SubjectError
from afterburn_core.plugin.registry import Registered
from afterburn_core.result.model import Execution, ExecutionStatus, Notification, Subject
from afterburn_core.run.analyzers import DocumentReader, begin_analyzer
from afterburn_core.run.cache import RowCache
from afterburn_core.run.digests import SubjectFile
from afterburn_core.run.execute import Bench, Collected, collect, pass_execution, tell
from afterburn_core.run.file_passes import config_reader, side_of
from afterburn_core.run.layout import present
from afterburn_core.run.needs import SeriesNeed
from afterburn_core.run.plan import Plan, PlannedPass
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.subjects import OpenSubject, require_comparable
from afterburn_core.run.swept import Swept

if TYPE_CHECKING:
    from afterburn_core.run.series_align import SeriesTensor

_NAMED = 20  # tensors left out that are named one by one


@attrs.frozen(kw_only=True)
class Member:
    """One subject of a series besides the base."""

    id: str
    """`checkpoint:200`, `trained:my-lora`."""
    subject: OpenSubject
    files: tuple[SubjectFile, ...] = ()
    """Files besides the subject's own that can influence the result, such as `trainer_state.json`."""
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    """Facts for the document, such as the step."""
    documents: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    """Documents for analyzers besides the subject's own, by name."""

    @property
    def label(self) -> str:
        return self.subject.facts.label


def execute_series(
    plan: Plan, analyzers: Sequence[Registered], base: OpenSubject, members: Sequence[Member],
    subjects: tuple[Subject, ...], bench: Bench, cache: RowCache | None, run_id: str,
) -> Collected:  # fmt: skip
    """The series pass and its analyzers, each kept apart from the others' faults."""
    specs: dict[str, Registered] = {registered.spec.name: registered for registered in analyzers}
    documents = _documents(base, members)
    instances = {
        name: [begin_analyzer(specs[name].spec, subjects, documents, bench) for _ in range(bench.executor.workers)]
        for name in plan.analyzers
    }
    executions: list[Execution] = []
    stopped: str | None = None
    for planned in plan.passes:
        started = time.perf_counter()
        riders = [instances[name] for name in planned.analyzers]
        swept = _sweep(planned, base, members, riders, bench, cache)
        stopped = swept.stopped
        status: ExecutionStatus = "ok" if stopped is None else "interrupted"
        executions.append(pass_execution(planned, status, time.perf_counter() - started, stopped, swept))
        tell(bench, run_id, executions[-1])
    return collect(plan, specs, instances, executions, stopped, bench, run_id)


def _documents(base: OpenSubject, members: Sequence[Member]) -> DocumentReader:
    """Documents by subject id and name."""
    opened = {"base": base, **{member.id: member.subject for member in members}}
    own = {member.id: member.documents for member in members}

    def read(role: str, name: str) -> Mapping[str, Any] | None:
        if name in own.get(role, {}):
            return own[role][name]
        subject = opened.get(role)
        if subject is None or "documents" not in subject.facts.capabilities:
            return None
        return subject.documents().get(name)

    return read


def _sweep(
    planned: PlannedPass,
    base: OpenSubject,
    members: Sequence[Member],
    riders: Sequence[Sequence[Any]],
    bench: Bench,
    cache: RowCache | None,
) -> Swept:
    from afterburn_core.run.series import SeriesPass
    from afterburn_core.run.series_align import align_series

    if not isinstance(planned.need, SeriesNeed):
        raise RuntimeError(f"{planned.component}: not a pass over several models")
    shown = [
        present(base.weights(), member.subject.weights(), config_reader(base), config_reader(member.subject))
        for member in members
    ]
    tensors = align_series(
        {
            member.id.partition(":")[2]: (
                side_of(base, view.base, view.base_refused),
                side_of(member.subject, view.trained, view.trained_refused),
            )
            for member, view in zip(members, shown, strict=True)
        }
    )
    for number, member in enumerate(members):
        require_comparable(base.facts, member.subject.facts, sum(tensor.compared_by[number] for tensor in tensors))
    compared = sum(tensor.compared for tensor in tensors)
    if not compared:
        raise SubjectError(
            f"nothing to compare: no tensor is shared by {base.facts.label!r} and all {len(members)} models; give "
            "models of one architecture"
        )
    bench.progress.begin("comparing weights", compared, "parameters")
    sweep = SeriesPass(
        shown[0].base,
        [view.trained for view in shown],
        tensors,
        planned.need,
        executor=bench.executor,
        analyzers=[[rider[worker] for rider in riders] for worker in range(bench.executor.workers)],
        seed=child_seed(bench.seed, planned.component),
        cache=cache,
        progress=bench.progress,
    )
    try:
        outcome = sweep.run()
    finally:
        bench.progress.end()
    stopped = None
    if outcome.interrupted:
        done = f"{outcome.tensors} of {len(tensors)} tensors"
        stopped = f"stopped by the user after {done}; run again to go on from there"
    counters = {
        "tensors": len(tensors),
        "left_out": sum(1 for tensor in tensors if not tensor.runs),
        "from_cache": outcome.from_cache,
        "bytes_read": outcome.bytes_read,
    }
    laid_out = Counter(note for view in shown for note in view.notes)
    notes = [Notification(level="note", message=f"{note} (of {n} models)") for note, n in sorted(laid_out.items())]
    return Swept(counters=counters, notes=(*notes, *_left_out(tensors)), stopped=stopped)


def _left_out(tensors: Sequence[SeriesTensor]) -> tuple[Notification, ...]:
    """The tensors that are not, or not wholly, compared, by name; beyond a number of them, how many more there are."""
    named = [tensor for tensor in tensors if tensor.reason is not None and tensor.union]
    notes = [
        Notification(level="note" if tensor.explained else "warning", message=f"{tensor.name}: {tensor.reason}")
        for tensor in named[:_NAMED]
    ]
    if len(named) > _NAMED:
        more = f"{len(named) - _NAMED} more tensors are not, or not wholly, compared"
        notes.append(Notification(level="warning", message=more))
    return tuple(notes)
