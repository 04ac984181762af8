"""Opens the controls that a run names, and says which passes can serve each; reads headers and configuration only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Subject
from afterburn_core.run.configuration import Settings
from afterburn_core.run.controls import Control, Kind, of_kind, parse_controls
from afterburn_core.run.material import different_tokens
from afterburn_core.run.needs import ControlKind, PassKind
from afterburn_core.run.provenance import decoding_of
from afterburn_core.run.subjects import OpenSubject, Perturbs, Recorded, describe, open_subject

_FILES: Mapping[PassKind, str] = {"documents": "documents", "factors": "lora", "weights": "weights"}
"""Passes over files, by the capability that they ask of a model that the user gave."""


@attrs.frozen(kw_only=True)
class Beside:
    """A control with what it takes to evaluate it."""

    control: Control
    opened: OpenSubject
    """The model that the user gave; else the one that a null is made of: the base of a resample, or the trained."""
    passes: tuple[PassKind, ...]
    """That can serve it."""
    halves: bool = False
    """Whether it is one half of the base's recorded samples against the other."""

    @property
    def given(self) -> bool:
        return self.control.kind == "given"


def open_controls(
    settings: Settings, registry: Registry, base: OpenSubject, trained: OpenSubject
) -> tuple[Beside, ...]:
    """The controls of a run, in the order in which they were named. The caller closes those that the user gave.

    Raises:
        ConfigError: a control is not named rightly, or cannot be had beside this pair.
        SubjectError: a model that the user gave cannot be opened.
    """
    found: list[Beside] = []
    try:
        for kind, controls in of_kind(parse_controls(settings.control, settings.seed)).items():
            for control in controls:
                if kind == "given":
                    found.append(_given(control, settings, registry, base, trained))
                elif control.number == 0:
                    found.append(_made(control, settings, base, trained))
                else:  # what holds of the first of a kind holds of all
                    found.append(attrs.evolve(found[-1], control=control))
    except BaseException:
        close_controls(found)
        raise
    return tuple(found)


def close_controls(controls: Sequence[Beside]) -> None:
    """Closes the models that the user gave."""
    for one in controls:
        if one.given:
            one.opened.close()


def _given(control: Control, settings: Settings, registry: Registry, base: OpenSubject, trained: OpenSubject) -> Beside:
    if control.reference is None:
        raise RuntimeError("a control of the kind `given` names a model")
    opened = open_subject(control.reference, "control", registry, backend=settings.backend, base=base)
    try:
        facts, first = opened.facts, base.facts
        if facts.architecture and first.architecture and facts.architecture != first.architecture:
            raise ConfigError(
                f"control {facts.label}: is {facts.architecture} and the base {first.architecture}; a control is a "
                "fine-tune of the same base"
            )
        wrong = different_tokens(base, opened) if "documents" in facts.capabilities else None
        if wrong is not None:
            raise ConfigError(f"control {facts.label}: {wrong.partition(';')[0]}; name a fine-tune of the same base")
        passes: list[PassKind] = [kind for kind, capability in _FILES.items() if capability in facts.capabilities]
        if "generate" in facts.capabilities:
            passes.append("generation")
        if "forward" in facts.capabilities and ("logits" in facts.capabilities) == (
            "logits" in trained.facts.capabilities
        ):
            passes.append("forward")
    except BaseException:
        opened.close()
        raise
    return Beside(control=control, opened=opened, passes=tuple(passes))


def _made(control: Control, settings: Settings, base: OpenSubject, trained: OpenSubject) -> Beside:
    if control.kind == "resample":
        return _resampled(control, settings, base)
    kind = cast("ControlKind", control.kind)
    label = trained.facts.label
    if not isinstance(trained, Perturbs):
        raise ConfigError(f"control {kind}: {label} has no weights that could be changed; name the model itself")
    reason = trained.null_refusal(base, kind)
    if reason is not None:
        raise ConfigError(f"control {kind}: {reason}; leave it out, or name a fine-tune with --control PATH")
    both = set(base.facts.capabilities) & set(trained.facts.capabilities)
    passes: list[PassKind] = ["generation"] if "generate" in both else []
    return Beside(control=control, opened=trained, passes=(*passes, "forward"))


def _resampled(control: Control, settings: Settings, base: OpenSubject) -> Beside:
    label = base.facts.label
    if "generate" not in base.facts.capabilities:
        raise ConfigError(f"control resample: {label} writes nothing; leave it out")
    halves = isinstance(base, Recorded)
    if isinstance(base, Recorded) and base.samples_per_prompt < 2:
        raise ConfigError(
            f"control resample: {label} has one recorded sample per prompt, which has no halves; record several"
        )
    if not halves and base.facts.kind != "api" and decoding_of(settings).temperature == 0:
        raise ConfigError(
            "control resample: greedy decoding writes the same under every seed; use --samples or --temperature"
        )
    return Beside(control=control, opened=base, passes=("generation",), halves=halves)


_UNSERVED: Mapping[PassKind, str] = {
    "live": "its analyzers blend the pair itself and draw nulls of their own",
    "encode": "it compares the vectors of the pair alone",
}
_BY_NORM = "nulls have the norms and singular values of the trained change by construction"
_MADE: Mapping[tuple[Kind, PassKind], str] = {
    ("matched", "weights"): _BY_NORM,
    ("scrambled", "weights"): _BY_NORM,
    ("rounding", "weights"): "it compares files",
    ("resample", "weights"): "it compares files",
    ("resample", "forward"): "the base reads the same under every seed",
}


def unserved(one: Beside, kind: PassKind) -> str | None:
    """Why a pass does not serve a control; `None` where it does, or where nobody would expect it to."""
    if kind in one.passes:
        return None
    if kind in _UNSERVED:
        return _UNSERVED[kind]
    if one.given:
        return f"{one.opened.facts.label} cannot offer what it needs"
    return _MADE.get((one.control.kind, kind))


def describe_control(one: Beside, base: Subject, trained: Subject, subject: Subject | None = None) -> Subject:
    """A control's entry in the document.

    The digest of one that is made follows from what it is made of, its kind and its seed.

    Args:
        one: the control.
        base: of the run.
        trained: of the run.
        subject: the model that the user gave, as it describes itself.
    """
    from afterburn_core.run.cache import cache_key

    control = one.control
    if subject is not None:
        properties = {**subject.properties, "control": "given"}
        return attrs.evolve(subject, id=control.id, role="control", properties=properties)
    of = base if control.kind in {"resample", "rounding"} else trained
    parts = {"control": control.kind, "seed": control.seed, "version": VERSION, "halves": one.halves}
    made_of = {"base": base.digest} if of is base else {"base": base.digest, "trained": trained.digest}
    return Subject(
        id=control.id,
        role="control",
        kind=of.kind,
        label=control.label,
        digest=cache_key({**parts, **made_of}),
        backend=of.backend,
        architecture=of.architecture,
        model_type=of.model_type,
        parameters=of.parameters,
        base=of.base,
        properties={name: value for name, value in parts.items() if name != "version" and value is not False},
    )


VERSION = 1
"""Raised whenever equal seeds may give other controls."""

__all__ = ["Beside", "close_controls", "describe", "describe_control", "open_controls", "unserved"]
