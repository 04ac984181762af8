"""The run's controls as subjects of the document, each with what its passes keep."""

from __future__ import annotations

from collections.abc import Sequence

from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import FileDigest, Subject
from afterburn_core.run.caches import open_caches
from afterburn_core.run.configuration import Settings
from afterburn_core.run.control_opening import describe_control
from afterburn_core.run.opening import Opened
from afterburn_core.run.shadows import Companion
from afterburn_core.run.subjects import describe


def companions_of(
    settings: Settings,
    opened: Opened,
    pair: tuple[Subject, ...],
    digests: Sequence[tuple[FileDigest, ...]],
    device: str,
    registry: Registry,
) -> tuple[Companion, ...]:
    """The controls of a run, each with a cache of its weights where those are compared.

    Args:
        settings: of the run.
        opened: with the controls.
        pair: base and trained.
        digests: files of the models that the user gave as controls, in their order.
        device: of the run.
        registry: of the run.

    Raises:
        ConfigError: a model that was given as a control is the base or the trained model.
    """
    compared = any(planned.kind == "weights" for planned in opened.plan.passes)
    files, found = iter(digests), []
    for one in opened.controls:
        own = None
        if one.given:
            on = "base" if one.opened.facts.kind == "adapter" else None
            own = describe(one.opened.facts, next(files), base=on)
            same = next((subject for subject in pair if subject.digest == own.digest), None)
            if same is not None:
                raise ConfigError(f"control {own.label}: is the {same.id} model itself; name another fine-tune")
        subject = describe_control(one, pair[0], pair[1], own)
        weighed = one.given and compared and "weights" in one.passes
        cache = open_caches(settings, (pair[0], subject), device, registry) if weighed else None
        found.append(Companion(beside=one, subject=subject, cache=cache))
    return tuple(found)
