"""The passes that read files and run no model: documents, an adapter's factors, weights.

Each runs over the pair, then over the base with each model that was given as a control.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.result.model import Notification
from afterburn_core.run import align as alignment
from afterburn_core.run.align import AlignedTensor, Refusal, align, states
from afterburn_core.run.analyzers import Guarded
from afterburn_core.run.factors_pass import hand_out
from afterburn_core.run.needs import WeightsNeed
from afterburn_core.run.observations import DocumentPair
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.shadows import Shadow, sweep_given
from afterburn_core.run.subjects import OpenSubject, require_comparable
from afterburn_core.run.swept import Swept

if TYPE_CHECKING:
    from afterburn_core.backends.tensors import WeightSource
    from afterburn_core.run.execute import Bench
    from afterburn_core.run.plan import PlannedPass
    from afterburn_core.run.tensor_work import Spectral


def over_files(
    planned: PlannedPass,
    base: OpenSubject,
    trained: OpenSubject,
    riders: Sequence[Sequence[Guarded]],
    bench: Bench,
    shadows: Sequence[Shadow],
) -> Swept:
    """A pass that reads files: over the pair, then over the base with each model that was given as a control."""
    sweep = {"documents": _documents, "factors": _factors}.get(planned.kind, _weights)
    swept = sweep(planned, base, trained, riders, bench)
    if swept.stopped is not None:
        return swept
    notes, stopped = sweep_given(
        planned,
        shadows,
        lambda opened, own, companion: sweep(planned, base, opened, own, attrs.evolve(bench, cache=companion.cache)),
    )
    return attrs.evolve(swept, notes=(*swept.notes, *notes), stopped=stopped)


def _documents(
    planned: PlannedPass, base: OpenSubject, trained: OpenSubject, riders: Sequence[Sequence[Guarded]], bench: Bench
) -> Swept:
    left, right = base.documents(), trained.documents()
    names = sorted(left.keys() | right.keys())
    for name in names:
        pair = DocumentPair(name=name, base=left.get(name), trained=right.get(name))
        for rider in riders:
            rider[0].observe(pair)
    return Swept(counters={"documents": len(names)})


def _factors(
    planned: PlannedPass, base: OpenSubject, trained: OpenSubject, riders: Sequence[Sequence[Guarded]], bench: Bench
) -> Swept:
    return Swept(counters={"modules": hand_out(trained, (rider[0] for rider in riders))})


def _weights(
    planned: PlannedPass, base: OpenSubject, trained: OpenSubject, riders: Sequence[Sequence[Guarded]], bench: Bench
) -> Swept:
    from afterburn_core.run.layout import present
    from afterburn_core.run.weights_pass import WeightsPass

    shown = present(base.weights(), trained.weights(), config_reader(base), config_reader(trained))
    aligned = align(
        side_of(base, shown.base, shown.base_refused), side_of(trained, shown.trained, shown.trained_refused)
    )
    compared = sum(tensor.compared for tensor in aligned)
    require_comparable(base.facts, trained.facts, compared)
    quantities = planned.need.quantities if isinstance(planned.need, WeightsNeed) else ()
    sweep = WeightsPass(
        shown.base,
        shown.trained,
        aligned,
        executor=bench.executor,
        analyzers=[[rider[worker] for rider in riders] for worker in range(bench.executor.workers)],
        cache=bench.cache.rows if bench.cache else None,
        device=bench.device,
        with_values="tensors" in quantities,
        with_rows="rows" in quantities,
        spectral=_spectral(quantities, shown.trained, bench),
        progress=bench.progress,
        begun=lambda: bench.progress.begin("comparing weights", compared, "parameters"),
    )
    try:
        outcome = sweep.run()
    finally:
        bench.progress.end()
    counters = {
        "tensors": len(aligned),
        "from_cache": outcome.from_cache,
        "bytes_read": outcome.bytes_read,
        "spectra": outcome.spectra,
        "spectra_from_cache": outcome.spectra_from_cache,
        **dict(sorted(states(aligned).items())),
    }
    stopped = None
    if outcome.interrupted:
        stopped = f"stopped by the user after {outcome.pairs} of {len(aligned)} tensors; run again to go on from there"
    notes = (*_layout_notes(shown.notes), *_alignment_notes(aligned), *_approximations(outcome.approximate))
    return Swept(counters=counters, notes=notes, stopped=stopped)


def _spectral(quantities: Sequence[str], trained: WeightSource, bench: Bench) -> Spectral | None:
    """How the pass computes spectra; `None` where nobody asked for any."""
    from afterburn_core.run.memory import largest_order
    from afterburn_core.run.tensor_work import Spectral

    if not {"spectra", "vectors"} & set(quantities):
        return None
    return Spectral(
        precision="float64" if bench.preset == "full" else "float32",
        vectors="vectors" in quantities,
        trained=trained,
        max_order=largest_order(bench.executor.workers),
        seed=child_seed(bench.seed, "core.weights_pass"),
        base_cache=bench.cache.base if bench.cache else None,
        pair_cache=bench.cache.pair if bench.cache else None,
    )


def _approximations(names: Sequence[str]) -> tuple[Notification, ...]:
    return tuple(
        Notification(
            level="warning",
            message=f"{name}: too large for an exact spectrum in this machine's memory; its top singular values are "
            "approximate, with the error bound given",
        )
        for name in sorted(names)
    )


def side_of(subject: OpenSubject, source: WeightSource, refused: Mapping[str, Refusal]) -> alignment.Side:
    """What alignment needs to know of a subject whose weights are presented by `source`."""
    return alignment.Side(
        tensors=source.tensors,
        aliases=source.aliases,
        tied=bool(subject.facts.properties.get("tied", False)) or subject.facts.kind == "adapter",
        vocabulary=lambda: subject.documents().get("vocabulary"),
        refused=refused,
    )


def config_reader(subject: OpenSubject) -> Callable[[], Mapping[str, Any] | None]:
    """Reads the configuration when a layout has to be known; a subject without documents has none."""
    if "documents" not in subject.facts.capabilities:
        return lambda: None
    return lambda: subject.documents().get("config")


def _layout_notes(notes: Sequence[str]) -> tuple[Notification, ...]:
    return tuple(Notification(level="note", message=note) for note in notes)


def _alignment_notes(aligned: Sequence[AlignedTensor]) -> tuple[Notification, ...]:
    return tuple(
        Notification(level="note", message=f"{tensor.name}: {tensor.reason}")
        for tensor in aligned
        if tensor.state == "reshaped" and tensor.explained
    )
