"""What blends are asked or given to read: the run's prompts and passages, gathered as the run gathered them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.generation.asking import Asking, choose
from afterburn_core.generation.generation_pass import GenerationPass
from afterburn_core.generation.model import Serving
from afterburn_core.plugin.registry import Registered, Registry
from afterburn_core.run.configuration import Settings
from afterburn_core.run.needs import ForwardNeed, GenerationNeed
from afterburn_core.run.progress import Progress
from afterburn_core.run.provenance import decoding_of
from afterburn_core.trace import generations, readings
from afterburn_core.trace.evaluating import Measure
from afterburn_core.trace.measuring import Gauge
from afterburn_core.trace.opening import Reopened

if TYPE_CHECKING:
    from afterburn_core.forward.live import Live
    from afterburn_core.forward.model import Passage

_SAMPLES = "core.samples_base.jsonl.gz"


def traceable(registered: Registered) -> GenerationNeed | ForwardNeed | None:
    """What an analyzer needs, where that is what models write or what they read and nothing besides."""
    needs = registered.spec.needs
    if len(needs) != 1:
        return None
    need = needs[0]
    return need if isinstance(need, (GenerationNeed, ForwardNeed)) else None


@attrs.frozen(kw_only=True)
class Ready:
    """A way to measure blends, and what the document says of it."""

    measure: Measure
    gauge: Gauge
    told: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Preparation:
    """What both ways to measure need."""

    opened: Reopened
    directory: Path
    registry: Registry
    serving: Serving
    asked: bool
    """Whether the run asked anything, so that its prompts are read too."""
    limit: int | None
    groups: int
    cache: Path | None
    progress: Progress

    def writing(self, live: Live, gauge: Gauge, need: Any) -> Ready:
        """By what blends write to the run's prompts."""
        settings = self.opened.settings
        subjects = (self.opened.base, self.opened.trained)
        asked = choose(settings, self.registry, subjects, sorted(need.asks(settings.preset)))
        asking, alone = generations.limited(asked.sets, limit=self.limit, seed=settings.seed, subset=gauge.subset)
        asking = attrs.evolve(asking, samples=asked.samples)
        decoding = decoding_of(settings)
        asks = GenerationPass(
            asking=asking,
            decoding=decoding,
            serving=self.serving,
            seed=settings.seed,
            choices=need.choices,
            cache=self.cache,
            progress=self.progress,
            allow_code_execution=settings.allow_code_execution,
        )
        told = {"prompts": asking.prompts, "samples": asking.samples, "decoding": attrs.asdict(decoding)}
        gauge = attrs.evolve(gauge, alone=alone)
        return Ready(
            measure=generations.GenerationMeasure(live, gauge, asks, self.opened.subjects, groups=self.groups),
            gauge=gauge,
            told=told,
        )

    def reading(self, live: Live, gauge: Gauge, need: Any) -> Ready:
        """By what blends make of the run's passages."""
        from afterburn_core.forward.encoding import encode
        from afterburn_core.forward.forward_pass import MOST_TOKENS

        settings = self.opened.settings
        passages, notes = self._passages(need, settings)
        chosen, alone = readings.limited(passages, limit=self.limit, seed=settings.seed, subset=gauge.subset)
        gauge = attrs.evolve(gauge, alone=alone)
        reader = self.opened.reader(self.serving)
        try:
            most = min(MOST_TOKENS, reader.context or MOST_TOKENS)
            encoded, left_out = encode(chosen, reader.tokenizer, reader.mode, max_tokens=most)
            tokenizer, dtype = reader.tokenizer, str(reader.properties["dtype"])
        finally:
            reader.close()
        measure = readings.ForwardMeasure(
            live,
            gauge,
            encoded,
            tokenizer=tokenizer,
            device=self.serving.device,
            dtype=dtype,
            seed=settings.seed,
            groups=self.groups,
        )
        told = {"passages": len(encoded), "sources": sorted({one.passage.source for one in encoded})}
        return Ready(measure=measure, gauge=gauge, told=told, notes=(*notes, *left_out))

    def _passages(self, need: ForwardNeed, settings: Settings) -> tuple[tuple[Passage, ...], tuple[str, ...]]:
        from afterburn_core.forward.passages import gather, given_of, texts_of

        sources, notes = set(need.sources), []
        if "answer" in sources and settings.answers is None:
            if (self.directory / "artifacts" / _SAMPLES).is_file():
                settings = attrs.evolve(settings, answers=str(self.directory))
            else:
                sources.discard("answer")
                notes.append("answers are not read again: the run kept no texts")
        asking = Asking()
        if self.asked and {"prompt", "continuation"} & sources:
            asking = choose(settings, self.registry, (self.opened.base, self.opened.trained), ())
        found = gather(
            sources=sources,
            texts=texts_of(settings, self.registry) if "text" in sources else (),
            asking=asking,
            settings=settings,
            given=given_of(need.passage_sets, settings, self.registry) if need.passage_sets else (),
        )
        return found, tuple(notes)
