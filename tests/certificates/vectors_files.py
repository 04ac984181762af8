"""List B: other files in the place of a certified model's, and lists of files with names that deceive."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import packs
from packs import FIRST, SECOND, TENSORS, floats, model_files, presented, safetensors, write
from vector import Presented, Vector

Build = Callable[[Path], Presented]

Edit = Callable[[Path], Any]


def _model(edit: Edit, role: str = "trained") -> Build:
    """The genuine pack, beside a model that was changed after it was certified."""

    def build(folder: Path) -> Presented:
        edit(write(folder / "model", model_files(role)))
        return presented(folder, model=folder / "model")

    return build


def _with_file(name: str, content: bytes = b"x") -> Edit:
    def edit(model: Path) -> None:
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(content)

    return edit


def _exchanged(model: Path) -> None:
    first, second = (model / FIRST).read_bytes(), (model / SECOND).read_bytes()
    (model / FIRST).write_bytes(second)
    (model / SECOND).write_bytes(first)


def _renamed(model: Path) -> None:
    (model / SECOND).rename(model / "adapter_model.safetensors")


def _linked_out(model: Path) -> None:
    outside = model.parent / "outside.safetensors"
    (model / SECOND).rename(outside)
    (model / SECOND).symlink_to(outside)


def _linked_in(model: Path) -> None:
    """As a hub client keeps a snapshot: names that link to files called by their digests."""
    store = model.parent / "models--org--name"
    (store / "blobs").mkdir(parents=True)
    for file in [path for path in model.rglob("*") if path.is_file()]:
        blob = store / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        link = store / "snapshots" / "0123abc" / file.relative_to(model)
        link.parent.mkdir(parents=True, exist_ok=True)
        file.rename(blob)
        link.symlink_to(os.path.relpath(blob, link.parent))


def _nested(model: Path) -> None:
    """Deeper than anyone nests a model; a program that follows may recurse once for each."""
    (model / ("d/" * 100)).mkdir(parents=True)


def _linked_again(model: Path) -> None:
    os.link(model / FIRST, model / "copy.safetensors")


def _resharded(model: Path) -> None:
    for name in (FIRST, SECOND):
        (model / name).unlink()
    (model / "model.safetensors").write_bytes(safetensors(TENSORS["trained"]))


def _sums(*lines: tuple[str, str]) -> bytes:
    return "".join(f"{digest}  {path}\n" for digest, path in lines).encode()


def _listing(path: str, *others: str) -> Build:
    """A pack that is truly signed over a list with this path, sorted as it must be."""
    digest = hashlib.sha256(b"x").hexdigest()
    names = sorted(("config.json", *others, path), key=str.encode)
    return lambda folder: presented(folder, packs.with_sums(_sums(*((digest, name) for name in names))))


def _malformed(weights: bytes) -> Build:
    """A model whose weights hide something, certified as it is by an issuer that did not look."""

    def build(folder: Path) -> Presented:
        files = {**model_files("trained"), SECOND: weights}
        sums = _sums(*((hashlib.sha256(files[name]).hexdigest(), name) for name in sorted(files, key=str.encode)))
        return presented(
            folder, packs.with_sums(sums, sum(map(len, files.values()))), model=write(folder / "model", files)
        )

    return build


class _Writer:
    """Progress that writes to the model as soon as a part of it has been hashed."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def begin(self, stage: str, total: int, unit: str) -> None:
        pass

    def advance(self, count: int) -> None:
        with self._file.open("ab") as stream:
            stream.write(b"x")

    def end(self) -> None:
        pass


def _written_while_read(folder: Path) -> Presented:
    model = write(folder / "model", model_files("trained"))
    return presented(folder, model=model, progress=_Writer(model / FIRST))


def _snapshot(folder: Path) -> Presented:
    _linked_in(write(folder / "model", model_files("trained")))
    return presented(folder, model=folder / "models--org--name" / "snapshots" / "0123abc")


def _hard_links(folder: Path) -> Presented:
    store = write(folder / "store", model_files("trained"))
    for file in [path for path in store.rglob("*") if path.is_file()]:
        target = folder / "model" / file.relative_to(store)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, target)
    return presented(folder, model=folder / "model")


