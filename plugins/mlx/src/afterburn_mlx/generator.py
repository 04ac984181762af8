"""Generators for models that MLX runs: the core's generator of live models, with MLX in the place of its network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs
import mlx.core as mx

from afterburn_core.backends.transformers_decoding import Row
from afterburn_core.backends.transformers_generator import TransformersGenerator
from afterburn_core.backends.transformers_subjects import origin_of
from afterburn_core.generation.model import Completed, Decoding, GenerationFacts, Request, Serving
from afterburn_mlx.decoding import write
from afterburn_mlx.network import Resident, end_marks
from afterburn_mlx.sources import dtype_of, source_of
from afterburn_mlx.versions import ENGINE

if TYPE_CHECKING:
    from afterburn_mlx.subjects import MlxAdapter, MlxCheckpoint


def open_generators(
    subject: MlxCheckpoint | MlxAdapter, decoding: Decoding, serving: Serving | None, *, adapted: Sequence[bool]
) -> tuple[MlxGenerator, ...]:
    """Generators on one network, which is loaded at the first text and freed with the last of them.

    Args:
        subject: whose network it is.
        decoding: how tokens are chosen.
        serving: dtype and batch.
        adapted: for each generator whether the adapter is on, where there is one.

    Raises:
        SubjectError: the subject is no model that MLX runs.
    """
    from afterburn_mlx.subjects import MlxAdapter

    given = serving or Serving()
    dtype = dtype_of(subject, given)
    chosen = attrs.evolve(given, device="cpu", dtype=dtype)
    resident = Resident(source_of(subject, dtype), holders=len(adapted))
    base = subject.base if isinstance(subject, MlxAdapter) else subject
    return tuple(
        MlxGenerator(
            origin_of(subject if on else base),
            decoding,
            serving=chosen,
            resident=resident,
            parameters=base.facts.parameters,
            adapted=on,
        )
        for on in adapted
    )


class MlxGenerator(TransformersGenerator):
    """Writes texts with one model. See `afterburn_core.generation.model.Generator`."""

    @cached_property
    def facts(self) -> GenerationFacts:
        """See `GenerationFacts`; read from files alone."""
        told = super().facts
        properties: dict[str, Any] = {key: value for key, value in told.properties.items() if key != "torch"}
        properties["device"] = mx.default_device().type.name
        return attrs.evolve(told, engine=ENGINE, properties=properties)

    def _write(self, group: Sequence[tuple[Request, tuple[int, ...]]]) -> Iterator[Completed]:
        network = self._resident.network()
        network.use(self._adapted)
        ends = end_marks(self.origin.directory, self._prompts.tokenizer)
        rows = [
            Row(
                request=request,
                prompt=ids,
                room=self._room(ids),
                labels=tuple(self._prompts.first_tokens(request, label) for label in request.choices),
            )
            for request, ids in group
        ]
        for row in write(network, rows, self.decoding, ends, self.size):
            yield Completed(request=row.request, sample=self._sample(row))
