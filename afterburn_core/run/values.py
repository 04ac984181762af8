"""The elements of a tensor for analyzers that ask for them: from memory while the pass has it, else from the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.tensors import WeightSource
from afterburn_core.run.algebra import Stored
from afterburn_core.run.align import AlignedTensor
from afterburn_core.run.arrays import Raw, read_array, to_float, to_float64
from afterburn_core.run.observations import Role
from afterburn_core.run.parts import both

if TYPE_CHECKING:
    import torch


@attrs.define(kw_only=True, eq=False)
class Elements:
    """Both sides of one tensor."""

    base: WeightSource
    trained: WeightSource
    tensor: AlignedTensor
    stored: Stored | None = None
    """The whole tensor, as long as it is in memory."""

    def values(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Both in float64; rows in the order of the spans where rows were paired."""
        import torch

        left, right = both(self.tensor)
        spans = self.tensor.spans
        shape = left.shape if self.tensor.compared == left.numel else (-1, *left.shape[1:])
        if self.stored is not None:
            own, other = self.stored.base, self.stored.trained
        else:
            own = _read(self.base, left.name, [(s.base, s.count) for s in spans])
            other = _read(self.trained, right.name, [(s.trained, s.count) for s in spans])
        first = torch.from_numpy(to_float64(own)).view(shape)
        return first, first.clone() if other is None else torch.from_numpy(to_float64(other)).view(shape)

    def side(self, role: Role, start: int, stop: int) -> NDArray[Any]:
        """Rows of one side's own tensor, in float32 or, where that cannot hold them, float64."""
        left, right = both(self.tensor)
        info, source = (left, self.base) if role == "base" else (right, self.trained)
        width = info.numel // info.shape[0] if info.shape and info.shape[0] else 1
        first, last = start * width, stop * width
        in_order = len(self.tensor.spans) == 1 and self.tensor.compared == left.numel == right.numel
        if self.stored is not None and in_order:
            other = self.stored.base if role == "base" or self.stored.trained is None else self.stored.trained
            raw = other.reshape(-1)[first:last]
        else:
            raw = read_array(source, info.name, first, last)
        return to_float(raw).reshape(stop - start, *info.shape[1:])

    def release(self) -> None:
        """Lets go of the memory: an analyzer may keep the observation longer than it should."""
        self.stored = None


def _read(source: WeightSource, name: str, stretches: Sequence[tuple[int, int]]) -> Raw:
    return np.concatenate([read_array(source, name, start, start + count) for start, count in stretches])