SECOND_TENSORS = {name: TENSORS["trained"][name] for name in ("mlp.weight", "norm.weight")}

_HEADER_EDITED = safetensors(SECOND_TENSORS, metadata={"format": "pt"})

# id, name, code (None: accepted), how to make it
_FILES: tuple[tuple[str, str, str | None, Build], ...] = (
    ("B00", "the_audited_model", None, _model(lambda model: None)),
    ("B01", "shard_replaced", "model.changed", _model(_with_file(SECOND, safetensors({"mlp.weight": floats(1)})))),
    ("B01", "shards_exchanged", "model.swapped", _model(_exchanged)),
    ("B01", "one_bit_flipped", "model.changed", _model(_with_file("config.json", b"z"))),
    ("B02", "file_renamed", "model.renamed", _model(_renamed)),
    ("B03", "code_added", "model.added", _model(_with_file("modeling_llama.py", b"import os\n"))),
    ("B04", "file_removed", "model.missing", _model(lambda model: (model / FIRST).unlink())),
    ("B05", "file_added_under_github", "model.added", _model(_with_file(".github/workflows/run.yaml"))),
    ("B05", "hidden_file_added", "model.added", _model(_with_file(".gitattributes"))),
    ("B06", "names_differ_in_case_alone", "path.case_collision", _model(_with_file("Config.json"))),
    ("B06", "list_with_names_differing_in_case", "path.case_collision", _listing("Config.json")),
    ("B07", "decomposed_name", "path.not_nfc", _model(_with_file(unicodedata.normalize("NFD", "größe.json")))),
    ("B07", "list_with_decomposed_name", "path.not_nfc", _listing(unicodedata.normalize("NFD", "größe.json"))),
    ("B08", "name_turned_around", "path.hidden", _model(_with_file("model\u202enosj.json"))),
    ("B08", "list_with_name_turned_around", "path.hidden", _listing("model\u202enosj.json")),
    ("B08", "list_with_unseen_letter", "path.hidden", _listing("con\u200bfig.json")),
    ("B08", "list_with_control_character", "path.control", _listing("con\x85fig.json")),
    ("B09", "list_that_leads_out", "path.parent", _listing("../config.json")),
    ("B09", "list_with_backslashes", "path.backslash", _listing("..\\config.json")),
    ("B09", "list_that_leads_deep", "path.too_deep", _listing("a/" * 64 + "config.json")),
    ("B09", "directories_nested_100_deep", "path.too_deep", _model(_nested)),
    ("B10", "list_with_absolute_path", "path.absolute", _listing("/etc/passwd")),
    ("B10", "list_with_drive", "path.drive", _listing("C:config.json")),
    ("B11", "link_out_of_the_model", "file.link_outside", _model(_linked_out)),
    (
        "B12",
        "hard_link_under_another_name",
        "model.added",
        _model(lambda m: os.link(m / FIRST, m / "copy.safetensors")),
    ),
    (
        "B13",
        "header_edited",
        "model.same_tensors",
        _model(_with_file(SECOND, safetensors(SECOND_TENSORS, metadata={"a": "b"}))),
    ),
    ("B14", "tensors_overlap", "safetensors.malformed", _malformed(safetensors(SECOND_TENSORS, gap=-4))),
    ("B15", "hole_between_tensors", "safetensors.malformed", _malformed(safetensors(SECOND_TENSORS, gap=4))),
    ("B15", "bytes_after_the_last_tensor", "safetensors.malformed", _malformed(safetensors(SECOND_TENSORS) + b"tail")),
    ("B16", "sharded_anew", "model.same_tensors", _model(_resharded)),
    ("B11", "snapshot_of_a_hub_client", None, _snapshot),
    ("B12", "hard_links_to_a_store", None, _hard_links),
    ("B17", "written_while_it_is_hashed", "model.changed_while_read", _written_while_read),
    ("B17", "written_after_it_was_hashed", "model.changed", _model(_with_file(FIRST, b"later"))),
)


def vectors() -> tuple[Vector, ...]:
    """Every one."""
    return tuple(
        Vector(id=identifier, name=f"{identifier.lower()}_{name}{'_fail' if code else ''}", code=code, build=build)
        for identifier, name, code, build in _FILES
    )
