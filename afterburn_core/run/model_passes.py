"""The passes of a run on which models run: each may use what an earlier one brought to light.

Answers that the generation pass got are passages of the forward pass; texts that the forward pass read, and prompts
that were asked, are at hand in the live pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import attrs

from afterburn_core.forward.encode_pass import encode_pass
from afterburn_core.forward.forward_pass import ForwardPass, Rider
from afterburn_core.forward.reading import Steers
from afterburn_core.generation.export import sample_files
from afterburn_core.generation.generation_pass import GenerationPass, facts_to_properties
from afterburn_core.generation.sides import Side
from afterburn_core.run.needs import EncodeNeed, ForwardNeed
from afterburn_core.run.swept import Swept

if TYPE_CHECKING:
    from afterburn_core.forward.encoded import Encoded
    from afterburn_core.forward.model import Passage
    from afterburn_core.generation.model import Responses
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
    ) -> Swept:
        """Runs one of these passes.

        Args:
            planned: which one.
            needs: of every analyzer on it, where it is the forward pass.
            sides: base and trained.
            riders: instances of every analyzer, one per worker.
        """
        if planned.kind == "generation":
            return self._generation(sides, riders)
        if planned.kind == "forward":
            return self._forward(needs, sides, riders)
        if planned.kind == "encode":
            layers = isinstance(planned.need, EncodeNeed) and planned.need.layers
            return self._encode(layers, sides, riders)
        return self._live(sides, riders)

    def _generation(self, sides: Sequence[Side], riders: Sequence[list[Guarded]]) -> Swept:
        if self.generation is None:
            raise RuntimeError("a generation pass was planned and nobody is asked")
        generated = self.generation.run(sides)
        for response in generated.responses:
            for rider in riders:
                rider[0].observe(response)
        self._responses = generated.responses
        kept = sample_files(generated.responses, generated.facts) if self.excerpts and not generated.stopped else ()
        return Swept(
            counters=generated.counters,
            notes=generated.notes,
            stopped=generated.stopped,
            payloads=kept,
            properties={"generation": facts_to_properties(generated.facts)},
        )

    def _forward(
        self, needs: Sequence[ForwardNeed | None], sides: Sequence[Side], riders: Sequence[list[Guarded]]
    ) -> Swept:
        on_it = [Rider(need=need, instances=own) for need, own in zip(needs, riders, strict=True) if need is not None]
        read = self.forward.run(sides[0].opened, sides[1].opened, self.gather(self._responses), on_it)
        self._read = read.texts
        return Swept(
            counters=read.counters,
            notes=(*self.remarks, *read.notes),
            stopped=read.stopped,
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


def _probe_id(probe: Probe) -> str:
    return probe.id
