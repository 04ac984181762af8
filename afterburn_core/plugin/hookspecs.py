"""The hooks. An implementation is a function of the same name in the module that the entry point names.

Registration hooks return specs; each implementation is called alone, so one that raises is one recorded problem.
Observer hooks take one frozen event; what they return is ignored, what they raise is recorded, and nothing they do
changes the plan or the document.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from afterburn_core.plugin.specs import (
        AnalyzerSpec,
        BackendSpec,
        CommandSpec,
        ComponentFinished,
        DetectorSpec,
        ExecutorSpec,
        ProbeSetSpec,
        ReaderSpec,
        ReporterSpec,
        RunFinished,
        RunStarted,
        SignerSpec,
    )
    from afterburn_core.run.references import SubjectReference

PROJECT = "afterburn_core"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def afterburn_analyzers() -> Iterable[AnalyzerSpec]:  # type: ignore[empty-body]
    """Analyzers this plugin offers. Called once when the registry is built; results are collected and sorted by name.

    `needs` decides what they observe: `DocumentsNeed`, `WeightsNeed` with the quantities `sums`, `rows`, `spectra`,
    `vectors` and `tensors`, `FactorsNeed` for an adapter's modules, `SeriesNeed` for several models beside one base.
    `preset` is the least `--preset` in which they take part, `quick` unless given.

    Example::

        @hookimpl
        def afterburn_analyzers():
            yield AnalyzerSpec(
                name="mine.sparsity",
                summary="Share of zero weights",
                needs=(WeightsNeed(quantities=("tensors",)),),
                metrics=(MetricSpec(id="mine.zero_fraction", summary="Share of exact zeros", low=0, high=1),),
                factory="afterburn_mine.sparsity:Sparsity",
            )
    """


@hookspec
def afterburn_detectors() -> Iterable[DetectorSpec]:  # type: ignore[empty-body]
    """Detectors this plugin offers. Called once when the registry is built; collected and sorted by name.

    Example::

        @hookimpl
        def afterburn_detectors():
            rule = RuleSpec(id="mine.too_sparse", summary="Training zeroed weights", help="Check the pruning step.",
                            level="warning", metrics=("mine.zero_fraction",))
            yield DetectorSpec(name="mine.sparsity", summary="Judges sparsity", rules=(rule,),
                               factory="afterburn_mine.sparsity:judge")
    """


@hookspec
def afterburn_reporters() -> Iterable[ReporterSpec]:  # type: ignore[empty-body]
    """Reporters this plugin offers, picked by the suffix given to `-o`. Collected and sorted by name.

    Example::

        @hookimpl
        def afterburn_reporters():
            yield ReporterSpec(name="mine.csv", summary="Measurements as CSV", suffixes=(".csv",),
                               media_type="text/csv", factory="afterburn_mine.csv:render")
    """


@hookspec
def afterburn_backends() -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Backends this plugin offers. Collected and sorted by name; `--backend NAME` picks one by hand.

    Example::

        @hookimpl
        def afterburn_backends():
            yield BackendSpec(name="mine.npz", summary="Weights in .npz files", capabilities=("weights",),
                              factory="afterburn_mine.npz:open_subject")
    """


@hookspec
def afterburn_readers() -> Iterable[ReaderSpec]:  # type: ignore[empty-body]
    """Readers of file formats: of weights for the checkpoint backend, picked by suffix, or with `of="dictionary"` of
    sparse dictionaries for `afterburn-sae`, each asked in turn. Collected and sorted by name.

    Example::

        @hookimpl
        def afterburn_readers():
            yield ReaderSpec(name="mine.h5", summary="HDF5 weights", suffixes=(".h5",),
                             factory="afterburn_mine.h5:read_index")
    """


@hookspec
def afterburn_probe_sets() -> Iterable[ProbeSetSpec]:  # type: ignore[empty-body]
    """Probe sets this plugin ships. Collected and sorted by name.

    Example::

        @hookimpl
        def afterburn_probe_sets():
            yield ProbeSetSpec(name="mine.chess", summary="Chess puzzles", licence="CC0-1.0",
                               factory="afterburn_mine.chess:items")
    """


@hookspec
def afterburn_signers() -> Iterable[SignerSpec]:  # type: ignore[empty-body]
    """Signers for certificates, such as a key management service. Collected and sorted by name.

    Example::

        @hookimpl
        def afterburn_signers():
            yield SignerSpec(name="mine.kms", summary="Signs in our KMS", factory="afterburn_mine.kms:Signer")
    """


@hookspec
def afterburn_executors() -> Iterable[ExecutorSpec]:  # type: ignore[empty-body]
    """Executors that run the tasks of a pass. Collected and sorted by name; `core.local` is the default.

    Example::

        @hookimpl
        def afterburn_executors():
            yield ExecutorSpec(name="mine.cluster", summary="Our cluster", factory="afterburn_mine.cluster:Executor")
    """


@hookspec
def afterburn_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Subcommands of `afterburn`. Collected and sorted by name; a name of a core command is refused.

    Example::

        @hookimpl
        def afterburn_commands():
            yield CommandSpec(name="mine.prune", summary="Show what pruning did", factory="afterburn_mine.cli:prune")
    """


@hookspec(firstresult=True)
def afterburn_select_backend(reference: SubjectReference) -> str | None:
    """The name of the backend that should open `reference`, or `None` to leave it to others.

    Called when a subject is opened without `--backend`; the first answer counts, the core's own comes last.

    Example::

        @hookimpl
        def afterburn_select_backend(reference):
            return "mine.npz" if reference.path and reference.path.suffix == ".npz" else None
    """


@hookspec
def afterburn_run_started(event: RunStarted) -> None:
    """Observes the start of a run. Called by the runner, after the plan is fixed and before the first pass.

    Example::

        @hookimpl
        def afterburn_run_started(event):
            log.info("run %s: %d components", event.run_id, len(event.components))
    """


@hookspec
def afterburn_component_finished(event: ComponentFinished) -> None:
    """Observes the end of a pass, an analyzer or a detector. Called by the runner, once per component.

    Example::

        @hookimpl
        def afterburn_component_finished(event):
            log.info("%s: %s in %.1f s", event.component, event.status, event.seconds)
    """


@hookspec
def afterburn_run_finished(event: RunFinished) -> None:
    """Observes the finished document. Called by the runner after `result.json` is written.

    Example::

        @hookimpl
        def afterburn_run_finished(event):
            archive(event.document)
    """
