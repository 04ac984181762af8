"""The base's side of a pair that does not fit into memory: it reads everything first, and is freed but for its head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
import torch

from afterburn_core.backends.transformers_head import Head
from afterburn_core.backends.transformers_residents import Grid, Reading, Resident, Stance
from afterburn_core.backends.transformers_spill import SKETCHED, Sketch, Spill
from afterburn_core.forward.rows import grid

if TYPE_CHECKING:
    from afterburn_core.forward.encoded import Packed
    from afterburn_core.forward.reading import SideReading
    from afterburn_core.run.progress import Progress

_STATES = ".states"
_SKETCH = ("top", "ids", "rest", "largest", "smallest")
_ROWS = 64
"""Rows whose log-probabilities exist at once while sketches are made."""


@attrs.frozen(kw_only=True, eq=False)
class SketchReading:
    """A reading (`forward.reading.SideReading`) of which sketches are left."""

    sites: dict[str, torch.Tensor]
    sketch: Sketch
    approximate: bool = True
    readout: None = None

    def log_probs(self, index: torch.Tensor) -> torch.Tensor:
        """See `SideReading.log_probs`."""
        return self.sketch.rows(index).log_probs()

    def bound(self, index: torch.Tensor, trained: torch.Tensor) -> torch.Tensor:
        """See `SideReading.bound`."""
        return self.sketch.rows(index).bound(trained)


class InTurn:
    """What the base read, on disk."""

    def __init__(
        self,
        base: Resident,
        batches: Sequence[Packed],
        names: Sequence[str],
        *,
        vocabulary: int,
        logits: bool,
        sketch: bool,
        progress: Progress,
    ) -> None:
        """Reads all batches with the base, which the caller then closes.

        Args:
            base: in memory.
            batches: all that will be read.
            names: sites whose activations are wanted.
            vocabulary: log-probabilities are over the first so many ids.
            logits: whether they are wanted.
            sketch: keep sketches even where the head would do.
            progress: told of tokens.

        Raises:
            SubjectError: the disk has too little room.
        """
        self.head: Head | None = base.head if logits and not sketch else None
        self._logits, self._names, self._vocabulary, self._device = logits, tuple(names), vocabulary, base.device
        rows = sum(batch.counted for batch in batches)
        kept = 4 * base.sites.width if self.head is not None else 8 * SKETCHED if logits else 0
        self._spill = Spill(rows * (4 * sum(map(base.sites.width_at, names)) + kept))
        progress.begin("base reads", rows, "tokens")
        try:
            for batch in batches:
                self._put(base, batch)
                progress.advance(batch.counted)
        except BaseException:
            self.close()
            raise
        finally:
            progress.end()

    @property
    def sketched(self) -> bool:
        """Whether log-probabilities are approximate."""
        return self._logits and self.head is None

    def read(self, number: int) -> SideReading:
        """What the base read in a batch.

        Raises:
            SubjectError: it was not prepared.
        """
        sites = {name: self._get(number, name) for name in self._names}
        if self.sketched:
            tensors = {name: self._get(number, f".{name}") for name in _SKETCH}
            return SketchReading(sites=sites, sketch=Sketch.from_tensors(tensors, self._vocabulary))
        states = self._get(number, _STATES) if self.head is not None else torch.empty(0)

        def compute(index: torch.Tensor) -> torch.Tensor:
            if self.head is None:
                raise RuntimeError("no distributions were asked of this reader")
            return self.head.log_probs(states[index], self._vocabulary)

        return Reading(sites=sites, compute=compute)

    def close(self) -> None:
        """Removes what was kept."""
        self.head = None
        self._spill.close()

    def _get(self, number: int, name: str) -> torch.Tensor:
        return self._spill.get(number, name, self._device)

    def _put(self, base: Resident, batch: Packed) -> None:
        ids, mask, index = grid(batch, self._device)
        tokens, stance = Grid(ids=ids, mask=mask, index=index), Stance()
        if not self.sketched:
            sites, states = base.capture(stance, tokens, self._names)
            self._spill.put(batch.number, {**sites, **({_STATES: states} if self.head is not None else {})})
            return
        reading = base.read(stance, tokens, self._names, vocabulary=self._vocabulary)
        parts = [
            Sketch.of(logs).tensors()
            for rows in _stretches(tokens, whole=base.head is None)
            for logs in torch.split(reading.log_probs(rows), _ROWS)
        ]
        sketch = {f".{name}": torch.cat([part[name] for part in parts]) for name in _SKETCH}
        self._spill.put(batch.number, {**reading.sites, **sketch})


def _stretches(tokens: Grid, *, whole: bool) -> Iterator[torch.Tensor]:
    """The rows in their order: passage by passage where the whole model runs for each, otherwise a few at once."""
    rows = torch.arange(len(tokens.index), device=tokens.index.device)
    if not whole:
        yield from torch.split(rows, _ROWS)
        return
    passages = tokens.index // tokens.ids.shape[1]
    for passage in range(tokens.ids.shape[0]):
        own = rows[passages == passage]
        if len(own):
            yield own
