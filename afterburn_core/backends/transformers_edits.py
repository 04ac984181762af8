"""Edits of activations while a network reads or writes: what hooks at sites put in the place of what flows there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs
import torch

from afterburn_core.backends.transformers_sites import Sites, watching
from afterburn_core.forward.live import Edit, Project, Replace, Steer


@attrs.frozen(kw_only=True, eq=False)
class Grid:
    """Which tokens one call of the network reads."""

    real: torch.Tensor
    """(B, T) bool, false at padding."""
    numbers: tuple[int, ...]
    """Which of the caller's sequences each row is."""
    starts: tuple[int, ...]
    """Column of the first token of each row."""
    lengths: tuple[int, ...]
    """Tokens of each sequence as the caller gave it, without what is written after it."""
    prompt: bool = True
    """Whether the call holds the caller's sequences from their start; else it reads tokens written since."""


class Editor:
    """Edits and captures activations at every call of a network; `grid` is set before each call."""

    def __init__(self, sites: Sites, edits: Sequence[Edit] = (), capture: Sequence[str] = ()) -> None:
        """Args:
        sites: of the network.
        edits: in the order in which they are applied to a site.
        capture: sites, as the network computes on with them, edits included.

        Raises:
            SubjectError: the network has no such site.
            ValueError: a direction to project out is not of length 1.
        """
        for edit in edits:
            _require_unit(edit)
        self.grid: Grid | None = None
        self._captured: dict[str, torch.Tensor] = {}
        self._edits = tuple(edits)
        self._capture = frozenset(capture)
        used = dict.fromkeys([*(edit.site for edit in edits), *capture])
        self._taps = {site: sites.taps[site] for site in sites.named(tuple(used))}

    @contextmanager
    def active(self) -> Iterator[dict[str, torch.Tensor]]:
        """Hooks are in place inside; gives the captured activations (B, T, d) by site, those of the last call."""
        try:
            with watching(self._taps, self._seen):
                yield self._captured
        finally:
            self._captured = {}

    def _seen(self, site: str, given: torch.Tensor) -> torch.Tensor | None:
        grid = self.grid
        if grid is None:
            return None
        states = given.reshape(*grid.real.shape, given.shape[-1])  # (B, T, d); some networks flatten their tokens
        changed: torch.Tensor | None = None
        for edit in self._edits:
            if edit.site == site:
                put = edited(states if changed is None else changed, edit, grid)
                changed = changed if put is None else put
        if site in self._capture:
            self._captured[site] = states if changed is None else changed
        return None if changed is None else changed.reshape(given.shape)


def edited(states: torch.Tensor, edit: Edit, grid: Grid) -> torch.Tensor | None:
    """The activations after one edit, in their own dtype; `None` where it does not touch this call.

    h ← h + v; h ← v at one position; h ← h + (mean − ⟨h, u⟩)·u.

    Args:
        states: (B, T, d).
        edit: what to do.
        grid: which tokens these are.

    Raises:
        ValueError: a vector of another width or number, or a position outside of a sequence.
    """
    if isinstance(edit, Replace):
        return _replaced(states, edit, grid) if grid.prompt else None
    vector = _fitting(edit.vector if isinstance(edit, Steer) else edit.direction, states)
    real = grid.real[..., None]
    if isinstance(edit, Steer):
        return torch.where(real, (states.float() + vector).to(states.dtype), states)
    wide = states.float()
    along = wide @ vector  # (B, T)
    return torch.where(real, (wide + (edit.mean - along)[..., None] * vector).to(states.dtype), states)


def _replaced(states: torch.Tensor, edit: Replace, grid: Grid) -> torch.Tensor:
    rows, columns = range(len(grid.numbers)), []
    for number, start, length in zip(grid.numbers, grid.starts, grid.lengths, strict=True):
        if not -length <= edit.position < length:
            raise ValueError(f"sequence {number} of {length} tokens has no position {edit.position}; choose another")
        columns.append(start + edit.position % length)
    vector = edit.vector
    if vector.dim() == 2:
        if max(grid.numbers) >= len(vector):
            raise ValueError(f"{len(vector)} vectors do not suffice for {max(grid.numbers) + 1} sequences")
        vector = vector[list(grid.numbers)]
    changed = states.clone()
    changed[list(rows), columns] = _fitting(vector, states).to(states.dtype)
    return changed


def _fitting(vector: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    if vector.shape[-1] != states.shape[-1]:
        raise ValueError(f"a vector of width {vector.shape[-1]} does not fit activations of width {states.shape[-1]}")
    return vector.to(states.device, torch.float32)


def _require_unit(edit: Edit) -> None:
    """Refuses a direction that is not of length 1.

    Raises:
        ValueError: it is not.
    """
    if isinstance(edit, Project):
        length = float(torch.linalg.vector_norm(edit.direction.double()))
        if abs(length - 1) > 1e-3:
            raise ValueError(f"a direction of length {length:.3g} is given to project out; scale it to 1")


__all__ = ["Editor", "Grid", "edited"]
