"""Shadows: analyzers that look at a control as if it were the trained model.

For every control each analyzer has a further instance with the same options and the same seed. It is fed what the real
one is fed, with the control in the trained model's place, and what it measures is what the analyzer would say of a
model that only did what the control did. Its artifacts and remarks are dropped; what goes wrong in it is noted and
harms nothing else. The nulls that come of it: `nulls`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from afterburn_core.errors import SubjectError
from afterburn_core.forward.forward_pass import Rider
from afterburn_core.generation.halves import as_trained, halved
from afterburn_core.generation.sides import Side
from afterburn_core.plugin.registry import Registered
from afterburn_core.result.model import Notification, Subject
from afterburn_core.run.analyzers import Guarded
from afterburn_core.run.control_opening import Beside
from afterburn_core.run.control_plan import rides
from afterburn_core.run.needs import Drawn, PassKind
from afterburn_core.run.swept import Swept

if TYPE_CHECKING:
    from afterburn_core.forward.forward_pass import ForwardRead
    from afterburn_core.generation.model import Responses
    from afterburn_core.run.caches import Caches
    from afterburn_core.run.needs import ControlKind, ForwardNeed
    from afterburn_core.run.plan import Plan, PlannedPass
    from afterburn_core.run.subjects import OpenSubject


@attrs.frozen(kw_only=True)
class Companion:
    """A control that is evaluated beside the pair."""

    beside: Beside
    subject: Subject
    cache: Caches | None = None
    """Of its weights beside the base's; `None` without a cache, or where they are not compared."""

    @property
    def id(self) -> str:
        return self.subject.id

    @property
    def drawn(self) -> Drawn | None:
        """What it is to the passes on which models run, where it is a null of the pair."""
        control = self.beside.control
        kinds: Mapping[str, ControlKind] = {"matched": "matched", "scrambled": "scrambled", "rounding": "rounding"}
        if control.kind not in kinds or control.seed is None:
            return None
        return Drawn(id=control.id, kind=kinds[control.kind], seed=control.seed)

    def side(self) -> Side | None:
        """Who answers in the generation pass; `None` where nobody does."""
        if self.beside.halves or "generation" not in self.beside.passes:
            return None
        control = self.beside.control
        again = control.seed if control.kind == "resample" else None
        return Side(subject=self.subject, opened=self.beside.opened, seed=again, drawn=self.drawn)


@attrs.define(kw_only=True, eq=False)
class Shadow:
    """The analyzers that look at one control."""

    companion: Companion
    instances: Mapping[str, list[Guarded]]
    """One per worker, by analyzer."""
    dropped: str | None = None
    """Why nothing can be said of the control, if so."""

    def riders(self, names: Sequence[str]) -> list[list[Guarded]]:
        """Its instances of these analyzers, less those that do not look at it."""
        return [] if self.dropped else [self.instances[name] for name in names if name in self.instances]

    def show(self, responses: Sequence[Responses], names: Sequence[str], answered: Sequence[str]) -> None:
        """Feeds answers to the instances of these analyzers.

        Args:
            responses: of every probe.
            names: the analyzers of the pass.
            answered: ids of the subjects that answered.
        """
        companion = self.companion
        control = companion.beside.control
        if not companion.beside.halves and companion.id not in answered:
            self.dropped = "it did not answer"
        for rider in self.riders(names):
            for one in responses:
                rider[0].observe(
                    halved(one, control.seed or 0) if companion.beside.halves else as_trained(one, companion.id)
                )

    def reading(self, needs: Mapping[str, ForwardNeed]) -> list[Rider]:
        """Its instances as riders of the forward pass, by the needs of the pass's analyzers."""
        if self.dropped or "forward" not in self.companion.beside.passes:
            return []
        control = None if self.companion.drawn is None else self.companion.id
        return [
            Rider(need=attrs.evolve(need, controls=()), instances=self.instances[name], control=control)
            for name, need in needs.items()
            if name in self.instances
        ]

    def read(
        self, run: Callable[[OpenSubject, Sequence[Rider]], ForwardRead], needs: Mapping[str, ForwardNeed]
    ) -> tuple[list[Notification], str | None]:
        """Lets a model that the user gave read beside the base, as if it were the trained one.

        Returns:
            What went wrong, and why it ended early, if it did.
        """
        try:
            return [], run(self.companion.beside.opened, self.reading(needs)).stopped
        except SubjectError as error:
            self.dropped = str(error)
            return [Notification(level="warning", message=f"{self.companion.id} is left out: {error}")], None


def cast_shadows(
    plan: Plan,
    specs: Mapping[str, Registered],
    companions: Sequence[Companion],
    begin: Callable[[Registered, Companion], list[Guarded]],
) -> tuple[Shadow, ...]:
    """A shadow of every control.

    Args:
        plan: whose analyzers are shadowed.
        specs: the analyzers by name.
        companions: the controls.
        begin: begins the instances of an analyzer that look at a control.
    """
    return tuple(
        Shadow(
            companion=one,
            instances={
                name: begin(specs[name], one) for name in plan.analyzers if rides(specs[name].spec, one.beside.passes)
            },
        )
        for one in companions
    )


def as_trained_subject(subject: Subject) -> Subject:
    """A control as a shadow's analyzers know it."""
    return attrs.evolve(subject, id="trained", role="trained")


def sides_of(base: Side, trained: Side, companions: Sequence[Companion]) -> tuple[Side, ...]:
    """Who answers, in the order in which few models are loaded: the base, it again under other seeds, the trained
    model, its nulls, and what the user gave."""
    sides = [side for one in companions if (side := one.side()) is not None]
    again = [side for side in sides if side.seed is not None]
    return (base, *again, trained, *(side for side in sides if side.seed is None))


def sweep_given(
    planned: PlannedPass,
    shadows: Sequence[Shadow],
    sweep: Callable[[OpenSubject, list[list[Guarded]], Companion], Swept],
) -> tuple[tuple[Notification, ...], str | None]:
    """Runs a pass over files with every model that the user gave in the trained model's place.

    Args:
        planned: the pass.
        shadows: of all controls.
        sweep: runs it with this model for these instances.

    Returns:
        What went wrong, and why it ended early, if it did.
    """
    notes: list[Notification] = []
    for shadow in shadows:
        companion = shadow.companion
        riders = shadow.riders(planned.analyzers)
        if not companion.beside.given or not riders or not serves(companion, planned.kind):
            continue
        try:
            swept = sweep(companion.beside.opened, riders, companion)
        except SubjectError as error:
            shadow.dropped = str(error)
            notes.append(Notification(level="warning", message=f"{companion.id} is left out: {error}"))
            continue
        if swept.stopped is not None:
            return tuple(notes), swept.stopped
    return tuple(notes), None


def serves(companion: Companion, kind: PassKind) -> bool:
    """Whether a pass serves a control."""
    return kind in companion.beside.passes
