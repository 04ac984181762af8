"""The forward pass: every subject reads the same token batches, and analyzers see both sides of each at once.

Passages of one source share batches with no other source, so that every analyzer observes just what it asked for.
Where there are several devices, each has readers of its own and analyzers of its own, merged at the end.

A rider may look at a control in the trained model's place (`Rider.control`): it gets the same observations, with what
the control read as `trained`. Such controls are read one at a time while base's reading is at hand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, cast

import attrs

from afterburn_core.errors import SubjectError
from afterburn_core.forward.encoded import Encoded, Packed
from afterburn_core.forward.model import Passage
from afterburn_core.forward.observing import Observing, observe_batch
from afterburn_core.forward.reading import PairReader, Reads, Wanted
from afterburn_core.generation.model import Serving, Template
from afterburn_core.result.model import Notification
from afterburn_core.run.executor import LocalExecutor
from afterburn_core.run.heap import kept_heap
from afterburn_core.run.needs import Drawn, ForwardNeed
from afterburn_core.run.progress import Progress
from afterburn_core.run.subjects import OpenSubject

MOST_TOKENS = 1024
"""Longest passage, in tokens; longer ones are cut, with a note."""
_BATCH_TOKENS = {"cpu": 2048, "cuda": 16384}


class Observer(Protocol):
    """An analyzer instance as the pass sees it."""

    def observe(self, item: Any) -> None: ...


@attrs.frozen(kw_only=True)
class Rider:
    """An analyzer on the pass: its need, and an instance for every worker."""

    need: ForwardNeed
    instances: Sequence[Observer]
    control: str | None = None
    """Id of the null (`Wanted.drawn`) that it sees as the trained model; `None` for the pair."""


@attrs.frozen(kw_only=True)
class ForwardRead:
    """What the pass hands on."""

    counters: Mapping[str, int]
    notes: tuple[Notification, ...] = ()
    stopped: str | None = None
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    texts: tuple[Encoded, ...] = ()
    """The plain texts as token ids."""
    read: tuple[str, ...] = ()
    """Ids of the nulls that were read to the end."""


@attrs.frozen(kw_only=True)
class ForwardPass:
    """How passages are read."""

    serving: Serving
    template: Template
    seed: int
    progress: Progress
    devices: tuple[str, ...] = ("cpu",)
    """A reader for each; batches are divided among them."""
    batch_tokens: int | None = None
    """Padded tokens of a batch; `None` leaves it to the kind of device."""
    reader: Mapping[str, Any] = attrs.field(factory=dict)
    """Further keywords of the backend's reader, such as a forced arrangement."""
    order: Callable[[Sequence[Encoded], int], Sequence[Packed]] | None = None
    """Gives the batches in the order in which one reader takes them, from the passages and the padded tokens of a
    batch; the same batch may come again. `None`: by source and length, each once."""
    only: Literal["base", "trained"] | None = None
    """The one side that riders look at (`Wanted.only`)."""

    def run(
        self,
        base: OpenSubject,
        trained: OpenSubject,
        passages: Sequence[Passage],
        riders: Sequence[Rider],
        drawn: Sequence[Drawn] = (),
    ) -> ForwardRead:
        """Reads every passage with every subject.

        Nulls that memory does not hold at once are read in further sweeps, each with a reading of the base.

        Ctrl-C ends the pass after the batch under way.

        Raises:
            SubjectError: the models cannot be loaded, or cannot read the same tokens.
        """
        read, waiting = self._sweep(base, trained, passages, riders, drawn)
        while waiting and read.stopped is None:
            names = {one.id for one in waiting}
            more, waiting = self._sweep(base, trained, passages, [r for r in riders if r.control in names], waiting)
            read = attrs.evolve(read, stopped=more.stopped, read=(*read.read, *more.read))
        return read

    def _sweep(
        self,
        base: OpenSubject,
        trained: OpenSubject,
        passages: Sequence[Passage],
        riders: Sequence[Rider],
        drawn: Sequence[Drawn],
    ) -> tuple[ForwardRead, tuple[Drawn, ...]]:
        wanted = attrs.evolve(_wanted(riders, drawn), only=self.only)
        readers = [self._open(base, trained, wanted, device) for device in self.devices]
        try:
            with kept_heap():
                return self._read(readers, passages, riders, wanted), readers[0].waiting
        finally:
            for reader in readers:
                reader.close()

    def _open(self, base: OpenSubject, trained: OpenSubject, wanted: Wanted, device: str) -> PairReader:
        serving = attrs.evolve(self.serving, device=device)
        return cast("Reads", trained).pair_reader(
            base, serving=serving, template=self.template, wanted=wanted, seed=self.seed, **self.reader
        )

    def _read(
        self, readers: Sequence[PairReader], passages: Sequence[Passage], riders: Sequence[Rider], wanted: Wanted
    ) -> ForwardRead:
        from afterburn_core.forward.encoding import encode

        first = readers[0]
        most = min(MOST_TOKENS, first.context or MOST_TOKENS)
        encoded, notes = encode(passages, first.tokenizer, first.mode, max_tokens=most)
        if passages and not encoded:
            raise SubjectError(f"no passage can be read: {'; '.join(notes)}")
        batches = self._batches(encoded)
        computed = sum(batch.counted for batch in batches)
        work = _Work(readers, riders, self.progress)
        interrupted = False
        try:
            distinct = tuple({batch.number: batch for batch in batches}.values())
            for reader in readers:
                reader.prepare(distinct, wanted, self.progress)
            beside = len(first.drawn)
            who = "both models" if not beside else f"both models and {beside} control{'s' * (beside > 1)}"
            self.progress.begin(f"{who} read", computed, "tokens")
            try:
                interrupted = LocalExecutor(len(readers)).run(batches, work.observe) == "interrupted"
            finally:
                self.progress.end()
        except KeyboardInterrupt:  # while a model was being loaded
            interrupted = True
        told = [*notes, *(note for reader in readers[:1] for note in reader.notes)]
        stopped = None
        if interrupted:
            stopped = f"stopped by the user after {work.rows} of {computed} tokens; run again to read them all"
        return ForwardRead(
            counters={
                "passages": len(encoded),
                "batches": len(batches),
                "tokens": computed,
                "padding": sum(batch.padding for batch in batches),
                "beginning_marks": sum(one.leading for one in encoded),
            },
            notes=tuple(Notification(level="note", message=message) for message in told),
            stopped=stopped,
            properties={**first.properties, "subjects": list(first.subjects), "template": first.mode},
            texts=tuple(one for one in encoded if one.passage.source == "text"),
            read=() if interrupted else first.drawn,
        )

    def _batches(self, encoded: Sequence[Encoded]) -> tuple[Packed, ...]:
        """Batches of one source each, numbered through."""
        from afterburn_core.forward.packing import pack

        kind = self.devices[0].split(":")[0]
        budget = self.batch_tokens or _BATCH_TOKENS.get(kind, _BATCH_TOKENS["cpu"])
        if self.order is not None:
            return tuple(self.order(encoded, budget))
        sources = sorted({one.passage.source for one in encoded})
        packed = [
            batch
            for source in sources
            for batch in pack([one for one in encoded if one.passage.source == source], budget=budget)
        ]
        return tuple(attrs.evolve(batch, number=number) for number, batch in enumerate(packed))


