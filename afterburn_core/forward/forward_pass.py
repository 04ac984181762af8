"""The forward pass: every subject reads the same token batches, and analyzers see both sides of each at once.

Passages of one source share batches with no other source, so that every analyzer observes just what it asked for.
Log-probabilities exist for a block of rows at a time and are taken in small chunks, so memory does not grow with
tokens. Where there are several devices, each has readers of its own and analyzers of its own, merged at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import attrs

from afterburn_core.errors import SubjectError
from afterburn_core.forward.encoded import Encoded, Packed
from afterburn_core.forward.model import Passage
from afterburn_core.forward.reading import PairReader, Reads, Wanted
from afterburn_core.generation.model import Serving, Template
from afterburn_core.result.model import Notification
from afterburn_core.run.executor import LocalExecutor
from afterburn_core.run.heap import kept_heap
from afterburn_core.run.needs import LOGITS, ForwardNeed
from afterburn_core.run.progress import Progress
from afterburn_core.run.subjects import OpenSubject

if TYPE_CHECKING:
    import torch

    from afterburn_core.forward.model import Rows, TokenScores

MOST_TOKENS = 1024
"""Longest passage, in tokens; longer ones are cut, with a note."""
_BATCH_TOKENS = {"cpu": 2048, "cuda": 16384}
_BLOCK_ENTRIES = {"cpu": 1 << 25, "cuda": 1 << 28}
"""Log-probabilities of one subject that exist at once: the head is read once for so many rows."""
_CHUNK_ENTRIES = {"cpu": 1 << 19, "cuda": 1 << 26}
"""Those that are compared at once: on a CPU what its caches hold."""


class Observer(Protocol):
    """An analyzer instance as the pass sees it."""

    def observe(self, item: Any) -> None: ...


@attrs.frozen(kw_only=True)
class Rider:
    """An analyzer on the pass: its need, and an instance for every worker."""

    need: ForwardNeed
    instances: Sequence[Observer]


@attrs.frozen(kw_only=True)
class ForwardRead:
    """What the pass hands on."""

    counters: Mapping[str, int]
    notes: tuple[Notification, ...] = ()
    stopped: str | None = None
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    texts: tuple[Encoded, ...] = ()
    """The plain texts as token ids."""


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

    def run(
        self, base: OpenSubject, trained: OpenSubject, passages: Sequence[Passage], riders: Sequence[Rider]
    ) -> ForwardRead:
        """Reads every passage with every subject.

        Ctrl-C ends the pass after the batch under way.

        Raises:
            SubjectError: the models cannot be loaded, or cannot read the same tokens.
        """
        wanted = _wanted(riders)
        readers = [self._open(base, trained, wanted, device) for device in self.devices]
        try:
            with kept_heap():
                return self._read(readers, passages, riders, wanted)
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
            for reader in readers:
                reader.prepare(batches, wanted, self.progress)
            self.progress.begin("both models read", computed, "tokens")
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
        )

    def _batches(self, encoded: Sequence[Encoded]) -> tuple[Packed, ...]:
        """Batches of one source each, numbered through."""
        from afterburn_core.forward.packing import pack

        kind = self.devices[0].split(":")[0]
        budget = self.batch_tokens or _BATCH_TOKENS.get(kind, _BATCH_TOKENS["cpu"])
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
            observers = [(rider.need, rider.instances[worker].observe) for rider in riders]
            observe_batch(self._readers[worker], batch, observers)
        with self._lock:
            self.rows += batch.counted
        self._progress.advance(batch.counted)


def observe_batch(
    reader: PairReader, batch: Packed, observers: Sequence[tuple[ForwardNeed, Callable[[Any], None]]]
) -> None:
    """Reads one batch with every subject and hands it out.

    Args:
        reader: prepared for this batch.
        batch: the tokens.
        observers: needs with what takes the observations.
    """
    import torch

    from afterburn_core.forward.encoding import speller
    from afterburn_core.forward.model import Captured, ForwardBatch
    from afterburn_core.forward.rows import rows_of

    with torch.inference_mode():
        readings = reader.read(batch)
        rows = rows_of(batch, reader.device, speller(reader.tokenizer))
        index = scored_rows(rows)
        logits = max((need.logits for need, _ in observers), key=LOGITS.index)
        takers = [take for need, take in observers if need.logits == "vocabulary"]
        controls = [name for name in reader.subjects if name not in {"base", "trained"}]
        scores: dict[str, list[TokenScores]] = {name: [] for name in ("trained", *controls)}
        if logits != "none" and index.numel():
            for chunk in _chunks(reader, readings, rows, index, controls, scores):
                for take in takers:
                    take(chunk)
        from afterburn_core.forward.scores import joined

        observation = ForwardBatch(
            rows=rows,
            base=Captured(sites=readings["base"].sites),
            trained=Captured(sites=readings["trained"].sites),
            controls={name: Captured(sites=readings[name].sites) for name in controls},
            scored=index,
            scores=joined(scores["trained"]) if scores["trained"] else None,
            control_scores={name: joined(scores[name]) for name in controls if scores[name]},
            dtype=str(reader.properties.get("dtype", "float32")),
        )
        for _, take in observers:
            take(observation)


def scored_rows(rows: Rows) -> torch.Tensor:
    """The rows after which a distribution is looked at, (m) int64: all with a target, and the last of a prompt."""
    import torch

    prompt = torch.tensor([passage.source == "prompt" for passage in rows.passages], device=rows.passage.device)
    last = (rows.target < 0) & prompt[rows.passage] if len(rows.passages) else rows.target < 0
    return ((rows.target >= 0) | last).nonzero()[:, 0]


def _chunks(
    reader: PairReader,
    readings: Mapping[str, Any],
    rows: Rows,
    index: torch.Tensor,
    controls: Sequence[str],
    scores: Mapping[str, list[TokenScores]],
) -> Iterator[Any]:
    """The log-probabilities chunk by chunk, with the scores of each added to `scores`."""
    from afterburn_core.forward.model import LogitChunk
    from afterburn_core.forward.scores import token_scores

    kind = reader.device.split(":")[0]
    names = ("base", "trained", *controls)
    vocabulary = reader.vocabulary
    block = max(1, _BLOCK_ENTRIES.get(kind, _BLOCK_ENTRIES["cpu"]) // vocabulary)
    step = max(1, _CHUNK_ENTRIES.get(kind, _CHUNK_ENTRIES["cpu"]) // vocabulary)
    for begin in range(0, index.shape[0], block):
        own = index[begin : begin + block]
        logs = {name: readings[name].log_probs(own) for name in names}
        bounds = {name: readings["base"].bound(own, logs[name]) for name in names[1:]}
        for start in range(0, own.shape[0], step):
            part = slice(start, start + step)
            target = rows.target[own[part]]
            for name in names[1:]:
                bound = bounds[name]
                scores[name].append(
                    token_scores(
                        logs["base"][part],
                        logs[name][part],
                        target,
                        bound=None if bound is None else bound[part],
                    )
                )
            yield LogitChunk(
                rows=rows,
                index=own[part],
                base=logs["base"][part],
                trained=logs["trained"][part],
                controls={name: logs[name][part] for name in controls},
                approximate=readings["base"].approximate,
            )


def _wanted(riders: Sequence[Rider]) -> Wanted:
    return Wanted(
        logits=any(rider.need.logits != "none" for rider in riders),
        sites=tuple(sorted({site for rider in riders for site in rider.need.sites})),
        controls=tuple(sorted({control for rider in riders for control in rider.need.controls})),
    )


def _names(need: ForwardNeed, batch: Packed) -> bool:
    return any(one.passage.domain in need.passage_sets for one in batch.encoded)
