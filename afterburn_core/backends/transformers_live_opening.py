"""Opening a pair for the live pass: which networks can be blended, whether they fit, and generators of blends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.documents import read_documents, read_json
from afterburn_core.backends.transformers_blends import Blends, find_changes
from afterburn_core.backends.transformers_cost import batch_size, both_fit
from afterburn_core.backends.transformers_generator import TransformersGenerator, dtype_in_effect
from afterburn_core.backends.transformers_live import TransformersLive
from afterburn_core.backends.transformers_loading import Origin, load_model, load_tokenizer
from afterburn_core.backends.transformers_subjects import origin_of
from afterburn_core.backends.transformers_template import Prompts, template_mode
from afterburn_core.errors import SubjectError
from afterburn_core.forward.live import Blend
from afterburn_core.run.naming import parse_name

if TYPE_CHECKING:
    from afterburn_core.forward.encoded import Encoded
    from afterburn_core.generation.model import (
        Completed,
        Decoding,
        GenerationFacts,
        Generator,
        Request,
        Serving,
        Template,
    )
    from afterburn_core.probes.model import Probe
    from afterburn_core.run.lowrank import LowRank
    from afterburn_core.run.subjects import OpenSubject

_COPIES = 3
"""The base, the trained values and a blend of them, at the most."""
_IMMATERIAL = frozenset(
    {
        *("_name_or_path", "name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype"),
        *("bos_token_id", "eos_token_id", "pad_token_id", "use_cache", "return_dict", "output_attentions"),
        *("output_hidden_states", "initializer_range", "tie_word_embeddings", "task_specific_params", "id2label"),
        *("label2id", "problem_type", "pretraining_tp", "is_decoder", "torchscript", "quantization_config"),
        *("max_position_embeddings", "n_positions", "_attn_implementation", "chunk_size_feed_forward"),
    }
)
"""Settings that do not change what a network computes from its parameters in evaluation."""


def open_live(
    base: OpenSubject,
    trained: OpenSubject,
    *,
    serving: Serving,
    template: Template,
    passages: Sequence[Encoded] = (),
    prompts: Sequence[Probe] = (),
) -> TransformersLive:
    """Both models in memory. See `forward.reading.Steers.live`.

    Raises:
        SubjectError: the two cannot be blended, or do not fit into memory side by side.
    """
    first, second = origin_of(base), origin_of(trained)
    label = f"{trained.facts.label} on {base.facts.label}"
    config = read_json(first.directory / "config.json") or {}
    _require_one_network(label, config, read_json(second.directory / "config.json") or {})
    _require_room(base, serving, dtype_in_effect(serving, config))
    tokenizer = _shared_tokenizer(label, first, second)
    dtype = dtype_in_effect(serving, config)
    network = load_model(first, device=serving.device, dtype=dtype)
    other = load_model(second, device=serving.device, dtype=dtype)
    merged = other.merge_and_unload() if hasattr(other, "merge_and_unload") else other
    try:
        changes = find_changes(network, merged, name=_canonical(base), factors=_factors(trained))
    except ValueError as error:
        raise SubjectError(
            f"{label}: cannot be blended since {error}; leave out the analyzers that need a live pair"
        ) from error
    del merged, other
    templates = read_documents(second.tokenizer)["chat_template"] or read_documents(first.tokenizer)["chat_template"]
    mode = template_mode(template, templates, trained.facts.label)
    parameters, width = base.facts.parameters, 4 if dtype == "float32" else 2

    def writer(live: TransformersLive, decoding: Decoding, blend: Blend) -> Generator:
        asked = decoding if decoding.template != "auto" else attrs.evolve(decoding, template=template)
        return BlendedGenerator(live, blend, second, asked, serving=serving, parameters=parameters)

    return TransformersLive(
        network,
        Blends(changes),
        tokenizer=tokenizer,
        prompts=Prompts(tokenizer=tokenizer, mode=mode, label=trained.facts.label),
        size=batch_size(config, parameters=parameters, device=serving.device, width=width),
        config=config,
        writer=writer,
        passages=passages,
        probes=prompts,
    )


class BlendedGenerator(TransformersGenerator):
    """Writes as the generation pass does, with a blend of the live pair; the pair stays open when it is closed."""

    def __init__(
        self,
        live: TransformersLive,
        blend: Blend,
        origin: Origin,
        decoding: Decoding,
        *,
        serving: Serving,
        parameters: int,
    ) -> None:
        super().__init__(
            origin, decoding, serving=serving, resident=_Borrowed(live), parameters=parameters, adapted=True
        )
        self._live = live
        self._blend = blend

    @property
    def facts(self) -> GenerationFacts:
        """Those of the trained model, and what the blend is."""
        own = super().facts
        described = {"default": self._blend.default, "named": len(self._blend.scales), "rank": self._blend.rank}
        return attrs.evolve(own, properties={**own.properties, "blend": described})

    def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
        """See `TransformersGenerator.generate`; the network is the blend while a group is written, not in between."""
        with self._live.blended(self._blend):
            for group in self.groups(requests):
                with self._live.applied(self._blend):
                    finished = list(super().generate(group))
                yield from finished


@attrs.frozen
class _Borrowed:
    """The live pair's network, in the place of a model that the generator would own."""

    live: TransformersLive

    def model(self) -> Any:
        return self.live.network

    def use(self, adapted: bool) -> None:
        """The blend is applied around the whole group."""

    def release(self) -> None:
        """The live pair frees it."""


