"""Everything a plugin author imports: the marker, the specs, the roles, the needs.

`from afterburn_core.plugin import hookimpl, AnalyzerSpec, MetricSpec, WeightsNeed` is the whole of it. Importing this
package imports no torch.
"""

from __future__ import annotations

from afterburn_core.plugin.hookspecs import hookimpl
from afterburn_core.plugin.specs import (
    AnalyzerSpec,
    BackendSpec,
    CommandSpec,
    ComponentFinished,
    DetectorSpec,
    ExecutorSpec,
    MetricSpec,
    ProbeSetSpec,
    ReaderSpec,
    ReporterSpec,
    RuleSpec,
    RunFinished,
    RunStarted,
    SignerSpec,
)
from afterburn_core.run.needs import (
    DocumentsNeed,
    EncodeNeed,
    FactorsNeed,
    ForwardNeed,
    GenerationNeed,
    LiveNeed,
    SeriesNeed,
    WeightsNeed,
)

__all__ = [
    "AnalyzerSpec",
    "BackendSpec",
    "CommandSpec",
    "ComponentFinished",
    "DetectorSpec",
    "DocumentsNeed",
    "EncodeNeed",
    "ExecutorSpec",
    "FactorsNeed",
    "ForwardNeed",
    "GenerationNeed",
    "LiveNeed",
    "MetricSpec",
    "ProbeSetSpec",
    "ReaderSpec",
    "ReporterSpec",
    "RuleSpec",
    "RunFinished",
    "RunStarted",
    "SeriesNeed",
    "SignerSpec",
    "WeightsNeed",
    "hookimpl",
]
