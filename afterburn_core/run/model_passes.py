"""The passes of a run on which models run: each may use what an earlier one brought to light.

Answers that the generation pass got are passages of the forward pass; texts that the forward pass read, and prompts
that were asked, are at hand in the live pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import attrs

from afterburn_core.forward.encode_pass import encode_pass
from afterburn_core.forward.forward_pass import ForwardPass, Rider
from afterburn_core.forward.reading import Steers
from afterburn_core.generation.export import sample_files
from afterburn_core.generation.generation_pass import GenerationPass, facts_to_properties
from afterburn_core.generation.sides import Side
from afterburn_core.run.needs import EncodeNeed, ForwardNeed
from afterburn_core.run.shadows import Shadow, sides_of
from afterburn_core.run.swept import Swept

if TYPE_CHECKING:
    from afterburn_core.forward.encoded import Encoded
    from afterburn_core.forward.model import Passage
    from afterburn_core.generation.model import GenerationFacts, Responses
    from afterburn_core.probes.model import Probe
    from afterburn_core.probes.suites import AskedSet
    from afterburn_core.result.model import Notification
    from afterburn_core.run.analyzers import Guarded
    from afterburn_core.run.plan import PlannedPass

T = TypeVar("T")

LIVE_PASSAGES = 48
LIVE_PROMPTS = 48
"""Most texts and questions that analyzers of the live pass may use; each asks them many times."""


@attrs.define(kw_only=True, eq=False)
class ModelPasses:
    """What models are given to write and to read, and what they left for the later passes."""

    forward: ForwardPass
    generation: GenerationPass | None = None
    """`None` where nobody writes."""
    gather: Callable[[Sequence[Responses]], Sequence[Passage]] = lambda responses: ()
    """The run's passages, given what was answered."""
    texts: tuple[AskedSet, ...] = ()
    """Sets of plain texts, for embedding models."""
    remarks: tuple[Notification, ...] = ()
    """What to say of how the texts were drawn."""
    excerpts: bool = True
    _responses: tuple[Responses, ...] = attrs.field(default=(), init=False)
    _read: tuple[Encoded, ...] = attrs.field(default=(), init=False)

    def sweep(
        self,
        planned: PlannedPass,
        needs: Sequence[ForwardNeed | None],
        sides: Sequence[Side],
        riders: Sequence[list[Guarded]],
        shadows: Sequence[Shadow] = (),
    ) -> Swept:
        """Runs one of these passes.

        Args:
            planned: which one.
            needs: of every analyzer on it, where it is the forward pass.
            sides: base and trained.
            riders: instances of every analyzer, one per worker.
            shadows: of the run's controls.
        """
        if planned.kind == "generation":
            return self._generation(planned, sides, riders, shadows)
        if planned.kind == "forward":
            return self._forward(planned, needs, sides, riders, shadows)
        if planned.kind == "encode":
            layers = isinstance(planned.need, EncodeNeed) and planned.need.layers
            return self._encode(layers, sides, riders)
        return self._live(sides, riders)

    def _generation(
        self,
        planned: PlannedPass,
        sides: Sequence[Side],
        riders: Sequence[list[Guarded]],
        shadows: Sequence[Shadow],
    ) -> Swept:
        if self.generation is None:
            raise RuntimeError("a generation pass was planned and nobody is asked")
        wanted = [shadow.companion for shadow in shadows if shadow.riders(planned.analyzers)]
        generated = self.generation.run(sides_of(sides[0], sides[1], wanted))
        for response in generated.responses:
            for rider in riders:
                rider[0].observe(response)
        if not generated.stopped:
            for shadow in shadows:
                shadow.show(generated.responses, planned.analyzers, tuple(generated.facts))
        self._responses = generated.responses
        facts = lasting_facts(generated.facts)
        kept = sample_files(generated.responses, facts) if self.excerpts and not generated.stopped else ()
        return Swept(
            counters=generated.counters,
            notes=generated.notes,
            stopped=generated.stopped,
            payloads=kept,
            properties={"generation": facts_to_properties(facts)},
        )

    def _forward(
        self,
        planned: PlannedPass,
        needs: Sequence[ForwardNeed | None],
        sides: Sequence[Side],
        riders: Sequence[list[Guarded]],
        shadows: Sequence[Shadow],
    ) -> Swept:
        by_name = {name: need for name, need in zip(planned.analyzers, needs, strict=True) if need is not None}
        on_it = [Rider(need=need, instances=own) for need, own in zip(needs, riders, strict=True) if need is not None]
        beside = [shadow for shadow in shadows if shadow.companion.drawn is not None and shadow.reading(by_name)]
        on_it += [rider for shadow in beside for rider in shadow.reading(by_name)]
        drawn = [one for shadow in beside if (one := shadow.companion.drawn) is not None]
        passages = self.gather(self._responses)
        base = sides[0].opened
        read = self.forward.run(base, sides[1].opened, passages, on_it, drawn)
        self._read = read.texts
        notes, stopped = list(read.notes), read.stopped
        for shadow in shadows:
            if stopped is not None or not shadow.reading(by_name):
                continue
            if shadow.companion.drawn is None:
                more, stopped = shadow.read(lambda opened, own: self.forward.run(base, opened, passages, own), by_name)
                notes += more
            elif shadow.companion.id not in read.read:
                shadow.dropped = "it could not be read beside the pair"
        return Swept(
            counters=read.counters,
            notes=(*self.remarks, *notes),
            stopped=stopped,
            properties={"forward": dict(read.properties)},
        )

    def _encode(self, layers: bool, sides: Sequence[Side], riders: Sequence[list[Guarded]]) -> Swept:
        probes = [probe for asked in self.texts for probe in asked.probes]
        encoded = encode_pass(
            sides[0].opened,
            sides[1].opened,
            probes,
            serving=self.forward.serving,
            layers=layers,
            progress=self.forward.progress,
        )
        if encoded.vectors is not None:
            for rider in riders:
                rider[0].observe(encoded.vectors)
        return Swept(
            counters={"texts": len(probes)},
            stopped=encoded.stopped,
            properties={"encode": dict(encoded.properties)},
        )

    def _live(self, sides: Sequence[Side], riders: Sequence[list[Guarded]]) -> Swept:
        for rider in riders:  # what an analyzer saw in the forward pass has to be in one place before it asks
            for other in rider[1:]:
                rider[0].merge(other)
            del rider[1:]
        prompts = [response.probe for response in self._responses]
        live = cast("Steers", sides[1].opened).live(
            sides[0].opened,
            serving=self.forward.serving,
            template=self.forward.template,
            seed=self.forward.seed,
            passages=_some(self._read, LIVE_PASSAGES, lambda one: one.passage.id),
            prompts=_some(prompts, LIVE_PROMPTS, _probe_id),
        )
        asked, stopped = 0, None
        self.forward.progress.begin("analyzers ask both models", len(riders), "analyzers")
        try:
            for rider in riders:
                rider[0].observe(live)
                asked += 1
                self.forward.progress.advance(1)
        except KeyboardInterrupt:
            stopped = f"stopped by the user after {asked} of {len(riders)} analyzers; run again to ask them all"
        finally:
            self.forward.progress.end()
            live.close()
        return Swept(counters={"analyzers": asked, "changed_tensors": len(live.places)}, stopped=stopped)


def _some(items: Sequence[T], most: int, name: Callable[[T], str]) -> tuple[T, ...]:
    """At most `most` of them, chosen by a hash of their names, in the order of the names."""
    chosen = sorted(items, key=lambda item: hashlib.sha256(name(item).encode()).digest())[:most]
    return tuple(sorted(chosen, key=name))


PAIR = ("base", "trained")


def lasting_facts(facts: Mapping[str, GenerationFacts]) -> dict[str, GenerationFacts]:
    """How texts came about that the run keeps: those of the pair and of the models that the user gave as controls.

    What was drawn can be drawn again from its seed.
    """
    return {role: own for role, own in facts.items() if role in PAIR or role.startswith("control:given:")}


def _probe_id(probe: Probe) -> str:
    return probe.id
