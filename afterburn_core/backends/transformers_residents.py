"""Models in memory that read batches: activations at sites by hooks, final states, and logits of them on demand.

One resident model can stand for several subjects. A *stance* says which: the adapter on or off, and other values in the
place of some parameters. Taking a stance copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import torch

from afterburn_core.backends.transformers_controls import Swaps
from afterburn_core.backends.transformers_head import Head, log_probabilities, passage_logits, separate_head
from afterburn_core.backends.transformers_loading import ResidentModel, network_of, threads_for
from afterburn_core.backends.transformers_sites import Sites, sites_of, watching
from afterburn_core.errors import SubjectError

_TRIED = 16
"""Tokens of the text on which a head is tried."""


@attrs.frozen(kw_only=True, eq=False)
class Grid:
    """A batch as models read it; see `forward.rows.grid`."""

    ids: torch.Tensor
    """(B, T)."""
    mask: torch.Tensor
    """(B, T) bool."""
    index: torch.Tensor
    """(n) rows in the flattened grid."""

    def lengths(self) -> torch.Tensor:
        """(B) tokens of every passage."""
        return self.mask.sum(-1)


@attrs.frozen(kw_only=True, eq=False)
class Stance:
    """What a resident model stands for."""

    adapted: bool = True
    swaps: Swaps = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, eq=False)
class Reading:
    """One subject's reading of a batch (`forward.reading.SideReading`), exact."""

    sites: dict[str, torch.Tensor]
    compute: Callable[[torch.Tensor], torch.Tensor]
    approximate: bool = False
    readout: Callable[[torch.Tensor], torch.Tensor] | None = None

    def log_probs(self, index: torch.Tensor) -> torch.Tensor:
        """See `SideReading.log_probs`."""
        return self.compute(index)

    def bound(self, index: torch.Tensor, trained: torch.Tensor) -> None:
        """Nothing is off."""


class Resident:
    """A model in memory."""

    def __init__(self, load: Callable[[], Any], *, causal: bool) -> None:
        """Args:
        load: gives the model.
        causal: whether it predicts what follows; others read with a mask and have no head.
        """
        self._held = ResidentModel(load)
        self.model = self._held.model()
        self.sites: Sites = sites_of(self.model)
        self.causal = causal
        self.head: Head | None = None
        self.vocabulary = 0
        self._stance = Stance()
        self._norm = self.sites.final_norm
        self._numbers = next(self.sites.embed.parameters()).dtype
        self._own: Swaps = {}
        self._in_head = frozenset(self.sites.head.parameters()) if self.sites.head is not None else frozenset()
        self._adapted_head = self.sites.head is not None and any(
            hasattr(module, "disable_adapters") for module in self.sites.head.modules()
        )

    @property
    def device(self) -> str:
        return str(self.sites.embed.weight.device)

    def try_head(self, ids: Sequence[int]) -> None:
        """Looks whether logits can be had from final states alone; see `separate_head`."""
        some = torch.tensor(ids[:_TRIED], dtype=torch.int64, device=self.device)
        whole = torch.ones((1, len(some)), dtype=torch.bool, device=self.device)
        grid = Grid(ids=some[None], mask=whole, index=torch.arange(len(some), device=self.device))
        with self._running():
            _, states = self._run(grid, ())
            self.head, self.vocabulary = separate_head(self.sites, some, states)

    def read(self, stance: Stance, grid: Grid, names: Sequence[str], *, vocabulary: int) -> Reading:
        """One subject's reading of the batch; valid while the model is in memory.

        Args:
            stance: which subject.
            grid: the batch.
            names: sites whose activations are wanted.
            vocabulary: log-probabilities are over the first so many ids.
        """
        sites, states = self.capture(stance, grid, names)

        def compute(index: torch.Tensor) -> torch.Tensor:
            if self.head is None:
                return self.whole(stance, grid, index, vocabulary)
            if self._adapted_head or any(map(self._in_head.__contains__, (*stance.swaps, *self._own))):
                self.take(stance)  # otherwise every stance has the same head
            with self._running():
                return log_probabilities(self.head(states[index]), vocabulary)

        return Reading(sites=sites, compute=compute, readout=self._readout(stance))

    def _readout(self, stance: Stance) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """See `ForwardBatch.readout`: of the model as it is once closed, of which it holds no more than the head."""
        head, norm = self.head, self._norm
        if head is None or stance.swaps or not stance.adapted:
            return None

        def readout(states: torch.Tensor) -> torch.Tensor:
            self.take(stance)
            states = states.to(self._numbers)
            return head(states if norm is None else norm(states))[:, : self.vocabulary]

        return readout

    def capture(self, stance: Stance, grid: Grid, names: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Activations (n, d) float32 at the sites, and final states (n, d) as the head reads them."""
        self.take(stance)
        with self._running():
            return self._run(grid, names)

    def whole(self, stance: Stance, grid: Grid, index: torch.Tensor, vocabulary: int) -> torch.Tensor:
        """(m, vocabulary) log-probabilities after rows `index` from runs of the whole model, passage by passage."""
        self.take(stance)
        places = grid.index[index]
        width = grid.ids.shape[1]
        passages, lengths = places // width, grid.lengths().tolist()
        found = torch.empty((len(index), vocabulary), dtype=torch.float32, device=grid.ids.device)
        with self._running():
            for passage in sorted(set(passages.tolist())):
                logits = passage_logits(self.sites, grid.ids[passage, : lengths[passage]])
                own = (passages == passage).nonzero()[:, 0]
                found[own] = log_probabilities(logits[places[own] % width], vocabulary)
        return found

    def take(self, stance: Stance) -> None:
        """Makes the model the one of the stance."""
        self._held.use(stance.adapted)
        if stance is self._stance:
            return
        for parameter, own in self._own.items():
            parameter.data = own
        self._own = {parameter: parameter.data for parameter in stance.swaps}
        for parameter, value in stance.swaps.items():
            parameter.data = value
        self._stance = stance

    def close(self) -> None:
        """Puts back what was swapped and frees the model, but for what a head of it still needs."""
        self.take(Stance(adapted=True))
        self.model = None
        del self.sites
        self._held.release()

    @contextmanager
    def _running(self) -> Iterator[None]:
        with torch.inference_mode(), threads_for(network_of(self.model)):
            yield

    def _run(self, grid: Grid, names: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        captured: dict[str, torch.Tensor] = {}
        final: list[torch.Tensor] = []

        def seen(site: str, states: torch.Tensor) -> None:
            if site in names:
                captured[site] = _rows(site, states, grid).float()
            if site == "final_norm":
                final.append(_rows(site, states, grid))

        taps = {site: tap for site, tap in self.sites.taps.items() if site in names or site == "final_norm"}
        mask = {} if self.causal else {"attention_mask": grid.mask.long()}
        with watching(taps, seen):
            self.sites.body(input_ids=grid.ids, **({"use_cache": False} if self.causal else {}), **mask)
        return {site: captured[site] for site in names}, final[0]


def _rows(site: str, states: torch.Tensor, grid: Grid) -> torch.Tensor:
    if states.numel() // states.shape[-1] != grid.ids.numel():
        raise SubjectError(f"site {site} has activations of shape {tuple(states.shape)}, which are not one per token")
    return states.reshape(-1, states.shape[-1])[grid.index]