class _Work:
    """What workers do with a batch: each has a reader and analyzer instances of its own."""

    def __init__(self, readers: Sequence[PairReader], riders: Sequence[Rider], progress: Progress) -> None:
        self._readers, self._riders, self._progress = readers, riders, progress
        self._lock = threading.Lock()
        self.rows = 0

    def observe(self, worker: int, batch: Packed) -> None:
        source = batch.encoded[0].passage.source
        riders = [rider for rider in self._riders if source in rider.need.sources]
        riders = [rider for rider in riders if source != "given" or _names(rider.need, batch)]
        if riders:
            observers: dict[str | None, list[Observing]] = {}
            for rider in riders:
                observers.setdefault(rider.control, []).append((rider.need, rider.instances[worker].observe))
            of_pair = observers.pop(None, [])
            of_controls = {name: own for name, own in observers.items() if name is not None}
            observe_batch(self._readers[worker], batch, of_pair, of_controls)
        with self._lock:
            self.rows += batch.counted
        self._progress.advance(batch.counted)


def _wanted(riders: Sequence[Rider], drawn: Sequence[Drawn]) -> Wanted:
    return Wanted(
        logits=any(rider.need.logits != "none" for rider in riders),
        readout=any(rider.need.readout for rider in riders),
        sites=tuple(sorted({site for rider in riders for site in rider.need.sites})),
        controls=tuple(sorted({kind for rider in riders if rider.control is None for kind in rider.need.controls})),
        drawn=tuple(drawn),
    )


def _names(need: ForwardNeed, batch: Packed) -> bool:
    return any(one.passage.domain in need.passage_sets for one in batch.encoded)
