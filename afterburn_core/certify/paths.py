"""Which files belong to a model, and which names they may have: the same rules for who signs and who verifies.

A list of files is read by programs on other systems. A name that means two things to two of them (case, Unicode form,
separators), or that looks like another one, is refused rather than listed.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs

from afterburn_core.certify.encoding import Invalid
from afterburn_core.errors import SubjectError

LONGEST_COMPONENT = 255
"""Bytes of one part of a path, which is what file systems allow."""

MOST_COMPONENTS = 64
"""Parts of a path; models have three or four, and whoever follows a path may recurse this far."""

CODE_SUFFIXES = (".py", ".pyc", ".so", ".dll", ".dylib", ".sh")
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy")


@attrs.frozen(kw_only=True)
class ListedFile:
    """A file to be hashed."""

    path: Path
    """Where it lies, links resolved."""
    relative: str
    """POSIX path below the model's directory."""
    size: int
    """Bytes, when it was listed."""


def check_path(path: str) -> None:
    """Refuses a relative path that could mean another file elsewhere, or look like another one.

    Raises:
        Invalid: `path.` and one of `empty`, `absolute`, `backslash`, `drive`, `not_utf8`, `control`, `hidden`,
            `not_nfc`, `parent`, `component`, `too_long`, `too_deep`.
    """
    shown = ascii(path[:120])
    if not path:
        raise Invalid("path.empty", "a file has no name")
    if path.startswith("/"):
        raise Invalid("path.absolute", f"{shown}: is an absolute path; files are named below the model's directory")
    if "\\" in path:
        raise Invalid("path.backslash", f"{shown}: has a backslash, which some systems take for a separator")
    if len(path) > 1 and path[1] == ":" and path[0].isascii() and path[0].isalpha():
        raise Invalid("path.drive", f"{shown}: begins with a drive letter")
    for character in path:
        kind = unicodedata.category(character)
        if kind == "Cs":
            raise Invalid("path.not_utf8", f"{shown}: is not UTF-8")
        if kind in {"Cc", "Zl", "Zp"}:
            raise Invalid("path.control", f"{shown}: has a control character")
        if kind == "Cf":
            raise Invalid("path.hidden", f"{shown}: has a character that is not seen or turns the direction of text")
    if not unicodedata.is_normalized("NFC", path):
        raise Invalid(
            "path.not_nfc", f"{shown}: is not in Unicode's composed form (NFC), so two names could look alike"
        )
    components = path.split("/")
    if len(components) > MOST_COMPONENTS:
        raise Invalid("path.too_deep", f"{shown}: has more than {MOST_COMPONENTS} parts")
    for component in components:
        if component == "..":
            raise Invalid("path.parent", f"{shown}: leads out of the model's directory")
        if component in {"", "."}:
            raise Invalid("path.component", f"{shown}: has an empty part")
        if len(component.encode()) > LONGEST_COMPONENT:
            raise Invalid("path.too_long", f"{shown}: has a part of more than {LONGEST_COMPONENT} bytes")


def check_paths(paths: Iterable[str]) -> None:
    """Refuses a set of paths that some file system could not hold side by side.

    Raises:
        Invalid: as `check_path`, and `path.duplicate`, `path.case_collision`, `path.conflict`.
    """
    files: set[str] = set()
    spelled: dict[str, str] = {}
    for path in paths:
        check_path(path)
        if path in files:
            raise Invalid("path.duplicate", f"{path[:120]!a}: is listed twice")
        files.add(path)
        for part in _prefixes(path):
            folded = unicodedata.normalize("NFC", part.casefold())
            if spelled.setdefault(folded, part) != part:
                raise Invalid(
                    "path.case_collision",
                    f"{part[:120]!a} and {spelled[folded][:120]!a}: differ in case alone, which some file "
                    "systems do not tell apart",
                )
    for path in files:
        for part in _prefixes(path):
            if part != path and part in files:
                raise Invalid("path.conflict", f"{part[:120]!a}: is listed as a file and as a directory")


def _prefixes(path: str) -> Iterator[str]:
    """The path and every directory it lies in."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
    yield path


def listed(model: Path) -> tuple[ListedFile, ...]:
    """Every file of a model's directory (hidden ones too), or the one file that a model is; sorted by path.

    Links may lead to files of the directory or, for a snapshot in a hub client's cache, of the store beside it.

    Args:
        model: a directory or a file.

    Raises:
        SubjectError: it cannot be read.
        Invalid: `path.…` for a name that is refused; `file.not_regular`, `file.link_outside`, `file.link_broken`,
            `file.link_to_directory`; `model.empty`.
    """
    if not model.exists():
        raise SubjectError(f"{model}: no such file or directory; give the model's directory")
    if model.is_dir():
        allowed = tuple(os.path.realpath(folder) for folder in (model, *hub_store(model)))
        found = list(_below(model, "", allowed))
    else:
        real = Path(os.path.realpath(model))
        found = [ListedFile(path=real, relative=model.name, size=_regular(real, model.name).st_size)]
    if not found:
        raise Invalid("model.empty", f"{model.name}: holds no file")
    found.sort(key=lambda file: file.relative.encode("utf-8", "surrogateescape"))
    check_paths(file.relative for file in found)
    return tuple(found)


def hub_store(model: Path) -> tuple[Path, ...]:
    """Where a hub client's cache keeps the files that a snapshot in it links to; empty for any other directory.

    The layout is that of huggingface_hub: `models--ORG--NAME/snapshots/COMMIT/` beside `models--ORG--NAME/blobs/`.
    """
    snapshots = model.absolute().parent
    store = snapshots.parent / "blobs"
    is_cache = snapshots.name == "snapshots" and snapshots.parent.name.startswith("models--") and store.is_dir()
    return (store,) if is_cache else ()


def _below(directory: Path, prefix: str, allowed: Sequence[str]) -> Iterator[ListedFile]:
    try:
        entries = list(os.scandir(directory))
    except OSError as error:
        raise SubjectError(f"{directory}: cannot be read ({error.strerror})") from error
    for entry in entries:
        relative = f"{prefix}{entry.name}"
        path = Path(entry.path)
        if entry.is_symlink():
            path = _resolved(path, relative, allowed)
        elif entry.is_dir(follow_symlinks=False):
            check_path(relative)
            yield from _below(path, f"{relative}/", allowed)
            continue
        yield ListedFile(path=path, relative=relative, size=_regular(path, relative).st_size)


def _resolved(link: Path, relative: str, allowed: Sequence[str]) -> Path:
    shown = ascii(relative[:120])
    try:
        target = os.path.realpath(link, strict=True)
    except OSError as error:
        raise Invalid("file.link_broken", f"{shown}: is a link that leads nowhere ({error.strerror})") from error
    if not any(os.path.commonpath((target, folder)) == folder for folder in allowed):
        raise Invalid("file.link_outside", f"{shown}: is a link that leads out of the model's directory")
    if os.path.isdir(target):
        raise Invalid("file.link_to_directory", f"{shown}: is a link to a directory, whose files would count twice")
    return Path(target)


def _regular(path: Path, relative: str) -> os.stat_result:
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError as error:
        raise SubjectError(f"{path}: cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise Invalid("file.not_regular", f"{relative[:120]!a}: is no regular file (a device, pipe or socket)")
    return status
