"""The plan: pure, computed from facts and specs before any weight is read, and printable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.plugin.registry import Registered
from afterburn_core.plugin.specs import AnalyzerSpec, DetectorSpec
from afterburn_core.run.control_opening import Beside
from afterburn_core.run.control_plan import COMPONENT, PlannedControls, plan_controls
from afterburn_core.run.needs import (
    PRESETS,
    FactorsNeed,
    GenerationNeed,
    Need,
    PassKind,
    Preset,
    SeriesNeed,
    WeightsNeed,
    merge_needs,
)
from afterburn_core.run.subjects import SubjectFacts
from afterburn_core.run.workload import MODELS_RUN, Reading, Writing, asked_seconds, detail_of, unread

# order of passes, and rough throughputs in bytes per second and core, measured on 2.5 GHz server cores; only for
# the estimate that `afterburn plan` prints
PASS_ORDER: tuple[PassKind, ...] = (
    "documents",
    "factors",
    "weights",
    "series",
    "generation",
    "forward",
    "encode",
    "live",
)
HASH_RATE = 1.4e9
SUMS_RATE = 0.8e9
# flop per second and core: symmetric products counted as plain ones, by precision, and eigenvalues
GRAM_RATE = {"standard": 160e9, "full": 80e9}
EIGEN_RATE = 22e9


@attrs.frozen(kw_only=True)
class PlannedPass:
    """One sweep and who rides on it."""

    kind: PassKind
    need: Need
    analyzers: tuple[str, ...]
    bytes: int
    """Bytes it will read."""
    seconds: float
    """Estimated wall time."""
    detail: str = ""
    """What it works through, where bytes do not say it."""

    @property
    def component(self) -> str:
        return f"core.{self.kind}_pass"


@attrs.frozen(kw_only=True)
class Skipped:
    """A component that will not run, and why."""

    component: str
    plugin: str
    reason: str
    applicable: bool
    """False when the subjects, by their kind, cannot offer what it needs."""


@attrs.frozen(kw_only=True)
class Plan:
    """Everything a run will do."""

    subjects: tuple[SubjectFacts, ...]
    passes: tuple[PlannedPass, ...]
    analyzers: tuple[str, ...]
    """Names of the analyzers that will run, sorted."""
    detectors: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    digest_bytes: int
    digest_seconds: float
    controls: tuple[PlannedControls, ...] = ()
    """What the trained model is set among."""

    @property
    def components(self) -> tuple[str, ...]:
        """Every name an execution must exist for, in order."""
        planned = [p.component for p in self.passes] + list(self.analyzers)
        controls = (COMPONENT,) if self.controls else ()
        return (*planned, *controls, *(s.component for s in self.skipped), *self.detectors)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `afterburn plan --json` prints them."""
        return {
            "subjects": [attrs.asdict(subject) for subject in self.subjects],
            "passes": [
                {
                    "pass": p.component,
                    "analyzers": list(p.analyzers),
                    "need": attrs.asdict(p.need),
                    "bytes": p.bytes,
                    "estimated_seconds": round(p.seconds, 1),
                    **({"detail": p.detail} if p.detail else {}),
                }
                for p in self.passes
            ],
            "controls": [controls.to_dict() for controls in self.controls],
            "detectors": list(self.detectors),
            "skipped": [attrs.asdict(s) for s in self.skipped],
            "digest": {"bytes": self.digest_bytes, "estimated_seconds": round(self.digest_seconds, 1)},
        }


