"""What passes hand to analyzers. An analyzer never opens a model; it asks the observation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from afterburn_core.backends.tensors import TensorInfo
from afterburn_core.result.model import Scope
from afterburn_core.run.align import State
from afterburn_core.run.spectra import PairSpectra, RowSums
from afterburn_core.run.sums import PairSums

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from afterburn_core.run.lowrank import LowRank
    from afterburn_core.run.series_sums import SeriesSums
    from afterburn_core.run.subspaces import Overlaps

Role = Literal["base", "trained"]


@attrs.frozen(kw_only=True)
class WeightPair:
    """One tensor of base and trained, aligned, with the quantities computed once for all analyzers."""

    name: str
    """Canonical name."""
    scope: Scope
    state: State
    base: TensorInfo | None
    trained: TensorInfo | None
    compared: int
    """Parameters that were compared."""
    union: int
    """Parameters in the union of both sides; 0 for buffers and for weights counted under another name."""
    explained: bool
    """False when parameters are left out for no good reason."""
    reason: str | None = None
    """Why it is not, or not fully, compared."""
    sums: PairSums | None = None
    """`None` when nothing is compared."""
    spectra: PairSpectra | None = attrs.field(default=None, repr=False, eq=False)
    """`None` for what is no matrix, when nothing is compared, when no need lists `spectra`, and for broken tensors."""
    rows: RowSums | None = attrs.field(default=None, repr=False, eq=False)
    """Sums by token for embeddings and output heads; `None` elsewhere or when no need lists `rows`."""
    read_values: Callable[[], tuple[torch.Tensor, torch.Tensor]] | None = attrs.field(
        default=None, repr=False, eq=False
    )
    read_side: Callable[[Role, int, int], NDArray[Any]] | None = attrs.field(default=None, repr=False, eq=False)

    def values(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Base and trained as float64 CPU tensors of the same shape, rows aligned.

        They are fresh copies: matrices that are still in memory are not read again. Only analyzers whose need lists
        `tensors` may call it, and only while they observe this pair. The tensors of one layer's attention are
        observed one after another by the same instance.
        """
        if self.read_values is None:
            raise RuntimeError(f"{self.name}: values were not asked for; add 'tensors' to the need's quantities")
        return self.read_values()

    def side(self, role: Role, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop` of one side's own tensor, in its own order and with all of its tokens.

        A fresh array of float32, or of float64 where it is stored so; nothing of it is rounded and torch is not
        needed. For tensors too large to hold twice in float64. Only analyzers whose need lists `tensors` may call it,
        and only while they observe this pair.
        """
        if self.read_side is None:
            raise RuntimeError(f"{self.name}: values were not asked for; add 'tensors' to the need's quantities")
        return self.read_side(role, start, stop)

    @property
    def renamed(self) -> bool:
        """Whether the two checkpoints spell the name differently."""
        return self.base is not None and self.trained is not None and self.base.name != self.trained.name


@attrs.frozen(kw_only=True)
class FactorItem:
    """What an adapter holds for one tensor of its base; nothing of the base has been read."""

    name: str
    """Canonical name of the tensor that changes, as the weights pass spells it."""
    scope: Scope
    kind: str
    """`lora`, `dora`, `embedding`, `conv`, `ia3`, `bias`, `tokens` or `saved`."""
    exact: bool
    """Whether the factors are the whole change; not so for DoRA, which also rescales W + s·B·A."""
    by_row: bool = True
    """Whether the outputs of the module are the rows of the stored weight."""
    rank: int | None = None
    """Width of the factors; `None` where there are none."""
    configured: int | None = None
    """The configured rank of the module."""
    alpha: float | None = None
    scale: float | None = None
    """s of Δ = s·B·A."""
    formula: str | None = None
    """How it follows from α and r."""
    dtypes: tuple[str, str] | None = None
    """Stored dtypes of the left and the right factor."""
    read_matrix: Callable[[], LowRank] | None = attrs.field(default=None, repr=False, eq=False)
    """s·B·A as the base stores it; `None` where there are no factors. Only for use while it is observed."""
    read_gain: Callable[[], NDArray[np.float64]] | None = attrs.field(default=None, repr=False, eq=False)
    """The gains of an IA3 module."""


@attrs.frozen(kw_only=True)
class WeightSeries:
    """One tensor of the base and of all subjects, with the quantities computed once for all analyzers."""

    name: str
    """Canonical name."""
    scope: Scope
    compared: int
    """Parameters that all subjects share with the base."""
    union: int
    """Parameters in the union of all of them; 0 for buffers and for weights counted elsewhere."""
    compared_by: tuple[int, ...]
    """Parameters that each subject by itself shares with the base."""
    union_by: tuple[int, ...]
    """Parameters in the union of the base and each subject."""
    explained: bool
    """False when parameters are left out for no good reason."""
    reason: str | None = None
    """Why it is not, or not fully, compared."""
    matrix: bool = False
    """Whether whole rows of a matrix are compared, so that it has singular vectors."""
    sums: SeriesSums | None = None
    """`None` when nothing is compared."""
    subspaces: Overlaps | None = attrs.field(default=None, repr=False, eq=False)
    """`None` where they were not asked for, for what is no matrix, and for what is broken or too large."""


@attrs.frozen(kw_only=True)
class DocumentPair:
    """One kind of document of both subjects, parsed; `None` where a subject has none."""

    name: str
    """`config`, `generation_config`, `tokenizer`, `chat_template` or `vocabulary`."""
    base: Mapping[str, Any] | None
    trained: Mapping[str, Any] | None
