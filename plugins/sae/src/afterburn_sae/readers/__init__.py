"""Readers of dictionary files: every format brought to the one form of `afterburn_sae.dictionary`.

A reader is a function `(path) -> Dictionary | None`, registered by `ReaderSpec(of="dictionary")`: `None` says that the
path is not of its format, `SubjectError` that it is, but cannot be used. Plugins of others add theirs by the same hook.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from afterburn_core.errors import AfterburnError, SubjectError
from afterburn_core.plugin.registry import Registry, load_factory

if TYPE_CHECKING:
    from afterburn_core.plugin import ReaderSpec
    from afterburn_sae.dictionary import Dictionary

SHIPPED = Path(__file__).resolve().parent.parent / "dictionaries"
NAMES = {"demo": "tiny-base-*.safetensors"}
"""Dictionaries that come with the plugin, by name."""


def open_dictionary(path: Path | str, *, registry: Registry | None = None) -> Dictionary:
    """The dictionary in a file or a directory, its weights memory-mapped where the format allows.

    Args:
        path: a file, a directory, or the name of a dictionary that comes with the plugin (`demo`).
        registry: whose readers are asked, those of other plugins first; all installed plugins by default.

    Raises:
        SubjectError: nothing is there, no reader knows it, or it is damaged or of a kind that is not supported.
    """
    found = locate(path)
    registry = registry or Registry.discover()
    readers = [registered for registered in registry.specs("reader") if registered.spec.of == "dictionary"]
    for registered in sorted(readers, key=lambda registered: registered.plugin.name == "sae"):
        dictionary = _read(registered.spec, found)
        if dictionary is not None:
            return dictionary
    known = ", ".join(sorted(registered.spec.name for registered in readers))
    raise SubjectError(
        f"{path}: no reader knows this as a sparse dictionary ({known} were asked); give the file of weights or the "
        "directory with its configuration (docs/sae-formats.md)"
    )


def _read(spec: ReaderSpec, path: Path) -> Dictionary | None:
    try:
        dictionary: Dictionary | None = load_factory(spec.factory)(path)
        return dictionary
    except AfterburnError:
        raise
    except Exception as error:  # a damaged or hostile file may break a reader in any way; some are other people's
        detail = str(error).splitlines()[0] if str(error) else "no message"
        raise SubjectError(
            f"{path}: the reader {spec.name} cannot make sense of it ({type(error).__name__}: {detail}); it is "
            "damaged, or of another format"
        ) from error


def locate(path: Path | str) -> Path:
    """The file or directory meant; a path goes before a name that comes with the plugin.

    Raises:
        SubjectError: there is neither.
    """
    given = Path(path).expanduser()
    if given.exists():
        return given
    for shipped in sorted(SHIPPED.glob(NAMES[str(path)])) if str(path) in NAMES else ():
        return shipped
    raise SubjectError(
        f"{path}: no such file or directory, and no dictionary of that name comes with Afterburn "
        f"({', '.join(sorted(NAMES))}); nothing is downloaded by itself"
    )
