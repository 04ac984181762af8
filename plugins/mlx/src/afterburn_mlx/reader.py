"""Reads batches with base and trained on MLX: the core's pair reader over networks of MLX.

Batches are padded on the right and attention is causal, so padding changes nothing of what stands before it. What the
two models share of the memory is settled as for any pair: an adapter is switched on one network, two models stand side
by side, or the base reads first and is freed but for its head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import mlx.core as mx
import torch

from afterburn_core.backends.adapter_settings import restores_base
from afterburn_core.backends.documents import read_json
from afterburn_core.backends.transformers_pairing import Arrangement, pair
from afterburn_core.backends.transformers_reader import TransformersReader
from afterburn_core.backends.transformers_residents import Grid, Reading, Stance
from afterburn_core.errors import SubjectError
from afterburn_core.run.memory import available_memory
from afterburn_mlx import seam
from afterburn_mlx.network import Head, Network, Source
from afterburn_mlx.sites import Sites, watching
from afterburn_mlx.sources import dtype_of, memory_of, source_of
from afterburn_mlx.subjects import MlxAdapter, MlxCheckpoint
from afterburn_mlx.switching import toggles
from afterburn_mlx.versions import ENGINE

if TYPE_CHECKING:
    from afterburn_core.backends.transformers_pairing import Pairing
    from afterburn_core.forward.encoded import Packed
    from afterburn_core.forward.reading import Wanted
    from afterburn_core.generation.model import Serving, Template
    from afterburn_core.run.subjects import OpenSubject

_BATCH_BYTES = 2 << 30
"""What a batch may take beside the models."""


def open_reader(
    base: OpenSubject,
    trained: OpenSubject,
    *,
    serving: Serving,
    template: Template,
    wanted: Wanted,
    seed: int,
    arrangement: Arrangement | None = None,
    sketch: bool = False,
) -> MlxReader:
    """A reader of the pair; see `afterburn_core.backends.transformers_reader.open_reader`.

    Raises:
        SubjectError: one of the two does not run on MLX, or they cannot read the same tokens.
    """
    for subject in (base, trained):
        if not isinstance(subject, (MlxCheckpoint, MlxAdapter)):
            raise SubjectError(
                f"{subject.facts.label}: was opened by {subject.facts.backend} and the other model by mlx.lm; give "
                "both as directories, or name one backend for both with --backend"
            )
    dtype = dtype_of(base, serving)
    asked = attrs.evolve(serving, device="cpu", dtype=dtype)
    settled = pair(
        base,
        trained,
        serving=asked,
        template=template,
        wanted=attrs.evolve(wanted, controls=(), drawn=()),
        seed=seed,
        arrangement=arrangement or _arranged(base, trained, dtype),
    )
    if wanted.controls:
        told = f"mlx.lm makes no changes at random: {', '.join(wanted.controls)} were not read"
        settled = attrs.evolve(settled, notes=(*settled.notes, told))
    return MlxReader(settled, {"base": source_of(base, dtype), "trained": source_of(trained, dtype)}, sketch=sketch)


def _arranged(base: OpenSubject, trained: OpenSubject, dtype: str) -> Arrangement:
    if (
        isinstance(trained, MlxAdapter)
        and trained.base is base
        and toggles(trained.source)
        and restores_base(read_json(trained.directory / "adapter_config.json") or {})
    ):
        return "adapter"
    needed = memory_of(base, dtype) + memory_of(trained, dtype)
    return "side_by_side" if 1.1 * needed + _BATCH_BYTES < available_memory() else "in_turn"


class MlxReader(TransformersReader):
    """See `forward.reading.PairReader`."""

    def __init__(self, pairing: Pairing, sources: Mapping[str, Source], *, sketch: bool = False) -> None:
        super().__init__(pairing, sketch=sketch)
        self._sources = sources

    @property
    def properties(self) -> Mapping[str, Any]:
        """See `PairReader.properties`."""
        return {**super().properties, "engine": ENGINE, "device": mx.default_device().type.name}

    def _load(self, name: str, batches: Sequence[Packed], wanted: Wanted) -> Any:
        resident = MlxResident(self._sources[name])
        self._residents[name] = resident  # type: ignore[assignment]
        self._names = resident.sites.named(wanted.sites)
        if wanted.logits and resident.vocabulary < self.vocabulary:
            raise SubjectError(
                f"{self._sources[name].label}: predicts {resident.vocabulary} tokens and not the {self.vocabulary} of "
                "its configuration; correct vocab_size"
            )
        return resident


class MlxResident:
    """A network that reads batches: what `transformers_residents.Resident` is for a model of transformers."""

    device = "cpu"

    def __init__(self, source: Source) -> None:
        self._network: Network | None = Network(source)
        self.sites: Sites = self._network.sites
        self.vocabulary = self._network.vocabulary

    @property
    def head(self) -> Head:
        return self._running().head

    def read(self, stance: Stance, grid: Grid, names: Sequence[str], *, vocabulary: int) -> Reading:
        """One subject's reading of the batch; valid while the model is in memory."""
        sites, states = self.capture(stance, grid, names)

        def compute(index: torch.Tensor) -> torch.Tensor:
            network = self._running()
            network.use(stance.adapted)
            return network.head.log_probs(states[index], vocabulary)

        return Reading(sites=sites, compute=compute)

    def capture(self, stance: Stance, grid: Grid, names: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Activations (n, d) float32 at the sites, and final states (n, d) as the head reads them."""
        network = self._running()
        network.use(stance.adapted)
        captured: dict[str, mx.array] = {}
        rows = seam.indices(grid.index.tolist())

        def seen(site: str, states: mx.array) -> None:
            captured[site] = states.reshape(-1, states.shape[-1])[rows]

        wanted = {site: tap for site, tap in self.sites.taps.items() if site in names or site == "final_norm"}
        with watching(wanted, seen):
            network.body(seam.ids_from_torch(grid.ids))
        mx.eval(captured)
        found = {site: seam.to_torch(states) for site, states in captured.items()}
        return {site: found[site] for site in names}, found["final_norm"]

    def close(self) -> None:
        """Frees the model."""
        self._network = None
        mx.clear_cache()

    def _running(self) -> Network:
        if self._network is None:
            raise SubjectError("this reader is closed; open another before batches are read")
        return self._network
