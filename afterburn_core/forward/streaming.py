"""Activations of one model or of a pair outside a run, streamed: for what is trained on them, such as dictionaries.

The passages are put into a random order once, divided into batches of like length among neighbours, and read in
*blocks*: consecutive batches with at least so many rows. Where more tokens are wanted than the passages hold, the same
batches come again in another order. What comes in which block depends on passages, tokenizer and seed alone, so that a
training which was stopped goes on at the beginning of any block.

Reading is the forward pass of a run (`forward_pass`): GPUs, adapters and models that fit into memory only one after the
other work here as there. Activations are handed over in memory; only base's side of a pair that is read in turn waits
on disk while the pass lasts.

A row is a token behind a passage's first: the first token, whether a beginning mark or not, gathers attention and has
outlier norms (Massive Activations in Large Language Models, arXiv 2402.17762).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.forward.encoded import Encoded, Packed
from afterburn_core.forward.forward_pass import ForwardPass, ForwardRead, Rider
from afterburn_core.forward.model import ForwardBatch, Passage
from afterburn_core.forward.packing import pack
from afterburn_core.forward.passages import read_texts
from afterburn_core.generation.model import Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Subject
from afterburn_core.run.devices import named_device
from afterburn_core.run.digests import digest_files
from afterburn_core.run.executor import available_cores
from afterburn_core.run.needs import ForwardNeed
from afterburn_core.run.progress import Progress, Silent
from afterburn_core.run.references import parse_reference
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.subjects import OpenSubject, describe, open_subject

if TYPE_CHECKING:
    import torch

_GROUP = 8
"""Batches' worth of neighbouring passages that are sorted by length together."""


class Taker(Protocol):
    """Takes the stream. All calls come one after the other; tensors are valid within the call."""

    def begin(self, blocks: Sequence[int], once: int) -> None:
        """Rows of every block, from the first whichever is read first, and of all passages read once."""
        ...

    def take(self, batch: ForwardBatch, rows: torch.Tensor) -> None:
        """One batch; `rows` (m) int64 are those that count."""
        ...

    def end_block(self, number: int) -> None:
        """All rows of this block were handed over."""
        ...


@attrs.frozen(kw_only=True)
class Texts:
    """What is read, and its identity."""

    passages: tuple[Passage, ...] = attrs.field(repr=False)
    names: tuple[str, ...]
    sha256: tuple[str, ...]
    notes: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Stretch:
    """How much of some passages is read, and in which portions."""

    passages: tuple[Passage, ...] = attrs.field(repr=False)
    seed: int
    block: int
    """Least rows of a block."""
    tokens: int | None = None
    """Rows to read in all, rounded up to a batch; `None` reads every passage once."""
    start: int = 0
    """First block that is read."""


@attrs.frozen(kw_only=True, eq=False)
class Models:
    """The models, opened; weights are loaded while they are read."""

    base: Subject
    trained: Subject | None
    opened: tuple[OpenSubject, OpenSubject] = attrs.field(repr=False)
    """The base twice where there is no other."""

    @property
    def same(self) -> bool:
        """Whether the two are the same files, so that nothing can differ."""
        return self.trained is not None and self.trained.digest == self.base.digest

    @property
    def width(self) -> int | None:
        """d of the residual stream, where the base's configuration says it."""
        config = self.opened[0].documents().get("config") or {}
        found = {**config, **(config.get("text_config") or {})}.get("hidden_size")
        return found if isinstance(found, int) else None

    def read(
        self,
        stretch: Stretch,
        taker: Taker,
        *,
        sites: Sequence[str],
        device: str,
        dtype: str = "auto",
        only: Literal["base", "trained"] | None = None,
        progress: Progress | None = None,
        batch_tokens: int | None = None,
    ) -> ForwardRead:
        """Streams the activations at some sites to `taker`, block by block.

        Args:
            stretch: what is read.
            taker: gets the batches.
            sites: neutral names (`blocks.3.out`).
            device: `cpu`, `cuda` or `cuda:N`.
            dtype: what the models compute in, as `--dtype`.
            only: reads this side alone; it then stands on both sides of the batches. Always `base` where there is no
                trained model.
            progress: told of the tokens read.
            batch_tokens: padded tokens of a batch; `None` leaves it to the device.

        Returns:
            What was read; `stopped` says that the user stopped it.

        Raises:
            SubjectError: a model cannot be loaded or has no such site, or no passage can be read.
        """
        streaming = _Streaming(stretch, taker)
        forward = ForwardPass(
            serving=Serving(device=device, dtype=dtype),
            template="auto",
            seed=child_seed(stretch.seed, "core.forward_pass"),
            progress=progress or Silent(),
            devices=(device,),
            batch_tokens=batch_tokens,
            order=streaming.order,
            only="base" if self.trained is None else only,
        )
        need = ForwardNeed(sources=("text",), sites=tuple(sites))
        return forward.run(*self.opened, stretch.passages, [Rider(need=need, instances=[streaming])])


