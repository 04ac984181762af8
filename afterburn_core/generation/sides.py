"""Who answers in the generation pass, and on which models in memory.

An adapter, its base and its nulls share one resident model; samples of the base under other seeds come from the base's
own generator. Everything else has a model of its own, loaded when it first writes and freed before the next one loads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import attrs

from afterburn_core.generation.model import Decoding, Generator, Serving
from afterburn_core.result.model import Subject
from afterburn_core.run.needs import Drawn
from afterburn_core.run.subjects import OpenSubject, Perturbs, Writes


@attrs.frozen(kw_only=True)
class Side:
    """A subject that answers."""

    subject: Subject
    opened: OpenSubject
    """Of a null: the trained model it is drawn from; of the base under another seed: the base."""
    seed: int | None = None
    """Of its samples, where they are the base's under another seed than the run's."""
    drawn: Drawn | None = None
    """Which null of the trained model it is, where it is one."""

    @property
    def control(self) -> bool:
        return self.subject.role == "control"


def generators(sides: Sequence[Side], decoding: Decoding, serving: Serving) -> list[tuple[Side, Generator]]:
    """A generator for every side, in their order; one that serves several sides is the same object.

    Raises:
        SubjectError: a side cannot write.
    """
    made: dict[str, Generator] = {}
    by_role = {side.subject.id: side for side in sides if not side.control}
    base, trained = by_role.get("base"), by_role.get("trained")
    drawn = [side for side in sides if side.drawn is not None]
    if base is not None and trained is not None:
        nulls = [side.drawn for side in drawn if side.drawn is not None]
        shared = _shared(base, trained, decoding, serving, nulls)
        if shared is not None:
            made.update(zip(("base", "trained", *(side.subject.id for side in drawn)), shared, strict=True))
        elif nulls:
            own = cast("Perturbs", trained.opened).null_generators(base.opened, decoding, serving, nulls)
            made.update(zip((side.subject.id for side in drawn), own, strict=True))
    for side in sides:
        if side.subject.id not in made:
            again = made.get("base") if side.seed is not None else None
            made[side.subject.id] = again or cast("Writes", side.opened).generator(decoding, serving)
    return [(side, made[side.subject.id]) for side in sides]


def _shared(
    base: Side, trained: Side, decoding: Decoding, serving: Serving, nulls: Sequence[Drawn]
) -> Sequence[Generator] | None:
    """Generators on one resident model, where the trained model is an adapter on the base."""
    if trained.subject.kind != "adapter":
        return None
    share: Callable[..., Sequence[Generator] | None] | None = getattr(trained.opened, "shared_generators", None)
    if share is None:
        return None
    return share(base.opened, decoding, serving, nulls) if nulls else share(base.opened, decoding, serving)