def make_plan(
    subjects: Sequence[SubjectFacts],
    analyzers: Iterable[Registered],
    detectors: Iterable[Registered],
    *,
    preset: Preset = "full",
    threads: int = 1,
    writing: Writing | None = None,
    reading: Reading | None = None,
    controls: Sequence[Beside] = (),
    idle: Mapping[str, str] | None = None,
) -> Plan:
    """The fewest passes that serve all needs. Pure: equal inputs give equal plans, whatever their order.

    An analyzer whose needs some subject cannot offer, or that the preset leaves out, is skipped with the reason,
    never dropped. `writing` is what the generation pass would ask; without it, or with no prompts, nobody is asked.
    `reading` is what the forward pass would read; without it there are no passages. `controls` change nothing of what
    is planned for the pair. `idle` says of analyzers by name why their options leave them nothing to do.
    """
    ordered = sorted(analyzers, key=lambda registered: registered.spec.name)
    written = writing or Writing()
    read = reading or Reading()
    running: list[AnalyzerSpec] = []
    skipped: list[Skipped] = []
    for registered in ordered:
        spec: AnalyzerSpec = registered.spec
        foreign = _foreign(spec.needs, subjects)
        lacking, who = _lacking(spec.needs, subjects)
        if foreign is not None:
            skipped.append(
                Skipped(component=spec.name, plugin=registered.plugin.name, reason=foreign, applicable=False)
            )
        elif lacking:
            reason = f"needs {' and '.join(lacking)}, which {' and '.join(who)} cannot offer"
            known = [facts.absent[name] for name in lacking for facts in subjects if name in facts.absent]
            if known:
                reason += f": {known[0]}"
            elif {"generate", "logits", "steer"} & set(lacking):
                reason += "; that takes the directory of a causal language model with its tokenizer"
            elif "forward" in lacking:
                reason += "; that takes a model directory with its tokenizer"
            skipped.append(Skipped(component=spec.name, plugin=registered.plugin.name, reason=reason, applicable=False))
        elif (told := (idle or {}).get(spec.name)) is not None:
            skipped.append(Skipped(component=spec.name, plugin=registered.plugin.name, reason=told, applicable=False))
        elif any(isinstance(need, GenerationNeed) for need in spec.needs) and not written.prompts:
            reason = "needs prompts, and there are none; name some with --suite or --prompts"
            skipped.append(Skipped(component=spec.name, plugin=registered.plugin.name, reason=reason, applicable=False))
        elif any(isinstance(need, GenerationNeed) and need.judge for need in spec.needs) and not written.judge:
            reason = "needs a judge, and none is named; --judge names one"
            skipped.append(Skipped(component=spec.name, plugin=registered.plugin.name, reason=reason, applicable=False))
        elif (silent := unread(spec.needs, read)) is not None:
            skipped.append(Skipped(component=spec.name, plugin=registered.plugin.name, reason=silent, applicable=False))
        elif PRESETS.index(spec.preset) > PRESETS.index(preset):
            reason = f"takes part from preset {spec.preset} on; this run's is {preset}"
            skipped.append(Skipped(component=spec.name, plugin=registered.plugin.name, reason=reason, applicable=False))
        else:
            running.append(spec)
    merged = merge_needs(need for spec in running for need in spec.needs)
    size = sum(facts.bytes for facts in subjects)
    reads = {"documents": 0, "factors": sum(facts.bytes for facts in subjects if facts.role != "base")}
    passes = tuple(
        PlannedPass(
            kind=kind,
            need=merged[kind],
            analyzers=tuple(spec.name for spec in running if any(need.kind == kind for need in spec.needs)),
            bytes=reads.get(kind, size),
            seconds=(
                asked_seconds(kind, written, read, subjects)
                if kind in MODELS_RUN
                else _seconds(merged[kind], subjects, reads.get(kind, size), preset, threads)
            ),
            detail=detail_of(kind, written, read),
        )
        for kind in PASS_ORDER
        if kind in merged
    )
    judges: list[DetectorSpec] = sorted((registered.spec for registered in detectors), key=lambda spec: spec.name)
    return Plan(
        subjects=tuple(subjects),
        passes=passes,
        analyzers=tuple(spec.name for spec in running),
        detectors=tuple(spec.name for spec in judges),
        skipped=tuple(skipped),
        digest_bytes=size,
        digest_seconds=size / (HASH_RATE * min(threads, 2)),
        controls=plan_controls(
            controls,
            [planned.kind for planned in passes],
            running,
            next((facts for facts in subjects if facts.role == "base"), None),
            written,
            read,
        ),
    )


def _lacking(needs: Sequence[Need], subjects: Sequence[SubjectFacts]) -> tuple[list[str], list[str]]:
    """Capabilities that some subject cannot offer, and the roles of those subjects; factors are asked of no base."""
    missing = [
        (need.capability, facts.role)
        for need in needs
        for facts in subjects
        if need.capability not in facts.capabilities and not (isinstance(need, FactorsNeed) and facts.role == "base")
    ]
    capabilities = {capability for capability, _ in missing} if subjects else {need.capability for need in needs}
    return sorted(capabilities), list(dict.fromkeys(role for _, role in missing))


def _foreign(needs: Sequence[Need], subjects: Sequence[SubjectFacts]) -> str | None:
    """Why a run over these subjects does not offer such needs, whatever the subjects can; `None` where it may."""
    roles = {facts.role for facts in subjects} - {"base"}
    pair = roles <= {"trained", "control"} and sum(facts.role == "trained" for facts in subjects) <= 1
    wanted = {need.of for need in needs if isinstance(need, SeriesNeed)}
    if wanted and (pair or roles != wanted):
        what = "checkpoints of one training run" if "checkpoint" in wanted else "trained models of one base"
        return f"needs several {what}"
    if needs and not wanted and not pair:
        return "compares one trained model with its base, and this run has several"
    return None


def _seconds(need: Need, subjects: Sequence[SubjectFacts], size: int, preset: Preset, threads: int) -> float:
    """Estimated wall time of the weights pass: bytes, and three spectra per matrix of the base where wanted."""
    total = size / SUMS_RATE
    if isinstance(need, WeightsNeed) and {"spectra", "vectors"} & set(need.quantities):
        gram, eigen = (max((getattr(s, name) for s in subjects), default=0.0) for name in ("gram_flop", "eigen_flop"))
        total += 3 * (gram / GRAM_RATE.get(preset, GRAM_RATE["full"]) + eigen / EIGEN_RATE)
    return total / threads
