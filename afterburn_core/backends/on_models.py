"""What checkpoints and adapters offer alike where transformers can load their networks; imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch

    from afterburn_core.backends.checkpoint import AdapterSubject, Checkpoint
    from afterburn_core.forward.encoded import Encoded
    from afterburn_core.forward.live import Live
    from afterburn_core.forward.reading import PairReader, Wanted
    from afterburn_core.generation.model import Decoding, Generator, Serving, Template
    from afterburn_core.probes.model import Probe
    from afterburn_core.run.needs import ControlKind, Drawn
    from afterburn_core.run.progress import Progress
    from afterburn_core.run.subjects import OpenSubject


class OnModels:
    """The methods of a subject that load its network: `forward.reading.Encodes`, `Reads`, `Steers` and
    `run.subjects.Perturbs`."""

    __slots__ = ()

    def vectors(
        self: OpenSubject,
        texts: Sequence[str],
        kinds: Sequence[str],
        *,
        serving: Serving,
        layers: bool,
        progress: Progress,
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor], Mapping[str, Any]]:
        """Vectors of texts, see `forward.reading.Encodes`. Asked for only with `encode`."""
        from afterburn_core.backends.encoder_vectors import subject_vectors

        subject = cast("Checkpoint | AdapterSubject", self)
        return subject_vectors(subject, texts, kinds, serving=serving, layers=layers, progress=progress)

    def pair_reader(
        self: OpenSubject,
        base: OpenSubject,
        *,
        serving: Serving,
        template: Template,
        wanted: Wanted,
        seed: int,
        **forced: Any,
    ) -> PairReader:
        """Reads batches beside the base, see `forward.reading.Reads`. Asked for only with `forward`.

        `forced`: how the two share the memory, see `transformers_reader.open_reader`.
        """
        from afterburn_core.backends.transformers_reader import open_reader

        return open_reader(base, self, serving=serving, template=template, wanted=wanted, seed=seed, **forced)

    def null_generators(
        self: OpenSubject, base: OpenSubject, decoding: Decoding, serving: Serving, drawn: Sequence[Drawn]
    ) -> Sequence[Generator]:
        """Writes with nulls of the pair, see `run.subjects.Perturbs`."""
        from afterburn_core.backends.transformers_subjects import null_generators

        return null_generators(base, self, decoding, serving, drawn)

    def null_refusal(self: OpenSubject, base: OpenSubject, kind: ControlKind) -> str | None:
        """Why no null of a kind can be made of the pair, see `run.subjects.Perturbs`."""
        from afterburn_core.backends.transformers_subjects import null_refusal

        return null_refusal(base, self, kind)

    def live(
        self: OpenSubject,
        base: OpenSubject,
        *,
        serving: Serving,
        template: Template,
        seed: int,
        passages: Sequence[Encoded] = (),
        prompts: Sequence[Probe] = (),
    ) -> Live:
        """This model and its base in memory, see `forward.reading.Steers`. Asked for only with `steer`."""
        from afterburn_core.backends.transformers_live_opening import open_live

        return open_live(base, self, serving=serving, template=template, passages=passages, prompts=prompts)
