"""The checkpoint backend: Hugging Face directories, hub ids, PEFT adapters and single weight files.

Opening reads headers and configuration only. Weights are read raw, never through a model class, which could fold
norms, cast or tie behind our back.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.adapter import AdapterSource, read_adapter
from afterburn_core.backends.documents import FILES, read_documents, read_json
from afterburn_core.backends.encoder_folder import can_encode, encoder_files, network_folder
from afterburn_core.backends.locate import INDEXES, locate, weight_files
from afterburn_core.backends.on_models import OnModels
from afterburn_core.backends.tensors import FLOATING, TensorInfo, WeightFile, WeightSource
from afterburn_core.backends.tensors_of_files import FilesSource, check_index, open_files, reader_of
from afterburn_core.backends.transformers_cost import can_write
from afterburn_core.errors import SubjectError
from afterburn_core.plugin.registry import Registry, load_factory
from afterburn_core.result.model import Role
from afterburn_core.run.digests import SubjectFile
from afterburn_core.run.naming import is_buffer
from afterburn_core.run.needs import Capability
from afterburn_core.run.references import SubjectReference
from afterburn_core.run.subjects import OpenSubject, SubjectFacts

if TYPE_CHECKING:
    from afterburn_core.generation.model import Decoding, Generator, Serving
    from afterburn_core.run.needs import Drawn

_ON_MODEL: tuple[Capability, ...] = ("generate", "forward", "logits", "steer")
"""Capabilities of causal language models that can be loaded."""
_ON_BASE = (*_ON_MODEL, "encode")
"""Capabilities that an adapter has where its base has them."""
NAME = "core.checkpoint"


@attrs.frozen(kw_only=True)
class Checkpoint(OnModels):
    """An opened subject with its own weight files."""

    facts: SubjectFacts
    files: tuple[SubjectFile, ...]
    source: WeightSource
    directory: Path
    network: Path
    """Where configuration, weights and tokenizer lie: `directory`, or the folder below it that an embedding model's
    list of steps names."""
    opened: tuple[WeightFile, ...]
    _parsed: dict[str, Mapping[str, Any] | None] = attrs.field(factory=dict, repr=False, eq=False)

    def weights(self) -> WeightSource:
        return self.source

    def documents(self) -> Mapping[str, Mapping[str, Any] | None]:
        """Every document, parsed once: a large tokenizer takes most of a second.

        A single weight file has none: what lies beside it belongs to no subject, and no digest covers it.
        """
        if not self._parsed and "documents" in self.facts.capabilities:
            self._parsed.update(read_documents(self.network))
        return self._parsed

    def generator(self, decoding: Decoding, serving: Serving | None = None) -> Generator:
        """Writes with this model; its weights are loaded at the first text. Asked for only with `generate`."""
        from afterburn_core.backends.transformers_subjects import checkpoint_generator

        return checkpoint_generator(self, decoding, serving)

    def close(self) -> None:
        for file in self.opened:
            file.close()


@attrs.frozen(kw_only=True)
class AdapterSubject(OnModels):
    """An adapter on an opened base, which it does not close."""

    facts: SubjectFacts
    files: tuple[SubjectFile, ...]
    source: AdapterSource
    directory: Path
    base: OpenSubject
    adapter_file: WeightFile

    def weights(self) -> WeightSource:
        return self.source

    def documents(self) -> Mapping[str, Mapping[str, Any] | None]:
        """The base's documents, replaced by those that stand beside the adapter."""
        own = read_documents(self.directory)
        return {name: own.get(name) or document for name, document in self.base.documents().items()}

    def generator(self, decoding: Decoding, serving: Serving | None = None) -> Generator:
        """Writes with the adapter on a base of its own; `shared_generators` loads one base for both."""
        from afterburn_core.backends.transformers_subjects import adapter_generator

        return adapter_generator(self, decoding, serving)

    def shared_generators(
        self, base: OpenSubject, decoding: Decoding, serving: Serving | None = None, drawn: Sequence[Drawn] = ()
    ) -> tuple[Generator, ...] | None:
        """Generators of the base, this adapter and its nulls on one model in memory; `None` where that would change
        either."""
        from afterburn_core.backends.transformers_subjects import shared_generators

        return shared_generators(base, self, decoding, serving, drawn)

    def close(self) -> None:
        self.adapter_file.close()


