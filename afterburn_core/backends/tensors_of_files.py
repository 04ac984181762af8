"""The tensors of several weight files under one namespace, each read by the reader of its file's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.documents import read_json
from afterburn_core.backends.locate import INDEXES
from afterburn_core.backends.tensors import TensorInfo, WeightFile
from afterburn_core.errors import SubjectError
from afterburn_core.plugin.registry import Registry, load_factory
from afterburn_core.run.naming import module_kind

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


@attrs.frozen(kw_only=True)
class FilesSource:
    """The tensors of several weight files under one namespace."""

    files: tuple[WeightFile, ...]
    tensors: Mapping[str, TensorInfo]
    aliases: Mapping[str, str]
    owner: Mapping[str, int]
    """Index into `files` by tensor name."""

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        return self.files[self.owner[name]].read(name, start, stop)

    def read_array(self, name: str, start: int, stop: int) -> NDArray[Any] | None:
        """See `SafetensorsFile.read_array`; `None` where the file can only give tensors."""
        direct = getattr(self.files[self.owner[name]], "read_array", None)
        return None if direct is None else direct(name, start, stop)

    def step_sq(self, name: str, start: int, stop: int) -> float | None:
        """Σ step² of the quantiser over these elements, where the file knows it (see `QuantisedSource.step_sq`)."""
        direct = getattr(self.files[self.owner[name]], "step_sq", None)
        return None if direct is None else direct(name, start, stop)

    def position(self, name: str) -> tuple[int, int]:
        number = self.owner[name]
        offsets: Mapping[str, int] = getattr(self.files[number], "offsets", {})
        return number, offsets.get(name, 0)


def open_files(paths: Sequence[Path], registry: Registry) -> tuple[FilesSource, tuple[WeightFile, ...]]:
    opened: list[WeightFile] = []
    owner: dict[str, int] = {}
    tensors: dict[str, TensorInfo] = {}
    aliases: dict[str, str] = {}
    try:
        for number, path in enumerate(paths):
            file: WeightFile = load_factory(reader_of(path, registry))(path)
            opened.append(file)
            for name, info in file.tensors.items():
                _require_text(path, name)
                if name in owner:
                    raise SubjectError(
                        f"{path}: tensor {name!r} is also in {paths[owner[name]].name}; keep one of them"
                    )
                owner[name], tensors[name] = number, info
            aliases.update(_owned_by_embeddings(file.aliases))
    except BaseException:
        for file in opened:
            file.close()
        raise
    return FilesSource(files=tuple(opened), tensors=tensors, aliases=aliases, owner=owner), tuple(opened)


def _owned_by_embeddings(aliases: Mapping[str, str]) -> dict[str, str]:
    """Aliases in which a head is the embedding's, never the other way round, whichever name the file has first."""
    owners = {
        owner: name for name, owner in aliases.items() if module_kind(owner) == "head" and module_kind(name) == "embed"
    }
    turned = {name: owners.get(owner, owner) for name, owner in aliases.items() if owners.get(owner) != name}
    return turned | owners


def _require_text(path: Path, name: str) -> None:
    """A name that no document can hold is refused before the run, not when its result is written."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise SubjectError(f"{path}: tensor name {name!r} is no text; save the weights again") from error
    if not name:
        raise SubjectError(f"{path}: a tensor has an empty name; save the weights again")


def reader_of(path: Path, registry: Registry) -> str:
    readers = [registered for registered in registry.specs("reader") if registered.spec.of == "weights"]
    for registered in readers:
        if path.name.endswith(tuple(registered.spec.suffixes)):
            return str(registered.spec.factory)
    known = sorted(suffix for registered in readers for suffix in registered.spec.suffixes)
    raise SubjectError(
        f"{path}: no installed reader for {path.suffix or 'files without suffix'!r}; known: {', '.join(known)}"
    )


def check_index(directory: Path, source: FilesSource, opened: Sequence[WeightFile]) -> None:
    """An index that promises tensors its shards do not hold means a half-written checkpoint."""
    for name in INDEXES:
        index = read_json(directory / name)
        if index is None:
            continue
        lost = sorted(set(index["weight_map"]) - source.tensors.keys())
        if lost:
            for file in opened:
                file.close()
            raise SubjectError(f"{directory / name}: {len(lost)} tensors are in no shard, such as {lost[0]!r}")
        return