@contextmanager
def open_models(base: str, trained: str | None = None, *, backend: str | None = None) -> Iterator[Models]:
    """Opens a base, and perhaps a model that was trained from it, as a run does; closes them at the end.

    Args:
        base: a directory or hub id.
        trained: likewise, or an adapter on the base.
        backend: name of a backend; absent means automatic.

    Raises:
        SubjectError: one cannot be opened, or has no activations to read.
    """
    registry = Registry.discover()
    left = open_subject(parse_reference(base), "base", registry, backend=backend)
    opened = [left]
    try:
        if trained is not None:
            opened.append(open_subject(parse_reference(trained), "trained", registry, backend=backend, base=left))
        for one in opened:
            if "forward" not in one.facts.capabilities:
                raise SubjectError(f"{one.facts.label}: has no activations to read; give a model directory or a hub id")
        digests = digest_files(*(one.files for one in opened), threads=available_cores())
        subjects = [describe(one.facts, files) for one, files in zip(opened, digests, strict=True)]
        yield Models(
            base=subjects[0],
            trained=subjects[1] if trained is not None else None,
            opened=(left, opened[-1]),
        )
    finally:
        for one in reversed(opened):
            one.close()


def texts(corpus: Sequence[str], *, seed: int, most: int) -> Texts:
    """The passages of the corpora, or of the sets that are read by default.

    Args:
        corpus: files, directories, data sets, or sets of passages by name, as `--corpus`.
        seed: of which passages are drawn where there are more than `most`.
        most: passages of each.

    Raises:
        ConfigError, ProbeError: a corpus is missing or faulty, or holds no text.
    """
    found = read_texts(corpus, seed=seed, n=most, registry=Registry.discover())
    passages = tuple(passage for _, own in found for passage in own)
    if not passages:
        raise ConfigError("there is no text to read; name one with --corpus")
    sets = [one for one, _ in found]
    return Texts(
        passages=passages,
        names=tuple(one.name for one in sets),
        sha256=tuple(one.sha256 for one in sets),
        notes=tuple(note for one in sets for note in one.notes),
    )


__all__ = ["Models", "Stretch", "Taker", "Texts", "named_device", "open_models", "texts"]


class _Streaming:
    """Orders the batches, and tells the taker where blocks end. An analyzer's instance, as the pass sees it."""

    def __init__(self, stretch: Stretch, taker: Taker) -> None:
        self._stretch, self._taker = stretch, taker
        self._ends: list[int] = []
        self._read = 0
        self._block = stretch.start

    def order(self, encoded: Sequence[Encoded], budget: int) -> Sequence[Packed]:
        """See `ForwardPass.order`."""
        batches = self._batches(encoded, budget)
        whole = sum(map(_rows, batches))
        if not whole:
            raise SubjectError("no passage has a second token; give longer texts")
        blocks: list[list[Packed]] = []
        rows: list[int] = []
        left = self._stretch.tokens if self._stretch.tokens is not None else whole
        epoch = 0
        while left > 0:
            shuffled = list(batches)
            random.Random(child_seed(self._stretch.seed, f"epoch/{epoch}")).shuffle(shuffled)
            for batch in shuffled:
                if left <= 0:
                    break
                if not rows or rows[-1] >= self._stretch.block:
                    blocks.append([])
                    rows.append(0)
                blocks[-1].append(batch)
                rows[-1] += _rows(batch)
                left -= _rows(batch)
            epoch += 1
        self._taker.begin(rows, whole)
        kept = blocks[self._stretch.start :]
        self._ends = [len(block) for block in kept]
        return [batch for block in kept for batch in block]

    def _batches(self, encoded: Sequence[Encoded], budget: int) -> list[Packed]:
        """The passages in a random order, in batches of like length among neighbours, numbered through."""
        order = sorted(encoded, key=lambda one: one.passage.id)
        random.Random(child_seed(self._stretch.seed, "passages")).shuffle(order)
        groups: list[list[Encoded]] = []
        held = _GROUP * budget
        for one in order:
            if held >= _GROUP * budget:
                groups.append([])
                held = 0
            groups[-1].append(one)
            held += one.length
        packed = [batch for group in groups for batch in pack(group, budget=budget)]
        return [attrs.evolve(batch, number=number) for number, batch in enumerate(packed)]

    def observe(self, item: Any) -> None:
        """Hands one batch over."""
        self._taker.take(item, item.rows.position.gt(0).nonzero()[:, 0])
        self._read += 1
        if self._read == self._ends[0]:
            del self._ends[0]
            self._read = 0
            self._taker.end_block(self._block)
            self._block += 1


def _rows(batch: Packed) -> int:
    return sum(one.length - max(one.leading, 1) for one in batch.encoded)
