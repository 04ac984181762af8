"""What a run's controls cost and what they say: pure, for the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.plugin.specs import AnalyzerSpec
from afterburn_core.run.control_opening import Beside, unserved
from afterburn_core.run.controls import Kind, of_kind, words
from afterburn_core.run.needs import GenerationNeed, PassKind
from afterburn_core.run.workload import Reading, Writing

if TYPE_CHECKING:
    from afterburn_core.run.subjects import SubjectFacts

COMPONENT = "core.controls"


@attrs.frozen(kw_only=True)
class PlannedControls:
    """The controls of one kind."""

    kind: Kind
    n: int
    labels: tuple[str, ...]
    """What the user calls those that were given."""
    passes: tuple[PassKind, ...]
    """Those of the run that serve them."""
    analyzers: tuple[str, ...]
    """Those whose numbers are set among them."""
    unserved: Mapping[PassKind, str]
    """Other passes of the run, and why they do not."""
    seconds: float
    """Estimated wall time of what they write and read."""

    @property
    def words(self) -> str:
        named = f" ({', '.join(self.labels)})" if self.labels else ""
        return words(self.kind, self.n) + named

    @property
    def least_p_value(self) -> float:
        """No p value among them can be smaller."""
        return 1 / (self.n + 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `afterburn plan --json` prints them."""
        return {
            "kind": self.kind,
            "n": self.n,
            "labels": list(self.labels),
            "passes": list(self.passes),
            "analyzers": list(self.analyzers),
            "not_served": dict(self.unserved),
            "estimated_seconds": round(self.seconds, 1),
            "least_p_value": self.least_p_value,
        }


def rides(spec: AnalyzerSpec, passes: Sequence[PassKind]) -> bool:
    """Whether an analyzer can look at a control that these passes serve as it looks at the trained model.

    All that it needs must be there. A judge is not asked about controls, which would multiply what it costs.
    """
    kinds = {need.kind for need in spec.needs}
    judged = any(isinstance(need, GenerationNeed) and need.judge for need in spec.needs)
    return bool(kinds) and kinds <= set(passes) and not judged and any(m.neutral is not None for m in spec.metrics)


def plan_controls(
    controls: Sequence[Beside],
    kinds: Sequence[PassKind],
    specs: Sequence[AnalyzerSpec],
    base: SubjectFacts | None,
    writing: Writing,
    reading: Reading,
) -> tuple[PlannedControls, ...]:
    """The controls by kind, in the order in which they were named.

    Args:
        controls: opened.
        kinds: the passes of the run.
        specs: the analyzers that run.
        base: whose size says what a control costs; `None` where there is no pair.
        writing: what the generation pass asks of each.
        reading: what the forward pass has each read.
    """
    by_id = {one.control.id: one for one in controls}
    size = [] if base is None else [base]
    planned = []
    for kind, own in of_kind([one.control for one in controls]).items():
        besides = [by_id[control.id] for control in own]
        riding = tuple(spec.name for spec in specs if any(rides(spec, one.passes) for one in besides))
        served = {need.kind for spec in specs if spec.name in riding for need in spec.needs}
        seconds = 0.0
        for one in besides:
            if "generation" in served and "generation" in one.passes and not one.halves:
                seconds += writing.seconds(size) if one.opened.facts.parameters else 0.0
            if "forward" in served and "forward" in one.passes:
                seconds += reading.seconds(size)
        reasons = {k: reason for k in kinds if k not in served for one in besides[:1] if (reason := unserved(one, k))}
        planned.append(
            PlannedControls(
                kind=kind,
                n=len(own),
                labels=tuple(control.label for control in own) if kind == "given" else (),
                passes=tuple(k for k in kinds if k in served),
                analyzers=riding,
                unserved=reasons,
                seconds=seconds,
            )
        )
    return tuple(planned)
