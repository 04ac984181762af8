"""Generators for models in memory: the live side of `afterburn_core.generation`, through transformers.

A model's own `generation_config.json` is not applied: both sides decode as the run says, and the facts record what the
file would have asked for. Facts, groups and refusals need no weights; those are loaded at the first text.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.backends.documents import read_documents, read_json
from afterburn_core.backends.transformers_cost import BatchSize, batch_size, context_length, text_config
from afterburn_core.backends.transformers_template import Mode, Prompts, template_mode
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Completed, Decoding, GenerationFacts, Request, Sample, Serving

_WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt")
_NOT_DECODING = ("token_id", "_from_model_config", "transformers_version", "use_cache", "output_", "return_")


def dtype_in_effect(serving: Serving, config: Mapping[str, Any]) -> str:
    """`float32`, `bfloat16` or `float16`: what was asked for, or as stored on a GPU and float32 on a CPU."""
    if serving.dtype != "auto":
        return serving.dtype
    stored = config.get("dtype") or config.get("torch_dtype") or text_config(config).get("dtype")
    return "float32" if serving.device == "cpu" else str(stored or "float32").removeprefix("torch.")


class TransformersGenerator:
    """Writes texts with one model. See `afterburn_core.generation.model.Generator`."""

    def __init__(
        self, origin: Any, decoding: Decoding, *, serving: Serving, resident: Any, parameters: int, adapted: bool
    ) -> None:
        """Args:
        origin: where the files lie (`transformers_loading.Origin`).
        decoding: how tokens are chosen.
        serving: device, dtype, batch.
        resident: the model, perhaps shared (`transformers_loading.ResidentModel`).
        parameters: of the model; decides the batch.
        adapted: whether the adapter is on, where the model has one.
        """
        self.origin = origin
        self.decoding = decoding
        self.serving = serving
        self._resident = resident
        self._parameters = parameters
        self._adapted = adapted
        self._limit: Any = None
        self._closed = False

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        return read_json(self.origin.directory / "config.json") or {}

    @cached_property
    def _templates(self) -> Mapping[str, Any] | None:
        return read_documents(self.origin.tokenizer)["chat_template"]

    @property
    def mode(self) -> Mode:
        """Whether prompts go through the chat template."""
        return template_mode(self.decoding.template, self._templates, self.origin.label)

    @cached_property
    def facts(self) -> GenerationFacts:
        """See `GenerationFacts`; read from files alone."""
        dtype = dtype_in_effect(self.serving, self._config)
        source = (self._templates or {}).get("default")
        own = read_json(self.origin.directory / "generation_config.json") or {}
        properties: dict[str, Any] = {
            "dtype": dtype,
            "device": self.serving.device.split(":")[0],
            "torch": _version("torch"),
            "near_ties": "decided alone" if dtype == "float32" else "decided in the batch",
            "own_decoding": {key: value for key, value in sorted(own.items()) if not _is_bookkeeping(key)},
        }
        if self.mode == "chat" and isinstance(source, str) and "strftime_now" in source:
            properties["template_tells_date"] = True
        return GenerationFacts(
            engine=f"transformers {_version('transformers')}",
            template=self.mode,
            template_sha256=_sha256(source.encode()) if self.mode == "chat" and isinstance(source, str) else None,
            tokenizer_sha256=_tokenizer_digest(self.origin.tokenizer),
            decoding={**attrs.asdict(self.decoding), "template": self.mode},
            context=context_length(self._config),
            properties=properties,
        )

    @cached_property
    def _prompts(self) -> Prompts:
        from afterburn_core.backends.transformers_loading import load_tokenizer

        return Prompts(tokenizer=load_tokenizer(self.origin), mode=self.mode, label=self.origin.label)

    @cached_property
    def size(self) -> BatchSize:
        """Bounds of one batch."""
        width = _WIDTHS.get(dtype_in_effect(self.serving, self._config), 4)
        size = batch_size(self._config, parameters=self._parameters, device=self.serving.device, width=width)
        return size if self.serving.batch is None else attrs.evolve(size, rows=self.serving.batch)

    def groups(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """The requests by length of their prompt, longest first, in groups of a few batches.

        Raises:
            SubjectError: a prompt cannot be asked of this model.
        """
        return [[request for request, _ in group] for group in self._groups(requests)]

    def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
        """Every request's sample, group by group, each as soon as it is finished.

        Raises:
            SubjectError: a prompt cannot be asked of this model, or its weights cannot be loaded.
        """
        groups = self._groups(requests)
        for group in groups:
            yield from self._write(group)

    def unfit(self, requests: Sequence[Request]) -> dict[str, str]:
        """The probes whose prompt leaves no room for an answer, with what is in the way, by id.

        Raises:
            SubjectError: a prompt cannot be asked of this model for another reason.
        """
        context = context_length(self._config)
        found: dict[str, str] = {}
        if context is not None:
            for request, ids in zip(requests, self._prompts.encode(requests), strict=True):
                if len(ids) >= context:
                    found[request.probe] = f"{len(ids)} tokens, of {context} that the model reads"
        return found

    def close(self) -> None:
        """Frees the model, unless another generator shares it."""
        if not self._closed:
            self._closed = True
            self.__dict__.pop("_prompts", None)
            self._resident.release()

    def _groups(self, requests: Sequence[Request]) -> list[list[tuple[Request, tuple[int, ...]]]]:
        encoded = self._prompts.encode(requests)
        self._require_room(requests, encoded)
        ordered = sorted(zip(requests, encoded, strict=True), key=lambda pair: -len(pair[1]))
        groups: list[list[tuple[Request, tuple[int, ...]]]] = []
        for request, ids in ordered:
            if not groups or len(groups[-1]) >= self.size.group_for(
                len(groups[-1][0][1]) + self._room(groups[-1][0][1])
            ):
                groups.append([])
            groups[-1].append((request, ids))
        return groups

    def _room(self, prompt: Sequence[int]) -> int:
        context = context_length(self._config)
        wanted = self.decoding.max_new_tokens
        return wanted if context is None else min(wanted, context - len(prompt))

    def _require_room(self, requests: Sequence[Request], encoded: Sequence[Sequence[int]]) -> None:
        context = context_length(self._config)
        for request, ids in zip(requests, encoded, strict=True):
            if context is not None and len(ids) >= context:
                raise SubjectError(
                    f"{self.origin.label}: prompt {request.probe!r} has {len(ids)} tokens and the model reads at most "
                    f"{context}; leave it out, nothing is cut silently"
                )

    def _write(self, group: Sequence[tuple[Request, tuple[int, ...]]]) -> Iterator[Completed]:
        from afterburn_core.backends import transformers_decoding as decoding
        from afterburn_core.backends.transformers_loading import end_marks, network_of, threads_for

        model = network_of(self._resident.model())
        network = decoding.Network(model, lambda: self._resident.use(self._adapted))
        ends = end_marks(model, self._prompts.tokenizer)
        self._limit = self._limit or decoding.Limit(size=self.size)
        rows = [
            decoding.Row(
                request=request,
                prompt=ids,
                room=self._room(ids),
                labels=tuple(self._prompts.first_tokens(request, label) for label in request.choices),
            )
            for request, ids in group
        ]
        with threads_for(model):
            for row in decoding.write(network, rows, self.decoding, ends, self._limit):
                yield Completed(request=row.request, sample=self._sample(row))

    def _sample(self, row: Any) -> Sample:
        ids = tuple(row.tokens[:-1] if row.ended else row.tokens)
        capped = not row.ended and row.room < self.decoding.max_new_tokens
        return Sample(
            index=row.request.index,
            text=self._prompts.tokenizer.decode(list(ids), skip_special_tokens=True),
            tokens=len(ids),
            finish="stop" if row.ended else "length",
            logprob=row.logprob,
            token_ids=ids,
            choice_logprobs=row.label_logprobs,
            seed=row.request.seed,
            labels={"capped_by_context": row.room} if capped else {},
        )


def _is_bookkeeping(key: str) -> bool:
    return any(part in key for part in _NOT_DECODING)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tokenizer_digest(directory: Path) -> str | None:
    """sha256 of `tokenizer.json`, or of the vocabulary files where there is none."""
    present = [directory / name for name in _VOCABULARIES if (directory / name).is_file()]
    if not present:
        return None
    chosen = present[:1] if present[0].name == "tokenizer.json" else present
    return _sha256(b"".join(path.read_bytes() for path in chosen))


def open_generator(
    decoding: Decoding, *, origin: Any, parameters: int, serving: Serving | None = None
) -> TransformersGenerator:
    """A generator with a model of its own, which is loaded at the first text."""
    from afterburn_core.backends.transformers_loading import ResidentModel, load_model

    chosen = serving or Serving()
    resident = ResidentModel(lambda: load_model(origin, device=chosen.device, dtype=chosen.dtype))
    return TransformersGenerator(
        origin, decoding, serving=chosen, resident=resident, parameters=parameters, adapted=True
    )