def open_subject(
    reference: SubjectReference, *, role: Role, base: OpenSubject | None, registry: Registry
) -> OpenSubject:
    """Opens what a reference names.

    Raises:
        SubjectError: nothing usable is there; the message says what was found and what would do.
    """
    path, revision = locate(reference)
    if path.is_dir() and (path / "adapter_config.json").is_file():
        return _open_adapter(reference, path, revision, role, base, registry)
    directory = path if path.is_dir() else path.parent
    network = network_folder(directory)
    paths = weight_files(network) if path.is_dir() else (path,)
    config = _own_config(network if path.is_dir() else path)
    source, opened = open_files(paths, registry)
    if path.is_dir():
        check_index(network, source, opened)
    config = config or dict(getattr(opened[0], "config", {}))  # a GGUF file brings its own
    weights, quantisation = _dequantised(source, config)
    tensors = {n: t for n, t in weights.tensors.items() if n not in weights.aliases and not is_buffer(n, t.shape)}
    dtypes: Counter[str] = Counter()
    for info in tensors.values():
        dtypes[info.dtype] += info.numel
    matrices = [(info, min(info.shape)) for info in tensors.values() if len(info.shape) == 2]
    capabilities: tuple[Capability, ...] = ("documents", "weights") if path.is_dir() else ("weights",)
    if path.is_dir() and can_encode(path, config):
        capabilities = (*capabilities, "forward", "encode")
    elif path.is_dir() and can_write(path, config):
        capabilities = (*capabilities, *_ON_MODEL)
    facts = SubjectFacts(
        role=role,
        kind="checkpoint",
        label=reference.label,
        backend=NAME,
        capabilities=capabilities,
        bytes=sum(file.stat().st_size for file in paths),
        tensors=len(weights.tensors),
        parameters=sum(info.numel for info in tensors.values()),
        dtypes=dict(sorted(dtypes.items())),
        architecture=next(iter(config.get("architectures") or ()), None),
        model_type=config.get("model_type"),
        revision=revision,
        gram_flop=sum(2.0 * info.numel * order for info, order in matrices),
        eigen_flop=sum(4 / 3 * order**3 for _, order in matrices),
        properties={"tied": is_tied(config), **quantisation},
    )
    extra = [network / name for name in (*FILES, *INDEXES)] if path.is_dir() else []
    extra += encoder_files(path) if path.is_dir() else ()
    files = tuple(
        SubjectFile(path=file, relative=file.relative_to(directory).as_posix())
        for file in dict.fromkeys((*paths, *extra))
        if file.is_file()
    )
    return Checkpoint(facts=facts, files=files, source=weights, directory=directory, network=network, opened=opened)


def _dequantised(source: FilesSource, config: Mapping[str, Any]) -> tuple[WeightSource, dict[str, Any]]:
    """The weights as the rest of the program sees them, and what the subject's properties say of their packing."""
    plain = FLOATING | {"I64", "BOOL"}  # what buffers are made of; no packing stores codes so
    if all(info.dtype in plain and info.quantisation is None for info in source.tensors.values()):
        return source, {}
    from afterburn_core.backends.quantised import dequantised, describe  # NumPy is needed from here on

    weights = dequantised(source, config)
    described = describe(weights.tensors)
    return weights, {"quantisation": described} if described else {}


def is_tied(config: Mapping[str, Any]) -> bool:
    """Whether a configuration ties the output head to the input embedding; transformers' default is yes."""
    text = config.get("text_config")
    nested = text.get("tie_word_embeddings") if isinstance(text, Mapping) else None
    own = config.get("tie_word_embeddings")
    chosen = own if own is not None else nested
    return bool(config) and (chosen is None or bool(chosen))


def _own_config(path: Path) -> dict[str, Any]:
    """The configuration beside the weights, empty if there is none; what the result repeats of it is checked."""
    config = (read_json(path / "config.json") if path.is_dir() else None) or {}
    names = config.get("architectures")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise SubjectError(f"{path / 'config.json'}: architectures is no list of texts but {names!r}; correct it")
    kind = config.get("model_type")
    if kind is not None and not isinstance(kind, str):
        raise SubjectError(f"{path / 'config.json'}: model_type is no text but {kind!r}; correct it")
    return config


def _open_adapter(
    reference: SubjectReference,
    path: Path,
    revision: str | None,
    role: Role,
    base: OpenSubject | None,
    registry: Registry,
) -> AdapterSubject:
    config = read_json(path / "adapter_config.json") or {}
    if base is None:
        named = config.get("base_model_name_or_path")
        if role == "base":
            raise SubjectError(f"{path}: is an adapter and cannot be the base; give the model it was trained on")
        hint = f"its configuration names {named!r}" if named else "its configuration names none"
        raise SubjectError(f"{path}: is an adapter and needs its base ({hint}); give it with --base")
    candidates = [path / name for name in ("adapter_model.safetensors", "adapter_model.bin")]
    weights = next((file for file in candidates if file.is_file()), None)
    if weights is None and (path / "adapters.safetensors").is_file():
        raise SubjectError(f"{path}: is an adapter of mlx-lm; install afterburn-mlx and add --backend mlx.lm")
    if weights is None:
        raise SubjectError(f"{path}: has adapter_config.json but no adapter_model.safetensors; save the adapter again")
    file: WeightFile = load_factory(reader_of(weights, registry))(weights)
    try:
        adapter = read_adapter(path, config, file, base.weights())
    except (TypeError, ValueError, AttributeError, re.error) as error:
        file.close()
        raise SubjectError(f"{path / 'adapter_config.json'}: malformed ({error}); save the adapter again") from error
    except BaseException:
        file.close()
        raise
    facts = SubjectFacts(
        role=role,
        kind="adapter",
        label=reference.label,
        backend=NAME,
        capabilities=("documents", "weights", "lora", *(c for c in base.facts.capabilities if c in _ON_BASE)),
        bytes=weights.stat().st_size,
        tensors=len(file.tensors),
        parameters=sum(info.numel for info in file.tensors.values()),
        dtypes=dict(sorted(_count(file.tensors).items())),
        architecture=base.facts.architecture,
        model_type=base.facts.model_type,
        revision=revision,
        properties=adapter.description,
    )
    named = (path / weights.name, *(path / name for name in FILES), *encoder_files(path))
    files = tuple(
        SubjectFile(path=file, relative=file.relative_to(path).as_posix())
        for file in dict.fromkeys(named)
        if file.is_file()
    )
    return AdapterSubject(facts=facts, files=files, source=adapter, directory=path, base=base, adapter_file=file)


def _count(tensors: Mapping[str, TensorInfo]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for info in tensors.values():
        counts[info.dtype] += info.numel
    return counts


__all__ = ["AdapterSubject", "Checkpoint", "FilesSource", "is_tied", "open_subject"]