def _require_one_network(label: str, base: Mapping[str, Any], trained: Mapping[str, Any]) -> None:
    differing = sorted(
        key
        for key in base.keys() | trained.keys()
        if key not in _IMMATERIAL and "dropout" not in key and "pdrop" not in key and base.get(key) != trained.get(key)
    )
    if differing:
        key = differing[0]
        raise SubjectError(
            f"{label}: cannot be blended since {key} is {base.get(key)!r} in the base and {trained.get(key)!r} in the "
            "trained model; leave out the analyzers that need a live pair"
        )


def _require_room(base: OpenSubject, serving: Serving, dtype: str) -> None:
    width = 4 if dtype == "float32" else 2
    needed = base.facts.parameters * width
    if not both_fit(needed, (_COPIES - 1) * needed, device=serving.device):
        raise SubjectError(
            f"{base.facts.label}: the live pair needs about {_COPIES * needed / 2**30:.1f} GiB beside a batch, and the "
            f"{serving.device} has less; use a larger device or dtype bfloat16, or leave out the analyzers that need it"
        )


def _shared_tokenizer(label: str, base: Origin, trained: Origin) -> Any:
    """The trained model's tokenizer.

    Raises:
        SubjectError: it gives other ids than the base's.
    """
    theirs = load_tokenizer(trained)
    if trained.tokenizer == base.tokenizer:
        return theirs
    first, second = load_tokenizer(base).get_vocab(), theirs.get_vocab()
    if first != second:
        lone = sorted(first.items() ^ second.items(), key=lambda entry: (entry[1], entry[0]))
        raise SubjectError(
            f"{label}: cannot be blended since their tokenizers differ in {len(lone)} entries, such as {lone[0][0]!r}; "
            "leave out the analyzers that need a live pair"
        )
    return theirs


def _canonical(base: OpenSubject) -> Callable[[str], str]:
    """From a parameter's name in the network to the name under which the base's files have it, as scopes do."""
    stored = {parse_name(name).bare: parse_name(name).canonical for name in base.weights().tensors}

    def canonical(name: str) -> str:
        parsed = parse_name(name)
        return stored.get(parsed.bare, parsed.canonical)

    return canonical


def _factors(trained: OpenSubject) -> Callable[[str], LowRank | None]:
    """Δ of a parameter by its name in the network, where it is known as factors."""
    source = trained.weights()
    read = getattr(source, "low_rank", None)
    names = {parse_name(name).bare: name for name in getattr(source, "changes", {})}

    def factors(name: str) -> LowRank | None:
        stored = names.get(parse_name(name).bare)
        found: LowRank | None = read(stored) if read is not None and stored is not None else None
        return found

    return factors


__all__ = ["BlendedGenerator", "open_live"]
