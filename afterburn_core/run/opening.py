"""Opens the subjects of a comparison, chooses what they are asked, and plans; reads headers and configuration only."""

from __future__ import annotations

import attrs

from afterburn_core.backends.locate import adapter_base
from afterburn_core.errors import ConfigError
from afterburn_core.generation.asking import Asking, choose
from afterburn_core.plugin.registry import Registered, Registry
from afterburn_core.run.asks import asked
from afterburn_core.run.configuration import Settings
from afterburn_core.run.control_opening import Beside, close_controls, open_controls
from afterburn_core.run.executor import available_cores
from afterburn_core.run.material import Material, material_of
from afterburn_core.run.needs import ForwardNeed, GenerationNeed
from afterburn_core.run.plan import Plan, make_plan
from afterburn_core.run.provenance import decoding_of
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import OpenSubject, Recorded, open_subject
from afterburn_core.run.workload import Writing


@attrs.frozen(kw_only=True)
class Opened:
    """Both subjects, opened, with the plan for them."""

    base: OpenSubject
    trained: OpenSubject
    plan: Plan
    analyzers: tuple[Registered, ...]
    detectors: tuple[Registered, ...]
    controls: tuple[Beside, ...] = ()
    asking: Asking = attrs.field(factory=Asking)
    material: Material = attrs.field(factory=Material)
    remarks: tuple[str, ...] = ()
    """What to tell the user of settings that nothing in this run heeds."""

    def close(self) -> None:
        close_controls(self.controls)
        self.trained.close()
        self.base.close()


def open_pair(settings: Settings, registry: Registry) -> Opened:
    """Opens both subjects and plans, reading headers and configuration only.

    Raises:
        ConfigError: a subject is not named.
        SubjectError: a subject cannot be opened.
    """
    if settings.trained is None:
        raise ConfigError("no trained model; give it with --trained")
    base_text = settings.base
    if base_text is not None:
        parse_reference(base_text)  # the fault that comes first on the command line is named first
    trained_reference = parse_reference(settings.trained)
    inferred = base_text is None
    if base_text is None:
        base_text = adapter_base(trained_reference)
    if base_text is None:
        raise ConfigError("no base model; give it with --base (only an adapter can name its own)")
    base_reference = attrs.evolve(parse_reference(base_text), cached_only=inferred)
    base = open_subject(base_reference, "base", registry, backend=settings.backend)
    try:
        trained = open_subject(trained_reference, "trained", registry, backend=settings.backend, base=base)
    except BaseException:
        base.close()
        raise
    controls: tuple[Beside, ...] = ()
    try:
        controls = open_controls(settings, registry, base, trained)
        return _planned(settings, registry, base, trained, controls)
    except BaseException:
        close_controls(controls)
        trained.close()
        base.close()
        raise


def _planned(
    settings: Settings, registry: Registry, base: OpenSubject, trained: OpenSubject, controls: tuple[Beside, ...]
) -> Opened:
    settled, detectors = asked(registry.specs("analyzer"), settings.options), registry.specs("detector")
    analyzers = settled.analyzers
    pair = (base, trained)
    needs = [need for r in analyzers if r.spec.name not in settled.idle for need in r.spec.needs]
    written = [need for need in needs if isinstance(need, GenerationNeed)]
    read = any(isinstance(need, ForwardNeed) and {"prompt", "continuation"} & {*need.sources} for need in needs)
    asking = Asking()
    if (written or read) and all("generate" in subject.facts.capabilities for subject in pair):
        wanted = sorted({name for need in written for name in need.asks(settings.preset)})
        asking = choose(settings, registry, pair, wanted)
    material = material_of(settings, registry, pair, needs)
    decoding = decoding_of(settings)
    plan = make_plan(
        (base.facts, trained.facts),
        analyzers,
        detectors,
        preset=settings.preset,
        threads=settings.threads or available_cores(),
        writing=Writing(
            prompts=asking.prompts,
            follow_ups=asking.turns - asking.prompts,
            samples=asking.samples,
            max_new_tokens=decoding.max_new_tokens,
            judge=settings.judge is not None,
        ),
        reading=material.reading(settings, asking, decoding),
        controls=controls,
        idle=settled.idle,
    )
    _refuse_silent(controls, asking)
    return Opened(
        base=base,
        trained=trained,
        plan=plan,
        analyzers=analyzers,
        detectors=detectors,
        controls=controls,
        asking=asking,
        material=material,
        remarks=_unheeded(settings, plan),
    )


def _unheeded(settings: Settings, plan: Plan) -> tuple[str, ...]:
    """Settings that name something to read where nothing in the plan reads it."""
    kinds = {planned.kind for planned in plan.passes}
    sources = {source for p in plan.passes if isinstance(p.need, ForwardNeed) for source in p.need.sources}
    found = []
    if settings.corpus and "text" not in sources and "encode" not in kinds:
        found.append("--corpus: nothing in this run reads texts; `afterburn plan` says what takes part, and why not")
    named = [name for name in ("reward", "gold") if getattr(settings, name) is not None]
    if named and "generation" not in kinds:
        flags = " and ".join(f"--{name}" for name in named)
        found.append(f"{flags}: nobody answers anything in this run, so nothing is scored; `afterburn plan` says why")
    if settings.answers is not None and "answer" not in sources:
        found.append("--answers: nothing in this run reads answers; `afterburn plan` says what takes part, and why not")
    for controls in plan.controls:
        if not controls.passes:
            found.append(f"--control {controls.kind}: no pass of this run serves it; `afterburn plan` says why")
    return tuple(found)


def _refuse_silent(controls: tuple[Beside, ...], asking: Asking) -> None:
    """Recorded controls answer their own prompts alone.

    Raises:
        ConfigError: one has no answer to any prompt of the run.
    """
    asked = {probe.id for one in asking.sets for probe in one.probes}
    for one in controls:
        if not one.given or not asked or not isinstance(one.opened, Recorded):
            continue
        if asked.isdisjoint(probe.id for probe in one.opened.probes()):
            label = one.opened.facts.label
            raise ConfigError(f"control {label}: has no answer to any of the run's prompts; record it on the same ones")
