"""Generators of opened subjects: one model each, or base and trained from one where the trained is an adapter on it.

Nulls of a pair (`transformers_nulls`) write from the shared model as well, or from a pair that is loaded for them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from afterburn_core.backends.transformers_generator import TransformersGenerator, open_generator
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Serving

if TYPE_CHECKING:
    from afterburn_core.backends.checkpoint import AdapterSubject, Checkpoint
    from afterburn_core.generation.model import Decoding, Generator
    from afterburn_core.run.needs import ControlKind, Drawn
    from afterburn_core.run.subjects import OpenSubject


def checkpoint_generator(subject: Checkpoint, decoding: Decoding, serving: Serving | None) -> Generator:
    """A generator with a model of its own."""
    return open_generator(decoding, origin=_origin(subject), parameters=subject.facts.parameters, serving=serving)


def adapter_generator(subject: AdapterSubject, decoding: Decoding, serving: Serving | None) -> Generator:
    """A generator with the base and the adapter on it.

    Raises:
        SubjectError: the base is no model that can be loaded.
    """
    parameters = subject.base.facts.parameters
    return open_generator(decoding, origin=_adapted_origin(subject), parameters=parameters, serving=serving)


def shared_generators(
    base: OpenSubject,
    trained: OpenSubject,
    decoding: Decoding,
    serving: Serving | None = None,
    drawn: Sequence[Drawn] = (),
) -> tuple[Generator, ...] | None:
    """Generators for the base, the adapter on it and its nulls that share one model in memory, freed with the last.

    The base writes with the adapter switched off. `None` where that would not be the base as it was loaded alone: the
    trained model is no adapter on this base, has other rows of embeddings, or trained biases in place.
    """
    from afterburn_core.backends.checkpoint import AdapterSubject
    from afterburn_core.backends.documents import read_json

    if not isinstance(trained, AdapterSubject) or trained.base is not base or "generate" not in base.facts.capabilities:
        return None
    from afterburn_core.backends.adapter_settings import restores_base
    from afterburn_core.backends.transformers_loading import Origin, ResidentModel, load_model
    from afterburn_core.backends.transformers_nulls import nulls_on_adapter

    origin = _adapted_origin(trained)
    if origin.rows is not None or not restores_base(read_json(trained.directory / "adapter_config.json") or {}):
        return None
    chosen = serving or Serving()
    holders = 2 + len(drawn)
    resident = ResidentModel(lambda: load_model(origin, device=chosen.device, dtype=chosen.dtype), holders=holders)

    def generator(of: Any, model: Any, adapted: bool) -> TransformersGenerator:
        parameters = base.facts.parameters
        return TransformersGenerator(
            of, decoding, serving=chosen, resident=model, parameters=parameters, adapted=adapted
        )

    own = Origin(directory=origin.directory, label=base.facts.label)
    nulls = zip(drawn, nulls_on_adapter(resident, drawn), strict=True)
    return (
        generator(own, resident, False),
        generator(origin, resident, True),
        *(generator(own if one.kind == "rounding" else origin, model, True) for one, model in nulls),
    )


def null_generators(
    base: OpenSubject, trained: OpenSubject, decoding: Decoding, serving: Serving | None, drawn: Sequence[Drawn]
) -> tuple[Generator, ...]:
    """Generators of a pair's nulls where base and trained do not share a model; they are loaded at the first text.

    Raises:
        SubjectError: base or trained is no model that can be loaded.
    """
    from afterburn_core.backends.transformers_nulls import nulls_of_pair

    chosen, first, second = serving or Serving(), origin_of(base), origin_of(trained)
    models = nulls_of_pair(first, second, chosen, drawn)
    return tuple(
        TransformersGenerator(
            first if one.kind == "rounding" else second,
            decoding,
            serving=chosen,
            resident=model,
            parameters=base.facts.parameters,
            adapted=True,
        )
        for one, model in zip(drawn, models, strict=True)
    )


def null_refusal(base: OpenSubject, trained: OpenSubject, kind: ControlKind) -> str | None:
    """Why no null of a kind can be made of the pair; `None` where it can. From files alone."""
    from afterburn_core.backends.transformers_null_offers import null_refusal as of_pair

    return of_pair(base, trained, kind)


def origin_of(subject: OpenSubject) -> Any:
    """Where a subject's model lies, with the adapter on it where there is one (`transformers_loading.Origin`).

    Raises:
        SubjectError: it is no model that can be loaded.
    """
    from afterburn_core.backends.checkpoint import AdapterSubject, Checkpoint

    if isinstance(subject, AdapterSubject):
        return _adapted_origin(subject)
    if isinstance(subject, Checkpoint) and "generate" in subject.facts.capabilities:
        return _origin(subject)
    raise SubjectError(f"{subject.facts.label}: is no causal language model in a directory that can be loaded")


def _origin(subject: Checkpoint) -> Any:
    from afterburn_core.backends.transformers_loading import Origin

    return Origin(directory=subject.directory, label=subject.facts.label)


def _adapted_origin(subject: AdapterSubject) -> Any:
    from afterburn_core.backends.transformers_loading import Origin

    directory = getattr(subject.base, "directory", None)
    if directory is None or "generate" not in subject.facts.capabilities:
        raise SubjectError(
            f"{subject.facts.label}: its base cannot be loaded to write; merge the adapter and give that"
        )
    return Origin(
        directory=directory, label=subject.facts.label, adapter=subject.directory, rows=embedding_rows(subject)
    )


def embedding_rows(subject: AdapterSubject) -> int | None:
    """Rows of the embedding that an adapter was saved for, where they differ from its base's."""
    changed, stored = subject.source.tensors, subject.source.base.tensors
    rows = {
        changed[name].shape[0]
        for name in subject.source.saved
        if name in stored and "embed" in name and changed[name].shape != stored[name].shape
    }
    return next(iter(rows), None)
